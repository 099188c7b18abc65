//! [`Sums`]: the running totals and the sums by day, kept true row by row.
//!
//! The day at hand is in memory and is written when another one is worked on, so rows that come in order of time cost a
//! day one write. Rows may be added and removed in any order. **The days add up to the totals.** A row the totals have
//! no room for leaves everything as it was.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::journal::{Sign, apply, apply_to_day, settle};
use crate::model::{DayTotals, Gains, JournalRow, Posting, Totals};
use crate::store::WriteStore;
use crate::time::{LocalDay, Timestamp, Zone};

/// Totals and days of a book that is being processed.
pub(super) struct Sums<'a> {
    /// Their accounts lack what the day at hand posted.
    totals: Totals,
    zone: &'a Zone,
    at_hand: Option<AtHand>,
}

struct AtHand {
    span: LocalDay,
    day: DayTotals,
}

impl<'a> Sums<'a> {
    /// The sums as stored, the years apart; `zone` is the one the days were made in.
    pub fn over(totals: Totals, zone: &'a Zone) -> Self {
        Sums { totals, zone, at_hand: None }
    }

    /// The totals but for the accounts, which lack what the day at hand posted.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The whole totals, accounts and all: writes the day at hand.
    pub fn settled(&mut self, store: &mut WriteStore<'_>) -> Result<&Totals> {
        self.close(store)?;
        Ok(&self.totals)
    }

    /// Forgets everything: the derived tables were emptied.
    pub fn clear(&mut self) {
        (self.totals, self.at_hand) = (Totals::default(), None);
    }

    /// Adds the `row` at `at` with its `postings`. Says whether the totals had room for it; else nothing was done.
    pub fn add(
        &mut self,
        store: &mut WriteStore<'_>,
        at: Timestamp,
        row: &JournalRow,
        postings: &[Posting],
    ) -> Result<bool> {
        match self.apply(store, at, row, postings, Sign::Add) {
            Ok(()) => Ok(true),
            Err(Error::Overflow(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes back what [`Sums::add`] added.
    pub fn remove(
        &mut self,
        store: &mut WriteStore<'_>,
        at: Timestamp,
        row: &JournalRow,
        postings: &[Posting],
    ) -> Result<()> {
        self.apply(store, at, row, postings, Sign::Remove)
    }

    fn apply(
        &mut self,
        store: &mut WriteStore<'_>,
        at: Timestamp,
        row: &JournalRow,
        postings: &[Posting],
        sign: Sign,
    ) -> Result<()> {
        if !self.at_hand.as_ref().is_some_and(|at_hand| at_hand.span.contains(at)) {
            self.close(store)?;
            let span = self.zone.local_day(at);
            let day = store.day(span.day)?.unwrap_or_default();
            settle(&mut self.totals, &day, Sign::Remove)?;
            self.at_hand = Some(AtHand { span, day });
        }
        apply(&mut self.totals, row, sign)?;
        // The sums of a day are wider than those of the totals: what had room there has room here.
        match &mut self.at_hand {
            Some(at_hand) => apply_to_day(&mut at_hand.day, row, postings, sign),
            None => Ok(()),
        }
    }

    fn close(&mut self, store: &mut WriteStore<'_>) -> Result<()> {
        match self.at_hand.take() {
            Some(AtHand { span, day }) => {
                settle(&mut self.totals, &day, Sign::Add)?;
                store.put_day(span.day, &day)
            }
            None => Ok(()),
        }
    }

    /// Writes the day at hand and the totals with their `years`, and hands them out.
    pub fn finish(mut self, store: &mut WriteStore<'_>, years: BTreeMap<i16, Gains>) -> Result<Totals> {
        self.close(store)?;
        self.totals.years = years;
        store.set_totals(&self.totals)?;
        Ok(self.totals)
    }
}
