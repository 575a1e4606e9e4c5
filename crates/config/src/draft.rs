//! A configuration while its files are read: blocks that are still open, and values nobody gave yet.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::access;
use crate::config::{Config, ListenAddress, Listener, SocketDomain};
use crate::diagnostic::Position;
use crate::directive::{Directive, Scope};
use crate::load::CommandLine;
use crate::log::{LogTypes, Timestamp};
use crate::problem::{Problem, block};
use crate::value::{LogDestination, Value};

/// What was read up to now.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// What is for the whole broker; its listeners and log are filled in by [`Draft::finish`].
    pub(crate) config: Config,
    /// In the order they were opened.
    pub(crate) listeners: Vec<ListenerDraft>,
    /// The one of `listeners` that no `listener` line opened.
    pub(crate) default_listener: Option<usize>,
    /// A `listener`, `port` or `bind_address` was read.
    pub(crate) told_where_to_listen: bool,
    /// What security directives say for the whole broker.
    pub(crate) security: Security,
    /// The first security directive, which `per_listener_settings true` must precede.
    pub(crate) first_security: Option<&'static str>,
    /// Security directives are for one listener each.
    pub(crate) per_listener_settings: bool,
    /// What the log was told.
    pub(crate) log: LogDraft,
    /// In the order they were opened.
    pub(crate) bridges: Vec<BridgeDraft>,
    /// Plugins opened, with a name or without.
    pub(crate) plugins: usize,
    /// The ones of them that are Mosquitto's store in SQLite, for which the built-in store stands in.
    pub(crate) store_plugins: Vec<usize>,
    /// Names of loaded plugins.
    pub(crate) plugin_names: Vec<String>,
    /// Where each directive was given last, block by block.
    pub(crate) given: HashMap<(Block, &'static str), Position>,
}

/// A listener and what only its block says.
#[derive(Debug)]
pub(crate) struct ListenerDraft {
    pub(crate) listener: Listener,
    pub(crate) security: Security,
    /// `enable_proxy_protocol 2`
    pub(crate) proxy_v2: bool,
    /// `use_subject_as_username true`
    pub(crate) subject_is_username: bool,
}

impl ListenerDraft {
    fn new(listener: Listener) -> Self {
        Self { listener, security: Security::default(), proxy_v2: false, subject_is_username: false }
    }
}

/// What security directives can say for the whole broker or for one listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    pub(crate) allow_anonymous: Option<bool>,
    pub(crate) allow_zero_length_clientid: Option<bool>,
    pub(crate) auto_id_prefix: Option<String>,
    pub(crate) acl_file: Option<String>,
    pub(crate) password_file: Option<String>,
    pub(crate) psk_file: Option<String>,
    /// What these files say, once they were read.
    pub(crate) files: access::Files,
}

/// What must hold between bridges.
#[derive(Debug, Default)]
pub(crate) struct BridgeDraft {
    pub(crate) name: String,
    pub(crate) local_clientid: Option<String>,
    pub(crate) remote_clientid: Option<String>,
}

/// What the log was told; `None` leaves the default.
#[derive(Debug, Default)]
pub(crate) struct LogDraft {
    /// Nothing was said of them, or which ones are left behind a `none`.
    pub(crate) destinations: Option<Vec<LogDestination>>,
    /// A file was named, even if a `none` came behind it.
    pub(crate) has_file: bool,
    pub(crate) types: Option<LogTypes>,
    pub(crate) without_timestamp: bool,
    pub(crate) timestamp_format: Option<String>,
}

/// What a directive is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Block {
    Broker,
    Listener(usize),
    Bridge(usize),
    Plugin(usize),
}

/// The blocks that are open at a line. Every file starts with none.
#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) listener: Option<usize>,
    pub(crate) bridge: Option<usize>,
    pub(crate) plugin: Option<usize>,
}

impl Draft {
    /// The block that `directive`, spelled as `name`, is for at this place. May open it.
    pub(crate) fn block(
        &mut self,
        directive: &Directive,
        name: &str,
        open: &mut Open,
        at: &Position,
        notes: &mut Vec<Problem>,
    ) -> Result<Block, Problem> {
        let block = match directive.scope {
            Scope::Global => Block::Broker,
            Scope::OpensListener => {
                self.told_where_to_listen = true;
                Block::Listener(*open.listener.insert(self.open_listener(at)))
            }
            Scope::DefaultListener => {
                self.told_where_to_listen = true;
                let index = self.default_listener.unwrap_or_else(|| self.open_default_listener(at));
                Block::Listener(*open.listener.insert(index))
            }
            Scope::Listener => Block::Listener(match open.listener {
                Some(index) => index,
                None => {
                    let index = self.default_listener.unwrap_or_else(|| {
                        notes.push(block::default_listener(name));
                        self.open_default_listener(at)
                    });
                    *open.listener.insert(index)
                }
            }),
            Scope::InListener => Block::Listener(open.listener.ok_or_else(|| block::needs_listener(name))?),
            Scope::InOwnListener => {
                let own = open.listener.filter(|index| Some(*index) != self.default_listener);
                Block::Listener(own.ok_or_else(|| block::needs_listener(name))?)
            }
            Scope::Security if self.per_listener_settings => {
                Block::Listener(open.listener.ok_or_else(|| block::needs_listener(name))?)
            }
            Scope::Security => Block::Broker,
            Scope::OpensBridge => {
                self.bridges.push(BridgeDraft::default());
                Block::Bridge(*open.bridge.insert(self.bridges.len() - 1))
            }
            Scope::Bridge => Block::Bridge(open.bridge.ok_or_else(|| block::needs_bridge(name))?),
            Scope::Plugin => Block::Plugin(open.plugin.ok_or_else(|| block::needs_plugin(name))?),
        };
        if directive.scope == Scope::Security || directive.name == "global_plugin" {
            self.first_security.get_or_insert(directive.name);
        }
        if matches!(directive.name, "plugin" | "global_plugin" | "plugin_load" | "plugin_use") {
            self.plugins += 1;
            open.plugin = Some(self.plugins);
        }
        Ok(block)
    }

    /// Whether a line is about Mosquitto's store in SQLite. It selects the built-in store, which takes over the database
    /// that one option names; the others mean nothing, and that is told.
    pub(crate) fn is_of_store(
        &mut self,
        name: &str,
        block: Block,
        value: &Value,
        notes: &mut Vec<Problem>,
    ) -> bool {
        if let Block::Plugin(plugin) = block {
            let is_its_option = self.store_plugins.contains(&plugin);
            match (name, value) {
                ("plugin_opt_db_file" | "auth_opt_db_file", Value::Text(path)) if is_its_option => {
                    self.config.persistence.sqlite_file = Some(path.into());
                }
                _ if is_its_option => notes.push(block::store_plugin_option(name)),
                _ => {}
            }
            return is_its_option;
        }
        let path = match (name, value) {
            ("plugin" | "auth_plugin" | "global_plugin", Value::Text(path)) => path,
            ("plugin_load", Value::PluginLoad { path, .. }) => path,
            _ => return false,
        };
        let file = Path::new(path).file_name().and_then(OsStr::to_str).unwrap_or_default();
        let is_store = file.contains("persist_sqlite");
        if is_store {
            self.store_plugins.push(self.plugins);
        }
        is_store
    }

    fn open_listener(&mut self, at: &Position) -> usize {
        // `listener` gives the port; until then, and if it cannot, it is the default one.
        let address = ListenAddress { host: None, port: 1883, domain: SocketDomain::Any };
        let listener = Listener { defined_at: Some(at.clone()), ..Listener::new(address) };
        self.listeners.push(ListenerDraft::new(listener));
        self.listeners.len() - 1
    }

    fn open_default_listener(&mut self, at: &Position) -> usize {
        let index = self.open_listener(at);
        self.default_listener = Some(index);
        index
    }

    /// The listener of a block.
    pub(crate) fn listener(&mut self, block: Block) -> Option<&mut ListenerDraft> {
        match block {
            Block::Listener(index) => self.listeners.get_mut(index),
            Block::Broker | Block::Bridge(_) | Block::Plugin(_) => None,
        }
    }

    /// What security directives say in this block.
    pub(crate) fn security(&mut self, block: Block) -> &mut Security {
        match block {
            Block::Listener(index) => match self.listeners.get_mut(index) {
                Some(draft) => &mut draft.security,
                None => &mut self.security,
            },
            Block::Broker | Block::Bridge(_) | Block::Plugin(_) => &mut self.security,
        }
    }

    /// The configuration, once everything was read.
    pub(crate) fn finish(mut self, command_line: &CommandLine) -> Config {
        let local_only = !self.told_where_to_listen;
        let mut drafts = std::mem::take(&mut self.listeners);
        if local_only {
            drafts = loopback(drafts.pop(), &command_line.ports);
        }
        let listeners = drafts
            .into_iter()
            .map(|ListenerDraft { listener, security: own, .. }| Listener {
                allow_anonymous: own.allow_anonymous.or(self.security.allow_anonymous).unwrap_or(local_only),
                allow_zero_length_clientid: own
                    .allow_zero_length_clientid
                    .or(self.security.allow_zero_length_clientid)
                    .unwrap_or(listener.allow_zero_length_clientid),
                auto_id_prefix: own
                    .auto_id_prefix
                    .or_else(|| self.security.auto_id_prefix.clone())
                    .unwrap_or(listener.auto_id_prefix),
                acl_file: own.files.acl.or_else(|| self.security.files.acl.clone()),
                password_file: own.files.passwords.or_else(|| self.security.files.passwords.clone()),
                ..listener
            })
            .collect();
        let mut config = Config { listeners, local_only, ..self.config };

        if let Some(destinations) = self.log.destinations {
            config.log.stdout = destinations.contains(&LogDestination::Stdout);
            config.log.stderr = destinations.contains(&LogDestination::Stderr);
            config.log.syslog = destinations.contains(&LogDestination::Syslog);
            config.log.topic = destinations.contains(&LogDestination::Topic);
            config.log.file = destinations.into_iter().find_map(|destination| match destination {
                LogDestination::File(path) => Some(PathBuf::from(path)),
                _ => None,
            });
        }
        config.log.types = match (command_line.quiet, command_line.verbose) {
            (true, _) => LogTypes::NONE,
            (false, true) => LogTypes::ALL,
            (false, false) => self.log.types.unwrap_or_default(),
        };
        config.log.timestamp = match self.log.timestamp_format {
            _ if self.log.without_timestamp => Timestamp::None,
            Some(format) => Timestamp::Format(format),
            None => Timestamp::UnixSeconds,
        };
        if let Some(location) = &command_line.persistence_location {
            config.persistence.location = Some(location.clone());
        }
        config.persistence.enabled |= !self.store_plugins.is_empty();
        if let Some(data) = &command_line.data {
            config.persistence.enabled = true;
            config.persistence.data = Some(data.clone());
        }
        config
    }
}

/// The listeners of local only mode: two for each port of the command line, with the options of a default
/// listener that no line asked for.
fn loopback(default_listener: Option<ListenerDraft>, ports: &[u16]) -> Vec<ListenerDraft> {
    let ports = if ports.is_empty() { &[1883] } else { ports };
    let listeners = ports.iter().flat_map(|port| Listener::loopback(*port));
    let Some(ListenerDraft { listener: options, security, .. }) = default_listener else {
        return listeners.map(ListenerDraft::new).collect();
    };
    listeners
        .zip([SocketDomain::Ipv4, SocketDomain::Ipv6].into_iter().cycle())
        .filter(|(_, domain)| [SocketDomain::Any, *domain].contains(&options.address.domain))
        .map(|(loopback, _)| ListenerDraft {
            security: security.clone(),
            ..ListenerDraft::new(Listener { address: loopback.address, ..options.clone() })
        })
        .collect()
}
