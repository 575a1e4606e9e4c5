//! The reference page of all directives, made from the table.

use std::fmt::Write as _;

use super::{Directive, Reload, SECTIONS, Scope, Status};
use crate::value::{Outside, Repeat, Takes};

const INTRODUCTION: &str = "\
# Configuration

The broker reads `mosquitto.conf`, the configuration file of Eclipse Mosquitto, with its grammar:

- A line is a directive, a blank, and its value. Blanks separate, tabs do not.
- A `#` makes a comment only as the very first character of a line, or behind a number or word.
- `true` and `false` may be written as `1` and `0`; numbers also in C's hexadecimal (`0x10`) and octal (`010`).
- `listener` opens a block: the lines below it are for that listener, until the next `listener`. `connection` does
  the same for bridges. An included file starts without an open block.
- Without any `listener`, the broker listens on 127.0.0.1 and ::1 only, on port 1883, and clients may be anonymous.
- Whatever the broker does not know or does not support yet keeps it from starting, and all mistakes of all files
  are told at once: file, line, what is wrong, and how to mend it.

*Block* says where a directive may stand: *anywhere*; in a listener's block, where *listener* means that before the
first block it is for a default listener on port 1883; in a *bridge*'s block; behind a *plugin*. *Security*
directives may stand anywhere, and are for the whole broker; with `per_listener_settings true` they stand in a
listener's block and are for that one. *Reload* says whether SIGHUP takes a changed value. What a reload cannot change
stays as it was, and the log names it; a file with a mistake, or with a listener more or less, changes nothing at all.
";

/// The page, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, directives) in SECTIONS {
        page.push_str("\n## ");
        page.push_str(title);
        page.push_str(
            "\n\n| directive | value | default | block | reload | meaning |\n|---|---|---|---|---|---|\n",
        );
        for directive in directives {
            page.push_str(&row(directive));
        }
    }
    page
}

fn row(directive: &Directive) -> String {
    let default = match directive.default {
        "" => String::new(),
        default => format!("`{default}`"),
    };
    let reload = match directive.reload {
        Reload::Taken => "yes",
        Reload::Ignored => "no",
        Reload::FileReadAgain => "file is read again",
    };
    format!(
        "| {} | {} | {default} | {} | {reload} | {} |\n",
        names(directive),
        value(directive.takes),
        block(directive.scope),
        meaning(directive)
    )
}

fn names(directive: &Directive) -> String {
    let mut names = format!("`{}`", directive.name);
    for alias in directive.aliases {
        // Writing to a String cannot fail.
        let _ = write!(names, ", `{alias}`");
    }
    names
}

fn meaning(directive: &Directive) -> String {
    let mut meaning = match directive.status {
        Status::Supported => directive.help.to_owned(),
        Status::Only { accepted, waits_for } => {
            format!("{}. **Up to now only** {accepted}; the rest waits for {waits_for}", directive.help)
        }
        Status::NotYet(waits_for) => format!("{}. **Not yet**: it waits for {waits_for}", directive.help),
        Status::Removed(why) => format!("{}. **No effect**: {why}", directive.help),
    };
    if let Some(instead) = directive.deprecated {
        let _ = write!(meaning, ". **Deprecated**: {instead}");
    }
    meaning
}

fn block(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "anywhere",
        Scope::OpensListener | Scope::DefaultListener => "anywhere, opens a listener's",
        Scope::Listener => "listener",
        Scope::InListener => "in a listener's only",
        Scope::InOwnListener => "in a `listener`'s only",
        Scope::Security => "security",
        Scope::OpensBridge => "anywhere, opens a bridge's",
        Scope::Bridge => "bridge",
        Scope::Plugin => "plugin",
    }
}

fn value(takes: Takes) -> String {
    match takes {
        Takes::Flag => "true, false".to_owned(),
        Takes::Number { min, max, outside } => match (min, max) {
            (..0, _) => "number".to_owned(),
            (_, i64::MAX) => format!("number from {min}"),
            _ if outside == Outside::Raise => format!("{min} to {max}; less is {min}"),
            _ => format!("{min} to {max}"),
        },
        Takes::Text(repeat) => repeatable("text", repeat),
        Takes::IdPrefix => "text of at most 50 bytes".to_owned(),
        Takes::TopicPrefix => "topic".to_owned(),
        Takes::Path(repeat) => repeatable("path", repeat),
        Takes::Word(words) => words.join(", "),
        Takes::Name => "name".to_owned(),
        Takes::ProtocolVersions => "list of 3, 4, 5".to_owned(),
        Takes::Span => "number and s, h, d, w, m or y".to_owned(),
        Takes::Listener => "port [address]".to_owned(),
        Takes::LogDestination => "stdout, stderr, file PATH, syslog, topic, none".to_owned(),
        Takes::LogTypeName => "type, all or none".to_owned(),
        Takes::PluginLoad => "name path".to_owned(),
        Takes::PluginOption => "text".to_owned(),
        Takes::BridgeAddresses => "host[:port] ...".to_owned(),
        Takes::BridgeTopic => "pattern [out, in or both [qos [local remote]]]".to_owned(),
        Takes::RestartTimeout => "seconds, or base cap [stable]".to_owned(),
        Takes::TcpKeepalive => "idle interval count".to_owned(),
        Takes::Ignored => String::new(),
    }
}

fn repeatable(what: &str, repeat: Repeat) -> String {
    match repeat {
        Repeat::Refuse | Repeat::Replace => what.to_owned(),
        Repeat::Add => format!("{what}, repeatable"),
    }
}
