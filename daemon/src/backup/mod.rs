//! Backups of the whole data folder: made while it is served or not, checked, and put back.
//!
//! A backup is a folder: `system.redb`, `books/<profile id>.redb`, `nacre.toml` if there is one, and a manifest with the
//! length and SHA-256 of each. Invariants: **a folder with the name asked for is a whole backup**, it gets the name last;
//! each file is one state of its original, and no book is newer than the system store, as it never is in a data folder.

pub(crate) mod make;
pub(crate) mod manifest;
pub(crate) mod restore;

use std::fmt::Display;
use std::path::Path;

/// Why there is no backup, or nothing was restored: in words for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

impl Refused {
    fn at(path: &Path, what: impl Display) -> Self {
        Refused(format!("{}: {what}", path.display()))
    }
}

/// Makes a new folder for its owner only.
fn private_dir(path: &Path) -> Result<(), Refused> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| Refused::at(path, error))
}

/// Makes sure that the names in a folder survive a power cut.
fn sync_dir(path: &Path) -> Result<(), Refused> {
    let synced = std::fs::File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(|error| Refused::at(path, error))
}
