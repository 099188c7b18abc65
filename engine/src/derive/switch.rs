//! The day a policy begins: lots take the form the method asks for, and come into the pools of the scope.
//!
//! Owns the events of the books themselves (`lot_allocation`): they stand at the first instant of the day before
//! everything else of it, hold no posting, and are undone like any other row. Number 0 is `allocation.<day>`, the next
//! ones `allocation.<day>.<number>`: first what the user allocated, then what the rule deals, at least one row of that.
//! Invariants: a lot keeps its date, cost and id; **an allocation holds as a whole or not at all**. Refuses to hold more
//! than one row's lots in memory.

use std::collections::{BTreeMap, VecDeque};

use super::booking::Booker;
use super::sums::Sums;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, EventKey, Rank};
use crate::journal::{Numbers, arrived};
use crate::lots::Take;
use crate::model::{
    Account, Asset, BookedStep, Era, EventKind, JournalRow, LotKey, LotScope, LotUse, OpenLot, Quarantine,
    RowStatus, Totals,
};
use crate::money::Msats;
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

/// Lots in one row at most.
const ROW_LOTS: usize = 500;

/// Sorts before the id of every record of the same rank and order: those begin with `c`, transactions have no order zero.
const PREFIX: &str = "allocation.";

fn place(time: Timestamp, id: EventId) -> EventKey {
    EventKey { time, rank: Rank::Receipt, order: 0, id }
}

/// Where an event of the books themselves stands, if `id` has the form of one.
pub(crate) fn allocation_place(id: &EventId, zone: &Zone) -> Option<EventKey> {
    let rest = id.as_str().strip_prefix(PREFIX)?;
    let day = rest.split_once('.').map_or(rest, |(day, _)| day).parse().ok()?;
    Some(place(zone.start_of(day).ok()?, id.clone()))
}

/// An era that begins. Its rows must be written before the next event is booked.
pub(super) struct Switch<'a> {
    era: &'a Era,
    /// Rows made so far.
    rows: u32,
    /// What is still to be done.
    stage: Stage,
    /// What each connection's pool still gets.
    due: BTreeMap<ConnectionNo, i128>,
}

enum Stage {
    /// The user's word: lots, connections and quantities that all fit.
    Named(Named),
    /// The user's word does not fit.
    Void(String),
    /// The oldest lots to the connections in order, or all pools into one.
    Rule {
        dealt: bool,
    },
    Done,
}

/// The user's allocation, as far as it has not been dealt, and the open parts of the lots it names, oldest first.
struct Named {
    rows: VecDeque<(String, ConnectionNo, Msats)>,
    open: BTreeMap<String, VecDeque<LotKey>>,
}

impl<'a> Switch<'a> {
    /// Begins `era`: puts its method and scope in force where no lot changes its pool.
    pub fn into(
        store: &mut WriteStore<'_>,
        booker: &mut Booker<'_>,
        sums: &mut Sums<'_>,
        era: &'a Era,
    ) -> Result<Self> {
        let mut switch = Switch { era, rows: 0, stage: Stage::Done, due: BTreeMap::new() };
        if booker.lot_scope == era.lot_scope {
            switch.end(store, booker)?;
            return Ok(switch);
        }
        booker.pools.rank(store, false)?;
        switch.stage = Stage::Rule { dealt: false };
        if era.lot_scope == LotScope::Connection {
            switch.due = balances(sums.settled(store)?);
            if !era.allocation.is_empty() {
                switch.stage = switch.named(store)?;
            }
        }
        Ok(switch)
    }

    /// The next row, its lots moved already; after the last, the era's method and scope are in force.
    pub fn next(
        &mut self,
        store: &mut WriteStore<'_>,
        booker: &mut Booker<'_>,
    ) -> Result<Option<(EventKey, JournalRow)>> {
        let key = self.key();
        let mut row = Row { key: &key, steps: Vec::new(), numbers: Numbers::default(), lots: 0 };
        let mut status = RowStatus::Booked;
        match &mut self.stage {
            Stage::Done => return Ok(None),
            Stage::Void(problem) => {
                let problem = std::mem::take(problem);
                status = RowStatus::Quarantined(Quarantine::ConflictingLink { problem });
                self.stage = Stage::Rule { dealt: false };
            }
            Stage::Named(named) => {
                deal_named(store, booker, &mut row, named)?;
                if named.rows.is_empty() {
                    self.stage = Stage::Rule { dealt: false };
                }
            }
            Stage::Rule { dealt } => {
                let first = !std::mem::replace(dealt, true);
                match self.era.lot_scope {
                    LotScope::Connection => deal(store, booker, &mut row, &mut self.due)?,
                    LotScope::Universal => unite(store, booker, &mut row)?,
                }
                if row.lots < ROW_LOTS {
                    self.end(store, booker)?;
                    if row.lots == 0 && !first {
                        return Ok(None);
                    }
                }
            }
        }
        self.rows = self.rows.checked_add(1).ok_or(Error::Overflow("rows of an allocation"))?;
        let steps = row.steps;
        let mut connections: Vec<ConnectionNo> = steps.iter().flat_map(places).collect();
        connections.sort();
        connections.dedup();
        let kind = EventKind::LotAllocation;
        let row =
            JournalRow { kind, connections, status, steps, valuation: None, text: None, merged: Vec::new() };
        Ok(Some((key, row)))
    }

    fn end(&mut self, store: &mut WriteStore<'_>, booker: &mut Booker<'_>) -> Result<()> {
        self.stage = Stage::Done;
        (booker.pools.method, booker.lot_scope) = (self.era.method, self.era.lot_scope);
        booker.pools.rank(store, self.era.method.ranks())
    }

    fn key(&self) -> EventKey {
        let day = self.era.day.map(|day| day.to_string()).unwrap_or_default();
        let id = match self.rows {
            0 => format!("{PREFIX}{day}"),
            number => format!("{PREFIX}{day}.{number:06}"),
        };
        place(self.era.from, EventId::from_text(id))
    }

    /// Whether the user's allocation fits: each lot is open in the one pool, each connection's balance has room.
    fn named(&mut self, store: &mut WriteStore<'_>) -> Result<Stage> {
        let allocation = &self.era.allocation;
        let mut left: BTreeMap<&str, i128> = allocation.iter().map(|row| (row.lot.as_str(), 0)).collect();
        let mut open: BTreeMap<String, VecDeque<LotKey>> = BTreeMap::new();
        let prefix = LotKey::pool_bytes(None);
        let mut from = prefix.to_vec();
        while let Some((raw, lot)) = store.next_lot(&from, &prefix)? {
            let id = lot.key.lot_id();
            if let Some(quantity) = left.get_mut(id.as_str()) {
                *quantity += i128::from(lot.quantity.get());
                open.entry(id).or_default().push_back(lot.key);
            }
            from = raw;
            from.push(0);
        }
        let mut due = self.due.clone();
        for (number, row) in allocation.iter().enumerate() {
            let quantity = i128::from(row.quantity.get());
            let room = due.entry(row.connection).or_default();
            let left = left.entry(row.lot.as_str()).or_default();
            let problem = match (*left < quantity, *room < quantity) {
                (true, _) => format!("lot {} is not open in that quantity then", row.lot),
                (_, true) => "its connection does not hold that much then".to_owned(),
                _ => {
                    (*room, *left) = (*room - quantity, *left - quantity);
                    continue;
                }
            };
            let number = number + 1;
            return Ok(Stage::Void(format!(
                "row {number} of the allocation ({} BTC): {problem}; lots are dealt by balances, oldest first",
                row.quantity
            )));
        }
        self.due = due;
        let rows = allocation.iter().map(|row| (row.lot.clone(), row.connection, row.quantity));
        Ok(Stage::Named(Named { rows: rows.collect(), open }))
    }
}

/// The row being made.
struct Row<'a> {
    key: &'a EventKey,
    steps: Vec<BookedStep>,
    numbers: Numbers,
    lots: usize,
}

impl Row<'_> {
    /// Moves `quantity` of `lot` into the pool `to`.
    fn deal(
        &mut self,
        store: &mut WriteStore<'_>,
        booker: &mut Booker<'_>,
        lot: OpenLot,
        quantity: Msats,
        to: Option<ConnectionNo>,
    ) -> Result<()> {
        self.lots += 1;
        for slice in booker.pools.take(store, vec![Take::of(lot, quantity)?])? {
            booker.pools.open(store, arrived(self.key, &slice, to, self.numbers.moved()?))?;
            match self.steps.last_mut() {
                Some(BookedStep::Dealt { to: last, slices }) if *last == to => slices.push(slice),
                _ => self.steps.push(BookedStep::Dealt { to, slices: vec![slice] }),
            }
        }
        Ok(())
    }
}

/// The connections whose pools a step changes.
fn places(step: &BookedStep) -> Vec<ConnectionNo> {
    let BookedStep::Dealt { to, slices } = step else { return Vec::new() };
    slices.iter().filter_map(|slice: &LotUse| slice.lot.pool).chain(*to).collect()
}

/// What each connection holds by its ledger, where that is more than nothing.
fn balances(totals: &Totals) -> BTreeMap<ConnectionNo, i128> {
    let mut due = BTreeMap::new();
    for ((account, asset), total) in &totals.accounts {
        if let (Account::Bitcoin(_, no), Asset::Btc) = (account, asset) {
            *due.entry(*no).or_default() += total.net();
        }
    }
    due.retain(|_, net| *net > 0);
    due
}

/// The user's allocation, from the oldest part of each lot.
fn deal_named(
    store: &mut WriteStore<'_>,
    booker: &mut Booker<'_>,
    row: &mut Row<'_>,
    named: &mut Named,
) -> Result<()> {
    while let Some((id, to, need)) = named.rows.front_mut().filter(|_| row.lots < ROW_LOTS) {
        let gone = || Error::Corrupt(format!("lot {id} is not open any more"));
        let parts = named.open.get_mut(id).ok_or_else(gone)?;
        let key = parts.front().ok_or_else(gone)?;
        let lot = store.lot(key)?.ok_or_else(gone)?;
        let quantity = lot.quantity.min(*need);
        *need = need.sub(quantity)?;
        if quantity == lot.quantity {
            parts.pop_front();
        }
        row.deal(store, booker, lot, quantity, Some(*to))?;
        if need.is_zero() {
            named.rows.pop_front();
        }
    }
    Ok(())
}

/// The oldest lots of the one pool to the connections in order, each up to its balance.
fn deal(
    store: &mut WriteStore<'_>,
    booker: &mut Booker<'_>,
    row: &mut Row<'_>,
    due: &mut BTreeMap<ConnectionNo, i128>,
) -> Result<()> {
    let prefix = LotKey::pool_bytes(None);
    while row.lots < ROW_LOTS
        && let Some((_, lot)) = store.next_lot(&prefix, &prefix)?
    {
        due.retain(|_, due| *due > 0);
        // Balances add up to what is open, or to more where a connection is overdrawn.
        let (to, due) = due
            .first_entry()
            .map(|entry| (*entry.key(), entry.into_mut()))
            .ok_or_else(|| Error::Corrupt("more lots are open than the ledger holds".into()))?;
        let quantity = Msats::new(i64::try_from(*due).unwrap_or(i64::MAX)).min(lot.quantity);
        *due -= i128::from(quantity.get());
        row.deal(store, booker, lot, quantity, Some(to))?;
    }
    Ok(())
}

/// A lot's place among the lots of all pools.
fn order(lot: &OpenLot, pool: u32) -> (Vec<u8>, u32) {
    (LotKey { pool: None, ..lot.key.clone() }.to_bytes(), pool)
}

/// The lots of all connections into one pool, oldest first.
fn unite(store: &mut WriteStore<'_>, booker: &mut Booker<'_>, row: &mut Row<'_>) -> Result<()> {
    let mut heads: BTreeMap<(Vec<u8>, u32), OpenLot> = BTreeMap::new();
    let mut after = 0u32;
    while let Some(from) = after.checked_add(1)
        && let Some((_, lot)) = store.next_lot(&from.to_be_bytes(), &[])?
    {
        after = lot.key.pool.map_or(0, |no| no.0);
        heads.insert(order(&lot, after), lot);
    }
    while row.lots < ROW_LOTS
        && let Some(((_, pool), lot)) = heads.pop_first()
    {
        let whole = lot.quantity;
        row.deal(store, booker, lot, whole, None)?;
        let prefix = LotKey::pool_bytes(Some(ConnectionNo(pool)));
        if let Some((_, next)) = store.next_lot(&prefix, &prefix)? {
            heads.insert(order(&next, pool), next);
        }
    }
    Ok(())
}
