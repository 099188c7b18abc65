//! Importing a CSV file into a `Custom` connection, and deriving the journal: the two steps from bytes to books.

use std::io::Read;
use std::time::Instant;

use nacre_engine::book::{ImportFailure, ImportReport, Outcome};
use serde_json::json;
use uuid::Uuid;

use super::BookAccess;
use super::access::now;
use super::connections::find;
use crate::server::problem::{Code, Problem};

/// Whether files go into connections of this kind.
pub(crate) fn takes_files(kind: &str) -> Result<(), Problem> {
    if kind == "Custom" {
        return Ok(());
    }
    let message =
        format!("a {kind} connection syncs with a chain source; import files into a Custom connection");
    Err(Problem::new(Code::ImportNotTaken, message))
}

/// Imports all rows of `input` or none; a dry run answers row by row and writes nothing.
///
/// # Errors
/// `invalid_import` with the wrong rows; `import_not_taken` for other kinds than `Custom`.
pub(crate) async fn import(
    access: &BookAccess,
    connection: Uuid,
    input: impl Read + Send + 'static,
    dry_run: bool,
) -> Result<ImportReport, Problem> {
    let facts = access.clone();
    access
        .write(move |book| {
            let target = find(book, connection)?;
            takes_files(&target.kind)?;
            facts.prepare_now(book)?;
            book.import_plain(now(), target.no, input, dry_run).map_err(Problem::from)
        })
        .await
}

/// [`import`] and [`process`] in one write: both or neither.
///
/// # Errors
/// As [`import`].
pub(crate) async fn import_and_process(
    access: &BookAccess,
    connection: Uuid,
    input: impl Read + Send + 'static,
) -> Result<(ImportReport, Processed), Problem> {
    let started = Instant::now();
    let facts = access.clone();
    let work = move |book: &nacre_engine::book::Book| {
        let target = find(book, connection)?;
        takes_files(&target.kind)?;
        facts.prepare_now(book)?;
        let stop = || facts.is_given_up();
        let done = book.import_and_process(now(), target.no, input, &stop);
        let (report, outcome) = done.map_err(|failure| match failure {
            ImportFailure::Engine(error) => facts.stopped(error),
            other => other.into(),
        })?;
        Ok::<_, Problem>((report, outcome, book.snapshot()?.header()?.non_final))
    };
    let (report, outcome, non_final) = access.write(work).await?;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((report, Processed { outcome, non_final, duration_ms }))
}

/// What processing did.
pub(crate) struct Processed {
    /// Counts of the engine.
    pub(crate) outcome: Outcome,
    /// Whether something is still waiting or in quarantine.
    pub(crate) non_final: bool,
    /// Time it took, in milliseconds.
    pub(crate) duration_ms: u64,
}

/// Derives journal and lots from the facts; `full` starts from nothing.
pub(crate) async fn process(access: &BookAccess, full: bool) -> Result<Processed, Problem> {
    let started = Instant::now();
    let facts = access.clone();
    let work = move |book: &nacre_engine::book::Book| {
        // In the same turn, so that what is derived is derived from the facts of this moment.
        facts.prepare_now(book)?;
        let stop = || facts.is_given_up();
        let outcome = book.process(now(), full, &stop).map_err(|error| facts.stopped(error))?;
        Ok::<_, Problem>((outcome, book.snapshot()?.header()?.non_final))
    };
    let (outcome, non_final) = access.write(work).await?;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Processed { outcome, non_final, duration_ms })
}

impl BookAccess {
    /// Whether deriving is to stop: the server is shutting down, or the profile is gone.
    fn is_given_up(&self) -> bool {
        self.state.shutdown.is_cancelled() || self.state.books.is_removed(self.profile_id)
    }

    /// The problem of a work that failed or was given up.
    fn stopped(&self, error: nacre_engine::Error) -> Problem {
        match error {
            nacre_engine::Error::Cancelled if !self.state.shutdown.is_cancelled() => {
                Problem::not_found("profile")
            }
            other => other.into(),
        }
    }
}

impl From<ImportFailure> for Problem {
    fn from(failure: ImportFailure) -> Self {
        match failure {
            ImportFailure::Engine(error) => error.into(),
            ImportFailure::Header(error) => {
                let row = json!({ "line": 1, "column": null, "problem": error.to_string() });
                Self::new(Code::InvalidImport, format!("nothing was imported: {error}"))
                    .with_details(json!({ "count": 1, "rows": [row] }))
            }
            ImportFailure::Rows { rows, count } => {
                let first = rows.first().map(ToString::to_string).unwrap_or_default();
                let message =
                    format!("{count} row(s) are wrong and nothing was imported; the first: {first}");
                let column = |name: String| (!name.is_empty()).then_some(name);
                let rows: Vec<_> = rows
                    .into_iter()
                    .map(|row| json!({ "line": row.line, "column": column(row.column), "problem": row.problem }))
                    .collect();
                Self::new(Code::InvalidImport, message).with_details(json!({ "count": count, "rows": rows }))
            }
        }
    }
}
