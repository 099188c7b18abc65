//! The REST resources: one file each, request and response types with thin handlers that convert, authorise,
//! make one call and convert back. Rules live below, HTTP mechanics in `server`.

mod auth;
mod health;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

/// Every route of the API. A new resource adds its `routes()` here.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(health::routes()).merge(auth::routes())
}
