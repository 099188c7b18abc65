//! The open lots during a replay: choosing, taking, opening, and undoing exactly what was done.
//!
//! Invariant: **every change to a lot is one [`LotEffect`], and undoing the effects in reverse restores the pools.**

use std::collections::BTreeMap;

use super::lookup::locate_event;
use super::value::Stop;
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId};
use crate::journal::effects;
use crate::lots::{Plan, Take, apportion, cost_share, plan};
use crate::model::{LotEffect, LotKey, LotUse, Method, OpenLot, PoolCost, Quarantine, RANK};
use crate::money::{Fiat, Msats};
use crate::normalise::Rails;
use crate::store::{Readable, Store, WriteStore};

/// The open lots under one method.
pub(super) struct Pools {
    /// How lots are ordered.
    pub method: Method,
    /// Pools that keep one cost, as they stand; written when the replay ends.
    held: BTreeMap<Option<ConnectionNo>, PoolCost>,
}

impl Pools {
    pub fn new(method: Method) -> Self {
        Pools { method, held: BTreeMap::new() }
    }

    /// Writes what is kept in memory.
    pub fn finish(self, store: &mut WriteStore<'_>) -> Result<()> {
        self.held.into_iter().try_for_each(|(pool, held)| store.put_pool_cost(pool, held))
    }

    /// The lot behind `after` (a lot's ordered bytes; `None`: the first) in the order in which the method uses a pool.
    pub fn next<T: Readable>(
        &self,
        store: &mut Store<T>,
        pool: Option<ConnectionNo>,
        after: Option<&[u8]>,
    ) -> Result<Option<(Vec<u8>, OpenLot)>> {
        let prefix = LotKey::pool_bytes(pool);
        match self.method {
            Method::Lifo => store.previous_lot(after.unwrap_or(&behind_pool(&prefix)), &prefix),
            Method::Hifo => next_of_highest(store, &prefix, after),
            Method::Fifo | Method::Lofo | Method::AvgCost | Method::UkS104 => match after {
                Some(after) => store.next_lot(&behind(after), &prefix),
                None => store.next_lot(&prefix, &prefix),
            },
        }
    }

    /// A lot as it is open now.
    pub fn lot<T: Readable>(&self, store: &mut Store<T>, key: &LotKey) -> Result<Option<OpenLot>> {
        store.lot(key)
    }

    /// Plans `need` from the pool by the method.
    pub fn plan(
        &mut self,
        store: &mut WriteStore<'_>,
        pool: Option<ConnectionNo>,
        need: Msats,
    ) -> Result<Vec<Take>, Stop> {
        let mut cursor: Option<Vec<u8>> = None;
        let planned = plan(need, || {
            let next = self.next(store, pool, cursor.as_deref())?;
            Ok(next.map(|(raw, lot)| {
                cursor = Some(raw);
                lot
            }))
        })?;
        match planned {
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
        &self,
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
            let unit = key.unit.filter(|_| self.method.ranks());
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
            self.hold(store, take.lot.key.pool, Msats::ZERO.sub(take.quantity)?, Fiat::ZERO.sub(take.cost)?)?;
            let pooled = self.method.pools_cost();
            let left = if pooled { Take { cost: Fiat::ZERO, ..take.clone() }.left()? } else { take.left()? };
            let Take { lot, quantity, cost, loss_cost } = take;
            let key = lot.key;
            let key = match left {
                None => {
                    store.remove_lot(&key)?;
                    key
                }
                Some(left) => {
                    let lot =
                        OpenLot { key, quantity: left.quantity, cost: left.cost, loss_cost: left.loss_cost };
                    store.put_lot(&lot)?;
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
        if store.put_lot(&self.kept(lot.clone()))? {
            return Ok(());
        }
        Err(Error::Corrupt(format!("lot {} is opened twice", lot.key.lot_id())))
    }

    /// Adds cost to an open lot.
    pub fn add_cost(&mut self, store: &mut WriteStore<'_>, key: &LotKey, cost: Fiat) -> Result<()> {
        if self.method.pools_cost() {
            return self.hold(store, key.pool, Msats::ZERO, cost);
        }
        let lot = store.lot(key)?.ok_or_else(|| not_open(key))?;
        store.put_lot(&OpenLot { cost: lot.cost.add(cost)?, ..lot })?;
        Ok(())
    }

    /// Undoes effects, last first.
    pub fn undo(&mut self, store: &mut WriteStore<'_>, effects: &[LotEffect]) -> Result<()> {
        for effect in effects.iter().rev() {
            match effect {
                LotEffect::Opened(lot) => {
                    if store.lot(&lot.key)?.as_ref() != Some(&self.kept(lot.clone())) {
                        let id = lot.key.lot_id();
                        return Err(Error::Corrupt(format!("lot {id} is not whole when it is undone")));
                    }
                    self.hold(
                        store,
                        lot.key.pool,
                        Msats::ZERO.sub(lot.quantity)?,
                        Fiat::ZERO.sub(lot.cost)?,
                    )?;
                    store.remove_lot(&lot.key)?;
                }
                LotEffect::Used { slice, .. } => {
                    self.hold(store, slice.lot.pool, slice.quantity, slice.cost)?;
                    store.put_lot(&self.kept(slice.before()?))?;
                }
                LotEffect::CostAdded { lot, cost } => {
                    self.add_cost(store, lot, Fiat::ZERO.sub(*cost)?)?;
                }
            }
        }
        Ok(())
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

    fn held(&mut self, store: &mut WriteStore<'_>, pool: Option<ConnectionNo>) -> Result<PoolCost> {
        if let Some(held) = self.held.get(&pool) {
            return Ok(*held);
        }
        let held = store.pool_cost(pool)?;
        self.held.insert(pool, held);
        Ok(held)
    }
}

/// The next lot from the highest rank down; of equal rank, the oldest first.
fn next_of_highest<T: Readable>(
    store: &mut Store<T>,
    prefix: &[u8; 4],
    after: Option<&[u8]>,
) -> Result<Option<(Vec<u8>, OpenLot)>> {
    let bound = match after {
        None => behind_pool(prefix).to_vec(),
        Some(after) => {
            let rank = after.get(..RANK.end).unwrap_or(after);
            if let Some(equal) = store.next_lot(&behind(after), rank)? {
                return Ok(Some(equal));
            }
            rank.to_vec()
        }
    };
    let Some((raw, _)) = store.previous_lot(&bound, prefix)? else { return Ok(None) };
    let rank = raw.get(..RANK.end).unwrap_or(&raw);
    store.next_lot(rank, rank)
}

fn not_open(key: &LotKey) -> Error {
    Error::Corrupt(format!("lot {} is not open", key.lot_id()))
}

/// The first key behind a lot's.
fn behind(raw: &[u8]) -> Vec<u8> {
    let mut raw = raw.to_vec();
    raw.push(0);
    raw
}

/// The first key behind a pool's prefix.
fn behind_pool(prefix: &[u8; 4]) -> [u8; 4] {
    u32::from_be_bytes(*prefix).saturating_add(1).to_be_bytes()
}
