//! The order in which a method uses the lots of a pool, over anything that keeps lots by their ordered bytes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::error::Result;
use crate::model::{LotKey, Method, RANK};
use crate::store::{KeyedLot, Readable, Store};

/// Lots by their ordered bytes.
pub(super) trait Shelf {
    /// What is found.
    type Found;
    /// The first at or after `from` that starts with `prefix`.
    fn at_or_after(&mut self, from: &[u8], prefix: &[u8]) -> Result<Option<(Vec<u8>, Self::Found)>>;
    /// The last before `bound` that starts with `prefix`.
    fn before(&mut self, bound: &[u8], prefix: &[u8]) -> Result<Option<(Vec<u8>, Self::Found)>>;
}

impl<T: Readable> Shelf for Store<T> {
    type Found = crate::model::OpenLot;

    fn at_or_after(&mut self, from: &[u8], prefix: &[u8]) -> Result<Option<KeyedLot>> {
        self.next_lot(from, prefix)
    }

    fn before(&mut self, bound: &[u8], prefix: &[u8]) -> Result<Option<KeyedLot>> {
        self.previous_lot(bound, prefix)
    }
}

/// A map in memory, as a shelf of the lots that `pick` finds in it.
pub(super) struct Picked<'a, V, F>(pub &'a BTreeMap<Vec<u8>, V>, pub F);

impl<V, R, F: Fn(&V) -> Option<R>> Shelf for Picked<'_, V, F> {
    type Found = R;

    fn at_or_after(&mut self, from: &[u8], prefix: &[u8]) -> Result<Option<(Vec<u8>, R)>> {
        let mut rows = self.0.range::<[u8], _>((Included(from), Unbounded));
        let mut rows = rows.by_ref().take_while(|(raw, _)| raw.starts_with(prefix));
        Ok(rows.find_map(|(raw, value)| Some((raw.clone(), (self.1)(value)?))))
    }

    fn before(&mut self, bound: &[u8], prefix: &[u8]) -> Result<Option<(Vec<u8>, R)>> {
        let rows = self.0.range::<[u8], _>((Unbounded, Excluded(bound))).rev();
        let mut rows = rows.take_while(|(raw, _)| raw.starts_with(prefix));
        Ok(rows.find_map(|(raw, value)| Some((raw.clone(), (self.1)(value)?))))
    }
}

/// The lot behind `after` (`None`: the first) in the order in which the method uses a pool.
pub(super) fn next_in_order<S: Shelf>(
    shelf: &mut S,
    method: Method,
    pool: &[u8; 4],
    after: Option<&[u8]>,
) -> Result<Option<(Vec<u8>, S::Found)>> {
    match method {
        Method::Lifo => shelf.before(after.unwrap_or(&behind_pool(pool)), pool),
        Method::Hifo => next_of_highest(shelf, pool, after),
        Method::Fifo | Method::Lofo | Method::AvgCost | Method::UkS104 => match after {
            Some(after) => shelf.at_or_after(&behind(after), pool),
            None => shelf.at_or_after(pool, pool),
        },
    }
}

/// From the highest rank down; of equal rank, the oldest first.
fn next_of_highest<S: Shelf>(
    shelf: &mut S,
    pool: &[u8; 4],
    after: Option<&[u8]>,
) -> Result<Option<(Vec<u8>, S::Found)>> {
    let bound = match after {
        None => behind_pool(pool).to_vec(),
        Some(after) => {
            let rank = after.get(..RANK.end).unwrap_or(after);
            if let Some(equal) = shelf.at_or_after(&behind(after), rank)? {
                return Ok(Some(equal));
            }
            rank.to_vec()
        }
    };
    let Some((raw, _)) = shelf.before(&bound, pool)? else { return Ok(None) };
    let rank = raw.get(..RANK.end).unwrap_or(&raw);
    shelf.at_or_after(rank, rank)
}

/// Which of two lots of one pool the method uses first, by their ordered bytes.
pub(super) fn compare(method: Method, a: &[u8], b: &[u8]) -> Ordering {
    match method {
        Method::Lifo => b.cmp(a),
        Method::Hifo => {
            let rank = |raw: &[u8]| raw.get(RANK).map(<[u8]>::to_vec);
            rank(b).cmp(&rank(a)).then_with(|| a.cmp(b))
        }
        Method::Fifo | Method::Lofo | Method::AvgCost | Method::UkS104 => a.cmp(b),
    }
}

/// The pool a lot's ordered bytes stand in.
pub(super) fn pool_of(raw: &[u8]) -> [u8; 4] {
    raw.first_chunk().copied().unwrap_or(LotKey::pool_bytes(None))
}

/// The first key behind a lot's.
pub(super) fn behind(raw: &[u8]) -> Vec<u8> {
    let mut raw = raw.to_vec();
    raw.push(0);
    raw
}

/// The first key behind a pool's prefix.
fn behind_pool(pool: &[u8; 4]) -> [u8; 4] {
    u32::from_be_bytes(*pool).saturating_add(1).to_be_bytes()
}
