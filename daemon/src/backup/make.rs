//! Making a backup, of a data folder that is served or not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::manifest::{Entry, Manifest};
use super::{Refused, private_dir, sync_dir};
use crate::books::{Books, file_name};
use crate::clock;
use crate::server::problem::Code;
use crate::store::Store;

/// How often the books are looked through again because one was made meanwhile.
const ROUNDS: usize = 100;

/// What is copied.
pub(crate) struct Source {
    pub(crate) data_dir: PathBuf,
    pub(crate) store: Store,
    pub(crate) books: Books,
}

/// Makes a backup in a new folder `target`. Blocks. Gives up, and leaves nothing, when `stop` says so.
///
/// # Errors
/// When there is something at `target`, when a file of the data folder cannot be read or is damaged, or when there is no
/// room; then there is nothing at `target`.
pub(crate) fn make(source: &Source, target: &Path, stop: &dyn Fn() -> bool) -> Result<Manifest, Refused> {
    go_on(stop)?;
    if fs::symlink_metadata(target).is_ok() {
        return Err(Refused::at(target, "there is something already; a backup needs a new folder"));
    }
    let name = target.file_name().ok_or_else(|| Refused::at(target, "a backup needs a folder of its own"))?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", Uuid::now_v7()));
    let part = target.with_file_name(part);
    private_dir(&part)?;
    let made = fill(source, &part, stop).and_then(|manifest| {
        fs::rename(&part, target).map_err(|error| Refused::at(target, error))?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")))?;
        Ok(manifest)
    });
    if made.is_err() {
        // Ours, and of no use. What cannot be removed is told apart by its name.
        let _ = fs::remove_dir_all(&part);
    }
    made
}

fn go_on(stop: &dyn Fn() -> bool) -> Result<(), Refused> {
    if stop() { Err(Refused("the server is stopping".to_owned())) } else { Ok(()) }
}

fn fill(source: &Source, part: &Path, stop: &dyn Fn() -> bool) -> Result<Manifest, Refused> {
    let mut manifest = Manifest::new(clock::rfc3339(clock::now_ms()));
    private_dir(&part.join("books"))?;
    let books = copy_all(source, part, stop)?;
    let config = source.data_dir.join("nacre.toml");
    let mut paths = vec!["system.redb".to_owned()];
    if config.exists() {
        fs::copy(&config, part.join("nacre.toml")).map_err(|error| Refused::at(&config, error))?;
        paths.push("nacre.toml".to_owned());
    }
    paths.extend(books.into_iter().map(|book| format!("books/{}", file_name(book))));
    for path in paths {
        manifest.files.push(Entry::of(part, &path, stop)?);
    }
    manifest.write(part)?;
    sync_dir(&part.join("books"))?;
    sync_dir(part)?;
    Ok(manifest)
}

/// Copies books until none is new, and the system store after them, so that it knows all that they know.
fn copy_all(source: &Source, part: &Path, stop: &dyn Fn() -> bool) -> Result<BTreeSet<Uuid>, Refused> {
    let (mut seen, mut copied) = (BTreeSet::new(), BTreeSet::new());
    let system = part.join("system.redb");
    for _ in 0..ROUNDS {
        let found =
            source.books.files().map_err(|error| Refused::at(&source.data_dir.join("books"), error))?;
        let new: Vec<Uuid> = found.difference(&seen).copied().collect();
        if new.is_empty() && system.exists() {
            return Ok(copied);
        }
        for book in new {
            go_on(stop)?;
            seen.insert(book);
            let to = part.join("books").join(file_name(book));
            match source.books.copy(book, &to) {
                Ok(()) => drop(copied.insert(book)),
                // Its profile was deleted just now.
                Err(problem) if problem.code() == Code::NotFound => {}
                Err(problem) => return Err(Refused(format!("book {book}: {}", problem.message()))),
            }
        }
        go_on(stop)?;
        if system.exists() {
            fs::remove_file(&system).map_err(|error| Refused::at(&system, error))?;
        }
        source.store.copy_to(&system).map_err(|error| Refused(error.to_string()))?;
    }
    Err(Refused("books are made faster than they can be copied; try again".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_backup_that_is_stopped_at_any_time_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (data, target) = (dir.path().join("data"), dir.path().join("backup"));
        fs::create_dir_all(data.join("books")).unwrap();
        let store = Store::open(&data.join("system.redb"), data.join("spool"), 1).unwrap();
        let books = Books::new(data.join("books"), data.join("spool"), 1);
        drop(nacre_engine::book::Book::open(&data.join("books").join(file_name(Uuid::now_v7())), 1 << 20));
        let source = Source { data_dir: data, store, books };
        let mut stopped = 0;
        loop {
            let asked = Cell::new(0);
            let stop = || asked.replace(asked.get() + 1) == stopped;
            match make(&source, &target, &stop) {
                Ok(_) => break,
                Err(refused) => assert!(refused.to_string().contains("the server is stopping"), "{refused}"),
            }
            assert_eq!(
                fs::read_dir(dir.path()).unwrap().count(),
                1,
                "stopped when asked for the {stopped}th time"
            );
            stopped += 1;
        }
        // Before, at the book, at the system store, and while hashing each of the two.
        assert!(stopped >= 5 && target.exists(), "{stopped}");
    }
}
