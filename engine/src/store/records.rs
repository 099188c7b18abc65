//! Records, their two indexes, and rates.

use serde::{Deserialize, Serialize};

use super::codec::{decode, encode};
use super::tables::{Readable, Store, WriteStore};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, EventKey, instant_bytes, instant_from_bytes};
use crate::model::Record;
use crate::money::Rate;
use crate::time::Timestamp;

/// Bytes of time, rank and order at the head of an event key.
const PLACE_BYTES: usize = 17;

/// Where a record stands: the place of its event as far as the record alone can tell, and its connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordKey {
    pub key: EventKey,
    pub connection: ConnectionNo,
}

impl RecordKey {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.key.to_bytes();
        bytes.push(0);
        bytes.extend_from_slice(&self.connection.0.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::Corrupt("record key".into());
        let (rest, connection) = bytes.split_last_chunk::<4>().ok_or_else(bad)?;
        let (0, key) = rest.split_last().ok_or_else(bad).map(|(zero, key)| (*zero, key))? else {
            return Err(bad());
        };
        Ok(RecordKey {
            key: EventKey::from_bytes(key)?,
            connection: ConnectionNo(u32::from_be_bytes(*connection)),
        })
    }

    fn index_bytes(connection: ConnectionNo, id: &EventId) -> Vec<u8> {
        let mut bytes = connection.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(id.as_str().as_bytes());
        bytes
    }

    fn from_index(index: &[u8], place: &[u8]) -> Result<Self> {
        let bad = || Error::Corrupt("record index".into());
        let (connection, id) = index.split_first_chunk::<4>().ok_or_else(bad)?;
        let mut key = place.to_vec();
        key.extend_from_slice(id);
        Ok(RecordKey {
            key: EventKey::from_bytes(&key)?,
            connection: ConnectionNo(u32::from_be_bytes(*connection)),
        })
    }
}

/// A rate row: price and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateRow {
    /// Price of one bitcoin in the pair's currency.
    pub rate: Rate,
    /// Its provider, e.g. `import`.
    pub provider: String,
}

impl<T: Readable> Store<T> {
    /// Where the record of a connection with this event id stands.
    pub fn locate_record(&mut self, connection: ConnectionNo, id: &EventId) -> Result<Option<RecordKey>> {
        let index = RecordKey::index_bytes(connection, id);
        let place = self.record_at.get(&index)?;
        place.map(|place| RecordKey::from_index(&index, place)).transpose()
    }

    pub fn record_bytes(&mut self, key: &RecordKey) -> Result<Option<&[u8]>> {
        self.records.get(&key.to_bytes())
    }

    pub fn record(&mut self, key: &RecordKey) -> Result<Option<Record>> {
        self.record_bytes(key)?.map(decode).transpose()
    }

    /// The first record at or after `from`, with its raw key.
    pub fn next_record(&mut self, from: &[u8]) -> Result<Option<(Vec<u8>, Record)>> {
        self.records.at_or_after(from)?.map(|(key, value)| Ok((key.to_vec(), decode(value)?))).transpose()
    }

    /// Every record that carries the shared identity `group`.
    pub fn group_members(&mut self, group: &[u8]) -> Result<Vec<RecordKey>> {
        let prefix = group_prefix(group);
        let mut found = Vec::new();
        super::meta::for_each(&mut self.groups, &prefix, |key, place| {
            let Some(index) = key.strip_prefix(prefix.as_slice()) else { return Ok(false) };
            found.push(RecordKey::from_index(index, place)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Every record of a connection.
    pub fn connection_records(&mut self, connection: ConnectionNo) -> Result<Vec<RecordKey>> {
        let prefix = connection.0.to_be_bytes();
        let mut found = Vec::new();
        super::meta::for_each(&mut self.record_at, &prefix, |index, place| {
            if !index.starts_with(&prefix) {
                return Ok(false);
            }
            found.push(RecordKey::from_index(index, place)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// The last rate of `pair` at or before `at`.
    pub fn rate_at(&mut self, pair: &str, at: Timestamp) -> Result<Option<(Timestamp, RateRow)>> {
        let mut bound = rate_key(pair, at);
        bound.push(0);
        let Some((key, value)) = self.rates.before(Some(&bound))? else { return Ok(None) };
        match key.strip_prefix(rate_prefix(pair).as_slice()).and_then(|time| <[u8; 8]>::try_from(time).ok()) {
            Some(time) => Ok(Some((instant_from_bytes(time), decode(value)?))),
            None => Ok(None),
        }
    }

    /// The instant of the first rate of `pair` after `at`.
    pub fn next_rate_time(&mut self, pair: &str, at: Timestamp) -> Result<Option<Timestamp>> {
        let mut bound = rate_key(pair, at);
        bound.push(0);
        let Some((key, _)) = self.rates.at_or_after(&bound)? else { return Ok(None) };
        let time = key.strip_prefix(rate_prefix(pair).as_slice()).and_then(|time| time.try_into().ok());
        Ok(time.map(instant_from_bytes))
    }

    pub fn rate_exactly_at(&mut self, pair: &str, at: Timestamp) -> Result<Option<RateRow>> {
        self.rates.get(&rate_key(pair, at))?.map(decode).transpose()
    }
}

impl WriteStore<'_> {
    /// Stores a record (already encoded) with its index rows.
    pub fn put_record(&mut self, key: &RecordKey, bytes: &[u8], groups: &[Vec<u8>]) -> Result<()> {
        let raw = key.to_bytes();
        let place = raw.get(..PLACE_BYTES).unwrap_or_default();
        self.records.put(&raw, bytes)?;
        for group in groups {
            self.groups.put(&group_key(group, key), place)?;
        }
        Ok(())
    }

    /// Stores the identity index row of a record. Apart from [`Self::put_record`] so that a batch can sort each table's keys.
    pub fn put_record_index(&mut self, key: &RecordKey) -> Result<()> {
        let raw = key.key.to_bytes();
        let place = raw.get(..PLACE_BYTES).unwrap_or_default();
        self.record_at.put(&RecordKey::index_bytes(key.connection, &key.key.id), place)?;
        Ok(())
    }

    /// Removes a record with all its index rows.
    pub fn remove_record(&mut self, key: &RecordKey, groups: &[Vec<u8>]) -> Result<()> {
        self.records.remove(&key.to_bytes())?;
        self.record_at.remove(&RecordKey::index_bytes(key.connection, &key.key.id))?;
        for group in groups {
            self.groups.remove(&group_key(group, key))?;
        }
        Ok(())
    }

    pub fn put_rate(&mut self, pair: &str, at: Timestamp, row: &RateRow) -> Result<()> {
        self.rates.put(&rate_key(pair, at), &encode(row)?)?;
        Ok(())
    }
}

/// A record as stored.
pub(crate) fn record_to_bytes(record: &Record) -> Result<Vec<u8>> {
    encode(record)
}

/// Reads what [`record_to_bytes`] wrote.
pub(crate) fn record_from_bytes(bytes: &[u8]) -> Result<Record> {
    decode(bytes)
}

fn group_prefix(group: &[u8]) -> Vec<u8> {
    let mut bytes = (group.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(group);
    bytes
}

fn group_key(group: &[u8], key: &RecordKey) -> Vec<u8> {
    let mut bytes = group_prefix(group);
    bytes.extend(RecordKey::index_bytes(key.connection, &key.key.id));
    bytes
}

fn rate_prefix(pair: &str) -> Vec<u8> {
    let mut bytes = pair.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn rate_key(pair: &str, at: Timestamp) -> Vec<u8> {
    let mut bytes = rate_prefix(pair);
    bytes.extend_from_slice(&instant_bytes(at));
    bytes
}
