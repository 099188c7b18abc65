//! [`Snapshot`]: one state of the book; everything read from it agrees.

use std::collections::BTreeMap;
use std::io::Write;

use super::{Change, Tag};
use crate::derive::pending_events;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, EventKey, instant_bytes};
use crate::lots::cost_share;
use crate::model::{
    Annotation, Connection, Era, JournalRow, OpenLot, PoolCost, Quarantine, Record, RowStatus, Settings,
    Totals,
};
use crate::money::Rate;
use crate::reports::{self, FormQuery, Header, HistoryQuery, Range, ReportContext};
use crate::store::{Frozen, ReadStore};
use crate::time::{Timestamp, Zone};

/// One state of the book.
pub struct Snapshot {
    frozen: Frozen,
}

impl Snapshot {
    pub(super) fn new(frozen: Frozen) -> Self {
        Snapshot { frozen }
    }

    pub(super) fn store(&self) -> Result<ReadStore> {
        self.frozen.store()
    }

    /// The book's policies.
    pub fn settings(&self) -> Result<Settings> {
        self.store()?.settings()
    }

    /// The policies the journal was made under: a change waits for the next process, and until then no report mixes
    /// old figures with new names.
    pub fn booked_settings(&self) -> Result<Settings> {
        self.store()?.booked_settings()
    }

    /// Every connection, in order of creation.
    pub fn connections(&self) -> Result<Vec<Connection>> {
        self.store()?.connections()
    }

    /// The connection with this public id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn connection(&self, id: &str) -> Result<Connection> {
        let found = self.connections()?.into_iter().find(|connection| connection.id == id);
        found.ok_or_else(|| Error::not_found("connection", id))
    }

    /// Every tag, by code.
    pub fn tags(&self) -> Result<Vec<Tag>> {
        self.store()?.all_tags()
    }

    /// Every annotation, by event id.
    pub fn annotations(&self) -> Result<Vec<(EventId, Annotation)>> {
        self.store()?.all_annotations()
    }

    /// The running sums.
    pub fn totals(&self) -> Result<Totals> {
        self.store()?.totals()
    }

    /// The caller's bookmark into its source of rates.
    pub fn rates_cursor(&self) -> Result<u64> {
        self.store()?.rates_cursor()
    }

    /// Changes after `version`, oldest first, at most `limit`.
    pub fn changes_after(&self, version: u64, limit: usize) -> Result<Vec<(u64, Change)>> {
        self.store()?.changes_after(version, limit)
    }

    /// Version, whether something waits or is quarantined, and how much is.
    pub fn header(&self) -> Result<Header> {
        let mut store = self.store()?;
        let quarantined = store.totals()?.quarantined;
        let non_final = quarantined > 0 || store.dirty_from()?.is_some();
        Ok(Header { book_version: store.version()?, non_final, quarantined })
    }

    /// Transactions seen but not booked yet.
    pub fn pending(&self) -> Result<Vec<Record>> {
        pending_events(&mut self.store()?)
    }

    /// Quarantined events at or after the cursor (a key from an earlier page), at most `limit`.
    pub fn quarantined(
        &self,
        after: Option<&EventKey>,
        limit: usize,
    ) -> Result<Vec<(EventKey, JournalRow, Quarantine)>> {
        let mut store = self.store()?;
        let mut from = after.map(behind).unwrap_or_default();
        let mut found = Vec::new();
        while found.len() < limit {
            let Some(key) = store.next_quarantined(&from)? else { break };
            from = behind(&key);
            let row = store
                .journal_row(&key)?
                .ok_or_else(|| Error::Corrupt("a quarantined row is missing".into()))?;
            if let RowStatus::Quarantined(reason) = row.status.clone() {
                found.push((key, row, reason));
            }
        }
        Ok(found)
    }

    /// Journal rows from `start` to `end`, both inclusive, oldest first.
    pub fn journal(&self, range: &Range) -> Result<JournalRows> {
        let from = range.start.map(|start| instant_bytes(start).to_vec()).unwrap_or_default();
        Ok(JournalRows { store: self.store()?, from, end: range.end })
    }

    /// Open lots, pool by pool, each in the order of its keys: oldest first, but lowest unit cost first where the method
    /// ranks by it. Where a pool keeps one cost, each lot is given its share of that by quantity.
    pub fn open_lots(&self) -> Result<impl Iterator<Item = Result<OpenLot>> + use<>> {
        let mut store = self.store()?;
        let pooled = store.booked_settings()?.method.pools_cost();
        let mut from = Vec::new();
        // The pool at hand, and what of it has not been given to a lot yet.
        let mut at: Option<(Option<ConnectionNo>, PoolCost)> = None;
        Ok(std::iter::from_fn(move || {
            let (raw, lot) = match store.next_lot(&from, &[]).transpose()? {
                Ok(next) => next,
                Err(error) => return Some(Err(error)),
            };
            from = raw;
            from.push(0);
            if !pooled {
                return Some(Ok(lot));
            }
            let pool = lot.key.pool;
            let left = match at.filter(|(of, _)| *of == pool) {
                Some((_, left)) => Ok(left),
                None => store.pool_cost(pool),
            };
            Some(left.and_then(|left| {
                let cost = cost_share(left.cost, lot.quantity, left.quantity)?;
                let rest =
                    PoolCost { quantity: left.quantity.sub(lot.quantity)?, cost: left.cost.sub(cost)? };
                at = Some((pool, rest));
                Ok(OpenLot { cost, ..lot })
            }))
        }))
    }

    /// Balance sheet as it stood at `as_of` (`None`: as it stands).
    pub fn balance_sheet(&self, as_of: Option<Timestamp>, now: Timestamp) -> Result<reports::BalanceSheet> {
        let totals = self.totals_at(as_of)?;
        self.with_context(|ctx| reports::balance_sheet(ctx, &totals, as_of, now))
    }

    /// Portfolio summary as it stood at `as_of` (`None`: as it stands), valued at the last rate up to then.
    pub fn portfolio_summary(
        &self,
        as_of: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<reports::PortfolioSummary> {
        as_of.map_or(Ok(()), |as_of| self.check_settled(as_of))?;
        let totals = self.totals_at(as_of)?;
        let rate = self.last_rate(as_of.unwrap_or(Timestamp::MAX))?;
        self.with_context(|ctx| reports::portfolio_summary(ctx, &totals, rate, as_of, now))
    }

    /// Capital gains of a range.
    pub fn capital_gains(&self, range: &Range, now: Timestamp) -> Result<reports::CapitalGains> {
        let rows = self.journal(range)?;
        self.with_context(|ctx| reports::capital_gains(ctx, rows, range, now))
    }

    /// The sums of [`Snapshot::capital_gains`] without its rows, read from days.
    pub fn capital_gains_sums(&self, range: &Range, now: Timestamp) -> Result<reports::CapitalGains> {
        let sums = self.spans()?.sum(range)?;
        self.with_context(|ctx| reports::capital_gains_sums(ctx, &sums, range, now))
    }

    /// Capital gains of a range as CSV, row by row.
    pub fn capital_gains_csv(&self, range: &Range, out: &mut dyn Write) -> Result<()> {
        let rows = self.journal(range)?;
        self.with_context(|ctx| reports::capital_gains_csv(ctx, rows, range, out))
    }

    /// Journal entries of a range.
    pub fn journal_entries(&self, range: &Range, now: Timestamp) -> Result<reports::JournalEntries> {
        let rows = self.journal(range)?;
        self.with_context(|ctx| reports::journal_entries(ctx, rows, range, now))
    }

    /// Journal entries of a range as CSV, row by row.
    pub fn journal_entries_csv(&self, range: &Range, out: &mut dyn Write) -> Result<()> {
        let rows = self.journal(range)?;
        self.with_context(|ctx| reports::journal_entries_csv(ctx, rows, range, out))
    }

    /// Open lots as a report, as they stood at `as_of` (`None`: as they stand).
    pub fn open_lots_report(&self, as_of: Option<Timestamp>, now: Timestamp) -> Result<reports::OpenLots> {
        let lots = self.open_lots_at(as_of)?;
        self.with_context(|ctx| reports::open_lots(ctx, lots, as_of, now))
    }

    /// Open lots as CSV.
    pub fn open_lots_csv(&self, as_of: Option<Timestamp>, now: Timestamp, out: &mut dyn Write) -> Result<()> {
        let lots = self.open_lots_at(as_of)?;
        self.with_context(|ctx| reports::open_lots_csv(ctx, lots, as_of.unwrap_or(now), out))
    }

    /// Gains, income and expenses per tax year, or of one year.
    ///
    /// # Errors
    /// As [`Range::year`].
    pub fn tax_summary(&self, year: Option<i16>, now: Timestamp) -> Result<reports::TaxSummary> {
        let range = match year {
            Some(year) => Range::year(year, &self.zone()?)?,
            None => Range::default(),
        };
        let years = self.spans()?.years(year)?;
        self.with_context(|ctx| reports::tax_summary(ctx, &years, &range, now))
    }

    /// The spans a balance history has: from the first day of the books, or `start`, to `end`, or now.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`SPANS_MAX`](reports::SPANS_MAX).
    pub fn history_spans(&self, query: &HistoryQuery, now: Timestamp) -> Result<Vec<Range>> {
        let zone = Zone::named(&self.booked_settings()?.timezone)?;
        let start = match query.range.start {
            Some(start) => Some(start),
            None => self.spans()?.begin()?,
        };
        let Some(start) = start else { return Ok(Vec::new()) };
        query.interval.spans(&zone, start, query.range.end.unwrap_or(now))
    }

    /// Balances over time.
    pub fn balance_history(
        &self,
        query: &HistoryQuery,
        spans: &[Range],
        now: Timestamp,
    ) -> Result<reports::BalanceHistory> {
        let mut source = self.spans()?;
        self.with_context(|ctx| reports::balance_history(ctx, query, spans, &mut source, now))
    }

    /// Balances over time as CSV, span by span.
    pub fn balance_history_csv(
        &self,
        query: &HistoryQuery,
        spans: &[Range],
        out: &mut dyn Write,
    ) -> Result<()> {
        let mut source = self.spans()?;
        self.with_context(|ctx| reports::balance_history_csv(ctx, query, spans, &mut source, out))
    }

    /// The instants of the year of a Form 8949; refuses what has no such form.
    ///
    /// # Errors
    /// As [`FormQuery::range`].
    pub fn form_8949_range(&self, query: &FormQuery) -> Result<Range> {
        let settings = self.booked_settings()?;
        query.range(settings.fiat_currency, &Zone::named(&settings.timezone)?)
    }

    /// The layout of Form 8949.
    pub fn form_8949(&self, query: &FormQuery, now: Timestamp) -> Result<reports::Form8949> {
        let rows = self.journal(&self.form_8949_range(query)?)?;
        self.with_context(|ctx| reports::form_8949(ctx, rows, query, now))
    }

    /// The layout of Form 8949 as CSV, box by box.
    pub fn form_8949_csv(&self, query: &FormQuery, out: &mut dyn Write) -> Result<()> {
        let range = self.form_8949_range(query)?;
        self.with_context(|ctx| reports::form_8949_csv(ctx, || self.journal(&range), query, out))
    }

    /// The zone the journal was made under: days of a question mean the same as days of an answer.
    pub fn zone(&self) -> Result<Zone> {
        Zone::named(&self.booked_settings()?.timezone)
    }

    /// The last price of bitcoin in the book's currency up to `at`, and its instant.
    fn last_rate(&self, at: Timestamp) -> Result<Option<(Rate, Timestamp)>> {
        let mut store = self.store()?;
        let pair = format!("BTC-{}", store.booked_settings()?.fiat_currency);
        Ok(store.rate_at(&pair, at)?.map(|(time, row)| (row.rate, time)))
    }

    pub(super) fn with_context<R>(&self, make: impl FnOnce(&ReportContext<'_>) -> Result<R>) -> Result<R> {
        let settings = self.booked_settings()?;
        let annotations = std::cell::RefCell::new(self.store()?);
        let annotation =
            |id: &EventId, merged: &[EventId]| annotations.borrow_mut().annotation_over(id, merged);
        let connections: BTreeMap<ConnectionNo, Connection> =
            self.connections()?.into_iter().map(|connection| (connection.no, connection)).collect();
        let zone = Zone::named(&settings.timezone)?;
        let (eras, header) = (Era::all(&settings, &zone)?, self.header()?);
        make(&ReportContext { header, settings, zone, eras, connections, annotation: &annotation })
    }
}

/// Journal rows of a range, oldest first.
pub struct JournalRows {
    store: ReadStore,
    from: Vec<u8>,
    end: Option<Timestamp>,
}

impl Iterator for JournalRows {
    type Item = Result<(EventKey, JournalRow)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.store.next_journal(&self.from).transpose()?;
        match next {
            Ok((key, _)) if self.end.is_some_and(|end| key.time > end) => None,
            Ok((key, row)) => {
                self.from = behind(&key);
                Some(Ok((key, row)))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The first raw key behind an event's.
pub(super) fn behind(key: &EventKey) -> Vec<u8> {
    let mut raw = key.to_bytes();
    raw.push(0);
    raw
}
