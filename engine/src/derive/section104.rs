//! The replay under `UK_S104`: days are booked once the 30 days behind them are known.
//!
//! Events are valued ahead and wait, at most a window of 31 days of them; then a day is matched as a whole and its rows
//! are written in the order of the books. Whether an event is covered depends on what is held when its turn comes in
//! that order, never on later events, so that an event has its status before it is matched.
//!
//! Invariants: a slice of a lot that is yet to come has no effect of its own, the lot is opened by what was not
//! claimed; at the end of each day the pool's quantity and cost are those of the section 104 pool. A change on one day
//! reaches back 30 days ([`first_affected`]), not further: earlier disposals come first. What they claim of days that are derived
//! anew is read back from their rows.

use std::collections::{BTreeMap, VecDeque};

use jiff::civil::Date;

use super::advance::{Run, admit};
use super::scan::Scan;
use crate::error::{Error, Result};
use crate::id::{EventKey, instant_bytes};
use crate::journal::{Numbers, Sign, apply, opened_key};
use crate::lots::{Cut, Matcher, Part, Take, apportion, cost_share, cut, first_match, last_match};
use crate::model::{
    BookedDisposal, BookedStep, JournalRow, LotKey, LotUse, Method, OpenLot, PoolCost, Quarantine, RowStatus,
    Settings, Slice, Term, Totals,
};
use crate::money::{Fiat, Msats};
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

/// The instant from which a change at `mark` makes rows wrong: under `UK_S104` the start of the 30th day before.
pub(crate) fn first_affected(settings: &Settings, zone: &Zone, mark: Timestamp) -> Timestamp {
    if settings.method != Method::UkS104 {
        return mark;
    }
    let days = Days::default().of(zone, mark);
    days.and_then(|day| zone.start_of(first_match(day))).map_or(Timestamp::MIN, |start| start.min(mark))
}

/// Tells the days of instants that come in order. A day ends where the next one starts, even where the clock is put
/// back over midnight.
#[derive(Default)]
struct Days(Option<(Date, Timestamp, Timestamp)>);

impl Days {
    fn of(&mut self, zone: &Zone, at: Timestamp) -> Result<Date> {
        if let Some((day, from, until)) = self.0
            && from <= at
            && at < until
        {
            return Ok(day);
        }
        let mut day = zone.day(at)?;
        let mut until = zone.end_of(day)?;
        if until < at {
            day = day.tomorrow().map_err(|_| Error::TimeRange(at))?;
            until = zone.end_of(day)?;
        }
        self.0 =
            Some((day, zone.start_of(day)?, Timestamp::from_micros(until.as_micros().saturating_add(1))));
        Ok(day)
    }
}

/// A day whose events are valued.
struct Ahead {
    day: Date,
    rows: Vec<(EventKey, JournalRow)>,
}

/// Derives everything that `scan` yields from `start` on, the first instant of a day.
pub(super) fn replay(
    run: &mut Run<'_>,
    store: &mut WriteStore<'_>,
    scan: &mut Scan,
    start: Timestamp,
) -> Result<()> {
    let mut ahead = run.sums.totals().clone();
    (ahead.open_cost, ahead.gains.cost) = (Fiat::ZERO, Fiat::ZERO);
    run.booker.ahead = Some(ahead.open_quantity);
    let claims = claims_before(store, run.booker.zone, start)?;
    let (waiting, days, matcher) = (VecDeque::new(), Days::default(), Matcher::default());
    let mut replay = Replay { run, ahead, waiting, days, matcher, claims };
    replay.all(store, scan)?;
    replay.run.booker.ahead = None;
    Ok(())
}

/// One replay.
struct Replay<'a, 'b> {
    run: &'a mut Run<'b>,
    /// The totals with everything that is valued, without costs: what must have room.
    ahead: Totals,
    waiting: VecDeque<Ahead>,
    days: Days,
    matcher: Matcher,
    /// What disposals have claimed of lots that are not open yet.
    claims: BTreeMap<Vec<u8>, Cut>,
}

impl Replay<'_, '_> {
    fn all(&mut self, store: &mut WriteStore<'_>, scan: &mut Scan) -> Result<()> {
        while let Some(event) = scan.next(store, self.run.booker.rails)? {
            let before = self.run.booker.ahead;
            let (key, row) = self.run.book(store, event)?;
            let row = self.admit(row, before)?;
            let day = self.days.of(self.run.booker.zone, key.time)?;
            match self.waiting.back_mut() {
                Some(last) if last.day == day => last.rows.push((key, row)),
                _ => {
                    self.add_last()?;
                    self.waiting.push_back(Ahead { day, rows: vec![(key, row)] });
                }
            }
            while self.waiting.front().is_some_and(|first| last_match(first.day) < day) {
                self.settle(store)?;
            }
        }
        self.add_last()?;
        while !self.waiting.is_empty() {
            self.settle(store)?;
        }
        Ok(())
    }

    /// Sets a row aside that the books have no room for: then its costs have room wherever they end up.
    fn admit(&mut self, row: JournalRow, held_before: Option<Msats>) -> Result<JournalRow> {
        let fits = admit(&mut self.ahead, &row, self.run.booker.rails)?;
        let limit = i128::from(i64::MAX);
        if fits && self.ahead.acquired.quantity <= limit && self.ahead.acquired.cost <= limit {
            return Ok(row);
        }
        if fits {
            apply(&mut self.ahead, &row, Sign::Remove)?;
        }
        self.run.limits.near = true;
        self.run.booker.ahead = held_before;
        let status = RowStatus::Quarantined(Quarantine::AmountOutOfRange);
        let row = JournalRow { status, steps: Vec::new(), valuation: None, ..row };
        apply(&mut self.ahead, &row, Sign::Add)?;
        Ok(row)
    }

    /// Hands the last day that waits to the matcher: it is complete.
    fn add_last(&mut self) -> Result<()> {
        let Some(Ahead { day, rows }) = self.waiting.back() else { return Ok(()) };
        let (day, mut acquired, mut left, mut claims) = (*day, Vec::new(), Msats::ZERO, Vec::new());
        for (key, row) in rows {
            for lot in opened(key, row)? {
                if self.days.of(self.run.booker.zone, lot.key.acquired_at)? == day {
                    claims.extend(self.claims.get(&lot.key.to_bytes()).cloned());
                    acquired.push(lot);
                }
            }
            left = left.add(Msats::sum(needs(row)?)?)?;
        }
        acquired.sort_by_cached_key(|lot| lot.key.to_bytes());
        self.matcher.add(day, part_of(acquired)?, left, &claims)
    }

    /// Books the first day that waits.
    fn settle(&mut self, store: &mut WriteStore<'_>) -> Result<()> {
        let Some(Ahead { day, rows }) = self.waiting.pop_front() else { return Ok(()) };
        let settled = self.matcher.settle(day)?;
        let mut parts = settled.matched;
        if !settled.from_pool.is_zero() {
            parts.push(self.pool_part(store, day, &rows, settled.from_pool)?);
        }
        let mut wanted = Vec::new();
        for (_, row) in &rows {
            wanted.extend(needs(row)?);
        }
        let mut cuts = cut(parts, &wanted)?.into_iter();
        for (key, mut row) in rows {
            let mut numbers = Numbers::default();
            for step in &mut row.steps {
                match step {
                    BookedStep::Acquired { quantity, lot, .. } => {
                        let lot_key = opened_key(&key, lot, *quantity, numbers.opened()?);
                        let claim = self.claims.remove(&lot_key.to_bytes());
                        lot.claimed = claim.map(|(_, quantity, cost)| (quantity, cost));
                        self.open(store, lot_key, *quantity, lot.cost, lot.claimed)?;
                    }
                    BookedStep::Disposed(disposal) => {
                        disposal.slices =
                            self.slices(store, &key, disposal, cuts.next().unwrap_or_default())?;
                    }
                    _ => {}
                }
            }
            if !self.run.admit(store, &key, &row)? {
                return Err(Error::Corrupt(format!("{} has no room after it was valued", key.id)));
            }
            self.run.diff.new_row(&key, &row)?;
            store.put_journal_row(&key, &row)?;
        }
        Ok(())
    }

    /// The part of a day that the pool covers: at its average, with everything that enters it on that day.
    fn pool_part(
        &mut self,
        store: &mut WriteStore<'_>,
        day: Date,
        rows: &[(EventKey, JournalRow)],
        need: Msats,
    ) -> Result<Part> {
        // Where the day's own acquisitions do not suffice, nothing of them is left: only what was acquired before enters.
        let mut brought = Vec::new();
        for (key, row) in rows {
            for lot in opened(key, row)? {
                if self.days.of(self.run.booker.zone, lot.key.acquired_at)? != day {
                    brought.push(lot);
                }
            }
        }
        brought.sort_by_cached_key(|lot| lot.key.to_bytes());
        let mut held = self.run.booker.pools.held(store, None)?;
        for lot in &brought {
            held = PoolCost { quantity: held.quantity.add(lot.quantity)?, cost: held.cost.add(lot.cost)? };
        }
        let mut part = Part { cost: cost_share(held.cost, need, held.quantity)?, lots: VecDeque::new() };
        let prefix = LotKey::pool_bytes(None);
        let (mut left, mut from, mut brought) = (need, prefix.to_vec(), brought.into_iter().peekable());
        while !left.is_zero() {
            let open = store.next_lot(&from, &prefix)?;
            let next = match (&open, brought.peek()) {
                (Some((raw, _)), Some(came)) if came.key.to_bytes() < *raw => brought.next(),
                (None, _) => brought.next(),
                (Some((raw, lot)), _) => {
                    from = raw.clone();
                    from.push(0);
                    Some(lot.clone())
                }
            };
            let lot = next.ok_or_else(|| Error::Corrupt("the section 104 pool lacks lots".into()))?;
            let taken = left.min(lot.quantity);
            left = left.sub(taken)?;
            part.lots.push_back((lot.key, taken));
        }
        Ok(part)
    }

    /// Opens what nobody has claimed of a lot; its cost goes to the pool either way.
    fn open(
        &mut self,
        store: &mut WriteStore<'_>,
        key: LotKey,
        quantity: Msats,
        cost: Fiat,
        claimed: Option<(Msats, Fiat)>,
    ) -> Result<()> {
        let (gone, paid) = claimed.unwrap_or((Msats::ZERO, Fiat::ZERO));
        let (quantity, cost) = (quantity.sub(gone)?, cost.sub(paid)?);
        if quantity.is_zero() {
            return self.run.booker.pools.add_pool_cost(store, key.pool, cost);
        }
        self.run.booker.pools.open(store, OpenLot { key, quantity, cost, loss_cost: None })
    }

    /// The slices of a disposal: taken from lots that are open, claimed from those to come.
    fn slices(
        &mut self,
        store: &mut WriteStore<'_>,
        key: &EventKey,
        disposal: &BookedDisposal,
        cuts: Vec<Cut>,
    ) -> Result<Vec<Slice>> {
        let weights = cuts.iter().map(|(_, quantity, _)| *quantity);
        let (gross, fees) =
            (apportion(disposal.gross, weights.clone())?, apportion(disposal.fiat_fee, weights)?);
        let mut slices = Vec::with_capacity(cuts.len());
        for (((lot, quantity, cost), gross), fiat_fee) in cuts.into_iter().zip(gross).zip(fees) {
            let long = self.run.booker.zone.is_long_term(lot.acquired_at, key.time)?;
            let used = if lot.opened_by() > key {
                self.claim(&lot, quantity, cost)?;
                LotUse { lot, quantity, cost, loss_cost: None, left: None }
            } else {
                let missing = || Error::Corrupt(format!("lot {} is not open", lot.lot_id()));
                let lot = store.lot(&lot)?.ok_or_else(missing)?;
                let take = Take { lot, quantity, cost, loss_cost: None };
                self.run
                    .booker
                    .pools
                    .take(store, vec![take])?
                    .pop()
                    .ok_or_else(|| Error::Corrupt("a slice was not taken".into()))?
            };
            slices.push(Slice { used, gross, fiat_fee, term: if long { Term::Long } else { Term::Short } });
        }
        Ok(slices)
    }

    fn claim(&mut self, lot: &LotKey, quantity: Msats, cost: Fiat) -> Result<()> {
        claim(&mut self.claims, lot, quantity, cost)
    }
}

fn claim(claims: &mut BTreeMap<Vec<u8>, Cut>, lot: &LotKey, quantity: Msats, cost: Fiat) -> Result<()> {
    let claim = claims.entry(lot.to_bytes()).or_insert_with(|| (lot.clone(), Msats::ZERO, Fiat::ZERO));
    (claim.1, claim.2) = (claim.1.add(quantity)?, claim.2.add(cost)?);
    Ok(())
}

/// What rows before `start` claim of lots at or after it.
fn claims_before(
    store: &mut WriteStore<'_>,
    zone: &Zone,
    start: Timestamp,
) -> Result<BTreeMap<Vec<u8>, Cut>> {
    let mut claims = BTreeMap::new();
    let from = Days::default().of(zone, start).and_then(|day| zone.start_of(first_match(day)));
    let Ok(from) = from else { return Ok(claims) };
    let mut from = instant_bytes(from).to_vec();
    while let Some((key, row)) = store.next_journal(&from)?.filter(|(key, _)| key.time < start) {
        for step in &row.steps {
            let BookedStep::Disposed(disposal) = step else { continue };
            for LotUse { lot, quantity, cost, .. } in disposal.slices.iter().map(|slice| &slice.used) {
                if lot.opened_by().time >= start {
                    claim(&mut claims, lot, *quantity, *cost)?;
                }
            }
        }
        from = key.to_bytes();
        from.push(0);
    }
    Ok(claims)
}

/// The lots a row acquires, whole.
fn opened(key: &EventKey, row: &JournalRow) -> Result<Vec<OpenLot>> {
    let (mut lots, mut numbers) = (Vec::new(), Numbers::default());
    for step in &row.steps {
        if let BookedStep::Acquired { quantity, lot, .. } = step {
            let key = opened_key(key, lot, *quantity, numbers.opened()?);
            lots.push(OpenLot { key, quantity: *quantity, cost: lot.cost, loss_cost: None });
        }
    }
    Ok(lots)
}

/// What each disposal of a row needs.
fn needs(row: &JournalRow) -> Result<Vec<Msats>> {
    let disposals = row.steps.iter().filter_map(|step| match step {
        BookedStep::Disposed(disposal) => Some(disposal.quantity.add(disposal.fee)),
        _ => None,
    });
    disposals.collect()
}

fn part_of(lots: Vec<OpenLot>) -> Result<Part> {
    let cost = Fiat::sum(lots.iter().map(|lot| lot.cost))?;
    Ok(Part { cost, lots: lots.into_iter().map(|lot| (lot.key, lot.quantity)).collect() })
}
