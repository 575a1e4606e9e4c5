//! What is written, for people.

use noctule_storage::{Batch, BatchOp};

/// A line for each change.
pub(super) fn batch(batch: &Batch) -> String {
    let lines = batch.ops().map(|op| match op {
        BatchOp::Put { keyspace, key: of, .. } => format!("\n             put {keyspace:?} {}", key(of)),
        BatchOp::Delete { keyspace, key: of } => format!("\n             delete {keyspace:?} {}", key(of)),
    });
    lines.collect()
}

pub(super) fn key(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
