//! The operations: run a job on a blocking thread, keep its record, end it in exactly one terminal status.
//!
//! Invariants: a record is written before its job starts and after it ends; what a crash or a stop left
//! unfinished becomes `Failed` with the code `interrupted`; a queued job that is cancelled never runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::progress::{Feed, Level, Phase, Progress};
use crate::clock;
use crate::server::problem::{Code, Problem};
use crate::store::record::{Failure as FailureRow, Operation, OperationStatus};
use crate::store::{Rows, Store, StoreError, WriteTx, tables};

/// Jobs at work at once; more wait.
const AT_ONCE: usize = 4;
/// Feeds held in memory; the oldest finished ones go first.
const MAX_FEEDS: usize = 256;
/// Longest wait for jobs to notice that the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a job is, for its record.
pub struct NewJob {
    /// Whose job it is.
    pub user: Uuid,
    /// What it does, one word.
    pub kind: &'static str,
    /// Where it does it.
    pub workspace: Option<Uuid>,
    /// For which books.
    pub profile: Option<Uuid>,
}

/// One thing that went wrong in a job.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The connection it concerns, if one.
    pub connection: Option<Uuid>,
    /// Stable word.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl From<Failure> for FailureRow {
    fn from(failure: Failure) -> Self {
        Self { connection: failure.connection, code: failure.code, message: failure.message }
    }
}

/// What a finished job has to say.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What went wrong for single connections; empty is full success.
    pub failures: Vec<Failure>,
    /// Anything else, as JSON text.
    pub summary_json: Option<String>,
}

/// Why a job did not finish.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It noticed `Progress::is_cancelled`.
    #[error("the job was cancelled")]
    Cancelled,
    /// It failed as a whole.
    #[error("{message}")]
    Failed {
        /// Stable word.
        code: &'static str,
        /// What is wrong and what to do.
        message: String,
        /// What went wrong for single connections.
        failures: Vec<Failure>,
    },
}

/// Runs jobs and knows those of this process. Clones share everything.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    shutdown: CancellationToken,
    places: Semaphore,
    tasks: TaskTracker,
    known: Mutex<BTreeMap<Uuid, Known>>,
}

struct Known {
    progress: Progress,
    finished: bool,
}

impl Jobs {
    /// Ends in the records what an earlier process left unfinished.
    pub(crate) async fn open(store: Store, shutdown: CancellationToken) -> Result<Self, StoreError> {
        store.write(fail_unfinished).await?;
        let inner = Inner {
            store,
            shutdown,
            places: Semaphore::new(AT_ONCE),
            tasks: TaskTracker::new(),
            known: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Records a job and starts it, on a blocking thread, as soon as there is room. The answer is the
    /// operation's id.
    ///
    /// # Errors
    /// When the record cannot be written; then the job does not run.
    pub async fn submit<F>(&self, job: NewJob, work: F) -> Result<Uuid, StoreError>
    where
        F: FnOnce(&Progress) -> Result<Outcome, JobError> + Send + 'static,
    {
        let id = Uuid::now_v7();
        let user = job.user;
        let record = queued(job);
        self.save(user, id, record.clone()).await?;
        let progress = Progress { feed: Feed::new(id), cancel: self.inner.shutdown.child_token() };
        progress.feed.push(Phase::Queued, Level::Info, "waiting for a worker".to_owned(), None);
        self.remember(id, progress.clone());
        let jobs = self.clone();
        self.inner.tasks.spawn(async move { jobs.run(user, id, record, progress, work).await });
        Ok(id)
    }

    async fn run<F>(self, user: Uuid, id: Uuid, mut record: Operation, progress: Progress, work: F)
    where
        F: FnOnce(&Progress) -> Result<Outcome, JobError> + Send + 'static,
    {
        let ended = match progress.cancel.run_until_cancelled(self.inner.places.acquire()).await {
            None | Some(Err(_)) => Err(JobError::Cancelled),
            Some(Ok(_place)) => {
                record.status = OperationStatus::Running;
                record.started_at_ms = Some(clock::now_ms());
                // A record that cannot be updated is no reason not to do the work.
                let _ = self.save(user, id, record.clone()).await;
                progress.feed.push(Phase::Running, Level::Info, "started".to_owned(), None);
                let handle = progress.clone();
                tokio::task::spawn_blocking(move || work(&handle)).await.unwrap_or_else(|error| {
                    tracing::error!(%error, operation = %id, "a job broke");
                    Err(JobError::Failed {
                        code: "internal",
                        message: "the job broke; the server's log has the cause".to_owned(),
                        failures: Vec::new(),
                    })
                })
            }
        };
        let (phase, level, message) = finish(&mut record, ended, self.inner.shutdown.is_cancelled());
        if let Err(error) = self.save(user, id, record).await {
            tracing::error!(%error, operation = %id, "cannot record the end of an operation");
        }
        progress.feed.push(phase, level, message, None);
        self.mark_finished(id);
    }

    async fn save(&self, user: Uuid, id: Uuid, record: Operation) -> Result<(), StoreError> {
        let key = (user.as_u128(), id.as_u128());
        self.inner.store.write(move |tx| tx.put(&tables::OPERATIONS, key, &record).map(drop)).await
    }

    /// The events of an operation of this process.
    pub(crate) fn feed(&self, id: Uuid) -> Option<Arc<Feed>> {
        let known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).map(|known| known.progress.feed.clone())
    }

    /// Asks an operation to stop; its job ends when it notices.
    pub(crate) fn cancel(&self, id: Uuid) -> Result<(), Problem> {
        let known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&id) {
            Some(known) if !known.finished => {
                known.progress.cancel.cancel();
                Ok(())
            }
            _ => {
                Err(Problem::new(Code::OperationFinished, "the operation has ended and cannot be cancelled"))
            }
        }
    }

    /// Waits, within bounds, for jobs to notice that the server stops.
    pub(crate) async fn stop(&self) {
        self.inner.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("some jobs did not stop in time; they count as interrupted");
        }
    }

    fn remember(&self, id: Uuid, progress: Progress) {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_FEEDS {
            let oldest = known.iter().find(|(_, known)| known.finished).map(|(id, _)| *id);
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(id, Known { progress, finished: false });
    }

    fn mark_finished(&self, id: Uuid) {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&id) {
            known.finished = true;
        }
    }
}

fn queued(job: NewJob) -> Operation {
    Operation {
        kind: job.kind.to_owned(),
        workspace: job.workspace,
        profile: job.profile,
        status: OperationStatus::Queued,
        created_at_ms: clock::now_ms(),
        started_at_ms: None,
        finished_at_ms: None,
        failures: Vec::new(),
        summary_json: None,
        error: None,
    }
}

/// Writes the end into the record and says how to announce it.
fn finish(
    record: &mut Operation,
    ended: Result<Outcome, JobError>,
    stopping: bool,
) -> (Phase, Level, String) {
    record.finished_at_ms = Some(clock::now_ms());
    match ended {
        Ok(outcome) => {
            let failures = outcome.failures.len();
            record.failures = outcome.failures.into_iter().map(FailureRow::from).collect();
            record.summary_json = outcome.summary_json;
            if failures == 0 {
                record.status = OperationStatus::Succeeded;
                return (Phase::Succeeded, Level::Info, "done".to_owned());
            }
            record.status = OperationStatus::SucceededWithFailures;
            (Phase::SucceededWithFailures, Level::Warning, format!("done with {failures} failure(s)"))
        }
        Err(JobError::Cancelled) if stopping => {
            interrupt(record);
            (Phase::Failed, Level::Error, INTERRUPTED.to_owned())
        }
        Err(JobError::Cancelled) => {
            record.status = OperationStatus::Cancelled;
            (Phase::Cancelled, Level::Warning, "cancelled".to_owned())
        }
        Err(JobError::Failed { code, message, failures }) => {
            record.status = OperationStatus::Failed;
            record.failures = failures.into_iter().map(FailureRow::from).collect();
            record.error = Some(whole(code, message.clone()));
            (Phase::Failed, Level::Error, message)
        }
    }
}

const INTERRUPTED: &str = "the server stopped before the operation ended; start it again";

fn interrupt(record: &mut Operation) {
    record.status = OperationStatus::Failed;
    record.error = Some(whole("interrupted", INTERRUPTED.to_owned()));
}

/// A failure of the operation as a whole.
fn whole(code: &str, message: String) -> FailureRow {
    FailureRow { connection: None, code: code.to_owned(), message }
}

fn fail_unfinished(tx: &WriteTx) -> Result<(), StoreError> {
    let everything = (0, 0)..=(u128::MAX, u128::MAX);
    let rows = tx.scan(&tables::OPERATIONS, everything, usize::MAX, |key, row| (key, row))?;
    for (key, mut row) in rows {
        if matches!(row.status, OperationStatus::Queued | OperationStatus::Running) {
            interrupt(&mut row);
            row.finished_at_ms = Some(clock::now_ms());
            tx.put(&tables::OPERATIONS, key, &row)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Failure, JobError, Jobs, NewJob, Outcome};
    use crate::store::record::{Operation, OperationStatus};
    use crate::store::{Rows, Store, StoreError, tables};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    async fn jobs(dir: &std::path::Path) -> (Jobs, Store) {
        let store = Store::open(&dir.join("system.redb"), dir.join("spool"), 1).unwrap();
        (Jobs::open(store.clone(), CancellationToken::new()).await.unwrap(), store)
    }

    fn job(user: Uuid) -> NewJob {
        NewJob { user, kind: "test", workspace: None, profile: None }
    }

    async fn ended(jobs: &Jobs, store: &Store, user: Uuid, id: Uuid) -> Operation {
        let feed = jobs.feed(id).unwrap();
        let mut changed = feed.subscribe();
        while !feed.after(0).1 {
            tokio::time::timeout(Duration::from_secs(5), changed.changed()).await.unwrap().unwrap();
        }
        let key = (user.as_u128(), id.as_u128());
        store.read::<_, StoreError, _>(move |tx| tx.get(&tables::OPERATIONS, key)).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn every_job_ends_in_one_status() {
        let dir = tempfile::tempdir().unwrap();
        let (jobs, store) = jobs(dir.path()).await;
        let user = Uuid::now_v7();
        let failure = || Failure { connection: None, code: "x".to_owned(), message: "y".to_owned() };

        let id = jobs
            .submit(job(user), |p| {
                p.step("half", 1, 2);
                Ok(Outcome::default())
            })
            .await
            .unwrap();
        assert_eq!(ended(&jobs, &store, user, id).await.status, OperationStatus::Succeeded);

        let partly = move || Outcome { failures: vec![failure()], summary_json: None };
        let id = jobs.submit(job(user), move |_| Ok(partly())).await.unwrap();
        assert_eq!(ended(&jobs, &store, user, id).await.status, OperationStatus::SucceededWithFailures);

        let wait = |p: &super::Progress| {
            while !p.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(JobError::Cancelled)
        };
        let id = jobs.submit(job(user), wait).await.unwrap();
        jobs.cancel(id).unwrap();
        assert_eq!(ended(&jobs, &store, user, id).await.status, OperationStatus::Cancelled);
        assert!(jobs.cancel(id).is_err());
    }

    #[tokio::test]
    async fn a_restart_fails_what_was_running() {
        let dir = tempfile::tempdir().unwrap();
        let (jobs, store) = jobs(dir.path()).await;
        let user = Uuid::now_v7();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let id = jobs
            .submit(job(user), move |_| {
                let _ = wait.recv();
                Ok(Outcome::default())
            })
            .await
            .unwrap();
        let _again = Jobs::open(store.clone(), CancellationToken::new()).await.unwrap();
        let key = (user.as_u128(), id.as_u128());
        let row = store.read::<_, StoreError, _>(move |tx| tx.get(&tables::OPERATIONS, key)).await.unwrap();
        let row = row.unwrap();
        assert_eq!(row.status, OperationStatus::Failed);
        assert_eq!(row.error.unwrap().code, "interrupted");
        drop(release);
    }
}
