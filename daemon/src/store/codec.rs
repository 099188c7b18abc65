//! Rows as bytes: one version byte, then the record in postcard. A decoder never panics and never guesses:
//! an unknown version, trailing bytes or a short row are errors.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// A record that can be stored; `VERSION` changes whenever its fields do.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// First byte of the row.
    const VERSION: u8 = 1;

    /// The record that a row of an earlier version is now; `None` where there is none.
    fn older(_version: u8, _body: &[u8]) -> Option<Self> {
        None
    }
}

pub(super) fn encode<R: Record>(table: &'static str, row: &R) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(row, vec![R::VERSION])
        .map_err(|_| StoreError::Decode { table, reason: "cannot be encoded" })
}

pub(super) fn decode<R: Record>(table: &'static str, bytes: &[u8]) -> Result<R, StoreError> {
    let fail = |reason| StoreError::Decode { table, reason };
    match bytes.split_first() {
        Some((version, body)) if *version == R::VERSION => match postcard::take_from_bytes(body) {
            Ok((row, [])) => Ok(row),
            Ok(_) => Err(fail("has trailing bytes")),
            Err(_) => Err(fail("is cut short or damaged")),
        },
        Some((version, body)) => {
            R::older(*version, body).ok_or_else(|| fail("has a version this server does not know"))
        }
        None => Err(fail("is empty")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::record::User;
    use super::{decode, encode};

    #[test]
    fn damaged_rows_are_errors_never_panics() {
        let user = User {
            email: "a@b.example".to_owned(),
            password_hash: "x".to_owned(),
            is_active: true,
            created_at_ms: 7,
            api_key: "cla_".to_owned(),
        };
        let bytes = encode("users", &user).unwrap();
        assert_eq!(decode::<User>("users", &bytes).unwrap(), user);
        for cut in 0..bytes.len() {
            assert!(decode::<User>("users", &bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(decode::<User>("users", &longer).is_err());
        let mut newer = bytes;
        newer[0] = 2;
        assert!(decode::<User>("users", &newer).is_err());
    }
}
