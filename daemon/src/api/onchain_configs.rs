//! Chain sources of a workspace, called onchain configs here.

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
use crate::server::extract::{Json, OptionalJson, Path, Query};
use crate::server::page::{Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::{OnchainConfig, OnchainKind};
use crate::workspaces::chain_sources::{self, NewSource, SourceChange};

/// A chain source.
#[derive(Serialize, ToSchema)]
pub(super) struct OnchainConfigBody {
    /// Its id.
    id: Uuid,
    /// Its name.
    label: String,
    /// `Electrum`.
    kind: &'static str,
    /// Its address.
    url: String,
    /// When it was made (RFC 3339).
    created_at: String,
}

pub(super) fn body((id, row): (Uuid, OnchainConfig)) -> OnchainConfigBody {
    let kind = match row.kind {
        OnchainKind::Electrum => "Electrum",
    };
    OnchainConfigBody {
        id,
        label: row.label,
        kind,
        url: row.url,
        created_at: clock::rfc3339(row.created_at_ms),
    }
}

/// A chain source to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewOnchainConfig {
    /// Its name.
    label: String,
    /// `Electrum`.
    kind: String,
    /// `tcp://host:port` or `ssl://host:port`.
    url: String,
}

/// What changes in a chain source; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OnchainConfigChange {
    /// Its name.
    label: Option<String>,
    /// `Electrum`.
    kind: Option<String>,
    /// `tcp://host:port` or `ssl://host:port`.
    url: Option<String>,
}

/// Whom a chain source is selected for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Selection {
    /// A profile of the workspace; absent selects the default of the workspace.
    profile_id: Option<Uuid>,
}

#[derive(Clone, Copy, Deserialize)]
struct At {
    w: Uuid,
    id: Uuid,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(select))
}

/// Makes a chain source.
#[utoipa::path(post, path = "/v1/workspaces/{w}/onchain-configs", tag = "chain sources",
    operation_id = "create_onchain_config", request_body = NewOnchainConfig,
    responses((status = 201, body = OnchainConfigBody)))]
async fn create(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
    Json(new): Json<NewOnchainConfig>,
) -> Result<(StatusCode, axum::Json<OnchainConfigBody>), Problem> {
    let source = NewSource { prefix: "", label: new.label, kind: new.kind, url: new.url };
    let made = state.store.write(move |tx| chain_sources::create(tx, user.id, at.w, &source)).await?;
    Ok((StatusCode::CREATED, axum::Json(body(made))))
}

/// Lists the chain sources of a workspace, oldest first.
#[utoipa::path(get, path = "/v1/workspaces/{w}/onchain-configs", tag = "chain sources",
    operation_id = "list_onchain_configs", params(PageQuery), 
    responses((status = 200, body = Page<OnchainConfigBody>)))]
async fn list(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<OnchainConfigBody>>, Problem> {
    let page = state.store.read(move |tx| chain_sources::list(tx, user.id, at.w, &query)).await?;
    Ok(axum::Json(page.map(body)))
}

/// One chain source.
#[utoipa::path(get, path = "/v1/workspaces/{w}/onchain-configs/{id}", tag = "chain sources",
    operation_id = "get_onchain_config", responses((status = 200, body = OnchainConfigBody)))]
async fn get(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<At>,
) -> Result<axum::Json<OnchainConfigBody>, Problem> {
    let row = state.store.read(move |tx| chain_sources::owned(tx, user.id, at.w, at.id)).await?;
    Ok(axum::Json(body((at.id, row))))
}

/// Changes a chain source.
#[utoipa::path(patch, path = "/v1/workspaces/{w}/onchain-configs/{id}", tag = "chain sources",
    operation_id = "change_onchain_config", request_body = OnchainConfigChange,
    responses((status = 200, body = OnchainConfigBody)))]
async fn change(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<At>,
    Json(new): Json<OnchainConfigChange>,
) -> Result<axum::Json<OnchainConfigBody>, Problem> {
    let new = SourceChange { label: new.label, kind: new.kind, url: new.url };
    let row = state.store.write(move |tx| chain_sources::change(tx, user.id, at.w, at.id, &new)).await?;
    Ok(axum::Json(body((at.id, row))))
}

/// Deletes a chain source that no profile reads.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/onchain-configs/{id}", tag = "chain sources",
    operation_id = "delete_onchain_config", responses((status = 204)))]
async fn delete(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<At>,
) -> Result<StatusCode, Problem> {
    state.store.write(move |tx| chain_sources::delete(tx, user.id, at.w, at.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Selects a chain source for a profile or as the default of the workspace.
#[utoipa::path(post, path = "/v1/workspaces/{w}/onchain-configs/{id}/select", tag = "chain sources",
    operation_id = "select_onchain_config", request_body = Option<Selection>,
    responses((status = 200, body = OnchainConfigBody)))]
async fn select(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<At>,
    OptionalJson(whom): OptionalJson<Selection>,
) -> Result<axum::Json<OnchainConfigBody>, Problem> {
    let write =
        move |tx: &crate::store::WriteTx| chain_sources::select(tx, user.id, at.w, at.id, whom.profile_id);
    let row = state.store.write::<_, Problem, _>(write).await?;
    Ok(axum::Json(body((at.id, row))))
}
