//! `nacre compact`: rewrites the files of a data folder without their free space. What they hold stays as it is.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use nacre_engine::book::Book;

use super::folder::{Folder, Which};
use crate::config::Config;
use crate::store;

/// Compacts the books one by one, and the system store when no book is named; prints a line for each.
pub(super) fn run(config: &Config, which: &Which) -> Result<(), Box<dyn Error>> {
    let mut folder = Folder::lock(config)?.only(which)?;
    let mut bad = 0;
    for path in &folder.books {
        let compacted = || Book::open(path, folder.cache_bytes)?.compact();
        bad += report(path, || compacted().map(drop).map_err(|error| error.to_string()))?;
    }
    if which.is_all() && folder.system.exists() {
        folder.unlock();
        bad += report(&folder.system, || store::compact(&folder.system).map_err(|error| error.to_string()))?;
    }
    if bad > 0 { Err(format!("{bad} file(s) cannot be compacted").into()) } else { Ok(()) }
}

/// Lengths before and after; one when it failed.
fn report(path: &Path, compact: impl FnOnce() -> Result<(), String>) -> Result<u64, Box<dyn Error>> {
    let before = std::fs::metadata(path)?.len();
    let outcome = compact();
    let after = std::fs::metadata(path)?.len();
    let mut out = std::io::stdout().lock();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match outcome {
        Ok(()) => writeln!(out, "{name}: {before} bytes before, {after} after")?,
        Err(error) => {
            writeln!(out, "{name}: BAD, {error}")?;
            return Ok(1);
        }
    }
    Ok(0)
}
