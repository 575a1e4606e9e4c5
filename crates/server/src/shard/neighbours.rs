//! All shards as each of them sees the others: where to put letters, whom to give a new connection, and how they end
//! together.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use mio::{Poll, Token};
use noctule_broker::{Settings, ShardIndex};

use super::{Accepted, Mail, Mailbox};
use crate::Notice;

/// The steps in which shards end, each begun when all shards are through with the one before. So a shard has in its
/// mailbox all that others sent it in one step before it comes to the next.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    /// Wills are published.
    PublishWills,
    /// What came of that from other shards is passed on: by the owner of a shared subscription to its members.
    ReadMail,
    /// Clients are told, and their connections closed.
    CloseConnections,
    /// What came of that is read, and nothing comes any more.
    End,
}

impl Step {
    const COUNT: usize = 4;

    const fn next(self) -> Option<Self> {
        match self {
            Self::PublishWills => Some(Self::ReadMail),
            Self::ReadMail => Some(Self::CloseConnections),
            Self::CloseConnections => Some(Self::End),
            Self::End => None,
        }
    }
}

/// The mailboxes of all shards of a broker.
#[derive(Debug)]
pub(crate) struct Neighbours {
    boxes: Box<[Mailbox]>,
    /// Connections of a shard below which no other one is opened for more.
    few: u32,
    memory_is_short: AtomicBool,
    /// By step, how many shards are not through with it.
    unfinished: [AtomicUsize; Step::COUNT],
}

impl Neighbours {
    /// One shard for each poll, which will know its mailbox as `token`. Each gets at least `few` connections before the
    /// next one is given any.
    pub(crate) fn new(polls: &[Poll], token: Token, few: u32) -> io::Result<Self> {
        let boxes = polls.iter().map(|poll| Mailbox::new(poll.registry(), token));
        Ok(Self {
            boxes: boxes.collect::<io::Result<_>>()?,
            few,
            memory_is_short: AtomicBool::new(false),
            unfinished: std::array::from_fn(|_| AtomicUsize::new(polls.len())),
        })
    }

    /// How many shards there are.
    pub(crate) fn count(&self) -> usize {
        self.boxes.len()
    }

    /// The mailbox of one shard.
    pub(crate) fn mailbox(&self, shard: ShardIndex) -> &Mailbox {
        &self.boxes[shard.get()]
    }

    /// Gives a new connection to a shard; given back if none has room for it now.
    ///
    /// It goes to the first shard with few connections; if all have more, to the one with the fewest. So few clients
    /// are side by side on few shards, since a message between two shards costs the wake-up of a thread; and many are
    /// spread evenly.
    pub(crate) fn deal(&self, mut accepted: Accepted) -> Result<(), Accepted> {
        let chosen = choose(self.boxes.iter().map(Mailbox::connections), self.few);
        let (before, from) = self.boxes.split_at(chosen);
        for mailbox in from.iter().chain(before) {
            match mailbox.send_accepted(accepted) {
                Ok(()) => return Ok(()),
                Err(given_back) => accepted = given_back,
            }
        }
        Err(accepted)
    }

    /// A shard looked whether memory is short. The first to see that it became so tells the others.
    pub(crate) fn note_memory(&self, is_short: bool) {
        let changed = self.memory_is_short.load(Ordering::Relaxed) != is_short
            && self.memory_is_short.swap(is_short, Ordering::Relaxed) != is_short;
        if changed && is_short {
            for mailbox in &self.boxes {
                mailbox.send(Mail::MemoryIsShort);
            }
        }
    }

    /// Wakes the shards that wait for the store, which has news.
    pub(crate) fn tell_stored(&self) {
        self.boxes.iter().for_each(Mailbox::tell_stored);
    }

    /// Tells all shards that more of what is retained was read, and whether any of it expires.
    pub(crate) fn tell_retained_loaded(&self, some_expire: bool) {
        self.boxes.iter().for_each(|mailbox| mailbox.send(Mail::RetainedLoaded { some_expire }));
    }

    /// Tells all shards new settings; each answers when it obeys them.
    pub(crate) fn tell_settings(&self, settings: &Arc<Settings>, notify: &Sender<Notice>) {
        for mailbox in &self.boxes {
            mailbox.send(Mail::Settings(Arc::clone(settings), notify.clone()));
        }
    }

    /// Lets all shards end.
    pub(crate) fn end(&self) {
        self.begin(Step::PublishWills);
    }

    fn begin(&self, step: Step) {
        for mailbox in &self.boxes {
            mailbox.send(Mail::End(step));
        }
    }

    /// A shard is through with a step, and what it had for others in it is in their mailboxes.
    pub(crate) fn finished(&self, step: Step) {
        let was_last = self.unfinished[step as usize].fetch_sub(1, Ordering::AcqRel) == 1;
        if let (true, Some(next)) = (was_last, step.next()) {
            self.begin(next);
        }
    }
}

/// The shard for a new connection, by how many each has.
fn choose(connections: impl Iterator<Item = u32>, few: u32) -> usize {
    let load = |(index, connections)| if connections < few { (0, index) } else { (connections, index) };
    connections.enumerate().map(load).min().map_or(0, |(_, index)| index)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;
    use crate::listener::Places;

    const FEW: u32 = 32;

    fn neighbours(shards: usize) -> (Vec<Poll>, Neighbours) {
        let polls: Vec<_> = (0..shards).map(|_| Poll::new().unwrap()).collect();
        let neighbours = Neighbours::new(&polls, Token(0), FEW).unwrap();
        (polls, neighbours)
    }

    #[test]
    fn few_clients_share_a_shard_and_many_are_spread_evenly() {
        let mut shards = [0; 3];
        let mut connect = |clients: u32| {
            for _ in 0..clients {
                shards[choose(shards.into_iter(), FEW)] += 1;
            }
            shards
        };
        assert_eq!(connect(20), [20, 0, 0]);
        assert_eq!(connect(20), [32, 8, 0]);
        assert_eq!(connect(960), [334, 333, 333]);
    }

    #[test]
    fn who_comes_when_others_have_gone_fills_their_places() {
        assert_eq!(choose([40, 31, 0].into_iter(), FEW), 1);
        assert_eq!(choose([40, 39, 45].into_iter(), FEW), 1);
        assert_eq!(choose([1, 0, 0].into_iter(), 1), 1);
    }

    #[test]
    fn connections_are_counted_until_they_end() {
        let (_polls, neighbours) = neighbours(2);
        let places = Arc::new(Places::new(None));
        for _ in 0..FEW + 1 {
            let (stream, _) = super::super::stream_pair();
            let place = places.take().unwrap();
            let peer = ([127, 0, 0, 1], 1).into();
            neighbours.deal(Accepted { stream, peer, listener: 0, place }).unwrap();
        }
        let counts = || neighbours.boxes.iter().map(Mailbox::connections).collect::<Vec<_>>();
        assert_eq!(counts(), [FEW, 1]);
        neighbours.mailbox(ShardIndex(0)).connection_ended();
        assert_eq!(counts(), [FEW - 1, 1]);
    }

    #[test]
    fn all_are_told_once_that_memory_became_short() {
        let (_polls, neighbours) = neighbours(2);
        for (is_short, letters) in [(false, 0), (true, 1), (true, 0), (false, 0), (true, 1)] {
            neighbours.note_memory(is_short);
            for shard in 0..2 {
                let mut mail = VecDeque::new();
                neighbours.mailbox(ShardIndex(shard)).take(&mut mail);
                assert_eq!(mail.len(), letters);
            }
        }
    }

    #[test]
    fn a_step_begins_when_all_are_through_with_the_last() {
        let (_polls, neighbours) = neighbours(2);
        let steps = |shard| {
            let mut mail = VecDeque::new();
            neighbours.mailbox(ShardIndex(shard)).take(&mut mail);
            mail.iter().map(|mail| format!("{mail:?}")).collect::<Vec<_>>()
        };
        neighbours.end();
        assert_eq!(steps(0), ["End(PublishWills)"]);
        neighbours.finished(Step::PublishWills);
        assert_eq!(steps(0), [""; 0]);
        neighbours.finished(Step::PublishWills);
        assert_eq!(steps(0), ["End(ReadMail)"]);
        assert_eq!(steps(1), ["End(PublishWills)", "End(ReadMail)"]);
    }
}
