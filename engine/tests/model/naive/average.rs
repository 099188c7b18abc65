//! One cost for a pool: what leaves takes its share, whichever lots are named.

use std::collections::BTreeMap;

use super::Open;
use super::orders::{Lot, apportion};
use super::share;

/// Takes the share of what `slices` (out of a pool of `held`) cost from the pool, and writes it on them.
pub(super) fn price(slices: &mut [Lot], cost: &mut i128, held: i128) {
    let weights: Vec<i128> = slices.iter().map(|slice| slice.msat).collect();
    let part = share(*cost, weights.iter().sum(), held);
    *cost -= part;
    for (slice, cost) in slices.iter_mut().zip(apportion(part, &weights)) {
        slice.cost = cost;
    }
}

/// Open lots, sorted, with the cost of their pool divided over them.
pub(super) fn open(lots: &[Lot], costs: &BTreeMap<u32, i128>) -> Vec<Open> {
    let mut open = Vec::new();
    for (pool, cost) in costs {
        let lots: Vec<&Lot> = lots.iter().filter(|lot| lot.pool == *pool).collect();
        let weights: Vec<i128> = lots.iter().map(|lot| lot.msat).collect();
        for (lot, cost) in lots.into_iter().zip(apportion(*cost, &weights)) {
            open.push(Open { pool: *pool, lot: lot.id(), acquired: lot.acquired, msat: lot.msat, cost });
        }
    }
    open
}
