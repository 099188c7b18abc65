//! What a row moves into and out of each pool, and the running sums of that.
//!
//! Invariant: adding a row's flows and removing them again leaves the sums as they were.

use std::collections::BTreeMap;

use super::Sign;
use crate::error::Result;
use crate::id::ConnectionNo;
use crate::model::{BookedStep, Flow, LotUse, PoolFlows};
use crate::money::{Fiat, Msats};

/// The sums of each pool.
type Pools = BTreeMap<Option<ConnectionNo>, PoolFlows>;

/// Adds (or removes) what `step` moves.
pub(super) fn flow(pools: &mut Pools, step: &BookedStep, sign: Sign) -> Result<()> {
    match step {
        BookedStep::Acquired { quantity, lot, .. } => {
            let flow = flow_of(*quantity, lot.cost);
            change(pools, lot.pool, |pool| &mut pool.acquired, flow, sign);
        }
        BookedStep::Disposed(disposal) => {
            let column: Column =
                if disposal.realises { |pool| &mut pool.disposed } else { |pool| &mut pool.given };
            for slice in &disposal.slices {
                used(pools, column, &slice.used, sign);
            }
        }
        BookedStep::Moved { to, slices, .. } => moved(pools, Some(*to), slices, sign),
        BookedStep::Dealt { to, slices } => moved(pools, *to, slices, sign),
        BookedStep::CarriedFee { slices, heir, .. } => {
            for slice in slices {
                used(pools, |pool| &mut pool.carried, slice, sign);
            }
            let cost = Fiat::sum(slices.iter().map(|slice| slice.cost))?;
            change(pools, heir.pool, |pool| &mut pool.inherited, flow_of(Msats::ZERO, cost), sign);
        }
        BookedStep::FiatFee { .. } | BookedStep::FiatTraded { .. } => {}
    }
    Ok(())
}

/// From the pools of the slices to another.
fn moved(pools: &mut Pools, to: Option<ConnectionNo>, slices: &[LotUse], sign: Sign) {
    for slice in slices {
        used(pools, |pool| &mut pool.departed, slice, sign);
        change(pools, to, |pool| &mut pool.arrived, flow_of(slice.quantity, slice.cost), sign);
    }
}

/// One of the sums of a pool.
type Column = fn(&mut PoolFlows) -> &mut Flow;

fn flow_of(quantity: Msats, cost: Fiat) -> Flow {
    Flow { quantity: quantity.get().into(), cost: cost.get().into() }
}

fn used(pools: &mut Pools, column: Column, slice: &LotUse, sign: Sign) {
    change(pools, slice.lot.pool, column, flow_of(slice.quantity, slice.cost), sign);
}

fn change(pools: &mut Pools, pool: Option<ConnectionNo>, column: Column, flow: Flow, sign: Sign) {
    let flows = pools.entry(pool).or_default();
    let sum = column(flows);
    *sum = match sign {
        Sign::Add => sum.and(flow),
        Sign::Remove => sum.without(flow),
    };
    // A pool nothing ever went through and one everything was taken back from are the same pool.
    if *flows == PoolFlows::default() {
        pools.remove(&pool);
    }
}
