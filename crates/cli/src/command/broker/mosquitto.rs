//! The command line of `mosquitto`, to the letter.
//!
//! It is read word by word here and not by a parser library, because that is how the original takes it: no
//! combined flags, no `--port=1883`, a configuration file is read at once, and the first mistake ends it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use noctule_config::Diagnostics;
use noctule_server::Program;
use noctule_server::log::early_line;

use super::{EXIT_FAILED, EXIT_INVALID, PORTS_MAX, Request, exit};
use crate::say::{complain, say};

/// What the words ask for.
#[derive(Debug, Eq, PartialEq)]
enum Answer {
    Run(Request),
    Help,
    Version,
}

/// Why they are refused.
#[derive(Debug, Eq, PartialEq)]
enum Refusal {
    /// Lines that the original logs.
    Log(Vec<String>),
    /// An option that does not exist.
    Unknown(String),
    /// An option for which something is not built in.
    Unavailable(&'static str),
}

pub(super) fn run(arguments: Vec<OsString>) -> ExitCode {
    exit(start(arguments))
}

fn start(arguments: Vec<OsString>) -> Result<(), u8> {
    let log = |lines: &[String]| {
        for line in lines {
            complain(&early_line(line));
        }
    };
    let request = match parse(arguments, check) {
        Ok(Answer::Run(request)) => request,
        Ok(Answer::Help) => {
            say(&usage());
            return Ok(());
        }
        Ok(Answer::Version) => {
            say(&format!("mosquitto {}\n", Program::Mosquitto.version()));
            return Ok(());
        }
        Err(refusal) => {
            match refusal {
                Refusal::Log(lines) => log(&lines),
                Refusal::Unavailable(line) => complain(line),
                Refusal::Unknown(option) => {
                    complain(&format!("Error: Unknown option '{option}'."));
                    say(&usage());
                }
            }
            return Err(EXIT_INVALID);
        }
    };
    let loaded = request.load().map_err(|mistakes| {
        log(&told(&mistakes));
        EXIT_INVALID
    })?;
    for warning in &loaded.warnings {
        log(&warning.original());
        log(&[warning.to_string()]);
    }
    if request.test_config {
        if request.config_file.is_none() {
            log(&["Please provide a configuration file to test.".to_owned()]);
            return Err(EXIT_INVALID);
        }
        log(&["Configuration file is OK.".to_owned()]);
        return Ok(());
    }
    request.run(&loaded, Program::Mosquitto).map_err(|_| EXIT_FAILED)
}

/// The mistakes of a configuration file.
fn check(path: &Path) -> Result<(), Vec<String>> {
    let request = Request { config_file: Some(path.to_owned()), ..Request::default() };
    request.load().map(drop).map_err(|mistakes| told(&mistakes))
}

/// The original stops at the first mistake. Behind its words all of them follow, each with its line and how to mend it.
fn told(mistakes: &Diagnostics) -> Vec<String> {
    mistakes.original().into_iter().chain(mistakes.to_string().lines().map(str::to_owned)).collect()
}

/// Takes the words in order. `check` is asked about each configuration file before the next word.
fn parse(
    arguments: Vec<OsString>,
    check: impl Fn(&Path) -> Result<(), Vec<String>>,
) -> Result<Answer, Refusal> {
    let log = |line: &str| Refusal::Log(vec![line.to_owned()]);
    let mut request = Request::default();
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        match word.to_str().unwrap_or_default() {
            "-c" | "--config-file" => {
                let file = words
                    .next()
                    .ok_or_else(|| log("Error: -c argument given, but no config file specified."))?;
                check(Path::new(&file)).map_err(Refusal::Log)?;
                request.config_file = Some(file.into());
            }
            "-p" | "--port" => {
                let port =
                    words.next().ok_or_else(|| log("Error: -p argument given, but no port specified."))?;
                let number = leading_number(&port);
                let port = u16::try_from(number).ok().filter(|&port| port != 0);
                let port = port.ok_or_else(|| log(&format!("Error: Invalid port specified ({number}).")))?;
                if request.ports.len() == PORTS_MAX {
                    return Err(log(&format!(
                        "Error: Only {PORTS_MAX} ports can be specified on the command line."
                    )));
                }
                request.ports.push(port);
            }
            "-d" | "--daemon" => request.daemon = true,
            "-q" | "--quiet" => request.quiet = true,
            "-v" | "--verbose" => request.verbose = true,
            "--test-config" => request.test_config = true,
            "--tls-keylog" => {
                return Err(Refusal::Unavailable(
                    "Error: TLS support not available so --tls-keylog is not available.",
                ));
            }
            "-h" | "--help" => return Ok(Answer::Help),
            "--version" => return Ok(Answer::Version),
            _ => return Err(Refusal::Unknown(word.to_string_lossy().into_owned())),
        }
    }
    Ok(Answer::Run(request))
}

/// The number a text begins with, 0 if it does not: C's `atoi`.
fn leading_number(text: &OsStr) -> i32 {
    let text = text.as_encoded_bytes().trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number =
        digits.fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    // Cut, not rounded, as the original's conversion from long to int does.
    (if negative { -number } else { number }) as i32
}

fn usage() -> String {
    format!(
        "\
mosquitto version {version}

mosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.

Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-v]
                 [--tls-keylog file]

 -c : specify the broker config file.
 -d : put the broker into the background after starting.
 -h : display this help.
 -p : start the broker listening on the specified port.
      Not recommended in conjunction with the -c option.
 -q : quiet mode - disable all logging types. This overrides
      any logging options given in the config file, and -v.
 -v : verbose mode - enable all logging types. This overrides
      any logging options given in the config file.
 --test-config : test config file and exit
 --tls-keylog : log TLS connection information to a file, to allow
      debugging with e.g. wireshark. Do not use on a production
      server.

See https://mosquitto.org/ for more information.

",
        version = Program::Mosquitto.version()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Answer, Refusal> {
        let check = |path: &Path| {
            if path == Path::new("bad.conf") {
                Err(vec!["Error found at bad.conf:1.".to_owned()])
            } else {
                Ok(())
            }
        };
        super::parse(words.iter().map(OsString::from).collect(), check)
    }

    fn refused(words: &[&str], line: &str) {
        assert_eq!(parse(words), Err(Refusal::Log(vec![line.to_owned()])), "{words:?}");
    }

    #[test]
    fn every_option_short_and_long() {
        let expected = Request {
            config_file: Some("a.conf".into()),
            ports: vec![1884, 1885],
            verbose: true,
            quiet: true,
            daemon: true,
            data: None,
            test_config: true,
        };
        let short = ["-c", "a.conf", "-p", "1884", "-p", "1885", "-d", "-q", "-v", "--test-config"];
        let long = [
            "--config-file",
            "a.conf",
            "--port",
            "1884",
            "--port",
            "1885",
            "--daemon",
            "--quiet",
            "--verbose",
            "--test-config",
        ];
        assert_eq!(parse(&long), parse(&short));
        assert_eq!(parse(&short), Ok(Answer::Run(expected)));
        assert_eq!(parse(&[]), Ok(Answer::Run(Request::default())));
        assert_eq!(parse(&["-h", "--nonsense"]), Ok(Answer::Help));
        assert_eq!(parse(&["--version"]), Ok(Answer::Version));
    }

    #[test]
    fn mosquittos_refusals() {
        refused(&["-c"], "Error: -c argument given, but no config file specified.");
        refused(&["-p"], "Error: -p argument given, but no port specified.");
        refused(&["-p", "0"], "Error: Invalid port specified (0).");
        refused(&["-p", "65536"], "Error: Invalid port specified (65536).");
        refused(&["-p", "http"], "Error: Invalid port specified (0).");
        refused(&["-p", "-5"], "Error: Invalid port specified (-5).");
        refused(&["-p", "1"].repeat(11), "Error: Only 10 ports can be specified on the command line.");
        for option in ["--unknown", "-vq", "-p1883", "--port=1883", "word", ""] {
            assert_eq!(parse(&[option]), Err(Refusal::Unknown(option.to_owned())));
        }
    }

    #[test]
    fn a_configuration_file_is_read_before_the_next_word() {
        refused(&["-c", "bad.conf", "--unknown"], "Error found at bad.conf:1.");
        assert!(matches!(parse(&["--unknown", "-c", "bad.conf"]), Err(Refusal::Unknown(_))));
    }

    #[test]
    fn numbers_as_in_c() {
        for (text, number) in
            [("1883", 1883), (" 1883x", 1883), ("+7", 7), ("-7", -7), ("", 0), ("4294967297", 1)]
        {
            assert_eq!(leading_number(OsStr::new(text)), number, "{text:?}");
        }
    }

    #[test]
    fn the_usage_begins_with_the_version() {
        assert!(usage().starts_with("mosquitto version 2.1.2 (noctule "));
    }
}
