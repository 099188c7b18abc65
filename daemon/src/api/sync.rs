//! Syncing connections with the profile's chain source, as a background operation.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::InConnection;
use crate::books::{BookAccess, connections};
use crate::jobs::sync;
use crate::server::extract::{OptionalJson, Path};
use crate::server::problem::Problem;
use crate::state::AppState;

/// How to sync; the body may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncRequest {
    /// Reads everything again instead of starting from the last sync.
    force_full_sync: Option<bool>,
}

/// The operation that was started.
#[derive(Serialize, ToSchema)]
struct Started {
    /// Follow it at `/v1/operations/{id}` or on the notifications stream.
    operation_id: Uuid,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sync_all)).routes(routes!(sync_one))
}

/// Syncs all connections of a profile. While a sync of the profile runs, another is refused with 409.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/connections/sync", tag = "connections",
    operation_id = "sync_connections", request_body = Option<SyncRequest>,
    responses((status = 202, body = Started)))]
async fn sync_all(
    access: BookAccess,
    OptionalJson(how): OptionalJson<SyncRequest>,
) -> Result<(StatusCode, axum::Json<Started>), Problem> {
    let targets = access.read(|book| book.connections()).await?;
    start(access, targets, how).await
}

/// Syncs one connection.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/connections/{c}/sync", tag = "connections",
    operation_id = "sync_connection", request_body = Option<SyncRequest>,
    responses((status = 202, body = Started)))]
async fn sync_one(
    access: BookAccess,
    Path(at): Path<InConnection>,
    OptionalJson(how): OptionalJson<SyncRequest>,
) -> Result<(StatusCode, axum::Json<Started>), Problem> {
    let target = connections::get(&access, at.c).await?;
    start(access, vec![target], how).await
}

async fn start(
    access: BookAccess,
    targets: Vec<nacre_engine::model::Connection>,
    how: SyncRequest,
) -> Result<(StatusCode, axum::Json<Started>), Problem> {
    let operation_id = sync::start(access, targets, how.force_full_sync.unwrap_or(false)).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Started { operation_id })))
}
