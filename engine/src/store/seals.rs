//! Sealed periods and their rows.

use super::codec::{decode, encode, encode_sized};
use super::tables::{Readable, Store, WriteStore};
use crate::error::{Error, Result};
use crate::id::EventKey;
use crate::model::{Seal, SealedSale};

impl<T: Readable> Store<T> {
    /// Every seal, oldest first.
    pub fn all_seals(&mut self) -> Result<Vec<Seal>> {
        let mut found = Vec::new();
        super::meta::for_each(&mut self.seals, &[], |_, value| {
            found.push(decode(value)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// The seal with this public id.
    pub fn seal(&mut self, id: &str) -> Result<Seal> {
        let found = self.all_seals()?.into_iter().find(|seal| seal.id == id);
        found.ok_or_else(|| Error::not_found("seal", id))
    }

    /// The number of the next seal.
    pub fn next_seal(&mut self) -> Result<u64> {
        let number = self.meta.get(b"next_seal")?.map(decode).transpose()?;
        Ok(number.unwrap_or(1))
    }

    /// The first sealed row of `seal` at or after the event key `from` (raw; empty: its first row).
    pub fn next_sealed(&mut self, seal: u64, from: &[u8]) -> Result<Option<(EventKey, SealedSale)>> {
        let prefix = seal.to_be_bytes();
        let start = [&prefix, from].concat();
        let Some((key, value)) = self.sealed_rows.at_or_after(&start)? else { return Ok(None) };
        let Some(event) = key.strip_prefix(prefix.as_slice()) else { return Ok(None) };
        Ok(Some((EventKey::from_bytes(event)?, decode(value)?)))
    }
}

impl WriteStore<'_> {
    pub fn put_seal(&mut self, seal: &Seal) -> Result<()> {
        self.seals.put(&seal.no.to_be_bytes(), &encode_sized(seal, 512)?)?;
        if seal.no >= self.next_seal()? {
            self.meta.put(b"next_seal", &encode(&(seal.no.saturating_add(1)))?)?;
        }
        Ok(())
    }

    pub fn put_sealed(&mut self, seal: u64, key: &EventKey, sale: &SealedSale) -> Result<()> {
        let raw = [seal.to_be_bytes().as_slice(), &key.to_bytes()].concat();
        self.sealed_rows.put(&raw, &encode_sized(sale, 256)?)?;
        Ok(())
    }

    /// Removes a seal with its rows.
    pub fn remove_seal(&mut self, seal: u64) -> Result<()> {
        while let Some((key, _)) = self.next_sealed(seal, &[])? {
            self.sealed_rows.remove(&[seal.to_be_bytes().as_slice(), &key.to_bytes()].concat())?;
        }
        self.seals.remove(&seal.to_be_bytes())?;
        Ok(())
    }
}
