//! `noctule store`: what can be done with a data directory beside serving from it.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, value_parser};
use noctule_server::store::{self, Checked, Exported, Repaired, StoreToolError};

use super::{Command, EXIT_WRONG_FLAGS};
use crate::say::{complain, say};

pub(super) const COMMAND: Command = Command {
    name: "store",
    about: "Import, export, check, repair and back up what a broker keeps on disk",
    flags: define,
    run,
    exit_wrong_flags: EXIT_WRONG_FLAGS,
    program: None,
};

const EXAMPLES: &str = "\
Examples:
  noctule store import /var/lib/mosquitto/mosquitto.db --data /var/lib/noctule
  noctule store export --data /var/lib/noctule | jq 'select(.kind == \"session\").client_id'
  noctule store backup /backup/monday --data /var/lib/noctule

DIR is what `noctule broker --data DIR` was given; for `persistence_location DIR` of a configuration file it is DIR/noctule.
A data directory belongs to one process: all but backup need it without a broker. A check opens the store as a start does:
the torn end that a crash left is cut off, and kept beside. A repair of a store that is damaged makes a new one of all that can
be read; the damaged one stays beside it, as store.damaged-1.

Exit status: 0 done; 1 could not be done, or there are rows that cannot be read, and standard error tells why; 2 wrong flags.";

/// It could not be done.
const EXIT_FAILED: u8 = 1;

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about("Work with the data directory of a broker: everything it keeps on disk.")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("import")
                .about("Take over a mosquitto.db, or a database of Mosquitto's persist-sqlite")
                .long_about(
                    "Take over a mosquitto.db, or a database of Mosquitto's persist-sqlite: sessions, subscriptions, \
                     queued messages, unfinished QoS 2 exchanges, retained messages and Wills. The file is only read. \
                     The data directory must be empty, and is made if it is not there.",
                )
                .arg(path("file", "FILE", "The file; stop Mosquitto first, so that it is whole"))
                .arg(data()),
        )
        .subcommand(
            clap::Command::new("export")
                .about("Write everything to standard output, an object of JSON a line")
                .arg(data()),
        )
        .subcommand(
            clap::Command::new("check")
                .about("Read every file of a data directory, open it as a broker does, and read every row")
                .arg(data()),
        )
        .subcommand(
            clap::Command::new("repair")
                .about("Make a new store of all that can be read of a damaged one, which is kept")
                .long_about(
                    "Make a new store of all that can be read of a damaged one: every block of its tables and every batch of \
                     its journals that is as it was written. The damaged store is kept beside it, and nothing in it is \
                     changed. What is not damaged is left as it is. A backup, if there is one, has more: some of what is \
                     lost, such as that a message was acknowledged, makes it appear again.",
                )
                .arg(data()),
        )
        .subcommand(
            clap::Command::new("backup")
                .about("Copy a data directory to another one, also while a broker serves from it")
                .arg(path("target", "TARGET", "The copy, a data directory itself; it must not be there yet, or be empty"))
                .arg(data()),
        )
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).value_parser(value_parser!(PathBuf)).required(true).help(help)
}

fn data() -> Arg {
    path("data", "DIR", "The data directory").long("data")
}

fn run(matches: &ArgMatches) -> ExitCode {
    let (name, matches) = matches.subcommand().expect("clap refuses a command line without a subcommand");
    let path = |name: &str| matches.get_one::<PathBuf>(name).expect("clap requires it").as_path();
    match carry_out(name, path) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Gives whether all was well.
fn carry_out<'a>(name: &str, path: impl Fn(&str) -> &'a Path) -> Result<bool, StoreToolError> {
    match name {
        "import" => {
            let summary = store::import(path("data"), path("file"))?;
            say(&format!("Imported {summary}.\n"));
        }
        "export" => {
            let exported = store::export(path("data"), &mut BufWriter::new(io::stdout().lock()))?;
            complain(&format!("{} rows", exported.rows));
            return Ok(is_whole(&exported));
        }
        "check" => {
            let checked = store::check(path("data"))?;
            tell_damage(&checked, path("data"));
            if checked.damages.is_empty() {
                say(&format!("{} rows can be read.\n", checked.rows.rows));
            }
            return Ok(checked.is_whole());
        }
        "repair" => match store::repair(path("data"))? {
            Repaired::Whole(rows) => {
                say(&format!("Nothing is damaged: {rows} rows can be read. Nothing was changed.\n"));
            }
            Repaired::Salvaged { salvaged, original } => {
                for damage in &salvaged.damages {
                    complain(&format!("lost: a part of {}: {}", damage.file.display(), damage.what));
                }
                if salvaged.refused > 0 {
                    complain(&format!("lost: {} rows that are not what a broker wrote", salvaged.refused));
                }
                say(&format!("Saved {} rows. The damaged store is {}.\n", salvaged.rows, original.display()));
            }
        },
        _ => {
            let rows = store::backup(path("data"), path("target"))?;
            say(&format!("Copied {rows} rows to {}.\n", path("target").display()));
        }
    }
    Ok(true)
}

/// Says what a check found wrong, and what mends it.
fn tell_damage(checked: &Checked, data: &Path) {
    for damage in &checked.damages {
        complain(&format!("error: {} is damaged: {}", damage.file.display(), damage.what));
    }
    is_whole(&checked.rows);
    if !checked.is_whole() {
        complain(&format!(
            "Put a copy that `noctule store backup` made in the place of {0}, or let `noctule store repair --data {0}` save \
             what can be read.",
            data.display()
        ));
    }
}

/// Whether every row could be read; if not, that is told.
fn is_whole(exported: &Exported) -> bool {
    if let Some(first) = &exported.first {
        complain(&format!("error: {} rows cannot be read, the first: {first}", exported.unreadable));
    }
    exported.unreadable == 0
}
