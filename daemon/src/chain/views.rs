//! Turns the transactions of one reading into the engine's [`ChainView`]s.
//!
//! Owns: which of conflicting transactions stands (bdk's canonical view) and what of each the wallet owns. Refuses
//! readings that contradict themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use bdk_chain::local_chain::LocalChain;
use bdk_chain::spk_txout::SpkTxOutIndex;
use bdk_chain::{CanonicalizationParams, ChainPosition, ConfirmationBlockTime, IndexedTxGraph, TxUpdate};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use nacre_engine::id::TxId;
use nacre_engine::model::{ChainInput, ChainOutput, ChainStatus, ChainView};
use nacre_engine::time::Timestamp;

use super::state::{Anchor, Saved};

/// A script's place in the wallet: keychain and index.
pub(super) type ScriptKey = (u32, u32);

type Index = SpkTxOutIndex<ScriptKey>;

/// Confirmations from which a coinbase counts. One more than the consensus rule's 100 blocks, as Bitcoin Core's own
/// wallet counts it (`GetBlocksToMaturity`: the block that spends it comes on top), so that balances agree.
const COINBASE_MATURITY: u32 = 101;
/// When unconfirmed transactions were seen: all in this reading, so the clock is left out.
const SEEN_AT: u64 = 1;

/// The views of every standing transaction that touches the wallet, ordered by id.
///
/// `blocks` are the known blocks of the chain, with its first and its last.
pub(super) fn project(
    index: Index,
    saved: &Saved,
    blocks: BTreeMap<u32, BlockHash>,
    tip_height: u32,
) -> Result<Vec<ChainView>, &'static str> {
    let chain = LocalChain::from_blocks(blocks).map_err(|_| "its chain has no first block")?;
    let mut graph = IndexedTxGraph::<ConfirmationBlockTime, Index>::new(index);
    let mut update = TxUpdate::default();
    for (txid, tx) in &saved.txs {
        update.txs.push(Arc::new(tx.clone()));
        match saved.anchors.get(txid) {
            Some(anchor) => update.anchors.insert((anchor.block, *txid)),
            None => update.seen_ats.insert((*txid, SEEN_AT)),
        };
    }
    // What changed is of no interest: the graph is new.
    let _ = graph.apply_update(update);
    let tip = chain.tip().block_id();
    let standing = graph.graph().list_canonical_txs(&chain, tip, CanonicalizationParams::default());
    let places = places(saved);
    let mut views = Vec::with_capacity(saved.txs.len());
    for standing in standing {
        let (txid, tx) = (standing.tx_node.txid, &standing.tx_node.tx);
        let status = match standing.chain_position {
            ChainPosition::Confirmed { transitively: None, .. } => {
                let place = places.get(&txid).ok_or("it confirms a transaction without a place")?;
                confirmed(*place, tx.is_coinbase(), tip_height)
            }
            ChainPosition::Confirmed { .. } => {
                return Err("it confirms a transaction before one that it spends from");
            }
            ChainPosition::Unconfirmed { .. } => ChainStatus::Unconfirmed { first_seen: None },
        };
        let view = view(&graph.index, txid, tx, status);
        let touches = view.inputs.iter().any(|input| input.owned_sat.is_some())
            || view.outputs.iter().any(|output| output.owned);
        if touches {
            views.push(view);
        }
    }
    views.sort_by_key(|view| view.txid);
    Ok(views)
}

/// Where a confirmed transaction stands.
#[derive(Clone, Copy)]
struct Place {
    height: u32,
    position: u32,
    time_s: u64,
}

/// The place of every confirmed transaction. Block times may run backwards by hours (a block need only be later than the
/// median of eleven); a transaction is never given a time before that of what it spends.
fn places(saved: &Saved) -> BTreeMap<Txid, Place> {
    let mut in_chain: Vec<(Txid, Place)> = Vec::with_capacity(saved.anchors.len());
    for (txid, Anchor { block, position }) in &saved.anchors {
        let (height, time_s) = (block.block_id.height, block.confirmation_time);
        in_chain.push((*txid, Place { height, position: *position, time_s }));
    }
    // In the order of the chain parents come first.
    in_chain.sort_by_key(|(_, place)| (place.height, place.position));
    let mut places: BTreeMap<Txid, Place> = BTreeMap::new();
    for (txid, mut place) in in_chain {
        let inputs = saved.txs.get(&txid).into_iter().flat_map(|tx| &tx.input);
        let parents = inputs.filter_map(|input| places.get(&input.previous_output.txid));
        place.time_s = parents.map(|parent| parent.time_s).fold(place.time_s, u64::max);
        places.insert(txid, place);
    }
    places
}

fn confirmed(place: Place, coinbase: bool, tip_height: u32) -> ChainStatus {
    let Place { height, position, time_s } = place;
    let time = Timestamp::from_secs(i64::try_from(time_s).unwrap_or(i64::MAX));
    let confirmations = tip_height.saturating_sub(height).saturating_add(1);
    if coinbase && confirmations < COINBASE_MATURITY {
        ChainStatus::Immature { height, time }
    } else {
        ChainStatus::Confirmed { height, position, time }
    }
}

fn view(index: &Index, txid: Txid, tx: &Transaction, status: ChainStatus) -> ChainView {
    let coinbase = tx.is_coinbase();
    let owned_sat = |outpoint| index.txout(outpoint).map(|(_, output)| output.value.to_sat());
    let inputs = tx.input.iter().filter(|_| !coinbase);
    let outputs = tx.output.iter().map(|output| ChainOutput {
        value_sat: output.value.to_sat(),
        owned: index.index_of_spk(output.script_pubkey.clone()).is_some(),
        script: output.script_pubkey.to_bytes(),
    });
    ChainView {
        txid: display_order(txid),
        status,
        coinbase,
        inputs: inputs.map(|input| ChainInput { owned_sat: owned_sat(input.previous_output) }).collect(),
        outputs: outputs.collect(),
    }
}

/// The bytes of a txid as its hex form shows them.
fn display_order(txid: Txid) -> TxId {
    let mut bytes = txid.to_byte_array();
    bytes.reverse();
    TxId(bytes)
}
