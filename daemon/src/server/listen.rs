//! Connections: accept, bound, time out, serve, stop.
//!
//! Invariants: at most [`MAX_CONNECTIONS`] at once; a client that sends no full header within
//! [`HEADER_TIMEOUT`], or a connection on which nothing moves for [`IDLE_TIMEOUT`] while no request is being
//! worked on, is dropped; stopping lets running requests finish within [`DRAIN_TIMEOUT`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::activity::{Activity, Watched};
use super::limits::MAX_HEADER_BYTES;

/// Most connections open at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// Longest time a client may take for one request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest silence of a connection without a running request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for running requests when stopping.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address of the client, kept with each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Accepts and serves until `stop` is cancelled, then drains.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some((stream, peer, place)) = accept(&listener, &places, &stop).await {
        let connection = Connection { app: app.clone(), peer: Peer(peer), running: Arc::default() };
        tokio::spawn(connection.serve(stream, graceful.watcher(), place));
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, place)),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(next).await.flatten()
}

struct Connection {
    app: Router,
    peer: Peer,
    /// Requests being worked on.
    running: Arc<AtomicUsize>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, watcher: Watcher, _place: OwnedSemaphorePermit) {
        // Small answers should not wait for more data; a socket without the option still works.
        let _ = stream.set_nodelay(true);
        let activity = Activity::default();
        let io = TokioIo::new(Watched::new(stream, activity.clone()));
        let (app, peer, running) = (self.app, self.peer, self.running.clone());
        let service = service_fn(move |request| answer(app.clone(), peer, running.clone(), request));
        let builder = builder();
        let served = watcher.watch(builder.serve_connection(io, service));
        tokio::select! {
            // A client that goes away or speaks no HTTP is its own affair.
            _ = served => {}
            () = activity.idle_for(IDLE_TIMEOUT, &self.running) => {}
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // Twice the limit, so that our own refusal comes before hyper's bare one.
        .max_buf_size(2 * MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(128);
    builder
}

async fn answer(
    app: Router,
    peer: Peer,
    running: Arc<AtomicUsize>,
    request: hyper::Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    let _counted = Counted::new(running);
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    app.oneshot(request).await
}

/// Counts a request while it is worked on, even if its future is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(running: Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::AcqRel);
        Self(running)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
