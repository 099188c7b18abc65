//! Background jobs: operations with a record that survives restarts, and their progress.

mod operations;
mod progress;
pub(crate) mod sync;

pub use operations::{Failure, JobError, Jobs, NewJob, Outcome};
pub use progress::Progress;
pub(crate) use progress::{Event, Feed};
