//! The job that syncs a profile's wallets with its chain source.
//!
//! Invariants: one sync of a profile at a time; a wallet is read whole and written in one transaction, or not at all;
//! one wallet's failure is an entry in the result and stops no other; wallets end at one chain tip, unless the chain
//! outruns [`CATCH_UPS`] rounds, so that a payment between two of them is not booked as the income of one. `Custom`
//! connections have nothing to sync.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nacre_engine::book::SyncReport;
use nacre_engine::model::Connection;
use serde_json::json;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{Failure, JobError, NewJob, Outcome, Progress};
use crate::books::kinds::Configuration;
use crate::books::{BookAccess, connections, now};
use crate::chain::{ChainError, ElectrumSource, SpecError, SyncProgress, SyncStage, sync_wallet};
use crate::server::problem::{Code, Problem};
use crate::workspaces::chain_sources;

/// Wallets of one profile read at the same time.
const WALLETS_AT_ONCE: usize = 4;
/// How often wallets that were read at an older tip than others are read again.
const CATCH_UPS: u32 = 2;

/// The profiles that are being synced, each with its operation once that is known.
#[derive(Clone, Default)]
pub(crate) struct Syncing(Arc<Mutex<HashMap<Uuid, Option<Uuid>>>>);

/// Takes its profile out of the set when the job ends, however it ends.
struct Guard {
    syncing: Syncing,
    profile: Uuid,
}

impl Syncing {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Option<Uuid>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, profile: Uuid) -> Result<Guard, Problem> {
        let mut running = self.lock();
        if let Some(operation) = running.get(&profile) {
            let message = "a sync of this profile is running; wait for its end or cancel it";
            let details = json!({ "operation_id": operation });
            return Err(Problem::new(Code::SyncRunning, message).with_details(details));
        }
        running.insert(profile, None);
        Ok(Guard { syncing: self.clone(), profile })
    }

    /// The operation that syncs a profile now.
    pub(crate) fn operation(&self, profile: Uuid) -> Option<Uuid> {
        self.lock().get(&profile).copied().flatten()
    }

    fn name(&self, profile: Uuid, operation: Uuid) {
        if let Some(named) = self.lock().get_mut(&profile) {
            *named = Some(operation);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.syncing.lock().remove(&self.profile);
    }
}

/// Starts a sync of `targets` and answers with its operation.
///
/// # Errors
/// `sync_running` while another sync of the profile runs.
pub(crate) async fn start(
    access: BookAccess,
    targets: Vec<Connection>,
    force_full: bool,
) -> Result<Uuid, Problem> {
    let syncing = access.state.syncing.clone();
    let profile = access.profile_id;
    let guard = syncing.enter(profile)?;
    let job =
        NewJob { user: access.user, kind: "sync", workspace: Some(access.workspace), profile: Some(profile) };
    let (jobs, handle) = (access.state.jobs.clone(), Handle::current());
    let work = move |progress: &Progress| {
        let _guard = guard;
        Run { access, handle, progress, force_full }.all(targets)
    };
    let operation = jobs.submit(job, work).await?;
    syncing.name(profile, operation);
    Ok(operation)
}

/// One sync at work, on a blocking thread.
struct Run<'p> {
    access: BookAccess,
    handle: Handle,
    progress: &'p Progress,
    force_full: bool,
}

/// What came of one wallet.
type Synced = (Uuid, Result<Read, Failure>);

/// A wallet that was read and written.
#[derive(Clone, Default)]
struct Read {
    report: SyncReport,
    /// Height of the best block it was read at.
    tip_height: u32,
}

impl Read {
    /// This and what a later reading of the same wallet added.
    fn and(self, later: Read) -> Self {
        let (first, second) = (self.report, later.report);
        let report = SyncReport {
            new: first.new + second.new,
            changed: first.changed + second.changed,
            removed: first.removed + second.removed,
            ..second
        };
        Read { report, ..later }
    }
}

impl Run<'_> {
    fn all(self, targets: Vec<Connection>) -> Result<Outcome, JobError> {
        let wallets: Vec<_> = targets.into_iter().filter(|target| target.kind != "Custom").collect();
        if wallets.is_empty() {
            return Ok(Outcome { failures: Vec::new(), summary_json: Some(summary(&[])) });
        }
        let mut done: BTreeMap<Uuid, Result<Read, Failure>> =
            self.round(wallets.iter().collect(), self.force_full).into_iter().collect();
        for _ in 0..CATCH_UPS {
            let late = behind(&wallets, &done);
            if late.is_empty() || self.progress.is_cancelled() {
                break;
            }
            for (id, later) in self.round(late, false) {
                let first = done.remove(&id).and_then(Result::ok).unwrap_or_default();
                done.insert(id, later.map(|later| first.and(later)));
            }
        }
        if self.progress.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        finish(&done.into_iter().collect::<Vec<_>>())
    }

    /// Reads wallets, some at the same time.
    fn round(&self, targets: VecDeque<&Connection>, force_full: bool) -> Vec<Synced> {
        let workers = targets.len().min(WALLETS_AT_ONCE);
        let queue = Mutex::new(targets);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(target) = next().filter(|_| !self.progress.is_cancelled()) {
                        let synced = (connections::id(target), self.one(target, force_full));
                        done.lock().unwrap_or_else(PoisonError::into_inner).push(synced);
                    }
                });
            }
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one wallet and writes what it is now.
    fn one(&self, target: &Connection, force_full: bool) -> Result<Read, Failure> {
        let id = connections::id(target);
        let outcome = self.read_and_write(target, force_full);
        let failed = |(code, message): (String, String)| {
            self.progress.warn(format!("{}: {message}", target.label));
            Failure { connection: Some(id), code, message }
        };
        outcome.map_err(|cause| failed(cause.words()))
    }

    fn read_and_write(&self, target: &Connection, force_full: bool) -> Result<Read, Cause> {
        let spec = Configuration::stored(target)?.wallet()?;
        let Some(spec) = spec else { return Ok(Read::default()) };
        let source = self.source()?;
        let no = target.no;
        let known = self.handle.block_on(self.access.read(move |book| book.sync_state(no)))?;
        let report = |at: SyncProgress| self.report(&target.label, at);
        let cancelled = || self.progress.is_cancelled();
        let wallet = sync_wallet(&spec, &source, known.as_deref(), force_full, None, &report, &cancelled)?;
        let tip_height = wallet.tip_height;
        let (id, config) = (target.id.clone(), target.config.clone());
        let write = self.access.write(move |book| {
            if book.snapshot()?.connection(&id)?.config != config {
                let message = "the connection was reconfigured during the sync; sync it again";
                return Err(Problem::new(Code::StillInUse, message));
            }
            Ok(book.apply_sync(now(), no, wallet.views, wallet.state)?)
        });
        Ok(Read { report: self.handle.block_on(write)?, tip_height })
    }

    /// The chain source the profile has selected.
    fn source(&self) -> Result<ElectrumSource, Cause> {
        let access = self.access.clone();
        let read = self
            .access
            .state
            .store
            .read(move |tx| chain_sources::effective(tx, access.user, access.workspace, &access.profile));
        let Some((_, config)) = self.handle.block_on(read)? else { return Err(Cause::NoSource) };
        let proxy = self.access.profile.settings.tor_proxy.as_deref();
        Ok(ElectrumSource::parse(&config.url, proxy)?)
    }

    fn report(&self, label: &str, at: SyncProgress) {
        let doing = match at.stage {
            SyncStage::Scripts => "Scanning addresses",
            SyncStage::Transactions => "Fetching transactions",
            SyncStage::Proofs => "Checking confirmations",
        };
        self.progress.step(format!("{label}: {doing}"), at.done, at.total);
    }
}

/// Why a wallet was not synced.
enum Cause {
    /// The profile reads no chain source.
    NoSource,
    /// The chain source failed.
    Chain(ChainError),
    /// A stored configuration is not usable.
    Spec(SpecError),
    /// The book or the store failed.
    Problem(Problem),
}

impl Cause {
    /// Stable word, and what is wrong and what to do.
    fn words(self) -> (String, String) {
        match self {
            Self::NoSource => (
                "no_chain_source".to_owned(),
                "no onchain config is selected for this profile; create one and select it".to_owned(),
            ),
            Self::Chain(error) => (error.code().to_owned(), error.to_string()),
            Self::Spec(error) => ("invalid_configuration".to_owned(), error.to_string()),
            Self::Problem(problem) => (problem.code().word().to_owned(), problem.message().to_owned()),
        }
    }
}

impl From<ChainError> for Cause {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl From<SpecError> for Cause {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}

impl From<Problem> for Cause {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The wallets that were read at an older tip than the newest one seen.
fn behind<'t>(
    wallets: &'t [Connection],
    done: &BTreeMap<Uuid, Result<Read, Failure>>,
) -> VecDeque<&'t Connection> {
    let tip = |read: &Result<Read, Failure>| read.as_ref().ok().map(|read| read.tip_height);
    let newest = done.values().filter_map(tip).max();
    let is_behind = |target: &&Connection| {
        let read_at = done.get(&connections::id(target)).and_then(tip);
        read_at.is_some() && read_at < newest
    };
    wallets.iter().filter(is_behind).collect()
}

/// Partly failed is a success with failures; wholly failed is a failure.
fn finish(done: &[Synced]) -> Result<Outcome, JobError> {
    let failures: Vec<Failure> =
        done.iter().filter_map(|(_, synced)| synced.as_ref().err()).cloned().collect();
    if failures.len() == done.len() {
        let first = failures.first().map(|failure| failure.message.clone()).unwrap_or_default();
        let message = format!("no connection could be synced; the first: {first}");
        return Err(JobError::Failed { code: "sync_failed", message, failures });
    }
    Ok(Outcome { failures, summary_json: Some(summary(done)) })
}

fn summary(done: &[Synced]) -> String {
    let synced = done.iter().filter_map(|(id, synced)| synced.as_ref().ok().map(|read| (id, &read.report)));
    let rows: Vec<_> = synced
        .map(|(id, report)| {
            let SyncReport { new, changed, removed, book_version } = report;
            json!({ "connection_id": id, "new": new, "changed": changed, "removed": removed,
                "book_version": book_version })
        })
        .collect();
    json!({ "connections": rows }).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Read, Syncing, finish};
    use crate::jobs::{Failure, JobError};
    use uuid::Uuid;

    #[test]
    fn one_sync_of_a_profile_at_a_time() {
        let syncing = Syncing::default();
        let profile = Uuid::now_v7();
        let guard = syncing.enter(profile).unwrap();
        assert!(syncing.enter(profile).is_err());
        assert!(syncing.enter(Uuid::now_v7()).is_ok());
        drop(guard);
        assert!(syncing.enter(profile).is_ok());
    }

    #[test]
    fn only_when_all_fail_the_sync_fails() {
        let failed = || Failure { connection: None, code: "timeout".to_owned(), message: "m".to_owned() };
        let good = (Uuid::now_v7(), Ok(Read::default()));
        let bad = (Uuid::now_v7(), Err(failed()));
        assert_eq!(finish(&[good, bad.clone()]).unwrap().failures.len(), 1);
        let Err(JobError::Failed { failures, .. }) = finish(&[bad]) else { unreachable!() };
        assert_eq!(failures.len(), 1);
    }
}
