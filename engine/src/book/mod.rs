//! [`Book`]: one profile's books in one file. One method per operation.
//!
//! **A write is one operation = one transaction = one row in the change log.** A read is a [`Snapshot`]. Writers take
//! turns; readers never wait. Instants are handed in: the engine has no clock.

mod conservation;
#[cfg(test)]
mod crash;
mod events;
mod facts;
#[cfg(any(test, feature = "fuzzing"))]
mod faulty;
mod import;
mod lots_at;
mod rates;
mod seal;
mod snapshot;
mod spans;
mod sync;
mod verify;
mod what_if;
mod why;

use std::path::Path;

use crate::derive;
use crate::error::Result;
use crate::model::ChangeDetail;
use crate::store::{BookFile, Frozen, WriteStore};
use crate::time::Timestamp;

pub use crate::derive::{Outcome, RowOutcome};
pub use crate::model::Change;
pub use crate::store::{RateRow, Tag};
pub use events::{EventDetail, EventFilter, EventPage, EventView, Sort};
pub use facts::NewConnection;
pub use import::{ImportFailure, ImportReport, ImportedRow};
pub use lots_at::LotRows;
pub use rates::RatePoint;
pub use seal::NewSeal;
pub use snapshot::{JournalRows, Snapshot};
pub use sync::SyncReport;
pub use verify::Verified;
pub use why::{Cause, Why};

/// An open book.
pub struct Book {
    file: BookFile,
}

impl Book {
    /// Opens the book at `path`, creating an empty one when there is none. `cache_bytes` bounds the page cache.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) for a file that is no book of this version,
    /// [`Error::Storage`](crate::Error::Storage) when the file cannot be opened or is in use.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self> {
        BookFile::open(path, cache_bytes).map(|file| Book { file })
    }

    /// An empty book in memory.
    pub fn in_memory() -> Result<Self> {
        BookFile::in_memory().map(|file| Book { file })
    }

    /// The books as they stand now.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(self.freeze()?))
    }

    /// Makes every derived row true again: rewinds to the mark and replays; `full` starts from nothing.
    /// With nothing to do it writes nothing.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) when `cancelled` says so; the books stay as they were.
    pub fn process(&self, now: Timestamp, full: bool, cancelled: &dyn Fn() -> bool) -> Result<Outcome> {
        let done = self.write(|store| process_in(store, now, full, cancelled))?;
        done.map_or_else(|| self.unchanged(), Ok)
    }

    /// Copies the book as it is now into a new file at `path`, without free space. Writers go on meanwhile and do not
    /// show in it.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when there is such a file or it cannot be written,
    /// [`Error::Full`](crate::Error::Full) when there is no room; then a part of it may be there.
    pub fn copy_to(&self, path: &Path, cache_bytes: usize) -> Result<()> {
        self.file.copy_to(path, cache_bytes)
    }

    /// Rewrites the file without its free space. Needs to be the only user of the file.
    pub fn compact(&mut self) -> Result<bool> {
        self.file.compact()
    }

    fn unchanged(&self) -> Result<Outcome> {
        let mut store = self.file.read()?;
        let totals = store.totals()?;
        Ok(Outcome {
            events_total: totals.events,
            events_replayed: 0,
            entries_written: 0,
            quarantined: totals.quarantined,
            book_version: store.version()?,
        })
    }

    fn freeze(&self) -> Result<Frozen> {
        self.file.freeze()
    }

    /// One write transaction; `None` from `work` drops it without a trace.
    fn write<R>(&self, work: impl FnOnce(&mut WriteStore<'_>) -> Result<Option<R>>) -> Result<Option<R>> {
        self.file.write(work)
    }
}

/// [`Book::process`] within a transaction; `None` when there is nothing to do.
fn process_in(
    store: &mut WriteStore<'_>,
    now: Timestamp,
    full: bool,
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<Outcome>> {
    let spans = if full { vec![derive::EVERYTHING] } else { store.dirty()? };
    if spans.is_empty() {
        return Ok(None);
    }
    let (outcome, effect) = derive::process(store, &spans, cancelled)?;
    let detail = ChangeDetail::Process(Box::new(effect));
    let book_version = store.log(now, "process", outcome.events_replayed, detail)?;
    Ok(Some(Outcome { book_version, ..outcome }))
}
