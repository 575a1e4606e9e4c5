//! What a broker that runs takes of a configuration that was read again.
//!
//! The column `reload` of the directive table says it; a test holds that the lists here say the same.

use std::fmt;

use crate::config::{Config, Listener};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};
use crate::problem::reload;

/// A configuration for a broker that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reloaded {
    /// The new one, but for what only a restart can change. Its listeners are in the order of those that are open.
    pub config: Config,
    /// What was written anew and stays as it was.
    pub kept: Vec<Kept>,
}

/// A directive whose new value needs a restart. Displayed as `'max_connections' of the listener at broker.conf:3`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Its name.
    pub directive: &'static str,
    /// The line that opened the listener it is for; `None` if it is for the whole broker, or if no line did.
    pub listener: Option<Position>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.directive)?;
        match &self.listener {
            Some(at) => write!(f, " of the listener at {at}"),
            None => Ok(()),
        }
    }
}

/// Lets a new value stay as the old one was.
type Keep<T> = fn(&mut T, &T);

/// Directives for the whole broker that need a restart, and how each keeps its old value.
const KEPT: &[(&str, Keep<Config>)] = &[
    ("check_retain_source", |new, old| new.check_retain_source = old.check_retain_source),
    ("persistence", |new, old| new.persistence.enabled = old.persistence.enabled),
    ("persistence_location", |new, old| new.persistence.location.clone_from(&old.persistence.location)),
    ("pid_file", |new, old| new.pid_file.clone_from(&old.pid_file)),
    ("user", |new, old| new.user.clone_from(&old.user)),
    ("worker_connections_min", |new, old| new.worker_connections_min = old.worker_connections_min),
    ("worker_threads", |new, old| new.worker_threads = old.worker_threads),
];

/// The same of a listener.
const KEPT_OF_LISTENER: &[(&str, Keep<Listener>)] = &[
    ("bind_interface", |new, old| new.bind_interface.clone_from(&old.bind_interface)),
    ("listener_allow_anonymous", |new, old| new.listener_allow_anonymous = old.listener_allow_anonymous),
    ("listener_auto_id_prefix", |new, old| {
        new.listener_auto_id_prefix.clone_from(&old.listener_auto_id_prefix);
    }),
    ("max_connections", |new, old| new.max_connections = old.max_connections),
    ("max_qos", |new, old| new.max_qos = old.max_qos),
    ("max_topic_alias", |new, old| new.max_topic_alias = old.max_topic_alias),
    ("max_topic_alias_broker", |new, old| new.max_topic_alias_broker = old.max_topic_alias_broker),
    ("mount_point", |new, old| new.mount_point.clone_from(&old.mount_point)),
    ("protocol", |new, old| new.protocol = old.protocol),
    ("socket_domain", |new, old| new.address.domain = old.address.domain),
    ("use_username_as_clientid", |new, old| new.use_username_as_clientid = old.use_username_as_clientid),
];

impl Config {
    /// What a broker that obeys this configuration obeys after it has `read` another one; or why it cannot: listeners can
    /// neither come, go nor move.
    pub fn reloaded(&self, read: Self) -> Result<Reloaded, Diagnostics> {
        let listeners = self.match_listeners(read.listeners)?;
        let mut config = Self { listeners, local_only: self.local_only, ..read };
        let mut kept = Vec::new();
        for (directive, keep) in KEPT {
            let before = config.clone();
            keep(&mut config, self);
            if config != before {
                kept.push(Kept { directive, listener: None });
            }
        }
        for (new, old) in config.listeners.iter_mut().zip(&self.listeners) {
            for (directive, keep) in KEPT_OF_LISTENER {
                let before = new.clone();
                keep(new, old);
                if *new != before {
                    kept.push(Kept { directive, listener: new.defined_at.clone() });
                }
            }
        }
        Ok(Reloaded { config, kept })
    }

    /// The listeners that were read, each in the place of the one that is open for it.
    fn match_listeners(&self, mut read: Vec<Listener>) -> Result<Vec<Listener>, Diagnostics> {
        let mut errors = Vec::new();
        let mut error = |problem, listener: &Listener| {
            errors.push(Diagnostic { problem, at: listener.defined_at.clone(), included_at: None });
        };
        let mut matched = Vec::new();
        for open in &self.listeners {
            // Several may differ in nothing but the kind of their addresses.
            let same = |listener: &Listener| listener.address == open.address;
            let alike = |listener: &Listener| {
                (&listener.address.host, listener.address.port) == (&open.address.host, open.address.port)
            };
            match read.iter().position(same).or_else(|| read.iter().position(alike)) {
                Some(at) => matched.push(read.remove(at)),
                None => error(reload::listener_gone(open), open),
            }
        }
        for listener in &read {
            error(reload::listener_new(listener), listener);
        }
        if errors.is_empty() { Ok(matched) } else { Err(Diagnostics { errors, more: false }) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::directive::{CHANGE_FILES, CHANGES, Change, Reload, Status, all, find};
    use crate::load::{CommandLine, parse};

    /// What only a restart can change, and what keeps a reload from being done at all.
    const LISTENERS: [&str; 3] = ["listener", "port", "bind_address"];

    fn config(text: &str) -> Config {
        let named = CHANGE_FILES.iter().map(|(name, content)| (PathBuf::from(name), *content));
        let files: Vec<(PathBuf, &[u8])> =
            std::iter::once(("m.conf".into(), text.as_bytes())).chain(named).collect();
        let loaded = parse(&files, &CommandLine::default());
        loaded.unwrap_or_else(|mistakes| panic!("{text:?}: {mistakes}")).config
    }

    /// Without the lines, which may move.
    fn values(mut config: Config) -> Config {
        config.listeners.iter_mut().for_each(|listener| listener.defined_at = None);
        config
    }

    fn is_obeyed(status: Status) -> bool {
        matches!(status, Status::Supported | Status::Only { .. })
    }

    #[test]
    fn every_directive_does_on_reload_what_its_row_says() {
        for directive in all().filter(|directive| is_obeyed(directive.status)) {
            let name = directive.name;
            let change = CHANGES.iter().find(|change| change.directive == name);
            let Some(Change { before, after, .. }) = change else { panic!("{name} is not in CHANGES") };
            let (old, new) = (config(before), config(after));
            if values(old.clone()) == values(new.clone()) {
                let has_one_value = matches!(directive.status, Status::Only { .. });
                assert!(has_one_value || name == "set_tcp_nodelay", "{name} has other values");
                continue;
            }
            let reloaded = old.reloaded(new.clone());
            if LISTENERS.contains(&name) {
                let mistakes = reloaded.expect_err(name).to_string();
                assert!(mistakes.contains("a reload cannot"), "{name}: {mistakes}");
                assert_eq!(directive.reload, Reload::Ignored, "{name}");
                continue;
            }
            let Reloaded { config, kept } = reloaded.unwrap_or_else(|mistakes| panic!("{name}: {mistakes}"));
            let kept: Vec<_> = kept.iter().map(|kept| kept.directive).collect();
            let (expected, expected_kept) = match directive.reload {
                Reload::Taken | Reload::FileReadAgain => (new, vec![]),
                Reload::Ignored => (old, vec![name]),
            };
            assert_eq!((values(config), kept), (values(expected), expected_kept), "{name}");
        }
    }

    #[test]
    fn changes_are_of_directives_that_are_obeyed() {
        for Change { directive, before, after, .. } in CHANGES {
            let row = find(directive).unwrap_or_else(|| panic!("{directive} has no row"));
            assert!(is_obeyed(row.status), "{directive} is not obeyed");
            let has = |text: &str| text.lines().any(|line| line.split(' ').next() == Some(directive));
            assert!(has(after) && before != after, "{directive}");
        }
    }

    #[test]
    fn listeners_may_change_places() {
        let old = config("listener 1\nlistener 2 a\nallow_anonymous true");
        let Reloaded { config: new, kept } =
            old.reloaded(config("listener 2 a\nmax_qos 1\nlistener 1\nallow_anonymous false")).unwrap();
        assert_eq!(
            new.listeners
                .iter()
                .map(|listener| (listener.address.port, listener.allow_anonymous))
                .collect::<Vec<_>>(),
            [(1, false), (2, false)]
        );
        assert_eq!(
            kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["'max_qos' of the listener at m.conf:1"]
        );
        let ports = config("listener 1\nsocket_domain ipv6\nlistener 1\nsocket_domain ipv4");
        let turned = config("listener 1\nsocket_domain ipv4\nlistener 1\nsocket_domain ipv6");
        assert_eq!(ports.reloaded(turned).unwrap().kept, []);
    }

    #[test]
    fn listeners_neither_come_nor_go_nor_move() {
        for (before, after, told) in [
            ("listener 1", "listener 1\nlistener 2", "m.conf:2: a reload cannot open a listener"),
            ("listener 1\nlistener 2", "listener 2", "m.conf:1: a reload cannot close a listener"),
            ("listener 1 a", "listener 1 b", "m.conf:1: a reload cannot close a listener"),
            ("listener 1883", "", "m.conf:1: a reload cannot close a listener"),
            ("", "listener 1883", "m.conf:1: a reload cannot open a listener"),
        ] {
            let mistakes = config(before).reloaded(config(after)).unwrap_err();
            assert!(mistakes.to_string().contains(told), "{before:?} {after:?}: {mistakes}");
            assert_eq!(
                mistakes.original(),
                [
                    "Error: It is not currently possible to add/remove listeners when reloading the config file."
                ]
            );
        }
    }
}
