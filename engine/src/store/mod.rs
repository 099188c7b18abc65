//! The only place of the engine that knows the storage engine: tables, keys, encodings, transactions.
//!
//! Invariants: **facts and derived rows live in different tables**; a write is one transaction with one row in the
//! change log; nothing outside this folder sees a table.

mod birth;
mod block;
mod blockmap;
mod codec;
mod days;
#[cfg(any(test, feature = "fuzzing"))]
mod fault;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod journal;
mod meta;
mod records;
mod seals;
mod tables;

pub use birth::make_whole;
pub use blockmap::BlockMap;
#[cfg(test)]
pub(crate) use codec::encode;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use fault::Disk;
pub(crate) use file::{BookFile, Frozen};
pub(crate) use journal::KeyedLot;
pub use meta::{FORMAT, Tag};
pub(crate) use meta::{Span, for_each};
pub use records::RateRow;
pub(crate) use records::{RecordKey, record_from_bytes, record_to_bytes};
#[cfg(test)]
pub(crate) use tables::TABLES;
pub(crate) use tables::{ReadStore, Readable, Store, WriteStore};

use std::io::ErrorKind;

use crate::error::Error;

/// Any storage failure as the engine's error.
pub(crate) fn failed(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(error) if is_full(error.kind()) => Error::Full(error.to_string()),
        other => Error::Storage(other.to_string()),
    }
}

/// Whether the system means that there is no room: on the disk, in a quota, or in a limit on the size of files.
#[must_use]
pub fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
