//! The file behind the system store: opened, and opened anew after a failure, because redb gives up a file on which
//! anything failed.
//!
//! Invariant: the file is never open twice; whoever has the old handle keeps it until done.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nacre_engine::make_whole;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::{StoreError, tables};

/// Version of the whole file; rows have their own.
pub(crate) const FORMAT: u32 = 1;

const ABOUT: TableDefinition<&str, u32> = TableDefinition::new("about");

/// Page cache while a file is rewritten.
const COPY_CACHE_BYTES: usize = 16 << 20;

/// The file, open or not.
pub(super) struct SystemFile {
    path: PathBuf,
    cache_bytes: usize,
    held: Mutex<Held>,
}

struct Held {
    db: Option<Arc<Database>>,
    /// Whether something failed on this handle.
    stale: bool,
}

impl SystemFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path, cache_mib: usize) -> Result<Self, StoreError> {
        // A file that redb was interrupted in making can never be opened again.
        make_whole(path, |unborn| Database::create(unborn).map(drop))
            .map_err(|error| refused(path, &error))?;
        Self::open_existing(path, cache_mib)
    }

    /// Opens the file that is there.
    pub(super) fn open_existing(path: &Path, cache_mib: usize) -> Result<Self, StoreError> {
        let cache_bytes = cache_mib.saturating_mul(1024 * 1024);
        let db = Arc::new(opened(path, cache_bytes)?);
        let held = Mutex::new(Held { db: Some(db), stale: false });
        Ok(Self { path: path.to_owned(), cache_bytes, held })
    }

    /// A handle that works, as far as that is known; a failed one while others use it.
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock nobody can take a new handle, so a count of one is ours alone.
        if held.stale && held.db.as_ref().is_some_and(|db| Arc::strong_count(db) == 1) {
            held.db = None;
        }
        if let Some(db) = &held.db {
            return Ok(db.clone());
        }
        let db = Arc::new(opened(&self.path, self.cache_bytes)?);
        *held = Held { db: Some(db.clone()), stale: false };
        Ok(db)
    }

    /// Opens the file anew as soon as nobody uses it.
    pub(super) fn distrust(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).stale = true;
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn opened(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    Database::builder().set_cache_size(cache_bytes).open(path).map_err(|error| refused(path, &error))
}

fn refused(path: &Path, error: &DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
        other => StoreError::Open(format!("{}: {other}", path.display())),
    }
}

/// Makes sure that the file has this version's tables, and refuses one of another version.
pub(super) fn prepare(db: &Database) -> Result<(), StoreError> {
    let txn = db.begin_write()?;
    {
        let mut about = txn.open_table(ABOUT)?;
        let found = about.get("format")?.map(|format| format.value());
        match found {
            Some(FORMAT) => {}
            None => drop(about.insert("format", FORMAT)?),
            Some(other) => {
                let problem = format!("it has format version {other}, this version of nacre reads {FORMAT}");
                return Err(StoreError::Open(problem));
            }
        }
    }
    tables::create_all(&txn)?;
    txn.commit()?;
    Ok(())
}

/// Copies one state of `from` into a new file at `path`, which has no free space then.
pub(super) fn copy(from: &Database, path: &Path) -> Result<(), StoreError> {
    // Nothing that is there is written over.
    File::create_new(path).map_err(redb::StorageError::Io)?;
    let mut db = Database::builder().set_cache_size(COPY_CACHE_BYTES).create(path)?;
    prepare(&db)?;
    let to = db.begin_write()?;
    tables::copy_all(&from.begin_read()?, &to)?;
    to.commit()?;
    db.compact()?;
    Ok(())
}

/// Rewrites the file at `path`, which nobody has open, without its free space.
pub(crate) fn compact(path: &Path) -> Result<(), StoreError> {
    opened(path, COPY_CACHE_BYTES)?.compact()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{ABOUT, FORMAT, SystemFile, prepare};

    #[test]
    fn a_file_of_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = SystemFile::open(&dir.path().join("system.redb"), 1).unwrap();
        let db = file.database().unwrap();
        prepare(&db).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(ABOUT).unwrap().insert("format", FORMAT + 1).unwrap();
        txn.commit().unwrap();
        let words = prepare(&db).unwrap_err().to_string();
        assert!(words.contains("format version 2") && words.contains("reads 1"), "{words}");
    }
}
