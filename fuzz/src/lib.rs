//! What the fuzz targets do with their bytes. Each is a function that must not panic, whatever it is given.

pub mod broker;
pub mod protocol;
