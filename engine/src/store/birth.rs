//! Making a file whole before it has its name, so that a crash never leaves half a file where a whole one is looked for.
//!
//! Refuses to replace a file that is there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Makes the file at `path`, unless there is one: `make` fills a file beside it, which gets the name in one step. A crash
/// leaves at most that other file.
///
/// # Errors
/// What `make` refuses, and what the disk does; then there is no file.
pub fn make_whole<E: From<io::Error>>(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    if path.try_exists()? {
        return Ok(());
    }
    let unborn = unborn(path);
    forget(&unborn)?;
    let made = make(&unborn).and_then(|()| Ok(give_name(&unborn, path)?));
    // Also after a failure, such as a full disk.
    forget(&unborn)?;
    made
}

/// The process is in the name because another one may make the same file now.
fn unborn(path: &Path) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn give_name(unborn: &Path, path: &Path) -> io::Result<()> {
    // A link, unlike a rename, never takes the place of a file. Some file systems know no links.
    match fs::hard_link(unborn, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(_) => fs::rename(unborn, path)?,
        Ok(()) => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // The name itself must survive a power cut too.
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book");
        fs::write(unborn(&path), "what a crash left").unwrap();
        make_whole::<io::Error>(&path, |unborn| {
            assert!(!unborn.exists() && !path.exists());
            fs::write(unborn, "whole")
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(files(folder.path()), ["book"]);
    }

    #[test]
    fn a_failure_leaves_nothing_and_a_file_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book");
        let full = |unborn: &Path| {
            fs::write(unborn, "part").unwrap();
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert!(make_whole(&path, full).is_err());
        assert!(files(folder.path()).is_empty());
        let meanwhile = |unborn: &Path| {
            fs::write(&path, "theirs").unwrap();
            fs::write(unborn, "ours")
        };
        make_whole(&path, meanwhile).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(files(folder.path()), ["book"]);
    }
}
