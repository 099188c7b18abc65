//! The naive books: every event in one `Vec`, sorted, then booked one by one in plain loops with `i128`.
//!
//! Written from the rules of the books (`docs/lots.md`), not from the engine. `orders` chooses lots, `average` keeps one
//! cost per pool, `section104` matches days once everything is known, `switch` changes the pools on a day.

mod average;
pub mod calendar;
mod orders;
mod section104;
mod switch;

use std::collections::BTreeMap;

use self::calendar::is_long;
use self::orders::{Lot, apportion, by_price, queue, take_from};
use self::section104::Leave;
use super::events::{Event, Money, Outcome, Place, Step, events};
use super::world::{Method, Policy, Remark, Row, Tx};

/// The facts as they stand.
pub struct Facts<'a> {
    pub rows: Vec<&'a Row>,
    pub txs: Vec<&'a Tx>,
    /// Wallets that still deliver.
    pub wallets: Vec<u32>,
    /// Currency, instant, price in minor units.
    pub rates: Vec<(&'static str, i64, i64)>,
    pub remarks: BTreeMap<String, &'a Remark>,
    pub policy: Policy,
}

/// What the books must say.
#[derive(Debug, Default, PartialEq)]
pub struct Books {
    /// In the order of the books.
    pub gains: Vec<Gain>,
    /// In the order of pools and lots; where the method ranks lots, by rank first.
    pub open: Vec<Open>,
    /// Connection and asset → net, in msat or minor units; zero balances left out.
    pub balances: BTreeMap<(u32, String), i128>,
    /// Event id and reason.
    pub quarantined: Vec<(String, &'static str)>,
    /// Events in the journal.
    pub events: usize,
}

/// One slice of a disposal.
#[derive(Debug, PartialEq)]
pub struct Gain {
    pub event: String,
    pub at: i64,
    pub conn: u32,
    pub lot: String,
    pub acquired: i64,
    pub msat: i128,
    pub gross: i128,
    pub fee: i128,
    /// What it takes from the cost of lot or pool.
    pub cost: i128,
    /// What the gain is reckoned from: the cost, but for a gift with two bases.
    pub basis: i128,
    pub long: bool,
}

/// An open lot.
#[derive(Debug, PartialEq)]
pub struct Open {
    pub pool: u32,
    pub lot: String,
    pub acquired: i64,
    pub msat: i128,
    pub cost: i128,
}

/// Costs that the books do not show: what came in, and what was given away.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    pub came: i128,
    pub given: i128,
}

/// Keeps the books of `facts`.
pub fn keep(facts: &Facts<'_>) -> Books {
    keep_and_count(facts).0
}

/// Keeps the books of `facts`, and counts.
pub fn keep_and_count(facts: &Facts<'_>) -> (Books, Tally) {
    let (method, by_connection) = (facts.policy.method, facts.policy.by_connection);
    let mut keeper =
        Keeper { facts, method, by_connection, stock: Stock::default(), books: Books::default() };
    let mut later = facts.policy.later.iter().map(|dated| (dated.day * 86_400 - facts.policy.east, dated));
    let mut next = later.next();
    for event in events(facts) {
        while let Some((start, dated)) = next.filter(|(start, _)| *start <= event.place.0) {
            keeper.switch(dated, start);
            next = later.next();
        }
        keeper.book(event);
    }
    while let Some((start, dated)) = next {
        keeper.switch(dated, start);
        next = later.next();
    }
    keeper.finish()
}

/// What the books hold, as far as an event changes it.
#[derive(Clone, Default)]
struct Stock {
    lots: Vec<Lot>,
    /// By pool, where a pool has one cost.
    costs: BTreeMap<u32, i128>,
    /// For matching by days: every acquisition and every disposal.
    bought: Vec<Lot>,
    left: Vec<Leave>,
    given: i128,
}

struct Keeper<'a> {
    facts: &'a Facts<'a>,
    /// In force now.
    method: Method,
    by_connection: bool,
    stock: Stock,
    books: Books,
}

/// One event while it is booked.
struct Draft<'a> {
    place: &'a Place,
    rate: Option<i64>,
    opened: usize,
    moved: usize,
    /// Whether anything moved between own places.
    transfer: bool,
    gains: Vec<Gain>,
    balances: Vec<((u32, String), i128)>,
}

impl Keeper<'_> {
    fn book(&mut self, event: Event) {
        self.books.events += 1;
        let id = event.place.3.clone();
        let remark = self.facts.remarks.get(&id);
        let excluded = |id: &String| self.facts.remarks.get(id).is_some_and(|remark| remark.excluded);
        if excluded(&id) || event.merged.iter().any(excluded) {
            return;
        }
        let before = self.stock.clone();
        let mut draft = Draft {
            place: &event.place,
            rate: remark.and_then(|remark| remark.rate),
            opened: 0,
            moved: 0,
            transfer: false,
            gains: Vec::new(),
            balances: Vec::new(),
        };
        let outcome =
            event.steps.and_then(|steps| steps.iter().try_for_each(|step| self.step(&mut draft, step)));
        match outcome {
            Ok(()) => {
                for (account, amount) in draft.balances {
                    *self.books.balances.entry(account).or_default() += amount;
                }
                self.books.gains.extend(draft.gains);
            }
            Err(reason) => {
                self.stock = before;
                self.books.quarantined.push((id, reason));
            }
        }
    }

    fn step(&mut self, draft: &mut Draft<'_>, step: &Step) -> Outcome<()> {
        match step {
            Step::In { conn, msat, value, fee, acquired, bought, at_gift } => {
                let worth = self.value(draft, *msat, *value)?;
                let costs = self.in_dollars(draft, *fee)?;
                let mut loss = None;
                if at_gift.is_some() {
                    loss = Some(self.value(draft, *msat, *at_gift)?).filter(|then| *then < worth);
                }
                let lot = Lot {
                    pool: self.pool(*conn),
                    acquired: acquired.unwrap_or(draft.place.0),
                    origin: draft.place.clone(),
                    nth: draft.opened,
                    via: None,
                    msat: *msat,
                    cost: worth + costs,
                    loss: loss.map(|then| then + costs),
                    price: (worth + costs, *msat),
                };
                draft.opened += 1;
                self.stock.bought.push(lot.clone());
                self.arrive(lot);
                draft.balances.push(((*conn, "BTC".into()), *msat));
                if let (true, Some((currency, paid))) = (bought, value) {
                    draft.balances.push(((*conn, (*currency).into()), -paid));
                }
                pay_fee(draft, *conn, *fee);
            }
            Step::Out { conn, msat, fee, value, fiat_fee, sold, gift, lots } => {
                let gross = if *gift { 0 } else { self.value(draft, *msat, *value)? };
                let costs = self.in_dollars(draft, *fiat_fee)?;
                let slices = if lots.is_empty() {
                    self.take(*conn, msat + fee)?
                } else {
                    self.take_named(*conn, lots)?
                };
                self.leave(draft, *conn, &slices, (gross, costs), *gift);
                draft.balances.push(((*conn, "BTC".into()), -(msat + fee)));
                if let (true, Some((currency, got))) = (sold, value) {
                    draft.balances.push(((*conn, (*currency).into()), *got));
                }
                pay_fee(draft, *conn, *fiat_fee);
            }
            Step::Move { from, to, msat } => self.carry(draft, *from, *to, *msat)?,
            Step::Fee { conn, msat } => self.transfer_fee(draft, *conn, *msat)?,
            Step::Fiat { conn, from, to, fee } => {
                draft.balances.push(((*conn, from.0.into()), -(from.1 + fee)));
                draft.balances.push(((*conn, to.0.into()), to.1));
            }
        }
        Ok(())
    }

    fn pool(&self, conn: u32) -> u32 {
        if self.by_connection { conn } else { 0 }
    }

    fn price(&self, currency: &str, at: i64) -> Outcome<i128> {
        let known = self.facts.rates.iter().filter(|(of, time, _)| *of == currency && *time <= at);
        let last = known.max_by_key(|(_, time, _)| *time);
        let fresh = last.filter(|(_, time, _)| at - time <= 25 * 3_600);
        fresh.map(|(_, _, price)| i128::from(*price)).ok_or("missing_rate")
    }

    fn value(&self, draft: &Draft<'_>, msat: i128, stated: Money) -> Outcome<i128> {
        let at = |price: i128| divide(msat * price, 100_000_000_000);
        match (draft.rate, stated) {
            (Some(price), _) => Ok(at(price.into())),
            (None, Some(_)) => self.in_dollars(draft, stated),
            (None, None) if msat == 0 => Ok(0),
            (None, None) => Ok(at(self.price("USD", draft.place.0)?)),
        }
    }

    /// Euros become dollars through the price of bitcoin in both.
    fn in_dollars(&self, draft: &Draft<'_>, money: Money) -> Outcome<i128> {
        match money {
            None | Some((_, 0)) => Ok(0),
            Some(("USD", cents)) => Ok(cents),
            Some((currency, cents)) => {
                let there = self.price(currency, draft.place.0)?;
                Ok(divide(cents * self.price("USD", draft.place.0)?, there))
            }
        }
    }

    /// A lot comes into its pool; where the pool has one cost, it gives its own to it.
    fn arrive(&mut self, mut lot: Lot) {
        if self.method.is_pooled() {
            *self.stock.costs.entry(lot.pool).or_default() += lot.cost;
            (lot.cost, lot.loss) = (0, None);
        }
        self.stock.lots.push(lot);
    }

    fn take(&mut self, conn: u32, msat: i128) -> Outcome<Vec<Lot>> {
        let pool = self.pool(conn);
        let queue = queue(&self.stock.lots, pool, self.method);
        let held = queue.iter().map(|at| self.stock.lots[*at].msat).sum();
        let mut slices = take_from(&mut self.stock.lots, &queue, msat).ok_or("insufficient_lots")?;
        if self.method == Method::Average {
            average::price(&mut slices, self.stock.costs.entry(pool).or_default(), held);
        }
        Ok(slices)
    }

    fn take_named(&mut self, conn: u32, named: &[(String, i128)]) -> Outcome<Vec<Lot>> {
        if self.method.is_pooled() {
            return Err("conflicting_link");
        }
        let mut slices = Vec::new();
        for (id, msat) in named {
            let mut of = queue(&self.stock.lots, self.pool(conn), Method::Fifo);
            of.retain(|at| self.stock.lots[*at].origin.3 == *id);
            slices.extend(take_from(&mut self.stock.lots, &of, *msat).ok_or("lot_unavailable")?);
        }
        Ok(slices)
    }

    /// What leaves realises a gain, unless it is given away. Days are matched later.
    fn leave(
        &mut self,
        draft: &mut Draft<'_>,
        conn: u32,
        slices: &[Lot],
        (gross, fee): (i128, i128),
        gift: bool,
    ) {
        if self.method == Method::Section104 {
            let (place, msat) = (draft.place.clone(), slices.iter().map(|slice| slice.msat).sum());
            self.stock.left.push(Leave { place, conn, msat, gross, fee, gift });
            return;
        }
        if gift {
            self.stock.given += slices.iter().map(|slice| slice.cost).sum::<i128>();
        }
        let weights: Vec<i128> = slices.iter().map(|slice| slice.msat).collect();
        let parts = apportion(gross, &weights).into_iter().zip(apportion(fee, &weights));
        for (slice, (gross, fee)) in slices.iter().zip(parts).filter(|_| !gift) {
            let (basis, since) = match slice.loss {
                Some(loss) if gross - fee < loss => (loss, slice.origin.0),
                Some(_) if gross - fee < slice.cost => (gross - fee, slice.acquired),
                _ => (slice.cost, slice.acquired),
            };
            draft.gains.push(Gain {
                event: draft.place.3.clone(),
                at: draft.place.0,
                conn,
                lot: slice.id(),
                acquired: slice.acquired,
                msat: slice.msat,
                gross,
                fee,
                cost: slice.cost,
                basis,
                long: is_long(since, draft.place.0, self.facts.policy.east),
            });
        }
    }

    fn carry(&mut self, draft: &mut Draft<'_>, from: u32, to: u32, msat: i128) -> Outcome<()> {
        draft.transfer = true;
        if self.by_connection && from != to {
            for slice in self.take(from, msat)? {
                let via = Some((draft.place.clone(), draft.moved));
                draft.moved += 1;
                self.arrive(Lot { pool: to, via, ..slice });
            }
        }
        draft.balances.push(((from, "BTC".into()), -msat));
        draft.balances.push(((to, "BTC".into()), msat));
        Ok(())
    }

    fn transfer_fee(&mut self, draft: &mut Draft<'_>, conn: u32, msat: i128) -> Outcome<()> {
        let before = self.stock.clone();
        if self.facts.policy.carry_basis {
            let slices = self.take(conn, msat)?;
            if let Some(heir) = self.heir(draft) {
                self.inherit(heir, &slices);
                draft.balances.push(((conn, "BTC".into()), -msat));
                return Ok(());
            }
            self.stock = before;
        }
        let gross = self.value(draft, msat, None)?;
        let slices = self.take(conn, msat)?;
        self.leave(draft, conn, &slices, (gross, 0), false);
        draft.balances.push(((conn, "BTC".into()), -msat));
        Ok(())
    }

    /// The cost of a fee goes on: to the heir's pool where it has one cost, else to the heir, basis by basis.
    fn inherit(&mut self, heir: usize, fee: &[Lot]) {
        let heir = &mut self.stock.lots[heir];
        let cost: i128 = fee.iter().map(|slice| slice.cost).sum();
        if self.method.is_pooled() {
            *self.stock.costs.entry(heir.pool).or_default() += cost;
            return;
        }
        heir.cost += cost;
        if let Some(loss) = &mut heir.loss {
            *loss += fee.iter().map(|slice| slice.loss.unwrap_or(slice.cost)).sum::<i128>();
        }
    }

    /// Which lot inherits the cost of a transfer's fee: the last that arrived and is still there; in one pool, the next.
    fn heir(&self, draft: &Draft<'_>) -> Option<usize> {
        let lots = &self.stock.lots;
        if !self.by_connection {
            return queue(lots, 0, self.method).first().copied().filter(|_| draft.transfer);
        }
        let came =
            |lot: &Lot| lot.via.as_ref().filter(|(event, _)| event == draft.place).map(|(_, slice)| *slice);
        (0..lots.len()).filter(|at| came(&lots[*at]).is_some()).max_by_key(|at| came(&lots[*at]))
    }

    fn finish(mut self) -> (Books, Tally) {
        let Stock { mut lots, costs, bought, left, mut given } = self.stock;
        lots.sort_by(|a, b| a.order().cmp(&b.order()));
        if matches!(self.method, Method::Hifo | Method::Lofo) {
            // Listed as they rank, the cheapest first.
            lots.sort_by(|a, b| a.pool.cmp(&b.pool).then(by_price(a, b)));
        }
        self.books.balances.retain(|_, net| *net != 0);
        match self.method {
            Method::Average => self.books.open = average::open(&lots, &costs),
            Method::Section104 => {
                (self.books.gains, self.books.open, given) =
                    section104::settle(&bought, &left, self.facts.policy.east);
            }
            _ => {
                let open = lots.iter().map(|lot| Open {
                    pool: lot.pool,
                    lot: lot.id(),
                    acquired: lot.acquired,
                    msat: lot.msat,
                    cost: lot.cost,
                });
                self.books.open = open.collect();
            }
        }
        let came = bought.iter().map(|lot| lot.cost).sum();
        (self.books, Tally { came, given })
    }
}

fn pay_fee(draft: &mut Draft<'_>, conn: u32, fee: Money) {
    if let Some((currency, cents)) = fee {
        draft.balances.push(((conn, currency.into()), -cents));
    }
}

/// Half to even; `b` is positive.
pub fn divide(a: i128, b: i128) -> i128 {
    let (floor, rest) = (a.div_euclid(b), a.rem_euclid(b));
    if rest * 2 > b || (rest * 2 == b && floor % 2 != 0) { floor + 1 } else { floor }
}

/// What of `cost` goes with `part` out of `whole`.
fn share(cost: i128, part: i128, whole: i128) -> i128 {
    if part == whole { cost } else { divide(cost * part, whole) }
}
