//! What can go wrong: [`SpecError`] for what a user typed, [`ChainError`] for what a server did.
//!
//! Every message names the field or the server and says what to do. No message ever repeats a descriptor or key.

/// Input that cannot be used; the API answers it with 422.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SpecError {
    /// The field of the request, e.g. `descriptor`.
    pub field: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl SpecError {
    pub(super) fn new(field: &'static str, message: impl Into<String>) -> Self {
        SpecError { field, message: message.into() }
    }
}

/// Why a chain source could not be read. Nothing of the wallet changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No connection, or it broke.
    #[error("{server} cannot be reached: {detail}; check the address and that the server runs")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// What the operating system or the peer said.
        detail: String,
    },
    /// The proxy in front of the server failed.
    #[error(
        "{server} cannot be reached through the proxy {proxy}: {detail}; check tor_proxy and that Tor runs"
    )]
    Proxy {
        /// The server's URL.
        server: String,
        /// The proxy's address.
        proxy: String,
        /// What went wrong.
        detail: String,
    },
    /// The server let us wait too long.
    #[error("{server} did not answer within {after_ms} ms while {doing}; try again or choose another server")]
    Timeout {
        /// The server's URL.
        server: String,
        /// How long was waited, in milliseconds.
        after_ms: u64,
        /// What was being done.
        doing: &'static str,
    },
    /// No trusted encrypted connection.
    #[error(
        "{server} offers no trusted TLS connection: {detail}; install its certificate among the system's roots, or use tcp:// inside your own network"
    )]
    Tls {
        /// The server's URL.
        server: String,
        /// What the TLS library said.
        detail: String,
    },
    /// An answer that does not follow the protocol or contradicts itself.
    #[error("{server} gave an unusable answer: {detail}; try again or choose another server")]
    Protocol {
        /// The server's URL.
        server: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The server answered with an error of its own.
    #[error("{server} refused {method}: {detail}")]
    Refused {
        /// The server's URL.
        server: String,
        /// The method it refused.
        method: &'static str,
        /// Its own words, shortened.
        detail: String,
    },
    /// More data than a wallet can need.
    #[error("{server} sent more than {limit_bytes} bytes in {what}; choose another server")]
    TooLarge {
        /// The server's URL.
        server: String,
        /// The limit that was passed, in bytes.
        limit_bytes: u64,
        /// What was too large: one answer or one sync.
        what: &'static str,
    },
    /// The server follows another chain than the wallet.
    #[error("{server} is on {found}, the wallet is on {expected}; choose a server of the wallet's network")]
    WrongNetwork {
        /// The server's URL.
        server: String,
        /// The wallet's network.
        expected: String,
        /// The server's network.
        found: String,
    },
    /// The server could not prove that a transaction is in the block it named.
    #[error("{server} gave a false proof that {txid} is in block {height}; do not trust this server")]
    BadProof {
        /// The server's URL.
        server: String,
        /// The transaction.
        txid: String,
        /// The block's height.
        height: u32,
    },
    /// The chain kept changing while it was read.
    #[error("the chain changed {rounds} times while {server} was read; try again")]
    ChainMoved {
        /// The server's URL.
        server: String,
        /// How many times reading was started.
        rounds: u32,
    },
    /// The caller cancelled.
    #[error("the sync was cancelled")]
    Cancelled,
}

impl ChainError {
    /// The stable code of this error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            ChainError::Unreachable { .. } => "unreachable",
            ChainError::Proxy { .. } => "proxy",
            ChainError::Timeout { .. } => "timeout",
            ChainError::Tls { .. } => "tls",
            ChainError::Protocol { .. } => "protocol",
            ChainError::Refused { .. } => "refused",
            ChainError::TooLarge { .. } => "too_large",
            ChainError::WrongNetwork { .. } => "wrong_network",
            ChainError::BadProof { .. } => "bad_proof",
            ChainError::ChainMoved { .. } => "chain_moved",
            ChainError::Cancelled => "cancelled",
        }
    }
}
