//! Walks the records from an instant on and yields their events in the total order of the books.

use std::collections::BTreeMap;

use super::lookup::led_by;
use crate::error::Result;
use crate::id::{EventKey, instant_bytes};
use crate::model::{Event, Record};
use crate::normalise::{Rails, shared_identities};
use crate::store::{Readable, RecordKey, Store};
use crate::time::Timestamp;

/// A walk over the events at and after an instant.
pub(super) struct Scan {
    from: Vec<u8>,
    /// The record read last, whose turn has not come.
    ahead: Option<(RecordKey, Record)>,
    /// Events of grouped records, waiting for their turn: their place is never before their leader's, and in the same
    /// instant, so only one instant's events ever wait.
    waiting: BTreeMap<EventKey, Event>,
    done: bool,
}

impl Scan {
    pub fn starting(at: Timestamp) -> Self {
        Scan { from: instant_bytes(at).to_vec(), ahead: None, waiting: BTreeMap::new(), done: false }
    }

    pub fn next<T: Readable>(&mut self, store: &mut Store<T>, rails: Rails<'_>) -> Result<Option<Event>> {
        loop {
            if self.ahead.is_none() && !self.done {
                self.read(store)?;
            }
            let due = match (&self.ahead, self.waiting.first_key_value()) {
                (Some((ahead, _)), Some((waiting, _))) => *waiting < ahead.key,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            if due {
                return Ok(self.waiting.pop_first().map(|(_, event)| event));
            }
            let Some((key, record)) = self.ahead.take() else { return Ok(None) };
            let grouped = !shared_identities(&record).is_empty();
            for event in led_by(store, key, record, rails)? {
                if !grouped {
                    return Ok(Some(event));
                }
                self.waiting.insert(event.key.clone(), event);
            }
        }
    }

    fn read<T: Readable>(&mut self, store: &mut Store<T>) -> Result<()> {
        if let Some((raw, record)) = store.next_record(&self.from)? {
            let key = RecordKey::from_bytes(&raw)?;
            if key.key.time < Timestamp::MAX {
                self.from = raw;
                self.from.push(0);
                self.ahead = Some((key, record));
                return Ok(());
            }
        }
        self.done = true; // what follows is pending
        Ok(())
    }
}
