//! [`Currency`] and [`Fiat`]: integer minor units with an ISO 4217 exponent.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A fiat currency by its ISO 4217 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

/// ISO 4217 codes with no minor unit, and with three digits; every other active code has two.
const EXPONENT_0: [&str; 16] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF",
];
const EXPONENT_3: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
const EXPONENT_2: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN \
    BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR \
    MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE \
    SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG";

impl Currency {
    /// US dollar.
    pub const USD: Currency = Currency(*b"USD");

    /// The upper-case code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Decimal places of the minor unit (0, 2 or 3).
    pub fn exponent(&self) -> u32 {
        if EXPONENT_0.contains(&self.code()) || self.code() == "XPF" {
            0
        } else if EXPONENT_3.contains(&self.code()) {
            3
        } else {
            2
        }
    }
}

impl FromStr for Currency {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let known = EXPONENT_0.contains(&upper.as_str())
            || EXPONENT_3.contains(&upper.as_str())
            || upper == "XPF"
            || (upper.len() == 3 && EXPONENT_2.split_ascii_whitespace().any(|code| code == upper));
        match (known, <[u8; 3]>::try_from(upper.as_bytes())) {
            (true, Ok(code)) => Ok(Currency(code)),
            _ => Err(Error::invalid(
                "currency",
                format!("{text:?} is not an ISO 4217 code; use e.g. USD or EUR"),
            )),
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A fiat amount in minor units of a currency the context knows (the book's, unless said otherwise).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fiat(i64);

impl Fiat {
    /// Nothing.
    pub const ZERO: Fiat = Fiat(0);

    /// From minor units (cents).
    pub const fn new(minor: i64) -> Self {
        Fiat(minor)
    }

    /// Minor units.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Sum, or [`Error::Overflow`].
    pub fn add(self, other: Fiat) -> Result<Fiat> {
        self.0.checked_add(other.0).map(Fiat).ok_or(Error::Overflow("fiat sum"))
    }

    /// Difference, or [`Error::Overflow`].
    pub fn sub(self, other: Fiat) -> Result<Fiat> {
        self.0.checked_sub(other.0).map(Fiat).ok_or(Error::Overflow("fiat difference"))
    }

    /// Sum of many, or [`Error::Overflow`].
    pub fn sum(items: impl IntoIterator<Item = Fiat>) -> Result<Fiat> {
        items.into_iter().try_fold(Fiat::ZERO, Fiat::add)
    }

    /// As decimal major units with the currency's places (`"12.50"`).
    pub fn to_text(self, currency: Currency) -> String {
        Decimal::new(self.0, currency.exponent()).to_string()
    }

    /// From decimal major units; `None` when finer than the minor unit or out of range.
    pub fn from_major(major: Decimal, currency: Currency) -> Option<Fiat> {
        let scaled = major.checked_mul(Decimal::from(10u32.pow(currency.exponent())))?;
        if scaled.fract().is_zero() { scaled.to_i64().map(Fiat) } else { None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_have_their_iso_exponent() {
        let exponent = |code: &str| code.parse::<Currency>().unwrap().exponent();
        assert_eq!([exponent("usd"), exponent("JPY"), exponent("KWD"), exponent("EUR")], [2, 0, 3, 2]);
        assert!("BTC".parse::<Currency>().is_err());
        assert!("US".parse::<Currency>().is_err());
        assert!("USD EUR".parse::<Currency>().is_err());
    }

    #[test]
    fn major_units_convert_exactly_or_not_at_all() {
        let eur: Currency = "EUR".parse().unwrap();
        let parse = |text: &str| Fiat::from_major(text.parse().unwrap(), eur);
        assert_eq!(parse("12.5"), Some(Fiat::new(1250)));
        assert_eq!(parse("12.505"), None);
        assert_eq!(parse("12.500"), Some(Fiat::new(1250)));
        assert_eq!(Fiat::new(-5).to_text(eur), "-0.05");
    }
}
