//! [`Books`]: the open books. A book is one file, opened when it is first needed and closed when others need the room.
//!
//! Invariants: engine calls run on the blocking pool, at most [`READS_AT_ONCE`] reads at once; writes of one book take
//! turns and at most [`WRITES_WAITING`] wait; a book someone uses is never closed; a removed book is never made anew.
//! After a write failed on the disk a book is stopped: it is opened anew for reading, and written again only when a probe
//! says that there is room and nobody reads through the handle that failed.
//! It refuses to decide who may use a book.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nacre_engine::book::{Book, Snapshot};
use nacre_engine::is_full;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::room;
use crate::server::problem::{Code, Problem};

/// Books kept open beyond those in use.
const OPEN_BOOKS: usize = 8;
/// Reads running at once, over all books.
const READS_AT_ONCE: usize = 16;
/// Writes of one book that may wait for their turn; more are refused.
const WRITES_WAITING: usize = 32;

/// The books of one data folder; clones share everything.
#[derive(Clone)]
pub(crate) struct Books {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    spool_dir: PathBuf,
    cache_bytes: usize,
    /// Books on which the disk failed and has not been seen to work since.
    stopped: Mutex<BTreeSet<Uuid>>,
    shelf: Mutex<Shelf>,
    reads: Arc<Semaphore>,
}

#[derive(Default)]
struct Shelf {
    slots: HashMap<Uuid, Arc<Slot>>,
    /// Counts uses, so that the slot used longest ago can be told.
    clock: u64,
}

/// The place of one book, open or not.
struct Slot {
    held: Mutex<Held>,
    /// One permit: the turn to write.
    turn: Arc<Semaphore>,
    /// One permit for each write that may wait or run.
    queue: Arc<Semaphore>,
    last_use: Mutex<u64>,
}

enum Held {
    Closed,
    Open(Arc<Book>),
    /// Open through a handle that the disk failed; someone still reads it, so the file cannot be opened anew yet.
    Stale(Arc<Book>),
    Removed,
}

impl Books {
    /// Books in `dir`, each with a page cache of `cache_mib`. Where there is room is tried in `spool_dir`.
    pub(crate) fn new(dir: PathBuf, spool_dir: PathBuf, cache_mib: usize) -> Self {
        let inner = Inner {
            dir,
            spool_dir,
            stopped: Mutex::default(),
            cache_bytes: cache_mib.saturating_mul(1024 * 1024),
            shelf: Mutex::default(),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Runs `work` on the books of a profile as they stand now, off the async threads. What it returns must not hold
    /// on to the snapshot. A profile without a book gets an empty one.
    ///
    /// # Errors
    /// What `work` refuses; `storage_failed`, `book_format` or `book_damaged` when the book cannot be opened.
    pub(crate) async fn read<R, E, F>(&self, profile: Uuid, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
        F: FnOnce(&Snapshot) -> Result<R, E> + Send + 'static,
    {
        let place = self.inner.reads.clone().acquire_owned().await.map_err(|_| stopping())?;
        self.run(profile, vec![place], move |book| work(&book.snapshot()?).map_err(Into::into)).await
    }

    /// Runs `work` as the only writer of a profile's book, off the async threads. Goes on when the caller gives up.
    ///
    /// # Errors
    /// What `work` refuses; `overloaded` when too many writes wait; else as [`Books::read`].
    pub(crate) async fn write<R, E, F>(&self, profile: Uuid, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
        F: FnOnce(&Book) -> Result<R, E> + Send + 'static,
    {
        let slot = self.slot(profile);
        let place = slot.queue.clone().try_acquire_owned().map_err(|_| {
            let message = "too many writes wait for this profile's book; try again soon";
            Problem::new(Code::Overloaded, message).retry_after(2)
        })?;
        let turn = slot.turn.clone().acquire_owned().await.map_err(|_| stopping())?;
        let books = self.clone();
        let write = move |book: &Book| {
            books.go_on(profile)?;
            work(book).map_err(Into::into)
        };
        self.run(profile, vec![place, turn], write).await
    }

    /// Copies a book as it is now into a new file, while others read and write it. Blocks.
    ///
    /// # Errors
    /// `not_found` when its profile was deleted; what the disk refuses.
    pub(crate) fn copy(&self, profile: Uuid, to: &Path) -> Result<(), Problem> {
        let copied = self.open(profile, &self.slot(profile))?.copy_to(to, self.inner.cache_bytes);
        self.close_unused();
        Ok(copied?)
    }

    /// The books there are files of.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn files(&self) -> std::io::Result<BTreeSet<Uuid>> {
        let names = std::fs::read_dir(&self.inner.dir)?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<std::io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| book_of(name.to_str()?)).collect())
    }

    /// The books that are stopped.
    pub(crate) fn stopped(&self) -> Vec<Uuid> {
        lock(&self.inner.stopped).iter().copied().collect()
    }

    /// Lets a book be written again if the disk takes writes. Blocks.
    ///
    /// # Errors
    /// `storage_full` or `storage_failed` while it does not.
    pub(crate) fn go_on(&self, profile: Uuid) -> Result<(), Problem> {
        if !lock(&self.inner.stopped).contains(&profile) {
            return Ok(());
        }
        let slot = self.slot(profile);
        if !matches!(*lock(&slot.held), Held::Removed) {
            self.probe(profile)?;
            let book = self.open(profile, &slot)?;
            if matches!(*lock(&slot.held), Held::Stale(_)) {
                let problem =
                    "the book is still read from before the disk failed; it is opened anew after that";
                return Err(nacre_engine::Error::Storage(problem.to_owned()).into());
            }
            book.snapshot()?;
        }
        lock(&self.inner.stopped).remove(&profile);
        tracing::info!(%profile, "this book is written again");
        Ok(())
    }

    /// Whether there is room for the book to grow.
    fn probe(&self, profile: Uuid) -> Result<(), Problem> {
        room::probe(&self.inner.spool_dir, &self.path(profile)).map_err(|error| match is_full(error.kind()) {
            true => Problem::full(&error),
            false => nacre_engine::Error::Storage(error.to_string()).into(),
        })
    }

    /// Removes a profile's book for good: from now on nothing opens it, and its file is unlinked even if the caller
    /// gives up. Who is reading or writing it goes on, to no effect.
    pub(crate) async fn remove(&self, profile: Uuid) -> Result<(), Problem> {
        let slot = self.slot(profile);
        let path = self.path(profile);
        let unlink = move || {
            *lock(&slot.held) = Held::Removed;
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(Problem::internal(&error)),
                _ => Ok(()),
            }
        };
        tokio::task::spawn_blocking(unlink).await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Whether [`Books::remove`] was called, for work that may as well stop then.
    pub(crate) fn is_removed(&self, profile: Uuid) -> bool {
        matches!(*lock(&self.slot(profile).held), Held::Removed)
    }

    async fn run<R: Send + 'static>(
        &self,
        profile: Uuid,
        permits: Vec<OwnedSemaphorePermit>,
        work: impl FnOnce(&Book) -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        let books = self.clone();
        let call = move || {
            // Given back when the work ends, even if nobody waits for it any more.
            let _permits = permits;
            let slot = books.slot(profile);
            // The handle is given back before closing, which leaves alone a book that someone uses.
            let mut answer = books.open(profile, &slot).and_then(|book| work(&book));
            if matches!(&answer, Err(problem) if is_of_the_disk(problem.code())) {
                slot.distrust();
                if lock(&books.inner.stopped).insert(profile) {
                    tracing::error!(%profile, "this book is not written until the disk takes writes again");
                }
                // The first error is not always told, only that there was one.
                if let Err(error) = books.probe(profile)
                    && error.code() == Code::StorageFull
                {
                    answer = Err(error);
                }
            }
            books.close_unused();
            answer
        };
        tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| {
            if error.is_panic() { Err(Problem::internal(&error)) } else { Err(stopping()) }
        })
    }

    fn path(&self, profile: Uuid) -> PathBuf {
        self.inner.dir.join(file_name(profile))
    }

    fn slot(&self, profile: Uuid) -> Arc<Slot> {
        let mut shelf = lock(&self.inner.shelf);
        shelf.clock += 1;
        let clock = shelf.clock;
        let slot = shelf.slots.entry(profile).or_insert_with(|| Arc::new(Slot::new())).clone();
        *lock(&slot.last_use) = clock;
        slot
    }

    fn open(&self, profile: Uuid, slot: &Slot) -> Result<Arc<Book>, Problem> {
        let mut held = lock(&slot.held);
        if matches!(&*held, Held::Stale(book) if Arc::strong_count(book) == 1) {
            *held = Held::Closed;
        }
        match &*held {
            Held::Open(book) | Held::Stale(book) => Ok(book.clone()),
            Held::Removed => Err(Problem::not_found("profile")),
            Held::Closed => {
                let book = Arc::new(Book::open(&self.path(profile), self.inner.cache_bytes)?);
                *held = Held::Open(book.clone());
                Ok(book)
            }
        }
    }

    /// Closes the books used longest ago until few enough are open.
    fn close_unused(&self) {
        let mut open: Vec<Arc<Slot>> = lock(&self.inner.shelf).slots.values().cloned().collect();
        open.retain(|slot| matches!(*lock(&slot.held), Held::Open(_) | Held::Stale(_)));
        let excess = open.len().saturating_sub(OPEN_BOOKS);
        open.sort_by_key(|slot| *lock(&slot.last_use));
        open.iter().take(excess).for_each(|slot| slot.close());
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            held: Mutex::new(Held::Closed),
            turn: Arc::new(Semaphore::new(1)),
            queue: Arc::new(Semaphore::new(WRITES_WAITING)),
            last_use: Mutex::new(0),
        }
    }

    /// Closes the book after the disk failed, or sees to it that it is closed before it is written again.
    fn distrust(&self) {
        self.close();
        let mut held = lock(&self.held);
        if let Held::Open(book) = &*held {
            *held = Held::Stale(book.clone());
        }
    }

    /// Closes the book unless someone uses it: the file must not be opened twice.
    fn close(&self) {
        let mut held = lock(&self.held);
        // Under the lock nobody can take a new handle, so a count of one is ours alone.
        if matches!(&*held, Held::Open(book) | Held::Stale(book) if Arc::strong_count(book) == 1) {
            *held = Held::Closed;
        }
    }
}

/// The name of a book's file.
pub(crate) fn file_name(profile: Uuid) -> String {
    format!("{profile}.redb")
}

/// The profile whose book's file has this name.
pub(crate) fn book_of(file_name: &str) -> Option<Uuid> {
    file_name.strip_suffix(".redb")?.parse().ok()
}

fn is_of_the_disk(code: Code) -> bool {
    matches!(code, Code::StorageFailed | Code::StorageFull)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopping() -> Problem {
    Problem::new(Code::NotReady, "the server is stopping; try again later").retry_after(5)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::Books;
    use crate::server::problem::{Code, Problem};
    use uuid::Uuid;

    #[tokio::test]
    async fn a_book_is_removed_while_a_long_write_runs() {
        let dir = tempfile::tempdir().unwrap();
        let books = Books::new(dir.path().to_owned(), dir.path().join("spool"), 1);
        let profile = Uuid::now_v7();
        let (began, begin) = tokio::sync::oneshot::channel();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let writing = books.clone();
        let long = tokio::spawn(async move {
            let work = move |_: &_| {
                began.send(()).unwrap();
                let _ = wait.recv();
                Ok::<_, Problem>(())
            };
            writing.write(profile, work).await
        });
        begin.await.unwrap();
        let waiting = tokio::spawn({
            let books = books.clone();
            async move { books.write(profile, |_| Ok::<_, Problem>(())).await }
        });
        let path = books.path(profile);
        assert!(path.exists());
        // The request ends before the blocking thread has had its turn.
        drop(tokio::time::timeout(Duration::ZERO, books.remove(profile)).await);
        tokio::time::timeout(Duration::from_secs(5), async {
            while path.exists() || !books.is_removed(profile) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        release.send(()).unwrap();
        long.await.unwrap().unwrap();
        assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::NotFound);
        assert!(!path.exists(), "and it is not made anew");
    }

    #[tokio::test]
    async fn a_book_that_failed_while_it_was_read_is_opened_anew_before_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let books = Books::new(dir.path().to_owned(), dir.path().join("spool"), 1);
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let profile = Uuid::now_v7();
        let (began, begin) = tokio::sync::oneshot::channel();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let reading = books.clone();
        let reader = tokio::spawn(async move {
            let work = move |_: &_| {
                began.send(()).unwrap();
                let _ = wait.recv();
                Ok::<_, Problem>(())
            };
            reading.read(profile, work).await
        });
        begin.await.unwrap();
        let fail = |_: &_| Err::<(), _>(nacre_engine::Error::Storage("the disk failed".into()));
        assert_eq!(books.write(profile, fail).await.unwrap_err().code(), Code::StorageFailed);
        assert_eq!(books.go_on(profile).unwrap_err().code(), Code::StorageFailed);
        let write = |_: &_| Ok::<_, Problem>(());
        assert_eq!(books.write(profile, write).await.unwrap_err().code(), Code::StorageFailed);
        assert_eq!(books.stopped(), [profile]);
        books.read(profile, |_| Ok::<_, Problem>(())).await.unwrap();
        release.send(()).unwrap();
        reader.await.unwrap().unwrap();
        books.go_on(profile).unwrap();
        assert!(
            books.stopped().is_empty()
                && matches!(*super::lock(&books.slot(profile).held), super::Held::Open(_))
        );
        books.write(profile, write).await.unwrap();
    }
}
