//! What need not be written because the same commit takes it back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::batch::Kind;
use crate::{Batch, Keyspace};

/// A change among all of a commit: its batch, and its number there.
type Place = (usize, usize);

/// What a commit has done so far to a key.
struct History {
    /// The change that counts, if one is left.
    last: Option<Place>,
    /// Whether the store has no value of it before the commit.
    is_new: bool,
}

/// Takes back changes that leave no trace in what a store has after all of them. A commit is there whole or not at
/// all, so nobody can ever see what it was like between two of its changes.
///
/// - What is changed again later need not be changed the first time.
/// - What is [new](Batch::put_new) and deleted in the end need not be deleted either: the store never heard of it.
///
/// A key that an earlier commit wrote is not new to this one, synced or not, so its deletion stays.
pub(crate) fn elide(batches: &mut [Batch]) {
    if batches.iter().all(Batch::only_adds) {
        return;
    }
    let changes = batches.iter().map(Batch::len).sum();
    let mut histories: HashMap<(Keyspace, &[u8]), History, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(changes, ahash::RandomState::new());
    let mut taken_back: Vec<Place> = Vec::new();
    for (batch_at, batch) in batches.iter().enumerate() {
        for (number, kind, keyspace, key, _) in batch.all() {
            let place = (batch_at, number);
            match (histories.entry((keyspace, key)), kind) {
                (_, Kind::Nothing) => {}
                (Entry::Vacant(vacant), _) => {
                    vacant.insert(History { last: Some(place), is_new: kind == Kind::PutNew });
                }
                (Entry::Occupied(mut known), Kind::Put | Kind::PutNew) => {
                    taken_back.extend(known.get_mut().last.replace(place));
                }
                (Entry::Occupied(mut known), Kind::Delete) => {
                    let history = known.get_mut();
                    taken_back.extend(history.last.take());
                    if history.is_new {
                        taken_back.push(place);
                    } else {
                        history.last = Some(place);
                    }
                }
            }
        }
    }
    for (batch_at, number) in taken_back {
        batches[batch_at].take_back(number);
    }
}

#[cfg(test)]
mod tests;
