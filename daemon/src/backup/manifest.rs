//! The manifest of a backup: what is in it, of which versions, and how to see that it is whole.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Refused;
use crate::books::book_of;
use crate::store;

/// Its name in the backup.
pub(crate) const NAME: &str = "manifest.json";
/// Version of the layout of backups.
const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Version of the layout of the backup.
    pub(crate) backup_format: u32,
    /// Format version of `system.redb`.
    pub(crate) system_format: u32,
    /// Format version of the books.
    pub(crate) book_format: u32,
    /// Version of the program that made it.
    pub(crate) nacre_version: String,
    /// When it was begun, RFC 3339.
    pub(crate) created_at: String,
    /// Every file but this one.
    pub(crate) files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Below the backup's folder, with `/`.
    pub(crate) path: String,
    /// Length.
    pub(crate) bytes: u64,
    /// In hex.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Of this version's formats, without files yet.
    pub(super) fn new(created_at: String) -> Self {
        Manifest {
            backup_format: FORMAT,
            system_format: store::FORMAT,
            book_format: nacre_engine::FORMAT,
            nacre_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at,
            files: Vec::new(),
        }
    }

    /// How many books there are.
    pub(crate) fn books(&self) -> usize {
        self.files.iter().filter(|file| file.path.starts_with("books/")).count()
    }

    /// Length of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads and checks the manifest of the backup in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self, Refused> {
        let path = dir.join(NAME);
        let text =
            std::fs::read(&path).map_err(|error| Refused::at(&path, format!("no backup here: {error}")))?;
        /// The part that every layout has.
        #[derive(Deserialize)]
        struct Versions {
            backup_format: u32,
        }
        let damaged =
            |error: serde_json::Error| Refused::at(&path, format!("the manifest is damaged: {error}"));
        let Versions { backup_format } = serde_json::from_slice(&text).map_err(damaged)?;
        let known = |what: &str, found: u32, read: u32| match found == read {
            true => Ok(()),
            false => {
                let problem = format!("{what} format {found}, this version of nacre reads {read}");
                Err(Refused::at(&path, problem))
            }
        };
        known("backup", backup_format, FORMAT)?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(damaged)?;
        known("system", manifest.system_format, store::FORMAT)?;
        known("book", manifest.book_format, nacre_engine::FORMAT)?;
        if let Some(strange) = manifest.files.iter().find(|file| !is_ours(&file.path)) {
            return Err(Refused::at(
                &path,
                format!("the manifest names a file that is no part of a backup: {:?}", strange.path),
            ));
        }
        if !manifest.files.iter().any(|file| file.path == "system.redb") {
            return Err(Refused::at(&path, "the manifest names no system.redb"));
        }
        Ok(manifest)
    }

    /// Writes it into the backup in `dir`.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Refused> {
        let path = dir.join(NAME);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|error: std::io::Error| Refused::at(&path, error))
    }
}

impl Entry {
    /// Of the file `path` below `dir` as it is. Gives up when `stop` says so.
    pub(super) fn of(dir: &Path, path: &str, stop: &dyn Fn() -> bool) -> Result<Self, Refused> {
        let (bytes, sha256) = digest(&dir.join(path), &mut std::io::sink(), stop)?;
        Ok(Entry { path: path.to_owned(), bytes, sha256 })
    }

    /// Copies the file from the backup in `from` to `to`; refuses one that is not as the manifest says.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> Result<(), Refused> {
        let (from, to) = (from.join(&self.path), to.join(&self.path));
        let mut copy = File::create_new(&to).map_err(|error| Refused::at(&to, error))?;
        let (bytes, sha256) = digest(&from, &mut copy, &|| false)?;
        if (bytes, &sha256) != (self.bytes, &self.sha256) {
            let wanted = (self.bytes, &self.sha256);
            let problem = format!(
                "damaged: {bytes} bytes with SHA-256 {sha256}, the manifest says {} bytes with {}",
                wanted.0, wanted.1
            );
            return Err(Refused::at(&from, problem));
        }
        copy.sync_all().map_err(|error| Refused::at(&to, error))
    }
}

/// Whether a backup has such a file: nothing else may be written anywhere.
fn is_ours(path: &str) -> bool {
    let book = || path.strip_prefix("books/").and_then(|name| Some((book_of(name)?, name)));
    // A profile has one name only.
    matches!(path, "system.redb" | "nacre.toml")
        || book().is_some_and(|(id, name)| name == crate::books::file_name(id))
}

/// Length and SHA-256 of a file, whose bytes go to `copy` too.
fn digest(path: &Path, copy: &mut impl Write, stop: &dyn Fn() -> bool) -> Result<(u64, String), Refused> {
    let mut read = || {
        let mut file = File::open(path)?;
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        let (mut piece, mut length) = (vec![0; 1 << 16], 0);
        loop {
            if stop() {
                return Err(std::io::Error::other("the server is stopping"));
            }
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            context.update(&piece[..count]);
            copy.write_all(&piece[..count])?;
            length += count as u64;
        }
        let hex = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((length, hex))
    };
    read().map_err(|error: std::io::Error| Refused::at(path, error))
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_files_of_a_data_folder_are_restored() {
        assert!(is_ours("system.redb") && is_ours("nacre.toml"));
        assert!(is_ours("books/01981c9e-8f5b-7c3e-9d5a-0c6d4b6f2a11.redb"));
        for path in [
            "../system.redb",
            "/etc/passwd",
            "books/../system.redb",
            "books/x.redb",
            "control.sock",
            "books/",
            "books/01981c9e8f5b7c3e9d5a0c6d4b6f2a11.redb",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }
}
