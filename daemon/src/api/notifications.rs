//! The progress of an operation as server-sent events. `Last-Event-ID` resumes; the stream ends after the
//! terminal event, or when the server stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::operations;
use crate::identity::AuthUser;
use crate::jobs::{Event, Feed};
use crate::server::extract::Query;
use crate::server::problem::Problem;
use crate::state::AppState;

const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events on their way to one reader; a slow reader makes its own stream wait, nobody else's.
const BUFFER: usize = 16;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// The operation to follow.
    operation_id: Uuid,
}

type Sender = mpsc::Sender<Result<SseEvent, Infallible>>;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Streams the progress of an operation.
#[utoipa::path(get, path = "/v1/notifications/stream", tag = "operations", operation_id = "stream_progress", params(StreamQuery),
    responses((status = 200, body = Event, content_type = "text/event-stream")))]
async fn stream(
    State(state): State<AppState>,
    user: AuthUser,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Problem> {
    let record = operations::owned(&state, user.id, query.operation_id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = last.and_then(|text| text.parse().ok()).unwrap_or(0);
    let feed = state.jobs.feed(query.operation_id);
    let feed = feed.unwrap_or_else(|| Feed::of_ended(query.operation_id, &record));
    let (sender, receiver) = mpsc::channel(BUFFER);
    tokio::spawn(follow(feed, last, sender, state.shutdown.clone()));
    let events = Sse::new(ReceiverStream::new(receiver));
    Ok(events.keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

/// Sends events until the terminal one, until the reader goes away or until the server stops.
async fn follow(feed: Arc<Feed>, mut last: u64, sender: Sender, stop: CancellationToken) {
    let mut changed = feed.subscribe();
    loop {
        let (events, ended) = feed.after(last);
        for (number, event) in events {
            last = number;
            if sender.send(Ok(sse(number, &event))).await.is_err() {
                return;
            }
        }
        if ended {
            return;
        }
        tokio::select! {
            woken = changed.changed() => if woken.is_err() { return },
            () = sender.closed() => return,
            () = stop.cancelled() => return,
        }
    }
}

fn sse(number: u64, event: &Event) -> SseEvent {
    // Serialising strings and numbers cannot fail.
    let data = serde_json::to_string(event).unwrap_or_default();
    SseEvent::default().id(number.to_string()).data(data)
}
