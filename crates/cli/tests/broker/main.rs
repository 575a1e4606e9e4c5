//! The binary as a process: how it starts, serves, obeys signals and fails.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod command_line;
mod serving;
mod signals;
mod starting;
mod support;
