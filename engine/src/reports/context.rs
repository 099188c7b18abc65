//! What every report needs beside the rows: settings, names and annotations of the same snapshot.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::id::{ConnectionNo, EventId};
use crate::model::{Annotation, Connection, Settings};
use crate::time::Zone;

/// States which books a report was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the book: the number of writes it has seen.
    pub book_version: u64,
    /// Whether something is waiting for the next process, or is quarantined.
    pub non_final: bool,
    /// Quarantined events.
    pub quarantined: u64,
}

/// Looks up the annotation of an event: by its id, and the ids of the records merged into it.
pub type AnnotationOf<'a> = &'a dyn Fn(&EventId, &[EventId]) -> Result<Annotation>;

/// Names, settings and annotations of one snapshot.
pub struct ReportContext<'a> {
    /// Which books.
    pub header: Header,
    /// How they are kept.
    pub settings: Settings,
    /// The zone of `settings.timezone`.
    pub zone: Zone,
    /// Every connection of the book.
    pub connections: BTreeMap<ConnectionNo, Connection>,
    /// The annotation of an event, given its id and the ids merged into it; the default when there is none.
    pub annotation: AnnotationOf<'a>,
}

impl ReportContext<'_> {
    /// The label of a connection.
    pub fn label(&self, no: ConnectionNo) -> &str {
        self.connections.get(&no).map_or("", |connection| connection.label.as_str())
    }
}
