//! What a journal row says of the lots it took from: how each stood before, and how it was left.

use crate::error::Result;
use crate::journal::carried;
use crate::model::{BookedStep, JournalRow, Left, LotKey, LotUse, OpenLot};

/// A lot that a row took from or added cost to.
pub(super) struct Touch {
    /// Its ordered bytes.
    pub raw: Vec<u8>,
    /// How it stood.
    pub before: OpenLot,
    /// How it was left.
    pub left: Option<Left>,
}

/// The lots a row touches, in order. A lot that several steps touch is there several times.
pub(super) fn touches(row: &JournalRow) -> Result<Vec<Touch>> {
    let mut found = Vec::new();
    for step in &row.steps {
        match step {
            BookedStep::Disposed(disposal) => {
                for slice in &disposal.slices {
                    found.push(used(&slice.used)?);
                }
            }
            BookedStep::Moved { slices, .. } | BookedStep::Dealt { slices, .. } => {
                for slice in slices {
                    found.push(used(slice)?);
                }
            }
            BookedStep::CarriedFee { slices, heir, heir_left, .. } => {
                for slice in slices {
                    found.push(used(slice)?);
                }
                let (cost, loss_cost) = carried(slices)?;
                let lot = lot_with(heir.clone(), *heir_left);
                let loss_cost = lot.loss_cost.map(|left| left.sub(loss_cost)).transpose()?;
                let before = OpenLot { cost: lot.cost.sub(cost)?, loss_cost, ..lot };
                found.push(Touch { raw: heir.to_bytes(), before, left: Some(*heir_left) });
            }
            BookedStep::Acquired { .. } | BookedStep::FiatFee { .. } | BookedStep::FiatTraded { .. } => {}
        }
    }
    Ok(found)
}

fn used(slice: &LotUse) -> Result<Touch> {
    Ok(Touch { raw: slice.lot.to_bytes(), before: slice.before()?, left: slice.left })
}

/// A lot that holds so much.
pub(super) fn lot_with(key: LotKey, left: Left) -> OpenLot {
    OpenLot { key, quantity: left.quantity, cost: left.cost, loss_cost: left.loss_cost }
}
