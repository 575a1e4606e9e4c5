//! The flags.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use noctule_client::Endpoint;
use noctule_selftest::{Target, Version};

use crate::connect_args::{Server, bytes, switch, value};

const EXAMPLES: &str = "\
Examples:
  noctule selftest                                 the broker on this machine, all cases
  noctule selftest mqtt://broker.example:1883      another one
  noctule selftest --only 3.8 --only 'shared subscriptions'
  noctule selftest --mqtt 5.0 --json | jq 'select(.outcome == \"deviates\")'

The cases use topics below noctule-selftest/ and client identifiers of their own, both with a random part, and take away
again what they leave: retained messages and sessions. They may run against a broker in use; its other clients notice
nothing, except those that subscribe to everything.

A case is not applicable where the broker says that it does not offer what it is about, or refuses it.

Exit status: 0 no deviation; 1 deviations were found; 2 wrong flags, or no broker that lets the cases in.";

/// A thread each; beyond that a broker may see an attack.
const JOBS_MAX: u64 = 256;
const JOBS: u64 = 16;

pub(super) fn define(command: clap::Command) -> clap::Command {
    let [host, port, url, user_name, password] = Server::args();
    command
        .disable_help_flag(true)
        .long_about(
            "Test a broker against the MQTT standard: black-box cases over a socket, each of which cites the normative \
             statements it proves.",
        )
        .after_help(EXAMPLES)
        .arg(url.short(None).long(None).index(1).help("mqtt://[USER[:PASSWORD]@]HOST[:PORT], instead of -h -p -u -P"))
        .next_help_heading("Connection")
        .args([host, port, user_name, password])
        .next_help_heading("Cases")
        .arg(
            value("only", None, "WORDS", "Cases of this clause (3.1.2, MQTT-3.1.2-3), of this section (see --list), or with these words; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(
            value("mqtt", Some('V'), "VERSION", "Cases of this version only: 3.1.1 or 5.0")
                .value_parser(["3.1.1", "311", "mqttv311", "5", "5.0", "mqttv5"])
                .hide_possible_values(true)
                .visible_alias("protocol-version"),
        )
        .arg(switch("list", None, "List the cases, and run none"))
        .next_help_heading("Running")
        .arg(
            value("timeout", None, "SECONDS", "How long something may take that must come [default: 2]")
                .value_parser(value_parser!(f64)),
        )
        .arg(
            value("silence", None, "SECONDS", "How long to wait for nothing where no later packet can prove it [default: 0.3]")
                .value_parser(value_parser!(f64)),
        )
        .arg(
            value("jobs", None, "N", "Cases that run at the same time [default: 16]")
                .value_parser(value_parser!(u64).range(1..=JOBS_MAX)),
        )
        .next_help_heading("Output")
        .arg(switch("json", None, "A line of JSON for each case, and one for the sum"))
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Show this help"))
}

/// The command line, or the broker, does not allow a test. The text says how to mend it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Mistake(pub(super) String);

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) target: Target,
    pub(super) version: Option<Version>,
    pub(super) only: Vec<String>,
    pub(super) list: bool,
    pub(super) jobs: usize,
    pub(super) json: bool,
}

impl Request {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, Mistake> {
        let server = Server::read(matches).map_err(|failure| Mistake(failure.sentence()))?;
        let mut target = Target::new(server.endpoint.host.clone(), server.endpoint.port);
        target.user_name = server.user_name;
        target.password = bytes(matches, "pw").or(server.password.map(String::into_bytes));
        let version = matches.get_one::<String>("mqtt").map(|text| match text.contains('5') {
            true => Version::V5,
            false => Version::V311,
        });
        if target.password.is_some() && target.user_name.is_none() && version != Some(Version::V5) {
            // [MQTT311-3.1.2-22]
            return Err(Mistake(
                "-P needs a user name; give -u too, or --mqtt 5.0, which knows a password without".to_owned(),
            ));
        }
        target.patience = seconds(matches, "timeout")?.unwrap_or(target.patience);
        target.silence = seconds(matches, "silence")?.unwrap_or(target.silence);
        Ok(Self {
            endpoint: server.endpoint,
            target,
            version,
            only: matches.get_many::<String>("only").into_iter().flatten().cloned().collect(),
            list: matches.get_flag("list"),
            jobs: matches.get_one::<u64>("jobs").copied().unwrap_or(JOBS) as usize,
            json: matches.get_flag("json"),
        })
    }
}

fn seconds(matches: &ArgMatches, name: &str) -> Result<Option<Duration>, Mistake> {
    let Some(seconds) = matches.get_one::<f64>(name) else { return Ok(None) };
    match Duration::try_from_secs_f64(*seconds) {
        Ok(time) if (0.001..=3600.0).contains(seconds) => Ok(Some(time)),
        _ => Err(Mistake(format!("--{name} {seconds} is out of range; give between 0.001 and 3600 seconds"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Request, Mistake> {
        let words = [&["selftest"], words].concat();
        let matches = define(clap::Command::new("selftest")).try_get_matches_from(words).unwrap();
        Request::read(&matches)
    }

    #[test]
    fn nothing_is_the_local_broker_and_all_cases() {
        let request = read(&[]).unwrap();
        assert_eq!(request.endpoint, Endpoint::new("localhost", 1883));
        assert_eq!((request.version, request.only.len(), request.jobs), (None, 0, 16));
        assert_eq!(request.target.patience, Target::PATIENCE);
    }

    #[test]
    fn a_url_or_flags_say_where_and_who() {
        let by_url = read(&["mqtt://joe:secret@there:1884"]).unwrap();
        let by_flags = read(&["-h", "there", "-p", "1884", "-u", "joe", "-P", "secret"]).unwrap();
        for request in [by_url, by_flags] {
            assert_eq!(request.endpoint, Endpoint::new("there", 1884));
            assert_eq!(request.target.user_name.as_deref(), Some("joe"));
            assert_eq!(request.target.password.as_deref(), Some(&b"secret"[..]));
        }
        assert!(read(&["there"]).is_err());
    }

    #[test]
    fn versions_and_times() {
        assert_eq!(read(&["--mqtt", "5.0"]).unwrap().version, Some(Version::V5));
        assert_eq!(read(&["-V", "311"]).unwrap().version, Some(Version::V311));
        let request = read(&["--timeout", "0.5", "--jobs", "1", "--only", "3.8", "--only", "ping"]).unwrap();
        assert_eq!(request.target.patience, Duration::from_millis(500));
        assert_eq!((request.jobs, request.only.len()), (1, 2));
        for wrong in [["--timeout", "0"], ["--timeout", "NaN"], ["--silence", "1e9"], ["-P", "x"]] {
            assert!(read(&wrong).is_err(), "{wrong:?}");
        }
    }
}
