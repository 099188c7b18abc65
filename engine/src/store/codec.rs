//! Values as bytes: postcard behind a version byte. A decoder never panics.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Version of every value this build writes.
const VERSION: u8 = 1;

/// `value` as stored.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    encode_sized(value, 96)
}

/// As [`encode`], for values that usually take up to `bytes`.
pub(crate) fn encode_sized<T: Serialize>(value: &T, bytes: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(bytes);
    bytes.push(VERSION);
    postcard::to_extend(value, bytes)
        .map_err(|error| Error::Corrupt(format!("value does not encode: {error}")))
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bad = || Error::Corrupt(format!("a stored {} does not decode", std::any::type_name::<T>()));
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let (value, left) = postcard::take_from_bytes(rest).map_err(|_| bad())?;
            if left.is_empty() { Ok(value) } else { Err(bad()) }
        }
        Some((version, _)) => Err(Error::Format(format!("a stored value has version {version}"))),
        None => Err(bad()),
    }
}
