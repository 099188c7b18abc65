//! `Idempotency-Key` on any POST: the same key, user, address (path and query) and body gets the first answer again
//! for 24 h; another body is a conflict, and so is a request whose twin is still running.
//!
//! Only success is kept: a refusal did nothing, and what it refused may be possible later. The work and its record
//! are two transactions: after a crash between them a retry does the work again.
//! Exempt: routes that hand out tokens (they create nothing a retry could double, and tokens are not kept
//! at rest) and imports (idempotent by the native id of each row).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::digest;

use super::body;
use super::limits::{MAX_BODY_BYTES, is_import};
use super::problem::{Code, Problem};
use super::request_id;
use crate::clock;
use crate::state::AppState;
use crate::store::record::Idempotent;
use crate::store::{ReadTx, Rows, StoreError, WriteTx, tables};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_LEN: usize = 255;
/// How long an answer is kept.
const KEEP_MS: i64 = 24 * 60 * 60 * 1000;

/// Keys whose first request is still running.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<[u8; 32]>>>);

/// Takes its key out of the set when the request ends, however it ends.
struct Guard {
    set: InFlight,
    slot: [u8; 32],
}

impl InFlight {
    fn enter(&self, slot: [u8; 32]) -> Option<Guard> {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.insert(slot).then(|| Guard { set: self.clone(), slot })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.set.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.slot);
    }
}

/// Middleware around the routes.
pub(crate) async fn layer(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let exempt = is_import(&request) || matches!(request.uri().path(), "/v1/auth/login" | "/v1/token");
    if request.method() != Method::POST || exempt || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    answer_once(state, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer_once(state: AppState, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, request_body) = request.into_parts();
    let slot = slot(&state, &parts).await?;
    let bytes = body::read(request_body, MAX_BODY_BYTES).await?;
    let request_hash = sha256(&[&bytes]);
    let Some(guard) = state.in_flight.enter(slot) else {
        return Err(Problem::new(
            Code::IdempotencyInFlight,
            "a request with this Idempotency-Key is still running; wait for its answer",
        )
        .retry_after(1));
    };
    let kept = state.store.read::<_, StoreError, _>(move |tx| tx.get(&tables::IDEMPOTENCY, slot)).await?;
    if let Some(kept) = kept.filter(|kept| kept.created_at_ms > clock::now_ms() - KEEP_MS) {
        return replay(kept, request_hash);
    }
    // On a task of its own: a client that hangs up or a timeout must not part the work from its record.
    let request = Request::from_parts(parts, Body::from(bytes));
    let work = async move {
        let response = next.run(request).await;
        let kept = keep(&state, slot, request_hash, response).await;
        drop(guard);
        kept
    };
    let done = tokio::spawn(request_id::scope(request_id::current(), work)).await;
    done.unwrap_or_else(|error| Err(Problem::internal(&error)))
}

/// What the key is unique within: the user, the address and the key itself.
async fn slot(state: &AppState, parts: &Parts) -> Result<[u8; 32], Problem> {
    let key = parts.headers.get(KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if key.is_empty() || key.len() > MAX_KEY_LEN {
        let message = format!("Idempotency-Key must have 1 to {MAX_KEY_LEN} characters");
        return Err(Problem::new(Code::InvalidIdempotencyKey, message));
    }
    let user = match state.identity.user_of(&parts.headers).await {
        Some(user) => user.as_bytes().to_vec(),
        None => Vec::new(),
    };
    let query = parts.uri.query().unwrap_or_default();
    Ok(sha256(&[&user, parts.uri.path().as_bytes(), query.as_bytes(), key]))
}

fn replay(kept: Idempotent, request_hash: [u8; 32]) -> Result<Response, Problem> {
    if kept.request_hash != request_hash {
        return Err(Problem::new(
            Code::IdempotencyMismatch,
            "this Idempotency-Key was used with another body; use a new key for a new request",
        ));
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in [(header::CONTENT_TYPE, kept.content_type), (header::LOCATION, kept.location)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

async fn keep(
    state: &AppState,
    slot: [u8; 32],
    request_hash: [u8; 32],
    response: Response,
) -> Result<Response, Problem> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let (parts, response_body) = response.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bytes = body::read(response_body, usize::MAX).await?;
    let row = Idempotent {
        request_hash,
        status,
        content_type: text(header::CONTENT_TYPE).map(str::to_owned),
        location: text(header::LOCATION).map(str::to_owned),
        body: bytes.to_vec(),
        created_at_ms: clock::now_ms(),
    };
    let write = move |tx: &WriteTx| tx.put(&tables::IDEMPOTENCY, slot, &row).map(drop);
    state.store.write::<_, StoreError, _>(write).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// Drops answers older than a day; called at start and now and then. Writes nothing if there are none.
pub(crate) async fn forget_old(state: &AppState) -> Result<(), StoreError> {
    let oldest_ms = clock::now_ms() - KEEP_MS;
    let everything = || [0; 32]..=[u8::MAX; 32];
    let is_old = move |row: &Idempotent| row.created_at_ms <= oldest_ms;
    let find =
        move |tx: &ReadTx| tx.scan(&tables::IDEMPOTENCY, everything(), usize::MAX, |_, row| is_old(&row));
    if !state.store.read::<_, StoreError, _>(find).await?.contains(&true) {
        return Ok(());
    }
    state.store.write(move |tx| tx.retain(&tables::IDEMPOTENCY, everything(), |row| !is_old(row))).await
}

/// SHA-256 over parts, each preceded by its length so that parts cannot run into each other.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
