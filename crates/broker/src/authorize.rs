//! Who may publish what. Only what passes here can be routed.

use crate::message::{MessageView, Publication};

/// Proof that a right was checked; only this module makes one.
pub(crate) struct Authorized<'p, 'm>(&'p mut Publication<'m>);

impl<'p, 'm> Authorized<'p, 'm> {
    pub(crate) fn view(&self) -> &MessageView<'m> {
        &self.0.view
    }

    pub(crate) fn into_inner(self) -> &'p mut Publication<'m> {
        self.0
    }
}

/// What the broker itself says, it may say.
pub(crate) fn by_the_broker<'p, 'm>(publication: &'p mut Publication<'m>) -> Authorized<'p, 'm> {
    Authorized(publication)
}

/// The publisher has no right to this topic.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Denied;

/// Checks a client's right to publish. Topics below `$SYS` and `$CONTROL` are the broker's own; only a
/// bridge's state may be written there, as in Mosquitto.
#[inline]
pub(crate) fn authorize<'p, 'm>(publication: &'p mut Publication<'m>) -> Result<Authorized<'p, 'm>, Denied> {
    if may_publish(publication.view.topic) { Ok(Authorized(publication)) } else { Err(Denied) }
}

#[inline]
fn may_publish(topic: &str) -> bool {
    !topic.starts_with('$') || may_publish_apart(topic)
}

/// The same of a topic that begins with `$`.
#[cold]
fn may_publish_apart(topic: &str) -> bool {
    let is_bridge_state = topic
        .strip_prefix("$SYS/broker/connection/")
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(name, last)| !name.is_empty() && last == "state");
    is_bridge_state || !["$SYS", "$CONTROL"].contains(&topic.split('/').next().unwrap_or(topic))
}

#[cfg(test)]
mod tests {
    use super::may_publish;

    #[test]
    fn the_brokers_own_topics_are_closed() {
        let allowed = ["a", "$", "$aws/x", "$SYSTEM/x", "$SYS/broker/connection/b/state"];
        let denied = ["$SYS", "$SYS/broker/uptime", "$SYS/broker/connection//state", "$CONTROL/x/v1"];
        for topic in allowed {
            assert!(may_publish(topic), "{topic}");
        }
        for topic in denied {
            assert!(!may_publish(topic), "{topic}");
        }
    }
}
