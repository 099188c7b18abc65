//! Satoshis, read exactly from the decimal text of a JSON answer.
//!
//! bitcoind prints amounts as JSON numbers in BTC; a float would round them. Decoding takes the raw text of the number
//! and shifts the point, and refuses what is not a whole number of satoshis.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

use crate::error::{HarnessError, Result};

const DECIMALS: usize = 8;

/// An amount in satoshis; decodes from a BTC number in JSON, number or string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sats(pub i64);

impl Sats {
    /// Reads a decimal BTC text such as `0.00012340`, `-1` or `1e-08`.
    ///
    /// # Errors
    /// When the text is no decimal number, has a fraction of a satoshi, or does not fit.
    pub fn from_btc(text: &str) -> Result<Self> {
        parse_btc(text)
            .map(Self)
            .ok_or_else(|| HarnessError::Failed(format!("`{text}` is not a BTC amount of whole satoshis")))
    }
}

/// `[-]digits[.digits][e[-+]digits]` → satoshis; `None` for anything else.
fn parse_btc(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !mantissa.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let shift = exponent + i32::try_from(DECIMALS).ok()? - i32::try_from(fraction.len()).ok()?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let sats = match shift {
        0.. => digits.checked_mul(power)?,
        _ if digits % power == 0 => digits / power,
        _ => return None,
    };
    i64::try_from(if negative { -sats } else { sats }).ok()
}

impl fmt::Display for Sats {
    /// The BTC text bitcoind takes as an amount, always with eight decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (self.0.unsigned_abs() / 100_000_000, self.0.unsigned_abs() % 100_000_000);
        write!(f, "{sign}{whole}.{fraction:08}")
    }
}

impl<'de> Deserialize<'de> for Sats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_btc(raw.get().trim_matches('"')).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_are_exact_where_a_float_is_not() {
        for (text, sats) in [
            ("0.00000001", 1),
            ("1e-08", 1),
            ("1.5E-7", 15),
            ("2e1", 2_000_000_000),
            ("-0.10000000", -10_000_000),
            ("20999999.97690000", 2_099_999_997_690_000),
            ("0", 0),
            ("0.100000000000", 10_000_000),
        ] {
            assert_eq!(Sats::from_btc(text).unwrap(), Sats(sats), "{text}");
            assert_eq!(serde_json::from_str::<Sats>(text).unwrap(), Sats(sats), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_satoshis_is_refused() {
        for text in ["0.000000001", "", ".", ".5", "1.2.3", "abc", "--1", "1e", "99999999999999999999"] {
            assert!(Sats::from_btc(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_and_satoshis_round_trip(sats in -2_100_000_000_000_000_i64..=2_100_000_000_000_000) {
            proptest::prop_assert_eq!(Sats::from_btc(&Sats(sats).to_string()).unwrap(), Sats(sats));
        }
    }
}
