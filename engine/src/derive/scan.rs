//! Walks the records from an instant on and yields their events in the total order of the books.

use std::collections::BTreeMap;

use super::lookup::led_by;
use crate::error::Result;
use crate::id::{EventKey, instant_bytes};
use crate::model::Event;
use crate::normalise::{Rails, shared_identities};
use crate::store::{Readable, RecordKey, Store};
use crate::time::Timestamp;

/// A walk over the events at and after an instant.
pub(super) struct Scan {
    from: Vec<u8>,
    /// Events of grouped records, waiting for their turn: their place is never before their leader's.
    waiting: BTreeMap<EventKey, Event>,
    /// A record on its own, read but not due yet.
    single: Option<Event>,
    done: bool,
}

impl Scan {
    pub fn starting(at: Timestamp) -> Self {
        Scan { from: instant_bytes(at).to_vec(), waiting: BTreeMap::new(), single: None, done: false }
    }

    pub fn next<T: Readable>(&mut self, store: &mut Store<T>, rails: Rails<'_>) -> Result<Option<Event>> {
        while self.single.is_none() && !self.done {
            self.read(store, rails)?;
        }
        let waiting_first = match (&self.single, self.waiting.first_key_value()) {
            (Some(single), Some((key, _))) => *key < single.key,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        Ok(if waiting_first { self.waiting.pop_first().map(|(_, event)| event) } else { self.single.take() })
    }

    /// Reads one record; one that leads several events or is grouped goes to the waiting room.
    fn read<T: Readable>(&mut self, store: &mut Store<T>, rails: Rails<'_>) -> Result<()> {
        let Some((raw, record)) = store.next_record(&self.from)? else {
            self.done = true;
            return Ok(());
        };
        let key = RecordKey::from_bytes(&raw)?;
        if key.key.time == Timestamp::MAX {
            self.done = true;
            return Ok(());
        }
        self.from = raw;
        self.from.push(0);
        let grouped = !shared_identities(&record).is_empty();
        for event in led_by(store, key, record, rails)? {
            if grouped {
                self.waiting.insert(event.key.clone(), event);
            } else {
                self.single = Some(event);
            }
        }
        Ok(())
    }
}
