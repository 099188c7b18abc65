//! [`Msats`]: a bitcoin quantity in millisatoshi, with checked arithmetic only.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A bitcoin quantity in millisatoshi (1 BTC = 100 000 000 000 msat). 21 M BTC fit with room to spare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Msats(i64);

impl Msats {
    /// Nothing.
    pub const ZERO: Msats = Msats(0);
    /// One bitcoin.
    pub const BTC: Msats = Msats(100_000_000_000);
    /// The money supply: no real quantity is larger.
    pub const MAX_MONEY: Msats = Msats(21_000_000 * 100_000_000_000);

    /// From millisatoshi.
    pub const fn new(msat: i64) -> Self {
        Msats(msat)
    }

    /// From whole satoshis; `None` when out of range.
    pub fn from_sats(sats: u64) -> Option<Self> {
        i64::try_from(sats).ok()?.checked_mul(1000).map(Msats)
    }

    /// Millisatoshi.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether this is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Sum, or [`Error::Overflow`].
    pub fn add(self, other: Msats) -> Result<Msats> {
        self.0.checked_add(other.0).map(Msats).ok_or(Error::Overflow("bitcoin sum"))
    }

    /// Difference, or [`Error::Overflow`].
    pub fn sub(self, other: Msats) -> Result<Msats> {
        self.0.checked_sub(other.0).map(Msats).ok_or(Error::Overflow("bitcoin difference"))
    }

    /// The smaller of two quantities.
    pub fn min(self, other: Msats) -> Msats {
        Msats(self.0.min(other.0))
    }

    /// Sum of many, or [`Error::Overflow`].
    pub fn sum(items: impl IntoIterator<Item = Msats>) -> Result<Msats> {
        items.into_iter().try_fold(Msats::ZERO, Msats::add)
    }

    /// As a decimal number of bitcoin, 11 places (`0.00150000000` → scale 11).
    pub fn to_btc(self) -> Decimal {
        Decimal::new(self.0, 11)
    }

    /// As a decimal number of satoshis with exactly 3 places (`"150000.000"`).
    pub fn to_sat_text(self) -> String {
        Decimal::new(self.0, 3).to_string()
    }

    /// Reads a decimal number of satoshis with up to 3 places, and nothing else.
    pub fn parse_sats(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let sats: Decimal = text.bytes().all(plain).then(|| text.parse().ok())??;
        let msats = sats.checked_mul(Decimal::ONE_THOUSAND)?;
        if msats.fract().is_zero() { i64::try_from(msats).ok().map(Self) } else { None }
    }

    /// As a decimal number of bitcoin: 8 places, or 11 when there are millisatoshi.
    pub fn to_btc_text(self) -> String {
        let scale = if self.0 % 1000 == 0 { 8 } else { 11 };
        let units = if scale == 8 { self.0 / 1000 } else { self.0 };
        Decimal::new(units, scale).to_string()
    }
}

impl fmt::Display for Msats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_btc_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_exactly() {
        let amount = Msats::new(150_000_123);
        assert_eq!(amount.to_sat_text(), "150000.123");
        assert_eq!(Msats::parse_sats("150000.123"), Some(amount));
        assert_eq!(Msats::parse_sats("7"), Some(Msats::new(7_000)));
        for bad in ["", "1.0001", "-1", "1e3", "9223372036854775.808", "99999999999999999999999999999999"] {
            assert_eq!(Msats::parse_sats(bad), None, "{bad}");
        }
        assert_eq!(amount.to_btc_text(), "0.00150000123");
        assert_eq!(Msats::from_sats(150_000).map(Msats::to_btc_text).as_deref(), Some("0.00150000"));
        assert_eq!(Msats::new(-1_000).to_btc_text(), "-0.00000001");
    }

    #[test]
    fn refuses_to_wrap() {
        assert!(Msats::new(i64::MAX).add(Msats::new(1)).is_err());
        assert!(Msats::from_sats(u64::MAX).is_none());
    }
}
