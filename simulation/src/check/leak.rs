//! The store keeps nothing that is over.

use noctule_broker::record::Table;

use super::Finding;
use crate::disk::Disk;

pub(super) fn check(disk: &Disk, found: &mut Vec<Finding>) {
    for table in Table::ALL {
        match table {
            // Clients are still there.
            Table::Session | Table::Subscription | Table::Retained => {}
            Table::Message
            | Table::Delivery
            | Table::Recipient
            | Table::State
            | Table::Released
            | Table::Incoming => {
                let keys = disk.keys(table);
                if let Some(first) = keys.first() {
                    found.push((
                        "leak",
                        format!("table {table:?} still has {} rows, {first} first", keys.len()),
                    ));
                }
            }
        }
    }
}
