//! [`apply`]: adds or exactly removes what one row contributes to the running [`Totals`]; [`settle`]: what one day does.
//!
//! Accounts are posted to by the day ([`apply_to_day`](super::apply_to_day)) and reach the totals when the day is
//! settled. Invariant: adding and removing again leaves the totals as they were, bit for bit. Refuses to remove what
//! was never added where that shows (a count or a column below zero).

use std::collections::btree_map::Entry;

use super::basis::disposal_basis;
use super::flows::flow;
use crate::error::{Error, Result};
use crate::model::{
    AccountTotal, AcquiredTotals, BookedDisposal, BookedStep, DayTotals, GainTotals, JournalRow, RowStatus,
    Totals,
};
use crate::money::{Fiat, Msats};

/// Whether a contribution is added or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Adds the row.
    Add,
    /// Removes the row.
    Remove,
}

/// Adds (or removes) `row` to all of `totals` but the accounts. After an error they are as they were.
///
/// # Errors
/// [`Error::Overflow`] when a sum leaves its range, [`Error::Corrupt`] when something is removed that is not there.
pub fn apply(totals: &mut Totals, row: &JournalRow, sign: Sign) -> Result<()> {
    let mut gains = totals.gains;
    for step in &row.steps {
        if let BookedStep::Disposed(disposal) = step
            && disposal.realises
        {
            realise(&mut gains, disposal, sign)?;
        }
    }
    let mut open = (totals.open_quantity, totals.open_cost);
    // Removing passes through the sums that adding passed through, in reverse: what had room once has room again.
    match sign {
        Sign::Add => row.steps.iter().try_for_each(|step| change(&mut open, step, sign))?,
        Sign::Remove => row.steps.iter().rev().try_for_each(|step| change(&mut open, step, sign))?,
    }
    let mut acquired = totals.acquired;
    row.steps.iter().try_for_each(|step| acquire(&mut acquired, step, sign))?;
    let events = sign.count(totals.events)?;
    match row.status {
        RowStatus::Booked => {}
        RowStatus::Quarantined(_) => totals.quarantined = sign.count(totals.quarantined)?,
        RowStatus::Excluded => totals.excluded = sign.count(totals.excluded)?,
    }
    row.steps.iter().try_for_each(|step| flow(&mut totals.pools, step, sign))?;
    totals.events = events;
    totals.gains = gains;
    totals.acquired = acquired;
    (totals.open_quantity, totals.open_cost) = open;
    Ok(())
}

/// Adds (or removes) what `day` posted to the accounts of `totals`. After an error the totals are to be thrown away.
///
/// # Errors
/// As [`apply`].
pub fn settle(totals: &mut Totals, day: &DayTotals, sign: Sign) -> Result<()> {
    for (place, movement) in &day.accounts {
        let mut entry = match totals.accounts.entry(*place) {
            Entry::Vacant(vacant) => vacant.insert_entry(AccountTotal::default()),
            Entry::Occupied(occupied) => occupied,
        };
        let total = entry.get_mut();
        total.debit = sign.column(total.debit, movement.debit)?;
        total.credit = sign.column(total.credit, movement.credit)?;
        // An account nothing was ever posted to and one everything was removed from are the same account.
        if *total == AccountTotal::default() {
            entry.remove();
        }
    }
    Ok(())
}

impl Sign {
    pub(super) fn count(self, count: u64) -> Result<u64> {
        let changed = match self {
            Sign::Add => count.checked_add(1),
            Sign::Remove => count.checked_sub(1),
        };
        changed.ok_or_else(missing)
    }

    /// A sum of amounts that may be negative.
    pub(super) fn sum(self, sum: i128, units: i128) -> Result<i128> {
        let changed = match self {
            Sign::Add => sum.checked_add(units),
            Sign::Remove => sum.checked_sub(units),
        };
        changed.ok_or(Error::Overflow("sum of a day"))
    }

    /// A sum of amounts that are not negative.
    pub(super) fn column(self, column: i128, units: i128) -> Result<i128> {
        let changed = self.sum(column, units)?;
        if changed < 0 { Err(missing()) } else { Ok(changed) }
    }

    fn btc(self, sum: Msats, quantity: Msats) -> Result<Msats> {
        match self {
            Sign::Add => sum.add(quantity),
            Sign::Remove => sum.sub(quantity),
        }
    }

    fn fiat(self, sum: Fiat, amount: Fiat) -> Result<Fiat> {
        match self {
            Sign::Add => sum.add(amount),
            Sign::Remove => sum.sub(amount),
        }
    }

    pub(super) fn opposite(self) -> Sign {
        match self {
            Sign::Add => Sign::Remove,
            Sign::Remove => Sign::Add,
        }
    }
}

pub(super) fn missing() -> Error {
    Error::Corrupt("running totals lack a row that is being removed".into())
}

fn realise(gains: &mut GainTotals, disposal: &BookedDisposal, sign: Sign) -> Result<()> {
    gains.disposals = sign.count(gains.disposals)?;
    gains.quantity = sign.btc(gains.quantity, disposal.quantity.add(disposal.fee)?)?;
    gains.gross = sign.fiat(gains.gross, disposal.gross)?;
    gains.fiat_fees = sign.fiat(gains.fiat_fees, disposal.fiat_fee)?;
    gains.cost = sign.fiat(gains.cost, disposal_basis(disposal)?)?;
    Ok(())
}

/// What a step opens (or, with the sign turned, uses up). A move between pools and a carried cost leave the sums as
/// they are.
pub(super) fn opened(step: &BookedStep, sign: Sign) -> Result<(Msats, Fiat, Sign)> {
    Ok(match step {
        BookedStep::Acquired { quantity, lot, .. } => (*quantity, lot.cost, sign),
        BookedStep::Disposed(disposal) => {
            let cost = Fiat::sum(disposal.slices.iter().map(|slice| slice.used.cost))?;
            (disposal.quantity.add(disposal.fee)?, cost, sign.opposite())
        }
        BookedStep::CarriedFee { quantity, .. } => (*quantity, Fiat::ZERO, sign.opposite()),
        BookedStep::Moved { .. }
        | BookedStep::Dealt { .. }
        | BookedStep::FiatFee { .. }
        | BookedStep::FiatTraded { .. } => (Msats::ZERO, Fiat::ZERO, sign),
    })
}

/// Adds what a step acquires to `acquired`.
pub(super) fn acquire(acquired: &mut AcquiredTotals, step: &BookedStep, sign: Sign) -> Result<()> {
    if let BookedStep::Acquired { quantity, lot, .. } = step {
        acquired.quantity = sign.sum(acquired.quantity, quantity.get().into())?;
        acquired.cost = sign.sum(acquired.cost, lot.cost.get().into())?;
    }
    Ok(())
}

/// Changes quantity and cost of the open lots.
fn change(open: &mut (Msats, Fiat), step: &BookedStep, sign: Sign) -> Result<()> {
    let (quantity, cost, sign) = opened(step, sign)?;
    *open = (sign.btc(open.0, quantity)?, sign.fiat(open.1, cost)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;
    use crate::journal::samples::{any_row, booked, disposal, no, opening, rail, usd};
    use crate::journal::{apply_to_day, postings};
    use crate::model::{Account, Asset, Counter};

    /// The row alone, as a day of its own.
    fn day(row: &JournalRow) -> DayTotals {
        let mut day = DayTotals::default();
        apply_to_day(&mut day, row, &postings(row, &rail).unwrap(), Sign::Add).unwrap();
        day
    }

    fn change(totals: &mut Totals, row: &JournalRow, sign: Sign) {
        apply(totals, row, sign).unwrap();
        settle(totals, &day(row), sign).unwrap();
    }

    #[test]
    fn a_gift_realises_nothing_and_a_sale_counts_once() {
        let mut gift = disposal(1, 10, 0);
        gift.realises = false;
        let sale = disposal(1, 10, 2);
        let row =
            booked(vec![BookedStep::Disposed(Box::new(gift)), BookedStep::Disposed(Box::new(sale.clone()))]);
        let mut totals = Totals::default();
        change(&mut totals, &row, Sign::Add);
        assert_eq!((totals.events, totals.gains.disposals), (1, 1));
        assert_eq!(totals.gains.quantity, Msats::new(12));
        assert_eq!(totals.gains.gross, sale.gross);
    }

    #[test]
    fn removing_what_was_never_added_is_noticed() {
        let row = booked(vec![BookedStep::Moved {
            from: no(1),
            to: no(2),
            quantity: Msats::new(5),
            slices: vec![],
        }]);
        let mut totals = Totals::default();
        assert!(matches!(apply(&mut totals, &row, Sign::Remove), Err(Error::Corrupt(_))));
        assert!(matches!(settle(&mut totals, &day(&row), Sign::Remove), Err(Error::Corrupt(_))));
    }

    #[test]
    fn columns_are_kept_apart_and_empty_accounts_vanish() {
        let came = booked(vec![BookedStep::Acquired {
            connection: no(1),
            quantity: Msats::new(9),
            counter: Counter::IncomeExternal,
            value: usd(4),
            paid: None,
            lot: opening(4),
        }]);
        let mut totals = Totals::default();
        change(&mut totals, &came, Sign::Add);
        change(&mut totals, &came, Sign::Add);
        let place = (Account::Bitcoin(rail(no(1)), no(1)), Asset::Btc);
        assert_eq!(totals.accounts[&place], AccountTotal { debit: 18, credit: 0 });
        change(&mut totals, &came, Sign::Remove);
        change(&mut totals, &came, Sign::Remove);
        assert_eq!(totals, Totals::default());
    }

    #[test]
    fn a_row_without_room_leaves_everything_as_it_was() {
        let mut totals = Totals::default();
        totals.gains.quantity = Msats::new(7);
        totals.open_cost = Fiat::new(i64::MAX);
        let before = totals.clone();
        let bought = BookedStep::Acquired {
            connection: no(1),
            quantity: Msats::new(9),
            counter: Counter::IncomeExternal,
            value: usd(6),
            paid: None,
            lot: opening(6),
        };
        let row = booked(vec![BookedStep::Disposed(Box::new(disposal(1, 10, 0))), bought.clone(), bought]);
        assert!(matches!(apply(&mut totals, &row, Sign::Add), Err(Error::Overflow(_))));
        assert_eq!(totals, before);
    }

    proptest! {
        #[test]
        fn removing_is_the_inverse_of_adding(
            rows in prop::collection::vec(any_row(), 1..6),
            place in any::<prop::sample::Index>(),
        ) {
            let mut totals = Totals::default();
            rows.iter().for_each(|row| change(&mut totals, row, Sign::Add));
            let before = totals.clone();
            let again = place.get(&rows);
            change(&mut totals, again, Sign::Add);
            change(&mut totals, again, Sign::Remove);
            prop_assert_eq!(&totals, &before);
            rows.iter().rev().for_each(|row| change(&mut totals, row, Sign::Remove));
            prop_assert_eq!(totals, Totals::default());
        }
    }
}
