//! What Mosquitto kept becomes what we keep.
//!
//! ```text
//! file ─ mosquitto-db ─▶ Contents ─ Conversion ─▶ Operations ─ Import ─▶ store
//! ```
//!
//! A file is imported into an empty store, once: the store remembers it, and that row is written together with the last of what
//! was imported. If the process ends before, the next start throws away what there is so far and begins again.

mod conversion;
mod order;
mod start;
mod summary;
#[cfg(test)]
mod tests;
mod writing;

pub(crate) use conversion::Conversion;
pub(crate) use start::take_over;
pub use summary::Summary;
pub use writing::{Import, ImportError, Known, Source};
