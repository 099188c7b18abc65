//! Records → events, or a quarantine reason. Pure.
//!
//! Unit of work: a *component*, the records connected by shared identities (txid, payment hash, transfer reference);
//! most are a single record. Each event has one leading record of the same instant, so that walking records in time
//! order meets every event exactly once. Refuses to guess: what does not add up is quarantined.

mod chain;
mod identity;
mod pair;
mod plain;

pub use identity::{place, shared_identities};

use crate::id::{ConnectionNo, EventId};
use crate::model::{Event, Rail, Record, RecordBody};

/// Which account family a connection's bitcoin sits in.
pub type Rails<'a> = &'a dyn Fn(ConnectionNo) -> Rail;

/// An event and the record of the component that leads it (its index).
pub type Led = (usize, Event);

/// The events of one component, whose records are sorted by their places.
pub fn normalise(component: &[Record], rails: Rails<'_>) -> Vec<Led> {
    match component {
        [single] => match &single.body {
            RecordBody::Plain(plain) => vec![(0, plain::event(single, plain, rails))],
            RecordBody::Chain(_) => chain::event(component).into_iter().map(|event| (0, event)).collect(),
        },
        _ => pair::events(component, rails),
    }
}

/// The event id of a record on its own.
pub fn event_id(record: &Record) -> EventId {
    match &record.body {
        RecordBody::Plain(_) => EventId::of_native(record.connection, &record.native_id),
        RecordBody::Chain(view) => EventId::of_tx(view.txid),
    }
}

fn sorted_connections(of: impl IntoIterator<Item = ConnectionNo>) -> Vec<ConnectionNo> {
    let mut connections: Vec<_> = of.into_iter().collect();
    connections.sort_unstable();
    connections.dedup();
    connections
}
