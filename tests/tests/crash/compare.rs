//! Whether two daemons tell the same books, apart from what is random by nature: the ids of connections, the instant
//! of the report and the count of writes.
#![allow(dead_code, reason = "each test uses its part")]

use nacre_tests::{HarnessError, Result};
use serde_json::Value;

use crate::account::Profile;

/// Every report of a profile.
pub const REPORTS: [&str; 9] = [
    "capital-gains",
    "journal-entries",
    "balance-sheet",
    "portfolio-summary",
    "tax-summary",
    "capital-gains?format=json",
    "open-lots?format=csv",
    "balance-history?interval=month&end=2030-12-31&format=csv",
    "form-8949?year=2025&format=csv",
];
const RANDOM: [&str; 3] = ["connection_id", "snapshot_timestamp", "book_version"];

/// Processes both and compares every report. A difference is an error that shows its first line.
pub fn same_books(killed: &Profile, control: &Profile) -> Result<()> {
    let (a, b) = (killed.process()?, control.process()?);
    for field in ["events_total", "quarantined", "non_final"] {
        same(field, &a[field].to_string(), &b[field].to_string())?;
    }
    for report in REPORTS {
        same(report, &plain(killed, report)?, &plain(control, report)?)?;
    }
    Ok(())
}

/// The report as lines without what is random.
pub fn plain(profile: &Profile, report: &str) -> Result<String> {
    let answer = profile.report(report)?;
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")) {
        return Ok(answer.text());
    }
    let mut value = answer.json()?;
    scrub(&mut value);
    Ok(format!("{value:#}"))
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !RANDOM.contains(&name.as_str()));
            fields.values_mut().for_each(scrub);
        }
        Value::Array(items) => items.iter_mut().for_each(scrub),
        _ => {}
    }
}

fn same(what: &str, killed: &str, control: &str) -> Result<()> {
    if killed == control {
        return Ok(());
    }
    let differs = killed.lines().zip(control.lines()).find(|(a, b)| a != b);
    let (lines, others) = (killed.lines().count(), control.lines().count());
    Err(HarnessError::Failed(format!("{what} differs: {lines} and {others} lines, first {differs:?}")))
}
