//! The data folder of a stopped server, for commands that need its files to themselves.

use std::error::Error;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::books::file_name;
use crate::config::Config;
use crate::store::{Store, StoreError};

/// Which books a command works on.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Profiles whose books are meant; all when none is named.
    #[arg(value_name = "PROFILE_ID")]
    profiles: Vec<Uuid>,
}

impl Which {
    /// Whether none is named.
    pub(super) fn is_all(&self) -> bool {
        self.profiles.is_empty()
    }
}

/// A data folder that no server uses.
pub(super) struct Folder {
    /// The books' files, sorted.
    pub(super) books: Vec<PathBuf>,
    /// Page cache for each open file.
    pub(super) cache_bytes: usize,
    /// Where the system store is.
    pub(super) system: PathBuf,
    /// Keeps servers away as long as it lives; none when the store is lost or damaged.
    lock: Option<Store>,
}

impl Folder {
    /// Takes the folder.
    ///
    /// # Errors
    /// When there is none, or a server uses it.
    pub(super) fn lock(config: &Config) -> Result<Self, Box<dyn Error>> {
        let dir = config.data_dir.join("books");
        let books = books(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
        let system = config.data_dir.join("system.redb");
        let lock = if system.exists() { lock(config, &system)? } else { None };
        let cache_bytes = config.cache_mib.saturating_mul(1024 * 1024);
        Ok(Self { books, cache_bytes, system, lock })
    }

    /// Keeps only the named books.
    ///
    /// # Errors
    /// When one of them is not there.
    pub(super) fn only(mut self, which: &Which) -> Result<Self, Box<dyn Error>> {
        if which.is_all() {
            return Ok(self);
        }
        let is = |path: &Path, id: Uuid| path.file_name().is_some_and(|name| name == file_name(id).as_str());
        let missing = which.profiles.iter().find(|id| !self.books.iter().any(|path| is(path, **id)));
        if let Some(id) = missing {
            return Err(format!("there is no book of a profile {id}").into());
        }
        self.books.retain(|path| which.profiles.iter().any(|id| is(path, *id)));
        Ok(self)
    }

    /// Gives the system store back, for a command that works on the file itself.
    pub(super) fn unlock(&mut self) {
        self.lock = None;
    }
}

fn lock(config: &Config, system: &Path) -> Result<Option<Store>, Box<dyn Error>> {
    match Store::open(system, config.data_dir.join("spool"), config.cache_mib) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::InUse(_)) => {
            let folder = config.data_dir.display();
            Err(format!("a server uses {folder}; stop it first").into())
        }
        // The books do not need it.
        Err(error) => {
            eprintln!("nacre: {error}; going on without it");
            Ok(None)
        }
    }
}

fn books(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        found.extend(path.extension().is_some_and(|extension| extension == "redb").then_some(path));
    }
    found.sort();
    Ok(found)
}
