//! Days: adds or exactly removes what one row contributes to a [`DayTotals`], and adds days up.
//!
//! Invariants: a sum that comes to nothing has no entry, so that equal days are equal byte for byte whatever came and
//! went; **the days of a book add up to its running totals.**

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::basis::basis;
use super::totals::{Sign, acquire, missing, opened, settle};
use crate::error::{Error, Result};
use crate::id::ConnectionNo;
use crate::model::{
    Amount, Asset, BookedDisposal, BookedStep, DayTotals, GainTotals, JournalRow, Movement, Posting,
    RowStatus, SaleTotals, Slice, SliceTotals, Term, Totals,
};
use crate::money::{Fiat, Msats};

/// Adds (or removes) `row` and its `postings` to `day`. After an error the day is to be thrown away.
///
/// # Errors
/// [`Error::Corrupt`] when something is removed that is not there.
pub fn apply_to_day(day: &mut DayTotals, row: &JournalRow, postings: &[Posting], sign: Sign) -> Result<()> {
    day.events = sign.count(day.events)?;
    match row.status {
        RowStatus::Booked => {}
        RowStatus::Quarantined(_) => day.quarantined = sign.count(day.quarantined)?,
        RowStatus::Excluded => day.excluded = sign.count(day.excluded)?,
    }
    for posting in postings {
        let (asset, units) = match posting.amount {
            Amount::Btc(quantity) => (Asset::Btc, i128::from(quantity.get())),
            Amount::Fiat(currency, amount) => (Asset::Fiat(currency), i128::from(amount.get())),
        };
        let value = posting.value.map_or(0, |value| i128::from(value.get()));
        let line = Movement { debit: units.max(0), credit: (-units).max(0), value };
        at_place(&mut day.accounts, (posting.account, asset), |movement| movement.add(&line, sign))?;
    }
    if let Some(place) = place_of_sales(row) {
        at_place(&mut day.sales, place, |sales| {
            row.steps.iter().filter_map(realising).try_for_each(|disposal| realise(sales, disposal, sign))
        })?;
    }
    for step in &row.steps {
        acquire(&mut day.acquired, step, sign)?;
        let (quantity, cost, sign) = opened(step, sign)?;
        day.open_quantity = sign.sum(day.open_quantity, quantity.get().into())?;
        day.open_cost = sign.sum(day.open_cost, cost.get().into())?;
    }
    Ok(())
}

/// Adds `day` to `sum`.
///
/// # Errors
/// [`Error::Overflow`], which no real number of days comes to.
pub fn add_day(sum: &mut DayTotals, day: &DayTotals) -> Result<()> {
    let count = |sum: u64, more: u64| sum.checked_add(more).ok_or(Error::Overflow("events of days"));
    sum.events = count(sum.events, day.events)?;
    sum.quarantined = count(sum.quarantined, day.quarantined)?;
    sum.excluded = count(sum.excluded, day.excluded)?;
    for (place, movement) in &day.accounts {
        at_place(&mut sum.accounts, *place, |sum| sum.add(movement, Sign::Add))?;
    }
    for (place, sales) in &day.sales {
        at_place(&mut sum.sales, *place, |sum| add_sales(sum, sales))?;
    }
    sum.acquired.quantity = Sign::Add.sum(sum.acquired.quantity, day.acquired.quantity)?;
    sum.acquired.cost = Sign::Add.sum(sum.acquired.cost, day.acquired.cost)?;
    sum.open_quantity = Sign::Add.sum(sum.open_quantity, day.open_quantity)?;
    sum.open_cost = Sign::Add.sum(sum.open_cost, day.open_cost)?;
    Ok(())
}

/// Adds `sales` to `sum`.
///
/// # Errors
/// As [`add_day`].
pub fn add_sales(sum: &mut SaleTotals, sales: &SaleTotals) -> Result<()> {
    let disposals = sum.disposals.checked_add(sales.disposals);
    sum.disposals = disposals.ok_or(Error::Overflow("disposals of days"))?;
    sum.short.add(&sales.short, Sign::Add)?;
    sum.long.add(&sales.long, Sign::Add)
}

/// Adds every slice of `disposal` to `sum`.
///
/// # Errors
/// As [`add_day`].
pub fn add_disposal(sum: &mut SaleTotals, disposal: &BookedDisposal) -> Result<()> {
    realise(sum, disposal, Sign::Add)
}

/// Running totals out of the sum of all days up to some instant, but for the flows of pools and the years of gains.
///
/// # Errors
/// [`Error::Overflow`] when a sum leaves the range of its unit.
pub fn totals_of(days: &DayTotals) -> Result<Totals> {
    let slices = || days.sales.values().flat_map(|sales| [&sales.short, &sales.long]);
    let sum = |part: fn(&SliceTotals) -> i128| slices().map(part).sum::<i128>();
    let mut totals = Totals {
        events: days.events,
        quarantined: days.quarantined,
        excluded: days.excluded,
        gains: GainTotals {
            disposals: days.sales.values().map(|sales| sales.disposals).sum(),
            quantity: msats(sum(|slices| slices.quantity))?,
            gross: fiat(sum(|slices| slices.gross))?,
            fiat_fees: fiat(sum(|slices| slices.fiat_fees))?,
            cost: fiat(sum(|slices| slices.cost))?,
        },
        acquired: days.acquired,
        open_quantity: msats(days.open_quantity)?,
        open_cost: fiat(days.open_cost)?,
        ..Totals::default()
    };
    settle(&mut totals, days, Sign::Add)?;
    Ok(totals)
}

/// A sum of millisatoshi as a quantity.
///
/// # Errors
/// [`Error::Overflow`].
pub fn msats(sum: i128) -> Result<Msats> {
    i64::try_from(sum).map(Msats::new).map_err(|_| Error::Overflow("bitcoin sum"))
}

/// A sum of minor units as an amount.
///
/// # Errors
/// [`Error::Overflow`].
pub fn fiat(sum: i128) -> Result<Fiat> {
    i64::try_from(sum).map(Fiat::new).map_err(|_| Error::Overflow("fiat sum"))
}

/// Where the disposals of `row` that realise left: one connection, or several (`None`); no answer when there are none.
pub fn place_of_sales(row: &JournalRow) -> Option<Option<ConnectionNo>> {
    let mut places = row.steps.iter().filter_map(realising).map(|disposal| disposal.connection);
    let first = places.next()?;
    Some(Some(first).filter(|first| places.all(|other| other == *first)))
}

/// The disposal of a step that realises a gain.
pub fn realising(step: &BookedStep) -> Option<&BookedDisposal> {
    match step {
        BookedStep::Disposed(disposal) if disposal.realises => Some(disposal),
        _ => None,
    }
}

/// Changes the entry under `key` and drops it when nothing is left of it.
fn at_place<K: Ord, V: Default + PartialEq>(
    map: &mut BTreeMap<K, V>,
    key: K,
    change: impl FnOnce(&mut V) -> Result<()>,
) -> Result<()> {
    let mut entry = match map.entry(key) {
        Entry::Vacant(vacant) => vacant.insert_entry(V::default()),
        Entry::Occupied(occupied) => occupied,
    };
    change(entry.get_mut())?;
    if *entry.get() == V::default() {
        entry.remove();
    }
    Ok(())
}

fn realise(sales: &mut SaleTotals, disposal: &BookedDisposal, sign: Sign) -> Result<()> {
    sales.disposals = sign.count(sales.disposals)?;
    for slice in &disposal.slices {
        let of_term = match slice.term {
            Term::Short => &mut sales.short,
            Term::Long => &mut sales.long,
        };
        of_term.add(&slice_totals(slice)?, sign)?;
    }
    Ok(())
}

impl Movement {
    fn add(&mut self, other: &Movement, sign: Sign) -> Result<()> {
        self.debit = sign.column(self.debit, other.debit)?;
        self.credit = sign.column(self.credit, other.credit)?;
        self.value = sign.sum(self.value, other.value)?;
        Ok(())
    }
}

fn slice_totals(slice: &Slice) -> Result<SliceTotals> {
    Ok(SliceTotals {
        rows: 1,
        quantity: slice.used.quantity.get().into(),
        gross: slice.gross.get().into(),
        fiat_fees: slice.fiat_fee.get().into(),
        cost: basis(slice)?.get().into(),
    })
}

impl SliceTotals {
    fn add(&mut self, other: &SliceTotals, sign: Sign) -> Result<()> {
        let rows = match sign {
            Sign::Add => self.rows.checked_add(other.rows),
            Sign::Remove => self.rows.checked_sub(other.rows),
        };
        self.rows = rows.ok_or_else(missing)?;
        self.quantity = sign.sum(self.quantity, other.quantity)?;
        self.gross = sign.sum(self.gross, other.gross)?;
        self.fiat_fees = sign.sum(self.fiat_fees, other.fiat_fees)?;
        self.cost = sign.sum(self.cost, other.cost)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;
    use crate::journal::samples::{any_row, booked, disposal, rail};
    use crate::journal::{apply, postings};

    fn change(day: &mut DayTotals, row: &JournalRow, sign: Sign) {
        apply_to_day(day, row, &postings(row, &rail).unwrap(), sign).unwrap();
    }

    #[test]
    fn sales_are_kept_by_connection_and_an_event_over_several_by_itself() {
        let from = |no| BookedStep::Disposed(Box::new(disposal(no, 10, 2)));
        let mut day = DayTotals::default();
        change(&mut day, &booked(vec![from(1)]), Sign::Add);
        change(&mut day, &booked(vec![from(1), from(2)]), Sign::Add);
        let counts: Vec<_> = day.sales.iter().map(|(place, sales)| (*place, sales.disposals)).collect();
        assert_eq!(counts, [(None, 2), (Some(ConnectionNo(1)), 1)]);
        assert_eq!(
            day.sales[&None].short,
            SliceTotals { rows: 2, quantity: 24, gross: 60, fiat_fees: 0, cost: 20 }
        );
    }

    #[test]
    fn removing_what_is_not_there_is_noticed() {
        let row = booked(vec![BookedStep::Disposed(Box::new(disposal(1, 10, 0)))]);
        let lines = postings(&row, &rail).unwrap();
        let outcome =
            apply_to_day(&mut DayTotals { events: 1, ..DayTotals::default() }, &row, &lines, Sign::Remove);
        assert!(matches!(outcome, Err(Error::Corrupt(_))));
    }

    proptest! {
        #[test]
        fn removing_is_the_inverse_of_adding(
            rows in prop::collection::vec(any_row(), 1..6),
            place in any::<prop::sample::Index>(),
        ) {
            let mut day = DayTotals::default();
            rows.iter().for_each(|row| change(&mut day, row, Sign::Add));
            let before = day.clone();
            change(&mut day, place.get(&rows), Sign::Add);
            change(&mut day, place.get(&rows), Sign::Remove);
            prop_assert_eq!(&day, &before);
            rows.iter().for_each(|row| change(&mut day, row, Sign::Remove));
            prop_assert_eq!(day, DayTotals::default());
        }

        #[test]
        fn days_add_up_to_the_running_totals(days in prop::collection::vec(prop::collection::vec(any_row(), 0..4), 0..4)) {
            let (mut totals, mut sum, mut at_once) = <(Totals, DayTotals, DayTotals)>::default();
            for rows in &days {
                let mut day = DayTotals::default();
                for row in rows {
                    change(&mut day, row, Sign::Add);
                    change(&mut at_once, row, Sign::Add);
                    apply(&mut totals, row, Sign::Add).unwrap();
                }
                settle(&mut totals, &day, Sign::Add).unwrap();
                add_day(&mut sum, &day).unwrap();
            }
            prop_assert_eq!(&sum, &at_once);
            // What went through pools, and the years of gains, are kept with the running totals alone.
            totals.pools.clear();
            prop_assert_eq!(totals_of(&sum).unwrap(), totals);
        }
    }
}
