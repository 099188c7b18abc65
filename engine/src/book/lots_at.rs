//! The open lots, as they stand or as they stood at an instant: replayed from the first row or undone from the last,
//! whichever is nearer.
//!
//! Holds open lots only, never the history. Invariants: both ways give the same lots; **the costs shown sum to the cost
//! of what is open**, also where a pool keeps one cost, which its lots then share by quantity.

use std::collections::BTreeMap;

use super::Snapshot;
use super::snapshot::behind;
use crate::error::{Error, Result};
use crate::id::ConnectionNo;
use crate::journal::effects;
use crate::lots::cost_share;
use crate::model::{BookedStep, LotEffect, LotKey, LotUse, Method, OpenLot, PoolCost};
use crate::money::{Fiat, Msats};
use crate::reports::Range;
use crate::store::ReadStore;
use crate::time::Timestamp;

/// How long before an instant a disposal may stand that is matched with an acquisition behind it: 30 days, with the days at
/// either end and an hour that a clock was set back.
const CLAIM_HOURS: u32 = 32 * 24 + 2;

/// Open lots, pool by pool.
pub type LotRows = Box<dyn Iterator<Item = Result<OpenLot>>>;

impl Snapshot {
    /// Open lots as they stood at `as_of` (its own instant included), pool by pool, oldest first; `None`: as they stand, in
    /// the order of their keys.
    pub fn open_lots_at(&self, as_of: Option<Timestamp>) -> Result<LotRows> {
        let pooled = self.booked_settings()?.method.pools_cost();
        let Some(as_of) = as_of else { return Ok(Box::new(self.open_lots()?)) };
        self.check_settled(as_of)?;
        let before = self.spans()?.sum(&Range { start: None, end: Some(as_of) })?.events;
        let after = self.totals()?.events.saturating_sub(before);
        let Lots { open, pools, .. } =
            if before < after { self.replayed(as_of, pooled)? } else { self.undone(as_of, pooled)? };
        let lots = open.into_values().map(Ok);
        if !pooled {
            return Ok(Box::new(lots));
        }
        Ok(Box::new(shared(lots, pools)))
    }

    /// Refuses an instant at which a disposal is matched with an acquisition still to come (`UK_S104`): the lots of then would
    /// hold what the ledger has not.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the next instant that can be asked for.
    pub(super) fn check_settled(&self, as_of: Timestamp) -> Result<()> {
        if self.booked_settings()?.method != Method::UkS104 {
            return Ok(());
        }
        let mut latest = as_of;
        let start = Some(as_of.minus_hours(CLAIM_HOURS));
        for row in self.journal(&Range { start, end: Some(as_of) })? {
            let (_, row) = row?;
            for step in &row.steps {
                let BookedStep::Disposed(disposal) = step else { continue };
                let acquired = disposal.slices.iter().map(|slice| slice.used.lot.origin.time);
                latest = acquired.fold(latest, Timestamp::max);
            }
        }
        if latest == as_of {
            return Ok(());
        }
        Err(Error::invalid(
            "as_of",
            format!(
                "UK_S104 matches a disposal before {as_of} with an acquisition at {latest}; lots and costs in between \
                 cannot be told: ask for {latest} or later, or for a time before the disposal"
            ),
        ))
    }

    fn replayed(&self, as_of: Timestamp, pooled: bool) -> Result<Lots> {
        let mut lots = Lots { pooled, ..Lots::default() };
        let (mut store, mut place) = (self.store()?, Vec::new());
        while let Some((key, row)) = store.next_journal(&place)?.filter(|(key, _)| key.time <= as_of) {
            effects(&key, &row)?.into_iter().try_for_each(|effect| lots.apply(effect))?;
            place = behind(&key);
        }
        Ok(lots)
    }

    fn undone(&self, as_of: Timestamp, pooled: bool) -> Result<Lots> {
        let mut store = self.store()?;
        let mut lots = Lots { pooled, ..Lots::default() };
        for lot in self.open_lots()? {
            lots.know_pool(&mut store, lot?)?;
        }
        let mut place = None::<Vec<u8>>;
        let later = |row: &(crate::id::EventKey, _)| row.0.time > as_of;
        while let Some((key, row)) = store.previous_journal(place.as_deref())?.filter(later) {
            effects(&key, &row)?.into_iter().rev().try_for_each(|effect| lots.undo(effect))?;
            place = Some(key.to_bytes());
        }
        Ok(lots)
    }
}

/// Gives each lot its share of its pool's cost; the last lot of a pool takes what is left.
fn shared(
    lots: impl Iterator<Item = Result<OpenLot>>,
    mut pools: BTreeMap<Option<ConnectionNo>, PoolCost>,
) -> impl Iterator<Item = Result<OpenLot>> {
    lots.map(move |lot| {
        let lot = lot?;
        let rest = pools.entry(lot.key.pool).or_default();
        let cost = cost_share(rest.cost, lot.quantity, rest.quantity)?;
        *rest = PoolCost { quantity: rest.quantity.sub(lot.quantity)?, cost: rest.cost.sub(cost)? };
        Ok(OpenLot { cost, ..lot })
    })
}

/// Open lots in memory, under their ordered bytes without rank: the same lot may be ranked by one method and not by another.
#[derive(Default)]
struct Lots {
    pooled: bool,
    open: BTreeMap<Vec<u8>, OpenLot>,
    pools: BTreeMap<Option<ConnectionNo>, PoolCost>,
}

impl Lots {
    fn know_pool(&mut self, store: &mut ReadStore, lot: OpenLot) -> Result<()> {
        if self.pooled && !self.pools.contains_key(&lot.key.pool) {
            self.pools.insert(lot.key.pool, store.pool_cost(lot.key.pool)?);
        }
        self.put(lot);
        Ok(())
    }

    fn apply(&mut self, effect: LotEffect) -> Result<()> {
        match effect {
            LotEffect::Opened(lot) => {
                self.hold(lot.key.pool, lot.quantity, lot.cost)?;
                self.put(lot);
            }
            LotEffect::Used { slice, .. } => {
                let LotUse { lot, quantity, cost, left, .. } = slice;
                self.hold(lot.pool, Msats::ZERO.sub(quantity)?, Fiat::ZERO.sub(cost)?)?;
                match left {
                    None => drop(self.open.remove(&plain(&lot))),
                    Some(left) => {
                        let (quantity, cost, loss_cost) = (left.quantity, left.cost, left.loss_cost);
                        self.put(OpenLot { key: lot, quantity, cost, loss_cost });
                    }
                }
            }
            LotEffect::CostAdded { lot, cost, loss_cost, .. } => self.add_cost(&lot, cost, loss_cost)?,
            LotEffect::ClaimedWhole { lot, cost } => self.hold(lot.pool, Msats::ZERO, cost)?,
        }
        Ok(())
    }

    fn undo(&mut self, effect: LotEffect) -> Result<()> {
        match effect {
            LotEffect::Opened(lot) => {
                self.hold(lot.key.pool, Msats::ZERO.sub(lot.quantity)?, Fiat::ZERO.sub(lot.cost)?)?;
                self.open.remove(&plain(&lot.key));
            }
            LotEffect::Used { slice, .. } => {
                self.hold(slice.lot.pool, slice.quantity, slice.cost)?;
                self.put(slice.before()?);
            }
            LotEffect::CostAdded { lot, cost, loss_cost, .. } => {
                self.add_cost(&lot, Fiat::ZERO.sub(cost)?, Fiat::ZERO.sub(loss_cost)?)?;
            }
            LotEffect::ClaimedWhole { lot, cost } => {
                self.hold(lot.pool, Msats::ZERO, Fiat::ZERO.sub(cost)?)?
            }
        }
        Ok(())
    }

    fn add_cost(&mut self, key: &LotKey, cost: Fiat, loss_cost: Fiat) -> Result<()> {
        self.hold(key.pool, Msats::ZERO, cost)?;
        let missing = || Error::Corrupt(format!("lot {} is not open", key.lot_id()));
        let lot = self.open.get_mut(&plain(key)).ok_or_else(missing)?;
        lot.cost = lot.cost.add(cost)?;
        lot.loss_cost = lot.loss_cost.map(|kept| kept.add(loss_cost)).transpose()?;
        Ok(())
    }

    fn put(&mut self, lot: OpenLot) {
        self.open.insert(plain(&lot.key), lot);
    }

    /// Changes what a pool holds, where it keeps the cost.
    fn hold(&mut self, pool: Option<ConnectionNo>, quantity: Msats, cost: Fiat) -> Result<()> {
        if self.pooled {
            let held = self.pools.entry(pool).or_default();
            *held = PoolCost { quantity: held.quantity.add(quantity)?, cost: held.cost.add(cost)? };
        }
        Ok(())
    }
}

fn plain(key: &LotKey) -> Vec<u8> {
    LotKey { unit: None, ..key.clone() }.to_bytes()
}
