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

/// The same in 28 bytes: there may be a million.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedSubscriber {
    /// Of a session or of a group.
    number: Halves,
    since: Halves,
    /// Of a session.
    slot: u32,
    identifier: u32,
    shard: ShardIndex,
    qos: QoS,
    flags: u8,
}

const _: () = assert!(size_of::<PackedSubscriber>() == 28);

const IS_GROUP: u8 = 1;
const NO_LOCAL: u8 = 2;
const RETAIN_AS_PUBLISHED: u8 = 4;
const LASTS: u8 = 8;

/// A number of 64 bits that stands where one of 32 may stand.
#[derive(Clone, Copy, Debug)]
struct Halves([u32; 2]);

impl From<u64> for Halves {
    fn from(number: u64) -> Self {
        Self([number as u32, (number >> 32) as u32])
    }
}

impl From<Halves> for u64 {
    #[inline]
    fn from(Halves([low, high]): Halves) -> Self {
        Self::from(high) << 32 | Self::from(low)
    }
}

impl From<Subscriber> for PackedSubscriber {
    fn from(subscriber: Subscriber) -> Self {
        let Subscriber { to, qos, no_local, retain_as_published, lasts, identifier, since } = subscriber;
        let (number, slot, shard, is_group) = match to {
            Destination::Session(SessionAddress { shard, slot, number }) => (number.0, slot, shard, false),
            Destination::Group(GroupAddress { shard, number }) => (number, 0, shard, true),
        };
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(is_group, IS_GROUP)
            | flag(no_local, NO_LOCAL)
            | flag(retain_as_published, RETAIN_AS_PUBLISHED)
            | flag(lasts, LASTS);
        Self { number: number.into(), since: since.0.into(), slot, identifier, shard, qos, flags }
    }
}

impl From<PackedSubscriber> for Subscriber {
    #[inline]
    fn from(packed: PackedSubscriber) -> Self {
        let PackedSubscriber { qos, flags, identifier, since, .. } = packed;
        Self {
            to: packed.who(),
            qos,
            no_local: flags & NO_LOCAL != 0,
            retain_as_published: flags & RETAIN_AS_PUBLISHED != 0,
            lasts: flags & LASTS != 0,
            identifier,
            since: Version(since.into()),
        }
    }
}

impl Subscription for PackedSubscriber {
    type Who = Destination;

    #[inline]
    fn who(&self) -> Destination {
        let Self { number, slot, shard, .. } = *self;
        if self.flags & IS_GROUP != 0 {
            Destination::Group(GroupAddress { shard, number: number.into() })
        } else {
            Destination::Session(SessionAddress { shard, slot, number: SessionNumber(number.into()) })
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
