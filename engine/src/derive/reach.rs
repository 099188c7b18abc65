//! How far the rows of each day reach into the pools: what lets a replay pass over days it cannot change.
//!
//! A disposal takes lots in the order of the method, so that it is told by the last lot it takes: a lot that comes behind
//! that one in the order may change, come or go, and the disposal stays as it is. Derived, one small row per day (UTC).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::order::{compare, pool_of};
use super::touch::{Touch, touches};
use crate::error::Result;
use crate::id::{EventKey, instant_bytes, instant_from_bytes};
use crate::model::{BookedStep, Era, JournalRow, PoolReach, Quarantine, Reach, RowStatus};
use crate::store::{Readable, Store, WriteStore};
use crate::time::Timestamp;

/// Adds what a row touches. A day in which a policy begins has rows of two orders, and is never passed over.
fn note(reach: &mut Reach, eras: &[Era], key: &EventKey, row: &JournalRow, touches: &[Touch]) {
    let Some(era) = Era::at(eras, key.time).filter(|era| !era.method.pools_cost()) else { return };
    let method = era.method;
    let begins_today =
        era.day.is_some() && day_of(&instant_bytes(era.from)) == day_of(&instant_bytes(key.time));
    reach.open |= begins_today || is_open(row);
    for Touch { raw, before, .. } in touches {
        let pool = pool_of(raw);
        let opened = || before.key.opened_by().to_bytes();
        match reach.pools.binary_search_by(|reach| reach.pool.cmp(&pool)) {
            Err(at) => {
                reach.pools.insert(at, PoolReach { pool, furthest: raw.clone(), oldest: opened() });
            }
            Ok(at) => {
                let reach = &mut reach.pools[at];
                if compare(method, &reach.furthest, raw) == Ordering::Less {
                    reach.furthest.clone_from(raw);
                }
                let opened = opened();
                if opened < reach.oldest {
                    reach.oldest = opened;
                }
            }
        }
    }
}

/// Whether what becomes of this row may depend on lots it did not touch.
pub(super) fn is_open(row: &JournalRow) -> bool {
    match &row.status {
        RowStatus::Excluded => false,
        // What no normal reading explains needs no lots; what else stops an event may be hidden by a lack of lots.
        RowStatus::Quarantined(reason) => !matches!(
            reason,
            Quarantine::CollaborativeSpend { .. }
                | Quarantine::UnknownAsset { .. }
                | Quarantine::NegativeAmount { .. }
        ),
        RowStatus::Booked => {
            let named = |step: &BookedStep| matches!(step, BookedStep::Disposed(disposal) if disposal.named);
            let disposed = |step: &BookedStep| matches!(step, BookedStep::Disposed(_));
            let moved = |step: &BookedStep| matches!(step, BookedStep::Moved { .. });
            // A fee of an own transfer that was disposed of because no lot was left to carry its cost.
            let fee = row.steps.iter().any(moved) && row.steps.iter().any(disposed);
            fee || row.steps.iter().any(named)
        }
    }
}

/// The day (UTC) that ordered bytes of an event begin with.
pub(super) fn day_of(raw: &[u8]) -> i32 {
    const DAY_MICROS: i64 = 86_400_000_000;
    let instant = raw.first_chunk().map_or(Timestamp::MIN, |bytes| instant_from_bytes(*bytes));
    i32::try_from(instant.as_micros().div_euclid(DAY_MICROS)).unwrap_or(i32::MIN)
}

/// The ordered bytes with which a day begins.
pub(super) fn start_of(day: i32) -> Vec<u8> {
    instant_bytes(Timestamp::from_secs(i64::from(day) * 86_400)).to_vec()
}

/// The first day at or after `day` whose reach `wanted` says yes to.
pub(super) fn next_day<T: Readable>(
    store: &mut Store<T>,
    day: i32,
    mut wanted: impl FnMut(&Reach) -> bool,
) -> Result<Option<i32>> {
    let mut from = day;
    while let Some((day, reach)) = store.next_reach(from)? {
        if wanted(&reach) {
            return Ok(Some(day));
        }
        let Some(next) = day.checked_add(1) else { break };
        from = next;
    }
    Ok(None)
}

/// Keeps the table while rows are written.
pub(super) struct Reaches {
    eras: Vec<Era>,
    /// The day rows are appended to.
    today: Option<(i32, Reach)>,
    /// Days in whose midst rows were changed.
    stale: BTreeSet<i32>,
    /// A day that is walked over from its first row on, and what its rows touch so far.
    walked: Option<(i32, Reach)>,
}

impl Reaches {
    pub fn new(eras: Vec<Era>) -> Self {
        Reaches { eras, today: None, stale: BTreeSet::new(), walked: None }
    }

    /// A row was written behind all others.
    pub fn appended(&mut self, store: &mut WriteStore<'_>, key: &EventKey, row: &JournalRow) -> Result<()> {
        let day = day_of(&instant_bytes(key.time));
        if self.today.as_ref().is_none_or(|(today, _)| *today != day) {
            self.write_today(store)?;
            self.today = Some((day, store.reach(day)?.unwrap_or_default()));
        }
        if let Some((_, reach)) = &mut self.today {
            note(reach, &self.eras, key, row, &touches(row)?);
        }
        Ok(())
    }

    /// A row among others was changed.
    pub fn changed(&mut self, key: &EventKey) {
        self.stale.insert(day_of(&instant_bytes(key.time)));
    }

    /// Begins to walk over every row of a day, from its first.
    pub fn enter(&mut self, day: i32) {
        self.walked = Some((day, Reach::default()));
    }

    /// Walks over a row as it stands now.
    pub fn walk(&mut self, key: &EventKey, row: &JournalRow, touches: &[Touch]) {
        if let Some((_, reach)) = &mut self.walked {
            note(reach, &self.eras, key, row, touches);
        }
    }

    /// The walk has come to another day; if it began with the first row of its day, that is known now.
    pub fn leave(&mut self, store: &mut WriteStore<'_>) -> Result<()> {
        match self.walked.take() {
            Some((day, reach)) if self.stale.remove(&day) => store.put_reach(day, &reach),
            _ => Ok(()),
        }
    }

    /// The walk ends, maybe in the midst of its day.
    pub fn stop(&mut self) {
        self.walked = None;
    }

    /// Rows at and behind the ordered bytes `at` were removed.
    pub fn cut(&mut self, store: &mut WriteStore<'_>, at: &[u8]) -> Result<()> {
        let day = day_of(at);
        self.stale.retain(|stale| *stale < day);
        let mut from = day;
        while let Some((gone, _)) = store.next_reach(from)? {
            store.put_reach(gone, &Reach::default())?;
            from = gone;
        }
        self.stale.insert(day);
        self.renew(store)
    }

    pub fn finish(mut self, store: &mut WriteStore<'_>) -> Result<()> {
        self.write_today(store)?;
        self.renew(store)
    }

    fn write_today(&mut self, store: &mut WriteStore<'_>) -> Result<()> {
        self.today.take().map_or(Ok(()), |(day, reach)| store.put_reach(day, &reach))
    }

    /// Reads stale days anew.
    fn renew(&mut self, store: &mut WriteStore<'_>) -> Result<()> {
        for day in std::mem::take(&mut self.stale) {
            let (mut from, mut reach) = (start_of(day), Reach::default());
            while let Some((key, row)) =
                store.next_journal(&from)?.filter(|(key, _)| day_of(&instant_bytes(key.time)) == day)
            {
                note(&mut reach, &self.eras, &key, &row, &touches(&row)?);
                from = super::order::behind(&key.to_bytes());
            }
            store.put_reach(day, &reach)?;
        }
        Ok(())
    }
}
