//! What the broker decides, told as scenes between clients: one file per noun of the standard.

mod desk;

mod accounting;
mod acknowledgements;
mod authentication;
mod bridge;
mod broker_limits;
mod bursts;
mod chaos;
mod connect;
mod durability;
mod expiry;
mod flow;
mod histories;
mod limits;
mod memory;
mod mount_point;
mod overlap;
mod publish;
mod qos2;
mod reason;
mod reload;
mod replay;
mod restart;
mod resume;
mod retained;
mod rights;
mod shards;
mod shared_across_shards;
mod shared_histories;
mod shared_subscription;
mod subscribe;
mod sys_topics;
mod topic_alias;
mod will;
mod wire;
