//! CSV on its way to a client: a writer for a blocking task, and the body that sends what it writes.
//!
//! Invariants: memory is bounded by [`PIECE_BYTES`] × [`PIECES`] whatever the length of the file; a body ends cleanly
//! only after [`CsvSink::finish`], so a file that breaks off is never mistaken for a whole one; a client that takes
//! nothing for [`PATIENCE`] loses its place.

use std::io::{self, ErrorKind, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::Stream;

/// Bytes sent at once.
const PIECE_BYTES: usize = 32 * 1024;
/// Pieces that may wait for the client.
const PIECES: usize = 4;
/// Longest wait for the client to take a piece.
const PATIENCE: Duration = Duration::from_secs(60);

enum Piece {
    Data(Bytes),
    End,
}

/// A writer and the body it fills. The body holds `place` until its last byte is sent or it is dropped.
pub(crate) fn channel(place: OwnedSemaphorePermit) -> (CsvSink, Body) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let sink = CsvSink { sender, buffer: Vec::with_capacity(PIECE_BYTES) };
    (sink, Body::from_stream(Pieces { receiver, ended: false, _place: place }))
}

/// The writing end; it blocks, so it belongs on a blocking thread of the runtime.
pub(crate) struct CsvSink {
    sender: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
}

impl CsvSink {
    /// Sends what is left and lets the body end. Without this call the body ends as an error.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Piece::End)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = Handle::current().block_on(tokio::time::timeout(PATIENCE, self.sender.send(piece)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ErrorKind::BrokenPipe.into()),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for CsvSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > PIECE_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.send(Piece::Data(full.into()))
    }
}

struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.receiver.poll_recv(context));
        self.ended = !matches!(piece, Some(Piece::Data(_)));
        Poll::Ready(match piece {
            Some(Piece::Data(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => None,
            None => Some(Err(io::Error::other("the file broke off"))),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_finished_file_arrives_whole_and_gives_its_place_back_at_the_end() {
        let places = Arc::new(Semaphore::new(1));
        let (mut sink, body) = channel(places.clone().try_acquire_owned().unwrap());
        let row = "x".repeat(999) + "\n";
        let writing = tokio::task::spawn_blocking(move || {
            (0..1000).try_for_each(|_| sink.write_all(row.as_bytes()))?;
            sink.finish()
        });
        assert_eq!(places.available_permits(), 0);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 1_000_000);
        writing.await.unwrap().unwrap();
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_not_finished_ends_as_an_error() {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (mut sink, body) = channel(place);
        let writing =
            tokio::task::spawn_blocking(move || sink.write_all(b"a,b\n").and_then(|()| sink.flush()));
        writing.await.unwrap().unwrap();
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_goes_away_stops_the_writer() {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (mut sink, body) = channel(place);
        drop(body);
        let writing = tokio::task::spawn_blocking(move || sink.write_all(b"a\n").and_then(|()| sink.flush()));
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
