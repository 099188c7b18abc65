//! [`Client`]: the Electrum protocol (1.4 to 1.6) over a byte stream, written for servers that are not trusted.
//!
//! Speaks newline-delimited JSON-RPC itself: the published client panics on some malformed answers and reads lines
//! without bound. Invariants: every wait ends at a timeout, at the deadline or when cancelled; every answer is bounded;
//! every transaction has the id that was asked for and every header carries its work. It refuses to guess: an answer
//! that was not asked for ends the connection's use.

use std::collections::HashMap;
use std::time::Instant;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, Script, Transaction, Txid};
use electrum_client::{GetHistoryRes, GetMerkleRes};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::dial::{Wire, waits};
use super::error::ChainError;
use super::network::Network;
use super::source::Limits;

/// Oldest and newest protocol version that is understood.
const PROTOCOL_VERSIONS: [&str; 2] = ["1.4", "1.6"];
/// Bytes asked of the stream at a time.
const CHUNK: usize = 64 << 10;
/// Longest text of a server that is repeated, in characters.
const QUOTE_MAX: usize = 100;
/// Highest block height that is believed; far above any chain, far below overflow.
const HEIGHT_MAX: u32 = 100_000_000;

/// The best block of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) height: u32,
    pub(super) header: Header,
}

/// The id of a request and what the server said to it: a result or a refusal.
type Numbered<T> = (u64, Result<T, ChainError>);

/// One connection to one server.
pub(super) struct Client<'a> {
    wire: Box<dyn Wire>,
    server: String,
    limits: Limits,
    cancelled: &'a dyn Fn() -> bool,
    deadline: Instant,
    buffer: Vec<u8>,
    searched: usize,
    received: u64,
    next_id: u64,
    software: String,
    protocol: String,
    network: Option<Network>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Value>,
    method: Option<String>,
}

#[derive(Deserialize)]
struct TipAnswer {
    height: u32,
    hex: String,
}

impl<'a> Client<'a> {
    /// Agrees with the server on a protocol version.
    pub(super) fn greet(
        wire: Box<dyn Wire>,
        server: String,
        limits: Limits,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Self, ChainError> {
        let mut client = Client {
            wire,
            server,
            limits,
            cancelled,
            deadline: Instant::now() + limits.whole(),
            buffer: Vec::new(),
            searched: 0,
            received: 0,
            next_id: 0,
            software: String::new(),
            protocol: String::new(),
            network: None,
        };
        let (software, protocol): (String, String) =
            client.call("server.version", json!(["nacre", PROTOCOL_VERSIONS]))?;
        client.software = quoted(&software);
        client.protocol = quoted(&protocol);
        Ok(client)
    }

    /// The server's URL.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The server's software, in its own words.
    pub(super) fn software(&self) -> &str {
        &self.software
    }

    /// The protocol version agreed on.
    pub(super) fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The chain the server follows, by the hash of its first block.
    pub(super) fn network(&mut self) -> Result<Network, ChainError> {
        let header = self.headers(&[0])?.remove(0);
        let hash = header.block_hash();
        let Some(network) = Network::of_genesis(hash) else {
            return Err(self.wrong_network("a Bitcoin network", &format!("a chain that starts with {hash}")));
        };
        self.network = Some(network);
        Ok(network)
    }

    /// The best block.
    pub(super) fn tip(&mut self) -> Result<Tip, ChainError> {
        let answer: TipAnswer = self.call("blockchain.headers.subscribe", json!([]))?;
        if answer.height > HEIGHT_MAX {
            return Err(self.bad_answer("its best block has an impossible height"));
        }
        Ok(Tip { height: answer.height, header: self.header(&answer.hex)? })
    }

    /// The headers at these heights, in order.
    pub(super) fn headers(&mut self, heights: &[u32]) -> Result<Vec<Header>, ChainError> {
        let params = heights.iter().map(|height| json!([height])).collect();
        let answers: Vec<String> = self.batch("blockchain.block.header", params)?;
        answers.iter().map(|hex| self.header(hex)).collect()
    }

    /// The transactions that touch each script.
    pub(super) fn histories<'s>(
        &mut self,
        scripts: impl Iterator<Item = &'s Script>,
    ) -> Result<Vec<Vec<GetHistoryRes>>, ChainError> {
        let params = scripts.map(|script| json!([script_hash(script)])).collect();
        self.batch("blockchain.scripthash.get_history", params)
    }

    /// The transactions with these ids, in order.
    pub(super) fn transactions(&mut self, txids: &[Txid]) -> Result<Vec<Transaction>, ChainError> {
        let params = txids.iter().map(|txid| json!([txid])).collect();
        let answers: Vec<String> = self.batch("blockchain.transaction.get", params)?;
        let mut transactions = Vec::with_capacity(answers.len());
        for (txid, hex) in txids.iter().zip(&answers) {
            let tx: Transaction =
                deserialize_hex(hex).map_err(|_| self.bad_answer(&format!("{txid} is no transaction")))?;
            if tx.compute_txid() != *txid {
                return Err(self.bad_answer(&format!("it sent another transaction for {txid}")));
            }
            let total = tx.output.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
            if total.is_none_or(|total| total > Amount::MAX_MONEY) {
                return Err(self.bad_answer(&format!("{txid} creates more coins than exist")));
            }
            transactions.push(tx);
        }
        Ok(transactions)
    }

    /// The proofs that transactions are in the blocks at these heights, in order.
    pub(super) fn proofs(&mut self, places: &[(Txid, u32)]) -> Result<Vec<GetMerkleRes>, ChainError> {
        let params = places.iter().map(|(txid, height)| json!([txid, height])).collect();
        self.batch("blockchain.transaction.get_merkle", params)
    }

    /// An error for an answer that cannot be right.
    pub(super) fn bad_answer(&self, detail: &str) -> ChainError {
        ChainError::Protocol { server: self.server.clone(), detail: detail.to_owned() }
    }

    /// An error for a server of another chain.
    pub(super) fn wrong_network(&self, expected: &str, found: &str) -> ChainError {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        ChainError::WrongNetwork { server: self.server.clone(), expected, found }
    }

    /// Reads a header and checks its work, as far as a header alone can show.
    fn header(&self, hex: &str) -> Result<Header, ChainError> {
        let header: Header =
            deserialize_hex(hex).map_err(|_| self.bad_answer("it sent a malformed block header"))?;
        let limit = self.network.map(|network| network.bitcoin().params().max_attainable_target);
        let easy = limit.is_some_and(|limit| header.target() > limit);
        if easy || header.validate_pow(header.target()).is_err() {
            return Err(self.bad_answer("it sent a block header without the work it claims"));
        }
        Ok(header)
    }

    fn call<T: DeserializeOwned>(&mut self, method: &'static str, params: Value) -> Result<T, ChainError> {
        Ok(self.batch(method, vec![params])?.remove(0))
    }

    /// Sends one request per entry of `params` and returns as many answers in the same order.
    fn batch<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        params: Vec<Value>,
    ) -> Result<Vec<T>, ChainError> {
        let mut places = HashMap::with_capacity(params.len());
        let mut request = String::new();
        for (place, params) in params.into_iter().enumerate() {
            let call = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
            request.push_str(&format!("{call}\n"));
            places.insert(self.next_id, place);
            self.next_id += 1;
        }
        self.send(request.as_bytes())?;
        let mut answers: Vec<Option<T>> = (0..places.len()).map(|_| None).collect();
        let mut refusal = None;
        while !places.is_empty() {
            let line = self.line()?;
            let Some((id, result)) = self.answer(method, &line)? else { continue };
            let place =
                places.remove(&id).ok_or_else(|| self.bad_answer("it answered what was not asked"))?;
            match result {
                Ok(value) => answers[place] = Some(value),
                // Read on, so that the connection stays usable.
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match refusal {
            Some(error) => Err(error),
            None => Ok(answers.into_iter().flatten().collect()),
        }
    }

    /// Reads a line as the answer to a request, which may be a refusal; `None` for a notification.
    fn answer<T: DeserializeOwned>(
        &self,
        method: &'static str,
        line: &[u8],
    ) -> Result<Option<Numbered<T>>, ChainError> {
        let answer: Answer<'_> = serde_json::from_slice(line)
            .map_err(|_| self.bad_answer("it does not speak the Electrum protocol (no JSON-RPC answer)"))?;
        let refused = answer.error.map(|error| {
            let words =
                error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
            ChainError::Refused { server: self.server.clone(), method, detail: quoted(&words) }
        });
        match (answer.id, refused) {
            (Some(id), Some(refused)) => Ok(Some((id, Err(refused)))),
            (None, Some(refused)) => Err(refused),
            (None, None) if answer.method.is_some() => Ok(None),
            (None, None) => Err(self.bad_answer("it sent an answer without an id")),
            (Some(id), None) => match serde_json::from_str(answer.result.map_or("null", RawValue::get)) {
                Ok(value) => Ok(Some((id, Ok(value)))),
                Err(_) => Err(self.bad_answer(&format!("its answer to {method} has an unexpected form"))),
            },
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), ChainError> {
        self.watch()?;
        let sent = self.wire.write_all(bytes).and_then(|()| self.wire.flush());
        sent.map_err(|error| {
            if waits(&error) { self.timeout("taking requests") } else { self.broken(&error.to_string()) }
        })
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<Vec<u8>, ChainError> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            self.searched = self.buffer.len();
            self.fill()?;
        }
    }

    /// Appends what the server sent next to the buffer.
    fn fill(&mut self) -> Result<(), ChainError> {
        let mut chunk = [0; CHUNK];
        let silent_until = Instant::now() + self.limits.read();
        let count = loop {
            self.watch()?;
            match self.wire.read(&mut chunk) {
                Ok(0) => return Err(self.broken("it closed the connection")),
                Ok(count) => break count,
                Err(error) if waits(&error) => {
                    if Instant::now() >= silent_until {
                        return Err(self.timeout("answering"));
                    }
                }
                Err(error) => return Err(self.broken(&error.to_string())),
            }
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        self.received += count as u64;
        if self.buffer.len() as u64 > self.limits.answer_bytes + CHUNK as u64 {
            return Err(self.too_large(self.limits.answer_bytes, "one answer"));
        }
        if self.received > self.limits.total_bytes {
            return Err(self.too_large(self.limits.total_bytes, "one sync"));
        }
        Ok(())
    }

    /// Ends the work when the caller or the clock says so.
    fn watch(&self) -> Result<(), ChainError> {
        if (self.cancelled)() {
            return Err(ChainError::Cancelled);
        }
        if Instant::now() >= self.deadline {
            let (server, after_ms) = (self.server.clone(), self.limits.deadline_ms);
            return Err(ChainError::Timeout { server, after_ms, doing: "reading the wallet" });
        }
        Ok(())
    }

    fn timeout(&self, doing: &'static str) -> ChainError {
        ChainError::Timeout { server: self.server.clone(), after_ms: self.limits.read_timeout_ms, doing }
    }

    fn broken(&self, detail: &str) -> ChainError {
        ChainError::Unreachable { server: self.server.clone(), detail: detail.to_owned() }
    }

    fn too_large(&self, limit_bytes: u64, what: &'static str) -> ChainError {
        ChainError::TooLarge { server: self.server.clone(), limit_bytes, what }
    }
}

/// The name the protocol gives a script: its SHA-256 in reverse, as hex.
fn script_hash(script: &Script) -> String {
    let mut bytes = sha256::Hash::hash(script.as_bytes()).to_byte_array();
    bytes.reverse();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server's words, made safe to repeat.
fn quoted(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(QUOTE_MAX).collect()
}
