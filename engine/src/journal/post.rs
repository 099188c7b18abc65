//! [`postings`]: the double-entry rendering of a booked row.
//!
//! Invariants: an entry balances to zero per asset, and so do the values of its bitcoin lines and of its fiat lines.
//! No line is empty. Refuses to value anything itself: every value comes from the row or is a share of one.

use super::basis::disposal_value;
use crate::error::{Error, Result};
use crate::id::ConnectionNo;
use crate::model::{
    Account, Amount, BookedDisposal, BookedStep, Counter, JournalRow, LotUse, Posting, Rail, RowStatus,
};
use crate::money::{Currency, Fiat, Msats, Rounding, muldiv};

/// The lines of the entry of `row`, in order of its steps; none unless it is booked.
///
/// `rail_of` names the asset account a connection's bitcoin leaf hangs under.
///
/// # Errors
/// [`Error::Overflow`] when an amount leaves the range of its unit.
pub fn postings(row: &JournalRow, rail_of: &dyn Fn(ConnectionNo) -> Rail) -> Result<Vec<Posting>> {
    let mut entry = Entry { rail_of, lines: Vec::with_capacity(2 * row.steps.len()) };
    if row.status == RowStatus::Booked {
        row.steps.iter().try_for_each(|step| entry.step(step))?;
    }
    Ok(entry.lines)
}

struct Entry<'a> {
    rail_of: &'a dyn Fn(ConnectionNo) -> Rail,
    lines: Vec<Posting>,
}

impl Entry<'_> {
    fn step(&mut self, step: &BookedStep) -> Result<()> {
        match *step {
            BookedStep::Acquired { connection, quantity, counter, value, paid, .. } => {
                let place = self.bitcoin(connection);
                self.transfer(Account::Counter(counter), place, quantity, Some(value))?;
                paid.map_or(Ok(()), |paid| self.bought(connection, value, paid))
            }
            BookedStep::Disposed(ref disposal) => self.disposed(disposal),
            BookedStep::Moved { from, to, quantity, ref slices } => {
                let (from, to) = (self.bitcoin(from), self.bitcoin(to));
                self.transfer(from, to, quantity, known_cost(cost_of(slices)?))
            }
            BookedStep::CarriedFee { connection, quantity, account, ref slices, .. } => {
                let place = self.bitcoin(connection);
                self.transfer(place, Account::Counter(account), quantity, known_cost(cost_of(slices)?))
            }
            BookedStep::FiatFee { connection, currency, fee, value } => {
                self.fiat(Account::Fiat(connection), currency, negative(fee)?, Some(negative(value)?));
                self.fiat(EXCHANGE_FEES, currency, fee, Some(value));
                Ok(())
            }
            BookedStep::FiatTraded { connection, from, to } => self.fiat_traded(connection, from, to),
            BookedStep::Dealt { .. } => Ok(()),
        }
    }

    /// The fiat side of a buy: what was paid becomes bitcoin through the conversion account, the fee is an expense.
    fn bought(&mut self, no: ConnectionNo, value: Fiat, paid: (Currency, Fiat, Fiat)) -> Result<()> {
        let (currency, amount, fee) = paid;
        let fee_value = share(value, fee.get(), amount.get())?;
        let total_value = value.add(fee_value.unwrap_or_default())?;
        self.fiat(CONVERSION, currency, amount, Some(value));
        self.fiat(Account::Fiat(no), currency, negative(amount.add(fee)?)?, Some(negative(total_value)?));
        self.fiat(EXCHANGE_FEES, currency, fee, fee_value);
        Ok(())
    }

    fn disposed(&mut self, disposal: &BookedDisposal) -> Result<()> {
        let BookedDisposal { quantity, fee, .. } = *disposal;
        let (value, fee_value) = values(disposal)?;
        let total_value = value.add(fee_value.unwrap_or_default())?;
        let left = Msats::ZERO.sub(quantity.add(fee)?)?;
        self.btc(self.bitcoin(disposal.connection), left, Some(negative(total_value)?));
        self.btc(Account::Counter(disposal.counter), quantity, Some(value));
        self.btc(Account::Counter(disposal.fee_account), fee, fee_value);
        let Some((currency, amount, fee)) = disposal.received else { return Ok(()) };
        // A fee in another currency is no part of what was received.
        let fee_value = if fee == Fiat::ZERO { Fiat::ZERO } else { disposal.fiat_fee };
        self.fiat(CONVERSION, currency, negative(amount)?, Some(negative(value)?));
        self.fiat(
            Account::Fiat(disposal.connection),
            currency,
            amount.sub(fee)?,
            Some(value.sub(fee_value)?),
        );
        self.fiat(EXCHANGE_FEES, currency, fee, Some(fee_value));
        Ok(())
    }

    fn fiat_traded(&mut self, no: ConnectionNo, from: (Currency, Fiat), to: (Currency, Fiat)) -> Result<()> {
        self.fiat(CONVERSION, from.0, from.1, None);
        self.fiat(Account::Fiat(no), from.0, negative(from.1)?, None);
        self.fiat(Account::Fiat(no), to.0, to.1, None);
        self.fiat(CONVERSION, to.0, negative(to.1)?, None);
        Ok(())
    }

    fn bitcoin(&self, no: ConnectionNo) -> Account {
        Account::Bitcoin((self.rail_of)(no), no)
    }

    /// Debits `to` and credits `from` with `quantity`.
    fn transfer(&mut self, from: Account, to: Account, quantity: Msats, value: Option<Fiat>) -> Result<()> {
        self.btc(to, quantity, value);
        self.btc(from, Msats::ZERO.sub(quantity)?, negative_if(value)?);
        Ok(())
    }

    fn btc(&mut self, account: Account, quantity: Msats, value: Option<Fiat>) {
        if !quantity.is_zero() || has_worth(value) {
            self.lines.push(Posting { account, amount: Amount::Btc(quantity), value });
        }
    }

    fn fiat(&mut self, account: Account, currency: Currency, amount: Fiat, value: Option<Fiat>) {
        if amount != Fiat::ZERO || has_worth(value) {
            self.lines.push(Posting { account, amount: Amount::Fiat(currency, amount), value });
        }
    }
}

const CONVERSION: Account = Account::Counter(Counter::Conversion);
const EXCHANGE_FEES: Account = Account::Counter(Counter::ExchangeFees);

/// Values must balance too, so a line that moves nothing but value (a rounded-away side) is kept.
fn has_worth(value: Option<Fiat>) -> bool {
    value.is_some_and(|value| value != Fiat::ZERO)
}

fn negative(amount: Fiat) -> Result<Fiat> {
    Fiat::ZERO.sub(amount)
}

fn negative_if(amount: Option<Fiat>) -> Result<Option<Fiat>> {
    amount.map(negative).transpose()
}

fn cost_of<'a>(slices: impl IntoIterator<Item = &'a LotUse>) -> Result<Fiat> {
    Fiat::sum(slices.into_iter().map(|slice| slice.cost))
}

/// A move inside one pool does not know its cost and says zero: that is not a value.
fn known_cost(cost: Fiat) -> Option<Fiat> {
    (cost != Fiat::ZERO).then_some(cost)
}

/// The values of the quantity and of the bitcoin fee of `disposal`.
///
/// A sale states the value of its quantity, so the fee's comes on top; what leaves at cost states that of both.
fn values(disposal: &BookedDisposal) -> Result<(Fiat, Option<Fiat>)> {
    let BookedDisposal { quantity, fee, .. } = *disposal;
    let value = disposal_value(disposal)?;
    if disposal.realises {
        return Ok((value, share(value, fee.get(), quantity.get())?));
    }
    let fee_value = share(value, fee.get(), quantity.add(fee)?.get())?;
    Ok((value.sub(fee_value.unwrap_or_default())?, fee_value))
}

/// The value of `part` units at the price that makes `whole` units worth `value`; `None` when the price is not known.
fn share(value: Fiat, part: i64, whole: i64) -> Result<Option<Fiat>> {
    if part == 0 {
        return Ok(Some(Fiat::ZERO));
    }
    if whole == 0 {
        return Ok(None);
    }
    let share = muldiv(value.get().into(), part.into(), whole.into(), Rounding::HalfEven);
    let share = share.and_then(|share| i64::try_from(share).ok());
    share.map(|share| Some(Fiat::new(share))).ok_or(Error::Overflow("posting value"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::{prop_assert, proptest};

    use super::*;
    use crate::journal::samples::{any_row, booked, disposal, lot, no, opening, rail, usd, used};
    use crate::model::{Asset, Quarantine};

    fn lines(step: BookedStep) -> Vec<(Account, Amount, Option<i64>)> {
        let lines = postings(&booked(vec![step]), &rail).unwrap();
        lines.into_iter().map(|line| (line.account, line.amount, line.value.map(Fiat::get))).collect()
    }

    fn btc(msat: i64) -> Amount {
        Amount::Btc(Msats::new(msat))
    }

    fn cash(minor: i64) -> Amount {
        Amount::Fiat(Currency::USD, usd(minor))
    }

    const PLACE: Account = Account::Bitcoin(Rail::Lightning, ConnectionNo(2));
    const CASH: Account = Account::Fiat(ConnectionNo(2));

    #[test]
    fn a_buy_goes_through_conversion_and_books_its_fee() {
        let step = BookedStep::Acquired {
            connection: no(2),
            quantity: Msats::new(5_000),
            counter: Counter::Conversion,
            value: usd(1_000),
            paid: Some((Currency::USD, usd(1_000), usd(25))),
            lot: opening(1_025),
        };
        let expected = vec![
            (PLACE, btc(5_000), Some(1_000)),
            (CONVERSION, btc(-5_000), Some(-1_000)),
            (CONVERSION, cash(1_000), Some(1_000)),
            (CASH, cash(-1_025), Some(-1_025)),
            (EXCHANGE_FEES, cash(25), Some(25)),
        ];
        assert_eq!(lines(step), expected);
    }

    #[test]
    fn a_sell_mirrors_a_buy_and_its_bitcoin_fee_has_its_own_account() {
        let mut sold = disposal(2, 4_000, 1_000);
        sold.counter = Counter::Conversion;
        sold.fee_account = Counter::LightningFees;
        sold.gross = usd(800);
        sold.fiat_fee = usd(30);
        sold.received = Some((Currency::USD, usd(800), usd(30)));
        let expected = vec![
            (PLACE, btc(-5_000), Some(-1_000)),
            (CONVERSION, btc(4_000), Some(800)),
            (Account::Counter(Counter::LightningFees), btc(1_000), Some(200)),
            (CONVERSION, cash(-800), Some(-800)),
            (CASH, cash(770), Some(770)),
            (EXCHANGE_FEES, cash(30), Some(30)),
        ];
        assert_eq!(lines(BookedStep::Disposed(Box::new(sold))), expected);
    }

    #[test]
    fn a_gift_leaves_at_its_cost_fee_included() {
        let mut gift = disposal(2, 4_000, 1_000);
        (gift.realises, gift.gross, gift.slices[0].used.cost) = (false, usd(0), usd(1_001));
        let expected = vec![
            (PLACE, btc(-5_000), Some(-1_001)),
            (Account::Counter(Counter::ExpensesExternal), btc(4_000), Some(801)),
            (Account::Counter(Counter::NetworkFees), btc(1_000), Some(200)),
        ];
        assert_eq!(lines(BookedStep::Disposed(Box::new(gift))), expected);
    }

    #[test]
    fn a_move_inside_one_pool_has_no_value() {
        let moved = |cost| BookedStep::Moved {
            from: no(1),
            to: no(2),
            quantity: Msats::new(7),
            slices: vec![used(lot("c1.buy-1", 0), Msats::new(7), cost)],
        };
        let from = Account::Bitcoin(rail(no(1)), no(1));
        assert_eq!(lines(moved(usd(0))), vec![(PLACE, btc(7), None), (from, btc(-7), None)]);
        assert_eq!(lines(moved(usd(3))), vec![(PLACE, btc(7), Some(3)), (from, btc(-7), Some(-3))]);
    }

    #[test]
    fn fiat_for_fiat_balances_in_both_currencies() {
        let eur: Currency = "EUR".parse().unwrap();
        let step = BookedStep::FiatTraded {
            connection: no(2),
            from: (Currency::USD, usd(1_100)),
            to: (eur, usd(1_000)),
        };
        let expected = vec![
            (CONVERSION, cash(1_100), None),
            (CASH, cash(-1_100), None),
            (CASH, Amount::Fiat(eur, usd(1_000)), None),
            (CONVERSION, Amount::Fiat(eur, usd(-1_000)), None),
        ];
        assert_eq!(lines(step), expected);
    }

    proptest! {
        #[test]
        fn every_entry_balances_per_asset_and_in_value(row in any_row()) {
            let mut sums: BTreeMap<Asset, (i128, i128)> = BTreeMap::new();
            for line in postings(&row, &rail).unwrap() {
                let (asset, units) = match line.amount {
                    Amount::Btc(quantity) => (Asset::Btc, quantity.get()),
                    Amount::Fiat(currency, amount) => (Asset::Fiat(currency), amount.get()),
                };
                prop_assert!(units != 0 || has_worth(line.value));
                let sum = sums.entry(asset).or_default();
                sum.0 += i128::from(units);
                sum.1 += i128::from(line.value.unwrap_or_default().get());
            }
            prop_assert!(sums.values().all(|sum| *sum == (0, 0)), "{:?}", sums);
        }

        #[test]
        fn what_is_not_booked_has_no_lines(mut row in any_row()) {
            row.status = RowStatus::Quarantined(Quarantine::MissingRate { pair: "BTC-USD".into() });
            prop_assert!(postings(&row, &rail).unwrap().is_empty());
            row.status = RowStatus::Excluded;
            prop_assert!(postings(&row, &rail).unwrap().is_empty());
        }
    }
}
