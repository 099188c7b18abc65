//! Facts in: a batch of records is classified against what is stored, written, and marks what it touches.
//!
//! Invariant: a record that is already stored as it is costs nothing and marks nothing.

use super::lookup::component;
use crate::error::{Error, Result};
use crate::id::EventId;
use crate::model::{Record, RecordBody, Touched};
use crate::normalise::{place, shared_identities};
use crate::store::{RecordKey, WriteStore, record_from_bytes, record_to_bytes};
use crate::time::Timestamp;

/// What became of one delivered record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// Stored for the first time.
    New,
    /// Already stored as it is.
    Duplicate,
    /// Replaced a different record of the same identity.
    Changed,
}

/// Instants of one batch that are marked one by one.
const SINGLE_MARKS_MAX: usize = 16;

/// A record on its way in.
struct Arrival {
    at: usize,
    key: RecordKey,
    bytes: Vec<u8>,
    record: Record,
    outcome: RowOutcome,
    old: Option<RecordKey>,
}

/// Stores a batch; answers in the order given, each with the record's event id. What is new or changed is `touched`.
pub(crate) fn intake(
    store: &mut WriteStore<'_>,
    records: Vec<Record>,
    touched: &mut Touched,
) -> Result<Vec<(EventId, RowOutcome)>> {
    let count = records.len();
    let mut arrivals = classify(store, records)?;
    for arrival in arrivals.iter().filter(|arrival| arrival.outcome == RowOutcome::Changed) {
        if let Some(old) = &arrival.old {
            touched.add(&old.key.id, old.key.time);
            remove(store, old)?;
            store.put_record_index(&arrival.key)?;
        }
    }
    // Sorted by place: the order of the records table.
    arrivals.sort_by(|a, b| a.key.cmp(&b.key));
    let mut answers: Vec<Option<(EventId, RowOutcome)>> = vec![None; count];
    let mut grouped = Vec::new();
    let mut marks = Vec::new();
    for arrival in arrivals {
        if arrival.outcome != RowOutcome::Duplicate {
            let groups = shared_identities(&arrival.record);
            store.put_record(&arrival.key, &arrival.bytes, &groups)?;
            marks.push(arrival.key.key.time);
            if names_lots(&arrival.record) {
                store.set_names_lots()?;
            }
            if arrival.outcome == RowOutcome::New {
                touched.add(&arrival.key.key.id, arrival.key.key.time);
            } else {
                touched.widen(arrival.key.key.time);
            }
            if !groups.is_empty() {
                grouped.push((arrival.key.clone(), arrival.record));
            }
        }
        if let Some(answer) = answers.get_mut(arrival.at) {
            *answer = Some((arrival.key.key.id, arrival.outcome));
        }
    }
    mark_all(store, marks)?;
    for (key, record) in grouped {
        touch(store, key, record)?;
    }
    answers
        .into_iter()
        .map(|answer| answer.ok_or_else(|| Error::Corrupt("a record without an answer".into())))
        .collect()
}

/// Removes records, marking what they were part of; they are `touched`.
pub(crate) fn remove_records(
    store: &mut WriteStore<'_>,
    keys: &[RecordKey],
    touched: &mut Touched,
) -> Result<()> {
    keys.iter().try_for_each(|key| {
        touched.add(&key.key.id, key.key.time);
        remove(store, key)
    })
}

/// Finds each record's stored twin. Walks the identity index in its own order, and writes it on the way.
fn classify(store: &mut WriteStore<'_>, records: Vec<Record>) -> Result<Vec<Arrival>> {
    let mut arrivals = Vec::with_capacity(records.len());
    for (at, record) in records.into_iter().enumerate() {
        let key = RecordKey { key: place(&record), connection: record.connection };
        let bytes = record_to_bytes(&record)?;
        arrivals.push(Arrival { at, key, bytes, record, outcome: RowOutcome::New, old: None });
    }
    arrivals.sort_by(|a, b| {
        (a.key.connection, &a.key.key.id, a.at).cmp(&(b.key.connection, &b.key.key.id, b.at))
    });
    if let Some(pair) =
        arrivals.windows(2).find(|pair| same_identity(&pair[0], &pair[1]) && pair[0].bytes != pair[1].bytes)
    {
        return Err(Error::invalid(
            "id",
            format!("{} occurs twice in one delivery with different content", pair[0].key.key.id),
        ));
    }
    let mut previous: Option<(crate::id::ConnectionNo, EventId)> = None;
    for arrival in &mut arrivals {
        let identity = (arrival.key.connection, arrival.key.key.id.clone());
        if previous.as_ref() == Some(&identity) {
            arrival.outcome = RowOutcome::Duplicate;
            continue;
        }
        arrival.old = store.locate_record(identity.0, &identity.1)?;
        previous = Some(identity);
    }
    // Compare with the stored twins in the order of the records table.
    let mut twins: Vec<&mut Arrival> = arrivals.iter_mut().filter(|arrival| arrival.old.is_some()).collect();
    twins.sort_by(|a, b| a.old.cmp(&b.old));
    for arrival in twins {
        let Some(old) = &arrival.old else { continue };
        let same = store.record_bytes(old)? == Some(arrival.bytes.as_slice());
        arrival.outcome = if same { RowOutcome::Duplicate } else { RowOutcome::Changed };
    }
    for arrival in arrivals.iter().filter(|arrival| arrival.outcome == RowOutcome::New) {
        store.put_record_index(&arrival.key)?;
    }
    Ok(arrivals)
}

fn same_identity(a: &Arrival, b: &Arrival) -> bool {
    a.key.connection == b.key.connection && a.key.key.id == b.key.key.id
}

fn remove(store: &mut WriteStore<'_>, key: &RecordKey) -> Result<()> {
    let bytes =
        store.record_bytes(key)?.ok_or_else(|| Error::Corrupt("an indexed record is missing".into()))?;
    let record = record_from_bytes(bytes)?;
    let groups = shared_identities(&record);
    if groups.is_empty() {
        store.mark(key.key.time, key.key.time)?;
    } else {
        touch(store, key.clone(), record)?;
    }
    store.remove_record(key, &groups)
}

/// Marks instants, in ascending order: each of a few, the span of many.
fn mark_all(store: &mut WriteStore<'_>, mut instants: Vec<Timestamp>) -> Result<()> {
    instants.retain(|instant| *instant < Timestamp::MAX);
    instants.dedup();
    match instants.as_slice() {
        few if few.len() <= SINGLE_MARKS_MAX => few.iter().try_for_each(|at| store.mark(*at, *at)),
        [first, .., last] => store.mark(*first, *last),
        _ => Ok(()),
    }
}

/// Marks every record this one is connected to.
fn touch(store: &mut WriteStore<'_>, key: RecordKey, record: Record) -> Result<()> {
    let names = store.names_lots()?;
    for (member, _) in component(store, key, record)? {
        let at = member.key.time;
        // A record that names lots may mean another event by the same id from now on.
        store.mark(at, if names { Timestamp::MAX } else { at })?;
    }
    Ok(())
}

fn names_lots(record: &Record) -> bool {
    match &record.body {
        RecordBody::Plain(plain) => plain.extra.as_deref().is_some_and(|extra| !extra.lots.is_empty()),
        RecordBody::Chain(_) => false,
    }
}
