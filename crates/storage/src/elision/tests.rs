use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{BatchOp, Commit, CommitQueue, FaultyStore, Store, Urgency};

/// Some letters, each a change of a key: `a` puts it, `A` deletes it, `+a` puts it as new.
fn batch(changes: &str) -> Batch {
    let mut batch = Batch::new();
    let mut is_new = false;
    for (at, letter) in changes.chars().enumerate() {
        let key = [letter.to_ascii_lowercase() as u8];
        match letter {
            '+' => {
                is_new = true;
                continue;
            }
            'a'..='z' if is_new => batch.put_new(Keyspace::Message, key, [at as u8]),
            'a'..='z' => batch.put(Keyspace::Message, key, [at as u8]),
            _ => batch.delete(Keyspace::Message, key),
        }
        is_new = false;
    }
    batch
}

/// What is left of batches, in the same letters.
fn left(batches: &[&str]) -> Vec<String> {
    let mut batches: Vec<Batch> = batches.iter().map(|changes| batch(changes)).collect();
    elide(&mut batches);
    let letter = |op: BatchOp<'_>| match op {
        BatchOp::Put { key, .. } => char::from(key[0]),
        BatchOp::Delete { key, .. } => char::from(key[0]).to_ascii_uppercase(),
    };
    batches.iter().map(|batch| batch.ops().map(letter).collect()).collect()
}

#[test]
fn what_is_new_and_deleted_was_never_there() {
    assert_eq!(left(&["+aA"]), [""]);
    assert_eq!(left(&["+a+b", "xA", "B"]), ["", "x", ""]);
    assert_eq!(left(&["+a", "aA"]), ["", ""], "whatever else became of it");
    assert_eq!(left(&["+aA+aA+a"]), ["a"]);
    assert_eq!(left(&["+aAA"]), [""]);
}

#[test]
fn what_may_have_been_there_before_is_deleted() {
    assert_eq!(left(&["aA"]), ["A"]);
    assert_eq!(left(&["A+aA"]), ["A"], "its deletion came first");
    assert_eq!(left(&["A"]), ["A"]);
}

#[test]
fn the_last_change_is_the_one_that_counts() {
    assert_eq!(left(&["ab", "a", "Ab"]), ["", "", "Ab"]);
    assert_eq!(left(&["Aa"]), ["a"]);
    assert_eq!(left(&["+a+b+c"]), ["abc"]);
}

#[test]
fn equal_keys_of_two_keyspaces_are_two() {
    let mut batches = [batch("+a"), Batch::new()];
    batches[1].delete(Keyspace::Delivery, "a");
    elide(&mut batches);
    assert_eq!(batches.map(|batch| batch.len()), [1, 1]);
}

#[derive(Clone, Debug)]
enum Step {
    /// Changes of keys: `Some` puts, `None` deletes.
    Push(Vec<(u8, Option<u8>)>, Urgency),
    Wait(u64),
    Commit,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..6u8, prop::option::of(any::<u8>()));
    let urgency = prop::sample::select(vec![Urgency::Lazy, Urgency::Lazy, Urgency::Flush, Urgency::Sync]);
    prop_oneof![
        8 => (prop::collection::vec(change, 1..5), urgency).prop_map(|(changes, urgency)| Step::Push(changes, urgency)),
        1 => (0..1200u64).prop_map(Step::Wait),
        4 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ]
}

type Content = BTreeMap<u8, u8>;

fn content(store: &dyn Store) -> Content {
    let mut rows = Content::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(key[0], value[0]);
        ControlFlow::Continue(())
    };
    store.scan(Keyspace::Message, b"", &mut visit).unwrap();
    rows
}

/// A queue over a disk, and what the disk would have if every change were written.
struct World {
    disk: FaultyStore,
    queue: CommitQueue,
    now: Duration,
    /// What there is with all that was pushed.
    pushed: Content,
    /// What there was after each commit since the last sync, the state of that sync first.
    commits: Vec<Content>,
}

impl World {
    fn push(&mut self, changes: &[(u8, Option<u8>)], urgency: Urgency) {
        let mut batch = Batch::new();
        for (key, value) in changes {
            match value {
                Some(value) if self.pushed.contains_key(key) => {
                    batch.put(Keyspace::Message, [*key], [*value])
                }
                Some(value) => batch.put_new(Keyspace::Message, [*key], [*value]),
                None => batch.delete(Keyspace::Message, [*key]),
            }
            match value {
                Some(value) => drop(self.pushed.insert(*key, *value)),
                None => drop(self.pushed.remove(key)),
            }
        }
        self.queue.push(batch, urgency, self.now);
    }

    fn commit(&mut self) {
        while let Some(mut commit) = self.queue.take(self.now) {
            commit.elide();
            // Pushed is all that was taken: nothing was pushed between.
            if commit.needs_store() {
                self.disk.clone().commit(&commit.batches, commit.sync).unwrap();
                self.commits.push(self.pushed.clone());
                if commit.sync {
                    self.commits.drain(..self.commits.len() - 1);
                }
            } else {
                assert_eq!(content(&self.disk), self.pushed, "nothing to do, and nothing missing");
            }
            self.queue.finish(&commit);
        }
    }
}

/// Whether it changes each key once.
fn has_no_key_twice(commit: &Commit) -> bool {
    let keys = || {
        commit.batches.iter().flat_map(Batch::ops).map(|op| match op {
            BatchOp::Put { key, .. } | BatchOp::Delete { key, .. } => key.to_vec(),
        })
    };
    keys().count() == keys().collect::<BTreeSet<_>>().len()
}

proptest! {
    /// Whatever is pushed, cut and lost: the store has what it would have if every change were written, and after a
    /// loss of power what it had after one of the commits since the last sync; what was said to be durable is there.
    #[test]
    fn nobody_can_tell_what_was_not_written(seed: u64, steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World {
            disk: FaultyStore::new(seed),
            queue: CommitQueue::new(1 << 20),
            now: Duration::ZERO,
            pushed: Content::new(),
            commits: vec![Content::new()],
        };
        for step in steps {
            match step {
                Step::Push(changes, urgency) => world.push(&changes, urgency),
                Step::Wait(milliseconds) => world.now += Duration::from_millis(milliseconds),
                Step::Commit => {
                    world.commit();
                    if world.queue.is_empty() {
                        prop_assert_eq!(&content(&world.disk), &world.pushed);
                    }
                }
                Step::Crash => {
                    let all_durable = world.queue.durable_up_to() == world.queue.pushed();
                    world.disk.crash();
                    let found = content(&world.disk);
                    prop_assert!(world.commits.contains(&found), "{found:?} of {:?}", world.commits);
                    prop_assert!(!all_durable || found == world.pushed);
                    world.queue = CommitQueue::new(1 << 20);
                    world.pushed = found.clone();
                    world.commits = vec![found];
                }
            }
        }
    }

    /// What is left of a commit changes each key at most once.
    #[test]
    fn no_key_is_written_twice(changes in prop::collection::vec((0..4u8, prop::option::of(any::<u8>())), 0..20)) {
        let mut queue = CommitQueue::new(1 << 20);
        for (key, value) in changes {
            let mut batch = Batch::new();
            match value {
                Some(value) => batch.put(Keyspace::Message, [key], [value]),
                None => batch.delete(Keyspace::Message, [key]),
            }
            queue.push(batch, Urgency::Sync, Duration::ZERO);
        }
        if let Some(mut commit) = queue.take(Duration::ZERO) {
            commit.elide();
            prop_assert!(has_no_key_twice(&commit));
        }
    }
}
