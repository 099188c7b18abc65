//! Deriving the journal from what the connections delivered.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::books::imports::Processed;
use crate::books::{BookAccess, imports};
use crate::server::extract::Query;
use crate::server::problem::Problem;
use crate::state::AppState;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProcessQuery {
    /// Derives everything anew instead of only what changed; the outcome is the same.
    full: Option<bool>,
}

/// What processing did.
#[derive(Serialize, ToSchema)]
pub(super) struct JournalRunOutcome {
    /// Id of this run.
    run_id: Uuid,
    /// Events in the journal.
    events_total: u64,
    /// Events derived anew by this run.
    events_replayed: u64,
    /// Entries written by this run.
    entries_written: u64,
    /// Events that need a decision before they can be booked.
    quarantined: u64,
    /// Whether reports are not final, because something waits or is in quarantine.
    non_final: bool,
    /// Time it took, in milliseconds.
    duration_ms: u64,
    /// Version of the book afterwards.
    book_version: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(process))
}

/// Turns records into journal entries, lots and gains. Run it after every sync and import.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/journals/process", tag = "journals",
    operation_id = "process_journals", params(ProcessQuery),
    responses((status = 200, body = JournalRunOutcome)))]
async fn process(
    access: BookAccess,
    Query(query): Query<ProcessQuery>,
) -> Result<axum::Json<JournalRunOutcome>, Problem> {
    let done = imports::process(&access, query.full.unwrap_or(false)).await?;
    Ok(axum::Json(done.into()))
}

impl From<Processed> for JournalRunOutcome {
    fn from(done: Processed) -> Self {
        Self {
            run_id: Uuid::now_v7(),
            events_total: done.outcome.events_total,
            events_replayed: done.outcome.events_replayed,
            entries_written: done.outcome.entries_written,
            quarantined: done.outcome.quarantined,
            non_final: done.non_final,
            duration_ms: done.duration_ms,
            book_version: done.outcome.book_version,
        }
    }
}
