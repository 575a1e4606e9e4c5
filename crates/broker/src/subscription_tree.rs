//! All subscriptions as a text, in the form in which Mosquitto prints them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use noctule_protocol::QoS;

use crate::SessionNumber;
use crate::router::Destination;
use crate::shared::Shared;
use crate::topic_tree::Cursor;

/// Subscriptions, or sessions, looked at under one lock: others wait for some microseconds.
const STEPS: usize = 256;

impl Shared {
    /// Every Topic Filter with who subscribed to it, in the form in which Mosquitto prints its tree. Takes a while with many
    /// of them, and memory for all; nobody waits for it, and what changes meanwhile may be in it or not.
    ///
    /// ```text
    ///     (4 blanks)                filters that do not begin with `$`: the root, and again below it
    ///       (6 blanks)
    ///         lamp (alice, 1)
    ///     $SYS                      and so on for those that do, and for shared subscriptions
    /// ```
    pub fn subscription_tree(&self) -> String {
        let clients = self.client_ids();
        let mut own = Forest::with(&["", "$SYS"]);
        let mut shared = Forest::with(&[""]);
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            cursor = self.walk_subscriptions(from, STEPS, |filter, subscriber| match subscriber.to {
                Destination::Session(address) => {
                    // Whoever came or went meanwhile is left out.
                    if let Some(client) = clients.get(&address.number) {
                        own.enter(filter).subscribers.push((Arc::clone(client), subscriber.qos));
                    }
                }
                Destination::Group(_) => {
                    shared.enter(filter);
                }
            });
        }
        own.text() + &shared.text()
    }

    fn client_ids(&self) -> HashMap<SessionNumber, Arc<str>> {
        let mut clients = HashMap::new();
        let mut cursor = Some((0, 0));
        while let Some(from) = cursor {
            cursor = self.directory.walk(from, STEPS, |client_id, address| {
                clients.insert(address.number, Arc::clone(client_id));
            });
        }
        clients
    }
}

/// Filters by their root: the first level of those that begin with `$`, and an empty one for all others.
struct Forest(BTreeMap<Box<str>, Level>);

/// One level of filters that are equal so far.
#[derive(Default)]
struct Level {
    below: BTreeMap<Box<str>, Level>,
    /// Of the filter that ends here.
    subscribers: Vec<(Arc<str>, QoS)>,
}

impl Forest {
    /// Without filters, but with these roots.
    fn with(roots: &[&str]) -> Self {
        Self(roots.iter().map(|&root| (root.into(), Level::default())).collect())
    }

    /// The level at which a filter ends.
    fn enter(&mut self, filter: &str) -> &mut Level {
        let (root, rest) = match filter.split_once('/') {
            Some((root, rest)) if root.starts_with('$') => (root, Some(rest)),
            None if filter.starts_with('$') => (filter, None),
            Some(_) | None => ("", Some(filter)),
        };
        // Mosquitto's trees have their root once more below it.
        let mut level = self.0.entry(root.into()).or_default().below.entry(root.into()).or_default();
        for name in rest.into_iter().flat_map(|rest| rest.split('/')) {
            level = level.below.entry(name.into()).or_default();
        }
        level
    }

    fn text(mut self) -> String {
        let mut text = String::new();
        for (root, level) in &mut self.0 {
            level.print(root, 4, &mut text);
        }
        text
    }
}

impl Level {
    /// Prints it and all below it; a filter has 200 levels at most.
    fn print(&mut self, name: &str, indent: usize, to: &mut String) {
        write!(to, "{:indent$}{}", "", name.escape_debug()).expect("a String takes all");
        self.subscribers.sort();
        for (client, qos) in &self.subscribers {
            write!(to, " ({}, {})", client.escape_debug(), qos.level()).expect("a String takes all");
        }
        to.push('\n');
        for (name, level) in &mut self.below {
            level.print(name, indent + 2, to);
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn mosquittos_picture() {
        let mut own = Forest::with(&["", "$SYS"]);
        for (filter, client, qos) in [
            ("a/b/c", "w2", QoS::AtLeastOnce),
            ("a/b/c", "w1", QoS::ExactlyOnce),
            ("a/b", "w2", QoS::AtLeastOnce),
            ("a/+/#", "w1", QoS::ExactlyOnce),
            ("/", "w2", QoS::AtLeastOnce),
            ("#", "w\n2", QoS::AtMostOnce),
            ("$SYS/broker/#", "w1", QoS::AtMostOnce),
            ("$x", "w1", QoS::AtMostOnce),
        ] {
            own.enter(filter).subscribers.push((client.into(), qos));
        }
        let expected = [
            "    ",
            "      ",
            "        ",
            "           (w2, 1)",
            "        # (w\\n2, 0)",
            "        a",
            "          +",
            "            # (w1, 2)",
            "          b (w2, 1)",
            "            c (w1, 2) (w2, 1)",
            "    $SYS",
            "      $SYS",
            "        broker",
            "          # (w1, 0)",
            "    $x",
            "      $x (w1, 0)",
            "",
        ];
        assert_eq!(own.text(), expected.join("\n"));
        assert_eq!(Forest::with(&["", "$SYS"]).text(), "    \n    $SYS\n");
    }
}
