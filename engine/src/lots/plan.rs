//! Selection of lots: plan first, apply later. A quantity that cannot be fully covered changes nothing.

use crate::error::Result;
use crate::model::{Left, OpenLot};
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
    /// The share of its cost that counts for a loss, where a gift has two.
    pub loss_cost: Option<Fiat>,
}

impl Take {
    /// `quantity` of `lot`, with its shares of the lot's costs.
    pub fn of(lot: OpenLot, quantity: Msats) -> Result<Self> {
        let cost = cost_share(lot.cost, quantity, lot.quantity)?;
        let loss_cost = lot.loss_cost.map(|loss| cost_share(loss, quantity, lot.quantity)).transpose()?;
        Ok(Take { lot, quantity, cost, loss_cost })
    }

    /// What stays of the lot.
    pub fn left(&self) -> Result<Option<Left>> {
        if self.quantity == self.lot.quantity {
            return Ok(None);
        }
        let loss_cost = match (self.lot.loss_cost, self.loss_cost) {
            (Some(whole), Some(taken)) => Some(whole.sub(taken)?),
            _ => None,
        };
        let (quantity, cost) = (self.lot.quantity.sub(self.quantity)?, self.lot.cost.sub(self.cost)?);
        Ok(Some(Left { quantity, cost, loss_cost }))
    }
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
        left = left.sub(quantity)?;
        takes.push(Take::of(lot, quantity)?);
    }
    Ok(Plan::Covered(takes))
}
