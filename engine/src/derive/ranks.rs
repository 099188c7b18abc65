//! Lots change the form of their keys where a method that ranks by unit cost begins or ends.
//!
//! Invariant: **while a method is in force, every open lot has the form it asks for**, forward and back. A lot's unit
//! cost is read from the row that acquired it, which stands before any instant at which the form can change.

use crate::error::{Error, Result};
use crate::model::{BookedStep, LotKey, OpenLot, UnitCost};
use crate::store::WriteStore;

/// Gives every open lot a key with its unit cost, or without.
///
/// Walks the table once in place: a lot that reappears under its new key has the right form already.
pub(super) fn rank_lots(store: &mut WriteStore<'_>, ranked: bool) -> Result<()> {
    let mut from = Vec::new();
    while let Some((raw, lot)) = store.next_lot(&from, &[])? {
        if lot.key.unit.is_some() != ranked {
            let unit = if ranked { Some(acquired_unit(store, &lot.key)?) } else { None };
            store.remove_lot(&lot.key)?;
            let key = LotKey { unit, ..lot.key };
            store.put_lot(&OpenLot { key, ..lot })?;
        }
        from = raw;
        from.push(0);
    }
    Ok(())
}

/// What a lot cost per unit when it was acquired.
pub(super) fn acquired_unit(store: &mut WriteStore<'_>, key: &LotKey) -> Result<UnitCost> {
    let missing = || Error::Corrupt(format!("nothing acquired lot {}", key.lot_id()));
    let row = store.journal_row(&key.origin)?.ok_or_else(missing)?;
    let acquired = row.steps.iter().filter_map(|step| match step {
        BookedStep::Acquired { quantity, lot, .. } => Some(UnitCost { cost: lot.cost, quantity: *quantity }),
        _ => None,
    });
    acquired.into_iter().nth(key.nth as usize).ok_or_else(missing)
}
