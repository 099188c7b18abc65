//! Same day, next 30 days, pool: all disposals of a day against all acquisitions, once everything is known.
//!
//! Quantities first: day by day, each disposal day finds its parts. Then costs: each acquisition day divides its own over
//! the parts in the order they were found, and what is left enters the pool. Then the parts of a day are handed to its
//! disposals in the order of the books.

use std::collections::{BTreeMap, BTreeSet};

use super::calendar::{day, is_long};
use super::orders::{Lot, apportion};
use super::{Gain, Open, share};
use crate::model::events::Place;

/// Bitcoin that left: a sale, a spend, a fee, a gift.
#[derive(Clone)]
pub(super) struct Leave {
    pub place: Place,
    pub conn: u32,
    pub msat: i128,
    pub gross: i128,
    pub fee: i128,
    pub gift: bool,
}

/// A part of a disposal day: the lots it names, and one cost.
struct Part {
    cost: i128,
    lots: Vec<Lot>,
}

/// Takes `msat` from the front.
fn pour(lots: &mut Vec<Lot>, mut msat: i128) -> Vec<Lot> {
    let mut taken = Vec::new();
    while msat > 0 {
        let part = msat.min(lots[0].msat);
        taken.push(lots[0].split(part));
        msat -= part;
        if lots[0].msat == 0 {
            lots.remove(0);
        }
    }
    taken
}

fn total(lots: &[Lot]) -> i128 {
    lots.iter().map(|lot| lot.msat).sum()
}

/// Everything by local day.
struct Days<'a> {
    all: BTreeSet<i64>,
    /// Acquired on the day itself, in the order of lots.
    acquired: BTreeMap<i64, Vec<Lot>>,
    /// Arrived on the day, acquired before it: straight into the pool.
    brought: BTreeMap<i64, Vec<Lot>>,
    left: BTreeMap<i64, Vec<&'a Leave>>,
}

impl<'a> Days<'a> {
    fn new(lots: &[Lot], leaves: &'a [Leave], east: i64) -> Days<'a> {
        let mut days = Days {
            all: BTreeSet::new(),
            acquired: BTreeMap::new(),
            brought: BTreeMap::new(),
            left: BTreeMap::new(),
        };
        let mut sorted = lots.to_vec();
        sorted.sort_by(|a, b| a.order().cmp(&b.order()));
        for lot in sorted {
            let on = day(lot.origin.0, east);
            let kind = if day(lot.acquired, east) == on { &mut days.acquired } else { &mut days.brought };
            kind.entry(on).or_default().push(lot);
            days.all.insert(on);
        }
        for leave in leaves {
            let on = day(leave.place.0, east);
            days.left.entry(on).or_default().push(leave);
            days.all.insert(on);
        }
        days
    }

    fn bought(&self, on: i64) -> i128 {
        self.acquired.get(&on).map_or(0, |lots| total(lots))
    }

    fn sold(&self, on: i64) -> i128 {
        self.left.get(&on).map_or(0, |leaves| leaves.iter().map(|leave| leave.msat).sum())
    }

    fn same_day(&self, on: i64) -> i128 {
        self.bought(on).min(self.sold(on))
    }

    /// (disposal day, acquisition day, quantity): same day, then what the 30 days before an acquisition claim of it.
    fn matches(&self) -> Vec<(i64, i64, i128)> {
        let mut found: Vec<(i64, i64, i128)> = Vec::new();
        for &on in &self.all {
            found.push((on, on, self.same_day(on)));
        }
        for &on in &self.all {
            let mut need = self.sold(on) - self.same_day(on);
            for later in on + 1..=on + 30 {
                let used: i128 = found.iter().filter(|(_, from, _)| *from == later).map(|(_, _, q)| q).sum();
                // The later day's own disposals were seen to above.
                let part = need.min(self.bought(later) - used);
                found.push((on, later, part));
                need -= part;
            }
        }
        found.retain(|(_, _, quantity)| *quantity > 0);
        found
    }
}

/// The gains of all disposals, what is left in the pool, and what the gifts cost.
pub(super) fn settle(lots: &[Lot], leaves: &[Leave], east: i64) -> (Vec<Gain>, Vec<Open>, i128) {
    let days = Days::new(lots, leaves, east);
    let matches = days.matches();
    let mut parts: BTreeMap<i64, Vec<Part>> = BTreeMap::new();
    let mut rest: BTreeMap<i64, Part> = BTreeMap::new();
    for (&on, lots) in &days.acquired {
        let mut left = Part { cost: lots.iter().map(|lot| lot.cost).sum(), lots: lots.clone() };
        for (sold, _, quantity) in matches.iter().filter(|(_, from, _)| *from == on) {
            let cost = share(left.cost, *quantity, total(&left.lots));
            left.cost -= cost;
            // Acquisition days come in order, so that a disposal day collects its parts in order.
            parts.entry(*sold).or_default().push(Part { cost, lots: pour(&mut left.lots, *quantity) });
        }
        rest.insert(on, left);
    }
    let (mut pool, mut gains, mut given) = (Part { cost: 0, lots: Vec::new() }, Vec::new(), 0);
    for &on in &days.all {
        if let Some(left) = rest.remove(&on) {
            pool.cost += left.cost;
            pool.lots.extend(left.lots);
        }
        for lot in days.brought.get(&on).into_iter().flatten() {
            pool.cost += lot.cost;
            pool.lots.push(lot.clone());
        }
        pool.lots.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut found = parts.remove(&on).unwrap_or_default();
        let unmatched = days.sold(on) - found.iter().map(|part| total(&part.lots)).sum::<i128>();
        let cost = share(pool.cost, unmatched, total(&pool.lots));
        pool.cost -= cost;
        found.push(Part { cost, lots: pour(&mut pool.lots, unmatched) });
        let leaves = days.left.get(&on).map_or(&[][..], Vec::as_slice);
        for (leave, slices) in leaves.iter().zip(hand_out(found, leaves)) {
            if leave.gift {
                given += slices.iter().map(|slice| slice.cost).sum::<i128>();
            } else {
                gains.extend(realise(leave, &slices, east));
            }
        }
    }
    let costs = BTreeMap::from([(0, pool.cost)]);
    (gains, super::average::open(&pool.lots, &costs), given)
}

/// Cuts the parts of a day along its disposals.
fn hand_out(parts: Vec<Part>, leaves: &[&Leave]) -> Vec<Vec<Lot>> {
    let mut wanted: Vec<(usize, i128)> = leaves.iter().map(|leave| leave.msat).enumerate().collect();
    let mut slices: Vec<Vec<Lot>> = vec![Vec::new(); leaves.len()];
    for mut part in parts {
        let mut cut: Vec<(usize, Lot)> = Vec::new();
        while !part.lots.is_empty() {
            let (leave, need) = wanted[0];
            let taken = need.min(part.lots[0].msat);
            cut.extend(pour(&mut part.lots, taken).into_iter().map(|lot| (leave, lot)));
            wanted[0].1 -= taken;
            if wanted[0].1 == 0 {
                wanted.remove(0);
            }
        }
        let weights: Vec<i128> = cut.iter().map(|(_, lot)| lot.msat).collect();
        for ((leave, lot), cost) in cut.into_iter().zip(apportion(part.cost, &weights)) {
            slices[leave].push(Lot { cost, ..lot });
        }
    }
    slices
}

fn realise(leave: &Leave, slices: &[Lot], east: i64) -> Vec<Gain> {
    let weights: Vec<i128> = slices.iter().map(|slice| slice.msat).collect();
    let parts = apportion(leave.gross, &weights).into_iter().zip(apportion(leave.fee, &weights));
    let gain = |(slice, (gross, fee)): (&Lot, (i128, i128))| Gain {
        event: leave.place.3.clone(),
        at: leave.place.0,
        conn: leave.conn,
        lot: slice.id(),
        acquired: slice.acquired,
        msat: slice.msat,
        gross,
        fee,
        cost: slice.cost,
        basis: slice.cost,
        long: is_long(slice.acquired, leave.place.0, east),
    };
    slices.iter().zip(parts).map(gain).collect()
}
