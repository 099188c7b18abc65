//! Forward from the mark: one pass that makes every derived row true again.

use std::collections::BTreeMap;

use super::booking::Booker;
use super::diff::Diff;
use super::pools::Pools;
use super::rewind::rewind;
use super::scan::Scan;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::journal::{Sign, apply, effects, postings};
use crate::model::{
    Account, Asset, BookedStep, Effect, Flow, JournalRow, LotScope, LotUse, Quarantine, Rail, RowStatus,
    Settings, Totals,
};
use crate::normalise::Rails;
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

/// What a process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Events in the journal, whatever their status.
    pub events_total: u64,
    /// Events derived anew by this process.
    pub events_replayed: u64,
    /// Entries (booked events) written by this process.
    pub entries_written: u64,
    /// Quarantined events in the journal.
    pub quarantined: u64,
    /// Version of the book afterwards.
    pub book_version: u64,
}

/// Rewinds to the mark and replays; says what that changed about the gains. `cancelled` is asked now and then.
pub(crate) fn process(
    store: &mut WriteStore<'_>,
    mark: Timestamp,
    cancelled: &dyn Fn() -> bool,
) -> Result<(Outcome, Effect)> {
    let settings = store.settings()?;
    let zone = Zone::named(&settings.timezone)?;
    let connections: BTreeMap<ConnectionNo, Rail> =
        store.connections()?.into_iter().map(|connection| (connection.no, connection.rail)).collect();
    let rails = |no: ConnectionNo| connections.get(&no).copied().unwrap_or(Rail::Managed);
    let mut totals = store.totals()?;
    let first = store.next_journal(&[])?.is_none();
    let booked_currency = store.booked_settings()?.fiat_currency;
    let mut diff = Diff::over(&zone, std::mem::take(&mut totals.years), first);
    if mark == Timestamp::MIN {
        // From nothing: rows may not even be undone, since a rail they were posted to may have changed or gone.
        diff.all_old(store)?;
        store.clear_derived()?;
        totals = Totals::default();
    }
    let mut pools = Pools::new(store.booked_settings()?.method);
    rewind(store, &mut totals, &mut pools, mark, &rails, &mut diff)?;
    pools.finish(store)?;
    let mut booker = Booker {
        settings: &settings,
        zone: &zone,
        rails: &rails,
        rates: Default::default(),
        pools: Pools::new(settings.method),
        lot_scope: settings.lot_scope,
    };
    let annotated = store.annotations.at_or_after(&[])?.is_some();
    let (mut replayed, mut entries) = (0u64, 0u64);
    let mut scan = Scan::starting(mark);
    while let Some(event) = scan.next(store, &rails)? {
        if replayed.is_multiple_of(1024) && cancelled() {
            return Err(Error::Cancelled);
        }
        let annotation =
            if annotated { Some(store.annotation_over(&event.key.id, &event.merged)?) } else { None };
        let (key, row) = booker.book(store, event, annotation.as_ref())?;
        let row = add(store, &mut booker.pools, &mut totals, &key, row, &rails)?;
        diff.new_row(&key, &row)?;
        replayed += 1;
        entries += u64::from(row.status == RowStatus::Booked);
        store.put_journal_row(&key, &row)?;
    }
    booker.pools.finish(store)?;
    conserved(&totals, &settings)?;
    let (years, effect) = diff.finish();
    let effect = Effect { currencies: Some((booked_currency, settings.fiat_currency)), ..effect };
    totals.years = years;
    store.set_totals(&totals)?;
    store.set_booked_settings(&settings)?;
    store.set_dirty_from(None)?;
    let outcome = Outcome {
        events_total: totals.events,
        events_replayed: replayed,
        entries_written: entries,
        quarantined: totals.quarantined,
        book_version: store.version()?,
    };
    Ok((outcome, effect))
}

/// Adds a booked row to the totals. A row they have no room for is set aside, so that it cannot stop the others.
fn add(
    store: &mut WriteStore<'_>,
    pools: &mut Pools,
    totals: &mut Totals,
    key: &EventKey,
    row: JournalRow,
    rails: Rails<'_>,
) -> Result<JournalRow> {
    let lines = match postings(&row, rails) {
        Err(Error::Overflow(_)) => return set_aside(store, pools, totals, key, row),
        lines => lines?,
    };
    let before = near_limits(totals, &row).then(|| totals.clone());
    match (apply(totals, &row, &lines, Sign::Add), before) {
        (Err(Error::Overflow(_)), Some(before)) => {
            *totals = before;
            set_aside(store, pools, totals, key, row)
        }
        (added, _) => added.map(|()| row),
    }
}

fn set_aside(
    store: &mut WriteStore<'_>,
    pools: &mut Pools,
    totals: &mut Totals,
    key: &EventKey,
    row: JournalRow,
) -> Result<JournalRow> {
    pools.undo(store, &effects(key, &row)?)?;
    let status = RowStatus::Quarantined(Quarantine::AmountOutOfRange);
    let row = JournalRow { status, steps: Vec::new(), valuation: None, ..row };
    apply(totals, &row, &[], Sign::Add)?;
    Ok(row)
}

/// Whether a sum could leave its range with this row: some sum is beyond half of it, or the row's amounts together are.
fn near_limits(totals: &Totals, row: &JournalRow) -> bool {
    const HALF: i128 = i64::MAX as i128 / 2;
    let gains = &totals.gains;
    let sums = [gains.quantity.get(), gains.gross.get(), gains.fiat_fees.get(), gains.cost.get()];
    let open = [totals.open_quantity.get(), totals.open_cost.get()];
    let size = |amount: i64| i128::from(amount).abs();
    let used = |slices: &[LotUse]| -> i128 {
        slices.iter().map(|slice| size(slice.quantity.get()) + size(slice.cost.get())).sum()
    };
    let amounts = row.steps.iter().map(|step| match step {
        BookedStep::Acquired { quantity, value, lot, .. } => {
            size(quantity.get()) + size(lot.cost.get()) + size(value.get())
        }
        BookedStep::Disposed(disposal) => {
            let slices = disposal.slices.iter().map(|slice| used(std::slice::from_ref(&slice.used)));
            size(disposal.gross.get()) + size(disposal.fiat_fee.get()) + slices.sum::<i128>()
        }
        BookedStep::FiatFee { value, .. } => size(value.get()),
        // A moved slice leaves one pool and enters another.
        BookedStep::Moved { slices, .. } => 2 * used(slices),
        BookedStep::CarriedFee { slices, .. } => 2 * used(slices),
        BookedStep::FiatTraded { .. } => 0,
    });
    sums.into_iter().chain(open).any(|sum| size(sum) > HALF) || amounts.sum::<i128>() > HALF
}

/// **What the ledger says is held is what the open lots hold**, in total and, where each connection has its own pool, for each
/// connection; **what came into the pools, units and cost, is what went out and what is left.**
pub(crate) fn conserved(totals: &Totals, settings: &Settings) -> Result<()> {
    let broken = |what: String| Err(Error::Corrupt(what));
    let mut held: BTreeMap<ConnectionNo, i128> = BTreeMap::new();
    for ((account, asset), total) in &totals.accounts {
        if let (Account::Bitcoin(_, no), Asset::Btc) = (account, asset) {
            *held.entry(*no).or_default() += total.net();
        }
    }
    let (open, in_all) = (i128::from(totals.open_quantity.get()), held.values().sum::<i128>());
    if in_all != open || open < 0 {
        return broken(format!("the ledger holds {in_all} msat, the open lots {open}"));
    }
    let left = totals.pools.values().fold(Flow::default(), |sum, pool| sum.and(pool.left()));
    if left != (Flow { quantity: open, cost: totals.open_cost.get().into() }) {
        return broken(format!("the pools have {left:?} left, the open lots {open} msat"));
    }
    // With one pool a connection may send what another received; after a change of scope both rules have been in force.
    let apart = settings.lot_scope == LotScope::Connection && settings.policies.is_empty();
    let of = |no: &ConnectionNo| totals.pools.get(&Some(*no)).map_or(0, |pool| pool.left().quantity);
    match held.iter().find(|(no, held)| apart && of(no) != **held) {
        Some((no, held)) => {
            broken(format!("the ledger of connection {} holds {held} msat, its lots {}", no.0, of(no)))
        }
        None => Ok(()),
    }
}
