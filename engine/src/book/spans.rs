//! [`Spans`]: sums over any stretch of time: whole days from the table of days, what is left at its ends from rows.
//!
//! Invariant: the sum of a span is that of its journal rows, whichever way it was read.

use std::collections::BTreeMap;

use super::Snapshot;
use crate::error::Result;
use crate::id::{ConnectionNo, instant_bytes};
use crate::journal::{Sign, add_day, apply_to_day, postings, totals_of};
use crate::model::{DayTotals, Rail, Settings, Totals};
use crate::money::Rate;
use crate::reports::{HistorySource, Range};
use crate::store::ReadStore;
use crate::time::{Day, Timestamp, Zone};

/// Reads sums of one snapshot.
pub(super) struct Spans {
    store: ReadStore,
    zone: Zone,
    rails: BTreeMap<ConnectionNo, Rail>,
}

impl Snapshot {
    pub(super) fn spans(&self) -> Result<Spans> {
        let mut store = self.store()?;
        // The days were cut in the zone the journal was made under.
        let zone = Zone::named(&store.booked_settings()?.timezone)?;
        let rails = store.connections()?.into_iter().map(|known| (known.no, known.rail)).collect();
        Ok(Spans { store, zone, rails })
    }

    /// The running totals as they stood at `as_of`, its own instant included.
    pub(super) fn totals_at(&self, as_of: Option<Timestamp>) -> Result<Totals> {
        match as_of {
            None => self.totals(),
            Some(_) => totals_of(&self.spans()?.sum(&Range { start: None, end: as_of })?),
        }
    }
}

impl HistorySource for Spans {
    fn sum(&mut self, span: &Range) -> Result<DayTotals> {
        Spans::sum(self, span)
    }

    fn rate(&mut self, at: Timestamp) -> Result<Option<(Rate, Timestamp)>> {
        let Settings { fiat_currency, rate_max_age_hours, .. } = self.store.booked_settings()?;
        let found = self.store.rate_at(&format!("BTC-{fiat_currency}"), at)?;
        // The rule of every valuation in the books.
        let fresh = found.filter(|(time, _)| *time >= at.minus_hours(rate_max_age_hours));
        Ok(fresh.map(|(time, row)| (row.rate, time)))
    }
}

impl Spans {
    /// What the events of `range` did.
    pub fn sum(&mut self, range: &Range) -> Result<DayTotals> {
        let mut sum = DayTotals::default();
        let (from, to) = (range.start.unwrap_or(Timestamp::MIN), range.end.unwrap_or(Timestamp::MAX));
        let (first, last) = (self.zone.local_day(from), self.zone.local_day(to));
        let (whole_first, whole_last) = (first.start == from, last.end == to);
        if from > to {
            return Ok(sum);
        }
        if first.day == last.day && !(whole_first && whole_last) {
            self.add_rows(&mut sum, from, to)?;
            return Ok(sum);
        }
        if !whole_first {
            self.add_rows(&mut sum, from, first.end)?;
        }
        let start = if whole_first { first.day } else { first.day.next() };
        let end = if whole_last { last.day.next() } else { last.day };
        self.each_day(start, end, |_, day| add_day(&mut sum, day))?;
        if !whole_last {
            self.add_rows(&mut sum, last.start, to)?;
        }
        Ok(sum)
    }

    /// The sums of every year on which something happened, or of `year` alone, which the calendar has; oldest first.
    pub fn years(&mut self, year: Option<i16>) -> Result<Vec<(i16, DayTotals)>> {
        let mut years: Vec<(i16, DayTotals)> = Vec::new();
        let first_of = |year: i16| jiff::civil::Date::new(year, 1, 1).ok().map(Day::of);
        let start = year.and_then(first_of).unwrap_or(Day::FIRST);
        let end = year.and_then(|year| first_of(year.checked_add(1)?)).unwrap_or(Day::LAST);
        self.each_day(start, end, |day, totals| {
            let of = day.date()?.year();
            match years.last_mut() {
                Some((last, sum)) if *last == of => add_day(sum, totals),
                _ => {
                    years.push((of, totals.clone()));
                    Ok(())
                }
            }
        })?;
        Ok(years)
    }

    /// The first instant of the first day on which something happened.
    pub fn begin(&mut self) -> Result<Option<Timestamp>> {
        match self.store.next_day(Day::FIRST)? {
            Some((day, _)) => self.zone.start_of(day.date()?).map(Some),
            None => Ok(None),
        }
    }

    /// Calls `visit` with every day from `start` to before `end` on which something happened.
    fn each_day(
        &mut self,
        start: Day,
        end: Day,
        mut visit: impl FnMut(Day, &DayTotals) -> Result<()>,
    ) -> Result<()> {
        let mut from = start;
        while let Some((day, totals)) = self.store.next_day(from)?.filter(|(day, _)| *day < end) {
            visit(day, &totals)?;
            from = day.next();
        }
        Ok(())
    }

    fn add_rows(&mut self, sum: &mut DayTotals, from: Timestamp, to: Timestamp) -> Result<()> {
        let rail_of = |no| self.rails.get(&no).copied().unwrap_or(Rail::Managed);
        let mut place = instant_bytes(from).to_vec();
        while let Some((key, row)) = self.store.next_journal(&place)?.filter(|(key, _)| key.time <= to) {
            apply_to_day(sum, &row, &postings(&row, &rail_of)?, Sign::Add)?;
            place = super::snapshot::behind(&key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::book::{Book, NewConnection};
    use crate::reports::{HistoryQuery, Interval};

    const CSV: &str = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n\
        b-1,buy,2023-03-01T10:00:00Z,1,100.00,USD\n\
        i-1,income,2024-02-01T12:00:00Z,0.5,30.00,USD\n\
        s-1,sell,2024-06-01T12:00:00Z,0.5,80.00,USD\n\
        s-2,sell,2025-06-02T00:10:00Z,0.25,40.00,USD\n";

    fn kept() -> Book {
        let book = Book::in_memory().unwrap();
        let now = Timestamp::from_secs(0);
        let (id, label, kind, config) = ("1".into(), "Broker".into(), "Custom".into(), String::new());
        book.add_connection(now, NewConnection { id, label, kind, rail: Rail::Managed, config }).unwrap();
        book.import_plain(now, ConnectionNo(1), CSV.as_bytes(), false).unwrap();
        book.process(now, false, &|| false).unwrap();
        book
    }

    /// Everything that whole days answer.
    fn sums(snapshot: &Snapshot) -> String {
        let now = Timestamp::from_secs(0);
        let range = Range::parse(Some("2024-01-01"), Some("2024-12-31"), &Zone::utc()).unwrap();
        let (interval, account) = (Interval::Day, "Assets".into());
        let query = HistoryQuery { interval, range, connection: None, account, asset: None };
        let spans = snapshot.history_spans(&query, now).unwrap();
        format!(
            "{:#?}{:#?}{:#?}{:#?}{:#?}",
            snapshot.tax_summary(None, now).unwrap(),
            snapshot.tax_summary(Some(2024), now).unwrap(),
            snapshot.capital_gains_sums(&range, now).unwrap(),
            snapshot.balance_sheet(range.end, now).unwrap(),
            snapshot.balance_history(&query, &spans, now).unwrap(),
        )
    }

    #[test]
    fn sums_of_whole_days_read_no_journal() {
        let book = kept();
        let before = sums(&book.snapshot().unwrap());
        assert!(before.contains("total_realized_gain_fiat: \"30.00\""), "{before}");
        book.write(|store| store.journal.clear().map(Some)).unwrap();
        assert_eq!(sums(&book.snapshot().unwrap()), before);
        // What cuts a day does read it.
        let cut = Timestamp::parse_rfc3339("2024-06-01T18:00:00Z");
        let report =
            book.snapshot().unwrap().capital_gains_sums(&Range { start: None, end: cut }, cut.unwrap());
        assert_eq!(report.unwrap().summary.disposal_count, 0);
    }

    #[test]
    fn a_span_is_the_sum_of_its_rows_however_it_is_cut() {
        let book = kept();
        let snapshot = book.snapshot().unwrap();
        let at = |text: &str| Timestamp::parse_rfc3339(text);
        let events = |start: Option<Timestamp>, end: Option<Timestamp>| {
            snapshot.spans().unwrap().sum(&Range { start, end }).unwrap().events
        };
        assert_eq!(events(None, None), 4);
        assert_eq!(events(at("2023-03-01T10:00:00Z"), at("2023-03-01T10:00:00Z")), 1);
        assert_eq!(events(at("2023-03-01T10:00:01Z"), at("2025-06-02T00:09:59Z")), 2);
        assert_eq!(events(at("2023-03-01T00:00:00Z"), at("2024-06-01T11:00:00Z")), 2);
        assert_eq!(events(at("2024-06-01T12:00:00Z"), at("2024-05-01T12:00:00Z")), 0);
        assert_eq!(events(at("2026-01-01T00:00:00Z"), None), 0);
    }
}
