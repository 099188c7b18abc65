//! Feedback: a message to whoever runs this server. It is kept here and sent nowhere.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::clock;
use crate::identity::auth::{Auth, Feedback as ForFeedback};
use crate::server::extract::Json;
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::Feedback;
use crate::store::tables;

const MAX_MESSAGE_CHARS: usize = 10_000;
const MAX_CONTACT_CHARS: usize = 254;

/// A message to the operator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewFeedback {
    /// 1 to 10 000 characters.
    message: String,
    /// How to answer, at most 254 characters.
    contact: Option<String>,
}

/// A message that was kept.
#[derive(Serialize, ToSchema)]
struct FeedbackBody {
    /// Its id.
    id: Uuid,
    /// When it came (RFC 3339).
    created_at: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(send))
}

/// Leaves a message for the operator of this server.
#[utoipa::path(post, path = "/v1/feedback", tag = "feedback", operation_id = "send_feedback",
    request_body = NewFeedback, responses((status = 201, body = FeedbackBody)))]
async fn send(
    State(state): State<AppState>,
    user: Auth<ForFeedback>,
    Json(new): Json<NewFeedback>,
) -> Result<(StatusCode, axum::Json<FeedbackBody>), Problem> {
    check(&new)?;
    let created_at_ms = clock::now_ms();
    let row = Feedback { message: new.message, contact: new.contact, created_at_ms };
    let id = Uuid::now_v7();
    let key = (user.id.as_u128(), id.as_u128());
    state.store.write::<_, Problem, _>(move |tx| Ok(tx.put(&tables::FEEDBACK, key, &row)?)).await?;
    let answer = FeedbackBody { id, created_at: clock::rfc3339(created_at_ms) };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

fn check(new: &NewFeedback) -> Result<(), Problem> {
    if new.message.trim().is_empty() || new.message.chars().count() > MAX_MESSAGE_CHARS {
        return Err(Problem::field(
            "message",
            format!("message must have 1 to {MAX_MESSAGE_CHARS} characters"),
        ));
    }
    match &new.contact {
        Some(contact) if contact.chars().count() > MAX_CONTACT_CHARS => {
            Err(Problem::field("contact", format!("contact may have at most {MAX_CONTACT_CHARS} characters")))
        }
        _ => Ok(()),
    }
}
