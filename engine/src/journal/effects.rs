//! [`effects`]: what a booked row did to the lots, in order.
//!
//! A row names each lot once, in the step that touches it; this is the one place that knows how to read that.

use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::model::{
    BookedStep, JournalRow, LotEffect, LotKey, LotUse, OpenLot, Opening, UnitCost, UsePurpose,
};
use crate::money::{Fiat, Msats};

/// The effects of the row at `key` on the lots, in order.
///
/// # Errors
/// [`Error::Overflow`] for more lots than can be counted.
pub fn effects(key: &EventKey, row: &JournalRow) -> Result<Vec<LotEffect>> {
    effects_of(key, &row.steps)
}

/// The effects of the steps of the row at `key`.
pub fn effects_of(key: &EventKey, steps: &[BookedStep]) -> Result<Vec<LotEffect>> {
    let mut effects = Vec::new();
    let mut numbers = Numbers::default();
    for step in steps {
        match step {
            BookedStep::Acquired { connection: _, quantity, lot, .. } => {
                let key = opened_key(key, lot, *quantity, numbers.opened()?);
                effects.push(opening(key, lot, *quantity)?);
            }
            BookedStep::Disposed(disposal) => {
                let purpose = if disposal.realises { UsePurpose::Disposal } else { UsePurpose::Gift };
                // What is taken of a lot to come has no effect here: the lot opens with the rest.
                let slices = disposal.slices.iter().filter(|slice| slice.used.lot.opened_by() <= key);
                effects.extend(slices.map(|slice| LotEffect::Used { slice: slice.used.clone(), purpose }));
            }
            BookedStep::Moved { to, slices, .. } => {
                moved(&mut effects, key, slices, Some(*to), &mut numbers)?
            }
            BookedStep::Dealt { to, slices } => moved(&mut effects, key, slices, *to, &mut numbers)?,
            BookedStep::CarriedFee { slices, heir, heir_left, .. } => {
                let uses = slices.iter().cloned();
                effects.extend(uses.map(|slice| LotEffect::Used { slice, purpose: UsePurpose::CarriedFee }));
                let (cost, loss_cost) = carried(slices)?;
                effects.push(LotEffect::CostAdded { lot: heir.clone(), cost, loss_cost, left: *heir_left });
            }
            BookedStep::FiatFee { .. } | BookedStep::FiatTraded { .. } => {}
        }
    }
    Ok(effects)
}

/// The lot opens with what nobody had claimed of it; where that is nothing, its pool gets the difference in cost.
fn opening(key: LotKey, lot: &Opening, quantity: Msats) -> Result<LotEffect> {
    let (gone, paid) = lot.claimed.unwrap_or((Msats::ZERO, Fiat::ZERO));
    let (quantity, cost, loss_cost) = (quantity.sub(gone)?, lot.cost.sub(paid)?, lot.loss_cost);
    Ok(match quantity.is_zero() && !gone.is_zero() {
        true => LotEffect::ClaimedWhole { lot: key, cost },
        false => LotEffect::Opened(OpenLot { key, quantity, cost, loss_cost }),
    })
}

/// Slices taken, and opened again in the pool they came into.
fn moved(
    effects: &mut Vec<LotEffect>,
    key: &EventKey,
    slices: &[LotUse],
    to: Option<ConnectionNo>,
    numbers: &mut Numbers,
) -> Result<()> {
    let uses = slices.iter().cloned();
    effects.extend(uses.map(|slice| LotEffect::Used { slice, purpose: UsePurpose::Move }));
    for slice in slices {
        effects.push(LotEffect::Opened(arrived(key, slice, to, numbers.moved()?)));
    }
    Ok(())
}

/// The cost that slices carry on, and what of it counts for a loss: basis by basis, where a gift has two.
///
/// # Errors
/// [`Error::Overflow`] when a sum leaves its range.
pub fn carried(slices: &[LotUse]) -> Result<(Fiat, Fiat)> {
    let cost = Fiat::sum(slices.iter().map(|slice| slice.cost))?;
    Ok((cost, Fiat::sum(slices.iter().map(|slice| slice.loss_cost.unwrap_or(slice.cost)))?))
}

/// How many lots an event has opened, and how many slices it has moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    opened: u32,
    moved: u32,
}

impl Numbers {
    /// The number of the next lot the event opens.
    pub fn opened(&mut self) -> Result<u32> {
        next(&mut self.opened)
    }

    /// The number of the next slice it moves.
    pub fn moved(&mut self) -> Result<u32> {
        next(&mut self.moved)
    }
}

fn next(number: &mut u32) -> Result<u32> {
    let this = *number;
    *number = number.checked_add(1).ok_or(Error::Overflow("lots of one event"))?;
    Ok(this)
}

/// The key of the lot that the acquisition numbered `nth` of the event at `event` opens.
pub fn opened_key(event: &EventKey, lot: &Opening, quantity: Msats, nth: u32) -> LotKey {
    LotKey {
        pool: lot.pool,
        unit: lot.ranked.then_some(UnitCost { cost: lot.cost, quantity }),
        acquired_at: lot.acquired_at.unwrap_or(event.time),
        origin: event.clone(),
        nth,
        via: None,
    }
}

/// The lot that a moved slice becomes in the pool it arrives in.
pub fn arrived(event: &EventKey, slice: &LotUse, pool: Option<ConnectionNo>, number: u32) -> OpenLot {
    let LotUse { lot, quantity, cost, loss_cost, .. } = slice;
    let key = LotKey { pool, via: Some((event.clone(), number)), ..lot.clone() };
    OpenLot { key, quantity: *quantity, cost: *cost, loss_cost: *loss_cost }
}
