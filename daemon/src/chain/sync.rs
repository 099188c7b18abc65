//! [`sync_wallet`]: reads one wallet whole from one server.
//!
//! Every sync asks for the histories of all scripts up to the gap limit and fetches only transactions and proofs it
//! does not know yet, so what was replaced, evicted or reorganised away disappears because it is not listed any more.
//! Invariants: a confirmed transaction is proven by a Merkle path into a header that carries its work; the result
//! belongs to one chain tip (if the chain moves meanwhile, reading starts over with what is known). It refuses partial
//! results.

use std::collections::{BTreeMap, BTreeSet};

use bdk_chain::spk_txout::SpkTxOutIndex;
use bdk_chain::{BlockId, ConfirmationBlockTime};
use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use bitcoin::{BlockHash, Txid};
use electrum_client::utils::validate_merkle_proof;
use nacre_engine::model::ChainView;

use super::electrum::{Client, Tip};
use super::error::ChainError;
use super::network::Network;
use super::source::ElectrumSource;
use super::state::Anchor;
use super::state::Saved;
use super::views::{self, ScriptKey};
use super::wallet::WalletSpec;

/// Scripts, proofs or headers asked for at once.
const BATCH: usize = 50;
/// Transactions asked for at once; a transaction may be 8 MB as hex.
const BATCH_TXS: usize = 20;
/// Headers below the tip that must connect to it.
const SUFFIX: u32 = 10;
/// How often reading starts over when the chain moves.
const ROUNDS: u32 = 4;

/// What a sync is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStage {
    /// Asking which transactions touch the wallet's scripts.
    Scripts,
    /// Fetching transactions.
    Transactions,
    /// Fetching and checking proofs of confirmation.
    Proofs,
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncProgress {
    /// What is being done.
    pub stage: SyncStage,
    /// How many scripts, transactions or proofs are done.
    pub done: u64,
    /// How many there are; for scripts, how many are known to be needed so far.
    pub total: u64,
}

/// A wallet as one server sees it at one chain tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedWallet {
    /// Every transaction of the wallet, ordered by id.
    pub views: Vec<ChainView>,
    /// What the next sync may start from; the same bytes when neither the wallet nor the chain changed.
    pub state: Vec<u8>,
    /// Height of the best block.
    pub tip_height: u32,
    /// The server's network.
    pub network: Network,
}

/// Reads the whole wallet.
///
/// `previous_state` is the `state` of an earlier sync; it only saves work, and is ignored if it belongs to another
/// wallet or chain, or with `force_full`. `network` is the one the caller expects, if the wallet itself names none.
///
/// # Errors
/// A [`ChainError`]; then nothing of the wallet is known to have changed.
pub fn sync_wallet(
    spec: &WalletSpec,
    source: &ElectrumSource,
    previous_state: Option<&[u8]>,
    force_full: bool,
    network: Option<Network>,
    progress: &dyn Fn(SyncProgress),
    cancelled: &dyn Fn() -> bool,
) -> Result<SyncedWallet, ChainError> {
    let mut client = source.connect(cancelled)?;
    let found = client.network()?;
    if !spec.fits(found) {
        return Err(client.wrong_network(spec.network_words(), found.name()));
    }
    if let Some(expected) = network.filter(|expected| *expected != found) {
        return Err(client.wrong_network(expected.name(), found.name()));
    }
    let saved = previous_state.filter(|_| !force_full);
    let saved = saved.and_then(|bytes| Saved::from_bytes(bytes, spec, found));
    let saved = saved.unwrap_or_else(|| Saved::new(spec, found));
    let secp = Secp256k1::verification_only();
    Reader { spec, client: &mut client, network: found, saved, progress, secp }.read()
}

/// What the server lists for the wallet's scripts.
struct Listed {
    /// Every script that was looked at.
    index: SpkTxOutIndex<ScriptKey>,
    /// The height of each transaction; 0 while unconfirmed.
    heights: BTreeMap<Txid, u32>,
}

struct Reader<'r, 'c> {
    spec: &'r WalletSpec,
    client: &'r mut Client<'c>,
    network: Network,
    saved: Saved,
    progress: &'r dyn Fn(SyncProgress),
    secp: Secp256k1<VerifyOnly>,
}

impl Reader<'_, '_> {
    /// Reads until a whole reading belongs to one chain tip.
    fn read(mut self) -> Result<SyncedWallet, ChainError> {
        for round in 1..=ROUNDS {
            let tip = self.client.tip()?;
            let outcome = self.round(tip);
            let racy = match &outcome {
                Ok(_) => false,
                // A transaction may leave the mempool between its listing and its fetching.
                Err(ChainError::Refused { method, .. }) => *method == "blockchain.transaction.get",
                Err(ChainError::Protocol { .. } | ChainError::BadProof { .. }) => false,
                Err(_) => return outcome,
            };
            match self.client.tip() {
                Ok(now) if now == tip && !(racy && round < ROUNDS) => return outcome,
                Ok(_) => {}
                Err(error) => return outcome.and(Err(error)),
            }
        }
        Err(ChainError::ChainMoved { server: self.client.server().to_owned(), rounds: ROUNDS })
    }

    fn round(&mut self, tip: Tip) -> Result<SyncedWallet, ChainError> {
        let mut blocks = self.recent_blocks(tip)?;
        self.forget_reorganised(tip)?;
        // From here on proofs are of this tip's chain; if reading starts over, they are held against it.
        self.saved.tip = Some(BlockId { height: tip.height, hash: tip.header.block_hash() });
        let Listed { index, heights } = self.list()?;
        self.fetch(&heights)?;
        self.prove(&heights, tip)?;
        for anchor in self.saved.anchors.values() {
            let BlockId { height, hash } = anchor.block.block_id;
            if *blocks.entry(height).or_insert(hash) != hash {
                return Err(self.client.bad_answer("its block headers contradict each other"));
            }
        }
        blocks.insert(0, self.network.genesis());
        let views = views::project(index, &self.saved, blocks, tip.height)
            .map_err(|detail| self.client.bad_answer(detail))?;
        let state =
            self.saved.to_bytes().ok_or_else(|| self.client.bad_answer("the wallet cannot be remembered"))?;
        Ok(SyncedWallet { views, state, tip_height: tip.height, network: self.network })
    }

    /// The blocks up to the tip, each the parent of the next.
    fn recent_blocks(&mut self, tip: Tip) -> Result<BTreeMap<u32, BlockHash>, ChainError> {
        let heights: Vec<u32> = (tip.height.saturating_sub(SUFFIX - 1)..=tip.height).collect();
        let headers = self.client.headers(&heights)?;
        let connected =
            headers.windows(2).all(|pair| matches!(pair, [a, b] if b.prev_blockhash == a.block_hash()));
        if !connected || headers.last() != Some(&tip.header) {
            return Err(self.client.bad_answer("its block headers do not connect"));
        }
        Ok(heights.into_iter().zip(headers.iter().map(|header| header.block_hash())).collect())
    }

    /// Drops the proofs of blocks that are not in the chain any more.
    fn forget_reorganised(&mut self, tip: Tip) -> Result<(), ChainError> {
        let Some(known) = self.saved.tip else { return Ok(()) };
        if known.height <= tip.height && self.hashes(&[known.height])?.first() == Some(&known.hash) {
            return Ok(());
        }
        let heights = self.saved.anchors.values().map(|anchor| anchor.block.block_id.height);
        let heights: BTreeSet<u32> = heights.filter(|height| *height <= tip.height).collect();
        let heights: Vec<u32> = heights.into_iter().collect();
        let hashes: BTreeMap<u32, BlockHash> = heights.iter().copied().zip(self.hashes(&heights)?).collect();
        self.saved.anchors.retain(|_, anchor| {
            let BlockId { height, hash } = anchor.block.block_id;
            hashes.get(&height).is_some_and(|known| *known == hash)
        });
        Ok(())
    }

    fn hashes(&mut self, heights: &[u32]) -> Result<Vec<BlockHash>, ChainError> {
        let mut hashes = Vec::with_capacity(heights.len());
        for part in heights.chunks(BATCH) {
            hashes.extend(self.client.headers(part)?.iter().map(|header| header.block_hash()));
        }
        Ok(hashes)
    }

    /// Asks for the history of every script until the gap limit is reached on every keychain.
    fn list(&mut self) -> Result<Listed, ChainError> {
        let mut listed = Listed { index: SpkTxOutIndex::default(), heights: BTreeMap::new() };
        let mut asked = 0;
        for keychain in 0..self.spec.keychains() {
            let mut used_end = self.saved.used_ends.get(keychain as usize).copied().unwrap_or(0);
            let mut next = 0;
            loop {
                let until = self.spec.look_until(keychain, used_end);
                if next >= until {
                    break;
                }
                let end = until.min(next.saturating_add(BATCH as u32));
                if let Some(used) = self.list_part(&mut listed, keychain, next..end)? {
                    used_end = used_end.max(used.saturating_add(1));
                }
                asked += u64::from(end - next);
                next = end;
                let left = self.spec.look_until(keychain, used_end).saturating_sub(next);
                self.report(SyncStage::Scripts, asked, asked + u64::from(left));
            }
            if let Some(saved) = self.saved.used_ends.get_mut(keychain as usize) {
                *saved = used_end;
            }
        }
        Ok(listed)
    }

    /// Asks for some scripts of a keychain and returns the last used index among them.
    fn list_part(
        &mut self,
        listed: &mut Listed,
        keychain: u32,
        range: std::ops::Range<u32>,
    ) -> Result<Option<u32>, ChainError> {
        let mut scripts = Vec::with_capacity(range.len());
        for index in range {
            let Some(script) = self.spec.script(&self.secp, keychain, index) else { continue };
            listed.index.insert_spk((keychain, index), script.clone());
            scripts.push((index, script));
        }
        let histories = self.client.histories(scripts.iter().map(|(_, script)| script.as_script()))?;
        let mut used = None;
        for ((index, _), history) in scripts.iter().zip(histories) {
            used = if history.is_empty() { used } else { Some(*index) };
            for entry in history {
                // 0 and -1 mean unconfirmed. The highest wins if a block came between two answers.
                let height = u32::try_from(entry.height).unwrap_or(0);
                let known = listed.heights.entry(entry.tx_hash).or_insert(0);
                *known = height.max(*known);
            }
        }
        Ok(used)
    }

    /// Fetches what is listed and not known, and forgets what is not listed any more.
    fn fetch(&mut self, heights: &BTreeMap<Txid, u32>) -> Result<(), ChainError> {
        self.saved.txs.retain(|txid, _| heights.contains_key(txid));
        let missing: Vec<Txid> =
            heights.keys().filter(|txid| !self.saved.txs.contains_key(*txid)).copied().collect();
        let mut done = 0;
        for part in missing.chunks(BATCH_TXS) {
            let transactions = self.client.transactions(part)?;
            self.saved.txs.extend(part.iter().copied().zip(transactions));
            done += part.len() as u64;
            self.report(SyncStage::Transactions, done, missing.len() as u64);
        }
        Ok(())
    }

    /// Fetches and checks the proofs that are missing.
    fn prove(&mut self, heights: &BTreeMap<Txid, u32>, tip: Tip) -> Result<(), ChainError> {
        if heights.values().any(|height| *height > tip.height) {
            return Err(self.client.bad_answer("it lists a transaction above its best block"));
        }
        let anchors = &mut self.saved.anchors;
        anchors.retain(|txid, anchor| heights.get(txid) == Some(&anchor.block.block_id.height));
        let missing = heights.iter().filter(|(txid, height)| **height > 0 && !anchors.contains_key(*txid));
        let mut missing: Vec<(Txid, u32)> = missing.map(|(txid, height)| (*txid, *height)).collect();
        missing.sort_by_key(|(_, height)| *height);
        let mut done = 0;
        for part in missing.chunks(BATCH) {
            self.prove_part(part)?;
            done += part.len() as u64;
            self.report(SyncStage::Proofs, done, missing.len() as u64);
        }
        Ok(())
    }

    fn prove_part(&mut self, part: &[(Txid, u32)]) -> Result<(), ChainError> {
        let mut heights: Vec<u32> = part.iter().map(|(_, height)| *height).collect();
        heights.dedup();
        let headers = self.client.headers(&heights)?;
        let headers: BTreeMap<u32, _> = heights.into_iter().zip(headers).collect();
        let proofs = self.client.proofs(part)?;
        for ((txid, height), proof) in part.iter().zip(proofs) {
            let header = headers.get(height).filter(|header| {
                // A position beyond the tree would let an inner node pass as another leaf.
                let in_tree = proof.merkle.len() < 32 && proof.pos >> proof.merkle.len() == 0;
                in_tree && validate_merkle_proof(txid, &header.merkle_root, &proof)
            });
            let Some(header) = header else {
                let (server, txid) = (self.client.server().to_owned(), txid.to_string());
                return Err(ChainError::BadProof { server, txid, height: *height });
            };
            let block_id = BlockId { height: *height, hash: header.block_hash() };
            let block = ConfirmationBlockTime { block_id, confirmation_time: u64::from(header.time) };
            let position = u32::try_from(proof.pos).unwrap_or(u32::MAX);
            self.saved.anchors.insert(*txid, Anchor { block, position });
        }
        Ok(())
    }

    fn report(&self, stage: SyncStage, done: u64, total: u64) {
        (self.progress)(SyncProgress { stage, done, total });
    }
}
