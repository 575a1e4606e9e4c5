//! Tests of `topic_tree`.

use super::*;
use crate::subscriber::PackedSubscriber;
use proptest::prelude::*;

fn tree() -> TopicTree<(u32, u8)> {
    TopicTree::new(RandomState::with_seeds(1, 2, 3, 4))
}

impl Subscription for (u32, u8) {
    type Who = u32;

    fn who(&self) -> u32 {
        self.0
    }
}

impl TopicTree<(u32, u8)> {
    fn subscribe(&mut self, filter: &str, who: u32, qos: u8) -> Option<(u32, u8)> {
        self.insert(filter, (who, qos))
    }

    fn unsubscribe(&mut self, filter: &str, who: u32) -> Option<(u32, u8)> {
        self.remove(filter, who)
    }

    fn matches(&self, topic: &str) -> Vec<(u32, u8)> {
        let mut found = Vec::new();
        self.for_each_match(topic, &mut Scratch::default(), |&value| found.push(value));
        found
    }
}

#[track_caller]
fn check(filter: &str, matching: &[&str], other: &[&str]) {
    let mut tree = tree();
    tree.subscribe(filter, 1, 0);
    for topic in matching {
        assert_eq!(tree.matches(topic), [(1, 0)], "{filter} matches {topic:?}");
    }
    for topic in other {
        assert_eq!(tree.matches(topic), [], "{filter} does not match {topic:?}");
    }
}

#[test]
fn filters_match_as_the_standard_says() {
    check("sport/tennis", &["sport/tennis"], &["sport", "sport/tennis/", "Sport/tennis", "/sport/tennis"]);
    // `#` is the level itself and all below.
    check(
        "sport/tennis/player1/#",
        &["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/score/wimbledon"],
        &["sport/tennis", "sport/tennis/player2", "sport/tennis/player11"],
    );
    check("sport/#", &["sport", "sport/", "sport/tennis"], &["sports", "/sport"]);
    check("#", &["a", "a/b", "/", "/a"], &[]);
    check("/#", &["/", "/a", "/a/b"], &["a", "a/b"]);
    // `+` is exactly one level, an empty one too.
    check("sport/+", &["sport/", "sport/tennis"], &["sport", "sport/tennis/player1"]);
    check("+", &["sport"], &["/finance", "sport/", "a/b"]);
    check("+/+", &["/finance", "a/b", "/"], &["a", "a/b/c"]);
    check("/+", &["/finance", "/"], &["finance", "//"]);
    check("+/tennis/#", &["sport/tennis", "a/tennis/b/c", "/tennis"], &["tennis", "sport/tennisx"]);
    check("a//+", &["a//b", "a//"], &["a/b", "a/b/c"]);
    check("+/x/+/y", &["a/x/b/y", "/x//y"], &["a/x/y", "a/x/b/y/"]);
    // Longer than a short segment.
    check(
        &format!("{}/+", "é".repeat(40)),
        &[&format!("{}/a", "é".repeat(40))],
        &[&format!("{}/a", "é".repeat(39))],
    );
}

#[test] // [MQTT-4.7.2-1], [MQTT311-4.7.2-1]
fn leading_wildcards_do_not_see_reserved_topics() {
    check("#", &["a/$b"], &["$SYS", "$SYS/monitor", "$"]);
    check("+/monitor/Clients", &["a/monitor/Clients"], &["$SYS/monitor/Clients"]);
    check("+", &["a"], &["$a"]);
    check("$SYS/#", &["$SYS", "$SYS/monitor"], &["SYS", "$SYSx"]);
    check("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["$SYS/monitor"]);
    check("a/+", &["a/$b"], &[]);
}

#[test]
fn overlapping_filters_are_told_each_in_a_fixed_order() {
    let mut tree = tree();
    for (who, filter) in ["+/b", "a/#", "a/b", "#", "a/+", "a/b/#", "+/+"].into_iter().enumerate() {
        tree.subscribe(filter, u32::try_from(who).unwrap(), 0);
    }
    let order: Vec<u32> = tree.matches("a/b").into_iter().map(|(who, _)| who).collect();
    assert_eq!(order, [2, 3, 1, 5, 4, 0, 6]);
}

#[test]
fn a_subscription_is_replaced_and_removed_by_who_it_is() {
    for filter in ["a/b", "a/+", "a/#", "#"] {
        let mut tree = tree();
        assert_eq!(tree.subscribe(filter, 1, 0), None);
        assert_eq!(tree.subscribe(filter, 2, 1), None);
        assert_eq!(tree.subscribe(filter, 1, 2), Some((1, 0)));
        assert_eq!(tree.len(), 2);
        assert_eq!(tree.matches("a/b"), [(1, 2), (2, 1)]);
        assert_eq!(tree.unsubscribe(filter, 3), None);
        assert_eq!(tree.unsubscribe(filter, 1), Some((1, 2)));
        assert_eq!(tree.unsubscribe(filter, 1), None);
        assert_eq!(tree.matches("a/b"), [(2, 1)]);
        assert_eq!(tree.unsubscribe(filter, 2), Some((2, 1)));
        assert_eq!(tree.len(), 0);
    }
}

#[test]
fn removed_filters_leave_no_node_behind() {
    let mut tree = tree();
    tree.subscribe("a/b/c/#", 1, 0);
    let cells = tree.cells.len();
    for filter in ["a/b/c/+/d", "a/b/c/d/+", "a/+/+/+", "x/y/#", "a/#", "a/b/c/a level of many letters/#"] {
        tree.subscribe(filter, 2, 0);
        tree.unsubscribe(filter, 2);
        assert_eq!(tree.cells.len(), cells, "{filter}");
        assert!(tree.literal_children.len() < cells, "{filter}");
        assert_eq!(tree.long_texts.len(), 0, "{filter}");
    }
}

#[test]
fn the_deepest_filter_is_only_long() {
    let mut tree = tree();
    let deepest = "/".repeat(65533) + "/+";
    tree.subscribe(&deepest, 1, 0);
    assert_eq!(tree.matches(&"/".repeat(65534)), [(1, 0)]);
    tree.unsubscribe(&deepest, 1);
    assert_eq!(tree.cells.len(), 1);
}

#[test] // "≤ 200 B a filter" rests on it
fn nodes_and_lists_stay_small() {
    assert_eq!(size_of::<Option<Cell<PackedSubscriber>>>(), 32);
    assert_eq!(size_of::<Option<ExactFilter<PackedSubscriber>>>(), 48);
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

fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("a".to_owned()),
        2 => Just("b".to_owned()),
        1 => Just(String::new()),
        1 => Just("$s".to_owned()),
        1 => Just("a level too long to be short".to_owned()),
    ]
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+".to_owned())];
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi || levels.is_empty() {
            levels.push("#".to_owned());
        }
        levels.join("/")
    })
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(String, u32, u8),
    Unsubscribe(String, u32),
    /// Unsubscribes the n-th there is, so that trees shrink again.
    End(prop::sample::Index),
    Publish(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (filter(), 0..4u32, 0..3u8).prop_map(|(filter, who, qos)| Step::Subscribe(filter, who, qos)),
        1 => (filter(), 0..4u32).prop_map(|(filter, who)| Step::Unsubscribe(filter, who)),
        2 => any::<prop::sample::Index>().prop_map(Step::End),
        4 => topic().prop_map(Step::Publish),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_list_of_filters(steps in prop::collection::vec(step(), 1..120)) {
        let mut tree = tree();
        let mut model: Vec<(String, (u32, u8))> = Vec::new();
        for step in steps {
            match step {
                Step::Subscribe(filter, who, qos) => {
                    let old = model.iter().position(|(other, (id, _))| *other == filter && *id == who);
                    let old = old.map(|at| model.swap_remove(at).1);
                    prop_assert_eq!(tree.subscribe(&filter, who, qos), old);
                    model.push((filter, (who, qos)));
                }
                Step::Unsubscribe(filter, who) => {
                    let old = model.iter().position(|(other, (id, _))| *other == filter && *id == who);
                    let old = old.map(|at| model.swap_remove(at).1);
                    prop_assert_eq!(tree.unsubscribe(&filter, who), old);
                }
                Step::End(index) => if !model.is_empty() {
                    let (filter, old) = model.swap_remove(index.index(model.len()));
                    prop_assert_eq!(tree.unsubscribe(&filter, old.0), Some(old));
                },
                Step::Publish(topic) => {
                    let mut found = tree.matches(&topic);
                    let mut expected: Vec<_> =
                        model.iter().filter(|(filter, _)| matches_naively(filter, &topic)).map(|(_, value)| *value).collect();
                    found.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected, "{}", topic);
                }
            }
            prop_assert_eq!(tree.len(), model.len());
        }
        for (filter, old) in model {
            prop_assert_eq!(tree.unsubscribe(&filter, old.0), Some(old));
        }
        prop_assert_eq!((tree.cells.len(), tree.literal_children.len()), (1, 0));
        prop_assert_eq!((tree.exact.len(), tree.exact_filters.len(), tree.long_texts.len()), (0, 0, 0));
    }
}

#[test]
fn many_nodes_come_and_go() {
    use std::collections::BTreeMap;
    let mut tree = tree();
    let mut model: BTreeMap<(String, u32), u8> = BTreeMap::new();
    let mut random = 1_u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (random >> 12) % below
    };
    for step in 0..60_000_u32 {
        let name = |number: u32| match number % 4 {
            0 => format!("{number}"),
            1 => format!("a name that is long {number}"),
            2 => format!("elevenb{number:04}"),
            _ => format!("twelve b{number:04}"),
        };
        let (a, b, c) = (name(next(40)), name(next(400)), name(next(3)));
        let filter = match next(6) {
            0 => format!("{a}/+/{c}"),
            1 => format!("{a}/{b}/#"),
            2 => format!("+/{b}"),
            3 => format!("{a}/{b}/{c}"),
            4 => format!("{a}/{b}/+"),
            _ => format!("{b}/+/{a}/{c}"),
        };
        let who = next(3);
        // Grows and shrinks in turns.
        if next(10) < if step / 15_000 % 2 == 0 { 7 } else { 2 } {
            let qos = next(3) as u8;
            let before = model.insert((filter.clone(), who), qos);
            assert_eq!(tree.subscribe(&filter, who, qos).map(|old| old.1), before);
        } else {
            let key = match model.range((filter.clone(), who)..).next() {
                Some((key, _)) if next(3) > 0 => key.clone(),
                _ => (filter, who),
            };
            let before = model.remove(&key);
            assert_eq!(tree.unsubscribe(&key.0, key.1).map(|old| old.1), before);
        }
        if step % 1000 == 0 {
            for topic in [format!("{a}/{b}/{c}"), format!("{a}/{b}"), format!("{b}/{a}/{a}/{c}"), b.clone()] {
                let mut found = tree.matches(&topic);
                let mut expected: Vec<_> = model
                    .iter()
                    .filter(|((filter, _), _)| matches_naively(filter, &topic))
                    .map(|((_, who), qos)| (*who, *qos))
                    .collect();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{topic}");
            }
            assert_eq!(tree.len(), model.len());
        }
    }
    for (filter, who) in model.into_keys() {
        assert!(tree.unsubscribe(&filter, who).is_some());
    }
    assert_eq!(
        (tree.cells.len(), tree.literal_children.len(), tree.exact.len(), tree.long_texts.len()),
        (1, 0, 0, 0)
    );
}
