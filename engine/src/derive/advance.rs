//! Forward from the mark: one pass that makes every derived row true again.

use std::collections::BTreeMap;

use super::booking::Booker;
use super::pools::Pools;
use super::rewind::rewind;
use super::scan::Scan;
use super::section104::{Replay, reach};
use super::switch::Switch;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::journal::{Sign, apply, effects, postings};
use crate::model::{BookedStep, Era, JournalRow, LotUse, Method, Quarantine, Rail, RowStatus, Totals};
use crate::money::Msats;
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

/// Rewinds to the mark and replays. `cancelled` is asked now and then.
pub(crate) fn process(
    store: &mut WriteStore<'_>,
    mark: Timestamp,
    cancelled: &dyn Fn() -> bool,
) -> Result<Outcome> {
    let settings = store.settings()?;
    let zone = Zone::named(&settings.timezone)?;
    let connections: BTreeMap<ConnectionNo, Rail> =
        store.connections()?.into_iter().map(|connection| (connection.no, connection.rail)).collect();
    let rails = |no: ConnectionNo| connections.get(&no).copied().unwrap_or(Rail::Managed);
    let mark = reach(&settings, &zone, mark);
    if mark == Timestamp::MIN {
        // From nothing: rows may not even be undone, since a rail they were posted to may have changed or gone.
        store.clear_derived()?;
    }
    let mut totals = store.totals()?;
    let booked = store.booked_settings()?;
    let booked = Era::all(&booked, &Zone::named(&booked.timezone)?)?;
    let mut pools = Pools::new(booked.last().map_or(settings.method, |era| era.method));
    rewind(store, &mut totals, &mut pools, mark, &rails, &booked)?;
    pools.finish(store)?;
    let eras = Era::all(&settings, &zone)?;
    let (begun, coming) = eras.split_at(Era::begun_before(&eras, mark));
    let now = begun.last().map_or((settings.method, settings.lot_scope), |era| (era.method, era.lot_scope));
    let mut booker = Booker {
        settings: &settings,
        zone: &zone,
        rails: &rails,
        rates: Default::default(),
        pools: Pools::new(now.0),
        lot_scope: now.1,
        ahead: None,
    };
    let mut coming = coming.iter().peekable();
    let annotated = store.annotations.at_or_after(&[])?.is_some();
    let (mut replayed, mut entries) = (0u64, 0u64);
    let mut scan = Scan::starting(mark);
    if settings.method == Method::UkS104 {
        let mut replay = Replay::new(store, &mut booker, &mut totals, mark)?;
        replay.run(store, &mut scan, annotated, cancelled)?;
        (replayed, entries) = replay.written;
    }
    // Where days were matched, nothing is left to scan.
    loop {
        let event = scan.next(store, &rails)?;
        while let Some(era) =
            coming.next_if(|era| event.as_ref().is_none_or(|event| era.from <= event.key.time))
        {
            let mut switch = Switch::into(store, &mut booker, &totals, era)?;
            while let Some((key, row)) = switch.next(store, &mut booker)? {
                let row = add(store, &mut booker.pools, &mut totals, &key, row, &rails)?;
                replayed += 1;
                entries += u64::from(row.status == RowStatus::Booked);
                store.put_journal_row(&key, &row)?;
            }
        }
        let Some(event) = event else { break };
        if replayed.is_multiple_of(1024) && cancelled() {
            return Err(Error::Cancelled);
        }
        let annotation =
            if annotated { Some(store.annotation_over(&event.key.id, &event.merged)?) } else { None };
        let (key, row) = booker.book(store, event, annotation.as_ref())?;
        let row = add(store, &mut booker.pools, &mut totals, &key, row, &rails)?;
        replayed += 1;
        entries += u64::from(row.status == RowStatus::Booked);
        store.put_journal_row(&key, &row)?;
    }
    booker.pools.finish(store)?;
    conserved(&totals)?;
    store.set_totals(&totals)?;
    store.set_booked_settings(&settings)?;
    store.set_dirty_from(None)?;
    Ok(Outcome {
        events_total: totals.events,
        events_replayed: replayed,
        entries_written: entries,
        quarantined: totals.quarantined,
        book_version: store.version()?,
    })
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
    if admit(totals, &row, rails)? { Ok(row) } else { set_aside(store, pools, totals, key, row) }
}

/// Adds a row to the totals; `false` leaves them as they were, having no room for it.
pub(super) fn admit(totals: &mut Totals, row: &JournalRow, rails: Rails<'_>) -> Result<bool> {
    let lines = match postings(row, rails) {
        Err(Error::Overflow(_)) => return Ok(false),
        lines => lines?,
    };
    let before = near_limits(totals, row).then(|| totals.clone());
    match (apply(totals, row, &lines, Sign::Add), before) {
        (Err(Error::Overflow(_)), Some(before)) => {
            *totals = before;
            Ok(false)
        }
        (added, _) => added.map(|()| true),
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
        BookedStep::Dealt { slices, .. } | BookedStep::CarriedFee { slices, .. } => 2 * used(slices),
        BookedStep::FiatTraded { .. } => 0,
    });
    sums.into_iter().chain(open).any(|sum| size(sum) > HALF) || amounts.sum::<i128>() > HALF
}

/// **What the ledger says is held is what the open lots say is held.**
pub(crate) fn conserved(totals: &Totals) -> Result<()> {
    use crate::model::{Account, Asset};
    let held = totals
        .accounts
        .iter()
        .filter(|((account, asset), _)| matches!(account, Account::Bitcoin(..)) && *asset == Asset::Btc);
    let held: i128 = held.map(|(_, total)| total.net()).sum();
    if held == i128::from(totals.open_quantity.get()) && totals.open_quantity >= Msats::ZERO {
        return Ok(());
    }
    Err(Error::Corrupt(format!("the ledger holds {held} msat, the open lots {}", totals.open_quantity.get())))
}
