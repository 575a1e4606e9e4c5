//! `noctule sub`: subscribe, and print what arrives.

mod output;
mod request;
mod session;

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::Command;
use crate::connect_args::{self, qos, switch, value};
use request::Request;

pub(super) const COMMAND: Command = Command {
    name: "sub",
    about: "Subscribe, and print the messages that arrive",
    flags,
    run,
    exit_wrong_flags: crate::failure::exit::OTHER,
    program: None,
};

const AFTER_HELP: &str = r"Format of -F: %[-|0][WIDTH][.PRECISION]C with C one of
  t topic            p payload          l payload length   x X payload in hex (%:x: with colons)
  q QoS              r retain flag      m packet id        j J JSON: payload as text, as JSON
  I ISO 8601 time    U Unix time        % percent sign     d f payload as double, as float
  A topic alias      C content type     D correlation      E message expiry
  F payload format   P user properties  R response topic   S subscription identifier
@X is the conversion %X of strftime, @N nanoseconds, @@ an at sign.
\\ \0 \a \e \n \r \t \v are characters.

Exit status: 0 ended by -C, -E, --retained-only, a signal or a closed output; 1 wrong usage, or no
broker there; 7 connection lost for good; 27 the time of -W ran out; otherwise the code of the broker
that refused the connection: 5 (MQTT 3.1.1) and 135 (MQTT 5) are not authorised.";

fn flags(command: clap::Command) -> clap::Command {
    let many = |name, short, value_name, help| {
        value(name, Some(short), value_name, help).action(ArgAction::Append).allow_hyphen_values(true)
    };
    let command = command
        .long_about("Subscribe to topics, and print the messages that arrive.")
        .after_help(AFTER_HELP)
        .arg(many("topic", 't', "FILTER", "Subscribe to this; may be repeated"))
        .arg(many("filter-out", 'T', "FILTER", "Do not print what matches this; may be repeated"))
        .arg(many("unsubscribe", 'U', "FILTER", "Unsubscribe from this; may be repeated"))
        .arg(qos("Messages arrive at this QoS or lower: 0, 1 or 2 [default: 0]"))
        .arg(
            Arg::new("count")
                .short('C')
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .help("End after so many messages"),
        )
        .arg(
            Arg::new("timeout")
                .short('W')
                .value_name("SECONDS")
                .value_parser(value_parser!(u32).range(1..))
                .help("End after this time, with status 27"),
        )
        .arg(
            Arg::new("exit-after-sub")
                .short('E')
                .action(ArgAction::SetTrue)
                .help("End when the broker has acknowledged the subscriptions"),
        )
        .arg(
            Arg::new("no-retain")
                .short('R')
                .action(ArgAction::SetTrue)
                .help("Do not print retained messages"),
        )
        .arg(
            switch("retained-only", None, "End at the first message that is not a retained one")
                .conflicts_with("no-retain"),
        )
        .arg(switch("remove-retained", None, "Clear the retained messages that arrive, but not those of -T"))
        .arg(switch(
            "retain-as-published",
            None,
            "Messages keep the retain flag they were published with (MQTT 5)",
        ))
        .arg(
            value(
                "retain-handling",
                None,
                "WHEN",
                "Whether retained messages are sent: always, new or never (MQTT 5)",
            )
            .value_parser(["always", "new", "never"])
            .hide_possible_values(true),
        )
        .arg(
            value("format", Some('F'), "FORMAT", "How to print a message: see below")
                .allow_hyphen_values(true),
        )
        .arg(switch("verbose", Some('v'), "Print the topic before the message; -F goes before"))
        .arg(
            Arg::new("no-newline")
                .short('N')
                .action(ArgAction::SetTrue)
                .help("Do not end the line after a message"),
        );
    connect_args::add(command)
}

fn run(matches: &ArgMatches) -> ExitCode {
    let quiet = matches.get_flag("quiet");
    match Request::read(matches).and_then(|request| session::run(&request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("sub", quiet),
    }
}
