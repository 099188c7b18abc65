//! An invented regtest chain with real headers and proofs, and small in-process Electrum servers that serve it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bitcoin::{
    Amount, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, absolute, transaction,
};
use nacre::chain::{ChainError, ElectrumSource, Limits, SyncedWallet, WalletSpec, sync_wallet};
use serde_json::{Value, json};

/// Account m/84'/1'/0' of the BIP-39 test words.
pub const TPUB: &str = "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M";
/// The wallet's first receive script (tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl).
pub const OWN: &str = "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl";

pub fn own_script() -> ScriptBuf {
    OWN.parse::<bitcoin::Address<_>>().unwrap().assume_checked().script_pubkey()
}

fn hash_pair(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(left.as_ref());
    engine.input(right.as_ref());
    sha256d::Hash::from_engine(engine)
}

/// A regtest chain of two-transaction blocks; the second transaction of each may be ours.
#[derive(Clone)]
pub struct FakeChain {
    pub headers: Vec<Header>,
    /// Seconds between blocks, negative where time runs backwards.
    pub step_s: i64,
    /// txid → (transaction, height or 0, its neighbour in the block)
    pub txs: BTreeMap<Txid, (Transaction, u32, Txid)>,
}

impl FakeChain {
    pub fn new() -> Self {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        FakeChain { headers: vec![genesis.header], step_s: 600, txs: BTreeMap::new() }
    }

    pub fn payment(spends: OutPoint, script: ScriptBuf, sat: u64) -> Transaction {
        let input = TxIn {
            previous_output: spends,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let output = TxOut { value: Amount::from_sat(sat), script_pubkey: script };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input],
            output: vec![output],
        }
    }

    /// Somebody else's coin number `n`.
    pub fn foreign(n: u8) -> OutPoint {
        OutPoint { txid: Txid::from_byte_array([n; 32]), vout: 0 }
    }

    /// Mines a block with `tx` in it.
    pub fn mine(&mut self, tx: Option<Transaction>) {
        let height = u32::try_from(self.headers.len()).unwrap();
        let neighbour = Txid::from_byte_array([u8::try_from(height).unwrap() | 0x80; 32]);
        let txid = tx.as_ref().map_or(neighbour, Transaction::compute_txid);
        let root = hash_pair(neighbour.to_raw_hash(), txid.to_raw_hash());
        let mut header = Header {
            version: Version::TWO,
            prev_blockhash: self.tip(),
            merkle_root: TxMerkleNode::from_raw_hash(root),
            time: u32::try_from(1_600_000_000 + i64::from(height) * self.step_s).unwrap(),
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        while header.validate_pow(header.target()).is_err() {
            header.nonce += 1;
        }
        self.headers.push(header);
        if let Some(tx) = tx {
            self.txs.insert(txid, (tx, height, neighbour));
        }
    }

    pub fn see(&mut self, tx: Transaction) {
        self.txs.insert(tx.compute_txid(), (tx, 0, Txid::all_zeros()));
    }

    fn tip(&self) -> BlockHash {
        self.headers.last().unwrap().block_hash()
    }

    /// The honest answer.
    pub fn answer(&self, method: &str, params: &Value) -> Value {
        let header = |height: u64| self.headers.get(usize::try_from(height).unwrap()).map(serialize_hex);
        let txid = || params[0].as_str().unwrap().parse::<Txid>().unwrap();
        match method {
            "server.version" => json!(["Fake 1.0", "1.4"]),
            "blockchain.headers.subscribe" => {
                json!({"height": self.headers.len() - 1, "hex": serialize_hex(self.headers.last().unwrap())})
            }
            "blockchain.block.header" => json!(header(params[0].as_u64().unwrap()).unwrap()),
            "blockchain.scripthash.get_history" => self.history(params[0].as_str().unwrap()),
            "blockchain.transaction.get" => json!(serialize_hex(&self.txs[&txid()].0)),
            "blockchain.transaction.get_merkle" => {
                let (_, height, neighbour) = &self.txs[&txid()];
                json!({"block_height": height, "pos": 1, "merkle": [neighbour]})
            }
            _ => panic!("unexpected method {method}"),
        }
    }

    /// A script as Electrum asks for it.
    pub fn script_hash(script: &ScriptBuf) -> String {
        let mut bytes = sha256::Hash::hash(script.as_bytes()).to_byte_array();
        bytes.reverse();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn history(&self, script_hash: &str) -> Value {
        let pays = |tx: &Transaction| {
            tx.output.iter().any(|output| Self::script_hash(&output.script_pubkey) == script_hash)
        };
        let spends = |tx: &Transaction| {
            tx.input.iter().any(|input| {
                self.txs.get(&input.previous_output.txid).is_some_and(|(parent, _, _)| pays(parent))
            })
        };
        let touching = self.txs.iter().filter(|(_, (tx, _, _))| pays(tx) || spends(tx));
        touching.map(|(txid, (_, height, _))| json!({"tx_hash": txid, "height": height})).collect()
    }
}

/// What a server does with one request.
pub enum Reply {
    /// Answers with this result.
    Result(Value),
    /// Answers with an error.
    Refuse(&'static str),
    /// Sends these bytes instead of an answer.
    Raw(Vec<u8>),
    /// Says nothing.
    Hang,
    /// Closes the connection, after these bytes.
    Close(&'static [u8]),
}

/// Serves every connection with `reply(method, params, number of the request)`.
pub fn serve(reply: impl Fn(&str, &Value, usize) -> Reply + Send + Sync + 'static) -> ElectrumSource {
    serve_through("tcp", |tcp| tcp, reply)
}

/// As [`serve`], for `scheme`, with each connection wrapped.
pub fn serve_through<S: Read + Write>(
    scheme: &str,
    wrap: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    reply: impl Fn(&str, &Value, usize) -> Reply + Send + Sync + 'static,
) -> ElectrumSource {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::new((wrap, reply));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || converse(shared.0(stream), &shared.1));
        }
    });
    let limits =
        Limits { connect_timeout_ms: 2_000, read_timeout_ms: 600, deadline_ms: 5_000, ..Limits::default() };
    ElectrumSource::parse(&format!("{scheme}://127.0.0.1:{port}"), None).unwrap().with_limits(limits)
}

/// Serves one connection until either side ends it.
fn converse(stream: impl Read + Write, reply: &impl Fn(&str, &Value, usize) -> Reply) {
    let mut stream = BufReader::new(stream);
    for number in 0.. {
        let mut line = String::new();
        if !stream.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            return;
        }
        let request: Value = serde_json::from_str(&line).unwrap();
        let id = &request["id"];
        let bytes = match reply(request["method"].as_str().unwrap(), &request["params"], number) {
            Reply::Result(result) => format!("{}\n", json!({"id": id, "result": result})).into_bytes(),
            Reply::Refuse(words) => {
                format!("{}\n", json!({"id": id, "error": {"code": 1, "message": words}})).into_bytes()
            }
            Reply::Raw(bytes) => bytes,
            Reply::Hang => continue,
            Reply::Close(bytes) => {
                let _ = stream.get_mut().write_all(bytes);
                return;
            }
        };
        if stream.get_mut().write_all(&bytes).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

/// A chain of 5 blocks: the wallet received 1,000 sat in block 2 and spends them in the mempool.
pub fn wallet_chain() -> (FakeChain, Txid, Txid) {
    let mut chain = FakeChain::new();
    let received = FakeChain::payment(FakeChain::foreign(1), own_script(), 1_000);
    let coin = OutPoint { txid: received.compute_txid(), vout: 0 };
    let spent = FakeChain::payment(coin, ScriptBuf::new_op_return([7]), 900);
    let spent_id = spent.compute_txid();
    chain.mine(None);
    chain.mine(Some(received));
    (0..3).for_each(|_| chain.mine(None));
    chain.see(spent);
    (chain, coin.txid, spent_id)
}

pub fn spec() -> WalletSpec {
    WalletSpec::parse(&format!("wpkh({TPUB}/<0;1>/*)"), None, Some(3), Some("regtest")).unwrap()
}

pub fn sync(source: &ElectrumSource, state: Option<&[u8]>) -> Result<SyncedWallet, ChainError> {
    sync_wallet(&spec(), source, state, false, None, &|_| {}, &|| false)
}

/// An honest server of `chain` with `lie` where it is one.
pub fn lying(
    chain: FakeChain,
    lie: impl Fn(&FakeChain, &str, &Value) -> Option<Reply> + Send + Sync + 'static,
) -> ElectrumSource {
    serve(move |method, params, _| {
        lie(&chain, method, params).unwrap_or_else(|| Reply::Result(chain.answer(method, params)))
    })
}
