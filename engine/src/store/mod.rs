//! The only place of the engine that knows the storage engine: tables, keys, encodings, transactions.
//!
//! Invariants: **facts and derived rows live in different tables**; a write is one transaction with one row in the
//! change log; nothing outside this folder sees a table.

mod birth;
mod block;
mod blockmap;
mod codec;
mod days;
#[cfg(test)]
mod fault;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod journal;
mod meta;
mod records;
mod tables;

pub use birth::make_whole;
pub use blockmap::BlockMap;
#[cfg(test)]
pub(crate) use fault::Disk;
pub(crate) use file::{BookFile, Frozen};
pub(crate) use journal::KeyedLot;
pub use meta::{Change, Tag};
pub(crate) use meta::{Span, for_each};
pub use records::RateRow;
pub(crate) use records::{RecordKey, record_from_bytes, record_to_bytes};
pub(crate) use tables::{ReadStore, Readable, Store, WriteStore};

use crate::error::Error;

/// Any storage failure as the engine's error.
pub(crate) fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Storage(error.into().to_string())
}
