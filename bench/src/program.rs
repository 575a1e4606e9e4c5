//! Which broker, as the user names it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};

use crate::scenario::Chosen;

/// A program and how it shall run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    /// What the table calls it.
    pub(crate) label: String,
    path: Option<PathBuf>,
    /// Shards or threads; ours and NATS can be told.
    pub(crate) threads: usize,
    /// The cores it is held to, in the words of taskset, instead of core 0.
    pub(crate) cores: Option<String>,
    /// Lines for its configuration file.
    pub(crate) config: Vec<String>,
    /// The relay writes what it acknowledges to a raw log.
    pub(crate) has_log: bool,
    /// How often NATS syncs what it stores.
    pub(crate) sync_interval: Option<String>,
}

/// The brokers that are known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The ceiling.
    Relay,
    Noctule,
    Mosquitto,
    Rumqttd,
    Nats,
}

/// A kind, the word for it, and how its program's name begins.
const KINDS: &[(Kind, &str, &str)] = &[
    (Kind::Relay, "relay", "relay"),
    (Kind::Noctule, "noctule", "noctule"),
    (Kind::Mosquitto, "mosquitto", "mosquitto"),
    (Kind::Rumqttd, "rumqttd", "rumqttd"),
    (Kind::Nats, "nats", "nats-server"),
];

impl Kind {
    /// Whether a failure is ours to mend.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Relay | Self::Noctule)
    }

    /// Why a scenario is not for it.
    pub(crate) fn lack(self, chosen: &Chosen) -> Option<&'static str> {
        match self {
            // It can take messages that nobody will ask for, but not keep them.
            Self::Relay if !chosen.scenario.has_ceiling && chosen.flag("keep").is_none() => Some("–"),
            Self::Nats if chosen.protocol_level() == 5 => Some("no MQTT 5"),
            Self::Nats if chosen.scenario.name == "shared0" => Some("no shared subscriptions"),
            _ => None,
        }
    }
}

impl FromStr for Program {
    type Err = String;

    /// `WHAT` or `WHAT:OPTION,OPTION…`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (what, options) = text.split_once(':').unwrap_or((text, ""));
        let named = KINDS.iter().find(|(_, word, _)| *word == what);
        let path = Path::new(what);
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let &(kind, word, _) = named
            .or_else(|| KINDS.iter().skip(1).find(|(_, _, program)| file_name.contains(program)))
            .ok_or_else(|| {
                format!(
                    "`{what}` is no broker known here: name relay, noctule, mosquitto, rumqttd or nats, or the path of \
                     a program whose name has noctule, mosquitto, rumqttd or nats-server in it"
                )
            })?;
        let mut program = Self {
            kind,
            label: word.to_owned(),
            path: named.is_none().then(|| path.to_owned()),
            threads: 1,
            cores: None,
            config: Vec::new(),
            has_log: false,
            sync_interval: None,
        };
        let mut label = None;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("`{option}` is no option: write KEY=VALUE behind the colon"))?;
            match key {
                "name" => label = Some(value.to_owned()),
                "cores" => program.cores = Some(value.to_owned()),
                "threads" => {
                    program.threads = value
                        .parse()
                        .ok()
                        .filter(|&threads| threads > 0)
                        .ok_or_else(|| format!("`{value}` is no number of threads: it starts at 1"))?;
                }
                "log" if kind == Kind::Relay => program.has_log = value == "yes",
                "sync_interval" if kind == Kind::Nats => program.sync_interval = Some(value.to_owned()),
                _ if matches!(kind, Kind::Noctule | Kind::Mosquitto) => {
                    program.config.push(format!("{key} {value}"));
                }
                _ => {
                    return Err(format!("`{key}` is no option of {word}: there are name, cores and threads"));
                }
            }
        }
        program.label = label.unwrap_or_else(|| match options {
            "" => word.to_owned(),
            options => format!("{word} {}", options.replace(',', " ")),
        });
        Ok(program)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Program {
    /// Where it is: as named, or where `bench/peers/install`, Debian or cargo has put it.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let this = std::env::current_exe().context("find this program")?;
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join(".peers");
        let (path, mend) = match self.kind {
            Kind::Relay => return Ok(this),
            Kind::Noctule => {
                (this.with_file_name("noctule"), "build it with `cargo build --release -p noctule-cli`")
            }
            Kind::Mosquitto => (PathBuf::from("/usr/sbin/mosquitto"), "run `bench/peers/install mosquitto`"),
            Kind::Rumqttd => (peers.join("rumqttd"), "run `bench/peers/install rumqttd`"),
            Kind::Nats => (peers.join("nats-server"), "run `bench/peers/install nats`"),
        };
        match path.exists() {
            true => Ok(path),
            false => anyhow::bail!("there is no {}; {mend}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_word_or_a_path_with_options() {
        let program: Program =
            "target/release/noctule:threads=2,cores=0-1,memory_limit=1000".parse().unwrap();
        assert_eq!(program.kind, Kind::Noctule);
        assert_eq!(program.label, "noctule threads=2 cores=0-1 memory_limit=1000");
        assert_eq!((program.threads, program.cores.as_deref()), (2, Some("0-1")));
        assert_eq!(program.config, ["memory_limit 1000"]);
        assert_eq!(program.path().unwrap(), Path::new("target/release/noctule"));

        let named: Program = "noctule:threads=2,name=two shards".parse().unwrap();
        assert_eq!(named.label, "two shards");
        assert_eq!("/opt/bin/nats-server".parse::<Program>().unwrap().kind, Kind::Nats);
    }

    #[test]
    fn what_is_no_broker_is_told() {
        for text in ["vernemq", "/usr/bin/relay", "noctule:threads=0", "noctule:threads", "rumqttd:log=on"] {
            assert!(text.parse::<Program>().is_err(), "{text}");
        }
    }
}
