//! The open lots during a replay: taking, opening, and undoing exactly what was done.
//!
//! Invariant: **every change to a lot is one [`LotEffect`], and undoing the effects in reverse restores the pools.**

use super::lookup::locate_event;
use super::value::Stop;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, instant_bytes};
use crate::lots::{Plan, Take, plan};
use crate::model::{LotEffect, LotKey, LotScope, Method, OpenLot, Quarantine, Settings, UsePurpose};
use crate::money::{Fiat, Msats};
use crate::normalise::Rails;
use crate::store::{Readable, Store, WriteStore};

/// The pool a place's disposals choose from.
pub(super) fn pool_of(settings: &Settings, connection: ConnectionNo) -> Option<ConnectionNo> {
    match settings.lot_scope {
        LotScope::Universal => None,
        LotScope::Connection => Some(connection),
    }
}

/// Plans `need` from the pool by the method.
pub(super) fn plan_by_method<T: Readable>(
    store: &mut Store<T>,
    method: Method,
    pool: Option<ConnectionNo>,
    need: Msats,
) -> Result<Vec<Take>, Stop> {
    let prefix = LotKey::pool_bytes(pool);
    let mut cursor = match method {
        Method::Fifo => prefix.to_vec(),
        Method::Lifo => after(&prefix),
    };
    let planned = plan(need, || {
        let next = match method {
            Method::Fifo => store.next_lot(&cursor, &prefix)?,
            Method::Lifo => store.previous_lot(&cursor, &prefix)?,
        };
        Ok(next.map(|(raw, lot)| {
            cursor = raw;
            if method == Method::Fifo {
                cursor.push(0);
            }
            lot
        }))
    })?;
    match planned {
        Plan::Covered(takes) => Ok(takes),
        Plan::Short(available) => {
            Err(Stop::Quarantine(Quarantine::InsufficientLots { connection: pool, needed: need, available }))
        }
    }
}

/// Plans the lots a record names, in its order.
pub(super) fn plan_named<T: Readable>(
    store: &mut Store<T>,
    rails: Rails<'_>,
    pool: Option<ConnectionNo>,
    need: Msats,
    named: &[(EventId, Msats)],
) -> Result<Vec<Take>, Stop> {
    let mut takes: Vec<Take> = Vec::new();
    for (id, quantity) in named {
        let missing = || Stop::Quarantine(Quarantine::LotUnavailable { lot: id.to_string() });
        let mut open = lots_of(store, rails, pool, id)?.into_iter();
        match plan(*quantity, || Ok(open.next()))? {
            Plan::Covered(part)
                if part.iter().all(|take| takes.iter().all(|known| known.lot.key != take.lot.key)) =>
            {
                takes.extend(part);
            }
            _ => return Err(missing()),
        }
    }
    if Msats::sum(takes.iter().map(|take| take.quantity))? == need {
        return Ok(takes);
    }
    let problem = format!("the lots named do not sum to the {need} BTC that leave");
    Err(Stop::Quarantine(Quarantine::ConflictingLink { problem }))
}

/// The open lots in a pool that one event acquired.
fn lots_of<T: Readable>(
    store: &mut Store<T>,
    rails: Rails<'_>,
    pool: Option<ConnectionNo>,
    id: &EventId,
) -> Result<Vec<OpenLot>> {
    let Some(found) = locate_event(store, id, rails)? else { return Ok(Vec::new()) };
    let Some(row) = store.journal_row(&found.key)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for effect in &row.effects {
        let LotEffect::Opened { lot, .. } = effect else { continue };
        let mut prefix = LotKey::pool_bytes(pool).to_vec();
        prefix.extend_from_slice(&instant_bytes(lot.acquired_at));
        lot.origin.write(&mut prefix);
        prefix.push(0);
        let mut from = prefix.clone();
        while let Some((raw, open)) = store.next_lot(&from, &prefix)? {
            if !found.contains(&open) {
                found.push(open);
            }
            from = raw;
            from.push(0);
        }
    }
    Ok(found)
}

/// Applies planned takes.
pub(super) fn take(
    store: &mut WriteStore<'_>,
    takes: &[Take],
    purpose: UsePurpose,
    effects: &mut Vec<LotEffect>,
) -> Result<()> {
    for Take { lot, quantity, cost } in takes {
        if *quantity == lot.quantity {
            store.remove_lot(&lot.key)?;
        } else {
            let quantity = lot.quantity.sub(*quantity)?;
            store.put_lot(&OpenLot { key: lot.key.clone(), quantity, cost: lot.cost.sub(*cost)? })?;
        }
        effects.push(LotEffect::Used { lot: lot.key.clone(), quantity: *quantity, cost: *cost, purpose });
    }
    Ok(())
}

/// Opens a lot.
pub(super) fn open(store: &mut WriteStore<'_>, lot: OpenLot, effects: &mut Vec<LotEffect>) -> Result<()> {
    if !store.put_lot(&lot)? {
        return Err(Error::Corrupt(format!("lot {} is opened twice", lot.key.lot_id())));
    }
    effects.push(LotEffect::Opened { lot: lot.key, quantity: lot.quantity, cost: lot.cost });
    Ok(())
}

/// Adds cost to an open lot.
pub(super) fn add_cost(
    store: &mut WriteStore<'_>,
    key: &LotKey,
    cost: Fiat,
    effects: &mut Vec<LotEffect>,
) -> Result<()> {
    let lot = store.lot(key)?.ok_or_else(|| Error::Corrupt(format!("lot {} is not open", key.lot_id())))?;
    store.put_lot(&OpenLot { cost: lot.cost.add(cost)?, ..lot })?;
    effects.push(LotEffect::CostAdded { lot: key.clone(), cost });
    Ok(())
}

/// The lot the method would consume next.
pub(super) fn next_in_order<T: Readable>(
    store: &mut Store<T>,
    method: Method,
    pool: Option<ConnectionNo>,
) -> Result<Option<OpenLot>> {
    let prefix = LotKey::pool_bytes(pool);
    let next = match method {
        Method::Fifo => store.next_lot(&prefix, &prefix)?,
        Method::Lifo => store.previous_lot(&after(&prefix), &prefix)?,
    };
    Ok(next.map(|(_, lot)| lot))
}

/// Undoes effects, last first.
pub(super) fn undo(store: &mut WriteStore<'_>, effects: &[LotEffect]) -> Result<()> {
    for effect in effects.iter().rev() {
        match effect {
            LotEffect::Opened { lot, quantity, cost } => {
                let whole = OpenLot { key: lot.clone(), quantity: *quantity, cost: *cost };
                if store.lot(lot)?.as_ref() != Some(&whole) {
                    return Err(Error::Corrupt(format!(
                        "lot {} is not whole when it is undone",
                        lot.lot_id()
                    )));
                }
                store.remove_lot(lot)?;
            }
            LotEffect::Used { lot, quantity, cost, .. } => {
                let left = store.lot(lot)?;
                let (held, kept) = left.map_or((Msats::ZERO, Fiat::ZERO), |left| (left.quantity, left.cost));
                store.put_lot(&OpenLot {
                    key: lot.clone(),
                    quantity: held.add(*quantity)?,
                    cost: kept.add(*cost)?,
                })?;
            }
            LotEffect::CostAdded { lot, cost } => {
                let open = store
                    .lot(lot)?
                    .ok_or_else(|| Error::Corrupt(format!("lot {} is not open", lot.lot_id())))?;
                store.put_lot(&OpenLot { cost: open.cost.sub(*cost)?, ..open })?;
            }
        }
    }
    Ok(())
}

/// The first key behind a pool's prefix.
fn after(prefix: &[u8; 4]) -> Vec<u8> {
    u32::from_be_bytes(*prefix).saturating_add(1).to_be_bytes().to_vec()
}
