//! Reads on-chain wallets from a chain source and delivers plain views of their transactions to the engine.
//!
//! Owns: what a wallet watches ([`WalletSpec`]), where it is read ([`ElectrumSource`]) and the reading itself
//! ([`sync_wallet`]). Invariants: a sync delivers the complete set of views or an error, never a part; the same chain
//! gives the same bytes; nothing a server sends can panic, grow without bound or wait without end. Everything here
//! blocks: callers run it on a blocking pool. It refuses to hold private keys, to sign, to broadcast and to store.

mod dial;
mod electrum;
mod error;
mod network;
mod source;
mod state;
mod sync;
mod views;
mod wallet;

pub use error::{ChainError, SpecError};
pub use network::Network;
pub use source::{ElectrumSource, Limits, SourceReport};
pub use sync::{SyncProgress, SyncStage, SyncedWallet, sync_wallet};
pub use wallet::WalletSpec;
