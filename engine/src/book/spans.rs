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

    /// The sums of every year on which something happened, or of `year` alone; oldest first.
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
