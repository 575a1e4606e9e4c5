//! What a defect does to that which is written. Without a [`Sabotage`] nothing.

use noctule_storage::{Batch, BatchOp, Keyspace};

use crate::context::Context;
use crate::sabotage::Sabotage;

/// A batch as it comes to the queue.
pub(super) fn batch(batch: Batch, context: &mut Context) -> Batch {
    match context.plan.sabotage {
        Some(Sabotage::ForgetRetained) => {
            only(&batch, |op| !matches!(op, BatchOp::Put { keyspace: Keyspace::Retained, .. }))
        }
        Some(Sabotage::KeepRows) => only(&batch, |op| matches!(op, BatchOp::Put { .. })),
        Some(Sabotage::LoseRow) if context.random.percent(1) => {
            let lost = context.random.below(batch.len());
            let mut place = 0;
            only(&batch, |_| {
                place += 1;
                place != lost + 1
            })
        }
        _ => batch,
    }
}

/// What is written as one unit each.
pub(super) fn pieces(batches: &[Batch], context: &Context) -> Vec<Vec<Batch>> {
    match context.plan.sabotage {
        // Each change by itself.
        Some(Sabotage::TearBatches) => {
            let ops = batches.iter().flat_map(Batch::ops);
            ops.map(|op| vec![with(std::iter::once(op))]).collect()
        }
        _ => vec![batches.to_vec()],
    }
}

fn only(batch: &Batch, is_kept: impl FnMut(&BatchOp<'_>) -> bool) -> Batch {
    with(batch.ops().filter(is_kept))
}

fn with<'a>(ops: impl Iterator<Item = BatchOp<'a>>) -> Batch {
    let mut batch = Batch::new();
    for op in ops {
        match op {
            BatchOp::Put { keyspace, key, value } => batch.put(keyspace, key, value),
            BatchOp::Delete { keyspace, key } => batch.delete(keyspace, key),
        }
    }
    batch
}
