//! The open lots during a replay: choosing, taking, opening, and undoing exactly what was done.
//!
//! Invariant: **every change to a lot is one [`LotEffect`], and undoing the effects in reverse restores the pools.**

use std::collections::BTreeMap;

use super::lookup::locate_event;
use super::order::{behind, next_in_order};
use super::past::{Past, Walk};
use super::ranks::{acquired_unit, rank_lots};
use super::value::Stop;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId};
use crate::journal::effects;
use crate::lots::{Plan, Take, apportion, cost_share, plan};
use crate::model::{Left, LotEffect, LotKey, LotUse, Method, OpenLot, PoolCost, Quarantine};
use crate::money::{Fiat, Msats};
use crate::normalise::Rails;
use crate::store::WriteStore;

/// The open lots under one method.
pub(super) struct Pools {
    /// How lots are ordered.
    pub method: Method,
    /// Whether the keys of open lots hold their unit cost.
    ranked: bool,
    /// Pools that keep one cost, as they stand; written when the replay ends.
    held: BTreeMap<Option<ConnectionNo>, PoolCost>,
    /// Where rows are replayed that others follow; `None` behind all rows, where the table has the lots.
    pub past: Option<Past>,
}

/// Where a walk over a pool stands.
enum PoolWalk {
    Now { pool: [u8; 4], after: Option<Vec<u8>> },
    Past(Box<Walk>),
}

impl Pools {
    pub fn new(method: Method) -> Self {
        Pools { method, ranked: method.ranks(), held: BTreeMap::new(), past: None }
    }

    /// Gives every open lot a key with its unit cost, or without.
    pub fn rank(&mut self, store: &mut WriteStore<'_>, ranked: bool) -> Result<()> {
        if std::mem::replace(&mut self.ranked, ranked) == ranked { Ok(()) } else { rank_lots(store, ranked) }
    }

    /// Writes what is kept in memory.
    pub fn finish(self, store: &mut WriteStore<'_>) -> Result<()> {
        self.held.into_iter().try_for_each(|(pool, held)| store.put_pool_cost(pool, held))
    }

    /// A walk over a pool's lots in the order in which the method uses them.
    fn walk(&mut self, pool: Option<ConnectionNo>) -> PoolWalk {
        let pool = LotKey::pool_bytes(pool);
        match &mut self.past {
            None => PoolWalk::Now { pool, after: None },
            Some(past) => PoolWalk::Past(Box::new(past.walk(pool))),
        }
    }

    fn step(&mut self, store: &mut WriteStore<'_>, walk: &mut PoolWalk) -> Result<Option<OpenLot>> {
        let next = match (walk, &mut self.past) {
            (PoolWalk::Now { pool, after }, _) => {
                let next = next_in_order(store, self.method, pool, after.as_deref())?;
                *after = next.as_ref().map(|(raw, _)| raw.clone());
                next
            }
            (PoolWalk::Past(walk), Some(past)) => past.next(store, walk)?,
            (PoolWalk::Past(_), None) => None,
        };
        Ok(next.map(|(_, lot)| lot))
    }

    /// The lot the method would use next.
    pub fn first(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: Option<ConnectionNo>,
    ) -> Result<Option<OpenLot>> {
        let mut walk = self.walk(pool);
        self.step(store, &mut walk)
    }

    /// A lot that an event at hand opened, if it is still open.
    pub fn lot(&mut self, store: &mut WriteStore<'_>, key: &LotKey) -> Result<Option<OpenLot>> {
        match &mut self.past {
            Some(past) => Ok(past.lot(key)),
            None => store.lot(key),
        }
    }

    /// Plans `need` from the pool by the method.
    pub fn plan(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: Option<ConnectionNo>,
        need: Msats,
    ) -> Result<Vec<Take>, Stop> {
        let mut walk = self.walk(pool);
        match plan(need, || self.step(store, &mut walk))? {
            Plan::Covered(takes) => Ok(self.at_average(store, pool, takes)?),
            Plan::Short(available) => Err(Stop::Quarantine(Quarantine::InsufficientLots {
                connection: pool,
                needed: need,
                available,
            })),
        }
    }

    /// Where the pool keeps the cost, the takes share what their quantity costs on average.
    fn at_average(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: Option<ConnectionNo>,
        mut takes: Vec<Take>,
    ) -> Result<Vec<Take>> {
        if !self.method.pools_cost() {
            return Ok(takes);
        }
        let held = self.held(store, pool)?;
        let need = Msats::sum(takes.iter().map(|take| take.quantity))?;
        let costs =
            apportion(cost_share(held.cost, need, held.quantity)?, takes.iter().map(|take| take.quantity))?;
        takes.iter_mut().zip(costs).for_each(|(take, cost)| take.cost = cost);
        Ok(takes)
    }

    /// Plans the lots a record names, in its order.
    pub fn plan_named(
        &mut self,
        store: &mut WriteStore<'_>,
        rails: Rails<'_>,
        pool: Option<ConnectionNo>,
        need: Msats,
        named: &[(EventId, Msats)],
    ) -> Result<Vec<Take>, Stop> {
        if self.method.pools_cost() {
            let problem = format!(
                "{} has one cost for all lots; a record cannot choose among them",
                self.method.name()
            );
            return Err(Stop::Quarantine(Quarantine::ConflictingLink { problem }));
        }
        if let Some(past) = &mut self.past {
            past.lost = true;
            return Ok(Vec::new());
        }
        let mut takes: Vec<Take> = Vec::new();
        for (id, quantity) in named {
            let missing = || Stop::Quarantine(Quarantine::LotUnavailable { lot: id.to_string() });
            let mut open = self.lots_of(store, rails, pool, id)?.into_iter();
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
    fn lots_of(
        &self,
        store: &mut WriteStore<'_>,
        rails: Rails<'_>,
        pool: Option<ConnectionNo>,
        id: &EventId,
    ) -> Result<Vec<OpenLot>> {
        let Some(event) = locate_event(store, id, rails)? else { return Ok(Vec::new()) };
        let Some(row) = store.journal_row(&event.key)? else { return Ok(Vec::new()) };
        let mut found: Vec<OpenLot> = Vec::new();
        for effect in effects(&event.key, &row)? {
            let LotEffect::Opened(OpenLot { key, .. }) = effect else { continue };
            let unit = match key.unit {
                _ if !self.method.ranks() => None,
                None => Some(acquired_unit(store, &key)?),
                known => known,
            };
            let prefix = LotKey { pool, unit, ..key }.acquisition_bytes();
            let mut from = prefix.clone();
            while let Some((raw, open)) = store.next_lot(&from, &prefix)? {
                if !found.contains(&open) {
                    found.push(open);
                }
                from = behind(&raw);
            }
        }
        Ok(found)
    }

    /// Applies planned takes.
    pub fn take(&mut self, store: &mut WriteStore<'_>, takes: Vec<Take>) -> Result<Vec<LotUse>> {
        let mut uses = Vec::with_capacity(takes.len());
        for take in takes {
            if let Some(past) = &mut self.past {
                past.note(&take.lot);
            }
            self.hold(store, take.lot.key.pool, Msats::ZERO.sub(take.quantity)?, Fiat::ZERO.sub(take.cost)?)?;
            let pooled = self.method.pools_cost();
            let left = if pooled { Take { cost: Fiat::ZERO, ..take.clone() }.left()? } else { take.left()? };
            let Take { lot, quantity, cost, loss_cost } = take;
            let key = lot.key;
            let key = match left {
                None => {
                    self.remove(store, &key)?;
                    key
                }
                Some(left) => {
                    let lot =
                        OpenLot { key, quantity: left.quantity, cost: left.cost, loss_cost: left.loss_cost };
                    self.put(store, &lot)?;
                    lot.key
                }
            };
            uses.push(LotUse { lot: key, quantity, cost, loss_cost, left });
        }
        Ok(uses)
    }

    /// Opens a lot.
    pub fn open(&mut self, store: &mut WriteStore<'_>, lot: OpenLot) -> Result<()> {
        self.hold(store, lot.key.pool, lot.quantity, lot.cost)?;
        if self.put(store, &self.kept(lot.clone()))? {
            return Ok(());
        }
        Err(Error::Corrupt(format!("lot {} is opened twice", lot.key.lot_id())))
    }

    /// Adds cost to a pool that keeps it.
    pub fn add_pool_cost(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: Option<ConnectionNo>,
        cost: Fiat,
    ) -> Result<()> {
        self.hold(store, pool, Msats::ZERO, cost)
    }

    /// Adds cost to an open lot, and `loss_cost` to its second where it has one; answers what it holds then.
    pub fn add_cost(
        &mut self,
        store: &mut WriteStore<'_>,
        lot: OpenLot,
        cost: Fiat,
        loss_cost: Fiat,
    ) -> Result<Left> {
        let quantity = lot.quantity;
        let loss_cost = lot.loss_cost.map(|known| known.add(loss_cost)).transpose()?;
        if self.method.pools_cost() {
            self.hold(store, lot.key.pool, Msats::ZERO, cost)?;
            return Ok(Left { quantity, cost: lot.cost, loss_cost });
        }
        if let Some(past) = &mut self.past {
            past.note(&lot);
        }
        let lot = OpenLot { cost: lot.cost.add(cost)?, loss_cost, ..lot };
        self.put(store, &lot)?;
        Ok(Left { quantity, cost: lot.cost, loss_cost })
    }

    /// Undoes effects, last first.
    pub fn undo(&mut self, store: &mut WriteStore<'_>, effects: &[LotEffect]) -> Result<()> {
        for effect in effects.iter().rev() {
            match effect {
                LotEffect::Opened(lot) => {
                    if self.lot(store, &lot.key)?.as_ref() != Some(&self.kept(lot.clone())) {
                        let id = lot.key.lot_id();
                        return Err(Error::Corrupt(format!("lot {id} is not whole when it is undone")));
                    }
                    self.hold(
                        store,
                        lot.key.pool,
                        Msats::ZERO.sub(lot.quantity)?,
                        Fiat::ZERO.sub(lot.cost)?,
                    )?;
                    self.remove(store, &lot.key)?;
                }
                LotEffect::Used { slice, .. } => {
                    self.hold(store, slice.lot.pool, slice.quantity, slice.cost)?;
                    let lot = self.kept(slice.before()?);
                    self.put(store, &lot)?;
                }
                LotEffect::CostAdded { lot, cost, loss_cost, .. } => {
                    let open = self.lot(store, lot)?.ok_or_else(|| not_open(lot))?;
                    self.add_cost(store, open, Fiat::ZERO.sub(*cost)?, Fiat::ZERO.sub(*loss_cost)?)?;
                }
                LotEffect::ClaimedWhole { lot, cost } => {
                    self.add_pool_cost(store, lot.pool, Fiat::ZERO.sub(*cost)?)?;
                }
            }
        }
        Ok(())
    }

    /// Stores a lot; says whether it was not open before.
    fn put(&mut self, store: &mut WriteStore<'_>, lot: &OpenLot) -> Result<bool> {
        match &mut self.past {
            Some(past) => Ok(!past.set(&lot.key, Some(lot.clone()))),
            None => store.put_lot(lot),
        }
    }

    fn remove(&mut self, store: &mut WriteStore<'_>, key: &LotKey) -> Result<()> {
        match &mut self.past {
            Some(past) => past.set(key, None).then_some(()).ok_or_else(|| not_open(key)),
            None => store.remove_lot(key),
        }
    }

    /// The lot as its table keeps it: without cost where the pool has that.
    fn kept(&self, lot: OpenLot) -> OpenLot {
        if self.method.pools_cost() { OpenLot { cost: Fiat::ZERO, loss_cost: None, ..lot } } else { lot }
    }

    /// Changes what a pool holds, where it keeps the cost.
    fn hold(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: Option<ConnectionNo>,
        quantity: Msats,
        cost: Fiat,
    ) -> Result<()> {
        if !self.method.pools_cost() {
            return Ok(());
        }
        let held = self.held(store, pool)?;
        let held = PoolCost { quantity: held.quantity.add(quantity)?, cost: held.cost.add(cost)? };
        self.held.insert(pool, held);
        Ok(())
    }

    /// What a pool holds, where it keeps the cost.
    pub fn held(&mut self, store: &mut WriteStore<'_>, pool: Option<ConnectionNo>) -> Result<PoolCost> {
        if let Some(held) = self.held.get(&pool) {
            return Ok(*held);
        }
        let held = store.pool_cost(pool)?;
        self.held.insert(pool, held);
        Ok(held)
    }
}

fn not_open(key: &LotKey) -> Error {
    Error::Corrupt(format!("lot {} is not open", key.lot_id()))
}
