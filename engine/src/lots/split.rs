//! Exact division of money over quantities: parts always sum to the whole.

use crate::error::{Error, Result};
use crate::money::{Fiat, Msats, Rounding, muldiv};

/// The share of `cost` that goes with `take` out of `quantity`: rounded half-even, all of it for the last slice.
pub fn cost_share(cost: Fiat, take: Msats, quantity: Msats) -> Result<Fiat> {
    if take == quantity {
        return Ok(cost);
    }
    let share = muldiv(cost.get().into(), take.get().into(), quantity.get().into(), Rounding::HalfEven);
    share.and_then(|share| i64::try_from(share).ok()).map(Fiat::new).ok_or(Error::Overflow("cost share"))
}

/// Divides `total` over `weights` in order: each takes its share of what is left, the last takes the rest.
pub fn apportion(total: Fiat, weights: impl Iterator<Item = Msats> + Clone) -> Result<Vec<Fiat>> {
    let mut left = total;
    let mut weight_left = Msats::sum(weights.clone())?;
    let mut parts = Vec::new();
    for weight in weights {
        let part = if weight_left.is_zero() { left } else { cost_share(left, weight, weight_left)? };
        left = left.sub(part)?;
        weight_left = weight_left.sub(weight)?;
        parts.push(part);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cost_is_conserved(cost in -1_000_000i64..1_000_000_000, takes in prop::collection::vec(1i64..1_000_000_000_000, 1..30)) {
            let mut quantity = Msats::new(takes.iter().sum());
            let mut left = Fiat::new(cost);
            let mut slices = Fiat::ZERO;
            for take in &takes {
                let slice = cost_share(left, Msats::new(*take), quantity).unwrap();
                left = left.sub(slice).unwrap();
                slices = slices.add(slice).unwrap();
                quantity = quantity.sub(Msats::new(*take)).unwrap();
            }
            prop_assert_eq!(slices, Fiat::new(cost));
            prop_assert_eq!(left, Fiat::ZERO);
            let parts = apportion(Fiat::new(cost), takes.iter().map(|take| Msats::new(*take))).unwrap();
            prop_assert_eq!(Fiat::sum(parts).unwrap(), Fiat::new(cost));
        }
    }
}
