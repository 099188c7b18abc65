//! Probes and metrics, open to anyone who reaches the server.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::observe::metrics;
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// A probe's answer.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
    /// Version of the server.
    version: &'static str,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics_page))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation of the server", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> axum::Json<Health> {
    axum::Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Whether the server can do its work: 503 while stopping, and after a write to the data folder failed until one is
/// possible again; `details` says whether the system store is stopped and which profiles' books are.
#[utoipa::path(get, path = "/readyz", tag = "operation of the server", security(()), responses((status = 200, body = Health)))]
async fn readyz(State(state): State<AppState>) -> Result<axum::Json<Health>, Problem> {
    if state.shutdown.is_cancelled() {
        return Err(Problem::new(Code::NotReady, "the server is stopping").retry_after(5));
    }
    let (system, books) = (state.store.is_stopped(), state.books.stopped());
    if system || !books.is_empty() {
        let message =
            "writing to the data folder failed; check the disk: writing goes on by itself when it can";
        let details = json!({ "system": system, "books": books });
        return Err(Problem::new(Code::StorageFailed, message).with_details(details).retry_after(10));
    }
    Ok(healthz().await)
}

/// Metrics in Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operation of the server", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics_page() -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render()).into_response()
}
