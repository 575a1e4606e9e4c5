//! The compiled rules against rules read one by one.

use proptest::prelude::*;

use super::*;

fn rule(whom: Whom, access: Access, filter: &str) -> AccessRule {
    AccessRule { whom, access, filter: filter.to_owned() }
}

/// `line` is one of an `acl_file`, behind the lines of the user it is for.
fn rules(lines: &[(Option<&str>, &str)]) -> AccessRules {
    AccessRules::new(lines.iter().map(|(user, line)| {
        let (kind, rest) = line.split_once(' ').expect("a kind");
        let (access, filter) = match rest.split_once(' ') {
            Some(("read", filter)) => (Access::Read, filter),
            Some(("write", filter)) => (Access::Write, filter),
            Some(("deny", filter)) => (Access::Deny, filter),
            Some(("readwrite", filter)) => (Access::ReadWrite, filter),
            _ => (Access::ReadWrite, rest),
        };
        let whom = match (kind, user) {
            ("pattern", _) => Whom::Pattern,
            (_, Some(user)) => Whom::User((*user).to_owned()),
            (_, None) => Whom::Anonymous,
        };
        rule(whom, access, filter)
    }))
}

/// Seen with Mosquitto 2.0.11.
#[test]
fn rules_mean_what_they_mean_to_mosquitto() {
    let rules = rules(&[
        (None, "topic read anon/r"),
        (None, "topic anon/rw2"),
        (None, "topic deny anon/rw2"),
        (None, "topic #"),
        (Some("a"), "topic readwrite a/#"),
        (Some("a"), "topic deny a/no/#"),
        (Some("a"), "topic write a/no/x"),
        (Some("a"), "topic read pat/a/denied"),
        (Some("a"), "topic deny own/d"),
        (Some("a"), "topic $SYS/#"),
        (Some("b"), "topic read a/#"),
        (Some("b"), "topic lit"),
        (None, "pattern readwrite pat/%u/#"),
        (None, "pattern deny pat/%u/denied"),
        (None, "pattern write c/%c/x"),
        (None, "pattern write mid%cdle/%u%u/+"),
        (None, "pattern write own/d"),
    ]);
    let table: &[(&str, &str, &[&str], &[&str])] = &[
        ("", "c1", &["anon/r", "else", "pat//x", "c/c1/x"], &["anon/rw2", "$x/y", "$SYS/x"]),
        ("a", "c1", &["a/1", "a", "pat/a/x", "c/c1/x", "midc1dle/aa/z", "$SYS/x"], &["a/no/x", "a/no"]),
        ("a", "c1", &[], &["pat/a/denied", "pat/b/x", "own/d"]),
        ("a", "c/1", &["c/c/1/x"], &["c/c1/x"]),
        ("a", "c+1", &["a/1"], &["c/c/x", "pat/a/x", "c/c+1/x"]),
        ("a", "c#1", &["a/1"], &["pat/a/x"]),
        ("a+b", "c1", &[], &["c/c1/x", "own/d"]),
        ("a/b", "c1", &["pat/a/b/x", "c/c1/x"], &[]),
        ("b", "c1", &["lit", "own/d"], &["a/1", "unlisted"]),
        ("none", "c1", &["c/c1/x", "pat/none/x"], &["anon/rw"]),
    ];
    for (user, client_id, allowed, denied) in table {
        let names = Names { client_id, user_name: Some(*user).filter(|name| !name.is_empty()) };
        for (topics, expected) in [(allowed, true), (denied, false)] {
            for topic in *topics {
                assert_eq!(
                    rules.allow_once(names, Wanted::Write, topic),
                    expected,
                    "{user} {client_id} {topic}"
                );
            }
        }
    }
    let b = Names { client_id: "c1", user_name: Some("b") };
    assert!(rules.allow_once(b, Wanted::Read, "a/1") && !rules.allow_once(b, Wanted::Read, "own/d"));
}

#[test]
fn answers_are_remembered_for_one_topic_in_each_direction() {
    let rules = rules(&[(None, "topic read r"), (None, "topic write w")]);
    let names = Names { client_id: "c", user_name: None };
    let mut rights = ClientRights::new(&rules, None, 7);
    assert!(rights.are_of(7) && !rights.are_of(8));
    for _ in 0..2 {
        assert!(rights.allow(&rules, names, Wanted::Read, "r"));
        assert!(!rights.allow(&rules, names, Wanted::Write, "r"));
        assert!(rights.allow(&rules, names, Wanted::Write, "w"));
        assert!(!rights.allow(&rules, names, Wanted::Read, "w"));
    }
    let long = "t".repeat(TOO_LONG);
    assert!(
        !rights.allow(&rules, names, Wanted::Read, &long)
            && !rights.allow(&rules, names, Wanted::Read, &long)
    );
}

const TOO_LONG: usize = 300;

/// One rule after the other, as the file has them.
fn naively(rules: &[AccessRule], names: Names<'_>, wanted: Wanted, topic: &str) -> bool {
    let mine = |rule: &&AccessRule| match &rule.whom {
        Whom::Anonymous => names.user_name.is_none(),
        Whom::User(name) => names.user_name == Some(name),
        Whom::Pattern => false,
    };
    let wants = |rule: &&AccessRule| match rule.access {
        Access::Read => wanted == Wanted::Read,
        Access::Write => wanted == Wanted::Write,
        Access::ReadWrite => true,
        Access::Deny => false,
    };
    let own: Vec<&AccessRule> =
        rules.iter().filter(mine).filter(|rule| matches(&rule.filter, topic)).collect();
    let denies = |rule: &&AccessRule| rule.access == Access::Deny;
    if own.iter().any(denies) {
        return false;
    }
    if own.iter().any(wants) {
        return true;
    }
    if format!("{}{}", names.client_id, names.user_name.unwrap_or_default()).contains(['+', '#']) {
        return false;
    }
    let patterns: Vec<&AccessRule> = rules
        .iter()
        .filter(|rule| rule.whom == Whom::Pattern)
        .filter(|rule| filled_in(&rule.filter, names).is_some_and(|filter| matches(&filter, topic)))
        .collect();
    !patterns.iter().any(denies) && patterns.iter().any(wants)
}

fn filled_in(pattern: &str, names: Names<'_>) -> Option<String> {
    let mut filter = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('%', Some('c')) => filter.push_str(names.client_id),
            ('%', Some('u')) => filter.push_str(names.user_name?),
            (other, _) => {
                filter.push(other);
                continue;
            }
        }
        characters.next();
    }
    Some(filter)
}

fn matches(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    let apart = |levels: &[&str]| levels[0].starts_with('$');
    let fits = |(filter, topic): (&&str, &&str)| *filter == "+" || filter == topic;
    apart(&filter) == apart(&topic)
        && match filter.split_last() {
            Some((&"#", head)) => topic.len() >= head.len() && head.iter().zip(&topic).all(fits),
            _ => topic.len() == filter.len() && filter.iter().zip(&topic).all(fits),
        }
}

fn rule_strategy() -> impl Strategy<Value = AccessRule> {
    let level = prop::sample::select(vec!["a", "b", "", "$x", "+", "%c", "%u", "a%c", "%u%c", "%cb", "%"]);
    let filter = (prop::collection::vec(level, 1..4), any::<bool>());
    let filter = filter.prop_map(|(levels, below)| levels.join("/") + if below { "/#" } else { "" });
    let filter = prop_oneof![9 => filter, 1 => Just("#".to_owned())];
    let whom = prop::sample::select(vec![
        Whom::Anonymous,
        Whom::User("a".to_owned()),
        Whom::User("b/a".to_owned()),
        Whom::Pattern,
        Whom::Pattern,
    ]);
    let access = prop::sample::select(vec![
        Access::Read,
        Access::Write,
        Access::ReadWrite,
        Access::ReadWrite,
        Access::Deny,
    ]);
    (whom, access, filter).prop_map(|(whom, access, filter)| AccessRule { whom, access, filter })
}

proptest! {
    #[test]
    fn compiled_rules_say_what_the_rules_say(
        rules in prop::collection::vec(rule_strategy(), 0..30),
        topics in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x", "aa", "ab", "aab", "%"]), 1..5),
            1..20,
        ),
    ) {
        let compiled = AccessRules::new(rules.clone());
        for client_id in ["a", "b", "a/b", "$x", "a+", "%u"] {
            for user_name in [None, Some("a"), Some("b/a"), Some("#"), Some("nobody")] {
                let names = Names { client_id, user_name };
                let mut rights = ClientRights::new(&compiled, user_name, 0);
                for topic in topics.iter().map(|levels| levels.join("/")).filter(|topic| !topic.is_empty()) {
                    for wanted in [Wanted::Read, Wanted::Write] {
                        let expected = naively(&rules, names, wanted, &topic);
                        prop_assert_eq!(rights.allow(&compiled, names, wanted, &topic), expected, "{:?} {}", names, topic);
                    }
                }
            }
        }
    }
}
