//! Facts a user sets: settings, connections, annotations, tags.

use super::{Book, Tag};
use crate::derive::{Located, locate_event, remove_records};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId};
use crate::model::{
    Annotation, AnnotationEdit, AnnotationField, ChangeDetail, Connection, Era, Rail, Settings, Touched,
};
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

/// A connection to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnection {
    /// Its public id (a UUID in text form), unique in the book.
    pub id: String,
    /// What the user calls it.
    pub label: String,
    /// Its kind as the surface names it.
    pub kind: String,
    /// Which asset account it hangs under.
    pub rail: Rail,
    /// Its configuration, opaque to the engine. No secrets.
    pub config: String,
}

impl Book {
    /// Sets the book's policies; what matters to derived rows marks the book from where it matters: methods and scopes
    /// from the first instant at which they differ, all else from the beginning. Says whether anything changed.
    pub fn set_settings(&self, now: Timestamp, settings: &Settings) -> Result<bool> {
        let zone = Zone::named(&settings.timezone)?;
        settings.check()?;
        let eras = Era::all(settings, &zone)?;
        let changed = self.write(|store| {
            let old = store.settings()?;
            if old == *settings {
                return Ok(None);
            }
            store.set_settings(settings)?;
            let Settings { method, lot_scope, policies, .. } = settings.clone();
            let mark = match (Settings { method, lot_scope, policies, ..old.clone() }) == *settings {
                true => Era::first_difference(&Era::all(&old, &zone)?, &eras),
                false => Some(Timestamp::MIN),
            };
            store.mark_from(mark.unwrap_or(Timestamp::MAX))?;
            let (before, after) = (Box::new(old), Box::new(settings.clone()));
            store.log(now, "settings", 1, ChangeDetail::Settings { before, after }).map(Some)
        })?;
        Ok(changed.is_some())
    }

    /// Adds a connection under the next number.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the id is taken.
    pub fn add_connection(&self, now: Timestamp, new: NewConnection) -> Result<Connection> {
        let added = self.write(|store| {
            if store.connections()?.iter().any(|known| known.id == new.id) {
                return Err(Error::invalid("id", format!("connection {} exists already", new.id)));
            }
            let no = store.next_connection()?;
            store.set_next_connection(no.checked_add(1).ok_or(Error::Overflow("connection numbers"))?)?;
            let NewConnection { id, label, kind, rail, config } = new;
            let no = ConnectionNo(no);
            let connection =
                Connection { no, id, label, kind, rail, config, created_at: now, synced_at: None };
            store.put_connection(&connection)?;
            store.log(now, "add connection", 1, removed_records(&connection, 0, Touched::default()))?;
            Ok(Some(connection))
        })?;
        added.ok_or_else(|| Error::Corrupt("a connection was not added".into()))
    }

    /// Replaces label, rail and configuration of a connection. A new configuration forgets the sync checkpoint; with
    /// `forget` the records go too: it is another wallet now.
    pub fn update_connection(&self, now: Timestamp, updated: &Connection, forget: bool) -> Result<()> {
        self.write(|store| {
            let old = connection(store, updated.no)?;
            if old == *updated && !forget {
                return Ok(None);
            }
            let mut touched = Touched::default();
            let mut removed = 0;
            if forget {
                let records = store.connection_records(updated.no)?;
                remove_records(store, &records, &mut touched)?;
                removed = records.len() as u64;
            }
            if old.config != updated.config {
                store.sync_states.remove(&updated.no.0.to_be_bytes())?;
            }
            if old.rail != updated.rail {
                store.mark_from(Timestamp::MIN)?;
            }
            store.put_connection(updated)?;
            let detail = removed_records(updated, removed, touched);
            store.log(now, "update connection", 1, detail).map(Some)
        })?;
        Ok(())
    }

    /// Removes a connection with all its records. Its number is never used again.
    pub fn remove_connection(&self, now: Timestamp, no: ConnectionNo) -> Result<()> {
        self.write(|store| {
            let target = connection(store, no)?;
            let records = store.connection_records(no)?;
            let mut touched = Touched::default();
            remove_records(store, &records, &mut touched)?;
            if !records.is_empty() || store.dirty_from()?.is_some() {
                // Its rows, some of which may be there though their records went before, cannot be undone one by one: nothing says any more which rail they were posted to.
                store.mark_from(Timestamp::MIN)?;
            }
            store.remove_connection(no)?;
            let removed = records.len() as u64;
            let detail = removed_records(&target, removed, touched);
            store.log(now, "remove connection", removed + 1, detail).map(Some)
        })?;
        Ok(())
    }

    /// Edits the annotation of an event; `id` may be that of any record merged into it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no record has this id.
    pub fn annotate(&self, now: Timestamp, id: &EventId, edits: &[AnnotationEdit]) -> Result<Annotation> {
        let mut result = Annotation::default();
        self.write(|store| {
            let Located { key, merged } = find(store, id)?;
            let old = store.annotation_over(&key.id, &merged)?;
            result = edits.iter().cloned().fold(old.clone(), apply);
            if result == old {
                return Ok(None);
            }
            // Under the id of every record in it, so that it holds for each should they part again.
            std::iter::once(&key.id).chain(&merged).try_for_each(|id| store.put_annotation(id, &result))?;
            if (old.excluded, old.rate) != (result.excluded, result.rate) {
                store.mark(key.time, key.time)?;
            }
            let (event, at, fields) = (key.id, key.time, changed_fields(&old, &result));
            store.log(now, "annotate", 1, ChangeDetail::Annotation { event, at, fields }).map(Some)
        })?;
        Ok(result)
    }

    /// Adds a tag or changes its label. Codes are canonical (lower case) already.
    pub fn put_tag(&self, now: Timestamp, tag: &Tag) -> Result<()> {
        self.write(|store| {
            if store.tag(&tag.code)?.as_ref() == Some(tag) {
                return Ok(None);
            }
            store.put_tag(tag)?;
            store.log(now, "tag", 1, ChangeDetail::None).map(Some)
        })?;
        Ok(())
    }

    /// Removes a tag's definition; events keep the code.
    pub fn remove_tag(&self, now: Timestamp, code: &str) -> Result<()> {
        self.write(|store| match store.remove_tag(code)? {
            true => store.log(now, "remove tag", 1, ChangeDetail::None).map(Some),
            false => Err(Error::not_found("tag", code)),
        })?;
        Ok(())
    }
}

/// The connection numbered `no`.
pub(super) fn connection(store: &mut WriteStore<'_>, no: ConnectionNo) -> Result<Connection> {
    let found = store.connections()?.into_iter().find(|connection| connection.no == no);
    found.ok_or_else(|| Error::not_found("connection", no.0.to_string()))
}

/// What the change log says about a connection that lost `removed` records.
fn removed_records(connection: &Connection, removed: u64, touched: Touched) -> ChangeDetail {
    let (no, label) = (connection.no, connection.label.clone());
    ChangeDetail::Records { connection: no, label, new: 0, changed: 0, removed, touched }
}

fn changed_fields(old: &Annotation, new: &Annotation) -> Vec<AnnotationField> {
    let fields = [
        (AnnotationField::Note, old.note != new.note),
        (AnnotationField::Tags, old.tags != new.tags),
        (AnnotationField::Excluded, old.excluded != new.excluded),
        (AnnotationField::Rate, old.rate != new.rate),
    ];
    fields.into_iter().filter(|(_, changed)| *changed).map(|(field, _)| field).collect()
}

fn find(store: &mut WriteStore<'_>, id: &EventId) -> Result<Located> {
    let connections = store.connections()?;
    let rails =
        |no| connections.iter().find(|known| known.no == no).map_or(Rail::Managed, |known| known.rail);
    locate_event(store, id, &rails)?.ok_or_else(|| Error::not_found("event", id.as_str()))
}

fn apply(mut annotation: Annotation, edit: AnnotationEdit) -> Annotation {
    match edit {
        AnnotationEdit::Note(note) => annotation.note = note,
        AnnotationEdit::AddTag(code) => {
            annotation.tags.push(code);
            annotation.tags.sort();
            annotation.tags.dedup();
        }
        AnnotationEdit::RemoveTag(code) => annotation.tags.retain(|tag| *tag != code),
        AnnotationEdit::Excluded(excluded) => annotation.excluded = excluded,
        AnnotationEdit::Rate(rate) => annotation.rate = rate,
    }
    annotation
}
