//! Sums of gains per tax year, and what a process changed about them.
//!
//! All sums are `i128` in msat or minor units: no sum of real rows leaves that range, so keeping them can never fail a process.

use serde::{Deserialize, Serialize};

use crate::id::EventId;
use crate::money::Currency;
use crate::time::Timestamp;

/// Sums over lot slices that realised a gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Slices.
    pub slices: u64,
    /// Quantity in msat, bitcoin fees included.
    pub quantity: i128,
    /// Gross proceeds in minor units.
    pub gross: i128,
    /// Fiat fees that came off them.
    pub fees: i128,
    /// Cost.
    pub cost: i128,
}

impl Figures {
    /// Gross proceeds minus fees minus cost.
    pub fn gain(&self) -> i128 {
        self.gross - self.fees - self.cost
    }

    /// These and those.
    pub fn and(&self, other: &Figures) -> Figures {
        Figures {
            slices: self.slices + other.slices,
            quantity: self.quantity + other.quantity,
            gross: self.gross + other.gross,
            fees: self.fees + other.fees,
            cost: self.cost + other.cost,
        }
    }
}

/// Gains of one tax year, or of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gains {
    /// Disposals.
    pub disposals: u64,
    /// Slices held up to a year.
    pub short: Figures,
    /// Slices held longer.
    pub long: Figures,
}

impl Gains {
    /// Both terms together.
    pub fn all(&self) -> Figures {
        self.short.and(&self.long)
    }

    /// These and those.
    pub fn and(&self, other: &Gains) -> Gains {
        Gains {
            disposals: self.disposals + other.disposals,
            short: self.short.and(&other.short),
            long: self.long.and(&other.long),
        }
    }
}

/// A tax year whose gains a process changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct YearEffect {
    /// The year.
    pub year: i16,
    /// Its gains before.
    pub before: Gains,
    /// Its gains after.
    pub after: Gains,
}

/// An event whose disposals a process changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEffect {
    /// The event.
    pub event: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// Its gains before; `None`: it realised nothing.
    pub before: Option<Gains>,
    /// Its gains after; `None`: it realises nothing any more.
    pub after: Option<Gains>,
}

/// What a process changed about the capital gains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Whether there was no journal before: then everything is new, and no single event is listed.
    pub first: bool,
    /// The book's currency before and after; `None`: nothing was derived.
    pub currencies: Option<(Currency, Currency)>,
    /// The years that changed, oldest first; always all of them.
    pub years: Vec<YearEffect>,
    /// The events that changed, oldest first; those before `more_from` are all of them.
    pub events: Vec<EventEffect>,
    /// From this instant on further events may have changed that are not listed.
    pub more_from: Option<Timestamp>,
}
