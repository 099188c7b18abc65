//! The one error shape of the API: `application/problem+json`, and the one list of error codes.
//!
//! Invariants: every refusal leaves through [`Problem`]; every [`Code`] has one status and one title and is
//! explained in `docs/errors.md` (a test compares). Internal causes are logged, never shown.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::request_id;
use crate::store::StoreError;

macro_rules! codes {
    ($($name:ident = $status:literal $word:literal $title:literal),* $(,)?) => {
        /// A stable word for each kind of refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $(#[doc = $title] $name),* }

        impl Code {
            /// Every code.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// HTTP status, code word, title.
            const fn parts(self) -> (u16, &'static str, &'static str) {
                match self { $(Self::$name => ($status, $word, $title)),* }
            }
        }
    };
}

codes! {
    MalformedJson = 400 "malformed_json" "The body is not JSON",
    DuplicateKey = 400 "duplicate_key" "A key appears twice",
    NestingTooDeep = 400 "nesting_too_deep" "The body is nested too deeply",
    BadRequest = 400 "bad_request" "The request cannot be read",
    InvalidCursor = 400 "invalid_cursor" "The cursor is not one of ours",
    InvalidIdempotencyKey = 400 "invalid_idempotency_key" "The Idempotency-Key cannot be used",
    Unauthenticated = 401 "unauthenticated" "A bearer token is needed",
    InvalidToken = 401 "invalid_token" "The token is not valid here",
    TokenExpired = 401 "token_expired" "The token has expired",
    InvalidCredentials = 401 "invalid_credentials" "E-mail or password is wrong",
    RegistrationClosed = 403 "registration_closed" "This server takes no new users",
    NotFound = 404 "not_found" "Not there, or not yours",
    UnknownReport = 404 "unknown_report" "There is no such report",
    RouteNotFound = 404 "route_not_found" "No such route",
    MethodNotAllowed = 405 "method_not_allowed" "The route does not take this method",
    EmailTaken = 409 "email_taken" "The e-mail is registered already",
    IdempotencyMismatch = 409 "idempotency_mismatch" "The key was used with another body",
    IdempotencyInFlight = 409 "idempotency_in_flight" "The first request is still running",
    OperationFinished = 409 "operation_finished" "The operation has ended",
    StillInUse = 409 "still_in_use" "Something still depends on it",
    TagExists = 409 "tag_exists" "The tag exists already",
    SyncRunning = 409 "sync_running" "A sync of this profile is running",
    ImportNotTaken = 409 "import_not_taken" "The connection takes no files",
    NotFinal = 409 "not_final" "The books are not final",
    SealOverlaps = 409 "seal_overlaps" "The period is sealed already",
    NotRestated = 409 "not_restated" "The books say what was sealed",
    SealSuperseded = 409 "seal_superseded" "A revision replaced the seal",
    BodyTooLarge = 413 "body_too_large" "The body is too large",
    UnsupportedMediaType = 415 "unsupported_media_type" "The body has the wrong content type",
    InvalidField = 422 "invalid_field" "A field is not valid",
    InvalidQuery = 422 "invalid_query" "A query parameter is not valid",
    ChainSourceUnavailable = 422 "chain_source_unavailable" "This kind of chain source is not available",
    InvalidRates = 422 "invalid_rates" "The rates cannot be imported",
    InvalidImport = 422 "invalid_import" "The file cannot be imported",
    WrongCurrency = 422 "wrong_currency" "The book is kept in another currency",
    NoCsv = 422 "no_csv" "The report has no CSV form",
    ConnectionKindUnavailable = 422 "connection_kind_unavailable" "This kind of connection is not available",
    AmountOutOfRange = 422 "amount_out_of_range" "A number is out of range",
    UnsupportedGrant = 422 "unsupported_grant" "This grant type is not available",
    TooManyAttempts = 429 "too_many_attempts" "Too many failed attempts",
    HeadersTooLarge = 431 "headers_too_large" "The headers are too large",
    Internal = 500 "internal" "The server failed",
    BookDamaged = 500 "book_damaged" "The book is damaged",
    BookFormat = 500 "book_format" "The book cannot be opened by this version",
    Overloaded = 503 "overloaded" "The server is busy",
    Timeout = 503 "timeout" "The request took too long",
    NotReady = 503 "not_ready" "The server is not ready",
    StorageFailed = 503 "storage_failed" "The storage failed",
    StorageFull = 507 "storage_full" "The disk is full",
}

impl Code {
    /// HTTP status.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.parts().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The stable word.
    pub(crate) const fn word(self) -> &'static str {
        self.parts().1
    }
}

/// A refusal, on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    message: String,
    details: Option<Value>,
    retry_after_secs: Option<u64>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// A URI that names the kind of problem: `urn:nacre:error:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in words; the same for every problem of this code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do.
    detail: String,
    /// Stable word for programs.
    code: &'static str,
    /// The same as `detail`.
    message: String,
    /// More, depending on the code: `{"field": …}` names the field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
    /// The id of the request, also in `X-Request-Id` and in the server's log.
    request_id: String,
}

impl Problem {
    /// A refusal with a sentence that says what is wrong and what to do.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retry_after_secs: None }
    }

    /// `404`: the thing is not there or belongs to someone else; deliberately the same answer.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}, or it is not yours; check the id"))
    }

    /// `422`: a field has a value that cannot be.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidField, message).with_details(serde_json::json!({ "field": field }))
    }

    /// `422`: a query parameter has a value that cannot be.
    pub(crate) fn query(parameter: &str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidQuery, message).with_details(serde_json::json!({ "field": parameter }))
    }

    /// `500`: logs the cause and shows none of it.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(request_id = request_id::current(), %cause, "internal error");
        Self::new(Code::Internal, "the server failed to do this; its log has the cause under the request id")
    }

    /// `507`: there is no room in the data folder; logs what the system said.
    pub(crate) fn full(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(request_id = request_id::current(), %cause, "no room in the data folder");
        let message =
            "the disk of the data folder is full and nothing was written; free some space, then try again";
        Self::new(Code::StorageFull, message).retry_after(30)
    }

    /// Adds machine-readable details.
    #[must_use]
    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub(crate) fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// What is wrong and what to do.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The field or parameter at fault, where there is one.
    pub(crate) fn at_field(&self) -> Option<&str> {
        self.details.as_ref()?.get("field")?.as_str()
    }

    /// Which kind of refusal this is.
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost => {
                Self::new(Code::StorageFailed, format!("nothing was written: {error}")).retry_after(30)
            }
            StoreError::Full(_) => Self::full(&error),
            StoreError::Storage(_) => {
                tracing::error!(%error, "the system store cannot be read or written");
                let message = "the data folder cannot be read or written now; check its disk, then try again";
                Self::new(Code::StorageFailed, message).retry_after(30)
            }
            other => Self::internal(&other),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.parts();
        let body = ProblemBody {
            kind: format!("urn:nacre:error:{code}"),
            title,
            status,
            detail: self.message.clone(),
            code,
            message: self.message,
            details: self.details,
            request_id: request_id::current(),
        };
        // Serialising strings and numbers cannot fail; an empty body would still carry the status.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.code.status(), bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, www_authenticate(self.code));
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

fn www_authenticate(code: Code) -> HeaderValue {
    HeaderValue::from_static(match code {
        Code::InvalidToken | Code::TokenExpired => r#"Bearer realm="nacre", error="invalid_token""#,
        _ => r#"Bearer realm="nacre""#,
    })
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../../docs/errors.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.word(), code.status().as_u16());
            assert!(page.contains(&row), "docs/errors.md lacks the row {row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Code::ALL.len(), "docs/errors.md lists codes that do not exist");
    }
}
