//! One block: many ordered rows packed into one stored value, keys prefix-compressed.
//!
//! Layout: version byte, then per row `shared ‖ rest ‖ value length` as varints, the rest of the key, the value.
//! Invariant: **keys ascend strictly.** Refuses: anything that does not decode exactly to its end.

use crate::error::{Error, Result};

/// Version of the block layout.
const VERSION: u8 = 1;

/// Encoded size at which a block is full: a little under one 4 KiB page of the store, so that pages fill well.
pub(super) const FULL_BYTES: usize = 3_900;

/// Key and value of a row.
pub type Row = (Vec<u8>, Vec<u8>);

/// A decoded block.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub rows: Vec<Row>,
    /// Encoded size, exact after decoding and appending, an upper bound after other edits.
    pub bytes: usize,
    pub dirty: bool,
}

impl Block {
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let total = bytes.len();
        let bad = || Error::Corrupt("block of rows".into());
        if take(&mut bytes, 1).ok_or_else(bad)? != [VERSION] {
            return Err(Error::Format("a block of rows has an unknown version".into()));
        }
        let mut rows: Vec<Row> = Vec::with_capacity(total / 48 + 1);
        while !bytes.is_empty() {
            let shared = varint(&mut bytes).ok_or_else(bad)?;
            let rest = varint(&mut bytes).ok_or_else(bad)?;
            let length = varint(&mut bytes).ok_or_else(bad)?;
            let previous = rows.last().map_or(&[][..], |row| row.0.as_slice());
            let prefix = previous.get(..shared).ok_or_else(bad)?;
            let suffix = take(&mut bytes, rest).ok_or_else(bad)?;
            let mut key = Vec::with_capacity(prefix.len() + suffix.len());
            key.extend_from_slice(prefix);
            key.extend_from_slice(suffix);
            if !rows.is_empty() && key.as_slice() <= previous {
                return Err(bad());
            }
            let value = take(&mut bytes, length).ok_or_else(bad)?.to_vec();
            rows.push((key, value));
        }
        Ok(Block { rows, bytes: total, dirty: false })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        out.push(VERSION);
        let mut previous: &[u8] = &[];
        for (key, value) in &self.rows {
            let shared = shared_prefix(previous, key);
            put_varint(&mut out, shared);
            put_varint(&mut out, key.len() - shared);
            put_varint(&mut out, value.len());
            out.extend_from_slice(&key[shared..]);
            out.extend_from_slice(value);
            previous = key;
        }
        out
    }

    /// Position of `key`, or where it would be inserted.
    pub fn position(&self, key: &[u8]) -> std::result::Result<usize, usize> {
        match self.rows.last() {
            Some((last, _)) if last.as_slice() < key => Err(self.rows.len()),
            _ => self.rows.binary_search_by(|row| row.0.as_slice().cmp(key)),
        }
    }

    /// Inserts or replaces at the place `position` gave.
    pub fn put(&mut self, place: std::result::Result<usize, usize>, key: &[u8], value: Vec<u8>) {
        self.dirty = true;
        match place {
            Ok(at) => {
                let row = &mut self.rows[at];
                self.bytes = (self.bytes + value.len()).saturating_sub(row.1.len());
                row.1 = value;
            }
            Err(at) => {
                let previous = at.checked_sub(1).map_or(&[][..], |before| self.rows[before].0.as_slice());
                self.bytes += key.len() - shared_prefix(previous, key) + value.len() + 4;
                self.rows.insert(at, (key.to_vec(), value));
            }
        }
    }

    /// Splits off the upper half by size.
    pub fn split(&mut self) -> Block {
        let mut upper = 0;
        let mut at = self.rows.len();
        while at > 1 && upper * 2 < self.bytes {
            at -= 1;
            upper += self.rows[at].0.len() + self.rows[at].1.len();
        }
        let rows = self.rows.split_off(at.max(1));
        self.recount();
        let mut block = Block { rows, bytes: 0, dirty: true };
        block.recount();
        self.dirty = true;
        block
    }

    fn recount(&mut self) {
        let mut previous: &[u8] = &[];
        self.bytes = 1;
        for (key, value) in &self.rows {
            self.bytes += key.len() - shared_prefix(previous, key) + value.len() + 4;
            previous = key;
        }
    }
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(count)?;
    *bytes = tail;
    Some(head)
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for shift in (0..35).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoding_is_the_identity(rows in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..300), 0..40)) {
            let mut block = Block { bytes: 1, ..Block::default() };
            for (key, value) in &rows {
                block.put(block.position(key), key, value.clone());
            }
            let encoded = block.encode();
            prop_assert!(encoded.len() <= block.bytes + 2);
            prop_assert_eq!(Block::decode(&encoded).unwrap().rows, rows.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = bytes;
            bytes.insert(0, VERSION);
            let _ = Block::decode(&bytes);
        }
    }
}
