//! Reading requests: JSON bodies, query strings and path parameters, every refusal a [`Problem`].
//!
//! Invariants: a body is read within its limit or not at all; JSON with duplicate keys or deeper than
//! [`MAX_DEPTH`] is refused before it becomes a value; a wrong field is named by its path.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use serde::de::DeserializeOwned;

use super::body;
use super::problem::{Code, Problem};
use super::strict_json;
use crate::state::AppState;

const FORM: &str = "application/x-www-form-urlencoded";

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may be left out; then it is the default.
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// A body as JSON or as a form, as OAuth clients send it.
pub(crate) struct JsonOrForm<T>(pub(crate) T);

/// The query string.
pub(crate) struct Query<T>(pub(crate) T);

/// The path parameters; an id that is no id is simply not there.
pub(crate) struct Path<T>(pub(crate) T);

/// The whole body as bytes, with its content type.
pub(crate) struct RawBody {
    /// Media type without parameters, lower case; empty if none was sent.
    pub(crate) content_type: String,
    /// The body.
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let raw = RawBody::from_request(request, state).await?;
        if !is_json(&raw.content_type) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "send the body as JSON with the header Content-Type: application/json",
            ));
        }
        parse(&raw.bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<AppState> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let raw = RawBody::from_request(request, state).await?;
        if raw.bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json(&raw.content_type) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "send no body, or JSON with the header Content-Type: application/json",
            ));
        }
        parse(&raw.bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for JsonOrForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        if content_type(&request) != FORM {
            let Json(value) = Json::from_request(request, state).await?;
            return Ok(Self(value));
        }
        let raw = RawBody::from_request(request, state).await?;
        let mut form = Request::new(Body::from(raw.bytes));
        *form.method_mut() = Method::POST;
        form.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        match axum::Form::from_request(form, state).await {
            Ok(axum::Form(value)) => Ok(Self(value)),
            Err(rejection) => Err(at_field(Code::InvalidField, "the form", &rejection.body_text())),
        }
    }
}

impl FromRequest<AppState> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let limit = state.limits.body_bytes(&request);
        let content_type = content_type(&request);
        let bytes = body::read(request.into_body(), limit).await?;
        Ok(Self { content_type, bytes })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(at_field(Code::InvalidQuery, "the query string", &rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => {
                Err(Problem::new(Code::NotFound, "there is nothing here: an id in the path is not a UUID"))
            }
        }
    }
}

/// Media type of a request without parameters, lower case; empty if none was sent.
pub(crate) fn content_type(request: &Request) -> String {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn is_json(content_type: &str) -> bool {
    content_type == "application/json"
        || (content_type.starts_with("application/") && content_type.ends_with("+json"))
}

/// Bytes → value, refusing what the conventions refuse.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    strict_json::check(bytes)?;
    match axum::Json::<T>::from_bytes(bytes) {
        Ok(axum::Json(value)) => Ok(value),
        Err(JsonRejection::JsonDataError(error)) => {
            Err(at_field(Code::InvalidField, "the body", &error.body_text()))
        }
        Err(other) => Err(Problem::new(Code::MalformedJson, other.body_text())),
    }
}

/// The JSON value at `place` of a body, as the type that the rest of the body asks for.
pub(crate) fn value_at<T: DeserializeOwned>(place: &str, value: serde_json::Value) -> Result<T, Problem> {
    let body = serde_json::json!({ place: value }).to_string();
    let mut found: HashMap<String, T> = parse(body.as_bytes())?;
    found.remove(place).ok_or_else(|| Problem::field(place, format!("{place} is missing")))
}

/// axum's text is `Failed to deserialize …: path: reason`; keep path and reason.
fn at_field(code: Code, place: &str, text: &str) -> Problem {
    let said = text.split_once(": ").map_or(text, |(_, rest)| rest);
    let path = said.split_once(": ").map(|(path, _)| path).filter(|path| !path.contains(' '));
    let missing = said.split_once("missing field `").and_then(|(_, rest)| rest.split('`').next());
    let field = match (path, missing) {
        (Some(path), Some(missing)) => Some(format!("{path}.{missing}")),
        (path, _) => path.or_else(|| said.split('`').nth(1)).map(str::to_owned),
    };
    let said = said.split(" at line ").next().unwrap_or(said);
    let problem = Problem::new(code, format!("{place} is not as expected: {said}"));
    match field {
        Some(field) => problem.with_details(serde_json::json!({ "field": field })),
        None => problem,
    }
}
