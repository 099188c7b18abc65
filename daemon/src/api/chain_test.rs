//! Asking a chain source who it is, before anything is synced with it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::chain::{ChainError, ElectrumSource, Limits, Network, SourceReport, SpecError};
use crate::identity::AuthUser;
use crate::server::extract::{OptionalJson, Path};
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::ReadTx;
use crate::workspaces::{chain_sources, profiles};

/// Patience of a test: shorter than the time a request may take.
const PATIENCE: Limits = Limits {
    connect_timeout_ms: 8_000,
    read_timeout_ms: 8_000,
    deadline_ms: 20_000,
    answer_bytes: 1 << 20,
    total_bytes: 4 << 20,
};

#[derive(Deserialize)]
struct At {
    w: Uuid,
    id: Uuid,
}

/// How to test; the body may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestRequest {
    /// Goes through the Tor proxy of this profile.
    profile_id: Option<Uuid>,
    /// The network the source should be on.
    network: Option<String>,
}

/// What the source says of itself, or why it could not be asked.
#[derive(Default, Serialize, ToSchema)]
struct TestBody {
    /// Whether the source can be synced with.
    ok: bool,
    /// The server's software.
    software: Option<String>,
    /// The protocol version agreed on.
    protocol: Option<String>,
    /// Which chain it follows.
    network: Option<&'static str>,
    /// Hash of that chain's first block.
    genesis_hash: Option<String>,
    /// Height of its best block.
    tip_height: Option<u32>,
    /// Why it cannot be used.
    failure: Option<TestFailure>,
}

/// Why a source cannot be used.
#[derive(Serialize, ToSchema)]
struct TestFailure {
    /// Stable word, the same as in the failures of a sync.
    code: &'static str,
    /// What is wrong and what to do.
    message: String,
}

impl From<Result<SourceReport, ChainError>> for TestBody {
    fn from(outcome: Result<SourceReport, ChainError>) -> Self {
        match outcome {
            Ok(report) => Self {
                ok: true,
                software: Some(report.software),
                protocol: Some(report.protocol),
                network: Some(report.network.name()),
                genesis_hash: Some(report.genesis_hash),
                tip_height: Some(report.tip_height),
                failure: None,
            },
            Err(error) => {
                let failure = TestFailure { code: error.code(), message: error.to_string() };
                Self { failure: Some(failure), ..Self::default() }
            }
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(test))
}

/// Connects to a chain source and asks which network it is on. A source that fails is an answer, not an error.
#[utoipa::path(post, path = "/v1/workspaces/{w}/onchain-configs/{id}/test", tag = "chain sources",
    operation_id = "test_onchain_config", request_body = Option<TestRequest>,
    responses((status = 200, body = TestBody)))]
async fn test(
    State(state): State<AppState>,
    user: AuthUser,
    Path(at): Path<At>,
    OptionalJson(how): OptionalJson<TestRequest>,
) -> Result<axum::Json<TestBody>, Problem> {
    let expected = how.network.as_deref().map(Network::parse).transpose().map_err(in_field)?;
    let read = move |tx: &ReadTx| {
        let config = chain_sources::owned(tx, user.id, at.w, at.id)?;
        let profile = how.profile_id.map(|id| profiles::owned(tx, user.id, at.w, id)).transpose()?;
        Ok::<_, Problem>((config.url, profile.and_then(|profile| profile.settings.tor_proxy)))
    };
    let (url, proxy) = state.store.read(read).await?;
    let source = ElectrumSource::parse(&url, proxy.as_deref()).map_err(in_field)?.with_limits(PATIENCE);
    let outcome = tokio::task::spawn_blocking(move || source.test(expected)).await;
    Ok(axum::Json(outcome.map_err(|error| Problem::internal(&error))?.into()))
}

fn in_field(error: SpecError) -> Problem {
    Problem::field(error.field, error.to_string())
}
