//! The system store: `system.redb`. The only place of this crate that names `redb`.
//!
//! Invariants: a write is one closure = one transaction = all or nothing and durable when it returns; a read
//! is a snapshot. Both run on the blocking pool, so async code cannot block on the disk. After a failed
//! write the store reports itself stopped, and a write goes on only when a probe says that the disk takes writes again.
//! It knows records, not rules: who may see a row is decided by the key the caller can build.

mod codec;
mod file;
mod older;
pub(crate) mod record;
pub(crate) mod tables;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nacre_engine::is_full;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

pub(crate) use codec::Record;
use file::SystemFile;
pub(crate) use file::{FORMAT, compact};
pub(crate) use tables::Table;

use crate::room;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened: damaged, in use by another process, or not readable.
    #[error("cannot open the system store: {0}")]
    Open(String),
    /// Another process has the file open.
    #[error("another nacre process uses {0}")]
    InUse(String),
    /// There is no room for the write; nothing was written.
    #[error("the disk of the data folder is full: {0}")]
    Full(String),
    /// The disk or the file failed.
    #[error("the system store failed: {0}")]
    Storage(String),
    /// A row cannot be read by this version.
    #[error("a row of table {table} cannot be decoded: {reason}")]
    Decode {
        /// Table of the row.
        table: &'static str,
        /// What is wrong with its bytes.
        reason: &'static str,
    },
    /// The blocking task was lost, which happens only while the process stops.
    #[error("the server is stopping")]
    Lost,
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) if is_full(error.kind()) => Self::Full(error.to_string()),
            other => Self::Storage(other.to_string()),
        }
    }
}

/// Handle on the open system store; clones share one file.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    file: SystemFile,
    spool_dir: PathBuf,
    stopped: AtomicBool,
}

impl Store {
    /// Opens or creates the file and makes sure every table exists. Where there is room is tried in `spool_dir`.
    pub(crate) fn open(path: &Path, spool_dir: PathBuf, cache_mib: usize) -> Result<Self, StoreError> {
        let file = SystemFile::open(path, cache_mib)?;
        file::prepare(&*file.database()?)?;
        Ok(Self { inner: Arc::new(Inner { file, spool_dir, stopped: AtomicBool::new(false) }) })
    }

    /// Copies the store as it is now into a new file. Blocks.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        file::copy(&*self.inner.file.database()?, path)
    }

    /// Reads every row; how many there are. Blocks.
    ///
    /// # Errors
    /// The first that does not decode.
    pub(crate) fn check(&self) -> Result<u64, StoreError> {
        tables::check_all(&self.inner.file.database()?.begin_read()?)
    }

    /// Whether a write failed and none has been possible since.
    pub(crate) fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Acquire)
    }

    /// Runs `work` on a snapshot, off the async threads.
    pub(crate) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&ReadTx) -> Result<T, E> + Send + 'static,
    {
        let store = self.clone();
        join(tokio::task::spawn_blocking(move || store.read_now(work)).await)
    }

    /// Runs `work` in one write transaction, off the async threads; an `Err` leaves nothing behind.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&WriteTx) -> Result<T, E> + Send + 'static,
    {
        let store = self.clone();
        join(tokio::task::spawn_blocking(move || store.write_now(work)).await)
    }

    /// [`Store::read`] for code that is already on a blocking thread.
    pub(crate) fn read_now<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&ReadTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let db = self.inner.file.database()?;
        let txn = db.begin_read().map_err(|error| self.distrusted(error.into()))?;
        work(&ReadTx { txn, _db: db })
    }

    /// [`Store::write`] for code that is already on a blocking thread.
    pub(crate) fn write_now<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&WriteTx) -> Result<T, E>,
    ) -> Result<T, E> {
        self.go_on()?;
        let tx = self.begin()?;
        // An error drops the transaction, which aborts it.
        let answer = work(&tx)?;
        tx.txn.commit().map_err(|error| self.failed(error.into()))?;
        Ok(answer)
    }

    fn begin(&self) -> Result<WriteTx, StoreError> {
        let begin = || {
            let db = self.inner.file.database()?;
            let txn = db.begin_write()?;
            Ok(WriteTx { txn, _db: db })
        };
        // What failed inside an earlier transaction shows here first; then a new handle is what is needed.
        begin().or_else(|error: StoreError| {
            self.distrusted(error);
            begin().map_err(|error| self.failed(error))
        })
    }

    /// Lets writing go on after a failure if the disk takes writes again.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn go_on(&self) -> Result<(), StoreError> {
        if !self.is_stopped() {
            return Ok(());
        }
        let Inner { file, spool_dir, stopped } = &*self.inner;
        room::probe(spool_dir, file.path())
            .map_err(|error| StoreError::from(redb::StorageError::Io(error)))?;
        file.database()?.begin_write()?.commit()?;
        stopped.store(false, Ordering::Release);
        tracing::info!("the system store is written again");
        Ok(())
    }

    /// Whether there is room for the file to grow.
    fn probe(&self) -> Result<(), StoreError> {
        let Inner { file, spool_dir, .. } = &*self.inner;
        room::probe(spool_dir, file.path()).map_err(|error| redb::StorageError::Io(error).into())
    }

    fn distrusted(&self, error: StoreError) -> StoreError {
        self.inner.file.distrust();
        error
    }

    fn failed(&self, error: StoreError) -> StoreError {
        self.inner.stopped.store(true, Ordering::Release);
        // The first error is not always told, only that there was one.
        let error = match self.probe() {
            Err(full @ StoreError::Full(_)) => full,
            _ => error,
        };
        tracing::error!(%error, "the system store stopped writing");
        self.distrusted(error)
    }
}

fn join<T, E: From<StoreError>>(joined: Result<Result<T, E>, tokio::task::JoinError>) -> Result<T, E> {
    joined.unwrap_or_else(|_| Err(StoreError::Lost.into()))
}

/// A snapshot of the store.
pub(crate) struct ReadTx {
    txn: ReadTransaction,
    /// Kept open as long as the transaction.
    _db: Arc<Database>,
}

/// The one open write transaction.
pub(crate) struct WriteTx {
    txn: WriteTransaction,
    /// Kept open as long as the transaction.
    _db: Arc<Database>,
}

/// Reading, the same on a snapshot and inside a write. Ranges include both ends.
pub(crate) trait Rows {
    /// The table as this transaction opens it.
    type Open<'t, K: redb::Key + 'static>: ReadableTable<K, &'static [u8]>
    where
        Self: 't;

    /// Opens a table.
    fn open<K: redb::Key + 'static, R>(&self, table: &Table<K, R>) -> Result<Self::Open<'_, K>, StoreError>;

    /// The row at a key.
    fn get<K, R>(&self, table: &Table<K, R>, key: K::SelfType<'_>) -> Result<Option<R>, StoreError>
    where
        K: redb::Key + 'static,
        R: Record,
    {
        let open = self.open(table)?;
        let row = open.get(key)?;
        row.map(|value| codec::decode(table.name(), value.value())).transpose()
    }

    /// Up to `limit` rows in key order, each turned into what `make` says.
    fn scan<'k, K, R, T>(
        &self,
        table: &Table<K, R>,
        range: RangeInclusive<K::SelfType<'k>>,
        limit: usize,
        mut make: impl FnMut(K::SelfType<'_>, R) -> T,
    ) -> Result<Vec<T>, StoreError>
    where
        K: redb::Key + 'static,
        R: Record,
    {
        let open = self.open(table)?;
        let mut rows = Vec::new();
        for row in open.range::<K::SelfType<'k>>(range)?.take(limit) {
            let (key, value) = row?;
            rows.push(make(key.value(), codec::decode(table.name(), value.value())?));
        }
        Ok(rows)
    }

    /// The last row of a range in key order.
    fn last<'k, K, R, T>(
        &self,
        table: &Table<K, R>,
        range: RangeInclusive<K::SelfType<'k>>,
        make: impl FnOnce(K::SelfType<'_>, R) -> T,
    ) -> Result<Option<T>, StoreError>
    where
        K: redb::Key + 'static,
        R: Record,
    {
        let open = self.open(table)?;
        let Some(row) = open.range::<K::SelfType<'k>>(range)?.next_back() else { return Ok(None) };
        let (key, value) = row?;
        Ok(Some(make(key.value(), codec::decode(table.name(), value.value())?)))
    }
}

impl Rows for ReadTx {
    type Open<'t, K: redb::Key + 'static> = redb::ReadOnlyTable<K, &'static [u8]>;

    fn open<K: redb::Key + 'static, R>(&self, table: &Table<K, R>) -> Result<Self::Open<'_, K>, StoreError> {
        Ok(self.txn.open_table(table.definition())?)
    }
}

impl Rows for WriteTx {
    type Open<'t, K: redb::Key + 'static> = redb::Table<'t, K, &'static [u8]>;

    fn open<K: redb::Key + 'static, R>(&self, table: &Table<K, R>) -> Result<Self::Open<'_, K>, StoreError> {
        Ok(self.txn.open_table(table.definition())?)
    }
}

impl WriteTx {
    /// Writes a row; true if there was none at this key.
    pub(crate) fn put<K, R>(
        &self,
        table: &Table<K, R>,
        key: K::SelfType<'_>,
        row: &R,
    ) -> Result<bool, StoreError>
    where
        K: redb::Key + 'static,
        R: Record,
    {
        let bytes = codec::encode(table.name(), row)?;
        let mut open = self.open(table)?;
        let before = open.insert(key, bytes.as_slice())?;
        Ok(before.is_none())
    }

    /// Removes a row; true if there was one.
    pub(crate) fn remove<K, R>(&self, table: &Table<K, R>, key: K::SelfType<'_>) -> Result<bool, StoreError>
    where
        K: redb::Key + 'static,
        R: Record,
    {
        let mut open = self.open(table)?;
        let before = open.remove(key)?;
        Ok(before.is_some())
    }

    /// Keeps the rows of a range for which `keep` is true; a row that cannot be
    /// decoded is kept.
    pub(crate) fn retain<'k, K, R>(
        &self,
        table: &Table<K, R>,
        range: RangeInclusive<K::SelfType<'k>>,
        mut keep: impl FnMut(&R) -> bool,
    ) -> Result<(), StoreError>
    where
        K: redb::Key + 'static,
        R: Record,
    {
        let mut open = self.open(table)?;
        open.retain_in::<K::SelfType<'k>, _>(range, |_, value| {
            codec::decode::<R>(table.name(), value).map_or(true, |row| keep(&row))
        })?;
        Ok(())
    }
}
