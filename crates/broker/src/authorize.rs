//! Who may publish and receive what. Only what passes here can be routed.

use crate::message::{MessageView, Publication, Publisher};
use crate::rights::{ClientRights, Wanted};
use crate::session::Session;
use crate::settings::{Rules, Settings};

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

/// The client of a session, as its rights are asked.
pub(crate) struct Client<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) settings: &'a Settings,
    /// Which settings these are.
    pub(crate) generation: u32,
    /// Whether there are rules on any listener.
    pub(crate) restricts: bool,
}

/// Checks a client's right to publish. Topics below `$SYS` and `$CONTROL` are the broker's own; only a
/// bridge's state may be written there, as in Mosquitto.
#[inline]
pub(crate) fn authorize<'p, 'm>(
    publication: &'p mut Publication<'m>,
    client: Client<'_>,
) -> Result<Authorized<'p, 'm>, Denied> {
    let topic = publication.view.topic;
    if may_publish(topic) && client.may(Wanted::Write, topic) {
        Ok(Authorized(publication))
    } else {
        Err(Denied)
    }
}

impl Client<'_> {
    /// Whether it may do what is wanted with a topic.
    #[inline]
    pub(crate) fn may(self, wanted: Wanted, topic: &str) -> bool {
        !self.restricts || self.asks_rules(wanted, topic)
    }

    // Out of the way of those that are allowed everything.
    #[inline(never)]
    fn asks_rules(self, wanted: Wanted, topic: &str) -> bool {
        let Self { session, settings, generation, .. } = self;
        let rules = match settings.rules(session.listener) {
            Rules::None => return true,
            Rules::Some(rules) => rules,
            Rules::Unknown => return wanted == Wanted::Read,
        };
        let Session { publisher, seldom, .. } = session;
        let names = publisher.names();
        if let Some(rights) = seldom.rights().filter(|rights| rights.are_of(generation)) {
            return rights.allow(rules, names, wanted, topic);
        }
        let mut rights = Box::new(ClientRights::new(rules, names.user_name, generation));
        let allowed = rights.allow(rules, names, wanted, topic);
        seldom.change(|things| things.rights = Some(rights));
        allowed
    }
}

/// The same of a client whose session may be elsewhere, or gone.
pub(crate) fn may(client: &Publisher, wanted: Wanted, topic: &str, settings: &Settings) -> bool {
    match settings.rules(client.listener) {
        Rules::None => true,
        Rules::Some(rules) => rules.allow_once(client.names(), wanted, topic),
        Rules::Unknown => wanted == Wanted::Read,
    }
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
