//! The end-to-end tests. Each module is a subject; each test starts its own broker.

mod article;
mod bridge;
mod configurations;
mod crowd;
mod cut_off;
mod descriptors;
mod exact;
mod hostile;
mod log;
mod memory;
mod mqttjs;
mod own_clients;
mod paho;
mod paho_go;
mod passwords;
mod payload;
mod process;
mod qos;
mod reload;
mod retained;
mod selftest;
mod session;
mod shared_subscription;
mod subscription;
mod sys;
mod will;
