//! Profiles: setup in one call, and the single calls.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::onchain_configs::{self, OnchainConfigBody};
use super::policies::{PolicyBody, known_connections};
use super::settings::SettingsBody;
use super::workspaces::Label;
use super::{InProfile, InWorkspace};
use crate::clock;
use crate::identity::AuthUser;
use crate::server::extract::{Json, Path, Query};
use crate::server::page::{Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::Profile;
use crate::workspaces::chain_sources::NewSource;
use crate::workspaces::policies::NewPolicy;
use crate::workspaces::profiles::{self, SetUp};
use crate::workspaces::settings::Change;

/// A profile: one set of books.
#[derive(Serialize, ToSchema)]
struct ProfileBody {
    /// Its id.
    id: Uuid,
    /// The workspace it lies in.
    workspace_id: Uuid,
    /// Its name.
    label: String,
    /// When it was made (RFC 3339).
    created_at: String,
}

fn body(workspace_id: Uuid, id: Uuid, row: &Profile) -> ProfileBody {
    let created_at = clock::rfc3339(row.created_at_ms);
    ProfileBody { id, workspace_id, label: row.label.clone(), created_at }
}

/// Profile, chain source, selection and settings in one call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// Name of the profile.
    profile_label: String,
    /// ISO 4217 code, by default USD.
    fiat_currency: Option<String>,
    /// `FIFO` (default), `LIFO`, `HIFO`, `LOFO`, `AVG_COST` or `UK_S104`, in any letter case.
    gains_algorithm: Option<String>,
    /// Methods and scopes of later days, in order.
    policies: Option<Vec<PolicyBody>>,
    /// `host:port` of a SOCKS5 proxy.
    tor_proxy: Option<String>,
    /// Name of the chain source.
    onchain_label: String,
    /// `Electrum`.
    onchain_kind: String,
    /// `tcp://host:port` or `ssl://host:port`.
    onchain_url: String,
    /// For `BitcoinRpc`, which this version does not read.
    rpc_cookie: Option<String>,
    /// For `BitcoinRpc`, which this version does not read.
    rpc_user: Option<String>,
    /// For `BitcoinRpc`, which this version does not read.
    rpc_password: Option<String>,
    /// Selects the chain source for the profile and as the workspace's default; by default true.
    select_as_default: Option<bool>,
}

impl Setup {
    /// Credentials for Bitcoin Core make no sense with the kinds this version reads.
    fn refuse_rpc(&self) -> Result<(), Problem> {
        let given = [
            ("rpc_cookie", &self.rpc_cookie),
            ("rpc_user", &self.rpc_user),
            ("rpc_password", &self.rpc_password),
        ];
        match given.into_iter().find(|(_, value)| value.is_some()) {
            Some((field, _)) if self.onchain_kind.eq_ignore_ascii_case("electrum") => {
                Err(Problem::field(field, format!("{field} is for BitcoinRpc; leave it out with Electrum")))
            }
            _ => Ok(()),
        }
    }

    fn into_parts(self) -> (String, Change, NewSource, bool) {
        let change = Change {
            fiat_currency: self.fiat_currency,
            gains_algorithm: self.gains_algorithm,
            policies: self.policies.map(|policies| policies.into_iter().map(NewPolicy::from).collect()),
            tor_proxy: Some(self.tor_proxy),
            ..Change::default()
        };
        let source = NewSource {
            prefix: "onchain_",
            label: self.onchain_label,
            kind: self.onchain_kind,
            url: self.onchain_url,
        };
        (self.profile_label, change, source, self.select_as_default.unwrap_or(true))
    }
}

/// What setup made.
#[derive(Serialize, ToSchema)]
struct SetupBody {
    /// Id of the profile.
    profile_id: Uuid,
    /// Id of the chain source.
    onchain_config_id: Uuid,
    /// The profile.
    profile: ProfileBody,
    /// The chain source.
    onchain_config: OnchainConfigBody,
    /// The settings of the profile.
    settings: SettingsBody,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(setup))
        .routes(routes!(list, create))
        .routes(routes!(get, rename, delete))
}

/// Makes a profile with chain source and settings; a mistake anywhere makes nothing.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/setup", tag = "profiles",
    operation_id = "setup_profile", request_body = Setup, responses((status = 201, body = SetupBody)))]
async fn setup(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
    Json(new): Json<Setup>,
) -> Result<(StatusCode, axum::Json<SetupBody>), Problem> {
    new.refuse_rpc()?;
    known_connections(new.policies.as_deref().unwrap_or_default(), None).await?;
    let (label, change, source, select) = new.into_parts();
    let write =
        move |tx: &crate::store::WriteTx| profiles::setup(tx, user.id, at.w, &label, change, &source, select);
    let SetUp { id, profile, config_id, config } = state.store.write::<_, Problem, _>(write).await?;
    let answer = SetupBody {
        profile_id: id,
        onchain_config_id: config_id,
        profile: body(at.w, id, &profile),
        onchain_config: onchain_configs::body((config_id, config)),
        settings: profile.settings.into(),
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Makes a profile with default settings.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles", tag = "profiles", operation_id = "create_profile",
    request_body = Label, responses((status = 201, body = ProfileBody)))]
async fn create(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
    Json(new): Json<Label>,
) -> Result<(StatusCode, axum::Json<ProfileBody>), Problem> {
    let write = move |tx: &crate::store::WriteTx| {
        profiles::create(tx, user.id, at.w, ("label", &new.label), Change::default())
    };
    let (id, row) = state.store.write::<_, Problem, _>(write).await?;
    Ok((StatusCode::CREATED, axum::Json(body(at.w, id, &row))))
}

/// Lists the profiles of a workspace, oldest first.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles", tag = "profiles", operation_id = "list_profiles", params(PageQuery),
    responses((status = 200, body = Page<ProfileBody>)))]
async fn list(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InWorkspace>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<ProfileBody>>, Problem> {
    let page = state.store.read(move |tx| profiles::list(tx, user.id, at.w, &query)).await?;
    Ok(axum::Json(page.map(|(id, row)| body(at.w, id, &row))))
}

/// One profile.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}", tag = "profiles", operation_id = "get_profile",
    responses((status = 200, body = ProfileBody)))]
async fn get(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InProfile>,
) -> Result<axum::Json<ProfileBody>, Problem> {
    let row = state.store.read(move |tx| profiles::owned(tx, user.id, at.w, at.p)).await?;
    Ok(axum::Json(body(at.w, at.p, &row)))
}

/// Renames a profile.
#[utoipa::path(patch, path = "/v1/workspaces/{w}/profiles/{p}", tag = "profiles",
    operation_id = "rename_profile", request_body = Label, responses((status = 200, body = ProfileBody)))]
async fn rename(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InProfile>,
    Json(new): Json<Label>,
) -> Result<axum::Json<ProfileBody>, Problem> {
    let row = state.store.write(move |tx| profiles::rename(tx, user.id, at.w, at.p, &new.label)).await?;
    Ok(axum::Json(body(at.w, at.p, &row)))
}

/// Deletes a profile and its book.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}", tag = "profiles",
    operation_id = "delete_profile", responses((status = 204)))]
async fn delete(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<InProfile>,
) -> Result<StatusCode, Problem> {
    state.store.write(move |tx| profiles::delete(tx, user.id, at.w, at.p)).await?;
    // On a task of its own: the request's time limit must not part the row from the book.
    let work = async move {
        if let Some(operation) = state.syncing.operation(at.p) {
            // It may have ended just now, which is as well.
            let _ = state.jobs.cancel(operation);
        }
        state.books.remove(at.p).await?;
        Ok(state.store.write(move |tx| profiles::book_is_gone(tx, at.p)).await?)
    };
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Problem::internal(&error)))?;
    Ok(StatusCode::NO_CONTENT)
}
