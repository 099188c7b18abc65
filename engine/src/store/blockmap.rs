//! [`BlockMap`]: an ordered map of byte rows, stored as blocks of rows in one redb table.
//!
//! A block is keyed by a lower bound of its rows; it holds every row from there to the next block's key. Rows at hand
//! stay decoded in a bounded write-back cache, so work that is local in key order pays the store once per block.
//! Invariants: **no stored block is empty; blocks do not overlap.** `docs/adr/0001-rows-in-blocks.md` has the measurement behind it.

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use redb::{ReadableTable, Table};

use super::block::{Block, FULL_BYTES, Row};
use super::failed;
use crate::error::{Error, Result};

/// Encoded bytes of decoded blocks a map keeps for reading; twice as much while writing.
const CACHE_BYTES: usize = 2 << 20;

type Bytes = &'static [u8];

/// An ordered map over a readable table; over a writable one it can be changed.
pub struct BlockMap<T> {
    table: T,
    full_bytes: usize,
    /// Decoded blocks but the two at hand.
    cache: BTreeMap<Vec<u8>, Held>,
    /// The block used last.
    hot: Option<(Vec<u8>, Held)>,
    /// The block used before it: lots are opened at one end of their table and used up at the other.
    warm: Option<(Vec<u8>, Held)>,
}

/// A decoded block with the range of keys it answers for.
struct Held {
    /// Whether no block comes before it, so that it answers for the keys below its own, too.
    first: bool,
    /// A key from which on it does not answer; the next block's name, or that of one that is gone.
    end: Option<Vec<u8>>,
    block: Block,
    /// The row used last: the next one wanted is often the one behind it.
    hint: usize,
}

type Named = (Vec<u8>, Held);

fn covers((name, held): &Named, key: &[u8]) -> bool {
    (held.first || name.as_slice() <= key) && held.is_before_end(key)
}

/// Whether the last row before `bound` (`None`: of all) is in this block, if the block has one there.
fn reaches((name, held): &Named, bound: Option<&[u8]>) -> bool {
    match bound {
        Some(bound) => name.as_slice() < bound && held.end.as_deref().is_none_or(|end| bound <= end),
        None => held.end.is_none(),
    }
}

impl Held {
    /// The first block of an empty table.
    fn only() -> Self {
        Held { first: true, end: None, block: Block::empty(), hint: 0 }
    }

    fn is_before_end(&self, key: &[u8]) -> bool {
        self.end.as_deref().is_none_or(|end| key < end)
    }
}

impl<T: ReadableTable<Bytes, Bytes>> BlockMap<T> {
    /// Over a table, blocks of the usual size.
    pub fn new(table: T) -> Self {
        Self::sized(table, FULL_BYTES)
    }

    /// With another size at which blocks are full. Maps of every size read each other's blocks.
    pub fn sized(table: T, full_bytes: usize) -> Self {
        BlockMap { table, full_bytes, cache: BTreeMap::new(), hot: None, warm: None }
    }

    fn cache_blocks(&self) -> usize {
        CACHE_BYTES / self.full_bytes
    }

    /// The value under `key`.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>> {
        let Some((_, held)) = self.seek(key)? else { return Ok(None) };
        let Ok(at) = held.block.position(key, held.hint) else { return Ok(None) };
        held.hint = at;
        Ok(held.block.row(at).map(|row| row.1))
    }

    /// The first row at or after `key`.
    pub fn at_or_after(&mut self, key: &[u8]) -> Result<Option<Row<'_>>> {
        let mut next: Option<Vec<u8>> = None;
        loop {
            let wanted = next.as_deref().unwrap_or(key);
            let Some((_, held)) = self.seek(wanted)? else { return Ok(None) };
            held.hint = held.block.position(wanted, held.hint).unwrap_or_else(|at| at);
            if held.hint < held.block.len() {
                return Ok(self.hot.as_ref().and_then(|(_, held)| held.block.row(held.hint)));
            }
            next = held.end.clone();
            if next.is_none() {
                return Ok(None);
            }
        }
    }

    /// The last row before `key` (`None`: the last row of all).
    pub fn before(&mut self, key: Option<&[u8]>) -> Result<Option<Row<'_>>> {
        let mut bound = key.map(<[u8]>::to_vec);
        loop {
            if !self.hot.as_ref().is_some_and(|hot| reaches(hot, bound.as_deref())) {
                self.retire();
                let Some(name) = self.block_before(bound.as_deref())? else { return Ok(None) };
                self.enter(name, false)?;
            }
            let Some((name, held)) = &mut self.hot else { return Ok(None) };
            let at = match key {
                Some(key) => held.block.position(key, held.hint).unwrap_or_else(|at| at),
                None => held.block.len(),
            };
            if let Some(at) = at.checked_sub(1) {
                // The row before this one is asked for next, more often than not.
                held.hint = at.saturating_sub(1);
                return Ok(self.hot.as_ref().and_then(|(_, held)| held.block.row(at)));
            }
            bound = Some(name.clone());
        }
    }

    /// Makes the block that answers for `key` the hot one; `None` when there is no block at all.
    fn seek(&mut self, key: &[u8]) -> Result<Option<&mut Named>> {
        let is_hot = |named: &Option<Named>| named.as_ref().is_some_and(|named| covers(named, key));
        if !is_hot(&self.hot) {
            std::mem::swap(&mut self.hot, &mut self.warm);
        }
        if is_hot(&self.hot) {
            return Ok(self.hot.as_mut());
        }
        if let Some(known) = self.take_cached(key) {
            if let Some((name, held)) = self.hot.replace(known) {
                self.cache.insert(name, held);
            }
            return Ok(self.hot.as_mut());
        }
        self.retire();
        let (name, first) = match self.block_at_or_before(key)? {
            Some(name) => (name, false),
            None => match self.block_after(key, true)? {
                Some(name) => (name, true),
                None => return Ok(None),
            },
        };
        self.enter(name, first)?;
        Ok(self.hot.as_mut())
    }

    /// Takes the block that answers for `key` out of the cache, if it is there.
    fn take_cached(&mut self, key: &[u8]) -> Option<Named> {
        let at_or_before = self.cache.range::<[u8], _>((Unbounded, Included(key))).next_back();
        let (name, held) = at_or_before.or(self.cache.first_key_value().filter(|(_, held)| held.first))?;
        if !held.is_before_end(key) {
            return None;
        }
        let name = name.clone();
        self.cache.remove_entry(&name)
    }

    /// Puts the blocks at hand back among the others.
    fn retire(&mut self) {
        self.cache.extend(self.hot.take());
        self.cache.extend(self.warm.take());
    }

    /// Makes the block called `name` the hot one; no block is at hand.
    fn enter(&mut self, name: Vec<u8>, first: bool) -> Result<()> {
        let end = self.block_after(&name, false)?;
        let (first, block) = match self.cache.remove(&name) {
            Some(held) => (first || held.first, held.block),
            None => (first, self.load(&name)?),
        };
        self.hot = Some((name, Held { first, end, block, hint: 0 }));
        Ok(())
    }

    fn load(&mut self, name: &[u8]) -> Result<Block> {
        if self.cache.len() >= self.cache_blocks() {
            self.cache.retain(|_, held| held.block.dirty);
        }
        let missing = || Error::Corrupt("a block of rows is missing".into());
        let stored = self.table.get(name).map_err(failed)?.ok_or_else(missing)?;
        Block::decode(stored.value())
    }

    fn block_at_or_before(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.last_block((Unbounded, Included(key)))
    }

    fn block_before(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        self.last_block((Unbounded, key.map_or(Unbounded, Excluded)))
    }

    /// The last block within bounds; no block is at hand.
    fn last_block(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Option<Vec<u8>>> {
        let cached = self.cache.range::<[u8], _>(bounds).next_back().map(|(name, _)| name.as_slice());
        let mut range = self.table.range::<&[u8]>(bounds).map_err(failed)?;
        let stored = range.next_back().transpose().map_err(failed)?;
        let stored = stored.as_ref().map(|(name, _)| name.value());
        Ok(cached.max(stored).map(<[u8]>::to_vec))
    }

    /// The first block at or after `key`; no block is at hand.
    fn block_after(&self, key: &[u8], inclusive: bool) -> Result<Option<Vec<u8>>> {
        let bounds = (if inclusive { Included(key) } else { Excluded(key) }, Unbounded);
        let cached = self.cache.range::<[u8], _>(bounds).next().map(|(name, _)| name.as_slice());
        let mut range = self.table.range::<&[u8]>(bounds).map_err(failed)?;
        let stored = range.next().transpose().map_err(failed)?;
        let stored = stored.as_ref().map(|(name, _)| name.value());
        Ok(match (cached, stored) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
        .map(<[u8]>::to_vec))
    }
}

impl BlockMap<Table<'_, Bytes, Bytes>> {
    /// Inserts or replaces a row; says whether it is new.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<bool> {
        let full_bytes = self.full_bytes;
        self.seek(key)?;
        self.reach_down(key)?;
        let (_, held) = self.hot.get_or_insert_with(|| (key.to_vec(), Held::only()));
        let place = held.block.position(key, held.hint);
        let full = held.block.bytes + key.len() + value.len() > full_bytes && held.block.len() > 0;
        if full && place == Err(held.block.len()) {
            // Appending: keep the full block as it is and start the next one.
            let mut block = Block::empty();
            block.put(Err(0), key, value);
            let end = held.end.replace(key.to_vec());
            let next = (key.to_vec(), Held { first: false, end, block, hint: 0 });
            self.cache.extend(self.hot.replace(next));
            self.write_back_if_large()?;
            return Ok(true);
        }
        held.block.put(place, key, value);
        held.hint = place.unwrap_or_else(|at| at);
        if held.block.bytes > full_bytes && held.block.len() > 1 {
            let block = held.block.split();
            if let Some((first, _)) = block.row(0) {
                let name = first.to_vec();
                let end = held.end.replace(name.clone());
                self.cache.insert(name, Held { first: false, end, block, hint: 0 });
            }
            self.write_back_if_large()?;
        }
        Ok(place.is_err())
    }

    /// Removes a row; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> Result<bool> {
        let Some((_, held)) = self.seek(key)? else { return Ok(false) };
        let Ok(at) = held.block.position(key, held.hint) else { return Ok(false) };
        held.block.remove(at);
        held.hint = at.saturating_sub(1);
        if held.block.len() == 0
            && let Some((name, _)) = self.hot.take()
        {
            self.table.remove(name.as_slice()).map_err(failed)?;
        }
        Ok(true)
    }

    /// Removes every row.
    pub fn clear(&mut self) -> Result<()> {
        self.retire();
        self.cache.clear();
        self.table.retain(|_, _| false).map_err(failed)
    }

    /// Writes every changed block to the table.
    pub fn flush(&mut self) -> Result<()> {
        self.retire();
        for (name, Held { block, .. }) in &mut self.cache {
            if block.dirty {
                self.table.insert(name.as_slice(), block.encode().as_slice()).map_err(failed)?;
                block.dirty = false;
            }
        }
        Ok(())
    }

    fn write_back_if_large(&mut self) -> Result<()> {
        if self.cache.len() <= 2 * self.cache_blocks() {
            return Ok(());
        }
        let at_hand = (self.hot.take(), self.warm.take());
        self.flush()?;
        self.cache.clear();
        (self.hot, self.warm) = at_hand;
        Ok(())
    }

    /// When `key` lies below the name of the first block, that block is renamed down to it.
    fn reach_down(&mut self, key: &[u8]) -> Result<()> {
        if let Some((name, held)) = &mut self.hot
            && key < name.as_slice()
        {
            self.table.remove(name.as_slice()).map_err(failed)?;
            *name = key.to_vec();
            held.block.dirty = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use redb::{Database, ReadableDatabase, TableDefinition, backends::InMemoryBackend};

    const ROWS: TableDefinition<Bytes, Bytes> = TableDefinition::new("rows");

    #[derive(Clone, Debug)]
    enum Op {
        Put(u16, u16),
        Remove(u16),
        Get(u16),
        After(u16),
        Before(Option<u16>),
        Flush,
        Reopen,
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (0u16..3000, 0u16..600).prop_map(|(k, n)| Op::Put(k, n)),
            6 => (0u16..3000).prop_map(Op::Remove),
            1 => (0u16..3000).prop_map(Op::Get),
            2 => (0u16..3000).prop_map(Op::After),
            2 => prop::option::of(0u16..3000).prop_map(Op::Before),
            1 => Just(Op::Flush),
            1 => Just(Op::Reopen),
        ]
    }

    fn key(k: u16) -> Vec<u8> {
        format!("key-{k:05}").into_bytes()
    }

    fn check(map: &mut BlockMap<Table<'_, Bytes, Bytes>>, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, op: Op) {
        let own = |row: Option<(&Vec<u8>, &Vec<u8>)>| row.map(|(k, v)| (k.clone(), v.clone()));
        let copy = |row: Option<Row<'_>>| row.map(|(k, v)| (k.to_vec(), v.to_vec()));
        match op {
            Op::Put(k, n) => {
                map.put(&key(k), &vec![7; n.into()]).unwrap();
                model.insert(key(k), vec![7; n.into()]);
            }
            Op::Remove(k) => {
                assert_eq!(map.remove(&key(k)).unwrap(), model.remove(&key(k)).is_some());
            }
            Op::Get(k) => {
                assert_eq!(map.get(&key(k)).unwrap().map(<[u8]>::to_vec), model.get(&key(k)).cloned());
            }
            Op::After(k) => {
                let got = copy(map.at_or_after(&key(k)).unwrap());
                assert_eq!(got, own(model.range(key(k)..).next()));
            }
            Op::Before(k) => {
                let got = copy(map.before(k.map(key).as_deref()).unwrap());
                let want = match k {
                    Some(k) => own(model.range(..key(k)).next_back()),
                    None => own(model.iter().next_back()),
                };
                assert_eq!(got, want);
            }
            Op::Flush | Op::Reopen => map.flush().unwrap(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_like_a_btree_map(runs in prop::collection::vec((any_op(), 1usize..60), 1..60)) {
            let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
            let mut model = BTreeMap::new();
            let mut txn = db.begin_write().unwrap();
            let mut map = BlockMap::sized(txn.open_table(ROWS).unwrap(), 700);
            for (op, times) in runs {
                // A run of consecutive keys, as imports make them, then single operations.
                for step in 0..times {
                    let op = match op.clone() {
                        Op::Put(k, n) => Op::Put((k + step as u16) % 3000, n),
                        Op::Remove(k) => Op::Remove((k + step as u16) % 3000),
                        other => other,
                    };
                    check(&mut map, &mut model, op);
                }
                if matches!(op, Op::Reopen) {
                    map.flush().unwrap();
                    drop(map);
                    txn.commit().unwrap();
                    txn = db.begin_write().unwrap();
                    map = BlockMap::sized(txn.open_table(ROWS).unwrap(), 700);
                }
            }
            map.flush().unwrap();
            drop(map);
            txn.commit().unwrap();
            let read = db.begin_read().unwrap();
            let mut map = BlockMap::sized(read.open_table(ROWS).unwrap(), 700);
            let mut found = BTreeMap::new();
            let mut from = Vec::new();
            while let Some((k, v)) = map.at_or_after(&from).unwrap() {
                from = k.to_vec();
                from.push(0);
                found.insert(k.to_vec(), v.to_vec());
            }
            prop_assert_eq!(found, model);
        }
    }
}
