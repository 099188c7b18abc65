//! [`Totals`]: running sums over every booked row, so that a summary does not read the history. Derived.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Account;
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
