//! `noctule bench`: load a broker, measure it, and check every delivery.
//!
//! One thread, one poll, one read buffer: frames are read where they lie, and what is to be sent is appended to one
//! buffer for each connection and written once a turn, so that on a core of its own the load is not what is measured.
//!
//! | room | what stands there |
//! |---|---|
//! | `scenario` | THE table of named loads; `flags` and `plan` make one run of them |
//! | `audience`, `filter_set`, `topic_pattern` | who hears which message, on which topic |
//! | `run`, `state/` | the phases of a run |
//! | `load` | the loop; `messages`, `publisher`, `subscriber`, `window`, `template`, `payload`, `churn`, `watch` |
//! | `pace`, `load/open_loop` | when messages are due in an open loop, and what became of them |
//! | `check`, `history`, `seen` | what was lost, doubled, out of order |
//! | `fleet`, `connection`, `opening` | sockets |
//! | `measure`, `usage`, `latency` | figures; `report`, `live` show them |

mod audience;
mod check;
mod churn;
mod connection;
mod fault;
mod filter_set;
mod flags;
mod fleet;
mod history;
mod latency;
mod live;
mod load;
mod measure;
mod messages;
mod opening;
mod pace;
mod payload;
mod plan;
mod publisher;
mod report;
mod run;
mod scenario;
mod seen;
mod state;
mod stop;
mod subscriber;
mod template;
mod topic_pattern;
mod usage;
mod watch;
mod window;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::ArgMatches;

use super::{Command, EXIT_WRONG_FLAGS};
use crate::say::{complain, say};
use fault::Fault;
use flags::Request;
use run::Run;

pub(super) const COMMAND: Command = Command {
    name: "bench",
    about: "Load a broker and measure it",
    flags: flags::define,
    run,
    exit_wrong_flags: EXIT_WRONG_FLAGS,
    program: None,
};

/// No broker, or it refused, or the connection broke.
const EXIT_COULD_NOT_RUN: u8 = 1;
/// Messages were lost, doubled, reordered or misrouted.
const EXIT_FAULTY: u8 = 3;

fn run(matches: &ArgMatches) -> ExitCode {
    match measure(matches) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAULTY),
        Err(fault) => {
            complain(&format!("error: {fault}"));
            ExitCode::from(fault.exit())
        }
    }
}

/// Tells whether everything arrived as it should.
fn measure(matches: &ArgMatches) -> Result<bool, Fault> {
    let request = Request::read(matches)?;
    let has_json = request.json || !std::io::stdout().is_terminal();
    let mut is_clean = true;
    let mut run = Run::new(request)?;
    let carried_out = run.carry_out(|run, phase| {
        run.live.clear();
        say(&if has_json { phase.json(&run.plan) } else { phase.table(&run.plan) });
        phase.complaints(&run.plan).iter().for_each(|line| complain(line));
        is_clean &= phase.is_clean();
    });
    run.live.clear();
    carried_out.map(|()| is_clean)
}
