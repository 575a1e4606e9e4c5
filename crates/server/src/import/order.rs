//! In which order messages are numbered, so that each client gets its own in the order in which they waited.
//!
//! A message is stored once for all who wait for it, and its number is its place in the queue of each. Mosquitto numbers
//! messages when they are published, but has a queue for each client, whose order can be another: what is retained joins a
//! queue long after it was published. Where a client's order is not that of the numbers, its copy becomes a message of its
//! own, placed behind what stands before it there.
//!
//! ```text
//! c waits for   5 3 7      5 for c and d,  3 for c alone,  7 for c
//! d waits for   3 5        3 for d,        5 …             d alone would keep the numbers: 3, 5, 3', 7
//! ```

use std::collections::BTreeMap;

use noctule_mosquitto_db::Copy;

/// A message at its place, and whose copies it serves.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Place<'a> {
    /// Mosquitto's number of the message.
    pub(super) message: u64,
    /// Of as many clients.
    pub(super) copies: Vec<&'a Copy>,
}

/// The places of all, given each client's copies in its order. Clients are those of `queues`.
pub(super) fn places<'a>(queues: impl IntoIterator<Item = Vec<&'a Copy>>) -> Vec<Place<'a>> {
    // Behind which number, and there: the message itself, or which client's, and its how manyth.
    let mut all: BTreeMap<(u64, u64, u64), Place<'a>> = BTreeMap::new();
    for (client, queue) in (1..).zip(queues) {
        let mut highest = None;
        for (at, copy) in (0..).zip(queue) {
            let key = match highest {
                Some(highest) if copy.message <= highest => (highest, client, at),
                _ => (copy.message, 0, 0),
            };
            highest = Some(key.0);
            let place = all.entry(key).or_insert(Place { message: copy.message, copies: Vec::new() });
            place.copies.push(copy);
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use noctule_mosquitto_db::{CopyState, Direction};
    use proptest::prelude::*;

    use super::*;

    fn copy(client: usize, message: u64) -> Copy {
        Copy {
            client: client.to_string(),
            message,
            direction: Direction::Outgoing,
            state: CopyState::Queued,
            packet_id: 0,
            qos: 1,
            retain: false,
            identifier: 0,
        }
    }

    fn check(queues: &[Vec<u64>]) -> Vec<(u64, usize)> {
        let copies: Vec<Vec<Copy>> = (0..)
            .zip(queues)
            .map(|(client, queue)| queue.iter().map(|message| copy(client, *message)).collect())
            .collect();
        let places = places(copies.iter().map(|queue| queue.iter().collect()));
        for (client, queue) in queues.iter().enumerate() {
            let of_client = |place: &Place<'_>| {
                let count = place.copies.iter().filter(|copy| copy.client == client.to_string()).count();
                vec![place.message; count]
            };
            assert_eq!(&places.iter().flat_map(of_client).collect::<Vec<_>>(), queue);
        }
        places.iter().map(|place| (place.message, place.copies.len())).collect()
    }

    #[test]
    fn who_waits_in_the_order_of_numbers_shares_messages() {
        assert_eq!(check(&[vec![1, 2, 4], vec![2, 3, 4]]), [(1, 1), (2, 2), (3, 1), (4, 2)]);
    }

    #[test]
    fn who_does_not_has_some_alone() {
        assert_eq!(check(&[vec![5, 3, 7], vec![3, 5]]), [(3, 1), (5, 2), (3, 1), (7, 1)]);
        // Once more, as overlapping subscriptions can have it.
        assert_eq!(check(&[vec![1, 1, 2]]), [(1, 1), (1, 1), (2, 1)]);
    }

    proptest! {
        #[test]
        fn every_queue_keeps_its_order(queues in prop::collection::vec(prop::collection::vec(0u64..9, 0..12), 0..6)) {
            check(&queues);
        }
    }
}
