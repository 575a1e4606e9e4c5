//! `noctule broker`.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use noctule_server::Program;

use super::state_directory::state_directory;
use super::{EXIT_FAILED, EXIT_INVALID, PORTS_MAX, Request, exit};
use crate::say::{complain, say};

pub(super) fn flags(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Run a broker.\n\nWithout a configuration file it listens on this machine's loopback addresses only, \
             port 1883, and anonymous clients are welcome; sessions, queued and retained messages are kept in \
             $XDG_STATE_HOME/noctule (~/.local/state/noctule). A configuration file is a mosquitto.conf; with one, \
             nothing is kept unless it says `persistence true` or --data names a directory.",
        )
        .after_help(
            "Exit status: 0 ended by SIGTERM, SIGINT or as asked; 1 cannot listen or cannot go on; \
             2 wrong flags; 3 wrong configuration.",
        )
        .arg(
            Arg::new("config-file")
                .short('c')
                .long("config-file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Read this mosquitto.conf"),
        )
        .arg(
            Arg::new("port")
                .short('p')
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16).range(1..))
                .action(ArgAction::Append)
                .help("Listen on this loopback port; may be repeated; ignored if the file has listeners"),
        )
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Keep everything in this directory, and make it if it is not there"),
        )
        .arg(flag("verbose", Some('v'), "Log everything, whatever the file says"))
        .arg(flag("quiet", Some('q'), "Log nothing, whatever the file says"))
        .arg(flag("daemon", Some('d'), "Go into the background"))
        .arg(flag("test-config", None, "Only check the configuration file"))
}

fn flag(name: &'static str, short: Option<char>, help: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
}

pub(super) fn run(matches: &ArgMatches) -> ExitCode {
    exit(start(request(matches)))
}

fn request(matches: &ArgMatches) -> Request {
    Request {
        config_file: matches.get_one::<PathBuf>("config-file").cloned(),
        ports: matches.get_many::<u16>("port").into_iter().flatten().copied().collect(),
        verbose: matches.get_flag("verbose"),
        quiet: matches.get_flag("quiet"),
        daemon: matches.get_flag("daemon"),
        data: matches.get_one::<PathBuf>("data").cloned(),
        test_config: matches.get_flag("test-config"),
    }
}

fn start(mut request: Request) -> Result<(), u8> {
    let refuse = |text: String| {
        complain(&text);
        EXIT_INVALID
    };
    if request.ports.len() > PORTS_MAX {
        return Err(refuse(format!(
            "error: at most {PORTS_MAX} ports can be given with -p; name more listeners in a configuration file"
        )));
    }
    if request.test_config && request.config_file.is_none() {
        return Err(refuse("error: there is no configuration file to test; name one with -c".to_owned()));
    }
    if request.config_file.is_none() && request.data.is_none() {
        request.data = Some(state_directory(|name| env::var_os(name)).ok_or_else(|| {
            refuse(
                "error: there is no directory to keep data in, as the environment has neither XDG_STATE_HOME nor HOME; \
                 name one with --data, or a configuration file with -c"
                    .to_owned(),
            )
        })?);
    }
    let loaded = request.load().map_err(|mistakes| refuse(mistakes.to_string()))?;
    for warning in &loaded.warnings {
        complain(&warning.to_string());
    }
    if request.test_config {
        say("Configuration file is OK.\n");
        return Ok(());
    }
    request.run(&loaded, Program::Noctule).map_err(|error| {
        match error.hint() {
            Some(hint) => complain(&format!("error: {error}; {hint}")),
            None => complain(&format!("error: {error}")),
        }
        EXIT_FAILED
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Request, clap::error::ErrorKind> {
        let words = [&["broker"], arguments].concat();
        let matches = flags(clap::Command::new("broker")).try_get_matches_from(words);
        matches.map(|matches| request(&matches)).map_err(|error| error.kind())
    }

    #[test]
    fn nothing_is_a_loopback_broker() {
        assert_eq!(parse(&[]), Ok(Request::default()));
    }

    #[test]
    fn every_flag_short_and_long() {
        let expected = Request {
            config_file: Some("a.conf".into()),
            ports: vec![1884, 1885],
            verbose: true,
            quiet: true,
            daemon: true,
            data: Some("state".into()),
            test_config: true,
        };
        let short = ["-c", "a.conf", "-p", "1884", "-p1885", "-vqd", "--data", "state", "--test-config"];
        let long = [
            "--config-file=a.conf",
            "--port=1884",
            "--port",
            "1885",
            "--verbose",
            "--quiet",
            "--daemon",
            "--data=state",
            "--test-config",
        ];
        assert_eq!(parse(&short).as_ref(), Ok(&expected));
        assert_eq!(parse(&long), Ok(expected));
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        for wrong in ["0", "65536", "http", "-1"] {
            assert!(parse(&["--port", wrong]).is_err(), "{wrong}");
        }
    }
}
