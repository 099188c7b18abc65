//! The progress of one operation: a bounded ring of numbered events that any number of readers follow and
//! resume. Events that fell out of the ring are announced as missing, never skipped in silence; the terminal
//! event is always the last and always held.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::record::{Operation, OperationStatus};

/// Events held per operation.
const RING: usize = 256;

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum Phase {
    /// It waits for a worker.
    Queued,
    /// It has begun.
    Running,
    /// It has got further.
    Progress,
    /// It is done.
    Succeeded,
    /// It is done, but not for all connections.
    SucceededWithFailures,
    /// It has failed.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

impl Phase {
    /// Whether nothing follows.
    pub(crate) const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Progress)
    }
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum Level {
    /// As expected.
    Info,
    /// Something went wrong, the operation goes on.
    Warning,
    /// The operation failed.
    Error,
}

/// How far an operation has come, in steps of its own choosing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Steps {
    /// Steps done.
    pub(crate) current: u64,
    /// Steps known of.
    pub(crate) total: u64,
}

/// One event of the progress stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Event {
    /// The operation.
    pub(crate) operation_id: Uuid,
    /// Where it is.
    pub(crate) phase: Phase,
    /// How much this matters.
    pub(crate) level: Level,
    /// What happened, in words.
    pub(crate) message: String,
    /// How far it has come.
    pub(crate) progress: Steps,
}

/// The events of one operation, for its readers.
pub(crate) struct Feed {
    operation: Uuid,
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Ring {
    /// Number of the newest event; the first event is 1.
    newest: u64,
    events: VecDeque<(u64, Event)>,
    steps: Steps,
    ended: bool,
}

impl Feed {
    pub(crate) fn new(operation: Uuid) -> Arc<Self> {
        Arc::new(Self { operation, ring: Mutex::default(), changed: watch::channel(()).0 })
    }

    /// The feed of an operation whose events are gone: its end, told from the record.
    pub(crate) fn of_ended(operation: Uuid, record: &Operation) -> Arc<Self> {
        let (phase, level) = match record.status {
            OperationStatus::Succeeded => (Phase::Succeeded, Level::Info),
            OperationStatus::SucceededWithFailures => (Phase::SucceededWithFailures, Level::Warning),
            OperationStatus::Cancelled => (Phase::Cancelled, Level::Warning),
            OperationStatus::Failed | OperationStatus::Queued | OperationStatus::Running => {
                (Phase::Failed, Level::Error)
            }
        };
        let message = record.error.as_ref().map_or_else(|| "ended".to_owned(), |error| error.message.clone());
        let feed = Self::new(operation);
        feed.push(phase, level, message, None);
        feed
    }

    /// Adds an event; after the terminal one nothing more is taken.
    pub(super) fn push(&self, phase: Phase, level: Level, message: String, steps: Option<Steps>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.ended {
            return;
        }
        ring.steps = steps.unwrap_or(ring.steps);
        ring.newest += 1;
        ring.ended = phase.is_terminal();
        let event = Event { operation_id: self.operation, phase, level, message, progress: ring.steps };
        let number = ring.newest;
        ring.events.push_back((number, event));
        if ring.events.len() > RING {
            ring.events.pop_front();
        }
        drop(ring);
        self.changed.send_replace(());
    }

    /// The events after number `last`, and whether the terminal one is among or before them.
    pub(crate) fn after(&self, last: u64) -> (Vec<(u64, Event)>, bool) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        // A number from before a restart would be ahead of us: start over rather than wait for ever.
        let last = if last > ring.newest { 0 } else { last };
        let oldest = ring.events.front().map_or(1, |(number, _)| *number);
        let mut events = Vec::new();
        if oldest > last + 1 {
            events.push((oldest - 1, self.gap(oldest - 1 - last)));
        }
        events.extend(ring.events.iter().filter(|(number, _)| *number > last).cloned());
        (events, ring.ended)
    }

    fn gap(&self, missing: u64) -> Event {
        Event {
            operation_id: self.operation,
            phase: Phase::Progress,
            level: Level::Warning,
            message: format!("{missing} earlier events are no longer held"),
            progress: Steps::default(),
        }
    }

    /// Wakes when an event is added.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// A job's handle on its own operation: report how far it is, ask whether to stop. Usable on any thread.
#[derive(Clone)]
pub struct Progress {
    pub(super) feed: Arc<Feed>,
    pub(super) cancel: CancellationToken,
}

impl Progress {
    /// Says what is going on, with steps done and steps known of.
    pub fn step(&self, message: impl Into<String>, current: u64, total: u64) {
        self.feed.push(Phase::Progress, Level::Info, message.into(), Some(Steps { current, total }));
    }

    /// Says that something went wrong while the job goes on.
    pub fn warn(&self, message: impl Into<String>) {
        self.feed.push(Phase::Progress, Level::Warning, message.into(), None);
    }

    /// True once the user or the server wants the job to stop; the job then returns `JobError::Cancelled`.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, Level, Phase, RING};
    use uuid::Uuid;

    fn push(feed: &Feed, phase: Phase) {
        feed.push(phase, Level::Info, "x".to_owned(), None);
    }

    #[test]
    fn readers_resume_after_their_last_event() {
        let feed = Feed::new(Uuid::now_v7());
        push(&feed, Phase::Queued);
        push(&feed, Phase::Running);
        push(&feed, Phase::Succeeded);
        push(&feed, Phase::Progress);
        let numbers = |last| feed.after(last).0.iter().map(|(n, _)| *n).collect::<Vec<_>>();
        assert_eq!(numbers(0), [1, 2, 3]);
        assert_eq!(numbers(2), [3]);
        assert_eq!(numbers(99), [1, 2, 3], "a number from another life starts over");
        assert!(feed.after(0).1);
    }

    #[test]
    fn what_fell_out_of_the_ring_is_announced() {
        let feed = Feed::new(Uuid::now_v7());
        (0..RING + 10).for_each(|_| push(&feed, Phase::Progress));
        let (events, ended) = feed.after(3);
        assert_eq!(events[0].0, 10);
        assert!(events[0].1.message.starts_with("7 earlier events"), "{}", events[0].1.message);
        assert_eq!((events.len(), ended), (RING + 1, false));
    }
}
