//! Finding records and events: components by shared identity, events by id.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, EventKey, TxId, instant_bytes};
use crate::model::{Event, Record};
use crate::normalise::{Rails, normalise, shared_identities};
use crate::store::{Readable, RecordKey, Store};
use crate::time::Timestamp;

/// Records in one component at most; a larger one is refused rather than walked over and over.
const COMPONENT_MAX: usize = 1_000;

/// Every record connected to `record` by shared identities, itself included, sorted by place.
pub(super) fn component<T: Readable>(
    store: &mut Store<T>,
    key: RecordKey,
    record: Record,
) -> Result<Vec<(RecordKey, Record)>> {
    let mut seen_groups = BTreeSet::new();
    let mut open: Vec<Vec<u8>> = shared_identities(&record);
    let mut known = BTreeSet::from([key.clone()]);
    let mut members = vec![(key, record)];
    while let Some(group) = open.pop() {
        if !seen_groups.insert(group.clone()) {
            continue;
        }
        for key in store.group_members(&group)? {
            if !known.insert(key.clone()) {
                continue;
            }
            let record =
                store.record(&key)?.ok_or_else(|| Error::Corrupt("a grouped record is missing".into()))?;
            open.extend(shared_identities(&record));
            members.push((key, record));
            if members.len() > COMPONENT_MAX {
                return Err(Error::invalid(
                    "transfer_ref",
                    "more than 1000 records share one identity; it is no reference of a transfer",
                ));
            }
        }
    }
    members.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(members)
}

/// The record or records that event id `id` names, as one component.
fn named<T: Readable>(store: &mut Store<T>, id: &EventId) -> Result<Option<Vec<(RecordKey, Record)>>> {
    let mut key = None;
    if let Ok(txid) = id.as_str().parse::<TxId>() {
        let mut group = vec![b't'];
        group.extend_from_slice(&txid.0);
        key = store.group_members(&group)?.into_iter().next();
    } else if let Some((connection, _)) = id.as_str().strip_prefix('c').and_then(|rest| rest.split_once('.'))
        && let Ok(no) = connection.parse()
    {
        key = store.locate_record(ConnectionNo(no), id)?;
    }
    let Some(key) = key else { return Ok(None) };
    let record = store.record(&key)?.ok_or_else(|| Error::Corrupt("an indexed record is missing".into()))?;
    component(store, key, record).map(Some)
}

/// An event found by id.
pub(crate) struct Located {
    /// Its place; the end of time while it is pending.
    pub key: EventKey,
    /// Ids of further records merged into it.
    pub merged: Vec<EventId>,
}

/// The event that `id` names: by its own id, or by that of any record merged into it. `None`: no such record.
pub(crate) fn locate_event<T: Readable>(
    store: &mut Store<T>,
    id: &EventId,
    rails: Rails<'_>,
) -> Result<Option<Located>> {
    let Some(component) = named(store, id)? else { return Ok(None) };
    let first = component.first().map(|(key, _)| key.key.clone());
    let records: Vec<Record> = component.into_iter().map(|(_, record)| record).collect();
    let mut events: Vec<Event> = normalise(&records, rails).into_iter().map(|(_, event)| event).collect();
    let named = events.iter().position(|event| event.key.id == *id).unwrap_or(0);
    if named < events.len() {
        let Event { key, merged, .. } = events.swap_remove(named);
        return Ok(Some(Located { key, merged }));
    }
    Ok(first.map(|key| Located { key: EventKey { time: Timestamp::MAX, ..key }, merged: Vec::new() }))
}

/// Transactions seen but not booked yet: unconfirmed, or coinbase outputs that have not matured.
pub(crate) fn pending_events<T: Readable>(store: &mut Store<T>) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    let mut from = instant_bytes(Timestamp::MAX).to_vec();
    while let Some((raw, record)) = store.next_record(&from)? {
        found.push(record);
        from = raw;
        from.push(0);
    }
    Ok(found)
}

/// The events a record leads.
pub(super) fn led_by<T: Readable>(
    store: &mut Store<T>,
    key: RecordKey,
    record: Record,
    rails: Rails<'_>,
) -> Result<Vec<Event>> {
    if shared_identities(&record).is_empty() {
        return Ok(normalise(std::slice::from_ref(&record), rails)
            .into_iter()
            .map(|(_, event)| event)
            .collect());
    }
    let (keys, records): (Vec<_>, Vec<_>) = component(store, key.clone(), record)?.into_iter().unzip();
    let led = normalise(&records, rails).into_iter().filter(|(leader, _)| keys.get(*leader) == Some(&key));
    Ok(led.map(|(_, event)| event).collect())
}
