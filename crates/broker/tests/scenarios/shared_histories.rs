//! Members of a group that come and go on three shards, while mail between the shards is late: whatever was acknowledged
//! reaches one of them, and who was the only one connected keeps what it has under the same Packet Identifiers.

use std::collections::BTreeSet;

use noctule_protocol::ProtocolVersion::V311;
use proptest::prelude::*;

use crate::desk::*;

const MEMBERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Publish(u16),
    Connect(usize),
    Lose(usize),
    /// A member acknowledges so many of the messages it has.
    Acknowledge(usize, usize),
    /// A shard gets no mail.
    Hold(usize),
    Deliver,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1..6_u16).prop_map(Step::Publish),
        8 => (0..MEMBERS).prop_map(Step::Connect),
        6 => (0..MEMBERS).prop_map(Step::Lose),
        5 => (0..MEMBERS, 1..5_usize).prop_map(|(who, n)| Step::Acknowledge(who, n)),
        2 => (0..3_usize).prop_map(Step::Hold),
        5 => Just(Step::Deliver),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

struct Member {
    hello: Hello,
    line: Option<Client>,
    /// What it got over this connection, or the last one, and did not acknowledge: identifier and payload, in order.
    open: Vec<(u16, String)>,
    /// Whether nobody else can have been asked to take that.
    keeps: bool,
}

impl Member {
    /// Looks at what has come.
    fn look(&mut self) {
        let Some(line) = &self.line else { return };
        for packet in line.take().into_iter().filter(Wire::is_publish) {
            self.open.push((packet.id, packet.text()));
        }
    }
}

struct Scene {
    desk: Desk,
    members: Vec<Member>,
    publisher: Client,
    publishers: usize,
    next: u16,
    /// Sent to the broker over this connection, and not acknowledged by it.
    sent: BTreeSet<u16>,
    owed: BTreeSet<String>,
    done: BTreeSet<String>,
    is_late: bool,
}

impl Scene {
    fn new(window: u16, mail_bytes_max: usize, fan_out_bytes_max: usize) -> Self {
        let desk = Desk::sharded(3, |settings| {
            settings.max_inflight_messages = window;
            settings.max_queued_messages = 0;
            settings.mail_bytes_max = mail_bytes_max;
            settings.fan_out_bytes_max = fan_out_bytes_max;
        });
        // On the shard where nobody else is; all lasting, so that the group never ends.
        let mut members = Vec::new();
        for id in ["a", "b", "c"] {
            let hello = desk.hello(id).lasting();
            let mut line = hello.connect();
            line.subscribe("$share/g/t", 1);
            members.push(Member { hello, line: Some(line), open: Vec::new(), keeps: false });
        }
        let publisher = desk.client_of(V311, "publisher 0");
        let (sent, owed, done) = Default::default();
        Self { desk, members, publisher, publishers: 1, next: 0, sent, owed, done, is_late: false }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Publish(n) => {
                for _ in 0..n {
                    self.next += 1;
                    self.sent.insert(self.next);
                    self.publisher.send(publish("t", self.next.to_string()).qos1(self.next));
                }
            }
            Step::Connect(who) => self.connect(who),
            Step::Lose(who) => self.lose(who),
            Step::Acknowledge(who, n) => self.acknowledge(who, n),
            Step::Hold(shard) => {
                self.desk.hold_mail_to(shard);
                self.is_late = true;
                // What is under way may be about any of them.
                self.members.iter_mut().for_each(|member| member.keeps = false);
            }
            Step::Deliver => {
                self.desk.deliver_mail();
                self.is_late = false;
            }
            Step::Crash => {
                self.look();
                self.desk.restart();
                self.desk.deliver_mail();
                self.is_late = false;
                for member in &mut self.members {
                    (member.line, member.keeps) = (None, false);
                    member.open.clear();
                }
                self.sent.clear();
                self.publishers += 1;
                self.publisher = self.desk.client_of(V311, &format!("publisher {}", self.publishers));
            }
        }
        self.look();
    }

    fn look(&mut self) {
        for packet in self.publisher.take() {
            assert!(self.sent.remove(&packet.id), "it was sent");
            self.owed.insert(packet.id.to_string());
        }
        self.members.iter_mut().for_each(Member::look);
    }

    fn connect(&mut self, who: usize) {
        let member = &mut self.members[who];
        if member.line.is_some() {
            return;
        }
        let line = member.hello.connect();
        assert!(line.session_present);
        let before = std::mem::take(&mut member.open);
        let again: Vec<Wire> = line.take();
        let count = again.iter().take_while(|packet| packet.dup).count();
        assert!(again[count..].iter().all(|packet| !packet.dup), "first what is sent again");
        member.open = again.iter().map(|packet| (packet.id, packet.text())).collect();
        // [MQTT-4.4.0-1] [MQTT-4.6.0-1]
        let again = &member.open[..count];
        if member.keeps {
            assert_eq!(again, before);
        } else {
            let mut rest = before.iter();
            assert!(again.iter().all(|one| rest.any(|other| other == one)), "{again:?} of {before:?}");
        }
        member.line = Some(line);
    }

    fn lose(&mut self, who: usize) {
        let is_alone = self.members.iter().filter(|member| member.line.is_some()).count() == 1;
        let member = &mut self.members[who];
        if let Some(line) = member.line.take() {
            line.lose();
            member.keeps = is_alone && !self.is_late;
        }
    }

    fn acknowledge(&mut self, who: usize, n: usize) {
        let member = &mut self.members[who];
        let Some(line) = &member.line else { return };
        for _ in 0..n.min(member.open.len()) {
            if line.is_paused() {
                // Nobody would look at it.
                return;
            }
            let (id, payload) = member.open.remove(0);
            line.send(puback(id));
            self.done.insert(payload);
        }
    }

    fn end(mut self) {
        self.step(&Step::Deliver);
        for who in 0..MEMBERS {
            self.connect(who);
        }
        while self.members.iter().any(|member| !member.open.is_empty()) {
            for who in 0..MEMBERS {
                self.acknowledge(who, usize::MAX);
            }
            self.look();
        }
        assert!(self.sent.is_empty(), "all is acknowledged");
        let lost: Vec<_> = self.owed.difference(&self.done).collect();
        assert!(lost.is_empty(), "{lost:?}");
        assert_eq!(self.desk.drops(), []);
        assert!(self.desk.disk(Stored::is_settled));
    }
}

proptest! {
    #[test]
    fn members_come_and_go(
        steps in steps(),
        window in prop::sample::select(vec![0_u16, 1, 3, 20]),
        mail_bytes_max in prop::sample::select(vec![100_usize, 2000, 1 << 22]),
        fan_out_bytes_max in prop::sample::select(vec![1_usize, 300, 1 << 22]),
    ) {
        let mut scene = Scene::new(window, mail_bytes_max, fan_out_bytes_max);
        steps.iter().for_each(|step| scene.step(step));
        scene.end();
    }
}
