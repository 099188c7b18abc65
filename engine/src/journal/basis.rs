//! [`basis`]: the cost basis of a slice in the tax sense, which for a gift with two bases depends on the proceeds.

use crate::error::Result;
use crate::model::{BookedDisposal, Slice};
use crate::money::Fiat;

/// Which basis a slice is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasisKind {
    /// The lot's cost.
    Cost,
    /// The lower value at the gift, because there is a loss even by it.
    Loss,
    /// The net proceeds: neither gain by the one nor loss by the other.
    Neither,
}

/// Which basis counts for net proceeds against a cost and, where a gift has one, a lower cost that counts for a loss.
///
/// Source: 26 U.S.C. 1015(a); IRS Publication 551, property received as a gift.
pub fn basis_kind(net: Fiat, cost: Fiat, loss_cost: Option<Fiat>) -> BasisKind {
    match loss_cost {
        Some(loss) if net < loss => BasisKind::Loss,
        Some(_) if net <= cost => BasisKind::Neither,
        _ => BasisKind::Cost,
    }
}

/// The basis of a slice.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when the net proceeds leave their range.
pub fn basis(slice: &Slice) -> Result<Fiat> {
    let Some(loss) = slice.used.loss_cost else { return Ok(slice.used.cost) };
    let net = slice.gross.sub(slice.fiat_fee)?;
    Ok(match basis_kind(net, slice.used.cost, Some(loss)) {
        BasisKind::Cost => slice.used.cost,
        BasisKind::Loss => loss,
        BasisKind::Neither => net,
    })
}

/// The basis of all slices of a disposal.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when the sum leaves its range.
pub fn disposal_basis(disposal: &BookedDisposal) -> Result<Fiat> {
    disposal.slices.iter().try_fold(Fiat::ZERO, |sum, slice| sum.add(basis(slice)?))
}

/// The value of what left, for the journal: the gross proceeds of the quantity, or the cost of quantity and fee where
/// nothing is realised.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when the sum leaves its range.
pub fn disposal_value(disposal: &BookedDisposal) -> Result<Fiat> {
    match disposal.realises {
        true => Ok(disposal.gross),
        false => Fiat::sum(disposal.slices.iter().map(|slice| slice.used.cost)),
    }
}
