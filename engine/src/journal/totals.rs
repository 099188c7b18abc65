//! [`apply`]: adds or exactly removes what one row contributes to the running [`Totals`].
//!
//! Invariant: adding a row and removing it again leaves the totals as they were, bit for bit. Refuses to remove what
//! was never added where that shows (a count or a column below zero).

use std::collections::btree_map::Entry;

use super::basis::disposal_basis;
use super::flows::flow;
use crate::error::{Error, Result};
use crate::model::{
    Account, AccountTotal, Amount, Asset, BookedDisposal, BookedStep, GainTotals, JournalRow, Posting,
    RowStatus, Totals,
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

/// Adds (or removes) `row` and its `postings` to `totals`. After an error the totals are to be thrown away.
///
/// # Errors
/// [`Error::Overflow`] when a sum leaves its range, [`Error::Corrupt`] when something is removed that is not there.
pub fn apply(totals: &mut Totals, row: &JournalRow, postings: &[Posting], sign: Sign) -> Result<()> {
    totals.events = sign.count(totals.events)?;
    match row.status {
        RowStatus::Booked => {}
        RowStatus::Quarantined(_) => totals.quarantined = sign.count(totals.quarantined)?,
        RowStatus::Excluded => totals.excluded = sign.count(totals.excluded)?,
    }
    postings.iter().try_for_each(|posting| post(totals, posting, sign))?;
    for step in &row.steps {
        flow(&mut totals.pools, step, sign)?;
        if let BookedStep::Disposed(disposal) = step
            && disposal.realises
        {
            realise(&mut totals.gains, disposal, sign)?;
        }
    }
    // Removing passes through the sums that adding passed through, in reverse: what had room once has room again.
    match sign {
        Sign::Add => row.steps.iter().try_for_each(|step| open(totals, step, sign)),
        Sign::Remove => row.steps.iter().rev().try_for_each(|step| open(totals, step, sign)),
    }
}

impl Sign {
    fn count(self, count: u64) -> Result<u64> {
        let changed = match self {
            Sign::Add => count.checked_add(1),
            Sign::Remove => count.checked_sub(1),
        };
        changed.ok_or_else(missing)
    }

    fn column(self, column: i128, units: i128) -> Result<i128> {
        let changed = match self {
            Sign::Add => column.checked_add(units).ok_or(Error::Overflow("account total"))?,
            Sign::Remove => column.checked_sub(units).ok_or(Error::Overflow("account total"))?,
        };
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

    fn opposite(self) -> Sign {
        match self {
            Sign::Add => Sign::Remove,
            Sign::Remove => Sign::Add,
        }
    }
}

fn missing() -> Error {
    Error::Corrupt("running totals lack a row that is being removed".into())
}

fn post(totals: &mut Totals, posting: &Posting, sign: Sign) -> Result<()> {
    let (asset, units) = match posting.amount {
        Amount::Btc(quantity) => (Asset::Btc, i128::from(quantity.get())),
        Amount::Fiat(currency, amount) => (Asset::Fiat(currency), i128::from(amount.get())),
    };
    let key: (Account, Asset) = (posting.account, asset);
    let mut entry = match totals.accounts.entry(key) {
        Entry::Vacant(vacant) => vacant.insert_entry(AccountTotal::default()),
        Entry::Occupied(occupied) => occupied,
    };
    let total = entry.get_mut();
    if units >= 0 {
        total.debit = sign.column(total.debit, units)?;
    } else {
        total.credit = sign.column(total.credit, -units)?;
    }
    // An account nothing was ever posted to and one everything was removed from are the same account.
    if *total == AccountTotal::default() {
        entry.remove();
    }
    Ok(())
}

fn realise(gains: &mut GainTotals, disposal: &BookedDisposal, sign: Sign) -> Result<()> {
    gains.disposals = sign.count(gains.disposals)?;
    gains.quantity = sign.btc(gains.quantity, disposal.quantity.add(disposal.fee)?)?;
    gains.gross = sign.fiat(gains.gross, disposal.gross)?;
    gains.fiat_fees = sign.fiat(gains.fiat_fees, disposal.fiat_fee)?;
    gains.cost = sign.fiat(gains.cost, disposal_basis(disposal)?)?;
    Ok(())
}

/// What a step opens and uses up. A move between pools and a carried cost leave the sums as they are.
fn open(totals: &mut Totals, step: &BookedStep, sign: Sign) -> Result<()> {
    let (quantity, cost, sign) = match step {
        BookedStep::Acquired { quantity, lot, .. } => {
            let one = if sign == Sign::Add { 1 } else { -1 };
            totals.acquired.quantity += one * i128::from(quantity.get());
            totals.acquired.cost += one * i128::from(lot.cost.get());
            (*quantity, lot.cost, sign)
        }
        BookedStep::Disposed(disposal) => {
            let cost = Fiat::sum(disposal.slices.iter().map(|slice| slice.used.cost))?;
            (disposal.quantity.add(disposal.fee)?, cost, sign.opposite())
        }
        BookedStep::CarriedFee { quantity, .. } => (*quantity, Fiat::ZERO, sign.opposite()),
        BookedStep::Moved { .. }
        | BookedStep::Dealt { .. }
        | BookedStep::FiatFee { .. }
        | BookedStep::FiatTraded { .. } => return Ok(()),
    };
    totals.open_quantity = sign.btc(totals.open_quantity, quantity)?;
    totals.open_cost = sign.fiat(totals.open_cost, cost)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;
    use crate::journal::postings;
    use crate::journal::samples::{any_row, booked, disposal, no, opening, rail, usd};
    use crate::model::Counter;

    fn change(totals: &mut Totals, row: &JournalRow, sign: Sign) {
        apply(totals, row, &postings(row, &rail).unwrap(), sign).unwrap();
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
        let mut totals = Totals { events: 1, ..Totals::default() };
        let lines = postings(&row, &rail).unwrap();
        assert!(matches!(apply(&mut totals, &row, &lines, Sign::Remove), Err(Error::Corrupt(_))));
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
