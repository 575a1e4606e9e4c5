//! Tests of `retained`.

use super::*;
use proptest::prelude::*;

/// A topic, and what is retained for it.
type Note = (String, u32);

impl Topical for Note {
    fn topic(&self) -> &str {
        &self.0
    }

    fn payload_bytes(&self) -> usize {
        self.1 as usize
    }
}

fn empty() -> Retained<Note> {
    Retained::new(RandomState::with_seeds(1, 2, 3, 4))
}

fn note(topic: &str, value: u32) -> Note {
    (topic.to_owned(), value)
}

fn retained(topics: &[&str]) -> Retained<Note> {
    let retained = empty();
    for (at, topic) in (0..).zip(topics) {
        retained.set(note(topic, at));
    }
    retained
}

fn all_matches(retained: &Retained<Note>, filter: &str) -> Vec<Note> {
    let mut found = Vec::new();
    let mut steps = usize::MAX;
    assert_eq!(retained.for_some_matches(filter, None, &mut steps, |_, note| found.push(note.clone())), None);
    found
}

fn matches(retained: &Retained<Note>, filter: &str) -> Vec<String> {
    all_matches(retained, filter).into_iter().map(|(topic, _)| topic).collect()
}

#[test]
fn set_get_remove() {
    let retained = empty();
    assert_eq!(retained.version(), Version(0));
    assert_eq!(retained.set(note("a/b", 1)), Version(1));
    assert_eq!(retained.set(note("a/b", 2)), Version(2));
    assert_eq!((retained.get("a/b"), retained.get("a"), retained.len()), (Some(note("a/b", 2)), None, 1));
    assert_eq!(retained.remove("a"), None);
    assert_eq!(retained.remove("a/b"), Some(Version(3)));
    assert_eq!((retained.get("a/b"), retained.len(), retained.version()), (None, 0, Version(3)));
}

#[test]
fn each_message_knows_its_version() {
    let retained = retained(&["a", "b", "c"]);
    retained.set(note("b", 7));
    for filter in ["#", "b"] {
        let mut found = Vec::new();
        retained.for_some_matches(filter, None, &mut 100, |version, (topic, _)| {
            found.push((topic.clone(), version.0))
        });
        let all = [("a".to_owned(), 1), ("b".to_owned(), 4), ("c".to_owned(), 3)];
        assert_eq!(found, if filter == "#" { &all[..] } else { &all[1..2] });
    }
}

#[test]
fn filters_find_topics_in_byte_order() {
    let retained =
        retained(&["a", "a/b", "a/b/c", "a!/b", "a/b!/c", "b", "/", "/b", "a/", "$SYS/x", "$SYS", "ab"]);
    assert_eq!(matches(&retained, "a/b"), ["a/b"]);
    assert_eq!(matches(&retained, "a/#"), ["a", "a/", "a/b", "a/b!/c", "a/b/c"]);
    assert_eq!(matches(&retained, "a/+"), ["a/", "a/b"]);
    assert_eq!(matches(&retained, "a/+/c"), ["a/b!/c", "a/b/c"]);
    assert_eq!(matches(&retained, "+/b"), ["/b", "a!/b", "a/b"]);
    assert_eq!(matches(&retained, "+"), ["a", "ab", "b"]);
    assert_eq!(matches(&retained, "/#"), ["/", "/b"]);
    assert_eq!(matches(&retained, "c/#"), [""; 0]);
}

#[test] // [MQTT-4.7.2-1], [MQTT311-4.7.2-1]
fn leading_wildcards_do_not_see_reserved_topics() {
    let retained = retained(&["!", "$", "$SYS", "$SYS/x", "%", "a/$x"]);
    assert_eq!(matches(&retained, "#"), ["!", "%", "a/$x"]);
    assert_eq!(matches(&retained, "+"), ["!", "%"]);
    assert_eq!(matches(&retained, "+/x"), [""; 0]);
    assert_eq!(matches(&retained, "a/+"), ["a/$x"]);
    assert_eq!(matches(&retained, "$SYS/#"), ["$SYS", "$SYS/x"]);
}

#[test]
fn a_walk_jumps_over_what_cannot_match() {
    let retained = empty();
    for device in 0..10 {
        for field in 0..1000 {
            retained.set(note(&format!("d/{device}/{field}"), 0));
        }
    }
    let mut found = 0;
    // 10 hits, and a jump or two around each.
    assert_eq!(retained.for_some_matches("d/+/500", None, &mut 50, |_, _| found += 1), None);
    assert_eq!(found, 10);
    assert_eq!(retained.for_some_matches("d/3/+/x", None, &mut 1010, |_, _| found += 1), None);
    let mut steps = 5;
    assert_eq!(retained.for_some_matches("x/+", None, &mut steps, |_, _| found += 1), None);
    assert_eq!((found, steps), (10, 4));
}

#[test]
fn a_sweep_goes_on_where_it_ended() {
    let retained = retained(&["a", "b", "c", "d", "e"]);
    let next = retained.sweep(None, 2, |&(_, at)| at != 1);
    assert_eq!(next.as_deref(), Some("c"));
    retained.remove("c"); // the cursor outlives its topic
    let mut seen = Vec::new();
    let next = retained.sweep(next, 10, |(topic, _)| {
        seen.push(topic.to_owned());
        topic != "e"
    });
    assert_eq!((next, seen), (None, vec!["d".to_owned(), "e".to_owned()]));
    assert_eq!(all_matches(&retained, "#"), [note("a", 0), note("d", 3)]);
}

/// The definition, level by level.
fn naive_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => naive_match(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => level == name && naive_match(filter, topic),
        _ => false,
    }
}

fn matches_naively(filter: &str, topic: &str) -> bool {
    let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
    !hidden && naive_match(&filter, &topic)
}

/// Levels with bytes on both sides of `/`, beginnings of one another among them.
fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "a!", "a0", "b", "$", "%", "ab", "é"])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![level(), Just("+")];
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi || levels.is_empty() {
            levels.push("#");
        }
        levels.join("/")
    })
}

#[derive(Clone, Debug)]
enum Step {
    Set(String, u32),
    Remove(String),
    Subscribe(String, usize),
    Sweep(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (topic(), any::<u32>()).prop_map(|(topic, message)| Step::Set(topic, message)),
        2 => topic().prop_map(Step::Remove),
        4 => (filter(), 1..9usize).prop_map(|(filter, max)| Step::Subscribe(filter, max)),
        1 => (1..9usize, 2..9u32).prop_map(|(max, modulus)| Step::Sweep(max, modulus)),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_list_of_topics(steps in prop::collection::vec(step(), 1..150)) {
        let retained = empty();
        let mut model: Vec<Note> = Vec::new();
        for step in steps {
            match step {
                Step::Set(topic, message) => {
                    model.retain(|(other, _)| *other != topic);
                    model.push((topic.clone(), message));
                    let before = retained.version();
                    prop_assert_eq!(retained.set((topic, message)), Version(before.0 + 1));
                }
                Step::Remove(topic) => {
                    let old = model.iter().position(|(other, _)| *other == topic).map(|at| model.swap_remove(at).1);
                    prop_assert_eq!(retained.remove(&topic).is_some(), old.is_some());
                }
                Step::Subscribe(filter, max) => {
                    let mut expected: Vec<_> =
                        model.iter().filter(|(topic, _)| matches_naively(&filter, topic)).cloned().collect();
                    expected.sort_unstable();
                    prop_assert_eq!(&all_matches(&retained, &filter), &expected, "{}", filter);
                    // How the walk is cut must not matter.
                    let mut found = Vec::new();
                    let mut from = None;
                    loop {
                        let mut steps = max;
                        from = retained.for_some_matches(&filter, from.as_deref(), &mut steps, |_, note| {
                            found.push(note.clone());
                        });
                        if from.is_none() {
                            break;
                        }
                    }
                    prop_assert_eq!(&found, &expected, "{} by {}", filter, max);
                }
                Step::Sweep(max, modulus) => {
                    let mut from = retained.sweep(None, max, |(_, message)| message % modulus != 0);
                    while from.is_some() {
                        from = retained.sweep(from, max, |(_, message)| message % modulus != 0);
                    }
                    model.retain(|(_, message)| message % modulus != 0);
                }
            }
            prop_assert_eq!(retained.len(), model.len());
            for (topic, message) in &model {
                prop_assert_eq!(retained.get(topic).map(|(_, value)| value), Some(*message));
            }
        }
    }

    /// Topics come and go between the parts of a walk. Those that match and stay are found, each once and in order;
    /// those that come and go may be.
    #[test]
    fn a_walk_misses_nothing_that_stays(
        staying in prop::collection::btree_set(topic(), 1..60),
        changes in prop::collection::vec((topic(), any::<bool>()), 1..120),
        filter in filter(),
        max in 1..20usize,
    ) {
        let retained = empty();
        staying.iter().for_each(|topic| { retained.set(note(topic, 0)); });
        let mut changes = changes.into_iter().filter(|(topic, _)| !staying.contains(topic));
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            for (topic, comes) in changes.by_ref().take(3) {
                if comes {
                    retained.set(note(&topic, 1));
                } else {
                    retained.remove(&topic);
                }
            }
            let mut steps = max;
            from = retained.for_some_matches(&filter, from.as_deref(), &mut steps, |_, note| found.push(note.clone()));
            if from.is_none() {
                break;
            }
        }
        prop_assert!(found.is_sorted_by(|(a, _), (b, _)| a < b));
        prop_assert!(found.iter().all(|(topic, _)| matches_naively(&filter, topic)));
        found.retain(|(_, value)| *value == 0);
        let expected: Vec<_> =
            staying.iter().filter(|topic| matches_naively(&filter, topic)).map(|topic| note(topic, 0)).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_filter_is_loaded_with_the_last_topic_it_can_match() {
    let retained = empty();
    let loaded = |filter: &str| retained.is_loaded(filter);
    assert!(loaded("#"));
    retained.begin_loading();
    retained.set(note("c", 9));
    retained.set(note("b/new", 9));
    // What was set meanwhile is newer than what may be on the disk.
    assert_eq!(["c", "a", "#", "+", "a/+", "a#"].map(loaded), [true, false, false, false, false, false]);
    retained.load(note("a", 1));
    retained.load(note("b/1", 1));
    retained.loaded_to("b/1");
    assert_eq!(["a", "a/+", "a/#", "a/b/#", "b/0/+"].map(loaded), [true; 5]);
    assert_eq!(
        ["b/1", "b/1/+", "b/+", "b/#", "b/2", "+/1", "#", "c/#"].map(loaded),
        [true, false, false, false, false, false, false, false]
    );
    retained.load(note("b/new", 1));
    retained.load(note("c", 1));
    retained.end_loading();
    assert_eq!(["b/1/+", "b/+", "+/1", "#", "c/#"].map(loaded), [true; 5]);
    assert_eq!((retained.get("c"), retained.get("b/new")), (Some(note("c", 9)), Some(note("b/new", 9))));
    assert_eq!(matches(&retained, "#"), ["a", "b/1", "b/new", "c"]);
}

#[test]
fn what_was_cleared_is_not_loaded() {
    let retained = empty();
    retained.begin_loading();
    assert!(retained.may_have("a"));
    assert!(retained.remove("a").is_some(), "it may be on the disk");
    assert!(!retained.may_have("a"));
    assert_eq!(retained.remove("a"), None);
    assert!(retained.is_loaded("a"), "nobody waits for it");
    retained.set(note("b", 1));
    retained.remove("b");
    retained.set(note("c", 1));
    retained.sweep(None, 10, |(topic, _)| topic != "c");
    ["a", "b", "c", "d"].into_iter().for_each(|topic| retained.load(note(topic, 2)));
    retained.loaded_to("d");
    retained.remove("d");
    assert_eq!(retained.remove("b"), None, "no more than that may be there");
    retained.end_loading();
    assert_eq!((retained.len(), retained.payload_bytes()), (0, 0));
    assert!(retained.stripes.iter().all(|stripe| lock(stripe).cleared.is_none()));
}
