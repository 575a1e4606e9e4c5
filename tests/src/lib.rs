//! What the end-to-end tests stand on: a real broker on a free port in a directory of its own, programs of
//! others run against it with a time limit, bare sockets, and a wire that can be cut.
//!
//! Nothing here knows a crate of the broker: the tests see what a user sees. `NOCTULE_E2E_BROKER` may name
//! another broker that understands `-c FILE` (see [`broker`]); so an expectation can be checked against Mosquitto.

pub mod broker;
pub mod clients;
pub mod disk;
pub mod environment;
pub mod faulty;
pub mod hex;
mod output;
pub mod packet;
pub mod patience;
pub mod port;
pub mod program;
pub mod proxy;
pub mod side_by_side;
pub mod wire;

pub use broker::Broker;
pub use disk::Disk;
pub use patience::{PATIENCE, eventually};
pub use program::{Finished, Program, Running};
pub use proxy::Proxy;
pub use wire::Wire;
