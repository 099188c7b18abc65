//! Bounds on what requests may take: how many at once, how long, how large. Probes and metrics are exempt
//! from the first, so that a busy server can still be watched; routes that work through a whole import or
//! book are exempt from the second.
//!
//! Invariant: a request takes a place only when its body is here, so clients that send slowly keep nobody out; the
//! bodies that are here or on their way have one bound together. Imports, which need a token, are read while worked on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body;
use super::problem::{Code, Problem};
use crate::config::Config;
use crate::state::AppState;

/// Largest sum of header names and values, in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Largest body of all routes but imports, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Largest import of rates, which is held in memory, in bytes.
pub(crate) const MAX_RATES_BYTES: usize = 16 * 1024 * 1024;

/// All bodies but imports that are held in memory at once, in bytes.
const ALL_BODIES_BYTES: usize = 64 * 1024 * 1024;

/// The bounds of one server.
pub(crate) struct Limits {
    requests: Arc<Semaphore>,
    /// One permit for each byte of a body.
    bodies: Arc<Semaphore>,
    csv_exports: Arc<Semaphore>,
    request_timeout: Duration,
    import_bytes: usize,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(config.max_concurrent_requests)),
            bodies: Arc::new(Semaphore::new(ALL_BODIES_BYTES)),
            csv_exports: Arc::new(Semaphore::new(config.max_csv_exports)),
            request_timeout: Duration::from_secs(config.request_timeout_secs),
            import_bytes: config.max_import_mib.saturating_mul(1024 * 1024),
        }
    }

    /// Largest body this request may carry, in bytes.
    pub(crate) fn body_bytes(&self, request: &Request) -> usize {
        match request.uri().path() {
            "/v1/rates/import" if is_import(request) => self.import_bytes.min(MAX_RATES_BYTES),
            _ if is_import(request) => self.import_bytes,
            _ => MAX_BODY_BYTES,
        }
    }

    /// The request with its body in memory, and the room that takes.
    async fn take_body(&self, request: Request) -> Result<(Request, Option<OwnedSemaphorePermit>), Problem> {
        let limit = self.body_bytes(&request);
        if announced(&request) > limit {
            body::drain(request.into_body()).await;
            return Err(body::too_large(limit));
        }
        let (parts, unread) = request.into_parts();
        let mut room: Option<OwnedSemaphorePermit> = None;
        let bytes = body::read_counted(unread, limit, |more| {
            let more = u32::try_from(more).ok();
            let more = more.and_then(|more| self.bodies.clone().try_acquire_many_owned(more).ok());
            let more = more.ok_or_else(|| {
                let message = "other requests have more to say than the server may hold; try again soon";
                Problem::new(Code::Overloaded, message).retry_after(5)
            })?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            Ok(())
        });
        let bytes = bytes.await?;
        Ok((Request::from_parts(parts, Body::from(bytes)), room))
    }

    /// A place among the CSV exports; keep it until the last byte is sent.
    pub(crate) fn csv_export(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.csv_exports.clone().try_acquire_owned().map_err(|_| {
            Problem::new(Code::Overloaded, "as many CSV exports as allowed are running; try again soon")
                .retry_after(5)
        })
    }
}

/// Middleware: refuses oversized headers.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let bytes: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes + request.uri().path_and_query().map_or(0, |uri| uri.as_str().len()) > MAX_HEADER_BYTES {
        let message = format!("the address and headers may have at most {MAX_HEADER_BYTES} bytes together");
        return Problem::new(Code::HeadersTooLarge, message).into_response();
    }
    next.run(request).await
}

/// Middleware: takes in the body before the request takes a place, in the time a request has.
pub(crate) async fn body_first(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if is_import(&request) {
        return next.run(request).await;
    }
    let limits = &state.limits;
    match tokio::time::timeout(limits.request_timeout, limits.take_body(request)).await {
        Ok(Ok((request, _room))) => next.run(request).await,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => out_of_time().into_response(),
    }
}

/// Middleware: serves at most so many requests at once; more are refused at once, not queued.
pub(crate) async fn concurrency(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics") {
        return next.run(request).await;
    }
    match state.limits.requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Problem::new(Code::Overloaded, "the server works on as many requests as it may; try again")
            .retry_after(1)
            .into_response(),
    }
}

/// Middleware: gives a request its time.
pub(crate) async fn timeout(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if is_import(&request) || request.uri().path().ends_with("/journals/process") {
        return next.run(request).await;
    }
    match tokio::time::timeout(state.limits.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => out_of_time().into_response(),
    }
}

fn out_of_time() -> Problem {
    Problem::new(Code::Timeout, "the request took longer than allowed; try again or ask for less")
        .retry_after(1)
}

/// Middleware: refuses an import whose announced length is too large before anything reads it.
pub(crate) async fn body_size(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let limit = state.limits.body_bytes(&request);
    if announced(&request) > limit {
        body::drain(request.into_body()).await;
        return body::too_large(limit).into_response();
    }
    next.run(request).await
}

/// The length the client says the body has; 0 if it says nothing.
fn announced(request: &Request) -> usize {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // A number that is too large for us is too large anyway.
    length.map_or(0, |text| text.parse().unwrap_or(usize::MAX))
}

/// Imports are the one kind of request with a large body.
pub(crate) fn is_import(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path().ends_with("/import")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{ALL_BODIES_BYTES, Limits, MAX_BODY_BYTES};
    use crate::config::Config;
    use crate::server::problem::Code;
    use axum::body::Body;
    use axum::extract::Request;

    #[test]
    fn files_may_be_large_rates_less_so_and_the_rest_is_small() {
        let mut config = Config::for_data_dir(std::path::Path::new("unused"));
        config.max_import_mib = 64;
        let bytes = |config: &Config, path: &str| {
            let request = Request::builder().method("POST").uri(path).body(Body::empty()).unwrap();
            Limits::new(config).body_bytes(&request)
        };
        assert_eq!(bytes(&config, "/v1/workspaces/w/profiles/p/connections/c/import"), 64 << 20);
        assert_eq!(bytes(&config, "/v1/rates/import"), 16 << 20);
        assert_eq!(bytes(&config, "/v1/workspaces"), MAX_BODY_BYTES);
        config.max_import_mib = 1;
        assert_eq!(bytes(&config, "/v1/rates/import"), 1 << 20);
    }

    #[tokio::test]
    async fn bodies_have_one_bound_together_and_give_their_room_back() {
        let limits = Limits::new(&Config::for_data_dir(std::path::Path::new("unused")));
        let request = || {
            let body = Body::from(vec![b' '; MAX_BODY_BYTES]);
            Request::builder().method("POST").uri("/v1/workspaces").body(body).unwrap()
        };
        let mut held = Vec::new();
        for _ in 0..ALL_BODIES_BYTES / MAX_BODY_BYTES {
            held.push(limits.take_body(request()).await.unwrap());
        }
        assert_eq!(limits.take_body(request()).await.unwrap_err().code(), Code::Overloaded);
        let empty = Request::builder().uri("/v1/workspaces").body(Body::empty()).unwrap();
        assert!(limits.take_body(empty).await.is_ok(), "who says nothing needs no room");
        held.pop();
        assert!(limits.take_body(request()).await.is_ok());
    }
}
