//! What is asked of a broker: the lines of a `probes` file.

use std::fs;
use std::path::Path;

/// One line of a `probes` file. Arguments are those of Debian's clients; ports are the ones of the configuration, and
/// behind `-f` stands the number of bytes to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// `pub`, `sub` or `rr`: runs that client to its end. Seen: exit code and what it printed.
    Run {
        /// `mosquitto_pub`, `mosquitto_sub` or `mosquitto_rr`.
        client: &'static str,
        /// Its arguments.
        args: String,
    },
    /// `hear`: a `mosquitto_sub` that listens while the indented lines below it are done. Seen: what they see, the
    /// answer to the subscription, the messages.
    Hear {
        /// Its arguments.
        args: String,
        /// The indented lines.
        meanwhile: Vec<Step>,
    },
    /// `die`: a `mosquitto_sub` that has subscribed loses its connection without a DISCONNECT. Seen: whether it got
    /// that far.
    Die {
        /// Its arguments.
        args: String,
    },
    /// `replace FILE NEW`: one of the installed files gets the content of another one.
    Replace {
        /// The file the configuration names.
        file: String,
        /// The file with its new content.
        with: String,
    },
    /// `reload`: SIGHUP, and time to obey it. Seen: that the broker goes on.
    Reload,
    /// `restart`: SIGTERM, and a new start. Seen: how it ended, where it listens.
    Restart,
    /// `crash`: SIGKILL, and a new start. Seen: where it listens.
    Crash,
    /// `log FILE TEXT`: whether a line of the log has this text.
    Log {
        /// A file of the installation.
        file: String,
        /// The text.
        text: String,
    },
}

/// The steps of a file: one a line; `#` begins a comment.
///
/// # Panics
/// If the file cannot be read, or a line is none of the steps.
pub(super) fn read(path: &Path) -> Vec<Step> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut steps = Vec::new();
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let step = parse(line.trim_start());
        match (line.starts_with(' '), steps.last_mut()) {
            (false, _) => steps.push(step),
            (true, Some(Step::Hear { meanwhile, .. })) => meanwhile.push(step),
            (true, _) => panic!("{}: nobody listens to the indented line {line:?}", path.display()),
        }
    }
    steps
}

fn parse(line: &str) -> Step {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let args = rest.to_owned();
    let pair = || rest.split_once(' ').map(|(first, second)| (first.to_owned(), second.to_owned()));
    match (word, pair()) {
        ("pub", _) => Step::Run { client: "mosquitto_pub", args },
        ("sub", _) => Step::Run { client: "mosquitto_sub", args },
        ("rr", _) => Step::Run { client: "mosquitto_rr", args },
        ("hear", _) => Step::Hear { args, meanwhile: Vec::new() },
        ("die", _) => Step::Die { args },
        ("replace", Some((file, with))) => Step::Replace { file, with },
        ("log", Some((file, text))) => Step::Log { file, text },
        ("reload", None) => Step::Reload,
        ("restart", None) => Step::Restart,
        ("crash", None) => Step::Crash,
        _ => panic!(
            "{line:?} is none of pub, sub, rr, hear, die, replace FILE NEW, log FILE TEXT, reload, restart, crash"
        ),
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run { client, args } => write!(f, "{} {args}", client.trim_start_matches("mosquitto_")),
            Self::Hear { args, meanwhile } => {
                write!(f, "hear {args}")?;
                meanwhile.iter().try_for_each(|step| write!(f, " | {step}"))
            }
            Self::Die { args } => write!(f, "die {args}"),
            Self::Replace { file, with } => write!(f, "replace {file} {with}"),
            Self::Reload => f.write_str("reload"),
            Self::Restart => f.write_str("restart"),
            Self::Crash => f.write_str("crash"),
            Self::Log { file, text } => write!(f, "log {file} {text}"),
        }
    }
}
