//! Who may do what in worlds with access rules. The rules are told apart by their topics, so that what is right is known
//! whatever happens: only one client may receive what is published to its topic below `d`, and nobody may publish to `e`.

use std::sync::Arc;

use noctule_broker::{Access, AccessRule, AccessRules, Whom};

/// Topics of one client each; others than these have none.
pub(crate) const OWN_TOPICS: [&str; 6] =
    ["d/client-0", "d/client-1", "d/client-2", "d/client-3", "d/client-4", "d/client-5"];
/// Where nobody may publish.
pub(crate) const CLOSED_TOPIC: &str = "e/1";

/// Whether a client may receive what is published to a topic.
pub(crate) fn may_receive(client: usize, topic: &str) -> bool {
    OWN_TOPICS.iter().position(|own| *own == topic).is_none_or(|owner| owner == client)
}

/// Whether clients may publish to a topic.
pub(crate) fn may_publish(topic: &str) -> bool {
    topic != CLOSED_TOPIC
}

/// The same rules in other words, by number.
pub(crate) fn rules(wording: u32, user_name: Option<&str>) -> Arc<AccessRules> {
    use Access::{Deny, Read, ReadWrite, Write};
    let whom = user_name.map_or(Whom::Anonymous, |name| Whom::User(name.to_owned()));
    let own: &[(Access, &str)] = match wording % 3 {
        0 => &[
            (ReadWrite, "a/#"),
            (ReadWrite, "b/#"),
            (ReadWrite, "$c/#"),
            (ReadWrite, "r/#"),
            (ReadWrite, "w/#"),
            (Write, "d/#"),
            (Read, "e/#"),
        ],
        1 => &[
            (ReadWrite, "a/1"),
            (ReadWrite, "a/2"),
            (ReadWrite, "+/1/+"),
            (ReadWrite, "b/+"),
            (ReadWrite, "$c/1"),
            (ReadWrite, "r/+"),
            (ReadWrite, "w/+"),
            (Write, "d/+"),
        ],
        _ => &[(Deny, "e/#"), (Write, "#"), (Write, "$c/#")],
    };
    let patterns: &[(Access, &str)] = match wording % 3 {
        0 => &[(Read, "d/%c")],
        1 => &[(Read, "d/%c/#"), (Read, "e/%c")],
        _ => &[
            (Read, "d/%c"),
            (Read, "a/#"),
            (Read, "b/#"),
            (Read, "$c/#"),
            (Read, "r/#"),
            (Read, "w/#"),
            (Deny, "x%c/#"),
        ],
    };
    let rule = |whom: Whom| {
        move |&(access, filter): &(Access, &str)| AccessRule {
            whom: whom.clone(),
            access,
            filter: filter.to_owned(),
        }
    };
    let rules = own.iter().map(rule(whom)).chain(patterns.iter().map(rule(Whom::Pattern)));
    Arc::new(AccessRules::new(rules))
}
