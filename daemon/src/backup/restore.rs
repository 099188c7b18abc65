//! Putting a backup back: everything is copied, checked and opened in a folder of its own before the data folder has it.
//!
//! It refuses to remove anything: what was there is moved aside, inside the data folder, so that it is on the same disk.

use std::fs;
use std::path::{Path, PathBuf};

use nacre_engine::book::Book;
use uuid::Uuid;

use super::manifest::Manifest;
use super::{Refused, private_dir, sync_dir};
use crate::clock;
use crate::store::{Store, StoreError};

/// What was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    /// Journal rows of all books that were derived anew and compared.
    pub(crate) journal_rows: u64,
    /// Where what was there is now.
    pub(crate) aside: Option<PathBuf>,
}

/// The parts of a data folder that are replaced.
const PARTS: [&str; 3] = ["spool", "books", "system.redb"];

/// Restores the backup in `from` into `data_dir`; over what is there only by `force`. Blocks.
///
/// # Errors
/// When the backup is damaged or of another version, a book in it does not hold, the data folder has something, or a
/// server uses it; then the data folder is as it was.
pub(crate) fn restore(
    from: &Path,
    data_dir: &Path,
    force: bool,
    cache_mib: usize,
) -> Result<Restored, Refused> {
    let manifest = Manifest::read(from)?;
    let _lock = free(data_dir, force, cache_mib)?;
    make_data_dir(data_dir)?;
    let staging = data_dir.join(format!("restoring-{}", Uuid::now_v7()));
    private_dir(&staging)?;
    let restored = stage(&manifest, from, &staging, cache_mib).and_then(|journal_rows| {
        let aside = swap(&staging, data_dir, force)?;
        Ok(Restored { manifest, journal_rows, aside })
    });
    // Ours; empty unless something failed.
    let _ = fs::remove_dir_all(&staging);
    restored
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

/// Copies and checks everything; the journal rows that were compared.
fn stage(manifest: &Manifest, from: &Path, staging: &Path, cache_mib: usize) -> Result<u64, Refused> {
    private_dir(&staging.join("books"))?;
    manifest.files.iter().try_for_each(|file| file.copy(from, staging))?;
    let system = staging.join("system.redb");
    let store = Store::open(&system, staging.join("spool"), cache_mib);
    store
        .and_then(|store| store.check())
        .map_err(|error| Refused(format!("the backup's system.redb: {error}")))?;
    let mut journal_rows = 0;
    for file in manifest.files.iter().filter(|file| file.path.starts_with("books/")) {
        let book = Book::open(&staging.join(&file.path), cache_mib.saturating_mul(1 << 20));
        let verified = book.and_then(|book| book.verify());
        let verified = verified.map_err(|error| Refused(format!("the backup's {}: {error}", file.path)))?;
        if let Some(problem) = verified.problems.first() {
            return Err(Refused(format!("the backup's {} does not hold: {problem}", file.path)));
        }
        journal_rows += verified.journal_rows;
    }
    sync_dir(&staging.join("books"))?;
    Ok(journal_rows)
}

/// Moves what is there aside and what was staged into its place; where the old things are.
fn swap(staging: &Path, data_dir: &Path, force: bool) -> Result<Option<PathBuf>, Refused> {
    let stamp = clock::rfc3339(clock::now_ms()).replace([':', '.'], "-");
    let aside = data_dir.join(format!("before-restore-{stamp}"));
    let take = |from: &Path, to: &Path| {
        if fs::symlink_metadata(to).is_ok_and(|found| !found.is_dir()) {
            return Err(Refused::at(to, "somebody made it just now; nothing of it was touched"));
        }
        fs::rename(from, to).map_err(|error| Refused::at(from, error))
    };
    let occupied = if force { occupied(data_dir) } else { Vec::new() };
    // The system store goes first and comes last: without it nobody takes this for a whole data folder.
    let kept = occupied.iter().any(|part| *part != "spool");
    if kept {
        private_dir(&aside)?;
        occupied.iter().try_for_each(|part| take(&data_dir.join(part), &aside.join(part)))?;
    }
    let config = data_dir.join("nacre.toml");
    if staging.join("nacre.toml").exists() && !config.exists() {
        take(&staging.join("nacre.toml"), &config)?;
    }
    ["books", "system.redb"].iter().try_for_each(|part| take(&staging.join(part), &data_dir.join(part)))?;
    sync_dir(data_dir)?;
    Ok(kept.then_some(aside))
}
