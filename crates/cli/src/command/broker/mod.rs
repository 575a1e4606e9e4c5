//! `noctule broker`, and the program `mosquitto`.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic; `say` does not")]

mod mosquitto;
mod noctule;
mod state_directory;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use noctule_config::{CommandLine, Diagnostics, Loaded};

use super::{Command, Program};

pub(super) const COMMAND: Command = Command {
    name: "broker",
    about: "Run a broker",
    flags: noctule::flags,
    run: noctule::run,
    exit_wrong_flags: super::EXIT_WRONG_FLAGS,
    program: Some(Program { name: "mosquitto", run: mosquitto::run }),
};

/// The broker could not listen, or could not go on.
const EXIT_FAILED: u8 = 1;
/// The configuration or the command line is wrong.
const EXIT_INVALID: u8 = 3;

/// Loopback ports on a command line.
const PORTS_MAX: usize = 10;

/// What a command line asks for, whichever way it was written.
#[derive(Debug, Default, Eq, PartialEq)]
struct Request {
    config_file: Option<PathBuf>,
    ports: Vec<u16>,
    verbose: bool,
    quiet: bool,
    daemon: bool,
    /// Where everything is kept, whatever the file says.
    data: Option<PathBuf>,
    test_config: bool,
}

impl Request {
    /// What stands above the configuration file.
    fn command_line(&self) -> CommandLine {
        CommandLine {
            ports: self.ports.clone(),
            verbose: self.verbose,
            quiet: self.quiet,
            allow_symlinks: env::var_os("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS").is_some(),
            persistence_location: env::var_os("MOSQUITTO_PERSISTENCE_LOCATION").map(PathBuf::from),
            data: self.data.clone(),
        }
    }

    /// Reads the configuration, with this command line above it.
    fn load(&self) -> Result<Loaded, Diagnostics> {
        noctule_config::load(self.config_file.as_deref(), &self.command_line())
    }

    fn run(
        self,
        loaded: &Loaded,
        program: noctule_server::Program,
    ) -> Result<(), noctule_server::StartError> {
        let options = noctule_server::Options {
            program,
            command_line: self.command_line(),
            config_file: self.config_file,
            included_files: loaded.files.iter().skip(1).cloned().collect(),
            daemon: self.daemon,
            give_back_memory: crate::allocator::give_back_memory,
        };
        noctule_server::run(&loaded.config, &options)
    }
}

fn exit(result: Result<(), u8>) -> ExitCode {
    result.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}
