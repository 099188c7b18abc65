//! All routes and the layers around them. Layers from the outside in: request id and log, panics, header
//! size, compression, body, concurrency, time, size of imports, idempotency.

use std::sync::Arc;

use axum::http::{Method, Uri};
use axum::routing::get;
use axum::{Json, Router, middleware};
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Code, Problem};
use super::{docs, idempotency, limits, panic_guard, request_id};
use crate::api;
use crate::state::AppState;

/// The whole application as one service.
pub(crate) fn build(state: &AppState) -> Router {
    let (routes, document) = routes();
    let document = Arc::new(document);
    let serve_document = get(move || {
        let document = document.clone();
        async move { Json(document.as_ref().clone()) }
    });
    routes
        .route("/openapi.json", serve_document)
        .merge(docs::viewer())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), idempotency::layer))
        .layer(middleware::from_fn_with_state(state.clone(), limits::body_size))
        .layer(middleware::from_fn_with_state(state.clone(), limits::timeout))
        .layer(middleware::from_fn_with_state(state.clone(), limits::concurrency))
        .layer(middleware::from_fn_with_state(state.clone(), limits::body_first))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(limits::headers))
        .layer(middleware::from_fn(panic_guard::layer))
        .layer(middleware::from_fn(request_id::layer))
        .with_state(state.clone())
}

/// The routes and the document that describes them.
pub(crate) fn routes() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    let (routes, document) = OpenApiRouter::with_openapi(docs::base()).merge(api::routes()).split_for_parts();
    (routes, docs::complete(document))
}

async fn unknown_route(uri: Uri) -> Problem {
    let message = format!("there is no route {}; /docs lists the routes", uri.path());
    Problem::new(Code::RouteNotFound, message)
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let message = format!("{} does not take {method}; the Allow header lists what it takes", uri.path());
    Problem::new(Code::MethodNotAllowed, message)
}
