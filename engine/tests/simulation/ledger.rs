//! What the book must hold: every acknowledged operation and nothing else, kept as plain facts for the naive books.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::drive::Op;
use crate::model::naive::{Books, Facts, keep};
use crate::model::world::{Row, Tx, World, hex};
use crate::steps::Step;

/// The acknowledged facts.
pub struct Ledger<'a> {
    world: &'a World,
    rows: BTreeMap<(u32, &'a str), &'a Row>,
    /// Which version each wallet delivered last.
    synced: BTreeMap<u32, usize>,
    /// By place in the world: which version was delivered last.
    rates: BTreeMap<usize, usize>,
    /// By place in the world: which version was said last.
    remarks: BTreeMap<usize, usize>,
    policy: usize,
    removed: BTreeSet<u32>,
}

impl<'a> Ledger<'a> {
    /// Of a book with the world's connections and its first policy.
    pub fn new(world: &'a World) -> Self {
        Ledger {
            world,
            rows: BTreeMap::new(),
            synced: BTreeMap::new(),
            rates: BTreeMap::new(),
            remarks: BTreeMap::new(),
            policy: 0,
            removed: BTreeSet::new(),
        }
    }

    /// Whether the connection is there.
    pub fn has(&self, no: u32) -> bool {
        !self.removed.contains(&no)
    }

    /// Notes what was done.
    pub fn note(&mut self, step: &Step<'a>) {
        let Step::Op(op) = step else { return };
        match op {
            Op::Import(no, rows) => {
                self.rows.extend(rows.iter().map(|row| ((*no, row.id.as_str()), *row)));
            }
            Op::Sync(no, version) => {
                self.synced.insert(*no, *version);
            }
            Op::Rates(version, range) => self.rates.extend(range.clone().map(|at| (at, *version))),
            Op::Remark(at, version) => {
                // What is said about an event that is not there is refused.
                if self.knows(&self.world.remarks[*at].0) {
                    self.remarks.insert(*at, *version);
                }
            }
            Op::Policy(version) => self.policy = *version,
            Op::Process(_) => {}
            Op::Remove(no) => {
                self.removed.insert(*no);
                self.synced.remove(no);
                self.rows.retain(|(conn, _), _| conn != no);
            }
        }
    }

    fn knows(&self, event: &str) -> bool {
        let plain = self.rows.keys().any(|(conn, id)| format!("c{conn}.{id}") == event);
        let delivered = |tx: &Tx| self.synced.iter().any(|(no, version)| tx.view(*no, *version).is_some());
        plain || self.world.txs.iter().any(|tx| hex(&tx.id) == event && delivered(tx))
    }

    /// The books of these facts.
    pub fn books(&self) -> Books {
        let world = self.world;
        let txs: Vec<Tx> = world.txs.iter().map(|tx| self.seen(tx)).collect();
        let policy = world.policy[self.policy].clone();
        keep(&Facts {
            rows: self.rows.values().copied().collect(),
            txs: txs.iter().collect(),
            wallets: self.synced.keys().copied().collect(),
            rates: self
                .rates
                .iter()
                .map(|(at, version)| {
                    let (currency, time, price) = world.rates[*at];
                    (currency, time, price[*version])
                })
                .collect(),
            remarks: self
                .remarks
                .iter()
                .map(|(at, version)| (world.remarks[*at].0.clone(), &world.remarks[*at].1[*version]))
                .collect(),
            policy,
        })
    }

    /// The transaction as the wallets delivered it last.
    fn seen(&self, tx: &Tx) -> Tx {
        let mut seen = tx.clone();
        for (at, no) in [4, 5].into_iter().enumerate() {
            seen.status[1][at] = self.synced.get(&no).and_then(|version| tx.status[*version][at]);
        }
        seen
    }
}
