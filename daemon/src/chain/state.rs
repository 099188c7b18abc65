//! [`Saved`]: what one sync remembers for the next, and its bytes.
//!
//! A cache and nothing more: every sync asks the server for the histories of all scripts again, so what is not listed
//! any more disappears by itself. Invariants: ordered containers only, no clock: the same chain gives the same bytes.

use std::collections::BTreeMap;

use bdk_chain::{BlockId, ConfirmationBlockTime};
use bitcoin::{BlockHash, Transaction, Txid};
use serde::{Deserialize, Serialize};

use super::network::Network;
use super::wallet::WalletSpec;

/// Version of the byte form.
const VERSION: u8 = 2;

/// The proven place of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    /// Its block.
    pub(super) block: ConfirmationBlockTime,
    /// Its place in the block.
    pub(super) position: u32,
}

/// What is remembered of a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    wallet: [u8; 32],
    genesis: BlockHash,
    /// The best block of the last sync.
    pub(super) tip: Option<BlockId>,
    /// One past the last used index of each keychain.
    pub(super) used_ends: Vec<u32>,
    /// Every transaction of the wallet.
    pub(super) txs: BTreeMap<Txid, Transaction>,
    /// The proven place of every confirmed one.
    pub(super) anchors: BTreeMap<Txid, Anchor>,
}

impl Saved {
    /// Nothing known yet.
    pub(super) fn new(spec: &WalletSpec, network: Network) -> Self {
        Saved {
            wallet: spec.fingerprint(),
            genesis: network.genesis(),
            tip: None,
            used_ends: vec![0; spec.keychains() as usize],
            txs: BTreeMap::new(),
            anchors: BTreeMap::new(),
        }
    }

    /// Reads what [`Saved::to_bytes`] wrote; `None` if it is of another version, wallet or chain, or unreadable.
    pub(super) fn from_bytes(bytes: &[u8], spec: &WalletSpec, network: Network) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (saved, rest) = (*version == VERSION).then(|| postcard::take_from_bytes::<Saved>(rest))?.ok()?;
        let same = saved.wallet == spec.fingerprint()
            && saved.genesis == network.genesis()
            && saved.used_ends.len() == spec.keychains() as usize;
        let whole = rest.is_empty() && saved.txs.iter().all(|(txid, tx)| tx.compute_txid() == *txid);
        (same && whole).then_some(saved)
    }

    /// The byte form: a version byte and postcard.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_extend(self, vec![VERSION]).ok()
    }
}
