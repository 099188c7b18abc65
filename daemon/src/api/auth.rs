//! Accounts and tokens: register, log in, me, token exchange, public keys.

use axum::extract::{Extension, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock;
use crate::identity::auth::{Any, Auth};
use crate::identity::{Audience, Issued};
use crate::server::extract::{Json, JsonOrForm};
use crate::server::listen::Peer;
use crate::server::problem::{Code, Problem};
use crate::state::AppState;
use crate::store::record::User;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// E-mail and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// E-mail address.
    email: String,
    /// 8 to 256 characters.
    #[schema(min_length = 8, max_length = 256, format = Password)]
    password: String,
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
struct Account {
    /// The user's id.
    id: Uuid,
    /// E-mail address as it was registered.
    email: String,
    /// Whether the account may be used.
    is_active: bool,
    /// When it was made (RFC 3339).
    created_at: String,
    /// Long-lived key for the vault routes; keep it secret.
    api_key: String,
}

impl Account {
    fn new(id: Uuid, user: User) -> Self {
        Self {
            id,
            email: user.email,
            is_active: user.is_active,
            created_at: clock::rfc3339(user.created_at_ms),
            api_key: user.api_key,
        }
    }
}

/// A login token.
#[derive(Serialize, ToSchema)]
struct LoginToken {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// `bearer`.
    token_type: &'static str,
    /// Seconds until it expires.
    expires_in: u64,
}

/// A request for an access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    grant_type: String,
    /// A login token.
    subject_token: Option<String>,
    /// `svc`, `rates`, `feedback` or `vault`.
    audience: String,
}

/// An access token for one part of the server.
#[derive(Serialize, ToSchema)]
struct AccessToken {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until it expires.
    expires_in: u64,
    /// What it is for.
    audience: &'static str,
}

/// A set of public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
struct KeySet {
    /// The keys.
    keys: Vec<PublicKey>,
}

/// An Ed25519 key (RFC 8037).
#[derive(Serialize, ToSchema)]
struct PublicKey {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// `EdDSA`.
    alg: &'static str,
    /// Key id, as in a token's header.
    kid: String,
    /// The key in base64url.
    x: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(me))
        .routes(routes!(token))
        .routes(routes!(jwks))
}

/// Creates an account.
#[utoipa::path(post, path = "/v1/auth/register", tag = "identity", security(()), request_body = Credentials,
    responses((status = 201, body = Account)))]
async fn register(
    State(state): State<AppState>,
    Json(body): Json<Credentials>,
) -> Result<(StatusCode, axum::Json<Account>), Problem> {
    let (id, user) = state.identity.register(body.email, Zeroizing::new(body.password)).await?;
    Ok((StatusCode::CREATED, axum::Json(Account::new(id, user))))
}

/// Logs in; the token is good for all parts of the server.
#[utoipa::path(post, path = "/v1/auth/login", tag = "identity", security(()), request_body = Credentials,
    responses((status = 200, body = LoginToken)))]
async fn login(
    State(state): State<AppState>,
    Extension(Peer(peer)): Extension<Peer>,
    Json(body): Json<Credentials>,
) -> Result<Response, Problem> {
    let issued = state.identity.login(&body.email, Zeroizing::new(body.password), peer.ip()).await?;
    let Issued { token, expires_in_secs } = issued;
    let token = LoginToken { access_token: token, token_type: "bearer", expires_in: expires_in_secs };
    Ok(not_stored(axum::Json(token)))
}

/// The account behind the token.
#[utoipa::path(get, path = "/v1/auth/me", tag = "identity", responses((status = 200, body = Account)))]
async fn me(State(state): State<AppState>, user: Auth<Any>) -> Result<Response, Problem> {
    let account = state.identity.user(user.id).await?;
    Ok(not_stored(axum::Json(Account::new(user.id, account))))
}

/// Trades a login token for an access token of one audience.
#[utoipa::path(post, path = "/v1/token", tag = "identity", security(()),
    request_body(content((TokenRequest = "application/json"), (TokenRequest = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = AccessToken)))]
async fn token(
    State(state): State<AppState>,
    JsonOrForm(body): JsonOrForm<TokenRequest>,
) -> Result<Response, Problem> {
    if body.grant_type != TOKEN_EXCHANGE {
        let message = format!("this version takes grant_type {TOKEN_EXCHANGE} only");
        return Err(Problem::new(Code::UnsupportedGrant, message));
    }
    let audience = Audience::ALL.into_iter().find(|audience| audience.word() == body.audience);
    let audience = audience
        .ok_or_else(|| Problem::field("audience", "audience must be svc, rates, feedback or vault"))?;
    let subject =
        body.subject_token.ok_or_else(|| Problem::field("subject_token", "subject_token is missing"))?;
    let Issued { token, expires_in_secs } = state.identity.exchange(&subject, audience).await?;
    Ok(not_stored(axum::Json(AccessToken {
        access_token: token,
        token_type: "Bearer",
        expires_in: expires_in_secs,
        audience: audience.word(),
    })))
}

/// The keys that sign the tokens of this server.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "identity", security(()),
    responses((status = 200, body = KeySet)))]
async fn jwks(State(state): State<AppState>) -> axum::Json<KeySet> {
    let key = |(kid, x)| PublicKey { kty: "OKP", crv: "Ed25519", usage: "sig", alg: "EdDSA", kid, x };
    axum::Json(KeySet { keys: state.identity.tokens().public_keys().into_iter().map(key).collect() })
}

/// Answers with secrets in them are nobody's to keep.
fn not_stored(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
