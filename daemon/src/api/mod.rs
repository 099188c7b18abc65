//! The REST resources: one file each, request and response types with thin handlers that convert, authorise,
//! make one call and convert back. Rules live below, HTTP mechanics in `server`.

pub(crate) mod access;
mod auth;
mod chain_test;
mod change_body;
mod changes;
mod connections;
mod event_body;
mod event_detail;
mod explanation;
mod feedback;
mod health;
mod imports;
mod journals;
mod metadata;
mod notifications;
mod onchain_configs;
mod operations;
mod pending;
mod policies;
mod process;
mod profiles;
mod quarantine;
mod rates;
mod report_query;
mod reports;
mod seal_body;
mod seals;
mod settings;
mod sync;
mod tags;
mod what_if;
mod workspaces;

pub(crate) use journals::range as query_range;
use serde::{Deserialize, Deserializer};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::state::AppState;

/// Every route of the API. A new resource adds its `routes()` here.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(auth::routes())
        .merge(workspaces::routes())
        .merge(profiles::routes())
        .merge(settings::routes())
        .merge(onchain_configs::routes())
        .merge(chain_test::routes())
        .merge(connections::routes())
        .merge(imports::routes())
        .merge(sync::routes())
        .merge(process::routes())
        .merge(operations::routes())
        .merge(notifications::routes())
        .merge(rates::routes())
        .merge(journals::routes())
        .merge(quarantine::routes())
        .merge(pending::routes())
        .merge(metadata::routes())
        .merge(tags::routes())
        .merge(reports::routes())
        .merge(what_if::routes())
        .merge(changes::routes())
        .merge(seals::routes())
        .merge(feedback::routes())
}

/// Path of everything in a workspace; further parameters of the path are ignored here.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct InWorkspace {
    /// The workspace.
    pub(crate) w: Uuid,
}

/// Path of everything in a profile; further parameters of the path are ignored here.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct InProfile {
    /// The workspace.
    pub(crate) w: Uuid,
    /// The profile.
    pub(crate) p: Uuid,
}

/// A connection in the path of a profile, whose other parameters are read by `BookAccess`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct InConnection {
    /// The connection.
    pub(crate) c: Uuid,
}

/// Tells "absent" (`None`, by `#[serde(default)]`) from `null` (`Some(None)`).
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
