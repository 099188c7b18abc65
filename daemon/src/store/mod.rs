//! The system store: `system.redb`. The only place of this crate that names `redb`.
//!
//! Invariants: a write is one closure = one transaction = all or nothing and durable when it returns; a read
//! is a snapshot. Both run on the blocking pool, so async code cannot block on the disk. After a failed
//! write the store reports itself unhealthy and refuses further writes until the process restarts.
//! It knows records, not rules: who may see a row is decided by the key the caller can build.

mod codec;
mod older;
pub(crate) mod record;
pub(crate) mod tables;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nacre_engine::make_whole;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

pub(crate) use codec::Record;
pub(crate) use tables::Table;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened: damaged, in use by another process, or not readable.
    #[error("cannot open the system store: {0}")]
    Open(String),
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
    /// An earlier write failed, so nothing more is written.
    #[error("an earlier write to the system store failed; restart the server")]
    Stopped,
    /// The blocking task was lost, which happens only while the process stops.
    #[error("the server is stopping")]
    Lost,
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Storage(error.into().to_string())
    }
}

/// Handle on the open system store; clones share one file.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    healthy: AtomicBool,
}

impl Store {
    /// Opens or creates the file and makes sure every table exists.
    pub(crate) fn open(path: &Path, cache_mib: usize) -> Result<Self, StoreError> {
        let refused = |error: DatabaseError| StoreError::Open(format!("{}: {error}", path.display()));
        // A file that redb was interrupted in making can never be opened again.
        make_whole(path, |unborn| Database::create(unborn).map(drop)).map_err(refused)?;
        let db = Database::builder()
            .set_cache_size(cache_mib.saturating_mul(1024 * 1024))
            .create(path)
            .map_err(refused)?;
        let txn = db.begin_write()?;
        tables::create_all(&txn)?;
        txn.commit()?;
        Ok(Self { inner: Arc::new(Inner { db, healthy: AtomicBool::new(true) }) })
    }

    /// False once a write failed.
    pub(crate) fn is_healthy(&self) -> bool {
        self.inner.healthy.load(Ordering::Acquire)
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
        let txn = self.inner.db.begin_read().map_err(StoreError::from)?;
        work(&ReadTx { txn })
    }

    /// [`Store::write`] for code that is already on a blocking thread.
    pub(crate) fn write_now<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&WriteTx) -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.is_healthy() {
            return Err(StoreError::Stopped.into());
        }
        let txn = self.inner.db.begin_write().map_err(|error| self.failed(error.into()))?;
        let tx = WriteTx { txn };
        // An error drops the transaction, which aborts it.
        let answer = work(&tx)?;
        tx.txn.commit().map_err(|error| self.failed(error.into()))?;
        Ok(answer)
    }

    fn failed(&self, error: StoreError) -> StoreError {
        self.inner.healthy.store(false, Ordering::Release);
        tracing::error!(%error, "the system store stopped writing");
        error
    }
}

fn join<T, E: From<StoreError>>(joined: Result<Result<T, E>, tokio::task::JoinError>) -> Result<T, E> {
    joined.unwrap_or_else(|_| Err(StoreError::Lost.into()))
}

/// A snapshot of the store.
pub(crate) struct ReadTx {
    txn: ReadTransaction,
}

/// The one open write transaction.
pub(crate) struct WriteTx {
    txn: WriteTransaction,
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
