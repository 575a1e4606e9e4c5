//! A table, read block by block from its first byte on, so that a block that is damaged costs its own rows only.
//!
//! ```text
//! table = block … block, with rows, then what finds them
//! block = "LSM" 3, kind, checksum, lengths, checksum of all that | content
//! ```

use lsm_tree::coding::Decode;
use lsm_tree::table::block::{BlockType, Header};
use lsm_tree::table::{Block, DataBlock};
use lsm_tree::{CompressionType, ValueType};

const MAGIC: [u8; 4] = *b"LSM\x03";

/// What a table has for a key.
pub(in super::super) struct Row<'a> {
    pub(in super::super) key: &'a [u8],
    /// `None` if it was deleted.
    pub(in super::super) value: Option<&'a [u8]>,
    pub(in super::super) sequence: u64,
}

/// Visits the rows of all blocks that are as they were written.
pub(in super::super) fn rows<E>(
    table: &[u8],
    mut visit: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut key = Vec::new();
    let mut rest = table;
    while !rest.is_empty() {
        let Some((block, length)) = block(rest) else {
            // Where the next one starts, if any.
            let next = rest.windows(MAGIC.len()).skip(1).position(|window| window == MAGIC);
            rest = next.map_or(&[], |next| &rest[next + 1..]);
            continue;
        };
        rest = &rest[length..];
        let Some(block) = block.map(DataBlock::new) else { continue };
        let bytes = block.as_slice();
        for row in block.iter() {
            key.clear();
            if let Some(prefix) = &row.prefix {
                key.extend_from_slice(&bytes[prefix.0..prefix.1]);
            }
            key.extend_from_slice(&bytes[row.key.0..row.key.1]);
            let value = row.value.as_ref().map_or(&[][..], |value| &bytes[value.0..value.1]);
            let value = (row.value_type == ValueType::Value).then_some(value);
            visit(Row { key: &key, value, sequence: row.seqno })?;
        }
    }
    Ok(())
}

/// The block at the start of `bytes`, if it has rows, and how long it is. `None` if none starts there that is whole.
fn block(bytes: &[u8]) -> Option<(Option<Block>, usize)> {
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let header = Header::decode_from(&mut &*bytes).ok()?;
    let length = Header::serialized_len() + header.data_length as usize;
    let whole = bytes.get(..length)?;
    if header.block_type != BlockType::Data {
        return Some((None, length));
    }
    if header.data_length != header.uncompressed_length {
        return None;
    }
    let block = Block::from_reader(&mut &*whole, CompressionType::None).ok()?;
    Some((Some(block), length))
}
