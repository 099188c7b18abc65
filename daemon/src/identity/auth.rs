//! The extractors that prove who asks. A handler that takes one of them cannot run without a valid token
//! for its audience.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use uuid::Uuid;

use super::Audience;
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// An audience as a type.
pub(crate) trait For {
    /// The audience; `None` takes any token of this server.
    const AUDIENCE: Option<Audience>;
}

macro_rules! audiences {
    ($($name:ident = $audience:expr, $doc:literal);* $(;)?) => {
        $(#[doc = $doc] pub(crate) struct $name; impl For for $name {
            const AUDIENCE: Option<Audience> = $audience;
        })*
    };
}

audiences! {
    Any = None, "Any audience.";
    Svc = Some(Audience::Svc), "The books.";
    Rates = Some(Audience::Rates), "Exchange rates.";
    Feedback = Some(Audience::Feedback), "Feedback.";
}

/// A caller with a valid token.
pub(crate) struct Auth<A> {
    /// Who asks.
    pub(crate) id: Uuid,
    audience: PhantomData<A>,
}

/// A caller of the books.
pub(crate) type AuthUser = Auth<Svc>;

impl<A: For> FromRequestParts<AppState> for Auth<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            Problem::new(Code::Unauthenticated, "send the header Authorization: Bearer <token>; see /docs")
        })?;
        let verified = state.identity.tokens().verify(token).await?;
        match A::AUDIENCE {
            Some(audience) if !verified.is_for(audience) => {
                let message = format!("this route needs a token for the audience {}", audience.word());
                Err(Problem::new(Code::InvalidToken, message))
            }
            _ => Ok(Self { id: verified.user, audience: PhantomData }),
        }
    }
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
