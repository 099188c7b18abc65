//! Workspaces.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::InWorkspace;
use crate::clock;
use crate::identity::AuthUser;
use crate::server::extract::{Json, Path, Query};
use crate::server::page::{Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::Workspace;
use crate::workspaces;

/// A name for people.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    /// One line of 1 to 100 characters.
    pub(super) label: String,
}

/// A workspace.
#[derive(Serialize, ToSchema)]
struct WorkspaceBody {
    /// Its id.
    id: Uuid,
    /// Its name.
    label: String,
    /// When it was made (RFC 3339).
    created_at: String,
    /// The chain source of profiles that select none.
    default_onchain_config_id: Option<Uuid>,
}

fn body((id, row): (Uuid, Workspace)) -> WorkspaceBody {
    WorkspaceBody {
        id,
        label: row.label,
        created_at: clock::rfc3339(row.created_at_ms),
        default_onchain_config_id: row.default_onchain_config,
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, rename, delete))
}

/// Makes a workspace.
#[utoipa::path(post, path = "/v1/workspaces", tag = "workspaces", operation_id = "create_workspace",
    request_body = Label, responses((status = 201, body = WorkspaceBody)))]
async fn create(
    State(state): State<AppState>,
    user: AuthUser,
    Json(new): Json<Label>,
) -> Result<(StatusCode, axum::Json<WorkspaceBody>), Problem> {
    let made = state.store.write(move |tx| workspaces::create(tx, user.id, &new.label)).await?;
    Ok((StatusCode::CREATED, axum::Json(body(made))))
}

/// Lists the caller's workspaces, oldest first.
#[utoipa::path(get, path = "/v1/workspaces", tag = "workspaces", operation_id = "list_workspaces", params(PageQuery),
    responses((status = 200, body = Page<WorkspaceBody>)))]
async fn list(
    State(state): State<AppState>,
    user: AuthUser,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<WorkspaceBody>>, Problem> {
    let page = state.store.read(move |tx| workspaces::list(tx, user.id, &query)).await?;
    Ok(axum::Json(page.map(body)))
}

/// One workspace.
#[utoipa::path(get, path = "/v1/workspaces/{w}", tag = "workspaces", operation_id = "get_workspace",
    responses((status = 200, body = WorkspaceBody)))]
async fn get(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
) -> Result<axum::Json<WorkspaceBody>, Problem> {
    let row = state.store.read(move |tx| workspaces::owned(tx, user.id, at.w)).await?;
    Ok(axum::Json(body((at.w, row))))
}

/// Renames a workspace.
#[utoipa::path(patch, path = "/v1/workspaces/{w}", tag = "workspaces", operation_id = "rename_workspace",
    request_body = Label, responses((status = 200, body = WorkspaceBody)))]
async fn rename(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
    Json(new): Json<Label>,
) -> Result<axum::Json<WorkspaceBody>, Problem> {
    let row = state.store.write(move |tx| workspaces::rename(tx, user.id, at.w, &new.label)).await?;
    Ok(axum::Json(body((at.w, row))))
}

/// Deletes a workspace that has no profiles.
#[utoipa::path(delete, path = "/v1/workspaces/{w}", tag = "workspaces", operation_id = "delete_workspace",
    responses((status = 204)))]
async fn delete(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
) -> Result<StatusCode, Problem> {
    state.store.write(move |tx| workspaces::delete(tx, user.id, at.w)).await?;
    Ok(StatusCode::NO_CONTENT)
}
