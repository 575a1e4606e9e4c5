//! The ledger: publishers and subscribers keep books outside of the broker, the broker is killed under load, its disk
//! loses power, connections are lost, and then the books are compared: what was acknowledged must have come.

pub mod broker;
pub mod cast;
pub mod check;
pub mod client;
pub mod default_limits;
pub mod history;
pub mod paho;
pub mod payload;
pub mod plant;
pub mod power;
pub mod random;
pub mod round;
pub mod wire;
pub mod world;
