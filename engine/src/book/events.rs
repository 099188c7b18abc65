//! Journal events for people: pages with filters, and one event with all that explains it.

use super::Snapshot;
use super::snapshot::behind;
use crate::derive::{allocation_place, locate_event};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, EventKey, instant_bytes};
use crate::journal::{chart, postings};
use crate::model::{Annotation, Connection, EventKind, JournalRow, Posting, Rail, RowStatus};
use crate::store::ReadStore;
use crate::time::{Timestamp, Zone};

/// Order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// Which events to list; every condition must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// At or after.
    pub from: Option<Timestamp>,
    /// At or before.
    pub to: Option<Timestamp>,
    /// Involves this connection.
    pub connection: Option<ConnectionNo>,
    /// Is of this kind.
    pub kind: Option<EventKind>,
    /// Carries this tag.
    pub tag: Option<String>,
    /// Its note contains this, in any letter case.
    pub note_contains: Option<String>,
    /// Has a posting to an account whose path is this or lies below it.
    pub account: Option<String>,
    /// Is, or is not, excluded.
    pub excluded: Option<bool>,
    /// Order.
    pub sort: Sort,
}

/// An event with its annotation.
#[derive(Clone, Debug)]
pub struct EventView {
    /// Identity and place.
    pub key: EventKey,
    /// The row as booked.
    pub row: JournalRow,
    /// What the user said about it.
    pub annotation: Annotation,
}

impl EventView {
    /// The user's note, else the record's own.
    pub fn note(&self) -> Option<&str> {
        let own = || self.row.text.as_ref().and_then(|text| text.note.as_deref());
        self.annotation.note.as_deref().or_else(own)
    }

    /// Tags of the user and of the record, sorted.
    pub fn tags(&self) -> Vec<String> {
        let own = self.row.text.iter().flat_map(|text| &text.tags);
        let mut tags: Vec<String> = self.annotation.tags.iter().chain(own).cloned().collect();
        tags.sort();
        tags.dedup();
        tags
    }
}

/// A page of events and where the next one starts.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events.
    pub items: Vec<EventView>,
    /// The last key of this page when there is more.
    pub next: Option<EventKey>,
}

/// One event with its entry.
#[derive(Clone, Debug)]
pub struct EventDetail {
    /// The event.
    pub view: EventView,
    /// Its postings with their account paths.
    pub postings: Vec<(String, Posting)>,
}

impl Snapshot {
    /// A page of events behind `after` (the last key of the page before).
    pub fn events(&self, filter: &EventFilter, after: Option<&EventKey>, limit: usize) -> Result<EventPage> {
        let mut walk = Walk::new(self, filter, after)?;
        let mut items = Vec::new();
        while let Some(view) = walk.next()? {
            if items.len() == limit {
                let next = items.last().map(|last: &EventView| last.key.clone());
                return Ok(EventPage { items, next });
            }
            items.push(view);
        }
        Ok(EventPage { items, next: None })
    }

    /// How many events match.
    pub fn count_events(&self, filter: &EventFilter) -> Result<u64> {
        if filter.is_all() {
            return Ok(self.totals()?.events);
        }
        let mut walk = Walk::new(self, filter, None)?;
        let mut count = 0;
        while walk.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// One event; `id` may be that of any record merged into it, or of an event of the books themselves.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not in the journal (not processed yet, pending, or unknown).
    pub fn event(&self, id: &EventId) -> Result<EventDetail> {
        let mut store = self.store()?;
        let connections = store.connections()?;
        let rails = |no| rail(&connections, no);
        let missing = || Error::not_found("event", id.as_str());
        let key = match locate_event(&mut store, id, &rails)? {
            Some(located) => located.key,
            None => {
                let zone = Zone::named(&store.booked_settings()?.timezone)?;
                allocation_place(id, &zone).ok_or_else(missing)?
            }
        };
        let row = store.journal_row(&key)?.ok_or_else(missing)?;
        let annotation = store.annotation_over(&key.id, &row.merged)?;
        let postings = named_postings(&row, &connections)?;
        Ok(EventDetail { view: EventView { key, row, annotation }, postings })
    }
}

impl EventFilter {
    fn is_all(&self) -> bool {
        let EventFilter { from, to, connection, kind, tag, note_contains, account, excluded, sort: _ } = self;
        (from, to, connection, kind).eq(&(&None, &None, &None, &None))
            && (tag, note_contains, account, excluded).eq(&(&None, &None, &None, &None))
    }

    fn matches(&self, view: &EventView, connections: &[Connection]) -> Result<bool> {
        let row = &view.row;
        let plain = self.kind.is_none_or(|kind| row.kind == kind)
            && self.connection.is_none_or(|no| row.connections.contains(&no))
            && self.excluded.is_none_or(|excluded| (row.status == RowStatus::Excluded) == excluded)
            && self.tag.as_ref().is_none_or(|tag| view.tags().contains(tag))
            && self.note_contains.as_ref().is_none_or(|part| {
                view.note().is_some_and(|note| note.to_lowercase().contains(&part.to_lowercase()))
            });
        match &self.account {
            Some(wanted) if plain => {
                let below = format!("{wanted}:");
                let paths = named_postings(row, connections)?;
                Ok(paths.iter().any(|(path, _)| path == wanted || path.starts_with(&below)))
            }
            _ => Ok(plain),
        }
    }
}

/// Postings with their account paths.
fn named_postings(row: &JournalRow, connections: &[Connection]) -> Result<Vec<(String, Posting)>> {
    let label = |no| connections.iter().find(|known| known.no == no).map_or("", |known| known.label.as_str());
    let named = postings(row, &|no| rail(connections, no))?.into_iter().map(|posting| {
        let path = chart::path(posting.account, chart::leaf(posting.account).map_or("", label));
        (path, posting)
    });
    Ok(named.collect())
}

fn rail(connections: &[Connection], no: ConnectionNo) -> Rail {
    connections.iter().find(|known| known.no == no).map_or(Rail::Managed, |known| known.rail)
}

/// A filtered walk in either direction.
struct Walk<'a> {
    store: ReadStore,
    connections: Vec<Connection>,
    filter: &'a EventFilter,
    place: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    fn new(snapshot: &Snapshot, filter: &'a EventFilter, after: Option<&EventKey>) -> Result<Self> {
        let place = match (filter.sort, after) {
            (Sort::Ascending, Some(key)) => Some(behind(key)),
            (Sort::Ascending, None) => filter.from.map(|from| instant_bytes(from).to_vec()),
            (Sort::Descending, Some(key)) => Some(key.to_bytes()),
            (Sort::Descending, None) => filter.to.map(|to| {
                // The first instant behind the last one wanted.
                instant_bytes(Timestamp::from_micros(to.as_micros().saturating_add(1))).to_vec()
            }),
        };
        let mut store = snapshot.store()?;
        Ok(Walk { connections: store.connections()?, store, filter, place })
    }

    fn next(&mut self) -> Result<Option<EventView>> {
        loop {
            let next = match self.filter.sort {
                Sort::Ascending => self.store.next_journal(self.place.as_deref().unwrap_or_default())?,
                Sort::Descending => self.store.previous_journal(self.place.as_deref())?,
            };
            let Some((key, row)) = next else { return Ok(None) };
            if self.filter.to.is_some_and(|to| key.time > to)
                || self.filter.from.is_some_and(|from| key.time < from)
            {
                return Ok(None);
            }
            self.place = Some(match self.filter.sort {
                Sort::Ascending => behind(&key),
                Sort::Descending => key.to_bytes(),
            });
            let annotation = self.store.annotation_over(&key.id, &row.merged)?;
            let view = EventView { key, row, annotation };
            if self.filter.matches(&view, &self.connections)? {
                return Ok(Some(view));
            }
        }
    }
}
