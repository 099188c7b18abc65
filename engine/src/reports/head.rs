//! What every report says about itself, and the words it repeats about an event.
//!
//! Owns: [`ReportHead`] and the merging of a record's words with the user's annotation.

use serde::Serialize;

use super::ReportContext;
use crate::error::Result;
use crate::id::EventId;
use crate::journal::chart;
use crate::model::{Account, JournalRow};
use crate::time::Timestamp;

/// Which books a report was made from; part of every report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportHead {
    /// When the snapshot was taken (RFC 3339, UTC).
    pub snapshot_timestamp: String,
    /// Version of the book: the number of writes it has seen.
    pub book_version: u64,
    /// Whether something waits for the next process, or is quarantined.
    pub non_final: bool,
    /// Events set aside and so missing from the figures.
    pub quarantined: u64,
}

impl ReportContext<'_> {
    /// The head of a report made from this context at `snapshot_timestamp`.
    pub(crate) fn head(&self, snapshot_timestamp: Timestamp) -> ReportHead {
        ReportHead {
            snapshot_timestamp: snapshot_timestamp.to_string(),
            book_version: self.header.book_version,
            non_final: self.header.non_final,
            quarantined: self.header.quarantined,
        }
    }

    /// The full path of `account`.
    pub(super) fn account_path(&self, account: Account) -> String {
        chart::path(account, chart::leaf(account).map_or("", |no| self.label(no)))
    }

    /// The note and tags of the event `id` booked as `row`: the user's note, else the record's; the tags of both.
    pub(super) fn words(&self, id: &EventId, row: &JournalRow) -> Result<Words> {
        let annotation = (self.annotation)(id, &row.merged)?;
        let text = row.text.as_deref();
        let note = annotation.note.or_else(|| text.and_then(|text| text.note.clone()));
        let mut tags = annotation.tags;
        tags.extend(text.into_iter().flat_map(|text| text.tags.iter().cloned()));
        tags.sort_unstable();
        tags.dedup();
        Ok(Words { note, tags })
    }
}

/// Human words about an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The note, if there is one.
    pub note: Option<String>,
    /// Sorted, each once.
    pub tags: Vec<String>,
}
