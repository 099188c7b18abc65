//! A book on a disk that fails, and every row of it: for the crash tests, the simulation and the fuzz targets.

use super::Book;
use crate::error::Result;
use crate::model::Totals;
use crate::store::{BookFile, Disk, Readable, Store, for_each};

/// Every row of every table, in the order of `store/tables.rs`.
type Rows = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

impl Book {
    /// A book on `disk`; a new one when the disk is empty.
    ///
    /// # Errors
    /// As [`Book::open`].
    #[doc(hidden)]
    pub fn on_disk(disk: &Disk, cache_bytes: usize) -> Result<Self> {
        BookFile::over(disk.clone(), cache_bytes).map(|file| Book { file })
    }

    /// Every row of every table.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[doc(hidden)]
    pub fn rows(&self) -> Result<Rows> {
        let mut store = self.freeze()?.store()?;
        all(&mut store)
    }

    /// Makes derived rows of several tables wrong, as a bug or a later rule would; a full process mends them.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[doc(hidden)]
    pub fn spoil_derived(&self) -> Result<()> {
        let spoiled = self.write(|store| {
            store.journal.clear()?;
            store.lots.clear()?;
            store.set_totals(&Totals::default())?;
            Ok(Some(()))
        });
        spoiled.map(drop)
    }

    /// Empties the index of the records; no rebuild mends that.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[doc(hidden)]
    pub fn spoil_facts(&self) -> Result<()> {
        let spoiled = self.write(|store| {
            store.record_at.clear()?;
            Ok(Some(()))
        });
        spoiled.map(drop)
    }
}

fn all<T: Readable>(store: &mut Store<T>) -> Result<Rows> {
    let rows = store.every().into_iter().map(|table| {
        let mut found = Vec::new();
        for_each(table, &[], |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(true)
        })?;
        Ok(found)
    });
    rows.collect()
}
