//! THE directive table: one row for each directive of `mosquitto.conf` and for our own.
//!
//! A row says all that the grammar needs, and all that the reference page tells. What a value does stands in
//! `apply.rs`; a test holds that each supported row is applied there.

mod bridge;
mod broker;
mod changes;
mod listener;
mod reference;
mod storage_and_log;

pub use changes::{CHANGE_FILES, CHANGES, Change};
pub use reference::reference_markdown;

use crate::value::Takes;

/// One directive.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// Its name. A `*` at the end stands for the name of a plugin's option.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// The type of its value.
    pub takes: Takes,
    /// Where it may stand.
    pub scope: Scope,
    /// The value if it is not written, as it would be written; empty if there is none.
    pub default: &'static str,
    /// Whether a reload takes a changed value.
    pub reload: Reload,
    /// Whether the broker obeys it.
    pub status: Status,
    /// What to do instead, if it should no longer be written.
    pub deprecated: Option<&'static str>,
    /// What it is for, in one line.
    pub help: &'static str,
}

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Anywhere; it is for the whole broker.
    Global,
    /// Anywhere; it opens a listener's block.
    OpensListener,
    /// Anywhere; it is for the default listener on port 1883, and opens its block.
    DefaultListener,
    /// In a listener's block; before the first one it is for the default listener.
    Listener,
    /// Only in a listener's block.
    InListener,
    /// Only in the block of a `listener` line, not of the default listener.
    InOwnListener,
    /// Anywhere, or only in a listener's block with `per_listener_settings true`, and then for that listener.
    Security,
    /// Anywhere; it opens a bridge's block.
    OpensBridge,
    /// Only in a bridge's block.
    Bridge,
    /// Only behind a plugin.
    Plugin,
}

/// Whether a reload (SIGHUP) takes a changed value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reload {
    /// It does.
    Taken,
    /// A restart is needed.
    Ignored,
    /// The file it names is read again.
    FileReadAgain,
}

/// Whether the broker obeys a directive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It does.
    Supported,
    /// It obeys some values and refuses to start with the others.
    Only {
        /// What may be written.
        accepted: &'static str,
        /// The feature that the others wait for.
        waits_for: &'static str,
    },
    /// It refuses to start with it, unless it says what is the case anyway. Here is the feature it waits for.
    NotYet(&'static str),
    /// It warns that nothing reads it any more. Here is why.
    Removed(&'static str),
}

impl Directive {
    const fn new(name: &'static str, scope: Scope, takes: Takes, default: &'static str) -> Self {
        let (reload, status) = (Reload::Taken, Status::Supported);
        Self { name, aliases: &[], takes, scope, default, reload, status, deprecated: None, help: "" }
    }

    const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn needs_restart(self) -> Self {
        Self { reload: Reload::Ignored, ..self }
    }

    const fn reads_file_again(self) -> Self {
        Self { reload: Reload::FileReadAgain, ..self }
    }

    const fn waits_for(self, feature: &'static str) -> Self {
        Self { status: Status::NotYet(feature), ..self }
    }

    const fn only(self, accepted: &'static str, waits_for: &'static str) -> Self {
        Self { status: Status::Only { accepted, waits_for }, ..self }
    }

    const fn removed(self, why: &'static str) -> Self {
        Self { status: Status::Removed(why), ..self }
    }

    const fn deprecated(self, instead: &'static str) -> Self {
        Self { deprecated: Some(instead), ..self }
    }

    /// Whether `spelling` names this directive.
    pub fn is_named(&self, spelling: &str) -> bool {
        std::iter::once(&self.name).chain(self.aliases).any(|name| match name.strip_suffix('*') {
            Some(prefix) => spelling.starts_with(prefix),
            None => *name == spelling,
        })
    }
}

/// The sections of the table with their titles.
pub const SECTIONS: [(&str, &[Directive]); 4] = [
    ("Broker", broker::DIRECTIVES),
    ("Persistence, log and $SYS", storage_and_log::DIRECTIVES),
    ("Listeners and TLS", listener::DIRECTIVES),
    ("Bridges", bridge::DIRECTIVES),
];

/// Every directive, section by section.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    SECTIONS.iter().flat_map(|(_, directives)| directives.iter())
}

/// The directive of this name or spelling.
pub fn find(spelling: &str) -> Option<&'static Directive> {
    all().find(|directive| directive.is_named(spelling))
}

/// The name that was probably meant: at most every third character differs, and two of them.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    const CHARS_MAX: usize = 40;
    if name.chars().nth(CHARS_MAX).is_some() {
        return None;
    }
    let distance_max = 2.min(name.chars().count() / 3);
    all()
        .flat_map(|directive| std::iter::once(directive.name).chain(directive.aliases.iter().copied()))
        .filter(|known| !known.ends_with('*'))
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein's distance: characters to insert, remove or replace.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::value::{Outside, Value};

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        for directive in all() {
            for name in std::iter::once(&directive.name).chain(directive.aliases) {
                assert!(seen.insert(*name), "{name} stands in two rows");
            }
        }
    }

    #[test]
    fn defaults_are_values_of_their_type() {
        for directive in all().filter(|directive| !directive.default.is_empty()) {
            let mut notes = Vec::new();
            let value = directive.takes.parse(directive.name, directive.default, &mut notes);
            assert!(value.is_ok(), "{}: {value:?}", directive.name);
            assert_eq!(notes, [], "{}", directive.name);
        }
    }

    #[test]
    fn flags_have_defaults() {
        for directive in all().filter(|directive| directive.takes == Takes::Flag) {
            assert!(matches!(directive.default, "true" | "false"), "{}", directive.name);
        }
    }

    #[test]
    fn help_is_one_line_without_full_stop() {
        for directive in all() {
            let help = directive.help;
            assert!(!help.is_empty() && !help.contains(['\n', '|']) && !help.ends_with('.'), "{help:?}");
        }
    }

    #[test]
    fn all_spellings_are_found() {
        for (spelling, name) in [
            ("port", "port"),
            ("maximum_qos", "max_qos"),
            ("plugin_opt_file", "plugin_opt_*"),
            ("auth_opt_file", "plugin_opt_*"),
            ("auth_plugin_deny_special_chars", "auth_plugin_deny_special_chars"),
        ] {
            assert_eq!(find(spelling).map(|directive| directive.name), Some(name), "{spelling}");
        }
        for unknown in ["", "Port", "por", "port ", "plugin_op", "*"] {
            assert!(find(unknown).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn slips_of_the_pen_are_recognised() {
        for (slip, meant) in [
            ("listner", Some("listener")),
            ("alow_anonymus", Some("allow_anonymous")),
            ("max_inflight_message", Some("max_inflight_messages")),
            ("Port", Some("port")),
            ("user_name", Some("username")),
            ("prt", Some("port")),
            ("xy", None),
            ("", None),
            ("quite_something_else", None),
        ] {
            assert_eq!(nearest(slip), meant, "{slip:?}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20)), None);
    }

    #[test]
    fn bounds_are_in_order() {
        for directive in all() {
            if let Takes::Number { min, max, outside } = directive.takes {
                assert!(min < max, "{}", directive.name);
                // A number that is told to be raised must be one that can be written.
                assert!(outside == Outside::Refuse || min > i64::from(i32::MIN), "{}", directive.name);
            }
        }
        assert_eq!(
            find("max_connections").unwrap().takes.parse("max_connections", "-7", &mut Vec::new()),
            Ok(Value::Number(-1))
        );
    }
}
