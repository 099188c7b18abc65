//! [`Seal`]: a period as it was filed, and [`SealedSale`], one row of it. Facts: no later write changes a sealed row.
//!
//! Sealed rows spell out what a report shows and refer to nothing that could go away.

use serde::{Deserialize, Serialize};

use super::{EventKind, Gains, Settings, Term};
use crate::id::{ConnectionNo, EventId};
use crate::money::{Fiat, Msats};
use crate::time::Timestamp;

/// A sealed period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Its number in the book: 1, 2, … in order of creation, never reused.
    pub no: u64,
    /// Its public id (a UUID in text form).
    pub id: String,
    /// What the user calls it.
    pub label: String,
    /// First instant.
    pub start: Timestamp,
    /// Last instant.
    pub end: Timestamp,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Version of the book it was sealed from.
    pub book_version: u64,
    /// Events that were in quarantine in the book then.
    pub quarantined: u64,
    /// The policies in force.
    pub settings: Settings,
    /// The connections of the book, as they were called.
    pub connections: Vec<SealedConnection>,
    /// SHA-256 of the report's CSV.
    pub report_hash: [u8; 32],
    /// SHA-256 of the facts that the journal up to the end was made from.
    pub inputs_hash: [u8; 32],
    /// Gains per tax year of the period, in its zone.
    pub years: Vec<(i16, Gains)>,
    /// The seal this one is a revision of.
    pub revises: Option<String>,
    /// The revision that replaced it.
    pub superseded_by: Option<String>,
    /// The restatement the user holds back.
    pub held: Option<Held>,
}

/// A connection as it was called when a period was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedConnection {
    /// Its number.
    pub no: ConnectionNo,
    /// Its public id.
    pub id: String,
    /// Its label.
    pub label: String,
}

/// A restatement that is known and not filed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub at: Timestamp,
    /// Version of the book that was looked at.
    pub book_version: u64,
    /// Why.
    pub note: String,
}

/// What an event realised, as filed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSale {
    /// Kind of the event.
    pub kind: EventKind,
    /// Its disposals, in order.
    pub disposals: Vec<SealedDisposal>,
    /// The note it carried.
    pub note: Option<String>,
    /// The tags it carried, sorted.
    pub tags: Vec<String>,
}

/// A disposal as filed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedDisposal {
    /// Where it left.
    pub connection: ConnectionNo,
    /// The slices, in order of use.
    pub slices: Vec<SealedSlice>,
}

/// A lot slice as filed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSlice {
    /// When the lot was acquired.
    pub acquired_at: Timestamp,
    /// The event that acquired it.
    pub origin: EventId,
    /// Which acquisition of that event.
    pub nth: u32,
    /// Quantity, bitcoin fee included.
    pub quantity: Msats,
    /// Gross proceeds.
    pub gross: Fiat,
    /// Fiat fee.
    pub fiat_fee: Fiat,
    /// Cost basis.
    pub cost: Fiat,
    /// Short or long.
    pub term: Term,
}
