//! The last line of defence: a defect that panics in one request becomes a problem of that request and an
//! entry in the log, and the connection lives on.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Middleware right inside the request id.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    caught(next.run(request)).await.unwrap_or_else(IntoResponse::into_response)
}

/// The answer of `work`, or a problem if it panics. What panicked is dropped and never polled again.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Problem::internal(&"a handler panicked; the message is above"))),
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use super::caught;
    use crate::server::problem::Code;

    #[tokio::test]
    async fn a_panic_becomes_a_problem() {
        let broken = caught(async {
            tokio::task::yield_now().await;
            panic!("a defect")
        });
        let problem: Result<(), _> = broken.await;
        assert_eq!(problem.unwrap_err().code(), Code::Internal);
        assert_eq!(caught(async { 7 }).await.unwrap(), 7);
    }
}
