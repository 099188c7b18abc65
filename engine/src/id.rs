//! Identities: connections, events, lots, and the total order of the books.
//!
//! Owns the byte form of ordered keys: **byte order is business order**. Refuses to depend on arrival order: every
//! identity is a function of the connection and the native id.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A connection's number inside its book: 1, 2, … in order of creation, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionNo(pub u32);

/// A transaction id in display order (the order of its hex form).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TxId(pub [u8; 32]);

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TxId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid("txid", format!("{text:?} is not 64 hexadecimal digits"));
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| bad())?;
        }
        Ok(TxId(bytes))
    }
}

/// The identity of an event, as users see it: the txid for on-chain events, else `c<connection>.<native id>`.
///
/// Native ids that are long or not plain ASCII words appear as `~` and 32 hex digits of their SHA-256.
/// A copy shares the text: keys of lots carry ids into every row that touches the lot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Arc<str>);

/// Longest native id that is shown as it is.
const NATIVE_SHOWN_MAX: usize = 64;

impl EventId {
    /// The event of an on-chain transaction.
    pub fn of_tx(txid: TxId) -> Self {
        EventId(txid.to_string().into())
    }

    /// The event of a record with a native id in one connection.
    pub fn of_native(connection: ConnectionNo, native: &str) -> Self {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'~');
        let shown = (1..=NATIVE_SHOWN_MAX).contains(&native.len()) && native.bytes().all(plain);
        if shown && !native.starts_with('~') {
            return EventId(format!("c{}.{native}", connection.0).into());
        }
        let hash = digest::digest(&digest::SHA256, native.as_bytes());
        let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        EventId(format!("c{}.~{hex}", connection.0).into())
    }

    /// Takes an id as a user typed it; it may name nothing.
    pub fn from_text(text: impl Into<String>) -> Self {
        EventId(text.into().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As stored: a transaction's id as its 32 bytes, any other as text. Rows name lots, and lots name events: ids are
/// much of what a journal weighs.
#[derive(Serialize, Deserialize)]
enum StoredEventId<'a> {
    Text(&'a str),
    Tx([u8; 32]),
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0.parse::<TxId>() {
            Ok(txid) if txid.to_string() == *self.0 => StoredEventId::Tx(txid.0),
            _ => StoredEventId::Text(&self.0),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(match StoredEventId::deserialize(deserializer)? {
            StoredEventId::Text(text) => EventId(text.into()),
            StoredEventId::Tx(bytes) => EventId::of_tx(TxId(bytes)),
        })
    }
}

/// Within one instant: receipts first, then own transfers, then disposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Rank {
    /// Something came in.
    Receipt = 0,
    /// Moved between own places.
    Transfer = 1,
    /// Something went out, or could not be understood.
    Disposal = 2,
}

/// The place of an event in the books: (timestamp, rank, source order, event id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// When it happened.
    pub time: Timestamp,
    /// Its class within the instant.
    pub rank: Rank,
    /// Its order at the source: block height on chain, the trailing number of a native id elsewhere.
    pub order: u64,
    /// Its identity, the last tie-breaker.
    pub id: EventId,
}

impl EventKey {
    /// Ordered bytes: `time ‖ rank ‖ order ‖ id`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(17 + self.id.0.len());
        self.write(&mut bytes);
        bytes
    }

    /// Appends the ordered bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&instant_bytes(self.time));
        out.push(self.rank as u8);
        out.extend_from_slice(&self.order.to_be_bytes());
        out.extend_from_slice(self.id.0.as_bytes());
    }

    /// Reads what [`EventKey::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::Corrupt("event key".into());
        let (time, rest) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
        let (rank, rest) = rest.split_first().ok_or_else(bad)?;
        let (order, id) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let rank = match rank {
            0 => Rank::Receipt,
            1 => Rank::Transfer,
            2 => Rank::Disposal,
            _ => return Err(bad()),
        };
        let id = EventId(std::str::from_utf8(id).map_err(|_| bad())?.into());
        Ok(EventKey { time: instant_from_bytes(*time), rank, order: u64::from_be_bytes(*order), id })
    }
}

/// An instant as 8 bytes whose order is the order of time.
pub fn instant_bytes(time: Timestamp) -> [u8; 8] {
    ((time.as_micros() as u64) ^ (1 << 63)).to_be_bytes()
}

/// Reads what [`instant_bytes`] wrote.
pub fn instant_from_bytes(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_micros((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

/// The trailing decimal number of a native id (`buy-17` → 17), else 0: the source order of records without one.
pub fn trailing_number(native: &str) -> u64 {
    let digits = native.len() - native.bytes().rev().take_while(u8::is_ascii_digit).count();
    native[digits..].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn event_ids_are_readable_where_the_source_allows_it() {
        let id = |native| EventId::of_native(ConnectionNo(3), native).to_string();
        assert_eq!(id("buy-17"), "c3.buy-17");
        assert_eq!(id("a b"), "c3.~c8687a08aa5d6ed2044328fa6a697ab8");
        assert_ne!(id("~x"), "c3.~x");
        assert_eq!(id("").len(), 36);
    }

    #[test]
    fn trailing_numbers() {
        assert_eq!(
            [trailing_number("buy-17"), trailing_number("x"), trailing_number("99999999999999999999")],
            [17, 0, 0]
        );
    }

    fn any_key() -> impl Strategy<Value = EventKey> {
        let rank = prop_oneof![Just(Rank::Receipt), Just(Rank::Transfer), Just(Rank::Disposal)];
        (any::<i64>(), rank, any::<u64>(), "[a-z0-9.]{0,12}").prop_map(|(time, rank, order, id)| EventKey {
            time: Timestamp::from_micros(time),
            rank,
            order,
            id: EventId::from_text(id),
        })
    }

    proptest! {
        #[test]
        fn byte_order_is_business_order(a in any_key(), b in any_key()) {
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
            prop_assert_eq!(EventKey::from_bytes(&a.to_bytes()).unwrap(), a);
        }
    }
}
