//! Forward from the mark: one pass that makes every derived row true again.

use std::collections::BTreeMap;

use super::booking::Booker;
use super::pools::Pools;
use super::rewind::rewind;
use super::scan::Scan;
use super::sums::Sums;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::journal::{effects, postings};
use crate::model::{JournalRow, Quarantine, Rail, RowStatus, Totals};
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
    if mark == Timestamp::MIN {
        // From nothing: rows may not even be undone, since a rail they were posted to may have changed or gone.
        store.clear_derived()?;
    }
    let mut sums = Sums::load(store, &zone)?;
    let mut pools = Pools::new(store.booked_settings()?.method);
    rewind(store, &mut sums, &mut pools, mark, &rails)?;
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
        let row = add(store, &mut booker.pools, &mut sums, &key, row, &rails)?;
        replayed += 1;
        entries += u64::from(row.status == RowStatus::Booked);
        store.put_journal_row(&key, &row)?;
    }
    booker.pools.finish(store)?;
    let totals = sums.finish(store)?;
    conserved(&totals)?;
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

/// Adds a booked row to the sums. A row they have no room for is set aside, so that it cannot stop the others.
fn add(
    store: &mut WriteStore<'_>,
    pools: &mut Pools,
    sums: &mut Sums<'_>,
    key: &EventKey,
    row: JournalRow,
    rails: Rails<'_>,
) -> Result<JournalRow> {
    let fits = match postings(&row, rails) {
        Ok(lines) => sums.add(store, key.time, &row, &lines)?,
        Err(Error::Overflow(_)) => false,
        Err(error) => return Err(error),
    };
    if fits {
        return Ok(row);
    }
    pools.undo(store, &effects(key, &row)?)?;
    let status = RowStatus::Quarantined(Quarantine::AmountOutOfRange);
    let row = JournalRow { status, steps: Vec::new(), valuation: None, ..row };
    if sums.add(store, key.time, &row, &[])? { Ok(row) } else { Err(Error::Overflow("number of events")) }
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
