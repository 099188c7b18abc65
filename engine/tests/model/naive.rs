//! The naive books: every event in one `Vec`, sorted, then booked one by one in plain loops with `i128`.
//!
//! Written from the rules of the books, not from the engine.

use std::collections::BTreeMap;

use super::events::{Event, Money, Outcome, Place, Step, events};
use super::world::{Policy, Remark, Row, Tx};

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
    /// In the order of pools and lots.
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
    pub conn: u32,
    pub lot: String,
    pub acquired: i64,
    pub msat: i128,
    pub gross: i128,
    pub fee: i128,
    pub cost: i128,
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

/// Keeps the books of `facts`.
pub fn keep(facts: &Facts<'_>) -> Books {
    let mut keeper = Keeper { facts, lots: Vec::new(), books: Books::default() };
    for event in events(facts) {
        keeper.book(event);
    }
    keeper.finish()
}

#[derive(Clone)]
struct Lot {
    pool: u32,
    acquired: i64,
    origin: Place,
    nth: usize,
    /// The move that brought it, and which of its slices.
    via: Option<(Place, usize)>,
    msat: i128,
    cost: i128,
}

impl Lot {
    fn order(&self) -> (u32, i64, &Place, usize, &Option<(Place, usize)>) {
        (self.pool, self.acquired, &self.origin, self.nth, &self.via)
    }
}

struct Keeper<'a> {
    facts: &'a Facts<'a>,
    lots: Vec<Lot>,
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
        if remark.is_some_and(|remark| remark.excluded) {
            return;
        }
        let before = self.lots.clone();
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
                self.lots = before;
                self.books.quarantined.push((id, reason));
            }
        }
    }

    fn step(&mut self, draft: &mut Draft<'_>, step: &Step) -> Outcome<()> {
        match step {
            Step::In { conn, msat, value, fee, acquired, bought } => {
                let worth = self.value(draft, *msat, *value)?;
                let cost = worth + self.in_dollars(draft, *fee)?;
                let lot = Lot {
                    pool: self.pool(*conn),
                    acquired: acquired.unwrap_or(draft.place.0),
                    origin: draft.place.clone(),
                    nth: draft.opened,
                    via: None,
                    msat: *msat,
                    cost,
                };
                draft.opened += 1;
                self.lots.push(lot);
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
                if !gift {
                    self.realise(draft, *conn, &slices, gross, costs);
                }
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
        if self.facts.policy.by_connection { conn } else { 0 }
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

    /// The lots of a pool in the order the method uses them.
    fn queue(&self, pool: u32) -> Vec<usize> {
        let mut queue: Vec<usize> = (0..self.lots.len()).filter(|at| self.lots[*at].pool == pool).collect();
        queue.sort_by(|a, b| self.lots[*a].order().cmp(&self.lots[*b].order()));
        if self.facts.policy.lifo {
            queue.reverse();
        }
        queue
    }

    fn take(&mut self, conn: u32, msat: i128) -> Outcome<Vec<Lot>> {
        let queue = self.queue(self.pool(conn));
        self.take_from(&queue, msat).ok_or("insufficient_lots")
    }

    /// Takes `msat` from the lots at `queue`, or nothing.
    fn take_from(&mut self, queue: &[usize], msat: i128) -> Option<Vec<Lot>> {
        if queue.iter().map(|at| self.lots[*at].msat).sum::<i128>() < msat {
            return None;
        }
        let (mut left, mut slices) = (msat, Vec::new());
        for at in queue {
            let lot = &mut self.lots[*at];
            let part = left.min(lot.msat);
            if part > 0 {
                let cost = divide(lot.cost * part, lot.msat);
                slices.push(Lot { msat: part, cost, ..lot.clone() });
                (lot.msat, lot.cost) = (lot.msat - part, lot.cost - cost);
                left -= part;
            }
        }
        self.lots.retain(|lot| lot.msat > 0);
        Some(slices)
    }

    fn take_named(&mut self, conn: u32, named: &[(String, i128)]) -> Outcome<Vec<Lot>> {
        let mut slices = Vec::new();
        for (id, msat) in named {
            let mut of: Vec<usize> = self.queue(self.pool(conn));
            of.retain(|at| self.lots[*at].origin.3 == *id);
            of.sort_by(|a, b| self.lots[*a].order().cmp(&self.lots[*b].order()));
            slices.extend(self.take_from(&of, *msat).ok_or("lot_unavailable")?);
        }
        Ok(slices)
    }

    fn realise(&self, draft: &mut Draft<'_>, conn: u32, slices: &[Lot], gross: i128, fee: i128) {
        let (mut gross, mut fee, mut weight) =
            (gross, fee, slices.iter().map(|slice| slice.msat).sum::<i128>());
        for slice in slices {
            let (part, fee_part) = (divide(gross * slice.msat, weight), divide(fee * slice.msat, weight));
            (gross, fee, weight) = (gross - part, fee - fee_part, weight - slice.msat);
            draft.gains.push(Gain {
                event: draft.place.3.clone(),
                conn,
                lot: format!("{}#{}", slice.origin.3, slice.nth),
                acquired: slice.acquired,
                msat: slice.msat,
                gross: part,
                fee: fee_part,
                cost: slice.cost,
                long: is_long(slice.acquired, draft.place.0, self.facts.policy.east),
            });
        }
    }

    fn carry(&mut self, draft: &mut Draft<'_>, from: u32, to: u32, msat: i128) -> Outcome<()> {
        draft.transfer = true;
        if self.facts.policy.by_connection && from != to {
            for slice in self.take(from, msat)? {
                let via = Some((draft.place.clone(), draft.moved));
                draft.moved += 1;
                self.lots.push(Lot { pool: to, via, ..slice });
            }
        }
        draft.balances.push(((from, "BTC".into()), -msat));
        draft.balances.push(((to, "BTC".into()), msat));
        Ok(())
    }

    fn transfer_fee(&mut self, draft: &mut Draft<'_>, conn: u32, msat: i128) -> Outcome<()> {
        let before = self.lots.clone();
        if self.facts.policy.carry_basis {
            let slices = self.take(conn, msat)?;
            if let Some(heir) = self.heir(draft) {
                self.lots[heir].cost += slices.iter().map(|slice| slice.cost).sum::<i128>();
                draft.balances.push(((conn, "BTC".into()), -msat));
                return Ok(());
            }
            self.lots = before;
        }
        let gross = self.value(draft, msat, None)?;
        let slices = self.take(conn, msat)?;
        self.realise(draft, conn, &slices, gross, 0);
        draft.balances.push(((conn, "BTC".into()), -msat));
        Ok(())
    }

    /// Which lot inherits the cost of a transfer's fee: the last that arrived and is still there; in one pool, the next.
    fn heir(&self, draft: &Draft<'_>) -> Option<usize> {
        if !self.facts.policy.by_connection {
            return self.queue(0).first().copied().filter(|_| draft.transfer);
        }
        let came =
            |lot: &Lot| lot.via.as_ref().filter(|(event, _)| event == draft.place).map(|(_, slice)| *slice);
        (0..self.lots.len())
            .filter(|at| came(&self.lots[*at]).is_some())
            .max_by_key(|at| came(&self.lots[*at]))
    }

    fn finish(mut self) -> Books {
        self.lots.sort_by(|a, b| a.order().cmp(&b.order()));
        self.books.balances.retain(|_, net| *net != 0);
        self.books.open = self
            .lots
            .iter()
            .map(|lot| Open {
                pool: lot.pool,
                lot: format!("{}#{}", lot.origin.3, lot.nth),
                acquired: lot.acquired,
                msat: lot.msat,
                cost: lot.cost,
            })
            .collect();
        self.books
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

/// Long from the day after the anniversary; the last day of a month has its anniversary on the last day.
fn is_long(acquired: i64, disposed: i64, east: bool) -> bool {
    let shift = if east { 36_000 } else { 0 };
    let (year, month, day) = civil((acquired + shift).div_euclid(86_400));
    let day = if day == month_days(year, month) { month_days(year + 1, month) } else { day };
    civil((disposed + shift).div_euclid(86_400)) > (year + 1, month, day)
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

/// Days since 1970-01-01 as a date, counted year by year.
fn civil(mut days: i64) -> (i64, i64, i64) {
    let (mut year, mut month) = (1970, 1);
    loop {
        let length = (1..=12).map(|month| month_days(year, month)).sum::<i64>();
        if days < length {
            break;
        }
        (days, year) = (days - length, year + 1);
    }
    while days >= month_days(year, month) {
        (days, month) = (days - month_days(year, month), month + 1);
    }
    (year, month, days + 1)
}
