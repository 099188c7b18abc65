//! The control socket: how a command of the same user speaks to the server that holds the data folder's files.
//!
//! `control.sock` lies in the data folder, for its owner only; whoever may open it may read the files anyway. A command
//! sends one line of JSON and gets one back. Nothing of it is reachable over the network.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::backup::make::{Source, make};
use crate::state::AppState;

const NAME: &str = "control.sock";
/// Longest line a command sends.
const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// Time a command has to send its line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// One at a time: two would only slow each other.
static TURN: Semaphore = Semaphore::const_new(1);

/// What a command asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// A backup in this new folder, an absolute path.
    Backup { target: PathBuf },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A backup was made.
    Backup { books: usize, bytes: u64 },
    /// Nothing was done, and why.
    Refused(String),
}

/// Answers commands until the server stops. Only behind the lock of the store: a socket that is there is a dead one's.
/// A server that cannot listen serves all the same; its log says so. The task ends when every command has its answer.
pub(crate) fn listen(state: &AppState) -> Option<JoinHandle<()>> {
    let path = state.config.data_dir.join(NAME);
    match bind(&path) {
        Ok(listener) => Some(tokio::spawn(serve(listener, path, state.clone()))),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "no control socket: nacre backup needs a stopped server");
            None
        }
    }
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(listener: UnixListener, path: PathBuf, state: AppState) {
    let mut running = JoinSet::new();
    while let Some(accepted) = state.shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                while running.try_join_next().is_some() {}
                running.spawn(converse(stream, state.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a command");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // What cannot be removed is removed by the next server.
    let _ = std::fs::remove_file(path);
    while running.join_next().await.is_some() {}
}

async fn converse(mut stream: UnixStream, state: AppState) {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut read = tokio::io::BufReader::new(read.take(REQUEST_BYTES_MAX));
    let asked = tokio::time::timeout(REQUEST_TIMEOUT, read.read_line(&mut line));
    let answer = match state.shutdown.run_until_cancelled(asked).await {
        Some(Ok(Ok(_))) => match serde_json::from_str(&line) {
            Ok(request) => carry_out(request, &state).await,
            Err(error) => Answer::Refused(format!("the server does not know this command: {error}")),
        },
        Some(Ok(Err(_)) | Err(_)) | None => return,
    };
    let mut text = serde_json::to_vec(&answer).unwrap_or_default();
    text.push(b'\n');
    // Who asked may have gone, or may not read.
    let _ = tokio::time::timeout(REQUEST_TIMEOUT, write.write_all(&text)).await;
}

async fn carry_out(request: Request, state: &AppState) -> Answer {
    let Request::Backup { target } = request;
    if !target.is_absolute() {
        return Answer::Refused(format!("{} is not an absolute path", target.display()));
    }
    let Ok(_turn) = TURN.acquire().await else { return Answer::Refused("the server is stopping".to_owned()) };
    let (store, books) = (state.store.clone(), state.books.clone());
    let source = Source { data_dir: state.config.data_dir.clone(), store, books };
    let stop = state.shutdown.clone();
    let made = tokio::task::spawn_blocking(move || make(&source, &target, &|| stop.is_cancelled())).await;
    match made {
        Ok(Ok(manifest)) => Answer::Backup { books: manifest.books(), bytes: manifest.bytes() },
        Ok(Err(refused)) => {
            tracing::warn!(%refused, "no backup was made");
            Answer::Refused(refused.to_string())
        }
        Err(error) => Answer::Refused(format!("the server failed: {error}")),
    }
}

/// Asks the server on `data_dir`, and waits for what comes of it.
///
/// # Errors
/// When it cannot be reached, or goes away before it answers.
pub(crate) fn ask(data_dir: &Path, request: &Request) -> std::io::Result<Answer> {
    let mut stream = std::os::unix::net::UnixStream::connect(data_dir.join(NAME))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
