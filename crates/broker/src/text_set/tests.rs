//! Tests of `text_set`.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

fn walk(set: &TextSet, from: &str) -> Vec<String> {
    let mut walk = set.walk_from(from.as_bytes());
    let mut found = Vec::new();
    while let Some(text) = walk.next() {
        found.push(String::from_utf8(text.to_vec()).unwrap());
    }
    found
}

#[test]
fn neighbours_share_their_beginning() {
    let mut set = TextSet::new();
    for text in ["site/1/b", "site/1", "site/1/a", "", "site/1/a"] {
        set.insert(text);
    }
    assert_eq!(walk(&set, ""), ["", "site/1", "site/1/a", "site/1/b"]);
    assert_eq!(walk(&set, "site/1/"), ["site/1/a", "site/1/b"]);
    assert_eq!(set.blocks.values().next().unwrap().bytes.len(), 2 + 8 + 4 + 3);
    assert!(set.contains("") && set.contains("site/1/b") && !set.contains("site/1/"));
}

#[test]
fn texts_in_order_fill_their_blocks_and_leave_none_behind() {
    let topics: Vec<String> =
        (0..20_000).map(|n| format!("site/{}/device/{n:06}/temperature", n / 4000)).collect();
    let mut set = TextSet::new();
    assert!(topics.iter().all(|topic| set.insert(topic)));
    let bytes: usize = set.blocks.values().map(|block| block.bytes.capacity()).sum();
    assert!(bytes < topics.len() * 18, "{bytes}");
    assert_eq!(walk(&set, ""), topics);
    assert!(topics.iter().step_by(2).all(|topic| set.remove(topic) && !set.remove(topic)));
    assert_eq!(walk(&set, ""), topics.iter().skip(1).step_by(2).cloned().collect::<Vec<_>>());
    let blocks = set.blocks.len();
    assert!(topics.iter().skip(1).step_by(2).take(9_000).all(|topic| set.remove(topic)));
    assert!(set.blocks.len() < blocks / 5, "{} of {blocks}", set.blocks.len());
    assert!(topics.iter().skip(18_001).step_by(2).all(|topic| set.remove(topic)));
    assert_eq!(set.blocks.len(), 0);
}

#[test]
fn the_longest_text_is_only_long() {
    let mut set = TextSet::new();
    let texts = ["a".repeat(65_535), "a".repeat(65_534) + "b", "a".repeat(128), "a".repeat(127)];
    assert!(texts.iter().all(|text| set.insert(text)));
    assert_eq!(walk(&set, ""), [&*texts[3], &*texts[2], &*texts[0], &*texts[1]]);
    assert!(texts.iter().all(|text| set.remove(text)));
    assert!(set.blocks.is_empty());
}

fn text() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec![
        "",
        "a",
        "a!",
        "ab",
        "b",
        "é",
        "$",
        "a long level of many letters and more",
    ]);
    prop::collection::vec(level, 0..9).prop_map(|levels| levels.join("/"))
}

proptest! {
    #[test]
    fn behaves_like_a_set(
        steps in prop::collection::vec((text(), 0..3u8), 1..400),
        from in text(),
    ) {
        let mut set = TextSet::new();
        let mut model = BTreeSet::new();
        for (text, kind) in steps {
            match kind {
                0 => prop_assert_eq!(set.remove(&text), model.remove(&text)),
                _ => prop_assert_eq!(set.insert(&text), model.insert(text.clone())),
            }
            prop_assert_eq!(set.contains(&text), model.contains(&text));
        }
        prop_assert_eq!(walk(&set, ""), model.iter().cloned().collect::<Vec<_>>());
        prop_assert_eq!(walk(&set, &from), model.range(from..).cloned().collect::<Vec<_>>());
        for text in &model {
            prop_assert!(set.remove(text));
        }
        prop_assert!(set.blocks.is_empty());
    }
}
