//! [`Change`]: one row of the change log, with what the write touched.

use serde::{Deserialize, Serialize};

use super::{Effect, Settings};
use crate::id::{ConnectionNo, EventId};
use crate::money::Currency;
use crate::time::Timestamp;

/// Event ids a change names at most.
pub const TOUCHED_EVENTS_MAX: usize = 100;

/// One write, as the change log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When, by the caller's clock.
    pub at: Timestamp,
    /// Which operation.
    pub operation: String,
    /// Rows it wrote or removed.
    pub rows: u64,
    /// What it touched.
    pub detail: ChangeDetail,
}

/// The records a write touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// The first and the last instant of them, before and after; what is pending has none.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The first of their event ids, in the order they were met.
    pub events: Vec<EventId>,
    /// Whether there are more.
    pub more: bool,
}

impl Touched {
    /// Widens the span to `at`.
    pub fn widen(&mut self, at: Timestamp) {
        if at < Timestamp::MAX {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
    }

    /// Adds the record of event `id` at `at`.
    pub fn add(&mut self, id: &EventId, at: Timestamp) {
        self.widen(at);
        match self.events.len() < TOUCHED_EVENTS_MAX {
            true => self.events.push(id.clone()),
            false => self.more = true,
        }
    }
}

/// The rates of one pair that a write touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedRates {
    /// The currency that prices one bitcoin.
    pub currency: Currency,
    /// How many rates changed.
    pub rows: u64,
    /// The first instant.
    pub first: Timestamp,
    /// The last instant.
    pub last: Timestamp,
}

/// What a write touched, by kind of operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeDetail {
    /// Nothing that could change a figure.
    #[default]
    None,
    /// Records came, changed or went.
    Records {
        /// Of which connection.
        connection: ConnectionNo,
        /// What it was called then.
        label: String,
        /// Stored for the first time.
        new: u64,
        /// Replaced.
        changed: u64,
        /// Removed.
        removed: u64,
        /// Which.
        touched: Touched,
    },
    /// Rates came or changed.
    Rates(Vec<TouchedRates>),
    /// The policies changed.
    Settings {
        /// Before.
        before: Box<Settings>,
        /// After.
        after: Box<Settings>,
    },
    /// What the user says about an event changed.
    Annotation {
        /// The event.
        event: EventId,
        /// Where it stands; the end of time while it is pending.
        at: Timestamp,
        /// The fields that changed: `note`, `tags`, `excluded`, `rate`.
        fields: Vec<AnnotationField>,
    },
    /// The journal was derived anew.
    Process(Box<Effect>),
    /// A seal was made, replaced, held or removed.
    Seal {
        /// Its public id.
        id: String,
        /// What the user calls it.
        label: String,
    },
}

/// A field of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnnotationField {
    /// The note.
    Note,
    /// The tags.
    Tags,
    /// Whether it is excluded.
    Excluded,
    /// The rate override.
    Rate,
}

impl AnnotationField {
    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            AnnotationField::Note => "note",
            AnnotationField::Tags => "tags",
            AnnotationField::Excluded => "excluded",
            AnnotationField::Rate => "rate",
        }
    }
}
