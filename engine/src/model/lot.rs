//! Lots: acquired quantities with their total cost, and what happens to them.

use serde::{Deserialize, Serialize};

use crate::id::{ConnectionNo, EventId, EventKey, instant_bytes};
use crate::money::{Fiat, Msats};
use crate::time::Timestamp;

/// Identity and order of an open lot inside its pool.
///
/// Order: acquisition time, then the acquiring event, then its place in that event, then the move that brought it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LotKey {
    /// `None` for the book's one pool, else the connection's.
    pub pool: Option<ConnectionNo>,
    /// When it was acquired (the user's date for an opening balance).
    pub acquired_at: Timestamp,
    /// The event that acquired it.
    pub origin: EventKey,
    /// Which acquisition of that event.
    pub nth: u32,
    /// The own transfers and slices that brought it here: (event, which slice); `None` where it was acquired.
    pub via: Option<(EventKey, u32)>,
}

impl LotKey {
    /// The lot's public id: `<event id>#<nth>`; moving it does not change it.
    pub fn lot_id(&self) -> String {
        format!("{}#{}", self.origin.id, self.nth)
    }

    /// Ordered bytes of the pool: the prefix of all its lots.
    pub fn pool_bytes(pool: Option<ConnectionNo>) -> [u8; 4] {
        pool.map_or(0, |no| no.0).to_be_bytes()
    }

    /// Ordered bytes: pool ‖ acquisition ‖ origin ‖ nth ‖ via. Unique, and ordered as the type is.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(&Self::pool_bytes(self.pool));
        bytes.extend_from_slice(&instant_bytes(self.acquired_at));
        self.origin.write(&mut bytes);
        bytes.push(0); // ends the id: no id holds a zero byte
        bytes.extend_from_slice(&self.nth.to_be_bytes());
        if let Some((event, slice)) = &self.via {
            event.write(&mut bytes);
            bytes.push(0);
            bytes.extend_from_slice(&slice.to_be_bytes());
        }
        bytes
    }
}

/// What is left of a lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLot {
    /// Identity and order.
    pub key: LotKey,
    /// Quantity left; never zero.
    pub quantity: Msats,
    /// Cost left: the part of the lot's total cost not yet consumed.
    pub cost: Fiat,
}

/// Why a slice of a lot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum UsePurpose {
    /// Sold or spent: realises a gain.
    Disposal,
    /// Given away: leaves at cost.
    Gift,
    /// Moved to another pool.
    Move,
    /// Fee of an own transfer whose cost is carried.
    CarriedFee,
}

/// One effect of a row on the lots; undone in reverse order when the books are rewound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LotEffect {
    /// A lot was opened.
    Opened {
        /// Its key.
        lot: LotKey,
        /// Its whole quantity.
        quantity: Msats,
        /// Its whole cost.
        cost: Fiat,
    },
    /// A slice was taken from a lot.
    Used {
        /// From which.
        lot: LotKey,
        /// How much.
        quantity: Msats,
        /// Its share of the cost.
        cost: Fiat,
        /// Why.
        purpose: UsePurpose,
    },
    /// Cost was added to a lot (carried transfer fee).
    CostAdded {
        /// To which.
        lot: LotKey,
        /// How much.
        cost: Fiat,
    },
}

/// Holding period class of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Term {
    /// Held up to a year.
    Short,
    /// Held longer than a year.
    Long,
}

impl Term {
    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            Term::Short => "short",
            Term::Long => "long",
        }
    }
}

/// The id of the event a lot id names (`<event id>#<nth>` → event id).
pub fn origin_of(lot_id: &str) -> EventId {
    EventId::from_text(lot_id.rsplit_once('#').map_or(lot_id, |(event, _)| event))
}
