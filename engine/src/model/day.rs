//! [`DayTotals`]: what one local day did to the books, or several days together. Derived.
//!
//! Sums are 128 bits wide: no number of 64-bit amounts brings them to overflow, so what the running totals had room for,
//! a day has room for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Account, AcquiredTotals, Asset};
use crate::id::ConnectionNo;

/// Sums over the journal rows of a day. The days of a book add up to its running totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTotals {
    /// Journal rows, whatever their status.
    pub events: u64,
    /// Of these, quarantined.
    pub quarantined: u64,
    /// Of these, excluded.
    pub excluded: u64,
    /// Realised, by the connection the disposals of an event left; `None` for events that dispose from several.
    pub sales: BTreeMap<Option<ConnectionNo>, SaleTotals>,
    /// What was posted to each account.
    pub accounts: BTreeMap<(Account, Asset), Movement>,
    /// Acquired, whatever became of it.
    pub acquired: AcquiredTotals,
    /// What the open lots gained in quantity, in msat.
    pub open_quantity: i128,
    /// What the open lots gained in cost, in minor units.
    pub open_cost: i128,
}

/// Postings to one account in one asset, in msat or minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Sum of debits; never negative.
    pub debit: i128,
    /// Sum of credits; never negative.
    pub credit: i128,
    /// Value of the debits less that of the credits in the book's currency, in minor units, where the books know it.
    pub value: i128,
}

impl Movement {
    /// Debits minus credits.
    pub fn net(&self) -> i128 {
        self.debit - self.credit
    }
}

/// Sums over disposals that realise a gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleTotals {
    /// Disposals.
    pub disposals: u64,
    /// Their slices of lots held up to a year.
    pub short: SliceTotals,
    /// Their slices of lots held longer.
    pub long: SliceTotals,
}

/// Sums over lot slices, in msat and minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceTotals {
    /// Slices.
    pub rows: u64,
    /// Quantity, fees included.
    pub quantity: i128,
    /// Gross proceeds.
    pub gross: i128,
    /// Fiat fees that came off them.
    pub fiat_fees: i128,
    /// Cost basis.
    pub cost: i128,
}
