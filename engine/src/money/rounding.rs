//! The one place where a product is divided: `a × b / d` through `i128` with a named rounding.

/// How a quotient that is not whole is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, ties to the even neighbour: the default for every valuation.
    HalfEven,
    /// Toward zero.
    Down,
}

/// `a × b / d`, rounded; `None` when `d` is zero or the product leaves `i128`.
pub fn muldiv(a: i128, b: i128, d: i128, rounding: Rounding) -> Option<i128> {
    let product = a.checked_mul(b)?;
    let quotient = product.checked_div(d)?;
    let remainder = product.checked_rem(d)?;
    if rounding == Rounding::Down || remainder == 0 {
        return Some(quotient);
    }
    let twice = remainder.unsigned_abs().checked_mul(2)?;
    let away = match twice.cmp(&d.unsigned_abs()) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Less => false,
    };
    if !away {
        return Some(quotient);
    }
    let step = if (remainder < 0) == (d < 0) { 1 } else { -1 };
    quotient.checked_add(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_even() {
        let half = |n| muldiv(n, 1, 2, Rounding::HalfEven);
        assert_eq!(
            [half(1), half(3), half(5), half(-1), half(-3)],
            [Some(0), Some(2), Some(2), Some(0), Some(-2)]
        );
        assert_eq!(muldiv(7, 1, 2, Rounding::Down), Some(3));
        assert_eq!(muldiv(1, 1, 0, Rounding::Down), None);
        assert_eq!(muldiv(i128::MAX, 2, 2, Rounding::Down), None);
    }

    proptest! {
        #[test]
        fn half_even_is_never_off_by_more_than_half(a in -1_000_000i128..1_000_000, b in 0i128..1_000_000, d in 1i128..10_000) {
            let q = muldiv(a, b, d, Rounding::HalfEven).unwrap_or_default();
            prop_assert!((a * b - q * d).abs() * 2 <= d);
        }
    }
}
