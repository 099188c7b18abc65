//! One process: makes every derived row true again, by patching rows in place or by going back and replaying.

use std::collections::BTreeMap;

use super::booking::Booker;
use super::diff::Diff;
use super::patch::patch;
use super::pools::Pools;
use super::reach::Reaches;
use super::rewind::rewind;
use super::scan::Scan;
use super::section104::{self, first_affected};
use super::sums::Sums;
use super::switch::Switch;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey, instant_bytes, instant_from_bytes};
use crate::journal::{Sign, apply, effects, postings};
use crate::model::{
    Account, Asset, BookedStep, Effect, Era, Event, Flow, JournalRow, Limits, LotScope, LotUse, Method,
    Quarantine, Rail, RowStatus, Settings, Totals,
};
use crate::normalise::Rails;
use crate::store::{Span, WriteStore};
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

/// Derives the events of `spans` anew, and whatever follows from them; says what that changed about the
/// gains. `cancelled` is asked now and then.
pub(crate) fn process(
    store: &mut WriteStore<'_>,
    spans: &[Span],
    cancelled: &dyn Fn() -> bool,
) -> Result<(Outcome, Effect)> {
    let settings = store.settings()?;
    let zone = Zone::named(&settings.timezone)?;
    let connections: BTreeMap<ConnectionNo, Rail> =
        store.connections()?.into_iter().map(|connection| (connection.no, connection.rail)).collect();
    let rails = |no: ConnectionNo| connections.get(&no).copied().unwrap_or(Rail::Managed);
    let mut totals = store.totals()?;
    let first = store.next_journal(&[])?.is_none();
    let diff = Diff::over(&zone, std::mem::take(&mut totals.years), first);
    let mut run = Run {
        booker: Booker {
            settings: &settings,
            zone: &zone,
            rails: &rails,
            rates: Default::default(),
            pools: Pools::new(settings.method),
            lot_scope: settings.lot_scope,
            ahead: None,
        },
        sums: Sums::over(totals, &zone),
        diff,
        reaches: Reaches::new(Era::all(&settings, &zone)?),
        limits: store.limits()?,
        from_nothing: false,
        annotated: store.annotations.at_or_after(&[])?.is_some(),
        cancelled,
        replayed: 0,
        entries: 0,
    };
    let rest = match run.may_patch(store, spans)? {
        true => patch(&mut run, store, spans)?,
        false => {
            let first = spans.first().map(|span| first_affected(&settings, &zone, span.from));
            first.map(|instant| instant_bytes(instant).to_vec())
        }
    };
    if let Some(at) = rest {
        run.replay(store, &at)?;
    }
    run.finish(store)
}

/// One process.
pub(super) struct Run<'a> {
    pub booker: Booker<'a>,
    pub sums: Sums<'a>,
    /// Keeps the gains per year meanwhile, and what differs.
    pub diff: Diff<'a>,
    pub reaches: Reaches,
    pub limits: Limits,
    /// Whether rows replaced so far are worth nothing: everything is to be derived from nothing.
    pub from_nothing: bool,
    annotated: bool,
    cancelled: &'a dyn Fn() -> bool,
    replayed: u64,
    entries: u64,
}

impl Run<'_> {
    /// Whether rows may be replaced one by one: lots have an order, it is still the same, and it is the order of all rows
    /// that follow and of the lots table. Puts the last era in force, which begins with the last row at the latest.
    fn may_patch(&mut self, store: &mut WriteStore<'_>, spans: &[Span]) -> Result<bool> {
        let settings = self.booker.settings;
        let eras = Era::all(settings, self.booker.zone)?;
        let Some(era) = eras.last() else { return Ok(false) };
        (self.booker.pools, self.booker.lot_scope) = (Pools::new(era.method), era.lot_scope);
        Ok(!era.method.pools_cost()
            && !self.limits.near
            && spans.first().is_some_and(|span| span.from > era.from)
            && store.booked_settings()? == *settings)
    }

    /// Undoes every row at and behind the ordered bytes `at`, and books what the facts say now.
    fn replay(&mut self, store: &mut WriteStore<'_>, at: &[u8]) -> Result<()> {
        let instant = at.first_chunk().map_or(Timestamp::MIN, |bytes| instant_from_bytes(*bytes));
        if instant == Timestamp::MIN {
            // From nothing: rows may not even be undone, since a rail they were posted to may have changed or gone.
            self.diff.all_old(store)?;
            store.clear_derived()?;
            self.sums.clear();
            self.limits = Limits::default();
        }
        let booked = store.booked_settings()?;
        let booked = Era::all(&booked, &Zone::named(&booked.timezone)?)?;
        let mut old = Pools::new(booked.last().map_or(self.booker.settings.method, |era| era.method));
        if rewind(store, &mut self.sums, &mut old, at, self.booker.rails, &booked, &mut self.diff)? > 0 {
            self.reaches.cut(store, at)?;
        }
        old.finish(store)?;
        // Where nothing stays there are no lots to be made different either.
        let nothing_stays = store.next_journal(&[])?.is_none();
        if let Some(past) = self.booker.pools.past.take().filter(|_| !nothing_stays) {
            past.settle(store)?;
        }
        let mut scan = Scan::starting(instant);
        let eras = Era::all(self.booker.settings, self.booker.zone)?;
        let (begun, coming) = eras.split_at(Era::begun_before(&eras, instant));
        if let Some(era) = begun.last() {
            (self.booker.pools, self.booker.lot_scope) = (Pools::new(era.method), era.lot_scope);
        }
        if self.booker.pools.method == Method::UkS104 {
            return section104::replay(self, store, &mut scan, instant);
        }
        let mut coming = coming.iter().peekable();
        loop {
            let event = scan.next(store, self.booker.rails)?;
            let now = |era: &&Era| event.as_ref().is_none_or(|event| era.from <= event.key.time);
            while let Some(era) = coming.next_if(now) {
                self.begin(store, era)?;
            }
            let Some(event) = event else { break };
            if event.key.time == instant && event.key.to_bytes().as_slice() < at {
                continue;
            }
            let (key, row) = self.book(store, event)?;
            let row = self.add(store, &key, row)?;
            self.diff.new_row(&key, &row)?;
            self.reaches.appended(store, &key, &row)?;
            store.put_journal_row(&key, &row)?;
        }
        Ok(())
    }

    /// How many events were derived anew so far.
    pub fn replaced(&self) -> u64 {
        self.replayed
    }

    /// Puts an era in force; where the scope changes, that is rows of its own.
    fn begin(&mut self, store: &mut WriteStore<'_>, era: &Era) -> Result<()> {
        let mut switch = Switch::into(store, &mut self.booker, &mut self.sums, era)?;
        while let Some((key, row)) = switch.next(store, &mut self.booker)? {
            self.replayed += 1;
            self.entries += u64::from(row.status == RowStatus::Booked);
            let row = self.add(store, &key, row)?;
            self.reaches.appended(store, &key, &row)?;
            store.put_journal_row(&key, &row)?;
        }
        Ok(())
    }

    /// Books an event as its annotations say.
    pub fn book(&mut self, store: &mut WriteStore<'_>, event: Event) -> Result<(EventKey, JournalRow)> {
        if self.replayed.is_multiple_of(1024) && (self.cancelled)() {
            return Err(Error::Cancelled);
        }
        self.replayed += 1;
        let annotation = match self.annotated {
            true => Some(store.annotation_over(&event.key.id, &event.merged)?),
            false => None,
        };
        let (key, row) = self.booker.book(store, event, annotation.as_ref())?;
        self.entries += u64::from(row.status == RowStatus::Booked);
        Ok((key, row))
    }

    /// Adds a booked row to the sums. A row they have no room for is set aside, so that it cannot stop the others.
    pub fn add(&mut self, store: &mut WriteStore<'_>, key: &EventKey, row: JournalRow) -> Result<JournalRow> {
        if self.admit(store, key, &row)? {
            return Ok(row);
        }
        self.limits.near = true;
        self.booker.pools.undo(store, &effects(key, &row)?)?;
        let status = RowStatus::Quarantined(Quarantine::AmountOutOfRange);
        let row = JournalRow { status, steps: Vec::new(), valuation: None, ..row };
        match self.sums.add(store, key.time, &row, &[])? {
            true => Ok(row),
            false => Err(Error::Overflow("number of events")),
        }
    }

    /// Adds a row to sums that have room for it; says whether they had. If not, they are as they were.
    pub fn admit(&mut self, store: &mut WriteStore<'_>, key: &EventKey, row: &JournalRow) -> Result<bool> {
        self.limits.near |= near_limits(self.sums.totals(), weight(row));
        let added = match postings(row, self.booker.rails) {
            Ok(lines) => self.sums.add(store, key.time, row, &lines),
            Err(Error::Overflow(_)) => Ok(false),
            Err(error) => Err(error),
        };
        self.limits.near |= near_limits(self.sums.totals(), 0);
        added
    }

    fn finish(self, store: &mut WriteStore<'_>) -> Result<(Outcome, Effect)> {
        let settings = self.booker.settings;
        self.booker.pools.finish(store)?;
        self.reaches.finish(store)?;
        let (years, effect) = self.diff.finish();
        let currencies = (store.booked_settings()?.fiat_currency, settings.fiat_currency);
        let totals = self.sums.finish(store, years)?;
        conserved(&totals, settings)?;
        store.set_limits(&self.limits)?;
        store.set_booked_settings(settings)?;
        store.set_clean()?;
        let outcome = Outcome {
            events_total: totals.events,
            events_replayed: self.replayed,
            entries_written: self.entries,
            quarantined: totals.quarantined,
            book_version: store.version()?,
        };
        Ok((outcome, Effect { currencies: Some(currencies), ..effect }))
    }
}

/// Adds a row to totals that have room for it; says whether they had. If not, they are as they were.
pub(super) fn admit(totals: &mut Totals, row: &JournalRow, rails: Rails<'_>) -> Result<bool> {
    match postings(row, rails).and_then(|_| apply(totals, row, Sign::Add)) {
        Err(Error::Overflow(_)) => Ok(false),
        added => added.map(|()| true),
    }
}

const HALF: i128 = i64::MAX as i128 / 2;

/// Whether a sum could leave its range with a row of this weight: some sum is beyond half of it, or the weight is.
fn near_limits(totals: &Totals, weight: i128) -> bool {
    let gains = &totals.gains;
    let sums = [gains.quantity.get(), gains.gross.get(), gains.fiat_fees.get(), gains.cost.get()];
    let open = [totals.open_quantity.get(), totals.open_cost.get()];
    sums.into_iter().chain(open).any(|sum| size(sum) > HALF) || weight > HALF
}

/// What a row could change any sum by, at most.
pub(super) fn weight(row: &JournalRow) -> i128 {
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
        BookedStep::Moved { slices, .. }
        | BookedStep::Dealt { slices, .. }
        | BookedStep::CarriedFee { slices, .. } => 2 * used(slices),
        BookedStep::FiatTraded { .. } => 0,
    });
    amounts.sum()
}

fn size(amount: i64) -> i128 {
    i128::from(amount).abs()
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
