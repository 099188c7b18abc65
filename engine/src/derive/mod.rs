//! The incremental machine: facts in (`intake`), the mark, rewind to it (`rewind`), replay (`advance`).
//!
//! **Incremental = rebuild:** a change to facts only lowers one mark; processing undoes derived rows from the end back
//! to the mark, the lot effects being the undo log, and replays the records from there. Every path is this one path.

mod advance;
mod booking;
mod diff;
mod inputs;
mod intake;
mod lookup;
mod order;
mod past;
mod patch;
mod pools;
mod ranks;
mod reach;
mod rewind;
mod scan;
mod section104;
mod sums;
mod switch;
mod touch;
mod value;

use crate::store::Span;
use crate::time::Timestamp;

/// The span of all events.
pub(crate) const EVERYTHING: Span = Span { from: Timestamp::MIN, to: Timestamp::MAX };

pub use advance::Outcome;
pub(crate) use advance::process;
pub(crate) use inputs::inputs_hash;
pub use intake::RowOutcome;
pub(crate) use intake::{intake, remove_records};
pub(crate) use lookup::{Located, locate_event, pending_events};
pub(crate) use section104::first_affected;
pub(crate) use switch::allocation_place;
