//! Putting a backup back: everything is copied, checked and opened in a folder of its own before the data folder has it.
//!
//! It refuses to remove anything: what was there is moved aside, inside the data folder, so that it is on the same disk.

use std::fs;
use std::path::{Path, PathBuf};

use nacre_engine::book::Book;
use uuid::Uuid;

use super::manifest::Manifest;
use super::{Refused, private_dir, sync_dir};
use crate::books::now;
use crate::clock;
use crate::store::{Store, StoreError};

/// What was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    /// Journal rows of all books that were derived anew and compared.
    pub(crate) journal_rows: u64,
    /// Books whose derived rows were not as this version derives them, and were made anew.
    pub(crate) rebuilt: Vec<Rebuilt>,
    /// Where what was there is now.
    pub(crate) aside: Option<PathBuf>,
}

/// A book that was rebuilt before it was put back.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    /// Its file, as the manifest names it.
    pub(crate) path: String,
    /// How many of its derived rows differed; more than a hundred are not counted.
    pub(crate) problems: usize,
    /// The first of them, in words.
    pub(crate) first: String,
}

/// What was found in the books of a backup.
#[derive(Debug, Default)]
struct Staged {
    journal_rows: u64,
    rebuilt: Vec<Rebuilt>,
}

/// The parts of a data folder that are replaced.
const PARTS: [&str; 3] = ["spool", "books", "system.redb"];
/// How the folder is called in which a backup is checked.
const STAGING: &str = "restoring-";
/// How the folder is called that gets what was there.
const ASIDE: &str = "before-restore-";

/// How a file or folder gets another name; another way in tests.
type Rename<'a> = &'a dyn Fn(&Path, &Path) -> std::io::Result<()>;

/// Restores the backup in `from` into `data_dir`; over what is there only by `force`. Blocks.
///
/// # Errors
/// When the backup is damaged or of another version, the facts of a book in it do not hold, the data folder has
/// something, or a server uses it; then the data folder is as it was, or the message says where everything is.
pub(crate) fn restore(
    from: &Path,
    data_dir: &Path,
    force: bool,
    cache_mib: usize,
) -> Result<Restored, Refused> {
    restore_by(from, data_dir, force, cache_mib, &|from, to| fs::rename(from, to))
}

fn restore_by(
    from: &Path,
    data_dir: &Path,
    force: bool,
    cache_mib: usize,
    rename: Rename<'_>,
) -> Result<Restored, Refused> {
    let manifest = Manifest::read(from)?;
    let _lock = free(data_dir, force, cache_mib)?;
    make_data_dir(data_dir)?;
    let staging = data_dir.join(format!("{STAGING}{}", Uuid::now_v7()));
    private_dir(&staging)?;
    let mut unfinished = false;
    let restored = stage(&manifest, from, &staging, cache_mib).and_then(|staged| {
        let Staged { journal_rows, rebuilt } = staged;
        let mut swap = Swap::new(&staging, data_dir, rename);
        match swap.all(force) {
            Ok(aside) => Ok(Restored { manifest, journal_rows, rebuilt, aside }),
            Err(refused) => {
                let refused = swap.undo(refused);
                unfinished = !swap.done.is_empty();
                Err(refused)
            }
        }
    });
    // Ours; but what was staged is the only copy when it could not be decided where it belongs.
    if !unfinished {
        let _ = fs::remove_dir_all(&staging);
    }
    restored
}

/// What a restore that did not end left in a data folder that has no system store: nobody may take it for a new one.
pub(crate) fn unfinished(data_dir: &Path) -> Option<String> {
    if data_dir.join("system.redb").exists() {
        return None;
    }
    let entries = fs::read_dir(data_dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut left: Vec<_> =
        entries.filter(|name| [ASIDE, STAGING].iter().any(|prefix| name.starts_with(prefix))).collect();
    left.sort();
    (!left.is_empty()).then(|| left.join(", "))
}

/// The parts that hold something, the system store first.
fn occupied(data_dir: &Path) -> Vec<&'static str> {
    let empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let holds = |part: &&str| {
        let path = data_dir.join(part);
        path.exists() && !empty(&path)
    };
    PARTS.into_iter().rev().filter(holds).collect()
}

/// Whether the data folder may be taken: there is nothing, or it is not in use and the operator said so. What is
/// answered keeps servers away as long as it lives.
fn free(data_dir: &Path, force: bool, cache_mib: usize) -> Result<Option<Store>, Refused> {
    let Some(found) = occupied(data_dir).into_iter().find(|part| *part != "spool") else { return Ok(None) };
    if !force {
        let problem = format!("there is a {found} already; --force moves what is there aside and restores");
        return Err(Refused::at(data_dir, problem));
    }
    let system = data_dir.join("system.redb");
    // A damaged store is a reason to restore; only one in use is none.
    match system.exists().then(|| Store::open(&system, data_dir.join("spool"), cache_mib)) {
        Some(Err(StoreError::InUse(_))) => {
            Err(Refused::at(data_dir, "a server uses this data folder; stop it first"))
        }
        Some(Ok(store)) => Ok(Some(store)),
        Some(Err(_)) | None => Ok(None),
    }
}

fn make_data_dir(data_dir: &Path) -> Result<(), Refused> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|error| Refused::at(data_dir, error))
}

/// Copies and checks everything.
fn stage(manifest: &Manifest, from: &Path, staging: &Path, cache_mib: usize) -> Result<Staged, Refused> {
    private_dir(&staging.join("books"))?;
    manifest.files.iter().try_for_each(|file| file.copy(from, staging))?;
    let system = staging.join("system.redb");
    let store = Store::open(&system, staging.join("spool"), cache_mib);
    store
        .and_then(|store| store.check())
        .map_err(|error| Refused(format!("the backup's system.redb: {error}")))?;
    let mut staged = Staged::default();
    for file in manifest.files.iter().filter(|file| file.path.starts_with("books/")) {
        check_book(&file.path, &staging.join(&file.path), cache_mib.saturating_mul(1 << 20), &mut staged)?;
    }
    sync_dir(&staging.join("books"))?;
    Ok(staged)
}

/// Verifies a staged book. Damaged facts are refused; derived rows that are not what this version derives are made anew,
/// for the facts are what a backup is about.
fn check_book(name: &str, path: &Path, cache_bytes: usize, staged: &mut Staged) -> Result<(), Refused> {
    let unreadable = |error: nacre_engine::Error| Refused(format!("the backup's {name}: {error}"));
    let bad = |problem: &str| Refused(format!("the backup's {name} does not hold: {problem}"));
    let book = Book::open(path, cache_bytes).map_err(unreadable)?;
    let mut verified = book.verify().map_err(unreadable)?;
    if let Some(problem) = verified.damaged_facts.first() {
        return Err(bad(problem));
    }
    if let Some(first) = verified.problems.first() {
        let (problems, first) = (verified.problems.len(), first.clone());
        book.process(now(), true, &|| false).map_err(unreadable)?;
        verified = book.verify().map_err(unreadable)?;
        staged.rebuilt.push(Rebuilt { path: name.to_owned(), problems, first });
    }
    if let Some(problem) = verified.problems.first() {
        return Err(bad(&format!("{problem}, even after it was rebuilt")));
    }
    staged.journal_rows += verified.journal_rows;
    Ok(())
}

/// Moves what is there aside and what was staged into its place, and back when that fails midway.
struct Swap<'a> {
    staging: &'a Path,
    data_dir: &'a Path,
    aside: PathBuf,
    rename: Rename<'a>,
    /// What was moved: from where, to where.
    done: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Swap<'a> {
    fn new(staging: &'a Path, data_dir: &'a Path, rename: Rename<'a>) -> Self {
        let stamp = clock::rfc3339(clock::now_ms()).replace([':', '.'], "-");
        let aside = data_dir.join(format!("{ASIDE}{stamp}"));
        Swap { staging, data_dir, aside, rename, done: Vec::new() }
    }

    /// Where the old things are.
    fn all(&mut self, force: bool) -> Result<Option<PathBuf>, Refused> {
        let (staging, data_dir, aside) = (self.staging, self.data_dir, self.aside.clone());
        let occupied = if force { occupied(data_dir) } else { Vec::new() };
        // The system store goes first and comes last: without it nobody takes this for a whole data folder.
        let kept = occupied.iter().any(|part| *part != "spool");
        if kept {
            private_dir(&aside)?;
            occupied.iter().try_for_each(|part| self.take(&data_dir.join(part), &aside.join(part)))?;
            sync_dir(&aside)?;
        }
        let config = data_dir.join("nacre.toml");
        if staging.join("nacre.toml").exists() && !config.exists() {
            self.take(&staging.join("nacre.toml"), &config)?;
        }
        for part in ["books", "system.redb"] {
            self.take(&staging.join(part), &data_dir.join(part))?;
        }
        sync_dir(data_dir)?;
        Ok(kept.then_some(aside))
    }

    fn take(&mut self, from: &Path, to: &Path) -> Result<(), Refused> {
        if fs::symlink_metadata(to).is_ok_and(|found| !found.is_dir()) {
            return Err(Refused::at(to, "somebody made it just now; nothing of it was touched"));
        }
        (self.rename)(from, to).map_err(|error| Refused::at(from, error))?;
        self.done.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Moves everything back, the last first; what could not be moved is left in `done` and told.
    fn undo(&mut self, refused: Refused) -> Refused {
        while let Some((from, to)) = self.done.last() {
            if let Err(error) = (self.rename)(to, from) {
                let (to, staging) = (to.display(), self.staging.display());
                let old = match self.aside.exists() {
                    true => format!("what was there is in {}, ", self.aside.display()),
                    false => String::new(),
                };
                return Refused(format!(
                    "{refused}; and {to} cannot be moved back ({error}): {old}what was restored is in {staging}; \
                     move what was there back, system.redb last, before anything is served"
                ));
            }
            self.done.pop();
        }
        // Empty now.
        let _ = fs::remove_dir(&self.aside);
        Refused(format!("{refused}; everything is where it was"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::cell::Cell;

    use nacre_engine::book::NewConnection;
    use nacre_engine::id::ConnectionNo;
    use nacre_engine::model::Rail;

    use super::*;
    use crate::backup::make::{Source, make};
    use crate::books::Books;

    const CSV: &str = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n\
        b-1,buy,2024-03-01T23:30:00Z,1,100.00,USD\n\
        s-1,sell,2024-03-01T23:50:00Z,0.5,80.00,USD\n";

    /// A data folder with two books, and a backup of it made after `harm` was done to the first book.
    fn backed_up(dir: &Path, harm: impl Fn(&Book)) -> (PathBuf, PathBuf) {
        let (data, backup) = (dir.join("data"), dir.join("backup"));
        fs::create_dir_all(data.join("books")).unwrap();
        for place in 0..2 {
            let name = crate::books::file_name(Uuid::from_u128(place));
            let book = Book::open(&data.join("books").join(name), 1 << 20).unwrap();
            let (id, label, kind, config) = ("1".into(), "Broker".into(), "Custom".into(), String::new());
            book.add_connection(now(), NewConnection { id, label, kind, rail: Rail::Managed, config })
                .unwrap();
            book.import_plain(now(), ConnectionNo(1), CSV.as_bytes(), false).unwrap();
            book.process(now(), false, &|| false).unwrap();
            if place == 0 {
                harm(&book);
            }
        }
        let store = Store::open(&data.join("system.redb"), data.join("spool"), 1).unwrap();
        let books = Books::new(data.join("books"), data.join("spool"), 1);
        make(&Source { data_dir: data.clone(), store, books }, &backup, &|| false).unwrap();
        (data, backup)
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_book_with_wrong_derived_rows_is_rebuilt_and_damaged_facts_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (_, backup) = backed_up(dir.path(), |book| book.spoil_derived().unwrap());
        let to = dir.path().join("to");
        let restored = restore(&backup, &to, false, 1).unwrap();
        let name = format!("books/{}", crate::books::file_name(Uuid::from_u128(0)));
        let [rebuilt] = restored.rebuilt.as_slice() else { panic!("{restored:?}") };
        assert!(rebuilt.path == name && rebuilt.problems > 2 && !rebuilt.first.is_empty(), "{rebuilt:?}");
        assert_eq!(restored.journal_rows, 4);
        let verified = Book::open(&to.join(&name), 1 << 20).unwrap().verify().unwrap();
        assert_eq!((verified.journal_rows, verified.problems), (2, Vec::new()));

        let dir = tempfile::tempdir().unwrap();
        let (_, backup) = backed_up(dir.path(), |book| book.spoil_facts().unwrap());
        let to = dir.path().join("to");
        let refused = restore(&backup, &to, false, 1).unwrap_err().to_string();
        assert!(refused.contains("does not hold: record c1.b-1 is not in its index"), "{refused}");
        assert!(refused.contains(&name) && names(&to).is_empty(), "{refused}");
    }

    #[test]
    fn a_swap_that_fails_midway_is_undone_or_says_where_everything_is() {
        let dir = tempfile::tempdir().unwrap();
        let (data, backup) = backed_up(dir.path(), |_| {});
        fs::create_dir_all(data.join("spool")).unwrap();
        fs::write(data.join("spool").join("file"), "received").unwrap();
        let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(data.join("system.redb")).unwrap());
        let (before, system) = (names(&data), inode());
        // system.redb, books and spool aside, books and system.redb in.
        for fails in 0..5 {
            let count = Cell::new(0);
            let rename = |from: &Path, to: &Path| {
                count.set(count.get() + 1);
                if count.get() == fails + 1 { Err(std::io::Error::other("no")) } else { fs::rename(from, to) }
            };
            let refused = restore_by(&backup, &data, true, 1, &rename).unwrap_err().to_string();
            assert!(refused.contains("everything is where it was"), "{refused}");
            assert_eq!((names(&data), inode()), (before.clone(), system));
            assert_eq!(names(&data.join("books")).len(), 2);
            assert!(unfinished(&data).is_none());
        }
        let count = Cell::new(0);
        let rename = |from: &Path, to: &Path| {
            count.set(count.get() + 1);
            if count.get() > 4 { Err(std::io::Error::other("no")) } else { fs::rename(from, to) }
        };
        let refused = restore_by(&backup, &data, true, 1, &rename).unwrap_err().to_string();
        let left = unfinished(&data).unwrap();
        for name in left.split(", ") {
            assert!(refused.contains(name), "{refused}");
        }
        let (aside, staging) = left.split_once(", ").unwrap();
        assert!(data.join(aside).join("books").exists() && data.join(staging).join("system.redb").exists());
        // Done again, it ends.
        restore(&backup, &data, true, 1).unwrap();
        assert!(unfinished(&data).is_none() && data.join(aside).join("system.redb").exists());
    }
}
