//! Reading a request body within a limit and with a patience per piece. A body that is too large is drained
//! up to a bound before the refusal, so that an ordinary client gets to read the answer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;

use super::problem::{Code, Problem};

/// Most bytes read and dropped of a body that is refused.
const DRAIN_BYTES: usize = 8 * 1024 * 1024;
/// Longest wait for the next piece of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// The whole body, or a problem if it is larger than `limit` bytes, stalls or breaks off.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    read_counted(body, limit, |_| Ok(())).await
}

/// [`read`] that asks `count` for room before it keeps so many bytes more.
pub(crate) async fn read_counted(
    mut body: Body,
    limit: usize,
    mut count: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let mut collected = Vec::new();
    while let Some(piece) = next_piece(&mut body).await? {
        if collected.len() + piece.len() > limit {
            drain(body).await;
            return Err(too_large(limit));
        }
        count(piece.len())?;
        collected.extend_from_slice(&piece);
    }
    Ok(Bytes::from(collected))
}

/// Reads on without keeping anything, until the end, an error or a bound.
pub(crate) async fn drain(mut body: Body) {
    let mut dropped = 0;
    while let Ok(Some(piece)) = next_piece(&mut body).await {
        dropped += piece.len();
        if dropped > DRAIN_BYTES {
            return;
        }
    }
}

/// The refusal of a body above `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have at most {limit} bytes; send less at a time"))
}

/// The next piece; `None` at the end.
pub(crate) async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match tokio::time::timeout(PIECE_TIMEOUT, body.frame()).await {
            Err(_) => return Err(Problem::new(Code::Timeout, "the body stopped arriving; send it again")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => {
                return Err(Problem::new(Code::BadRequest, "the body broke off; send it again"));
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
