//! Lots and the orders in which methods use them.

use std::cmp::Ordering;

use super::{divide, share};
use crate::model::events::Place;
use crate::model::world::Method;

/// What is open of a lot.
#[derive(Clone, Debug)]
pub(super) struct Lot {
    pub pool: u32,
    pub acquired: i64,
    pub origin: Place,
    pub nth: usize,
    /// The move that brought it, and which of its slices.
    pub via: Option<(Place, usize)>,
    pub msat: i128,
    /// Zero where the pool keeps the cost.
    pub cost: i128,
    /// The basis of a loss, where a gift has one.
    pub loss: Option<i128>,
    /// Cost and quantity as acquired.
    pub price: (i128, i128),
}

impl Lot {
    pub fn order(&self) -> (u32, i64, &Place, usize, &Option<(Place, usize)>) {
        (self.pool, self.acquired, &self.origin, self.nth, &self.via)
    }

    pub fn id(&self) -> String {
        format!("{}#{}", self.origin.3, self.nth)
    }

    /// Takes a part out: both bases are divided alike.
    pub fn split(&mut self, msat: i128) -> Lot {
        let cost = share(self.cost, msat, self.msat);
        let loss = self.loss.map(|loss| share(loss, msat, self.msat));
        let part = Lot { msat, cost, loss, ..self.clone() };
        (self.msat, self.cost) = (self.msat - msat, self.cost - cost);
        self.loss = self.loss.map(|whole| whole - loss.unwrap());
        part
    }
}

/// Cost per unit as acquired, compared without dividing.
pub(super) fn by_price(a: &Lot, b: &Lot) -> Ordering {
    (a.price.0 * b.price.1).cmp(&(b.price.0 * a.price.1))
}

/// The places in `lots` of one pool's lots, in the order the method uses them.
pub(super) fn queue(lots: &[Lot], pool: u32, method: Method) -> Vec<usize> {
    let mut queue: Vec<usize> = (0..lots.len()).filter(|at| lots[*at].pool == pool).collect();
    queue.sort_by(|a, b| lots[*a].order().cmp(&lots[*b].order()));
    match method {
        Method::Lifo => queue.reverse(),
        // Sorting keeps the oldest first among equals.
        Method::Hifo => queue.sort_by(|a, b| by_price(&lots[*b], &lots[*a])),
        Method::Lofo => queue.sort_by(|a, b| by_price(&lots[*a], &lots[*b])),
        Method::Fifo | Method::Average | Method::Section104 => {}
    }
    queue
}

/// Takes `msat` from the lots at `queue`, or nothing.
pub(super) fn take_from(lots: &mut Vec<Lot>, queue: &[usize], msat: i128) -> Option<Vec<Lot>> {
    if queue.iter().map(|at| lots[*at].msat).sum::<i128>() < msat {
        return None;
    }
    let (mut left, mut slices) = (msat, Vec::new());
    for at in queue {
        let part = left.min(lots[*at].msat);
        if part > 0 {
            slices.push(lots[*at].split(part));
            left -= part;
        }
    }
    lots.retain(|lot| lot.msat > 0);
    Some(slices)
}

/// Divides `total` by `weights` in order: each takes its share of what is left, the last the rest.
pub(super) fn apportion(mut total: i128, weights: &[i128]) -> Vec<i128> {
    let mut left: i128 = weights.iter().sum();
    let mut parts = Vec::new();
    for weight in weights {
        let part = if left == 0 { total } else { divide(total * weight, left) };
        (total, left) = (total - part, left - weight);
        parts.push(part);
    }
    parts
}
