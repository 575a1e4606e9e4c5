//! `noctule selftest`: whether a broker keeps to the standard, clause by clause. The cases are the crate `selftest`'s;
//! here is what the command line asks for, and how the outcome is told.

mod flags;
mod report;

use std::process::ExitCode;

use clap::ArgMatches;
use noctule_selftest::{Outcome, Unreachable, Verdict, choose, run as run_cases};

use super::{Command, EXIT_WRONG_FLAGS};
use crate::say::{complain, say};
use flags::{Mistake, Request};

pub(super) const COMMAND: Command = Command {
    name: "selftest",
    about: "Test a broker against the MQTT standard",
    flags: flags::define,
    run,
    exit_wrong_flags: EXIT_WRONG_FLAGS,
    program: None,
};

/// At least one case found what the standard does not allow.
const EXIT_DEVIATIONS: u8 = 1;
/// There was no broker, or it let nobody in; or the command line is wrong.
const EXIT_COULD_NOT_RUN: u8 = EXIT_WRONG_FLAGS;

fn run(matches: &ArgMatches) -> ExitCode {
    match carry_out(matches) {
        Ok(code) => code,
        Err(Mistake(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::from(EXIT_COULD_NOT_RUN)
        }
    }
}

fn carry_out(matches: &ArgMatches) -> Result<ExitCode, Mistake> {
    let request = Request::read(matches)?;
    let chosen = choose(request.version, &request.only);
    if chosen.is_empty() {
        return Err(Mistake(format!(
            "no case is meant by {}; `noctule selftest --list` shows all",
            request.only.join(" or ")
        )));
    }
    if request.list {
        let line = if request.json { report::listed_json } else { report::listed };
        say(&chosen.iter().map(line).collect::<String>());
        return Ok(ExitCode::SUCCESS);
    }
    let outcomes = run_cases(&request.target, &chosen, request.jobs)
        .map_err(|error| Mistake(unreachable(&request, &error)))?;
    say(&if request.json { report::json(&outcomes) } else { report::text(&outcomes) });
    let deviates = |outcome: &Outcome| matches!(outcome.verdict, Verdict::Deviates(_));
    Ok(match outcomes.iter().any(deviates) {
        true => ExitCode::from(EXIT_DEVIATIONS),
        false => ExitCode::SUCCESS,
    })
}

fn unreachable(request: &Request, error: &Unreachable) -> String {
    let endpoint = &request.endpoint;
    match error {
        Unreachable::Network(source) => format!(
            "cannot connect to {endpoint}: {}; start a broker there with `noctule broker`, or name another one",
            noctule_client::system_text(source)
        ),
        Unreachable::Refused(answer) => format!(
            "nothing to test at {endpoint}: {answer}; is it an MQTT listener without TLS, and does it need -u and -P?"
        ),
    }
}
