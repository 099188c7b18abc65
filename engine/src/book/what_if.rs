//! Capital gains under other policies, beside those of the book. Nothing is written.
//!
//! The journal is derived anew under the other policies inside a write transaction that is always dropped, so the book's writer
//! waits meanwhile; `cancelled` bounds that.

use super::Book;
use crate::derive;
use crate::error::{Error, Refusal, Result};
use crate::id::{EventKey, instant_bytes};
use crate::model::{JournalRow, Settings};
use crate::reports::{self, Listing, Range, Side, WhatIf};
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

impl Book {
    /// The gains of `range` as booked and as they would be under `settings`, per tax year, with the events that differ.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another currency than the book's; [`Error::Refused`] while facts wait for the next process, whose
    /// effect would be taken for that of the policies; [`Error::Cancelled`] when `cancelled` says so.
    pub fn what_if(
        &self,
        now: Timestamp,
        settings: &Settings,
        range: &Range,
        listing: &Listing,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<WhatIf> {
        settings.check()?;
        let mut answer = None;
        self.write(|store| {
            let snapshot = self.snapshot()?;
            let booked = snapshot.booked_settings()?;
            if booked.fiat_currency != settings.fiat_currency {
                let problem = "gains under another currency cannot be set beside those of the book";
                return Err(Error::invalid("fiat_currency", problem));
            }
            if store.dirty_from()?.is_some() {
                let problem = "facts wait for the next process and would be taken for an effect of the policies; process the \
                    journal, then ask again";
                return Err(Error::refused(Refusal::NotFinal, problem));
            }
            store.set_settings(settings)?;
            derive::process(store, &[derive::EVERYTHING], cancelled)?;
            let zones = (Zone::named(&booked.timezone)?, Zone::named(&settings.timezone)?);
            let currency = booked.fiat_currency;
            let sides = [Side { zone: &zones.0, currency }, Side { zone: &zones.1, currency }];
            let totals = (snapshot.totals()?, store.totals()?);
            let rows = derived_rows(store, range);
            let comparison = reports::compare(snapshot.journal(range)?, rows, sides, listing)?;
            answer = Some(WhatIf {
                head: snapshot.with_context(|ctx| Ok(ctx.head(now)))?,
                range_start: range.start.map(|start| start.to_string()),
                range_end: range.end.map(|end| end.to_string()),
                fiat_currency: currency.code().to_owned(),
                hypothetical_quarantined: totals.1.quarantined,
                open_cost_basis_fiat: totals.0.open_cost.to_text(currency),
                hypothetical_open_cost_basis_fiat: totals.1.open_cost.to_text(currency),
                booked,
                hypothetical: settings.clone(),
                comparison,
            });
            Ok(None::<()>)
        })?;
        answer.ok_or_else(|| Error::Corrupt("nothing was derived".into()))
    }
}

/// The rows of a journal that is not committed.
fn derived_rows(
    store: &mut WriteStore<'_>,
    range: &Range,
) -> impl Iterator<Item = Result<(EventKey, JournalRow)>> {
    let mut from = range.start.map(|start| instant_bytes(start).to_vec()).unwrap_or_default();
    let end = range.end;
    std::iter::from_fn(move || match store.next_journal(&from).transpose()? {
        Ok((key, _)) if end.is_some_and(|end| key.time > end) => None,
        Ok((key, row)) => {
            from = super::snapshot::behind(&key);
            Some(Ok((key, row)))
        }
        Err(error) => Some(Err(error)),
    })
}
