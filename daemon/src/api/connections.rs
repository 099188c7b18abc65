//! Connections of a profile: wallets read from a chain source, and feeds of CSV files.

use axum::http::StatusCode;
use nacre_engine::model::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::InConnection;
use crate::books::kinds::{self, Configuration, KindBody};
use crate::books::{BookAccess, connections};
use crate::server::extract::{Json, Path, Query};
use crate::server::page::{Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;

/// A connection.
#[derive(Serialize, ToSchema)]
struct ConnectionBody {
    /// Its id.
    id: Uuid,
    /// Its name, also of its accounts.
    label: String,
    /// `Descriptor`, `Address` or `Custom`.
    kind: String,
    /// What it was configured with, and what was derived from that.
    #[schema(value_type = Object)]
    configuration: Value,
    /// The network of its wallet, as far as it is known.
    network: Option<&'static str>,
    /// When it was made (RFC 3339).
    created_at: String,
    /// When it last delivered something, by sync or import (RFC 3339).
    synced_at: Option<String>,
}

impl TryFrom<Connection> for ConnectionBody {
    type Error = Problem;

    fn try_from(row: Connection) -> Result<Self, Problem> {
        let configuration = Configuration::stored(&row)?;
        Ok(Self {
            id: connections::id(&row),
            network: configuration.network().map(|network| network.name()),
            configuration: configuration.to_json()?,
            label: row.label,
            kind: row.kind,
            created_at: row.created_at.to_string(),
            synced_at: row.synced_at.map(|at| at.to_string()),
        })
    }
}

/// A connection to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConnection {
    /// Its name.
    label: String,
    /// `Descriptor`, `Address` or `Custom`, in any letter case.
    kind: String,
    /// Fields of the kind, see `connections/kinds`.
    #[schema(value_type = Option<Object>)]
    configuration: Option<Value>,
}

/// What changes in a connection; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConnectionChange {
    /// Its name.
    label: Option<String>,
    /// The whole new configuration; the next sync reads everything again. If it describes another wallet (descriptors,
    /// addresses or network differ), what the old one delivered is removed; the books follow at the next process.
    #[schema(value_type = Option<Object>)]
    configuration: Option<Value>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(kinds))
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
}

/// The kinds of connections of this version, each with the schema of its configuration and an example.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/connections/kinds", tag = "connections",
    operation_id = "list_connection_kinds", responses((status = 200, body = Page<KindBody>)))]
async fn kinds(_access: BookAccess) -> axum::Json<Page<KindBody>> {
    axum::Json(Page { items: kinds::describe(), next_cursor: None })
}

/// Makes a connection.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/connections", tag = "connections",
    operation_id = "create_connection", request_body = NewConnection,
    responses((status = 201, body = ConnectionBody)))]
async fn create(
    access: BookAccess,
    Json(new): Json<NewConnection>,
) -> Result<(StatusCode, axum::Json<ConnectionBody>), Problem> {
    let row = connections::create(&access, &new.label, &new.kind, new.configuration).await?;
    Ok((StatusCode::CREATED, axum::Json(row.try_into()?)))
}

/// Lists the connections of a profile, oldest first.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/connections", tag = "connections",
    operation_id = "list_connections", params(PageQuery),
    responses((status = 200, body = Page<ConnectionBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<ConnectionBody>>, Problem> {
    let Page { items, next_cursor } = connections::list(&access, &query).await?;
    let items = items.into_iter().map(ConnectionBody::try_from).collect::<Result<_, _>>()?;
    Ok(axum::Json(Page { items, next_cursor }))
}

/// One connection.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/connections/{c}", tag = "connections",
    operation_id = "get_connection", responses((status = 200, body = ConnectionBody)))]
async fn get(
    access: BookAccess,
    Path(at): Path<InConnection>,
) -> Result<axum::Json<ConnectionBody>, Problem> {
    Ok(axum::Json(connections::get(&access, at.c).await?.try_into()?))
}

/// Changes label or configuration.
#[utoipa::path(patch, path = "/v1/workspaces/{w}/profiles/{p}/connections/{c}", tag = "connections",
    operation_id = "change_connection", request_body = ConnectionChange,
    responses((status = 200, body = ConnectionBody)))]
async fn change(
    access: BookAccess,
    Path(at): Path<InConnection>,
    Json(new): Json<ConnectionChange>,
) -> Result<axum::Json<ConnectionBody>, Problem> {
    let row = connections::change(&access, at.c, new.label, new.configuration).await?;
    Ok(axum::Json(row.try_into()?))
}

/// Deletes a connection with everything it delivered; the books follow at the next process.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/connections/{c}", tag = "connections",
    operation_id = "delete_connection", responses((status = 204)))]
async fn delete(access: BookAccess, Path(at): Path<InConnection>) -> Result<StatusCode, Problem> {
    connections::delete(&access, at.c).await?;
    Ok(StatusCode::NO_CONTENT)
}
