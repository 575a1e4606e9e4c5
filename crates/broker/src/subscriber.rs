//! An entry of the topic tree.

use noctule_protocol::QoS;

use crate::SessionNumber;
use crate::parcel::ShardIndex;
use crate::retained::Version;
use crate::router::{Destination, GroupAddress, SessionAddress};
use crate::topic_tree::Subscription;

/// Who gets what matches a filter, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Subscriber {
    pub(crate) to: Destination,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Whether its session, or one of its group, outlives its connection. It may have ceased to.
    pub(crate) lasts: bool,
    /// Subscription Identifier, 0 for none.
    pub(crate) identifier: u32,
    /// Retained messages up to this version are sent to it as such, and not once more as they come.
    pub(crate) since: Version,
}

/// The same in half a cache line: there may be a million.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedSubscriber {
    /// Of a session or of a group.
    number: u64,
    since: Version,
    /// Of a session.
    slot: u32,
    identifier: u32,
    shard: ShardIndex,
    is_group: bool,
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    lasts: bool,
}

const _: () = assert!(size_of::<PackedSubscriber>() == 32);

impl From<Subscriber> for PackedSubscriber {
    fn from(subscriber: Subscriber) -> Self {
        let Subscriber { to, qos, no_local, retain_as_published, lasts, identifier, since } = subscriber;
        let (number, slot, shard, is_group) = match to {
            Destination::Session(SessionAddress { shard, slot, number }) => (number.0, slot, shard, false),
            Destination::Group(GroupAddress { shard, number }) => (number, 0, shard, true),
        };
        Self { number, since, slot, identifier, shard, is_group, qos, no_local, retain_as_published, lasts }
    }
}

impl From<PackedSubscriber> for Subscriber {
    #[inline]
    fn from(packed: PackedSubscriber) -> Self {
        let PackedSubscriber { qos, no_local, retain_as_published, lasts, identifier, since, .. } = packed;
        Self { to: packed.who(), qos, no_local, retain_as_published, lasts, identifier, since }
    }
}

impl Subscription for PackedSubscriber {
    type Who = Destination;

    #[inline]
    fn who(&self) -> Destination {
        let Self { number, slot, shard, .. } = *self;
        if self.is_group {
            Destination::Group(GroupAddress { shard, number })
        } else {
            Destination::Session(SessionAddress { shard, slot, number: SessionNumber(number) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        let shard = ShardIndex(3);
        let session = SessionAddress { shard, slot: 4, number: SessionNumber(5) };
        for to in [Destination::Session(session), Destination::Group(GroupAddress { shard, number: 6 })] {
            for flags in 0..8 {
                let subscriber = Subscriber {
                    to,
                    qos: QoS::AtLeastOnce,
                    no_local: flags & 1 != 0,
                    retain_as_published: flags & 2 != 0,
                    lasts: flags & 4 != 0,
                    identifier: 7,
                    since: Version::ZERO,
                };
                let packed = PackedSubscriber::from(subscriber);
                assert_eq!((Subscriber::from(packed), packed.who()), (subscriber, to));
            }
        }
    }
}
