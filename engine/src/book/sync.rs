//! Taking in what a chain reader delivered: the complete set of one connection's views, with its checkpoint.

use std::collections::HashSet;

use super::facts::connection;
use super::{Book, RowOutcome, Snapshot};
use crate::derive::{intake, remove_records};
use crate::error::Result;
use crate::id::{ConnectionNo, EventId, TxId};
use crate::model::{ChainView, ChangeDetail, Connection, Record, RecordBody, Touched};
use crate::store::RecordKey;
use crate::time::Timestamp;

/// What a sync changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Transactions seen for the first time.
    pub new: u64,
    /// Transactions whose view changed (confirmed, reorganised, more of it ours).
    pub changed: u64,
    /// Transactions that are gone (replaced, or reorganised away).
    pub removed: u64,
    /// Version of the book afterwards.
    pub book_version: u64,
}

impl Snapshot {
    /// The checkpoint the connection's reader left.
    pub fn sync_state(&self, no: ConnectionNo) -> Result<Option<Vec<u8>>> {
        self.store()?.sync_state(no)
    }
}

impl Book {
    /// The checkpoint the connection's reader left.
    pub fn sync_state(&self, no: ConnectionNo) -> Result<Option<Vec<u8>>> {
        self.file.read()?.sync_state(no)
    }

    /// Replaces the connection's views by `views` and its checkpoint by `state`, in one transaction.
    /// When both are as they were, nothing is written.
    pub fn apply_sync(
        &self,
        now: Timestamp,
        no: ConnectionNo,
        views: Vec<ChainView>,
        state: Vec<u8>,
    ) -> Result<SyncReport> {
        let mut report = SyncReport::default();
        self.write(|store| {
            let target = connection(store, no)?;
            let gone = gone(store.connection_records(no)?, &views);
            let mut touched = Touched::default();
            remove_records(store, &gone, &mut touched)?;
            let records = views.into_iter().map(|view| Record {
                connection: no,
                native_id: view.txid.to_string(),
                body: RecordBody::Chain(Box::new(view)),
            });
            let answers = intake(store, records.collect(), &mut touched)?;
            let count =
                |wanted: RowOutcome| answers.iter().filter(|(_, outcome)| *outcome == wanted).count() as u64;
            report.new = count(RowOutcome::New);
            report.changed = count(RowOutcome::Changed);
            report.removed = gone.len() as u64;
            report.book_version = store.version()?;
            let rows = report.new + report.changed + report.removed;
            let known = store.sync_state(no)?;
            if rows == 0 && known.as_deref() == Some(state.as_slice()) {
                return Ok(None);
            }
            store.put_sync_state(no, state)?;
            let SyncReport { new, changed, removed, .. } = report;
            let label = target.label.clone();
            let detail = ChangeDetail::Records { connection: no, label, new, changed, removed, touched };
            store.put_connection(&Connection { synced_at: Some(now), ..target })?;
            report.book_version = store.log(now, "sync", rows, detail)?;
            Ok(Some(()))
        })?;
        Ok(report)
    }
}

/// The stored transactions that are not among the views any more.
fn gone(stored: Vec<RecordKey>, views: &[ChainView]) -> Vec<RecordKey> {
    let delivered: HashSet<EventId> = views.iter().map(|view| EventId::of_tx(view.txid)).collect();
    let on_chain = |key: &RecordKey| key.key.id.as_str().parse::<TxId>().is_ok();
    stored.into_iter().filter(|key| on_chain(key) && !delivered.contains(&key.key.id)).collect()
}
