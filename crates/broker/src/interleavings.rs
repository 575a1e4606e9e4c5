//! What shards share, under threads whose every step shuttle chooses: `cargo test -p noctule-broker --features shuttle
//! interleavings`.
//!
//! It interleaves steps and does not reorder memory; where an order of memory is needed, the comment there argues it.

use std::sync::Arc;

use noctule_protocol::QoS;
use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::thread;

use crate::directory::Claim;
use crate::message::{MessageView, Publisher, RetainedMessage, Sequence, SessionNumber};
use crate::parcel::ShardIndex;
use crate::record::List;
use crate::record::RetainedRow;
use crate::retained::Version;
use crate::router::{Destination, Router, SessionAddress};
use crate::settings::Settings;
use crate::shared::{Shared, hasher};
use crate::subscriber::Subscriber;

/// Random schedules, and as many with few changes of threads at unlikely places.
fn check(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

const HERE: ShardIndex = ShardIndex(0);

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(&Settings::default()))
}

fn router() -> Router {
    Router::new(&Settings::default(), HERE)
}

fn address(number: u32) -> SessionAddress {
    SessionAddress { shard: HERE, slot: number, number: SessionNumber(number.into()) }
}

fn destination(number: u32) -> Destination {
    Destination::Session(address(number))
}

fn subscriber(number: u32, since: Version) -> Subscriber {
    Subscriber {
        to: destination(number),
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        lasts: false,
        identifier: 0,
        since,
    }
}

fn message(topic: &str, number: u64) -> RetainedMessage {
    let view = MessageView {
        topic,
        payload: b"payload",
        properties: b"",
        qos: QoS::AtMostOnce,
        retain: true,
        expires: None,
        publisher: SessionNumber(9),
    };
    let message = view.to_message(Sequence { source: 1, counter: number });
    RetainedMessage { message, publisher: Arc::new(Publisher::default()) }
}

fn number_of(retained: &RetainedMessage) -> u64 {
    retained.message.sequence().counter
}

const FILTERS: [&str; 5] = ["a/b/c", "a/b/#", "a/+/c", "+/b/c", "#"];

/// Whoever asks for a route after a change was done gets it with the change, whatever it remembers.
fn a_route_has_what_is_done(prepare: fn(&Shared, &str), change: fn(&Shared, &str), targets: usize) {
    check(move || {
        for filter in FILTERS {
            let shared = shared();
            prepare(&shared, filter);
            let is_done = Arc::new(AtomicBool::new(false));
            let changing = {
                let (shared, is_done) = (Arc::clone(&shared), Arc::clone(&is_done));
                thread::spawn(move || {
                    change(&shared, filter);
                    is_done.store(true, Ordering::SeqCst);
                })
            };
            let mut router = router();
            for _ in 0..4 {
                let was_done = is_done.load(Ordering::SeqCst);
                let route = router.route(&shared, "a/b/c");
                assert!(!was_done || route.here.len() == targets, "{filter}");
            }
            changing.join().unwrap();
            assert_eq!(router.route(&shared, "a/b/c").here.len(), targets, "{filter}");
        }
    });
}

#[test]
fn a_route_has_every_subscription_that_was_made() {
    fn subscribe(shared: &Shared, filter: &str) {
        shared.subscribe(filter, |since| subscriber(1, since));
    }
    a_route_has_what_is_done(|_, _| {}, subscribe, 1);
}

#[test]
fn a_route_has_no_subscription_that_was_ended() {
    a_route_has_what_is_done(
        |shared, filter| {
            shared.subscribe(filter, |since| subscriber(1, since));
        },
        |shared, filter| shared.unsubscribe(filter, destination(1)),
        0,
    );
}

/// So many messages are retained and routed, and perhaps what is retained is cleared and that is routed, while
/// somebody subscribes and walks the retained messages.
fn what_is_retained_comes_once(filter: &'static str, messages: u64, clears: bool) {
    check(move || {
        let shared = shared();
        // What was heard, as (version, number); a clearing is the last number.
        let heard: Arc<Mutex<Vec<(Version, u64)>>> = Arc::default();
        let publishing = {
            let (shared, heard) = (Arc::clone(&shared), Arc::clone(&heard));
            thread::spawn(move || {
                let mut router = router();
                // So that the route is remembered without the subscriber.
                router.route(&shared, "a/b/c");
                router.route(&shared, "a/b/c");
                for number in 1..=messages + u64::from(clears) {
                    let version = if number > messages {
                        shared.retained.remove("a/b/c").expect("it is there")
                    } else {
                        shared.retained.set(message("a/b/c", number))
                    };
                    for target in &*router.route(&shared, "a/b/c").here {
                        if target.since.hears_live(version) {
                            heard.lock().unwrap().push((version, number));
                        }
                    }
                }
            })
        };
        let mut entered = Version::ZERO;
        shared.subscribe(filter, |since| {
            entered = since;
            subscriber(1, since)
        });
        let mut from = None;
        loop {
            from = shared.retained.for_some_matches(filter, from.as_deref(), &mut 1, |version, retained| {
                if !entered.hears_live(version) {
                    heard.lock().unwrap().push((version, number_of(retained)));
                }
            });
            if from.is_none() {
                break;
            }
        }
        publishing.join().unwrap();
        let mut heard = heard.lock().unwrap().clone();
        heard.sort_unstable();
        let numbers: Vec<u64> = heard.iter().map(|(_, number)| *number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{filter}: twice: {numbers:?}");
        if clears {
            // Who heard of it hears that it is gone.
            assert!(numbers.last().is_none_or(|last| *last > messages), "{filter}: {numbers:?}");
        } else {
            assert_eq!(numbers.last(), Some(&messages), "{filter}: {numbers:?}");
        }
    });
}

#[test]
fn a_retained_message_comes_live_or_by_the_walk_and_not_both() {
    for filter in ["a/b/c", "a/#", "+/b/c"] {
        what_is_retained_comes_once(filter, 1, false); // its topic is new
        what_is_retained_comes_once(filter, 2, false);
    }
}

#[test]
fn who_heard_a_retained_message_hears_that_it_is_cleared() {
    for filter in ["a/b/c", "a/+/c"] {
        what_is_retained_comes_once(filter, 1, true);
    }
}

/// Two publishers on one topic: what is retained in the end is what the subscriber heard last of all versions.
#[test]
fn the_newest_of_two_publishers_is_heard() {
    check(|| {
        let shared = shared();
        let heard: Arc<Mutex<Vec<(Version, u64)>>> = Arc::default();
        let publish = |number: u64| {
            let (shared, heard) = (Arc::clone(&shared), Arc::clone(&heard));
            thread::spawn(move || {
                let version = shared.retained.set(message("a/b", number));
                for target in &*router().route(&shared, "a/b").here {
                    if target.since.hears_live(version) {
                        heard.lock().unwrap().push((version, number));
                    }
                }
            })
        };
        let publishers = [publish(1), publish(2)];
        let mut entered = Version::ZERO;
        shared.subscribe("a/+", |since| {
            entered = since;
            subscriber(1, since)
        });
        shared.retained.for_some_matches("a/+", None, &mut 100, |version, retained| {
            if !entered.hears_live(version) {
                heard.lock().unwrap().push((version, number_of(retained)));
            }
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let newest = heard.lock().unwrap().iter().max().map(|(_, number)| *number);
        assert_eq!(newest, shared.retained.get("a/b").map(|retained| number_of(&retained)));
        let versions: std::collections::BTreeSet<_> = heard.lock().unwrap().iter().copied().collect();
        assert_eq!(versions.len(), heard.lock().unwrap().len(), "twice");
    });
}

/// Shards change one topic, and each pushes its change later: what was stored last is what is retained.
#[test]
fn the_store_ends_with_what_is_retained() {
    check(|| {
        let shared = shared();
        let stored: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let change = |change: fn(&Shared)| {
            let (shared, stored) = (Arc::clone(&shared), Arc::clone(&stored));
            thread::spawn(move || {
                change(&shared);
                let row = RetainedRow::read(&shared, "a/b");
                let mut stored = stored.lock().unwrap();
                *stored = row.latest(&shared).value;
            })
        };
        let changes = [
            change(|shared| drop(shared.retained.set(message("a/b", 1)))),
            change(|shared| drop(shared.retained.set(message("a/b", 2)))),
            change(|shared| drop(shared.retained.remove("a/b"))),
            change(|shared| drop(shared.retained.sweep(None, 9, |retained| number_of(retained) > 1))),
        ];
        changes.into_iter().for_each(|change| change.join().unwrap());
        let retained = RetainedRow::read(&shared, "a/b").latest(&shared).value;
        assert_eq!(*stored.lock().unwrap(), retained);
        assert_eq!(retained.is_some(), shared.retained_count() == 1);
    });
}

/// What is retained is read from the disk while clients set and clear it and one subscribes: it gets of each topic what is
/// retained, from the disk or anew, and what was cleared does not come back.
#[test]
fn what_is_loaded_gives_way_to_what_changes() {
    check(|| {
        let shared = shared();
        shared.retained.begin_loading();
        let loading = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for topic in ["a/1", "a/2", "a/3"] {
                    shared.retained.load(message(topic, 0));
                    shared.retained.loaded_to(topic);
                }
                shared.retained.end_loading();
            })
        };
        let changing = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let version = shared.retained.set(message("a/1", 1));
                // Whether it was read or not, the store is to be told.
                shared.retained.remove("a/2").expect("it is in memory or on the disk");
                shared.retained.set(message("a/2", 1));
                shared.retained.remove("a/2").expect("it is there");
                version
            })
        };
        let mut entered = Version::ZERO;
        while !shared.retained.is_loaded("a/+") {
            thread::yield_now();
        }
        shared.subscribe("a/+", |since| {
            entered = since;
            subscriber(1, since)
        });
        let mut found = Vec::new();
        shared.retained.for_some_matches("a/+", None, &mut 100, |version, retained| {
            found.push((
                retained.message.topic().to_owned(),
                number_of(retained),
                entered.hears_live(version),
            ));
        });
        loading.join().unwrap();
        let comes_live = entered.hears_live(changing.join().unwrap());
        let numbers =
            ["a/1", "a/2", "a/3"].map(|topic| shared.retained.get(topic).map(|found| number_of(&found)));
        assert_eq!(numbers, [Some(1), None, Some(0)]);
        assert_eq!(shared.retained_count(), 2);
        let got = |topic: &str, number| found.iter().any(|found| *found == (topic.to_owned(), number, false));
        assert!(got("a/3", 0));
        assert!(comes_live || got("a/1", 1));
    });
}

/// A walk in small steps does not miss a topic that is there all the time, while its neighbours come and go.
#[test]
fn a_walk_misses_nothing_that_stays() {
    check(|| {
        let shared = shared();
        for topic in ["a/1", "a/3", "a/5"] {
            shared.retained.set(message(topic, 1));
        }
        let changing = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for topic in ["a/0", "a/2", "a/4"] {
                    shared.retained.set(message(topic, 2));
                }
                for topic in ["a/0", "a/2", "a/4"] {
                    shared.retained.remove(topic);
                }
                shared.retained.sweep(None, 100, |retained| number_of(retained) == 1);
            })
        };
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            from = shared.retained.for_some_matches("a/+", from.as_deref(), &mut 2, |_, retained| {
                if number_of(retained) == 1 {
                    found.push(retained.message.topic().to_owned());
                }
            });
            if from.is_none() {
                break;
            }
        }
        changing.join().unwrap();
        assert_eq!(found, ["a/1", "a/3", "a/5"]);
        assert_eq!(shared.retained_count(), 3);
    });
}

/// Connections claim one Client Identifier and end what they got, one of them late and twice.
#[test]
fn a_client_has_one_session_at_a_time() {
    check(|| {
        let shared = shared();
        let client_id: Arc<str> = "lamp".into();
        let owners = Arc::new(AtomicUsize::new(0));
        let connections: Vec<_> = (1..=3)
            .map(|number| {
                let (shared, owners) = (Arc::clone(&shared), Arc::clone(&owners));
                let client_id = Arc::clone(&client_id);
                thread::spawn(move || {
                    match shared.directory.claim(&client_id, address(number)) {
                        Claim::New => {
                            assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0, "two sessions");
                            assert_eq!(shared.directory.find(&client_id), Some(address(number)));
                            owners.fetch_sub(1, Ordering::SeqCst);
                            assert!(shared.directory.release(&client_id, address(number)));
                        }
                        Claim::Known(other) => assert_ne!(other, address(number)),
                    }
                    // Its end was reported once more, when another may have it.
                    assert!(!shared.directory.release(&client_id, address(number)));
                })
            })
            .collect();
        connections.into_iter().for_each(|connection| connection.join().unwrap());
        assert_eq!((shared.directory.find(&client_id), shared.session_count()), (None, 0));
    });
}

#[test]
fn a_message_that_is_partly_on_disk_ends_with_its_last_copy() {
    check(|| {
        let shared = shared();
        let first = message("t", 1).message;
        let copies: Vec<u32> = (0..3).map(|_| first.add_copy(false)).collect();
        first.list_copies(List::Prompt);
        let ends = Arc::new(AtomicUsize::new(0));
        let shards: Vec<_> = copies
            .into_iter()
            .map(|copy| {
                let (shared, mut mine, ends) = (Arc::clone(&shared), first.clone(), Arc::clone(&ends));
                thread::spawn(move || {
                    if copy > 0 {
                        shared.unloaded.put_away(&mine);
                        // As read from disk.
                        mine = shared.unloaded.take(message("t", 1).message);
                    }
                    let last = loop {
                        if let Some(settled) = mine.settle(copy) {
                            break settled.is_last;
                        }
                        if shared.unloaded.settle(&mine) {
                            break false;
                        }
                    };
                    ends.fetch_add(last.into(), Ordering::SeqCst);
                })
            })
            .collect();
        drop(first);
        shards.into_iter().for_each(|shard| shard.join().expect("no panic"));
        assert_eq!(ends.load(Ordering::SeqCst), 1);
        assert_eq!(shared.unloaded.len(), (0, 0));
    });
}
