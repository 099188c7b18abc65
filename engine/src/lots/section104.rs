//! Matching by days: which acquisitions give a day's disposals their cost under the United Kingdom's share rules.
//!
//! Owns the order of claims and the division of a day's cost; knows quantities and costs of lots, and nothing of the
//! pool. A day of disposals is matched with the acquisitions of the same day, then with those of the next 30 days, the
//! earliest first; an acquisition serves its own day first, then earlier days in order. Invariant: **a day's cost is
//! divided over its parts in the order of their claims, and what nobody claims keeps the rest.** Days must be added in
//! order, and a day settled only once the 30 days behind it are known.
//!
//! Sources: TCGA 1992 s. 105, 106A; HMRC Cryptoassets Manual CRYPTO22200 to CRYPTO22257.

use std::collections::{BTreeMap, VecDeque};

use jiff::ToSpan;
use jiff::civil::Date;

use super::{apportion, cost_share};
use crate::error::{Error, Result};
use crate::model::LotKey;
use crate::money::{Fiat, Msats};

/// Days behind a disposal whose acquisitions are matched with it.
const DAYS: i32 = 30;

/// The last day whose acquisitions are matched with disposals of `day`.
pub fn last_match(day: Date) -> Date {
    day.checked_add(DAYS.days()).unwrap_or(Date::MAX)
}

/// The first day whose disposals are matched with acquisitions of `day`.
pub fn first_match(day: Date) -> Date {
    day.checked_sub(DAYS.days()).unwrap_or(Date::MIN)
}

/// A quantity of lots, in order, with one cost for all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its cost.
    pub cost: Fiat,
    /// The lots and how much of each; no quantity is zero.
    pub lots: VecDeque<(LotKey, Msats)>,
}

impl Part {
    /// How much it is.
    ///
    /// # Errors
    /// [`Error::Overflow`] when the sum leaves its range.
    pub fn quantity(&self) -> Result<Msats> {
        Msats::sum(self.lots.iter().map(|(_, quantity)| *quantity))
    }

    /// Takes `quantity` from the front, with its share of the cost.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is less.
    pub fn take(&mut self, quantity: Msats) -> Result<Part> {
        let cost =
            if quantity.is_zero() { Fiat::ZERO } else { cost_share(self.cost, quantity, self.quantity()?)? };
        let (mut part, mut left) = (Part { cost, lots: VecDeque::new() }, quantity);
        self.cost = self.cost.sub(cost)?;
        while !left.is_zero() {
            let (lot, held) = self.lots.front_mut().ok_or_else(short)?;
            let taken = left.min(*held);
            part.lots.push_back((lot.clone(), taken));
            (*held, left) = (held.sub(taken)?, left.sub(taken)?);
            if held.is_zero() {
                self.lots.pop_front();
            }
        }
        Ok(part)
    }

    /// Takes `quantity` of one lot at `cost`: a claim that was made before.
    fn claim(&mut self, lot: &LotKey, quantity: Msats, cost: Fiat) -> Result<()> {
        // Claims were made from the front, and come in the order in which they were made.
        let at = self.lots.iter().position(|(key, _)| key == lot).ok_or_else(short)?;
        let (_, held) = self.lots.get_mut(at).ok_or_else(short)?;
        *held = held.sub(quantity)?;
        self.cost = self.cost.sub(cost)?;
        if *held < Msats::ZERO {
            return Err(short());
        }
        if held.is_zero() {
            self.lots.remove(at);
        }
        Ok(())
    }
}

fn short() -> Error {
    Error::Corrupt("days do not match: more is claimed than was acquired".into())
}

/// A day as far as it is not settled.
struct Day {
    /// What its own disposals got of its acquisitions.
    own: Part,
    /// What of its acquisitions nobody has claimed.
    rest: Part,
    /// What its disposals still need.
    need: Msats,
}

/// A settled day.
pub struct Settled {
    /// The parts of its disposals that are matched: same day, then the next days in order.
    pub matched: Vec<Part>,
    /// What its disposals need from the pool.
    pub from_pool: Msats,
}

/// The days at hand.
#[derive(Default)]
pub struct Matcher(BTreeMap<Date, Day>);

impl Matcher {
    /// Adds a day: its acquisitions in the order of lots, what left on it, and what days before those at hand have
    /// claimed of its lots already.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the claims do not fit.
    pub fn add(
        &mut self,
        day: Date,
        acquired: Part,
        left: Msats,
        claims: &[(LotKey, Msats, Fiat)],
    ) -> Result<()> {
        let mut rest = acquired;
        let same_day = left.min(rest.quantity()?);
        let own = rest.take(same_day)?;
        claims.iter().try_for_each(|(lot, quantity, cost)| rest.claim(lot, *quantity, *cost))?;
        self.0.insert(day, Day { own, rest, need: left.sub(same_day)? });
        Ok(())
    }

    /// Matches the first day at hand, which then is at hand no more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not the first.
    pub fn settle(&mut self, day: Date) -> Result<Settled> {
        let (first, Day { own, mut need, .. }) = self.0.pop_first().ok_or_else(short)?;
        if first != day {
            return Err(Error::Corrupt(format!("{first} is settled after {day}")));
        }
        let mut matched = vec![own];
        for (_, later) in self.0.range_mut(..=last_match(day)) {
            if need.is_zero() {
                break;
            }
            let part = later.rest.take(need.min(later.rest.quantity()?))?;
            need = need.sub(part.quantity()?)?;
            matched.push(part);
        }
        matched.retain(|part| !part.lots.is_empty());
        Ok(Settled { matched, from_pool: need })
    }
}

/// A slice of a disposal: lot, quantity, cost.
pub type Cut = (LotKey, Msats, Fiat);

/// Cuts the parts of a day along its disposals, which need `needs` in order; a part's cost is divided over its cuts.
///
/// # Errors
/// [`Error::Corrupt`] when parts and needs do not add up.
pub fn cut(parts: Vec<Part>, needs: &[Msats]) -> Result<Vec<Vec<Cut>>> {
    let mut cuts: Vec<Vec<Cut>> = vec![Vec::new(); needs.len()];
    let mut wanted = needs.iter().copied().enumerate().filter(|(_, need)| !need.is_zero());
    let mut current = wanted.next();
    for part in parts {
        let mut pieces: Vec<(usize, LotKey, Msats)> = Vec::new();
        for (lot, mut held) in part.lots {
            while !held.is_zero() {
                let (at, need) = current.as_mut().ok_or_else(short)?;
                let taken = held.min(*need);
                pieces.push((*at, lot.clone(), taken));
                (*need, held) = (need.sub(taken)?, held.sub(taken)?);
                if need.is_zero() {
                    current = wanted.next();
                }
            }
        }
        let costs = apportion(part.cost, pieces.iter().map(|(_, _, quantity)| *quantity))?;
        for ((at, lot, quantity), cost) in pieces.into_iter().zip(costs) {
            cuts.get_mut(at).ok_or_else(short)?.push((lot, quantity, cost));
        }
    }
    if current.is_some() { Err(short()) } else { Ok(cuts) }
}
