//! [`Spool`]: an uploaded file on disk, so that an import of any size costs little memory. Removed when dropped; what
//! a crash left behind is removed at the next start.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Body;
use nacre_engine::is_full;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::server::body;
use crate::server::problem::{Code, Problem};

/// A received file.
pub(crate) struct Spool {
    path: PathBuf,
}

impl Spool {
    /// An empty folder for received files.
    pub(crate) fn prepare(dir: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(dir),
        }
    }

    /// Receives a body of at most `limit` bytes into a file of `dir`.
    pub(crate) async fn receive(dir: &Path, mut body: Body, limit: usize) -> Result<Self, Problem> {
        let spool = Self { path: dir.join(format!("{}.part", Uuid::now_v7())) };
        let mut file = tokio::fs::File::create_new(&spool.path).await.map_err(|error| failed(&error))?;
        let mut length = 0;
        while let Some(piece) = body::next_piece(&mut body).await? {
            length += piece.len();
            if length > limit {
                body::drain(body).await;
                return Err(body::too_large(limit));
            }
            file.write_all(&piece).await.map_err(|error| failed(&error))?;
        }
        file.flush().await.map_err(|error| failed(&error))?;
        Ok(spool)
    }

    /// The file, for reading.
    pub(crate) fn open(&self) -> Result<File, Problem> {
        File::open(&self.path).map_err(|error| failed(&error))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "cannot remove a received file; the next start will");
        }
    }
}

fn failed(error: &io::Error) -> Problem {
    if is_full(error.kind()) {
        return Problem::full(error);
    }
    tracing::error!(%error, "cannot spool an upload");
    let message = "the upload cannot be stored; check the disk of the data folder, then send it again";
    Problem::new(Code::StorageFailed, message).retry_after(30)
}
