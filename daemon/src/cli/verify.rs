//! `nacre verify`: audits every book of the data folder. Changes nothing; exit code 1 when something does not hold.

use std::error::Error;
use std::io::Write;

use nacre_engine::book::{Book, Verified};

use super::folder::Folder;
use crate::config::Config;

/// Audits the books one by one and prints a line for each.
pub(super) fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let folder = Folder::lock(config)?;
    let mut out = std::io::stdout().lock();
    let mut bad = 0;
    for path in &folder.books {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let verified = Book::open(path, folder.cache_bytes).and_then(|book| book.verify());
        match verified {
            Ok(report) if report.problems.is_empty() => writeln!(out, "{name}: good, {}", counts(&report))?,
            Ok(report) => {
                bad += 1;
                writeln!(out, "{name}: BAD, {}", counts(&report))?;
                for problem in &report.problems {
                    writeln!(out, "  - {problem}")?;
                }
                match report.damaged_facts.is_empty() {
                    true => writeln!(out, "  its facts hold; nacre rebuild makes the rest anew")?,
                    false => writeln!(out, "  its facts are damaged; restore a backup")?,
                }
            }
            Err(error) => {
                bad += 1;
                writeln!(out, "{name}: BAD, {error}")?;
            }
        }
    }
    writeln!(out, "{} book(s) verified, {bad} bad", folder.books.len())?;
    if bad > 0 { Err(format!("{bad} book(s) do not hold").into()) } else { Ok(()) }
}

fn counts(report: &Verified) -> String {
    let Verified { records, journal_rows, days, open_lots, waiting, .. } = report;
    let waiting = if *waiting { "; some wait for the next process" } else { "" };
    format!("{records} records, {journal_rows} journal rows, {days} days, {open_lots} open lots{waiting}")
}
