//! The one binary. Which command it is, the first word says, or the name it was called by.

mod allocator;
mod client_command;
mod command;
mod connect_args;
mod failure;
mod message_format;
mod packet_text;
mod reason_text;
mod say;
mod stop;

use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    let called_as = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    command::run(&called_as, arguments.collect())
}
