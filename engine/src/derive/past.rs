//! The pools as they stood at a place in the past, without going back there.
//!
//! The books before a change and after it differ, at any place, in few lots: the *difference*. It is carried along from
//! row to row. What the old books held at a place is read from their rows at and behind it: a slice says what its lot held
//! before it was taken, a lot no later row touches is as it is now, and because rows take lots in the order of the method,
//! the lots that were open are met in just that order.
//!
//! Refuses to guess: where an answer would need more than that (a record that names its lots, reading too far), `lost` is
//! set, and the caller goes back the long way.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::order::{Picked, behind, compare, next_in_order, pool_of};
use super::reach::{day_of, is_open, next_day, start_of};
use super::touch::{Touch, lot_with, touches};
use crate::error::{Error, Result};
use crate::id::{EventId, EventKey, Rank, instant_bytes};
use crate::journal::effects;
use crate::model::{BookedStep, JournalRow, LotEffect, LotKey, Method, OpenLot};
use crate::store::{KeyedLot, WriteStore};
use crate::time::Timestamp;

/// Lots in the difference at most.
const DIFFERENCE_MAX: usize = 50_000;
/// Rows and days read ahead, at most: this many, and as many for each row replayed.
const LOOKED_MAX: u64 = 20_000;
const LOOKED_PER_ROW: u64 = 16;

/// A lot that is not the same in the old books and the new; `None` where it is not open.
#[derive(Clone, Debug)]
struct Differ {
    old: Option<OpenLot>,
    new: Option<OpenLot>,
}

/// The pools at a place of the past.
pub(super) struct Past {
    method: Method,
    /// The place: rows at and behind it are those of the old books.
    at: EventKey,
    /// What the old row at the place touches, if there is one.
    own: Option<Vec<Touch>>,
    /// Whether a record named these lots: then they tell nothing of the order.
    named: bool,
    difference: BTreeMap<Vec<u8>, Differ>,
    /// Entries that may have become equal.
    touched: Vec<Vec<u8>>,
    /// How many rows and days were read ahead, and may be.
    looked: u64,
    may_look: u64,
    /// Whether an answer could not be given.
    pub lost: bool,
}

/// A walk over the lots of one pool in the order of the method.
pub(super) struct Walk {
    pool: [u8; 4],
    after: Option<Vec<u8>>,
    ahead: Ahead,
    /// The next lot of the old books, once read.
    peeked: Option<Option<KeyedLot>>,
}

/// A walk over the lots that the old books held at the place.
struct Ahead {
    /// The next row to read; `None` when all were.
    from: Option<Vec<u8>>,
    /// The day whose rows are being read.
    day: Option<i32>,
    touches: VecDeque<KeyedLot>,
    seen: BTreeSet<Vec<u8>>,
    /// Of these, the one the method uses last: lots not met yet come behind it.
    furthest: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
}

impl Past {
    pub fn new(method: Method) -> Self {
        Past {
            method,
            at: EventKey { time: Timestamp::MIN, rank: Rank::Receipt, order: 0, id: EventId::from_text("") },
            own: None,
            named: false,
            difference: BTreeMap::new(),
            touched: Vec::new(),
            looked: 0,
            may_look: LOOKED_MAX,
            lost: false,
        }
    }

    pub fn is_same(&self) -> bool {
        self.difference.is_empty()
    }

    /// Goes to the place of a row. What the old books' row there touches is the same in both until it is booked anew.
    pub fn go(&mut self, at: &EventKey, own: Option<Vec<Touch>>, named: bool) {
        self.at = at.clone();
        self.named = named;
        self.may_look += LOOKED_PER_ROW;
        for touch in own.iter().flatten() {
            if *touch.before.key.opened_by() < self.at {
                self.note(&touch.before);
            }
        }
        self.own = own;
    }

    /// The lots of the pool that differ and come first in the order of the method.
    fn first(&self, pool: &[u8; 4]) -> Result<Option<Vec<u8>>> {
        let found =
            next_in_order(&mut Picked(&self.difference, |_: &Differ| Some(())), self.method, pool, None)?;
        Ok(found.map(|(raw, ())| raw))
    }

    /// Whether what differs could change this row of the old books.
    pub fn affects(&self, row: &JournalRow, touches: &[Touch]) -> Result<bool> {
        if is_open(row) {
            return Ok(!self.is_same());
        }
        let mut firsts: Vec<([u8; 4], Option<Vec<u8>>)> = Vec::new();
        for Touch { raw, .. } in touches {
            let pool = pool_of(raw);
            let known = firsts.iter().position(|(known, _)| *known == pool);
            let at = match known {
                Some(at) => at,
                None => {
                    firsts.push((pool, self.first(&pool)?));
                    firsts.len() - 1
                }
            };
            let first = firsts.get(at).and_then(|(_, first)| first.as_deref());
            if first.is_some_and(|first| compare(self.method, first, raw) != Ordering::Greater) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first day at or behind `day` with a row that could be changed.
    pub fn next_day_affected(&mut self, store: &mut WriteStore<'_>, day: i32) -> Result<Option<i32>> {
        let mut pools: BTreeMap<[u8; 4], Vec<u8>> = BTreeMap::new();
        let mut from: Vec<u8> = Vec::new();
        while let Some((raw, _)) = self.difference.range(from..).next() {
            let pool = pool_of(raw);
            if let Some(first) = self.first(&pool)? {
                pools.insert(pool, first);
            }
            let Some(next) = u32::from_be_bytes(pool).checked_add(1) else { break };
            from = next.to_be_bytes().to_vec();
        }
        let method = self.method;
        next_day(store, day, |reach| {
            reach.open
                || reach.pools.iter().any(|reach| {
                    let first = pools.get(&reach.pool);
                    first.is_some_and(|first| compare(method, first, &reach.furthest) != Ordering::Greater)
                })
        })
    }

    /// The old books pass their row at the place.
    pub fn pass(&mut self, key: &EventKey, row: &JournalRow) -> Result<()> {
        let opens = |step: &BookedStep| match step {
            BookedStep::Acquired { .. } => true,
            BookedStep::Moved { slices, .. } => !slices.is_empty(),
            _ => false,
        };
        if row.steps.iter().any(opens) {
            for effect in effects(key, row)? {
                if let LotEffect::Opened(lot) = effect {
                    let raw = lot.key.to_bytes();
                    self.entry(raw, None).old = Some(lot);
                }
            }
        }
        for Touch { raw, before, left } in self.own.take().into_iter().flatten() {
            self.entry(raw, None).old = left.map(|left| lot_with(before.key, left));
        }
        Ok(())
    }

    /// Forgets lots that have become the same again.
    pub fn settle_row(&mut self) {
        for raw in std::mem::take(&mut self.touched) {
            if self.difference.get(&raw).is_some_and(|differ| differ.old == differ.new) {
                self.difference.remove(&raw);
            }
        }
        self.lost |= self.difference.len() > DIFFERENCE_MAX;
    }

    /// Brings what differs into the table, which holds the old books' lots at the place.
    pub fn settle(self, store: &mut WriteStore<'_>) -> Result<()> {
        for Differ { old, new } in self.difference.into_values() {
            let Some(key) = old.as_ref().or(new.as_ref()).map(|lot| lot.key.clone()) else { continue };
            if store.lot(&key)? != old {
                let id = key.lot_id();
                return Err(Error::Corrupt(format!("lot {id} is not what the journal says it is")));
            }
            match new {
                Some(lot) => drop(store.put_lot(&lot)?),
                None => store.remove_lot(&key)?,
            }
        }
        Ok(())
    }

    /// A lot of the new books: one that differs, or was met on a walk.
    pub fn lot(&mut self, key: &LotKey) -> Option<OpenLot> {
        match self.difference.get(&key.to_bytes()) {
            Some(differ) => differ.new.clone(),
            None => {
                self.lost = true;
                None
            }
        }
    }

    /// Changes a lot of the new books; says whether it was open before.
    pub fn set(&mut self, key: &LotKey, lot: Option<OpenLot>) -> bool {
        let differ = self.entry(key.to_bytes(), None);
        std::mem::replace(&mut differ.new, lot).is_some()
    }

    /// Takes note of a lot that is about to be changed, and is the same in both books if it is not known to differ.
    pub fn note(&mut self, lot: &OpenLot) {
        self.entry(lot.key.to_bytes(), Some(lot));
    }

    fn entry(&mut self, raw: Vec<u8>, same: Option<&OpenLot>) -> &mut Differ {
        self.touched.push(raw.clone());
        self.difference.entry(raw).or_insert_with(|| Differ { old: same.cloned(), new: same.cloned() })
    }

    pub fn walk(&mut self, pool: [u8; 4]) -> Walk {
        self.lost |= self.named;
        let mut from = self.at.to_bytes();
        if self.own.is_some() {
            from = behind(&from);
        }
        let mut ahead = Ahead {
            from: Some(from),
            day: None,
            touches: VecDeque::new(),
            seen: BTreeSet::new(),
            furthest: None,
            last: None,
        };
        for Touch { raw, before, .. } in self.own.iter().flatten() {
            self.meet(pool, raw, before, &mut ahead);
        }
        Walk { pool, after: None, ahead, peeked: None }
    }

    /// A row touches a lot: if it was open in the pool at the place, this is where the walk meets it.
    fn meet(&self, pool: [u8; 4], raw: &[u8], before: &OpenLot, ahead: &mut Ahead) -> bool {
        let met =
            pool_of(raw) == pool && *before.key.opened_by() < self.at && ahead.seen.insert(raw.to_vec());
        if met {
            ahead.touches.push_back((raw.to_vec(), before.clone()));
            let further = |known: &Vec<u8>| compare(self.method, known, raw) == Ordering::Less;
            if ahead.furthest.as_ref().is_none_or(further) {
                ahead.furthest = Some(raw.to_vec());
            }
        }
        met
    }

    /// The next lot that the new books hold at the place.
    pub fn next(&mut self, store: &mut WriteStore<'_>, walk: &mut Walk) -> Result<Option<KeyedLot>> {
        let mut shelf = Picked(&self.difference, |differ: &Differ| differ.new.clone());
        let new = next_in_order(&mut shelf, self.method, &walk.pool, walk.after.as_deref())?;
        let old = match (walk.peeked.take(), &new) {
            (Some(peeked), _) => peeked,
            (None, Some((raw, _))) if self.is_met(&mut walk.ahead, raw) => {
                walk.after = Some(raw.clone());
                return Ok(new);
            }
            (None, _) => self.next_old(store, walk.pool, &mut walk.ahead)?,
        };
        let old_first = match (&old, &new) {
            (Some(old), Some(new)) => compare(self.method, &old.0, &new.0) == Ordering::Less,
            (old, _) => old.is_some(),
        };
        let next = if old_first {
            old
        } else {
            walk.peeked = Some(old);
            new
        };
        walk.after = next.as_ref().map(|(raw, _)| raw.clone());
        Ok(next)
    }

    /// Whether no lot that both books hold, and that was not met yet, can come before this one.
    fn is_met(&self, ahead: &mut Ahead, raw: &[u8]) -> bool {
        ahead.touches.retain(|(met, _)| !self.difference.contains_key(met));
        let before = |furthest: &Vec<u8>| compare(self.method, raw, furthest) != Ordering::Greater;
        ahead.touches.is_empty() && ahead.furthest.as_ref().is_some_and(before)
    }

    /// The next lot that both books hold at the place.
    fn next_old(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: [u8; 4],
        ahead: &mut Ahead,
    ) -> Result<Option<KeyedLot>> {
        while !self.lost {
            if let Some((raw, lot)) = ahead.touches.pop_front() {
                let in_order =
                    ahead.last.as_ref().is_none_or(|last| compare(self.method, last, &raw) == Ordering::Less);
                if !in_order {
                    self.lost = true;
                    break;
                }
                ahead.last = Some(raw.clone());
                if !self.difference.contains_key(&raw) {
                    return Ok(Some((raw, lot)));
                }
            } else if ahead.from.is_some() {
                self.read_ahead(store, pool, ahead)?;
            } else {
                let Some((raw, lot)) = self.next_untouched(store, pool, ahead)? else { break };
                let known = ahead.seen.contains(&raw) || self.difference.contains_key(&raw);
                if !known && *lot.key.opened_by() < self.at {
                    return Ok(Some((raw, lot)));
                }
            }
        }
        Ok(None)
    }

    /// The next lot of the table, which is as it was at the place if no later row touched it.
    fn next_untouched(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: [u8; 4],
        ahead: &mut Ahead,
    ) -> Result<Option<KeyedLot>> {
        self.look();
        if ahead.last.is_none() && self.method == Method::Lifo {
            // No lot is acquired after it was opened: pass over the younger ones.
            let younger = Timestamp::from_micros(self.at.time.as_micros().saturating_add(1));
            ahead.last = Some([&pool[..], &instant_bytes(younger)].concat());
        }
        let next = next_in_order(store, self.method, &pool, ahead.last.as_deref())?;
        ahead.last = next.as_ref().map(|(raw, _)| raw.clone());
        Ok(next)
    }

    /// Reads the next row of the old books that may have touched a lot of the pool that was open at the place.
    fn read_ahead(&mut self, store: &mut WriteStore<'_>, pool: [u8; 4], ahead: &mut Ahead) -> Result<()> {
        let Some(mut from) = ahead.from.take() else { return Ok(()) };
        let day = day_of(&from);
        if ahead.day != Some(day) {
            let at = self.at.to_bytes();
            let mut looked = 0;
            let next = next_day(store, day, |reach| {
                looked += 1;
                reach.open || reach.pool(&pool).is_some_and(|reach| reach.oldest < at)
            })?;
            self.looked += looked / 8;
            let Some(next) = next else { return Ok(()) };
            if next != day {
                from = start_of(next);
            }
            ahead.day = Some(next);
        }
        self.look();
        let Some((key, row)) = store.next_journal(&from)? else { return Ok(()) };
        let raw = key.to_bytes();
        if Some(day_of(&raw)) != ahead.day {
            // The day has no more rows: ask again which day has.
            ahead.from = Some(start_of(day_of(&raw)));
            return Ok(());
        }
        ahead.from = Some(behind(&raw));
        let named = names_lots(&row);
        for Touch { raw, before, .. } in touches(&row)? {
            let met = self.meet(pool, &raw, &before, ahead);
            self.lost |= met && named;
        }
        Ok(())
    }

    fn look(&mut self) {
        self.looked += 1;
        self.lost |= self.looked > self.may_look;
    }
}

/// Whether a record named the lots of this row.
pub(super) fn names_lots(row: &JournalRow) -> bool {
    row.steps.iter().any(|step| matches!(step, BookedStep::Disposed(disposal) if disposal.named))
}
