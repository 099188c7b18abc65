//! One block: many ordered rows packed into one stored value, keys prefix-compressed.
//!
//! Layout: version byte, then per row `shared ‖ rest ‖ value length` as varints, the rest of the key, the value.
//! Invariant: **keys ascend strictly.** Refuses: anything that does not decode exactly to its end.

use crate::error::{Error, Result};

/// Version of the block layout.
const VERSION: u8 = 1;

/// Encoded size at which a block is full: a little under two 4 KiB pages of the store, so that pages fill well.
/// `docs/adr/0001-rows-in-blocks.md` has the measurement behind it.
pub(super) const FULL_BYTES: usize = 8_000;

/// Key and value of a row.
pub type Row<'a> = (&'a [u8], &'a [u8]);

/// Where a row lies in its block's heap: key, then value.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    key: usize,
    value: usize,
}

/// A decoded block. Rows lie in one heap, so that reading, changing and writing a block allocates next to nothing.
#[derive(Debug)]
pub(super) struct Block {
    /// Keys and values; of rows replaced or removed, too, until the heap is swept.
    heap: Vec<u8>,
    /// In order of the keys.
    spans: Vec<Span>,
    /// Bytes of the heap in use.
    live: usize,
    /// Encoded size, exact after decoding and appending, an upper bound after other edits.
    pub bytes: usize,
    pub dirty: bool,
}

impl Block {
    /// A block without rows.
    pub fn empty() -> Self {
        Block { heap: Vec::new(), spans: Vec::new(), live: 0, bytes: 1, dirty: false }
    }

    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let total = bytes.len();
        let bad = || Error::Corrupt("block of rows".into());
        if take(&mut bytes, 1).ok_or_else(bad)? != [VERSION] {
            return Err(Error::Format("a block of rows has an unknown version".into()));
        }
        let mut heap: Vec<u8> = Vec::with_capacity(total + total / 2);
        let mut spans: Vec<Span> = Vec::with_capacity(total / 48 + 1);
        let mut previous = Span { start: 0, key: 0, value: 0 };
        while !bytes.is_empty() {
            let shared = varint(&mut bytes).ok_or_else(bad)?;
            let rest = varint(&mut bytes).ok_or_else(bad)?;
            let value = varint(&mut bytes).ok_or_else(bad)?;
            let suffix = take(&mut bytes, rest).ok_or_else(bad)?;
            // Keys ascend when what follows the shared part does.
            let replaced =
                heap.get(previous.start + shared..previous.start + previous.key).ok_or_else(bad)?;
            if !spans.is_empty() && suffix <= replaced {
                return Err(bad());
            }
            let start = heap.len();
            heap.extend_from_within(previous.start..previous.start + shared);
            heap.extend_from_slice(suffix);
            heap.extend_from_slice(take(&mut bytes, value).ok_or_else(bad)?);
            previous = Span { start, key: shared + rest, value };
            spans.push(previous);
        }
        Ok(Block { live: heap.len(), heap, spans, bytes: total, dirty: false })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        out.push(VERSION);
        let mut previous: &[u8] = &[];
        for (key, value) in self.rows() {
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

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn row(&self, at: usize) -> Option<Row<'_>> {
        self.spans.get(at).map(|span| self.at(span))
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.spans.iter().map(|span| self.at(span))
    }

    fn at(&self, span: &Span) -> Row<'_> {
        self.heap[span.start..span.start + span.key + span.value].split_at(span.key)
    }

    fn key(&self, at: usize) -> Option<&[u8]> {
        self.row(at).map(|row| row.0)
    }

    /// Position of `key`, or where it would be inserted. Fast when that is right behind the row at `hint`, or the end.
    pub fn position(&self, key: &[u8], hint: usize) -> std::result::Result<usize, usize> {
        if self.key(hint).is_some_and(|before| before < key) {
            match self.key(hint + 1) {
                Some(next) if next == key => return Ok(hint + 1),
                Some(next) if next > key => return Err(hint + 1),
                _ => {}
            }
        }
        match self.spans.last() {
            Some(last) if self.at(last).0 < key => Err(self.spans.len()),
            _ => self.spans.binary_search_by(|span| self.at(span).0.cmp(key)),
        }
    }

    /// Inserts or replaces at the place `position` gave.
    pub fn put(&mut self, place: std::result::Result<usize, usize>, key: &[u8], value: &[u8]) {
        self.dirty = true;
        let span = Span { start: self.heap.len(), key: key.len(), value: value.len() };
        match place {
            Ok(at) => {
                let old = self.spans[at];
                self.bytes = (self.bytes + value.len()).saturating_sub(old.value);
                self.live = (self.live + value.len()).saturating_sub(old.value);
                if value.len() <= old.value {
                    let start = old.start + old.key;
                    self.heap[start..start + value.len()].copy_from_slice(value);
                    self.spans[at].value = value.len();
                    return;
                }
                self.spans[at] = span;
            }
            Err(at) => {
                let previous = at.checked_sub(1).and_then(|before| self.key(before)).unwrap_or_default();
                self.bytes += key.len() - shared_prefix(previous, key) + value.len() + 4;
                self.live += key.len() + value.len();
                self.spans.insert(at, span);
            }
        }
        self.heap.extend_from_slice(key);
        self.heap.extend_from_slice(value);
        if self.heap.len() > 2 * self.live + 1_024 {
            *self = self.of(0..self.spans.len());
        }
    }

    /// Removes the row at `at`.
    pub fn remove(&mut self, at: usize) {
        let old = self.spans.remove(at);
        self.live -= old.key + old.value;
        self.dirty = true;
    }

    /// Splits off the upper half by size.
    pub fn split(&mut self) -> Block {
        let mut upper = 0;
        let mut at = self.spans.len();
        while at > 1 && upper * 2 < self.live {
            at -= 1;
            upper += self.spans[at].key + self.spans[at].value;
        }
        let at = at.max(1);
        let block = self.of(at..self.spans.len());
        *self = self.of(0..at);
        block
    }

    /// A changed block of some of the rows, without what was removed or replaced.
    fn of(&self, range: std::ops::Range<usize>) -> Block {
        let mut block = Block { heap: Vec::with_capacity(self.live), dirty: true, ..Block::empty() };
        let mut previous: &[u8] = &[];
        for span in &self.spans[range] {
            let (key, value) = self.at(span);
            block.bytes += key.len() - shared_prefix(previous, key) + value.len() + 4;
            previous = key;
            block.spans.push(Span { start: block.heap.len(), ..*span });
            block.heap.extend_from_slice(key);
            block.heap.extend_from_slice(value);
        }
        block.live = block.heap.len();
        block
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
            let mut block = Block::empty();
            for (key, value) in &rows {
                block.put(block.position(key, 0), key, value);
            }
            let encoded = block.encode();
            prop_assert!(encoded.len() <= block.bytes + 2);
            let own = |(key, value): Row<'_>| (key.to_vec(), value.to_vec());
            let decoded = Block::decode(&encoded).unwrap();
            prop_assert_eq!(decoded.rows().map(own).collect::<Vec<_>>(), rows.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = bytes;
            bytes.insert(0, VERSION);
            let _ = Block::decode(&bytes);
        }
    }
}
