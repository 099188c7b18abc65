//! Background jobs: operations with a record that survives restarts, and their progress.

mod operations;
pub(crate) mod progress;

pub(crate) use operations::{JobError, Jobs, NewJob, Outcome};
pub(crate) use progress::{Event, Feed, Level, Phase, Progress};
