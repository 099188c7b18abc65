//! [`BlockMap`]: an ordered map of byte rows, stored as blocks of rows in one redb table.
//!
//! A block is keyed by a lower bound of its rows; it holds every row from there to the next block's key. Rows at hand
//! stay decoded in a bounded write-back cache, so work that is local in key order pays the store once per block.
//! Invariants: **no stored block is empty; blocks do not overlap.** `docs/adr/0001` has the measurement behind it.

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use redb::{ReadableTable, Table};

use super::block::{Block, FULL_BYTES, Row};
use super::failed;
use crate::error::Result;

/// Encoded bytes of decoded blocks kept at most: about 8 MiB with their overhead.
const CACHE_BYTES: usize = 512 * FULL_BYTES;

type Bytes = &'static [u8];

/// An ordered map over a readable table; over a writable one it can be changed.
pub struct BlockMap<T> {
    table: T,
    full_bytes: usize,
    cache: BTreeMap<Vec<u8>, Block>,
    hot: Option<Hot>,
}

/// The block used last and the end of its range.
struct Hot {
    block: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Hot {
    fn covers(&self, key: &[u8]) -> bool {
        self.block.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }
}

impl<T: ReadableTable<Bytes, Bytes>> BlockMap<T> {
    /// Over a table, blocks of the usual size.
    pub fn new(table: T) -> Self {
        Self::sized(table, FULL_BYTES)
    }

    /// With another size at which blocks are full. Maps of every size read each other's blocks.
    pub fn sized(table: T, full_bytes: usize) -> Self {
        BlockMap { table, full_bytes, cache: BTreeMap::new(), hot: None }
    }

    fn cache_blocks(&self) -> usize {
        CACHE_BYTES / self.full_bytes
    }

    /// The value under `key`.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>> {
        let Some(block) = self.seek(key)? else { return Ok(None) };
        Ok(block.position(key).ok().and_then(|at| block.rows.get(at)).map(|row| row.1.as_slice()))
    }

    /// The first row at or after `key`.
    pub fn at_or_after(&mut self, key: &[u8]) -> Result<Option<&Row>> {
        let place = match self.seek(key)? {
            Some(block) => match block.position(key) {
                Ok(at) => Some(at),
                Err(at) if at < block.rows.len() => Some(at),
                Err(_) => None,
            },
            None => None,
        };
        if let Some(at) = place {
            return Ok(self.hot_block().and_then(|block| block.rows.get(at)));
        }
        let next = match &self.hot {
            Some(hot) if hot.covers(key) => hot.end.clone(),
            _ => self.block_after(key, true)?,
        };
        let Some(next) = next else { return Ok(None) };
        // A block's key is only a lower bound of its rows, and no block is empty.
        Ok(self.seek(&next)?.and_then(|block| block.rows.first()))
    }

    /// The last row before `key` (`None`: the last row of all).
    pub fn before(&mut self, key: Option<&[u8]>) -> Result<Option<&Row>> {
        let mut bound = key.map(<[u8]>::to_vec);
        loop {
            let Some(name) = self.block_before(bound.as_deref())? else { return Ok(None) };
            let block = self.seek(&name)?;
            let at = block.map_or(0, |block| match key {
                Some(key) => block.position(key).unwrap_or_else(|at| at),
                None => block.rows.len(),
            });
            if let Some(at) = at.checked_sub(1) {
                return Ok(self.hot_block().and_then(|block| block.rows.get(at)));
            }
            bound = Some(name);
        }
    }

    fn hot_block(&self) -> Option<&Block> {
        self.cache.get(&self.hot.as_ref()?.block)
    }

    /// Makes the block whose range holds `key` the hot one; `None` when `key` is before every block.
    fn seek(&mut self, key: &[u8]) -> Result<Option<&Block>> {
        if !self.hot.as_ref().is_some_and(|hot| hot.covers(key)) {
            self.hot = None;
            let Some(name) = self.block_at_or_before(key)? else { return Ok(None) };
            self.load(&name)?;
            let end = self.block_after(&name, false)?;
            self.hot = Some(Hot { block: name, end });
        }
        Ok(self.hot_block())
    }

    fn load(&mut self, name: &[u8]) -> Result<()> {
        if self.cache.contains_key(name) {
            return Ok(());
        }
        if self.cache.len() >= self.cache_blocks() {
            self.cache.retain(|_, block| block.dirty);
        }
        if let Some(stored) = self.table.get(name).map_err(failed)? {
            let block = Block::decode(stored.value())?;
            drop(stored);
            self.cache.insert(name.to_vec(), block);
        }
        Ok(())
    }

    fn block_at_or_before(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.last_block((Unbounded, Included(key)))
    }

    fn block_before(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        self.last_block((Unbounded, key.map_or(Unbounded, Excluded)))
    }

    fn last_block(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Option<Vec<u8>>> {
        let cached = self.cache.range::<[u8], _>(bounds).next_back().map(|(name, _)| name.as_slice());
        let mut range = self.table.range::<&[u8]>(bounds).map_err(failed)?;
        let stored = range.next_back().transpose().map_err(failed)?;
        let stored = stored.as_ref().map(|(name, _)| name.value());
        Ok(cached.max(stored).map(<[u8]>::to_vec))
    }

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
    /// Inserts or replaces a row.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) -> Result<()> {
        if self.seek(key)?.is_none() {
            self.extend_down(key)?;
        }
        let Some(hot) = &mut self.hot else { return Ok(()) };
        let Some(block) = self.cache.get_mut(&hot.block) else { return Ok(()) };
        let place = block.position(key);
        let full = block.bytes + key.len() + value.len() > self.full_bytes && !block.rows.is_empty();
        if full && place == Err(block.rows.len()) {
            // Appending: keep the full block as it is and start the next one.
            let mut next = Block { bytes: 1, ..Block::default() };
            next.put(Err(0), key, value);
            self.cache.insert(key.to_vec(), next);
            hot.block = key.to_vec();
            return self.write_back_if_large();
        }
        block.put(place, key, value);
        if block.bytes > self.full_bytes && block.rows.len() > 1 {
            let upper = block.split();
            if let Some((name, _)) = upper.rows.first() {
                self.cache.insert(name.clone(), upper);
            }
            self.hot = None;
        }
        self.write_back_if_large()
    }

    /// Removes a row; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> Result<bool> {
        if self.seek(key)?.is_none() {
            return Ok(false);
        }
        let Some(hot) = &self.hot else { return Ok(false) };
        let Some(block) = self.cache.get_mut(&hot.block) else { return Ok(false) };
        let Ok(at) = block.position(key) else { return Ok(false) };
        block.rows.remove(at);
        block.dirty = true;
        if block.rows.is_empty() {
            let name = hot.block.clone();
            self.hot = None;
            self.cache.remove(&name);
            self.table.remove(name.as_slice()).map_err(failed)?;
        }
        Ok(true)
    }

    /// Removes every row.
    pub fn clear(&mut self) -> Result<()> {
        self.cache.clear();
        self.hot = None;
        self.table.retain(|_, _| false).map_err(failed)
    }

    /// Writes every changed block to the table.
    pub fn flush(&mut self) -> Result<()> {
        for (name, block) in &mut self.cache {
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
        self.flush()?;
        let hot = self.hot.as_ref().map(|hot| hot.block.clone());
        self.cache.retain(|name, _| Some(name) == hot.as_ref());
        Ok(())
    }

    /// `key` is before every block: rename the first block down to it, or make the first block.
    fn extend_down(&mut self, key: &[u8]) -> Result<()> {
        let mut block = Block { bytes: 1, dirty: true, ..Block::default() };
        if let Some(first) = self.block_after(key, true)? {
            self.load(&first)?;
            block = self.cache.remove(&first).unwrap_or(block);
            block.dirty = true;
            self.table.remove(first.as_slice()).map_err(failed)?;
        }
        self.cache.insert(key.to_vec(), block);
        let end = self.block_after(key, false)?;
        self.hot = Some(Hot { block: key.to_vec(), end });
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
        match op {
            Op::Put(k, n) => {
                map.put(&key(k), vec![7; n.into()]).unwrap();
                model.insert(key(k), vec![7; n.into()]);
            }
            Op::Remove(k) => {
                assert_eq!(map.remove(&key(k)).unwrap(), model.remove(&key(k)).is_some());
            }
            Op::Get(k) => {
                assert_eq!(map.get(&key(k)).unwrap().map(<[u8]>::to_vec), model.get(&key(k)).cloned());
            }
            Op::After(k) => {
                let got = map.at_or_after(&key(k)).unwrap().cloned();
                assert_eq!(got, own(model.range(key(k)..).next()));
            }
            Op::Before(k) => {
                let got = map.before(k.map(key).as_deref()).unwrap().cloned();
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
            let mut map = BlockMap::new(txn.open_table(ROWS).unwrap());
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
                    map = BlockMap::new(txn.open_table(ROWS).unwrap());
                }
            }
            map.flush().unwrap();
            drop(map);
            txn.commit().unwrap();
            let read = db.begin_read().unwrap();
            let mut map = BlockMap::new(read.open_table(ROWS).unwrap());
            let mut found = BTreeMap::new();
            let mut from = Vec::new();
            while let Some((k, v)) = map.at_or_after(&from).unwrap().cloned() {
                from = k.clone();
                from.push(0);
                found.insert(k, v);
            }
            prop_assert_eq!(found, model);
        }
    }
}
