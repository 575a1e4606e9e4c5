//! Changes that happen together or not at all.

use crate::Keyspace;

/// One change, as it stands in its [`Batch`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchOp<'a> {
    /// `key` has `value` from now on.
    Put {
        /// In which keyspace.
        keyspace: Keyspace,
        /// The key.
        key: &'a [u8],
        /// Its new value.
        value: &'a [u8],
    },
    /// `key` has no value from now on. It need not have had one.
    Delete {
        /// In which keyspace.
        keyspace: Keyspace,
        /// The key.
        key: &'a [u8],
    },
}

/// Changes that are stored as one unit, in order: a later one wins over an earlier one to the same key.
///
/// All keys and values stand in one buffer: a batch has many that are small.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Changes that were taken back.
    dropped: usize,
}

/// Where a change stands: its key begins where the one before ends.
#[derive(Clone, Copy, Debug)]
struct Place {
    key_end: usize,
    value_end: usize,
    keyspace: Keyspace,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Put,
    /// A put of a key that had no value.
    PutNew,
    Delete,
    /// Taken back.
    Nothing,
}

impl Batch {
    /// No changes.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), places: Vec::new(), dropped: 0 }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, keyspace: Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(Kind::Put, keyspace, key.as_ref(), value.as_ref());
    }

    /// Sets the value of a key that has none when this change comes to pass. If it is deleted before it was written,
    /// nothing is; so where the key had a value after all, the store may keep that one.
    pub fn put_new(&mut self, keyspace: Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(Kind::PutNew, keyspace, key.as_ref(), value.as_ref());
    }

    /// Removes a key.
    pub fn delete(&mut self, keyspace: Keyspace, key: impl AsRef<[u8]>) {
        self.push(Kind::Delete, keyspace, key.as_ref(), &[]);
    }

    fn push(&mut self, kind: Kind, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.places.push(Place { key_end, value_end: self.bytes.len(), keyspace, kind });
    }

    /// The changes, in order.
    pub fn ops(&self) -> impl Iterator<Item = BatchOp<'_>> {
        self.all().filter_map(|(_, kind, keyspace, key, value)| match kind {
            Kind::Put | Kind::PutNew => Some(BatchOp::Put { keyspace, key, value }),
            Kind::Delete => Some(BatchOp::Delete { keyspace, key }),
            Kind::Nothing => None,
        })
    }

    /// Each change with its number, those that were taken back too.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, Kind, Keyspace, &[u8], &[u8])> {
        let mut at = 0;
        self.places.iter().enumerate().map(move |(number, place)| {
            let (start, Place { key_end, value_end, keyspace, kind }) = (at, *place);
            at = value_end;
            (number, kind, keyspace, &self.bytes[start..key_end], &self.bytes[key_end..value_end])
        })
    }

    /// Whether all changes set keys that had no value: nothing of it changes what came before.
    pub(crate) fn only_adds(&self) -> bool {
        self.places.iter().all(|place| place.kind == Kind::PutNew)
    }

    /// Takes a change back, by its number.
    pub(crate) fn take_back(&mut self, number: usize) {
        if let Some(place) = self.places.get_mut(number)
            && place.kind != Kind::Nothing
        {
            place.kind = Kind::Nothing;
            self.dropped += 1;
        }
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.dropped
    }

    /// How many changes were taken back.
    pub(crate) const fn dropped(&self) -> usize {
        self.dropped
    }

    /// Bytes of the keys and values of all changes.
    pub(crate) fn content_bytes(&self) -> usize {
        if self.dropped == 0 {
            return self.bytes.len();
        }
        self.ops()
            .map(|op| match op {
                BatchOp::Put { key, value, .. } => key.len() + value.len(),
                BatchOp::Delete { key, .. } => key.len(),
            })
            .sum()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held while it waits: keys, values, and what each change and the batch cost by themselves.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + self.places.len() * size_of::<Place>()
    }
}

/// Equal changes in equal order.
impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.ops().eq(other.ops())
    }
}

impl Eq for Batch {}

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
        assert_eq!((batch.len(), batch.bytes()), (2, empty + 2 * size_of::<Place>() + 3 + 5 + 3));
    }

    #[test]
    fn changes_come_back_in_order_and_whole() {
        let mut batch = Batch::new();
        batch.put(Keyspace::Meta, "a", "");
        batch.delete(Keyspace::Cursor, "");
        batch.put_new(Keyspace::Message, "bc", "value");
        let meta = BatchOp::Put { keyspace: Keyspace::Meta, key: b"a", value: b"" };
        let state = BatchOp::Delete { keyspace: Keyspace::Cursor, key: b"" };
        let message = BatchOp::Put { keyspace: Keyspace::Message, key: b"bc", value: b"value" };
        assert_eq!(batch.ops().collect::<Vec<_>>(), [meta, state, message]);
        for _ in 0..2 {
            batch.take_back(1);
            assert_eq!((batch.len(), batch.ops().collect::<Vec<_>>()), (2, vec![meta, message]));
        }
        batch.take_back(0);
        batch.take_back(2);
        assert!(batch.is_empty());
    }
}
