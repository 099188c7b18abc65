//! Importing CSV files into `Custom` connections.

use axum::extract::Request;
use nacre_engine::book::{ImportReport, ImportedRow, RowOutcome};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::InConnection;
use super::process::JournalRunOutcome;
use crate::books::{BookAccess, Spool, connections, imports};
use crate::server::extract::{self, Path, Query};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// Rows a dry run answers for one by one; of more it gives the counts.
const ROWS_SHOWN: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Answers as if, row by row, and writes nothing.
    dry_run: Option<bool>,
    /// Derives the journal in the same write: both happen, or neither.
    process: Option<bool>,
}

/// What an import did, or would do.
#[derive(Serialize, ToSchema)]
struct ImportBody {
    /// Whether nothing was written on purpose.
    dry_run: bool,
    /// Rows that are new.
    new: u64,
    /// Rows that were there already as they are.
    duplicates: u64,
    /// Rows that replaced a different row of the same id.
    changed: u64,
    /// The answer to each of the first 10,000 rows; only of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<RowBody>>,
    /// What deriving the journal did; only with `process=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<JournalRunOutcome>,
    /// Version of the book afterwards.
    book_version: u64,
}

/// The answer to one row.
#[derive(Serialize, ToSchema)]
struct RowBody {
    /// Line of the file on which the row begins.
    line: u64,
    /// The event it becomes.
    event_id: String,
    /// `new`, `duplicate` or `changed`.
    outcome: &'static str,
}

impl From<ImportedRow> for RowBody {
    fn from(row: ImportedRow) -> Self {
        let outcome = match row.outcome {
            RowOutcome::New => "new",
            RowOutcome::Duplicate => "duplicate",
            RowOutcome::Changed => "changed",
        };
        Self { line: row.line, event_id: row.event_id.as_str().to_owned(), outcome }
    }
}

fn body(report: ImportReport, dry_run: bool) -> ImportBody {
    let ImportReport { new, duplicates, changed, rows, book_version } = report;
    let rows = dry_run.then(|| rows.into_iter().take(ROWS_SHOWN).map(RowBody::from).collect());
    ImportBody { dry_run, new, duplicates, changed, rows, process: None, book_version }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(import))
}

/// Imports a CSV file: all rows or none. Rows that are there already are counted, not doubled.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/connections/{c}/import", tag = "connections",
    operation_id = "import_file", params(ImportQuery),
    request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportBody)))]
async fn import(
    access: BookAccess,
    Path(at): Path<InConnection>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<axum::Json<ImportBody>, Problem> {
    if extract::content_type(&request) != "text/csv" {
        let message = "send the file as CSV with the header Content-Type: text/csv";
        return Err(Problem::new(Code::UnsupportedMediaType, message));
    }
    imports::takes_files(&connections::get(&access, at.c).await?.kind)?;
    let limit = access.state.limits.body_bytes(&request);
    let spool = Spool::receive(&access.state.spool_dir(), request.into_body(), limit).await?;
    let dry_run = query.dry_run.unwrap_or(false);
    if !query.process.unwrap_or(false) {
        let report = imports::import(&access, at.c, spool.open()?, dry_run).await?;
        return Ok(axum::Json(body(report, dry_run)));
    }
    if dry_run {
        return Err(Problem::query("process", "process=true and dry_run=true exclude each other"));
    }
    let (report, processed) = imports::import_and_process(&access, at.c, spool.open()?).await?;
    let book_version = processed.outcome.book_version;
    Ok(axum::Json(ImportBody { process: Some(processed.into()), book_version, ..body(report, false) }))
}
