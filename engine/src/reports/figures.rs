//! How figures are printed: satoshis, minor units, percentages.
//!
//! Invariant: exact; the only rounding is a percentage to two places, half-even.

use rust_decimal::Decimal;

use crate::error::{Error, Result};
use crate::model::Asset;
use crate::money::{Fiat, Rounding, muldiv};

/// A ledger sum as text: decimal satoshis with 3 places for bitcoin, whole minor units for a fiat currency.
pub(super) fn net_text(asset: Asset, units: i128) -> Result<String> {
    match asset {
        Asset::Btc => decimal_text(units, 3),
        Asset::Fiat(_) => Ok(units.to_string()),
    }
}

/// `part` as a percentage of `base` with two places; `None` when `base` is zero.
pub(super) fn percentage(part: Fiat, base: Fiat) -> Result<Option<String>> {
    if base == Fiat::ZERO {
        return Ok(None);
    }
    let hundredths = muldiv(part.get().into(), 10_000, base.get().into(), Rounding::HalfEven);
    decimal_text(hundredths.ok_or(Error::Overflow("percentage"))?, 2).map(Some)
}

/// `units` of 10^-`scale` as text.
pub(super) fn decimal_text(units: i128, scale: u32) -> Result<String> {
    let decimal = Decimal::try_from_i128_with_scale(units, scale);
    decimal.map(|decimal| decimal.to_string()).map_err(|_| Error::Overflow("report figure"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::money::Currency;

    #[test]
    fn percentages_have_two_places_and_no_base_has_none() {
        let percent = |part, base| percentage(Fiat::new(part), Fiat::new(base)).unwrap();
        assert_eq!(percent(1, 3).as_deref(), Some("33.33"));
        assert_eq!(percent(-1, 2).as_deref(), Some("-50.00"));
        assert_eq!(percent(1, 20_000).as_deref(), Some("0.00"));
        assert_eq!(percent(i64::MAX, 1).as_deref(), Some("922337203685477580700.00"));
        assert_eq!(percent(5, 0), None);
    }

    #[test]
    fn nets_are_satoshis_or_minor_units() {
        assert_eq!(net_text(Asset::Btc, -150_000_001).unwrap(), "-150000.001");
        assert_eq!(net_text(Asset::Btc, 0).unwrap(), "0.000");
        assert_eq!(net_text(Asset::Fiat(Currency::USD), -12).unwrap(), "-12");
    }
}
