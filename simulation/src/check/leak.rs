//! The store keeps nothing that is over.

use noctule_broker::record::Table;

use super::Finding;
use crate::disk::Disk;
use crate::world::World;

pub(super) fn check(disk: &Disk, found: &mut Vec<Finding>) {
    for table in Table::ALL {
        match table {
            // Clients are still there.
            Table::Session | Table::Subscription | Table::Cursor | Table::Retained => {}
            Table::Message | Table::Delivery | Table::Outgoing | Table::Incoming => {
                rows(disk, table, found);
            }
        }
    }
}

/// When all sessions have ended, nothing is left but what is retained.
pub(super) fn leftovers(world: &World, found: &mut Vec<Finding>) {
    check(&world.disk, found);
    for table in [Table::Session, Table::Subscription, Table::Cursor] {
        rows(&world.disk, table, found);
    }
    found.extend(world.broker.leftovers().into_iter().map(|what| ("leak", what)));
}

fn rows(disk: &Disk, table: Table, found: &mut Vec<Finding>) {
    let keys = disk.keys(table);
    if let Some(first) = keys.first() {
        let what = format!("table {table:?} still has {} rows, {first} first", keys.len());
        found.push(("leak", what));
    }
}
