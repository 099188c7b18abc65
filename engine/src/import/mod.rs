//! Imports: bytes of a file in the plain CSV format → checked [`PlainRecord`]s with their native ids.
//!
//! Data flows one way: bytes → lines and cells (`split`) → columns (`header`) → values (`cell`) → a record that keeps
//! the format's rules (`row`) → its identity (`identity`); `reader` drives them, one row at a time.
//! Invariants: what a file says is kept exactly or refused with line, column and reason, never rounded, guessed or
//! dropped; the same content has the same native id, whatever its formatting, column order and row order.
//! Refuses: a store, a clock, floats, and any meaning across rows (pairing, pricing and lots are later stages).

mod cell;
mod error;
mod header;
mod identity;
mod reader;
mod row;
mod split;
#[cfg(test)]
mod tests;

use crate::model::PlainRecord;
use crate::money::Currency;
use crate::time::Zone;

pub use error::{HeaderError, RowError};
pub use reader::{PlainRows, read_plain};

/// What a file's words mean where they do not say it themselves.
#[derive(Clone, Debug)]
pub struct ImportContext {
    /// Zone of local dates and times.
    pub zone: Zone,
    /// Currency of fiat amounts whose row names none.
    pub book_currency: Currency,
}

/// One checked row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainRow {
    /// Line of the file on which the row begins; the header is usually line 1.
    pub line: u64,
    /// The row's `id`, else `h` + 32 hex digits of its content's hash + `-` + its occurrence among equal rows.
    pub native_id: String,
    /// What it says.
    pub record: PlainRecord,
}
