//! [`Network`]: which Bitcoin chain, by name and by genesis block.
//!
//! Knows the names users type. Refuses to guess: a name it does not know is an error.

use bitcoin::{BlockHash, NetworkKind, constants::genesis_block};

use super::error::SpecError;

/// A Bitcoin chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(bitcoin::Network);

/// Every chain that can be read.
const ALL: [Network; 5] = [
    Network::MAINNET,
    Network(bitcoin::Network::Testnet),
    Network(bitcoin::Network::Testnet4),
    Network(bitcoin::Network::Signet),
    Network::REGTEST,
];

impl Network {
    /// The chain with money on it.
    pub const MAINNET: Network = Network(bitcoin::Network::Bitcoin);
    /// A private chain for tests.
    pub const REGTEST: Network = Network(bitcoin::Network::Regtest);

    /// Reads a name: `mainnet` (`bitcoin`, `main`), `testnet` (`testnet3`, `test`), `testnet4`, `signet`, `regtest`,
    /// in any letter case.
    ///
    /// # Errors
    /// A [`SpecError`] for the field `network`.
    pub fn parse(name: &str) -> Result<Self, SpecError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "mainnet" | "bitcoin" | "main" => Ok(Network::MAINNET),
            "testnet" | "testnet3" | "test" => Ok(Network(bitcoin::Network::Testnet)),
            "testnet4" => Ok(Network(bitcoin::Network::Testnet4)),
            "signet" => Ok(Network(bitcoin::Network::Signet)),
            "regtest" => Ok(Network::REGTEST),
            _ => Err(SpecError::new(
                "network",
                "is not a known network; use mainnet, testnet, testnet4, signet or regtest",
            )),
        }
    }

    /// The name of the chain, as the API writes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            bitcoin::Network::Bitcoin => "mainnet",
            bitcoin::Network::Testnet => "testnet",
            bitcoin::Network::Testnet4 => "testnet4",
            bitcoin::Network::Signet => "signet",
            _ => "regtest",
        }
    }

    /// The chain that starts with this block.
    pub(super) fn of_genesis(hash: BlockHash) -> Option<Self> {
        ALL.into_iter().find(|network| network.genesis() == hash)
    }

    /// The hash of its first block.
    pub(super) fn genesis(self) -> BlockHash {
        genesis_block(self.0).block_hash()
    }

    /// Whether its keys are written `xpub` or `tpub`.
    pub(super) fn kind(self) -> NetworkKind {
        NetworkKind::from(self.0)
    }

    /// The chain as rust-bitcoin names it.
    pub(super) fn bitcoin(self) -> bitcoin::Network {
        self.0
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_network_is_found_by_its_name_and_by_its_genesis() {
        for network in ALL {
            assert_eq!(Network::parse(network.name()).unwrap(), network);
            assert_eq!(Network::of_genesis(network.genesis()), Some(network));
        }
        assert_eq!(Network::parse(" Bitcoin ").unwrap(), Network::MAINNET);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = Network::parse("dogecoin").unwrap_err();
        assert_eq!(error.field, "network");
    }
}
