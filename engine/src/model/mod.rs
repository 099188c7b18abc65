//! Plain records with public fields and no behaviour beyond naming: what the stages hand to each other.
//!
//! Stored types are postcard-encoded behind a version byte; none of them is part of the REST surface.

mod account;
mod annotation;
mod chain;
mod change;
mod connection;
mod day;
mod era;
mod event;
mod gains;
mod journal;
mod lot;
mod quarantine;
mod reach;
mod record;
mod seal;
mod settings;
mod totals;

pub use account::{Account, Amount, Posting};
pub use annotation::{Annotation, AnnotationEdit};
pub use chain::{ChainInput, ChainOutput, ChainStatus, ChainView};
pub use change::{AnnotationField, Change, ChangeDetail, TOUCHED_EVENTS_MAX, Touched, TouchedRates};
pub use connection::{Connection, Rail};
pub use day::{DayTotals, Movement, SaleTotals, SliceTotals};
pub use era::Era;
pub use event::{Acquire, Basis, Counter, Dispose, Event, EventKind, Step};
pub use gains::{Effect, EventEffect, Figures, Gains, YearEffect};
pub use journal::{BookedDisposal, BookedStep, JournalRow, RowStatus, Slice, Text, Valuation, ValueSource};
pub(crate) use lot::RANK;
pub use lot::{
    Left, LotEffect, LotKey, LotUse, OpenLot, Opening, PoolCost, Term, UnitCost, UsePurpose, origin_of,
};
pub use quarantine::Quarantine;
pub use reach::{PoolReach, Reach};
pub use record::{PlainExtra, PlainKind, PlainRecord, Record, RecordBody, Side};
pub use seal::{Held, Seal, SealedConnection, SealedDisposal, SealedSale, SealedSlice};
pub use settings::{Allocation, FeeTreatment, LotScope, Method, Policy, Settings};
pub use totals::{AccountTotal, AcquiredTotals, Asset, Flow, GainTotals, Limits, PoolFlows, Totals};
