//! The commands, one file each. A command has two faces: `noctule NAME` with help, suggestions and errors that say how
//! to mend them, and the Mosquitto program it replaces, to the letter, when it is called by that program's name.

mod bench;
mod broker;
mod r#pub;
mod selftest;
mod store;
mod sub;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ArgMatches;

/// One row of the table of commands.
struct Command {
    /// `noctule NAME`.
    name: &'static str,
    /// One line for `noctule help`.
    about: &'static str,
    /// Adds its flags.
    flags: fn(clap::Command) -> clap::Command,
    /// Runs as `noctule NAME`, with flags that clap has accepted.
    run: fn(&ArgMatches) -> ExitCode,
    /// How it ends when clap has not.
    exit_wrong_flags: u8,
    /// The Mosquitto program it also is.
    program: Option<Program>,
}

/// A Mosquitto program, which the process is when it is called by that name.
struct Program {
    name: &'static str,
    /// Takes everything behind the name.
    run: fn(Vec<OsString>) -> ExitCode,
}

/// For commands whose numbers are not taken from Mosquitto.
const EXIT_WRONG_FLAGS: u8 = 2;

/// All commands, in the order of `noctule help`.
const COMMANDS: &[Command] =
    &[broker::COMMAND, r#pub::COMMAND, sub::COMMAND, store::COMMAND, bench::COMMAND, selftest::COMMAND];

/// Runs what the process was called as, with what stands behind that.
pub(crate) fn run(called_as: &str, arguments: Vec<OsString>) -> ExitCode {
    let mut programs = COMMANDS.iter().filter_map(|command| command.program.as_ref());
    if let Some(program) = programs.find(|program| program.name == called_as) {
        return (program.run)(arguments);
    }
    let asked = COMMANDS.iter().find(|command| arguments.first().is_some_and(|word| word == command.name));
    let with_name = [OsString::from("noctule")].into_iter().chain(arguments);
    let matches = match definition().try_get_matches_from(with_name) {
        Ok(matches) => matches,
        Err(refusal) => {
            // Help goes to standard output, a mistake to standard error; a closed pipe is no error.
            let _ = refusal.print();
            return match (refusal.use_stderr(), asked) {
                (false, _) => ExitCode::SUCCESS,
                (true, Some(command)) => ExitCode::from(command.exit_wrong_flags),
                (true, None) => ExitCode::from(EXIT_WRONG_FLAGS),
            };
        }
    };
    let (name, matches) = matches.subcommand().expect("clap refuses a command line without a command");
    let command = COMMANDS.iter().find(|command| command.name == name);
    (command.expect("clap knows the commands of the table only").run)(matches)
}

fn definition() -> clap::Command {
    let commands =
        COMMANDS.iter().map(|command| (command.flags)(clap::Command::new(command.name).about(command.about)));
    clap::Command::new("noctule")
        .about("An MQTT broker and toolbox that replaces Mosquitto")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_table() {
        definition().debug_assert();
    }

    #[test]
    fn no_name_is_given_twice() {
        for (index, command) in COMMANDS.iter().enumerate() {
            let program = |command: &Command| command.program.as_ref().map(|program| program.name);
            for other in &COMMANDS[index + 1..] {
                assert_ne!(other.name, command.name);
                assert!(program(command).is_none() || program(other) != program(command));
            }
        }
    }
}
