//! The book file: opening, creating, transactions.

use std::fs::File;
use std::path::Path;

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, TableHandle, WriteTransaction,
};

use super::tables::{ReadStore, TABLES, WriteStore, open};
use super::{failed, make_whole};
use crate::error::{Error, Result};

/// One state of the file; later writes do not show in it.
pub(crate) struct Frozen(ReadTransaction);

impl Frozen {
    /// The tables of this state.
    pub fn store(&self) -> Result<ReadStore> {
        ReadStore::read(&self.0)
    }
}

/// An open book file. One writer at a time; readers see snapshots.
pub(crate) struct BookFile {
    db: Database,
}

impl BookFile {
    /// Opens the file at `path`, creating it when absent. `cache_bytes` bounds the page cache.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self> {
        // A file that redb was interrupted in making can never be opened again.
        make_whole::<DatabaseError>(path, |unborn| Database::create(unborn).map(drop)).map_err(failed)?;
        let db = Database::builder().set_cache_size(cache_bytes).create(path).map_err(failed)?;
        Self::prepare(db)
    }

    /// A book over any storage backend (memory, fault injection).
    pub fn over(backend: impl StorageBackend, cache_bytes: usize) -> Result<Self> {
        let db =
            Database::builder().set_cache_size(cache_bytes).create_with_backend(backend).map_err(failed)?;
        Self::prepare(db)
    }

    /// A book in memory.
    pub fn in_memory() -> Result<Self> {
        Self::over(redb::backends::InMemoryBackend::new(), 16 << 20)
    }

    fn prepare(db: Database) -> Result<Self> {
        let file = BookFile { db };
        match file.read().and_then(|mut store| store.check_format()) {
            Ok(()) => Ok(file),
            Err(Error::Format(_)) if file.is_new()? => {
                file.write(|store| store.set_format().map(|()| Some(())))?;
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }

    fn is_new(&self) -> Result<bool> {
        let txn = self.db.begin_read().map_err(failed)?;
        Ok(txn.list_tables().map_err(failed)?.next().is_none())
    }

    /// The tables as they are now.
    pub fn read(&self) -> Result<ReadStore> {
        self.freeze()?.store()
    }

    /// A snapshot that can be read through several stores at once.
    pub fn freeze(&self) -> Result<Frozen> {
        self.db.begin_read().map(Frozen).map_err(failed)
    }

    /// One write transaction: committed durably when `work` returns `Some`, dropped without a trace otherwise.
    pub fn write<R>(&self, work: impl FnOnce(&mut WriteStore<'_>) -> Result<Option<R>>) -> Result<Option<R>> {
        let txn = self.db.begin_write().map_err(failed)?;
        let outcome = {
            let mut store = WriteStore::write(&txn)?;
            let outcome = work(&mut store);
            match outcome {
                Ok(Some(_)) => store.flush().and(outcome),
                other => other,
            }
        };
        match outcome {
            Ok(Some(result)) => {
                txn.commit().map_err(failed)?;
                Ok(Some(result))
            }
            other => {
                txn.abort().map_err(failed)?;
                other
            }
        }
    }

    /// Copies the tables as they are now into a new file at `path`, which has no free space then.
    pub fn copy_to(&self, path: &Path, cache_bytes: usize) -> Result<()> {
        let from = self.db.begin_read().map_err(failed)?;
        let strange = from.list_tables().map_err(failed)?.find(|table| !TABLES.contains(&table.name()));
        if let Some(table) = strange {
            return Err(Error::Format(format!("table {} is not known", table.name())));
        }
        // Nothing that is there is written over.
        File::create_new(path).map_err(|error| failed(redb::Error::Io(error)))?;
        let mut db = Database::builder().set_cache_size(cache_bytes).create(path).map_err(failed)?;
        let to = db.begin_write().map_err(failed)?;
        TABLES.iter().try_for_each(|name| copy_table(&from, &to, name))?;
        to.commit().map_err(failed)?;
        db.compact().map_err(failed)?;
        Ok(())
    }

    /// Rewrites the file without free space. Needs exclusive access.
    pub fn compact(&mut self) -> Result<bool> {
        self.db.compact().map_err(failed)
    }
}

fn copy_table(from: &ReadTransaction, to: &WriteTransaction, name: &str) -> Result<()> {
    let from = open(from, name)?;
    let mut to = to.open_table(TableDefinition::<&[u8], &[u8]>::new(name)).map_err(failed)?;
    for row in from.iter().map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        to.insert(key.value(), value.value()).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::codec::encode;
    use super::super::meta::FORMAT;
    use super::BookFile;
    use crate::error::Error;

    #[test]
    fn a_file_of_another_version_is_refused_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book.redb");
        let later = encode(&(FORMAT + 1)).unwrap();
        let write = |file: &BookFile| file.write(|store| store.meta.put(b"format", &later).map(Some));
        write(&BookFile::open(&path, 1 << 20).unwrap()).unwrap();
        for _ in 0..2 {
            let refused = BookFile::open(&path, 1 << 20).err();
            assert!(matches!(refused, Some(Error::Format(words)) if words.contains("file format 2")));
        }
    }

    #[test]
    fn a_copy_holds_the_same_rows_and_never_replaces_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = BookFile::in_memory().unwrap();
        let put = |no: u32| {
            file.write(|store| store.records.put(&no.to_be_bytes(), &[7; 90]).map(Some)).unwrap();
        };
        (0..500).for_each(put);
        let path = dir.path().join("copy.redb");
        file.copy_to(&path, 1 << 20).unwrap();
        assert!(matches!(file.copy_to(&path, 1 << 20), Err(Error::Storage(_))));
        let copy = BookFile::open(&path, 1 << 20).unwrap();
        let rows = |file: &BookFile| {
            let mut rows = Vec::new();
            let mut store = file.read().unwrap();
            for table in store.every() {
                super::super::for_each(table, &[], |key, value| {
                    rows.push((key.to_vec(), value.to_vec()));
                    Ok(true)
                })
                .unwrap();
            }
            rows
        };
        assert!(rows(&copy) == rows(&file) && rows(&file).len() > 500);
    }
}
