//! Operations: background jobs and what came of them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::clock;
use crate::identity::AuthUser;
use crate::server::extract::{Path, Query};
use crate::server::page::{Page, PageQuery, id_key};
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::{Failure, Operation, OperationStatus};
use crate::store::{Rows, tables};

/// An operation.
#[derive(Serialize, ToSchema)]
struct OperationBody {
    /// Its id.
    id: Uuid,
    /// What it does.
    kind: String,
    /// `Queued`, `Running`, `Succeeded`, `SucceededWithFailures`, `Failed` or `Cancelled`.
    status: &'static str,
    /// The workspace it works in.
    workspace_id: Option<Uuid>,
    /// The books it works on.
    profile_id: Option<Uuid>,
    /// When it was asked for (RFC 3339).
    created_at: String,
    /// When it began (RFC 3339).
    started_at: Option<String>,
    /// When it ended (RFC 3339).
    finished_at: Option<String>,
    /// What came of it, once it has ended.
    result: Option<ResultBody>,
    /// Why it failed as a whole.
    error: Option<FailureBody>,
}

/// What came of an operation.
#[derive(Serialize, ToSchema)]
struct ResultBody {
    /// What went wrong, connection by connection.
    failures: Vec<FailureBody>,
    /// What the kind of operation reports beyond that.
    #[schema(value_type = Option<Object>)]
    summary: Option<Value>,
}

/// One thing that went wrong.
#[derive(Serialize, ToSchema)]
struct FailureBody {
    /// The connection it concerns.
    connection_id: Option<Uuid>,
    /// Stable word.
    code: String,
    /// What is wrong and what to do.
    message: String,
}

fn failure(row: Failure) -> FailureBody {
    FailureBody { connection_id: row.connection, code: row.code, message: row.message }
}

fn body((id, row): (Uuid, Operation)) -> OperationBody {
    let summary = row.summary_json.and_then(|text| serde_json::from_str(&text).ok());
    let result = ResultBody { failures: row.failures.into_iter().map(failure).collect(), summary };
    OperationBody {
        id,
        kind: row.kind,
        status: status_word(row.status),
        workspace_id: row.workspace,
        profile_id: row.profile,
        created_at: clock::rfc3339(row.created_at_ms),
        started_at: row.started_at_ms.map(clock::rfc3339),
        finished_at: row.finished_at_ms.map(clock::rfc3339),
        result: row.finished_at_ms.map(|_| result),
        error: row.error.map(failure),
    }
}

fn status_word(status: OperationStatus) -> &'static str {
    match status {
        OperationStatus::Queued => "Queued",
        OperationStatus::Running => "Running",
        OperationStatus::Succeeded => "Succeeded",
        OperationStatus::SucceededWithFailures => "SucceededWithFailures",
        OperationStatus::Failed => "Failed",
        OperationStatus::Cancelled => "Cancelled",
    }
}

/// The operation, if it is the user's.
pub(super) async fn owned(state: &AppState, user: Uuid, id: Uuid) -> Result<Operation, Problem> {
    let key = (user.as_u128(), id.as_u128());
    let found = state.store.read::<_, Problem, _>(move |tx| Ok(tx.get(&tables::OPERATIONS, key)?)).await?;
    found.ok_or_else(|| Problem::not_found("operation"))
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, cancel))
}

/// Lists the caller's operations, oldest first.
#[utoipa::path(get, path = "/v1/operations", tag = "operations", operation_id = "list_operations", params(PageQuery),
    responses((status = 200, body = Page<OperationBody>)))]
async fn list(
    State(state): State<AppState>,
    user: AuthUser,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<OperationBody>>, Problem> {
    let (limit, from) = query.after_id()?;
    let range = (user.id.as_u128(), from)..=(user.id.as_u128(), u128::MAX);
    let read = move |tx: &crate::store::ReadTx| {
        tx.scan(&tables::OPERATIONS, range, limit + 1, |key, row| (Uuid::from_u128(key.1), row))
    };
    let page = Page::cut(state.store.read(read).await?, limit, |(id, _)| id_key(*id));
    Ok(axum::Json(page.map(body)))
}

/// One operation.
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "operations", operation_id = "get_operation",
    responses((status = 200, body = OperationBody)))]
async fn get(
    State(state): State<AppState>,
    user: AuthUser,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<OperationBody>, Problem> {
    let row = owned(&state, user.id, id).await?;
    Ok(axum::Json(body((id, row))))
}

/// Asks an operation to stop; it ends as `Cancelled` once its job notices.
#[utoipa::path(delete, path = "/v1/operations/{id}", tag = "operations", operation_id = "cancel_operation",
    responses((status = 202, body = OperationBody)))]
async fn cancel(
    State(state): State<AppState>,
    user: AuthUser,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, axum::Json<OperationBody>), Problem> {
    let row = owned(&state, user.id, id).await?;
    state.jobs.cancel(id)?;
    Ok((StatusCode::ACCEPTED, axum::Json(body((id, row)))))
}
