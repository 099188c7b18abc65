//! What every report needs beside the rows: settings, names and annotations of the same snapshot.

use std::collections::BTreeMap;

use super::Range;
use crate::error::Result;
use crate::id::{ConnectionNo, EventId};
use crate::model::{Annotation, Connection, Era, Settings};
use crate::time::{Timestamp, Zone};

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
    /// Methods and scopes of `settings`, in order.
    pub eras: Vec<Era>,
    /// Every connection of the book.
    pub connections: BTreeMap<ConnectionNo, Connection>,
    /// The annotation of an event, given its id and the ids merged into it; the default when there is none.
    pub annotation: AnnotationOf<'a>,
}

impl ReportContext<'_> {
    /// The lot selection method in force in `range`; `mixed` where there is more than one.
    pub fn algorithm(&self, range: &Range) -> &'static str {
        let (start, end) = (range.start.unwrap_or(Timestamp::MIN), range.end.unwrap_or(Timestamp::MAX));
        let later = self.eras.iter().filter(|era| start < era.from && era.from <= end);
        let first = self.algorithm_at(start);
        if later.into_iter().all(|era| era.method.name() == first) { first } else { "mixed" }
    }

    /// The lot selection method in force at an instant.
    pub fn algorithm_at(&self, at: Timestamp) -> &'static str {
        Era::at(&self.eras, at).map_or(self.settings.method, |era| era.method).name()
    }

    /// The label of a connection.
    pub fn label(&self, no: ConnectionNo) -> &str {
        self.connections.get(&no).map_or("", |connection| connection.label.as_str())
    }
}
