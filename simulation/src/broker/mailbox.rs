//! What one shard has sent another and that has not read yet.

use std::collections::VecDeque;
use std::net::SocketAddr;

use noctule_broker::{ListenerIndex, Parcel};
use noctule_protocol::frame::next_frame;

use crate::context::Context;
use crate::network::LinkNumber;
use crate::sabotage::Sabotage;

/// One thing in a mailbox.
pub(super) enum Letter {
    Parcel(Parcel),
    Connection(HandedOver),
    /// More of what is retained was read; whether any of it expires.
    Loaded(bool),
}

/// A connection between two shards.
pub(super) struct HandedOver {
    pub(super) link: LinkNumber,
    pub(super) listener: ListenerIndex,
    pub(super) peer: Option<SocketAddr>,
    pub(super) bytes: Vec<u8>,
    pub(super) authenticated: Option<u32>,
}

/// A shard's mail: in order from each sender, and in no order between senders.
pub(super) struct Mailbox {
    /// By sender.
    lanes: Vec<VecDeque<Letter>>,
}

impl Mailbox {
    pub(super) fn new(shards: usize) -> Self {
        Self { lanes: (0..shards).map(|_| VecDeque::new()).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    pub(super) fn push(&mut self, from: usize, mut letter: Letter, context: &mut Context) {
        let lane = &mut self.lanes[from];
        match (context.plan.sabotage, &mut letter) {
            (Some(Sabotage::LoseParcel), Letter::Parcel(_)) if context.random.percent(2) => return,
            (Some(Sabotage::RepeatParcel), Letter::Parcel(parcel)) if context.random.percent(5) => {
                lane.push_back(Letter::Parcel(parcel.clone()));
            }
            (Some(Sabotage::SwapParcels), Letter::Parcel(_)) => {
                if let Some(before @ Letter::Parcel(_)) = lane.pop_back() {
                    lane.push_back(letter);
                    letter = before;
                }
            }
            (Some(Sabotage::CutHandOver), Letter::Connection(connection)) => {
                if let Ok(Some((_, connect))) = next_frame(&connection.bytes, u32::MAX) {
                    connection.bytes.truncate(connect);
                }
            }
            _ => {}
        }
        lane.push_back(letter);
    }

    /// Takes everything.
    pub(super) fn take(&mut self, context: &mut Context) -> Vec<Letter> {
        let mut taken = Vec::new();
        loop {
            let mut lanes: Vec<_> = self.lanes.iter_mut().filter(|lane| !lane.is_empty()).collect();
            if lanes.is_empty() {
                return taken;
            }
            let lane = context.random.below(lanes.len());
            taken.extend(lanes[lane].pop_front());
        }
    }
}
