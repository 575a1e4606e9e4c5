//! `mosquitto.conf`: its grammar, its directives, and the typed [`Config`] that the broker is built from.
//!
//! Text goes one way: [`lexer`] cuts lines, [`directive`] knows each directive with its type and scope,
//! [`value`] parses what stands behind the name, and [`load()`] puts it into a [`Config`], collecting all mistakes
//! of all files as [`Diagnostics`]. Nothing here listens, forks or logs.

pub mod access;
pub mod config;
pub mod diagnostic;
pub mod directive;
pub mod lexer;
pub mod log;
pub mod problem;
pub mod value;

mod apply;
mod check;
mod draft;
mod files;
mod load;
mod reload;

pub use access::{AclAccess, AclFile, AclRule, AclSubject, Argon2id, PasswordFile, PasswordHash};
pub use config::{
    ClientLimits, Config, Durability, ListenAddress, Listener, MemoryLimit, Persistence, Protocol,
    SocketDomain,
};
pub use diagnostic::{Diagnostic, Diagnostics, Position, Severity};
pub use load::{CommandLine, Loaded, fuzz_parse, load, parse};
pub use log::{Log, LogFormat, LogType, LogTypes, Timestamp};
pub use problem::Problem;
pub use reload::{Kept, Reloaded};
