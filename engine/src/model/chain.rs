//! [`ChainView`]: one wallet's view of an on-chain transaction.

use serde::{Deserialize, Serialize};

use crate::id::TxId;
use crate::time::Timestamp;

/// What one connection knows of a transaction that touches its scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainView {
    /// Which transaction.
    pub txid: TxId,
    /// Where it stands.
    pub status: ChainStatus,
    /// Whether it creates coins.
    pub coinbase: bool,
    /// Every input, in order (none for a coinbase).
    pub inputs: Vec<ChainInput>,
    /// Every output, in order.
    pub outputs: Vec<ChainOutput>,
}

/// Confirmation status of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainStatus {
    /// In the mempool: pending, never booked.
    Unconfirmed {
        /// When it was first seen, if the source says.
        first_seen: Option<Timestamp>,
    },
    /// A coinbase that may not be spent yet (fewer than 101 confirmations): pending.
    Immature {
        /// Height of its block.
        height: u32,
        /// Time of its block.
        time: Timestamp,
    },
    /// In a block of the best chain.
    Confirmed {
        /// Height of its block.
        height: u32,
        /// Its place in the block: what it spends stands before it.
        position: u32,
        /// Time of its block; never before the time of what it spends, though block times may run backwards.
        time: Timestamp,
    },
}

/// One input of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainInput {
    /// Value in satoshis when this connection owns the coin spent.
    pub owned_sat: Option<u64>,
}

/// One output of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainOutput {
    /// Value in satoshis.
    pub value_sat: u64,
    /// Whether this connection owns it.
    pub owned: bool,
    /// Its script.
    pub script: Vec<u8>,
}
