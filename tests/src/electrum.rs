//! A raw Electrum protocol client: one JSON object per line over TCP.
//!
//! For checking what the server itself says, beside the product's own client. Skips notifications; refuses TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Address, Network, Script, block::Header, consensus::encode::deserialize_hex};
use serde_json::{Value, json};

use crate::error::{HarnessError, Result};

const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection to an Electrum server.
#[derive(Debug)]
pub struct ElectrumClient {
    stream: BufReader<TcpStream>,
    last_id: u64,
}

/// The server's best block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// Its hash as bitcoind prints it.
    pub hash: String,
}

/// One transaction in the history of a script: its id, and its height (0 or -1 while unconfirmed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The transaction.
    pub txid: String,
    /// The height of its block, or 0, or -1 when a parent is unconfirmed too.
    pub height: i64,
}

impl ElectrumClient {
    /// Connects on loopback and agrees on a protocol version.
    ///
    /// # Errors
    /// When nobody listens or the server refuses.
    pub fn connect(port: u16) -> Result<Self> {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).map_err(HarnessError::io("connect to Electrum"))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(HarnessError::io("set a time limit"))?;
        let mut client = Self { stream: BufReader::new(stream), last_id: 0 };
        client.call("server.version", json!(["nacre-tests", "1.4"]))?;
        Ok(client)
    }

    /// One call; the `result`.
    ///
    /// # Errors
    /// When the server refuses, hangs up or sends no JSON.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params });
        let sent = self.stream.get_mut().write_all(format!("{request}\n").as_bytes());
        sent.map_err(HarnessError::io(format!("send {method}")))?;
        loop {
            let mut answer = self.read_line(method)?;
            if answer["id"] != self.last_id {
                continue;
            }
            if !answer["error"].is_null() {
                return Err(HarnessError::Rpc {
                    method: method.into(),
                    code: answer["error"]["code"].as_i64().unwrap_or_default(),
                    message: answer["error"]["message"].as_str().unwrap_or_default().into(),
                });
            }
            return Ok(answer["result"].take());
        }
    }

    fn read_line(&mut self, method: &str) -> Result<Value> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).map_err(HarnessError::io(format!("read {method}")))?;
        if read == 0 {
            return Err(HarnessError::Failed(format!("{method}: the Electrum server hung up")));
        }
        serde_json::from_str(&line)
            .map_err(HarnessError::json(format!("decode the answer to {method}"), &line))
    }

    /// The best block the server has.
    ///
    /// # Errors
    /// As for [`Self::call`], or when the header is malformed.
    pub fn tip(&mut self) -> Result<Tip> {
        let answer = self.call("blockchain.headers.subscribe", json!([]))?;
        let header = answer["hex"].as_str().and_then(|hex| deserialize_hex::<Header>(hex).ok());
        match (header, answer["height"].as_u64()) {
            (Some(header), Some(height)) => Ok(Tip { height, hash: header.block_hash().to_string() }),
            _ => Err(HarnessError::Failed(format!("no block header in {answer}"))),
        }
    }

    /// Every transaction that touches `address`, oldest first, unconfirmed last.
    ///
    /// # Errors
    /// When the address is not one of regtest, or as for [`Self::call`].
    pub fn history(&mut self, address: &str) -> Result<Vec<HistoryItem>> {
        let answer =
            self.call("blockchain.scripthash.get_history", json!([address_script_hash(address)?]))?;
        let item = |row: &Value| {
            Some(HistoryItem { txid: row["tx_hash"].as_str()?.into(), height: row["height"].as_i64()? })
        };
        let items = answer.as_array().and_then(|rows| rows.iter().map(item).collect());
        items.ok_or_else(|| HarnessError::Failed(format!("no history in {answer}")))
    }

    /// Confirmed and unconfirmed balance of `address` in satoshis.
    ///
    /// # Errors
    /// As for [`Self::history`].
    pub fn balance(&mut self, address: &str) -> Result<(i64, i64)> {
        let answer =
            self.call("blockchain.scripthash.get_balance", json!([address_script_hash(address)?]))?;
        match (answer["confirmed"].as_i64(), answer["unconfirmed"].as_i64()) {
            (Some(confirmed), Some(unconfirmed)) => Ok((confirmed, unconfirmed)),
            _ => Err(HarnessError::Failed(format!("no balance in {answer}"))),
        }
    }
}

/// The name of a script in the Electrum protocol: its SHA-256, byte order reversed, in hex.
pub fn script_hash(script: &Script) -> String {
    let mut bytes = sha256::Hash::hash(script.as_bytes()).to_byte_array();
    bytes.reverse();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// [`script_hash`] of a regtest address.
///
/// # Errors
/// When the text is no regtest address.
pub fn address_script_hash(address: &str) -> Result<String> {
    let parsed = address.parse::<Address<_>>().ok().and_then(|a| a.require_network(Network::Regtest).ok());
    let parsed = parsed.ok_or_else(|| HarnessError::Failed(format!("`{address}` is no regtest address")))?;
    Ok(script_hash(&parsed.script_pubkey()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn script_hash_is_that_of_the_protocol_documentation() {
        // Electrum protocol, "Script Hashes": the address of the genesis block's coinbase.
        let genesis: Address<_> = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa".parse().unwrap();
        let script = genesis.assume_checked().script_pubkey();
        assert_eq!(script_hash(&script), "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161");
    }

    #[test]
    fn an_address_of_another_network_is_refused() {
        assert!(address_script_hash("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa").is_err());
    }
}
