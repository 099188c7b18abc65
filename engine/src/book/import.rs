//! Importing a plain CSV file: all of it, or nothing; one answer per row.

use std::io::Read;

use super::facts::connection;
use super::{Book, RowOutcome};
use crate::derive::intake;
use crate::error::Error;
use crate::id::{ConnectionNo, EventId};
use crate::import::{HeaderError, ImportContext, PlainRow, RowError, read_plain};
use crate::model::{ChangeDetail, Connection, Record, RecordBody, Touched};
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

/// Rows taken in at once: large enough that index keys arrive sorted in bulk, small enough for a small machine.
const BATCH_ROWS: usize = 32_768;
/// Row errors reported at most.
const ERRORS_MAX: usize = 1_000;

/// The answer to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRow {
    /// Line of the file.
    pub line: u64,
    /// The event id of the record.
    pub event_id: EventId,
    /// New, duplicate or changed.
    pub outcome: RowOutcome,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Rows stored for the first time.
    pub new: u64,
    /// Rows that were already there as they are.
    pub duplicates: u64,
    /// Rows that replaced a different record of the same id.
    pub changed: u64,
    /// The answer to each row, in order of the file; only for a dry run.
    pub rows: Vec<ImportedRow>,
    /// Version of the book afterwards.
    pub book_version: u64,
}

/// Why nothing of a file was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// The file cannot be read at all.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Some rows are wrong: the first thousand of them, and how many there are.
    #[error("{count} rows cannot be imported; nothing was. The first: {}", rows.first().map(ToString::to_string).unwrap_or_default())]
    Rows {
        /// The first errors in order of the file.
        rows: Vec<RowError>,
        /// How many rows are wrong.
        count: u64,
    },
    /// The book failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Book {
    /// Imports a plain CSV file into a connection; `dry_run` answers as if, and writes nothing.
    ///
    /// # Errors
    /// [`ImportFailure`]; in every case nothing was written.
    pub fn import_plain(
        &self,
        now: Timestamp,
        no: ConnectionNo,
        input: impl Read,
        dry_run: bool,
    ) -> Result<ImportReport, ImportFailure> {
        let mut outcome = Ok(ImportReport::default());
        let mut touched = Touched::default();
        self.write(|store| {
            let target = connection(store, no)?;
            outcome = import(store, &target, input, dry_run, &mut touched);
            let Ok(report) = &mut outcome else { return Ok(None) };
            report.book_version = store.version()?;
            if dry_run || report.new + report.changed == 0 {
                return Ok(None);
            }
            let (new, changed, label) = (report.new, report.changed, target.label.clone());
            let detail = ChangeDetail::Records { connection: no, label, new, changed, removed: 0, touched };
            store.put_connection(&Connection { synced_at: Some(now), ..target })?;
            report.book_version = store.log(now, "import", new + changed, detail)?;
            Ok(Some(()))
        })?;
        outcome
    }
}

fn import(
    store: &mut WriteStore<'_>,
    target: &Connection,
    input: impl Read,
    dry_run: bool,
    touched: &mut Touched,
) -> Result<ImportReport, ImportFailure> {
    let settings = store.settings()?;
    let context =
        ImportContext { zone: Zone::named(&settings.timezone)?, book_currency: settings.fiat_currency };
    let mut report = ImportReport::default();
    let (mut wrong, mut count) = (Vec::new(), 0u64);
    let mut batch = Vec::new();
    for row in read_plain(input, &context)? {
        match row {
            Ok(row) => batch.push(row),
            Err(error) => {
                count += 1;
                if wrong.len() < ERRORS_MAX {
                    wrong.push(error);
                }
            }
        }
        if batch.len() >= BATCH_ROWS {
            let rows = std::mem::take(&mut batch);
            if count == 0 {
                report.add(store_batch(store, target.no, rows, touched)?, dry_run);
            }
        }
    }
    if count > 0 {
        return Err(ImportFailure::Rows { rows: wrong, count });
    }
    report.add(store_batch(store, target.no, batch, touched)?, dry_run);
    Ok(report)
}

/// Stores rows; answers each with its line.
fn store_batch(
    store: &mut WriteStore<'_>,
    connection: ConnectionNo,
    rows: Vec<PlainRow>,
    touched: &mut Touched,
) -> Result<Vec<ImportedRow>, Error> {
    let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
    let records = rows.into_iter().map(|row| Record {
        connection,
        native_id: row.native_id,
        body: RecordBody::Plain(Box::new(row.record)),
    });
    let answers = intake(store, records.collect(), touched)?;
    let rows = lines.into_iter().zip(answers);
    Ok(rows.map(|(line, (event_id, outcome))| ImportedRow { line, event_id, outcome }).collect())
}

impl ImportReport {
    /// Counts rows; keeps them only where they are asked for.
    fn add(&mut self, rows: Vec<ImportedRow>, keep: bool) {
        for row in &rows {
            match row.outcome {
                RowOutcome::New => self.new += 1,
                RowOutcome::Duplicate => self.duplicates += 1,
                RowOutcome::Changed => self.changed += 1,
            }
        }
        if keep {
            self.rows.extend(rows);
        }
    }
}
