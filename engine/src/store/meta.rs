//! Single values and small tables: settings, mark, version, totals, connections, annotations, tags, changes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::blockmap::BlockMap;
use super::codec::{decode, encode};
use super::tables::{Readable, Store, WriteStore};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId};
use crate::model::{Annotation, Change, ChangeDetail, Connection, Limits, Settings, Totals};
use crate::time::Timestamp;

/// Format version of the book file that this version reads and writes.
pub const FORMAT: u32 = 1;

/// A tag the user defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its public id (a UUID in text form).
    pub id: String,
    /// Canonical identifier, lower case.
    pub code: String,
    /// Display name.
    pub label: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A span of time whose events are to be derived anew; both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// The first instant.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
}

/// Spans kept at most; of more, those closest to each other become one.
const SPANS_MAX: usize = 32;

/// The same spans in order, none touching another, and not too many.
fn few_spans(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.from);
    let mut few: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match few.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => few.push(span),
        }
    }
    while few.len() > SPANS_MAX {
        let gap = |pair: &[Span]| pair[1].from.as_micros().saturating_sub(pair[0].to.as_micros());
        let Some(closest) = (0..few.len() - 1).min_by_key(|at| gap(&few[*at..at + 2])) else { break };
        let next = few.remove(closest + 1);
        few[closest].to = next.to;
    }
    few
}

impl<T: Readable> Store<T> {
    fn single<V: DeserializeOwned>(&mut self, name: &str) -> Result<Option<V>> {
        self.meta.get(name.as_bytes())?.map(decode).transpose()
    }

    pub fn check_format(&mut self) -> Result<()> {
        match self.single::<u32>("format")? {
            Some(FORMAT) => Ok(()),
            Some(other) => Err(Error::Format(format!("file format {other}, this version reads {FORMAT}"))),
            None => Err(Error::Format("no format version".into())),
        }
    }

    pub fn settings(&mut self) -> Result<Settings> {
        Ok(self.single("settings")?.unwrap_or_default())
    }

    /// The settings the derived rows were made under; until the first process, the settings.
    pub fn booked_settings(&mut self) -> Result<Settings> {
        match self.single("booked_settings")? {
            Some(settings) => Ok(settings),
            None => self.settings(),
        }
    }

    pub fn totals(&mut self) -> Result<Totals> {
        Ok(self.single("totals")?.unwrap_or_default())
    }

    /// Whether a record ever named the lots it uses.
    pub fn names_lots(&mut self) -> Result<bool> {
        Ok(self.single("names_lots")?.unwrap_or(false))
    }

    /// How far sums are from leaving their range.
    pub fn limits(&mut self) -> Result<Limits> {
        Ok(self.single("limits")?.unwrap_or_default())
    }

    /// The spans of time whose events are to be derived anew, in order; empty when every derived row is true.
    pub fn dirty(&mut self) -> Result<Vec<Span>> {
        Ok(self.single("dirty")?.unwrap_or_default())
    }

    /// The instant from which derived rows may be wrong.
    pub fn dirty_from(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.dirty()?.first().map(|span| span.from))
    }

    /// The number of writes the book has seen.
    pub fn version(&mut self) -> Result<u64> {
        Ok(self.single("version")?.unwrap_or(0))
    }

    pub fn rates_cursor(&mut self) -> Result<u64> {
        Ok(self.single("rates_cursor")?.unwrap_or(0))
    }

    pub fn next_connection(&mut self) -> Result<u32> {
        Ok(self.single("next_connection")?.unwrap_or(1))
    }

    pub fn connections(&mut self) -> Result<Vec<Connection>> {
        all(&mut self.connections)
    }

    pub fn sync_state(&mut self, no: ConnectionNo) -> Result<Option<Vec<u8>>> {
        Ok(self.sync_states.get(&no.0.to_be_bytes())?.map(<[u8]>::to_vec))
    }

    pub fn annotation(&mut self, id: &EventId) -> Result<Option<Annotation>> {
        self.annotations.get(id.as_str().as_bytes())?.map(decode).transpose()
    }

    /// The annotation of an event and of every record merged into it.
    pub fn annotation_over(&mut self, id: &EventId, merged: &[EventId]) -> Result<Annotation> {
        let own = self.annotation(id)?.unwrap_or_default();
        merged.iter().try_fold(own, |all, other| {
            Ok(match self.annotation(other)? {
                Some(annotation) => all.and(annotation),
                None => all,
            })
        })
    }

    pub fn all_annotations(&mut self) -> Result<Vec<(EventId, Annotation)>> {
        let mut found = Vec::new();
        for_each(&mut self.annotations, &[], |key, value| {
            let id = String::from_utf8(key.to_vec()).map_err(|_| Error::Corrupt("annotation key".into()))?;
            found.push((EventId::from_text(id), decode(value)?));
            Ok(true)
        })?;
        Ok(found)
    }

    pub fn tag(&mut self, code: &str) -> Result<Option<Tag>> {
        self.tags.get(code.as_bytes())?.map(decode).transpose()
    }

    pub fn all_tags(&mut self) -> Result<Vec<Tag>> {
        all(&mut self.tags)
    }

    pub fn changes_after(&mut self, version: u64, limit: usize) -> Result<Vec<(u64, Change)>> {
        let mut found = Vec::new();
        for_each(&mut self.changes, &version.saturating_add(1).to_be_bytes(), |key, value| {
            let key = <[u8; 8]>::try_from(key).map_err(|_| Error::Corrupt("change key".into()))?;
            found.push((u64::from_be_bytes(key), decode(value)?));
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }
}

impl WriteStore<'_> {
    fn set_single<V: Serialize>(&mut self, name: &str, value: &V) -> Result<()> {
        self.meta.put(name.as_bytes(), &encode(value)?)?;
        Ok(())
    }

    pub fn set_format(&mut self) -> Result<()> {
        self.set_single("format", &FORMAT)
    }

    pub fn set_settings(&mut self, settings: &Settings) -> Result<()> {
        self.set_single("settings", settings)
    }

    pub fn set_booked_settings(&mut self, settings: &Settings) -> Result<()> {
        self.set_single("booked_settings", settings)
    }

    pub fn set_totals(&mut self, totals: &Totals) -> Result<()> {
        self.set_single("totals", totals)
    }

    pub fn set_names_lots(&mut self) -> Result<()> {
        if self.names_lots()? { Ok(()) } else { self.set_single("names_lots", &true) }
    }

    pub fn set_limits(&mut self, limits: &Limits) -> Result<()> {
        self.set_single("limits", limits)
    }

    /// Says that every derived row is true.
    pub fn set_clean(&mut self) -> Result<()> {
        self.set_single("dirty", &Vec::<Span>::new())
    }

    /// Marks the events from `from` to `to`, both inclusive; what is not booked yet (the end of time) needs no mark.
    pub fn mark(&mut self, from: Timestamp, to: Timestamp) -> Result<()> {
        if from == Timestamp::MAX || from > to {
            return Ok(());
        }
        let mut spans = self.dirty()?;
        if spans.iter().any(|span| span.from <= from && to <= span.to) {
            return Ok(());
        }
        spans.push(Span { from, to });
        self.set_single("dirty", &few_spans(spans))
    }

    /// Marks everything at and after `from`.
    pub fn mark_from(&mut self, from: Timestamp) -> Result<()> {
        self.mark(from, Timestamp::MAX)
    }

    pub fn set_rates_cursor(&mut self, cursor: u64) -> Result<()> {
        self.set_single("rates_cursor", &cursor)
    }

    pub fn set_next_connection(&mut self, next: u32) -> Result<()> {
        self.set_single("next_connection", &next)
    }

    pub fn put_connection(&mut self, connection: &Connection) -> Result<()> {
        self.connections.put(&connection.no.0.to_be_bytes(), &encode(connection)?)?;
        Ok(())
    }

    pub fn remove_connection(&mut self, no: ConnectionNo) -> Result<()> {
        self.connections.remove(&no.0.to_be_bytes())?;
        self.sync_states.remove(&no.0.to_be_bytes())?;
        Ok(())
    }

    pub fn put_sync_state(&mut self, no: ConnectionNo, state: Vec<u8>) -> Result<()> {
        self.sync_states.put(&no.0.to_be_bytes(), &state)?;
        Ok(())
    }

    /// Stores an annotation; an empty one is removed.
    pub fn put_annotation(&mut self, id: &EventId, annotation: &Annotation) -> Result<()> {
        if *annotation == Annotation::default() {
            self.annotations.remove(id.as_str().as_bytes())?;
            return Ok(());
        }
        self.annotations.put(id.as_str().as_bytes(), &encode(annotation)?)?;
        Ok(())
    }

    pub fn put_tag(&mut self, tag: &Tag) -> Result<()> {
        self.tags.put(tag.code.as_bytes(), &encode(tag)?)?;
        Ok(())
    }

    pub fn remove_tag(&mut self, code: &str) -> Result<bool> {
        self.tags.remove(code.as_bytes())
    }

    /// Appends the change-log row that every write ends with; returns the new version.
    pub fn log(&mut self, at: Timestamp, operation: &str, rows: u64, detail: ChangeDetail) -> Result<u64> {
        let version = self.version()? + 1;
        let change = Change { at, operation: operation.to_owned(), rows, detail };
        self.changes.put(&version.to_be_bytes(), &encode(&change)?)?;
        self.set_single("version", &version)?;
        Ok(version)
    }
}

/// Calls `visit` on every row from `start` on until it returns `false`.
pub(crate) fn for_each<T: Readable>(
    map: &mut BlockMap<T>,
    start: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
) -> Result<()> {
    let mut from = start.to_vec();
    while let Some((key, value)) = map.at_or_after(&from)? {
        if !visit(key, value)? {
            break;
        }
        from.clear();
        from.extend_from_slice(key);
        from.push(0);
    }
    Ok(())
}

fn all<T: Readable, V: DeserializeOwned>(map: &mut BlockMap<T>) -> Result<Vec<V>> {
    let mut found = Vec::new();
    for_each(map, &[], |_, value| {
        found.push(decode(value)?);
        Ok(true)
    })?;
    Ok(found)
}
