//! Derived rows: what each local day did to the books.

use super::block::Row;
use super::codec::{decode, encode_sized};
use super::tables::{Readable, Store, WriteStore};
use crate::error::{Error, Result};
use crate::model::DayTotals;
use crate::time::Day;

impl<T: Readable> Store<T> {
    /// What happened on `day`.
    pub fn day(&mut self, day: Day) -> Result<Option<DayTotals>> {
        self.days.get(&day.to_bytes())?.map(decode).transpose()
    }

    /// The first day at or after `from` on which something happened.
    pub fn next_day(&mut self, from: Day) -> Result<Option<(Day, DayTotals)>> {
        self.days.at_or_after(&from.to_bytes())?.map(entry).transpose()
    }
}

impl WriteStore<'_> {
    /// Stores a day; one on which nothing happened has no row.
    pub fn put_day(&mut self, day: Day, totals: &DayTotals) -> Result<()> {
        if *totals == DayTotals::default() {
            self.days.remove(&day.to_bytes())?;
        } else {
            self.days.put(&day.to_bytes(), &encode_sized(totals, 256)?)?;
        }
        Ok(())
    }
}

fn entry(row: Row<'_>) -> Result<(Day, DayTotals)> {
    let day = row.0.try_into().map_err(|_| Error::Corrupt("the key of a day".into()))?;
    Ok((Day::from_bytes(day), decode(row.1)?))
}
