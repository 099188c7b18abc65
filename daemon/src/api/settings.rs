//! Settings of a profile.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::access::OwnedProfile;
use super::policies::{PolicyBody, known_connections};
use super::{InProfile, nullable};
use crate::books::BookAccess;
use crate::identity::AuthUser;
use crate::server::extract::{Json, Path};
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::Settings;
use crate::workspaces::policies::NewPolicy;
use crate::workspaces::profiles;
use crate::workspaces::settings::{Change, algorithm_word, fee_treatment_word, lot_scope_word};

/// Settings of a profile.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingsBody {
    /// ISO 4217 code.
    fiat_currency: String,
    /// `FIFO`, `LIFO`, `HIFO`, `LOFO`, `AVG_COST` or `UK_S104`.
    gains_algorithm: &'static str,
    /// `universal` or `connection`.
    lot_scope: &'static str,
    /// Methods and scopes of later days.
    policies: Vec<PolicyBody>,
    /// IANA name; days and tax years are counted there.
    timezone: String,
    /// `dispose` or `carry_basis`.
    transfer_fee_treatment: &'static str,
    /// Oldest rate that may value an event, in hours.
    rate_max_age_hours: u32,
    /// `host:port` of a SOCKS5 proxy.
    tor_proxy: Option<String>,
    /// The chain source; `null` takes the default of the workspace.
    onchain_config_id: Option<Uuid>,
}

impl From<Settings> for SettingsBody {
    fn from(row: Settings) -> Self {
        Self {
            fiat_currency: row.fiat_currency,
            gains_algorithm: algorithm_word(row.gains_algorithm),
            lot_scope: lot_scope_word(row.lot_scope),
            policies: row.policies.into_iter().map(PolicyBody::from).collect(),
            timezone: row.timezone,
            transfer_fee_treatment: fee_treatment_word(row.transfer_fee_treatment),
            rate_max_age_hours: row.rate_max_age_hours,
            tor_proxy: row.tor_proxy,
            onchain_config_id: row.onchain_config,
        }
    }
}

/// Settings to change: what is absent stays; `null` clears `tor_proxy` and `onchain_config_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    /// ISO 4217 code.
    fiat_currency: Option<String>,
    /// `FIFO`, `LIFO`, `HIFO`, `LOFO`, `AVG_COST` or `UK_S104`, in any letter case.
    gains_algorithm: Option<String>,
    /// `universal` or `connection`.
    lot_scope: Option<String>,
    /// All methods and scopes of later days, in order; they replace those there were.
    policies: Option<Vec<PolicyBody>>,
    /// IANA name.
    timezone: Option<String>,
    /// `dispose` or `carry_basis`.
    transfer_fee_treatment: Option<String>,
    /// Oldest rate that may value an event, in hours.
    rate_max_age_hours: Option<u32>,
    /// `host:port` of a SOCKS5 proxy.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    tor_proxy: Option<Option<String>>,
    /// A chain source of the same workspace.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    onchain_config_id: Option<Option<Uuid>>,
}

impl From<SettingsChange> for Change {
    fn from(body: SettingsChange) -> Self {
        Self {
            fiat_currency: body.fiat_currency,
            gains_algorithm: body.gains_algorithm,
            lot_scope: body.lot_scope,
            policies: body.policies.map(|policies| policies.into_iter().map(NewPolicy::from).collect()),
            timezone: body.timezone,
            transfer_fee_treatment: body.transfer_fee_treatment,
            rate_max_age_hours: body.rate_max_age_hours,
            tor_proxy: body.tor_proxy,
            onchain_config: body.onchain_config_id,
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// The settings of a profile.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/settings", tag = "profiles",
    operation_id = "get_settings", responses((status = 200, body = SettingsBody)))]
async fn get(owned: OwnedProfile) -> axum::Json<SettingsBody> {
    axum::Json(owned.profile.settings.into())
}

/// Changes settings of a profile.
#[utoipa::path(put, path = "/v1/workspaces/{w}/profiles/{p}/settings", tag = "profiles",
    operation_id = "put_settings", request_body = SettingsChange,
    responses((status = 200, body = SettingsBody)))]
async fn put(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InProfile>,
    Json(change): Json<SettingsChange>,
) -> Result<axum::Json<SettingsBody>, Problem> {
    let access = BookAccess::prove(&state, user.id, at.w, at.p).await?;
    known_connections(change.policies.as_deref().unwrap_or_default(), Some(&access)).await?;
    let write =
        move |tx: &crate::store::WriteTx| profiles::change_settings(tx, user.id, at.w, at.p, change.into());
    let changed = state.store.write::<_, Problem, _>(write).await?;
    // So that the book knows at once. The settings are stored whatever comes of this; should it fail, the next report
    // or process does it.
    if let Err(problem) = tell_book(&state, user.id, at).await {
        tracing::warn!(profile = %at.p, ?problem, "the book has not taken over changed settings yet");
    }
    Ok(axum::Json(changed.settings.into()))
}

async fn tell_book(state: &AppState, user: Uuid, at: InProfile) -> Result<(), Problem> {
    BookAccess::prove(state, user, at.w, at.p).await?.prepare().await
}
