//! [`inputs_hash`]: a digest of the facts that the journal up to an instant is made from.
//!
//! Facts are read in table order, so the digest does not depend on how or when they came. Covered are the records that stand at or
//! before the instant, those after it that are one event with them (an own transfer that arrives later), the annotations of
//! the events there, and every rate up to it. Policies are no part of it: a seal keeps them whole.

use std::collections::BTreeSet;

use ring::digest::{Context, SHA256};

use super::lookup::{component, locate_event};
use crate::error::{Error, Result};
use crate::id::{EventId, instant_bytes};
use crate::normalise::{Rails, shared_identities};
use crate::store::{Readable, RecordKey, Store};
use crate::time::Timestamp;

/// SHA-256 over the facts up to and including `end`.
pub(crate) fn inputs_hash<T: Readable>(
    store: &mut Store<T>,
    rails: Rails<'_>,
    end: Timestamp,
) -> Result<[u8; 32]> {
    let mut hash = Hash(Context::new(&SHA256));
    hash.part(b"records");
    let later = records(store, end, &mut hash)?;
    for key in later {
        let bytes = store.record_bytes(&key)?.ok_or_else(|| Error::Corrupt("a record is missing".into()))?;
        hash.row(&key.to_bytes(), bytes);
    }
    hash.part(b"annotations");
    annotations(store, rails, end, &mut hash)?;
    hash.part(b"rates");
    let last = instant_bytes(end);
    crate::store::for_each(&mut store.rates, &[], |key, value| {
        if key.last_chunk::<8>().is_some_and(|time| *time <= last) {
            hash.row(key, value);
        }
        Ok(true)
    })?;
    Ok(hash.finish())
}

/// Adds the records up to `end`; returns those behind it that are one event with some of them.
fn records<T: Readable>(
    store: &mut Store<T>,
    end: Timestamp,
    hash: &mut Hash,
) -> Result<BTreeSet<RecordKey>> {
    let mut later = BTreeSet::new();
    let mut from = Vec::new();
    while let Some((raw, record)) = store.next_record(&from)? {
        let key = RecordKey::from_bytes(&raw)?;
        if key.key.time > end {
            break;
        }
        if let Some(bytes) = store.record_bytes(&key)? {
            hash.row(&raw, bytes);
        }
        if !shared_identities(&record).is_empty() {
            let members = component(store, key, record)?.into_iter().map(|(key, _)| key);
            later.extend(members.filter(|key| key.key.time > end));
        }
        from = raw;
        from.push(0);
    }
    Ok(later)
}

fn annotations<T: Readable>(
    store: &mut Store<T>,
    rails: Rails<'_>,
    end: Timestamp,
    hash: &mut Hash,
) -> Result<()> {
    let mut from = Vec::new();
    while let Some((key, value)) = store.annotations.at_or_after(&from)? {
        let (key, value) = (key.to_vec(), value.to_vec());
        let id = String::from_utf8(key.clone()).map_err(|_| Error::Corrupt("annotation key".into()))?;
        if locate_event(store, &EventId::from_text(id), rails)?.is_some_and(|event| event.key.time <= end) {
            hash.row(&key, &value);
        }
        from = key;
        from.push(0);
    }
    Ok(())
}

/// A digest of rows that do not run into each other.
struct Hash(Context);

impl Hash {
    fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn row(&mut self, key: &[u8], value: &[u8]) {
        self.part(key);
        self.part(value);
    }

    fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }
}
