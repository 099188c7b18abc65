//! The HTTP server: start, stop, and everything between the socket and a handler. No route of the API is
//! decided here, only what holds for all of them.

mod activity;
pub(crate) mod body;
pub(crate) mod csv_body;
mod docs;
pub(crate) mod etag;
pub(crate) mod extract;
pub(crate) mod idempotency;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod page;
mod panic_guard;
pub(crate) mod problem;
mod request_id;
mod router;
mod strict_json;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::control;
use crate::observe;
use crate::state::AppState;
use crate::store::StoreError;

/// How often what has expired is swept away.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How often is tried whether a disk that failed takes writes again.
const MEND_INTERVAL: Duration = Duration::from_secs(3);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made or used.
    #[error("cannot use the data folder {path}: {source}")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A restore did not end; an empty system store would hide what is there.
    #[error(
        "{path} has no system.redb, but {left}: a restore did not end. Run nacre restore --force again, or move what is in \
         before-restore-... back into {path}, system.redb last; then remove the restoring-... folder"
    )]
    Unrestored {
        /// The data folder.
        path: PathBuf,
        /// What the restore left in it.
        left: String,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signing key cannot be made or read.
    #[error("cannot prepare the signing key: {0}")]
    SigningKey(&'static str),
}

/// A server that accepts requests.
pub struct Running {
    /// The address it listens on, with the real port.
    pub addr: SocketAddr,
    state: AppState,
    task: JoinHandle<()>,
    control: Option<JoinHandle<()>>,
}

impl Running {
    /// Stops accepting, ends event streams, lets running requests and jobs finish within bounds.
    pub async fn shutdown(self) {
        self.state.shutdown.cancel();
        self.state.jobs.stop().await;
        // The task only fails by panicking, and then there is nothing left to stop.
        let _ = self.task.await;
        // A backup that was being made gives up, and its folder is gone before the process is.
        if let Some(control) = self.control {
            let _ = control.await;
        }
    }

    /// The state behind the routes, for code in the same process that works without HTTP.
    #[must_use]
    pub fn state(&self) -> &AppState {
        &self.state
    }
}

/// Opens the data folder and serves it. Returns once requests are accepted.
///
/// # Errors
/// [`StartError`] says which part could not be prepared and why.
pub async fn start(config: Config) -> Result<Running, StartError> {
    observe::metrics::init();
    let listen = config.listen;
    let state = AppState::open(config).await?;
    let in_use = |source| StartError::Listen { addr: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(in_use)?;
    let addr = listener.local_addr().map_err(in_use)?;
    tokio::spawn(sweep(state.clone()));
    tokio::spawn(mend(state.clone()));
    let control = control::listen(&state);
    let app = router::build(&state);
    let task = tokio::spawn(listen::serve(listener, app, state.shutdown.clone()));
    Ok(Running { addr, state, task, control })
}

/// Ends when SIGTERM or SIGINT arrives.
///
/// # Errors
/// When the system refuses to deliver signals.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Lets what a failing disk stopped go on when it can.
async fn mend(state: AppState) {
    let mut ticks = tokio::time::interval(MEND_INTERVAL);
    while state.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let stopped = state.books.stopped();
        if stopped.is_empty() && !state.store.is_stopped() {
            continue;
        }
        let again = state.clone();
        let tried = tokio::task::spawn_blocking(move || {
            // Why not is known and on /readyz; the next time is soon.
            let _ = again.store.go_on();
            stopped.into_iter().for_each(|book| drop(again.books.go_on(book)));
        });
        if let Err(error) = tried.await {
            tracing::warn!(%error, "cannot find out whether the disk takes writes again");
        }
    }
}

async fn sweep(state: AppState) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    while state.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = idempotency::forget_old(&state).await {
            tracing::warn!(%error, "cannot sweep old idempotency keys");
        }
        if let Err(error) = state.identity.forget_expired_sessions().await {
            tracing::warn!(%error, "cannot sweep expired sessions");
        }
    }
}
