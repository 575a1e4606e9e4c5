//! Changes that happen together or not at all.

use crate::Keyspace;

/// One change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BatchOp {
    /// `key` has `value` from now on.
    Put {
        /// In which keyspace.
        keyspace: Keyspace,
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// `key` has no value from now on. It need not have had one.
    Delete {
        /// In which keyspace.
        keyspace: Keyspace,
        /// The key.
        key: Vec<u8>,
    },
}

/// Changes that are stored as one unit, in order: a later one wins over an earlier one to the same key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch {
    ops: Vec<BatchOp>,
    /// Without the batch itself.
    bytes: usize,
}

impl Batch {
    /// No changes.
    pub const fn new() -> Self {
        Self { ops: Vec::new(), bytes: 0 }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, keyspace: Keyspace, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += size_of::<BatchOp>() + key.len() + value.len();
        self.ops.push(BatchOp::Put { keyspace, key, value });
    }

    /// Removes a key.
    pub fn delete(&mut self, keyspace: Keyspace, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += size_of::<BatchOp>() + key.len();
        self.ops.push(BatchOp::Delete { keyspace, key });
    }

    /// The changes, in order.
    pub fn ops(&self) -> &[BatchOp] {
        &self.ops
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Memory held while it waits: keys, values, and what each change and the batch cost by themselves.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_keys_values_and_the_changes_themselves() {
        let mut batch = Batch::new();
        let empty = size_of::<Batch>();
        assert_eq!((batch.len(), batch.bytes(), batch.is_empty()), (0, empty, true));
        batch.put(Keyspace::Meta, "key", "value");
        batch.delete(Keyspace::Meta, "key");
        assert_eq!((batch.len(), batch.bytes()), (2, empty + 2 * size_of::<BatchOp>() + 3 + 5 + 3));
    }
}
