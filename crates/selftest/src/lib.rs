//! Black-box cases that show, clause by clause, whether an MQTT broker keeps to the standard: bytes into a socket, bytes
//! out of it. `noctule selftest` runs them against any broker.
//!
//! | room | what stands there |
//! |---|---|
//! | `sections/` | THE tables of cases, a file for each part of the standard; each case cites the statements it proves |
//! | `case`, `test` | what a case is, and what it works with: clients, topics and identifiers of its own |
//! | `client`, `message` | one connection, one message, and what may be expected of them |
//! | `written`, `bytes` | packets that cases send |
//! | `received`, `property`, `reason` | packets that came, each held against its format before a case sees it |
//! | `offer` | what the server says it does not offer, so that a case is not applicable instead of failed |
//! | `limits` | what a case may take: a server that sends without end deviates |
//! | `exchange`, `verdict` | what happened, and what that means |
//! | `run` | many cases side by side; `leftovers` is what each takes away again |
//!
//! A case accepts everything the standard allows, not only what our broker does. Nothing here knows a crate of ours: it
//! judges by its own reading of the standard.

mod bytes;
mod case;
mod client;
mod exchange;
mod leftovers;
mod limits;
mod message;
mod offer;
mod property;
mod reason;
mod received;
mod run;
mod sections;
mod target;
mod test;
mod verdict;
mod version;
mod written;

pub use exchange::{Event, What};
pub use offer::Unreachable;
pub use run::{Chosen, choose, run};
pub use target::Target;
pub use verdict::{Deviation, Outcome, Verdict};
pub use version::Version;
