//! The kinds of records a store keeps apart.

/// One ordered space of keys. Numbers and names are part of the format on disk: never change or reuse one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Keyspace {
    /// Sessions, by session number.
    Session = 0,
    /// Their subscriptions, by session number and Topic Filter.
    Subscription = 1,
    /// Published messages, by sequence.
    Message = 2,
    /// Who must get a message: several by sequence, one by sequence and copy. Apart from the message, so that a start reads
    /// small rows only.
    Delivery = 3,
    /// How far a session is with them, by session number.
    Cursor = 4,
    /// Outgoing QoS 2 exchanges, by session number and Packet Identifier.
    Outgoing = 5,
    /// Incoming QoS 2 exchanges before PUBREL, by session number and Packet Identifier.
    Incoming = 6,
    /// Retained messages, by topic.
    Retained = 7,
    /// Facts about the store itself, by name.
    Meta = 8,
}

impl Keyspace {
    /// Every keyspace, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Session,
        Self::Subscription,
        Self::Message,
        Self::Delivery,
        Self::Cursor,
        Self::Outgoing,
        Self::Incoming,
        Self::Retained,
        Self::Meta,
    ];

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Subscription => "subscription",
            Self::Message => "message",
            Self::Delivery => "delivery",
            Self::Cursor => "cursor",
            Self::Outgoing => "outgoing",
            Self::Incoming => "incoming",
            Self::Retained => "retained",
            Self::Meta => "meta",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_keyspace_at_its_number() {
        for (number, keyspace) in Keyspace::ALL.into_iter().enumerate() {
            assert_eq!(keyspace as usize, number);
        }
    }
}
