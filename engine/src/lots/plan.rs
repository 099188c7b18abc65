//! Selection of lots: plan first, apply later. A quantity that cannot be fully covered changes nothing.

use crate::error::Result;
use crate::model::OpenLot;
use crate::money::{Fiat, Msats};

use super::cost_share;

/// A slice to take: the lot as it stands, and what to take from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The lot before the taking.
    pub lot: OpenLot,
    /// How much to take; never zero, never more than the lot holds.
    pub quantity: Msats,
    /// The share of the lot's cost.
    pub cost: Fiat,
}

/// Outcome of planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Covered by these slices, in order of use.
    Covered(Vec<Take>),
    /// Not covered: this much was open.
    Short(Msats),
}

/// Covers `need` from lots in the order `next` yields them.
///
/// # Errors
/// Whatever `next` fails with.
pub fn plan(need: Msats, mut next: impl FnMut() -> Result<Option<OpenLot>>) -> Result<Plan> {
    let mut takes = Vec::new();
    let mut left = need;
    while !left.is_zero() {
        let Some(lot) = next()? else { return Ok(Plan::Short(need.sub(left)?)) };
        let quantity = left.min(lot.quantity);
        let cost = cost_share(lot.cost, quantity, lot.quantity)?;
        left = left.sub(quantity)?;
        takes.push(Take { lot, quantity, cost });
    }
    Ok(Plan::Covered(takes))
}
