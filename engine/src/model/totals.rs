//! [`Totals`]: running sums over every booked row, so that a summary does not read the history. Derived.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Account, Gains};
use crate::id::ConnectionNo;
use crate::money::{Currency, Fiat, Msats};

/// An asset of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Asset {
    /// Bitcoin.
    Btc,
    /// A fiat currency.
    Fiat(Currency),
}

impl Asset {
    /// Its ticker.
    pub fn code(&self) -> &str {
        match self {
            Asset::Btc => "BTC",
            Asset::Fiat(currency) => currency.code(),
        }
    }
}

/// Debits and credits of one account in one asset, in msat or minor units; both are never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTotal {
    /// Sum of debits.
    pub debit: i128,
    /// Sum of credits.
    pub credit: i128,
}

impl AccountTotal {
    /// Debits minus credits.
    pub fn net(&self) -> i128 {
        self.debit - self.credit
    }
}

/// Sums over disposals that realise a gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GainTotals {
    /// Disposals.
    pub disposals: u64,
    /// Quantity, fees included.
    pub quantity: Msats,
    /// Gross proceeds.
    pub gross: Fiat,
    /// Fiat fees that came off them.
    pub fiat_fees: Fiat,
    /// Cost of what was disposed of.
    pub cost: Fiat,
}

/// Units and cost that went somewhere: msat and minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Quantity in msat.
    pub quantity: i128,
    /// Cost in minor units.
    pub cost: i128,
}

impl Flow {
    /// This and that.
    pub fn and(self, other: Flow) -> Flow {
        Flow { quantity: self.quantity + other.quantity, cost: self.cost + other.cost }
    }

    /// This without that.
    pub fn without(self, other: Flow) -> Flow {
        Flow { quantity: self.quantity - other.quantity, cost: self.cost - other.cost }
    }
}

/// What came into a pool and what left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFlows {
    /// In: acquired.
    pub acquired: Flow,
    /// In: moved here from another pool.
    pub arrived: Flow,
    /// In: cost of transfer fees that what arrived carries.
    pub inherited: Flow,
    /// Out: disposed of with a gain or loss.
    pub disposed: Flow,
    /// Out: given away at cost.
    pub given: Flow,
    /// Out: transfer fees whose cost was carried.
    pub carried: Flow,
    /// Out: moved to another pool.
    pub departed: Flow,
}

impl PoolFlows {
    /// All that came in.
    pub fn inflow(&self) -> Flow {
        self.acquired.and(self.arrived).and(self.inherited)
    }

    /// All that went out.
    pub fn outflow(&self) -> Flow {
        self.disposed.and(self.given).and(self.carried).and(self.departed)
    }

    /// What must be left.
    pub fn left(&self) -> Flow {
        self.inflow().without(self.outflow())
    }
}

/// What was acquired, whatever became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquiredTotals {
    /// Quantity, in msat.
    pub quantity: i128,
    /// Cost, in minor units.
    pub cost: i128,
}

/// Running sums over the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows in the journal, whatever their status.
    pub events: u64,
    /// Of these, quarantined.
    pub quarantined: u64,
    /// Of these, excluded.
    pub excluded: u64,
    /// Every account with postings.
    pub accounts: BTreeMap<(Account, Asset), AccountTotal>,
    /// Realised, all time.
    pub gains: GainTotals,
    /// Realised by tax year of the book's zone; years without a disposal are not listed.
    pub years: BTreeMap<i16, Gains>,
    /// In and out of every pool that ever held something (`None`: the book's one pool).
    pub pools: BTreeMap<Option<ConnectionNo>, PoolFlows>,
    /// Acquired, all time.
    pub acquired: AcquiredTotals,
    /// Quantity of all open lots.
    pub open_quantity: Msats,
    /// Cost of all open lots.
    pub open_cost: Fiat,
}

/// How far sums are from leaving their range, so that a replay need not look at every row for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Whether a sum has come near since everything was last derived from nothing.
    pub near: bool,
    /// By how much rows in the midst have changed sums since then, at most.
    pub patched: i128,
}
