//! `nacre rebuild`: derives books anew from their facts, whatever their derived rows say.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use nacre_engine::book::Book;

use super::folder::{Folder, Which};
use crate::books::now;
use crate::config::Config;

/// Rebuilds the books one by one and prints a line for each.
pub(super) fn run(config: &Config, which: &Which) -> Result<(), Box<dyn Error>> {
    let folder = Folder::lock(config)?.only(which)?;
    let mut out = std::io::stdout().lock();
    let mut bad = 0;
    for path in &folder.books {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match rebuild(path, folder.cache_bytes) {
            Ok(figures) => writeln!(out, "{name}: {figures}")?,
            Err(error) => {
                bad += 1;
                writeln!(out, "{name}: BAD, {error}")?;
            }
        }
    }
    writeln!(out, "{} book(s) rebuilt, {bad} bad", folder.books.len() - bad)?;
    if bad > 0 { Err(format!("{bad} book(s) cannot be rebuilt").into()) } else { Ok(()) }
}

fn rebuild(path: &Path, cache_bytes: usize) -> nacre_engine::Result<String> {
    let book = Book::open(path, cache_bytes)?;
    let begun = Instant::now();
    let done = book.process(now(), true, &|| false)?;
    let (events, entries, set_aside) = (done.events_total, done.entries_written, done.quarantined);
    let ms = begun.elapsed().as_millis();
    Ok(format!("{events} events, {entries} entries written, {set_aside} in quarantine, {ms} ms"))
}
