//! What must have come.

use std::collections::HashSet;
use std::rc::Rc;

use crate::history::{History, Message, Receiver};

/// Whom a message is for: one receiver, or the members of a shared subscription.
#[derive(Clone, Debug)]
pub struct Due {
    /// How it is called in a finding.
    pub name: String,
    /// Numbers of receivers.
    pub members: Vec<usize>,
    got: HashSet<(usize, usize)>,
    read: Vec<usize>,
    /// By publisher: all before has come, or need not.
    settled: Vec<usize>,
}

impl Due {
    /// All who must get everything that matches.
    pub fn all(history: &History) -> Vec<Self> {
        let mut all: Vec<(Option<Rc<str>>, Self)> = Vec::new();
        for (number, receiver) in
            history.receivers.iter().enumerate().filter(|(_, receiver)| receiver.lasting)
        {
            let known = all.iter_mut().find(|(group, _)| group.is_some() && *group == receiver.group);
            if let Some((_, due)) = known {
                due.members.push(number);
                continue;
            }
            let name = match &receiver.group {
                Some(group) => format!("shared subscription {group}"),
                None => receiver.name.clone(),
            };
            let due = Self {
                name,
                members: vec![number],
                got: HashSet::new(),
                read: Vec::new(),
                settled: Vec::new(),
            };
            all.push((receiver.group.clone(), due));
        }
        all.into_iter().map(|(_, due)| due).collect()
    }

    /// Whether all of them have been given the time.
    pub fn is_drained(&self, history: &History) -> bool {
        self.members.iter().all(|member| history.receivers[*member].drained)
    }

    fn update(&mut self, history: &History) {
        self.read.resize(self.members.len(), 0);
        for (member, read) in self.members.iter().zip(&mut self.read) {
            let receipts = &history.receivers[*member].receipts;
            self.got.extend(receipts[*read..].iter().map(|receipt| (receipt.publisher, receipt.sequence)));
            *read = receipts.len();
        }
    }

    /// What has not come: publisher and number of each. Reads what is new since it was last asked.
    pub fn missing(&mut self, history: &History) -> Vec<(usize, usize)> {
        self.update(history);
        self.settled.resize(history.publishers.len(), 0);
        let mut missing = Vec::new();
        for (publisher, settled) in self.settled.iter_mut().enumerate() {
            let messages = &history.publishers[publisher].messages;
            let mut is_settled = true;
            for (sequence, message) in messages.iter().enumerate().skip(*settled) {
                let is_due = self.members.iter().any(|member| is_for(message, &history.receivers[*member]));
                if is_due && !self.got.contains(&(publisher, sequence)) {
                    missing.push((publisher, sequence));
                    is_settled = false;
                } else if is_settled && (message.acknowledged || message.qos == 0) {
                    *settled = sequence + 1;
                } else {
                    // It may be acknowledged later.
                    is_settled = false;
                }
            }
        }
        missing
    }
}

/// Whether the receiver must get the message: its subscription was there before, and the publisher was told that the
/// broker has it.
fn is_for(message: &Message, receiver: &Receiver) -> bool {
    message.acknowledged
        && message.qos > 0
        && !message.is_clear
        && receiver
            .subscription(&message.topic)
            .is_some_and(|subscription| subscription.qos > 0 && subscription.since < message.begun)
}
