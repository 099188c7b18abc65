//! [`Rate`]: the price of one bitcoin in a currency, as an integer scaled by 10^8.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use super::{Currency, Fiat, Msats, Rounding, muldiv};
use crate::error::{Error, Result};

/// Price of one bitcoin in major units of a currency, times 10^8. Always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rate(i64);

/// Decimal places a rate keeps.
const SCALE: u32 = 8;

impl Rate {
    /// From a decimal price in major units.
    ///
    /// # Errors
    /// [`Error::Invalid`] when not positive, finer than 8 places or out of range.
    pub fn from_decimal(price: Decimal) -> Result<Self> {
        let scaled = price.checked_mul(Decimal::from(10u64.pow(SCALE)));
        match scaled.filter(|scaled| scaled.fract().is_zero()).and_then(|scaled| scaled.to_i64()) {
            Some(units) if units > 0 => Ok(Rate(units)),
            _ => Err(Error::invalid("rate", format!("{price} must be positive, with at most 8 decimals"))),
        }
    }

    /// As a decimal price in major units.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, SCALE).normalize()
    }

    /// The value of `quantity` at this price, in minor units, half-even.
    pub fn value(self, quantity: Msats, currency: Currency) -> Result<Fiat> {
        // msat / 10^11 × rate / 10^8 × 10^exponent
        let divisor = 10i128.pow(11 + SCALE - currency.exponent());
        let minor = muldiv(quantity.get().into(), self.0.into(), divisor, Rounding::HalfEven);
        minor.and_then(|minor| i64::try_from(minor).ok()).map(Fiat::new).ok_or(Error::Overflow("valuation"))
    }

    /// `amount` of `from` (priced at `self`) in minor units of `to` (priced at `other`), half-even.
    pub fn convert(self, amount: Fiat, from: Currency, other: Rate, to: Currency) -> Result<Fiat> {
        let up = 10i128.pow(to.exponent());
        let down = i128::from(self.0).checked_mul(10i128.pow(from.exponent()));
        let factor = i128::from(other.0).checked_mul(up);
        let minor = factor.zip(down).and_then(|(f, d)| muldiv(amount.get().into(), f, d, Rounding::HalfEven));
        minor.and_then(|minor| i64::try_from(minor).ok()).map(Fiat::new).ok_or(Error::Overflow("conversion"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::from_decimal(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn values_round_half_even_to_the_minor_unit() {
        let price = rate("50000");
        assert_eq!(price.value(Msats::BTC, Currency::USD).unwrap(), Fiat::new(5_000_000));
        assert_eq!(price.value(Msats::new(10_000), Currency::USD).unwrap(), Fiat::new(0)); // half a cent
        assert_eq!(price.value(Msats::new(30_000), Currency::USD).unwrap(), Fiat::new(2)); // 1.5 cents
        let yen: Currency = "JPY".parse().unwrap();
        assert_eq!(rate("9000000.5").value(Msats::BTC, yen).unwrap(), Fiat::new(9_000_000));
    }

    #[test]
    fn a_conversion_goes_through_the_two_prices() {
        let eur: Currency = "EUR".parse().unwrap();
        let got = rate("50000").convert(Fiat::new(10_000), Currency::USD, rate("45000"), eur).unwrap();
        assert_eq!(got, Fiat::new(9_000));
    }

    #[test]
    fn refuses_what_is_not_a_price() {
        for bad in ["0", "-1", "0.000000001", "100000000000000"] {
            assert!(Rate::from_decimal(bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
