//! Transactions seen but not booked yet: unconfirmed ones, and coinbase outputs that have not matured.
//!
//! Invariant: one item for each transaction, however many connections see it.

use std::collections::BTreeMap;

use nacre_engine::book::Snapshot;
use nacre_engine::error::{Error, Result};
use nacre_engine::id::TxId;
use nacre_engine::model::{ChainStatus, ChainView, Record, RecordBody};
use nacre_engine::money::Msats;
use nacre_engine::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::event_body::{ConnectionRef, Names};
use crate::books::BookAccess;
use crate::server::extract::Query;
use crate::server::page::{self, Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;

/// A transaction that waits.
#[derive(Debug, Serialize, ToSchema)]
struct PendingBody {
    /// The txid; the event will have the same id.
    id: String,
    /// `unconfirmed` (waits for its first block) or `immature` (a coinbase with fewer than 101 confirmations).
    status: &'static str,
    /// When it was first seen, or the time of its block, if the source says.
    timestamp: Option<String>,
    /// Height of its block, for `immature`.
    block_height: Option<u32>,
    /// The connections that see it.
    connections: Vec<ConnectionRef>,
    /// `in`, `out` or `none`, over all connections.
    direction: &'static str,
    /// What the balance changes by, fee included, in satoshis without a sign.
    quantity: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists transactions that are not booked yet, by txid.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/journals/pending", tag = "journals",
    operation_id = "list_pending", responses((status = 200, body = Page<PendingBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<PendingBody>>, Problem> {
    access.read(move |book| page_of_pending(book, &query)).await.map(axum::Json)
}

fn page_of_pending(book: &Snapshot, query: &PageQuery) -> Result<Page<PendingBody>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = match &query.cursor {
        None => None,
        Some(cursor) => {
            Some(page::decode_cursor(cursor)?.try_into().map(TxId).map_err(|_| page::bad_cursor())?)
        }
    };
    let waiting = by_transaction(book.pending()?)?;
    let rest = waiting.into_iter().filter(|(txid, _)| after.is_none_or(|last| *txid > last));
    let page = Page::cut(rest.take(limit + 1).collect(), limit, |(txid, _)| txid.0.to_vec());
    let names = Names::of(book)?;
    Ok(page.map(|(txid, waits)| waits.into_body(txid, &names)))
}

/// What all connections together know of one transaction.
struct Waits {
    status: ChainStatus,
    connections: Vec<nacre_engine::id::ConnectionNo>,
    net: Msats,
}

fn by_transaction(records: Vec<Record>) -> Result<BTreeMap<TxId, Waits>> {
    let mut waiting: BTreeMap<TxId, Waits> = BTreeMap::new();
    for record in records {
        let RecordBody::Chain(view) = record.body else { continue };
        let net = net(&view)?;
        let known = waiting.entry(view.txid).or_insert_with(|| Waits {
            status: view.status,
            connections: Vec::new(),
            net: Msats::ZERO,
        });
        known.connections.push(record.connection);
        known.net = known.net.add(net)?;
    }
    Ok(waiting)
}

/// Owned outputs less owned inputs of one view; no coin is owned by two connections.
fn net(view: &ChainView) -> Result<Msats> {
    let msats = |sat| Msats::from_sats(sat).ok_or(Error::Overflow("pending amount"));
    let mut net = Msats::ZERO;
    for output in view.outputs.iter().filter(|output| output.owned) {
        net = net.add(msats(output.value_sat)?)?;
    }
    for sat in view.inputs.iter().filter_map(|input| input.owned_sat) {
        net = net.sub(msats(sat)?)?;
    }
    Ok(net)
}

impl Waits {
    fn into_body(self, txid: TxId, names: &Names) -> PendingBody {
        let (status, time, block_height): (_, Option<Timestamp>, _) = match self.status {
            ChainStatus::Unconfirmed { first_seen } => ("unconfirmed", first_seen, None),
            ChainStatus::Immature { height, time } => ("immature", Some(time), Some(height)),
            // Confirmed by now in the view of another connection: booked when the rest is synced.
            ChainStatus::Confirmed { height, time, .. } => ("unconfirmed", Some(time), Some(height)),
        };
        let direction = match self.net.get().signum() {
            1 => "in",
            -1 => "out",
            _ => "none",
        };
        PendingBody {
            id: txid.to_string(),
            status,
            timestamp: time.map(|time| time.to_string()),
            block_height,
            connections: names.connections(&self.connections),
            direction,
            quantity: Msats::new(self.net.get().saturating_abs()).to_sat_text(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use nacre_engine::id::ConnectionNo;
    use nacre_engine::model::{ChainInput, ChainOutput};

    use super::*;

    fn seen(connection: u32, inputs: Vec<Option<u64>>, outputs: Vec<(u64, bool)>) -> Record {
        let txid = TxId([7; 32]);
        let view = ChainView {
            txid,
            status: ChainStatus::Unconfirmed { first_seen: None },
            coinbase: false,
            inputs: inputs.into_iter().map(|owned_sat| ChainInput { owned_sat }).collect(),
            outputs: outputs
                .into_iter()
                .map(|(value_sat, owned)| ChainOutput { value_sat, owned, script: vec![] })
                .collect(),
        };
        let body = RecordBody::Chain(Box::new(view));
        Record { connection: ConnectionNo(connection), native_id: txid.to_string(), body }
    }

    #[test]
    fn the_views_of_two_wallets_are_one_transaction_and_their_changes_add_up() {
        let from = seen(1, vec![Some(10_000)], vec![(6_000, false), (3_500, true)]);
        let to = seen(2, vec![None], vec![(6_000, true), (3_500, false)]);
        let waiting = by_transaction(vec![from, to]).unwrap();
        let waits = waiting.get(&TxId([7; 32])).unwrap();
        assert_eq!((waiting.len(), waits.connections.len()), (1, 2));
        assert_eq!(waits.net, Msats::new(-500_000), "only the fee leaves");
    }
}
