//! Tests of `retained`.

use super::*;
use proptest::prelude::*;

fn retained(topics: &[&str]) -> Retained<usize> {
    let mut retained = Retained::new();
    for (at, topic) in topics.iter().enumerate() {
        retained.set(topic, at);
    }
    retained
}

fn matches(retained: &Retained<usize>, filter: &str) -> Vec<String> {
    let mut found = Vec::new();
    retained.for_each_match(filter, |topic, _| found.push(topic.to_owned()));
    found
}

#[test]
fn set_get_remove() {
    let mut retained = Retained::default();
    assert_eq!(retained.set("a/b", 1), None);
    assert_eq!(retained.set("a/b", 2), Some(1));
    assert_eq!((retained.get("a/b"), retained.get("a"), retained.len()), (Some(&2), None, 1));
    assert_eq!(retained.remove("a"), None);
    assert_eq!(retained.remove("a/b"), Some(2));
    assert!(retained.is_empty());
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
    let mut retained = Retained::new();
    for device in 0..10 {
        for field in 0..1000 {
            retained.set(&format!("d/{device}/{field}"), 0);
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
    let mut retained = retained(&["a", "b", "c", "d", "e"]);
    let next = retained.sweep(None, 2, |_, &at| at != 1);
    assert_eq!(next.as_deref(), Some("c"));
    retained.remove("c"); // the cursor outlives its topic
    let mut seen = Vec::new();
    let next = retained.sweep(next, 10, |topic, _| {
        seen.push(topic.to_owned());
        topic != "e"
    });
    assert_eq!((next, seen), (None, vec!["d".to_owned(), "e".to_owned()]));
    assert_eq!(retained.iter().collect::<Vec<_>>(), [("a", &0), ("d", &3)]);
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
        let mut retained = Retained::new();
        let mut model: Vec<(String, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Set(topic, message) => {
                    let old = model.iter().position(|(other, _)| *other == topic).map(|at| model.swap_remove(at).1);
                    prop_assert_eq!(retained.set(&topic, message), old);
                    model.push((topic, message));
                }
                Step::Remove(topic) => {
                    let old = model.iter().position(|(other, _)| *other == topic).map(|at| model.swap_remove(at).1);
                    prop_assert_eq!(retained.remove(&topic), old);
                }
                Step::Subscribe(filter, max) => {
                    let mut expected: Vec<_> =
                        model.iter().filter(|(topic, _)| matches_naively(&filter, topic)).cloned().collect();
                    expected.sort_unstable();
                    let mut found = Vec::new();
                    retained.for_each_match(&filter, |topic, &message| found.push((topic.to_owned(), message)));
                    prop_assert_eq!(&found, &expected, "{}", filter);
                    // How the walk is cut must not matter.
                    found.clear();
                    let mut from = None;
                    loop {
                        let mut steps = max;
                        from = retained.for_some_matches(&filter, from.as_deref(), &mut steps, |topic, &message| {
                            found.push((topic.to_owned(), message));
                        });
                        if from.is_none() {
                            break;
                        }
                    }
                    prop_assert_eq!(&found, &expected, "{} by {}", filter, max);
                }
                Step::Sweep(max, modulus) => {
                    let mut from = retained.sweep(None, max, |_, message| message % modulus != 0);
                    while from.is_some() {
                        from = retained.sweep(from, max, |_, message| message % modulus != 0);
                    }
                    model.retain(|(_, message)| message % modulus != 0);
                }
            }
            model.sort_unstable();
            let all: Vec<_> = retained.iter().map(|(topic, &message)| (topic.to_owned(), message)).collect();
            prop_assert_eq!(&all, &model);
        }
    }
}
