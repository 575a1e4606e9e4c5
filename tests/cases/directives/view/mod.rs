//! What a client, a reader of the log or an administrator sees of a broker, in one short text. Each view can be taken
//! again of the same broker.

mod connect;
mod deliver;
mod log;
mod process;

pub(super) use connect::*;
pub(super) use deliver::*;
pub(super) use log::*;
pub(super) use process::*;
