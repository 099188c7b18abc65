//! A private bitcoind on regtest, listening on loopback, with its data in a folder that goes when it goes.
//!
//! Both ways to log in work at once: the cookie file, and a fixed user that survives restarts. Amounts in and out are
//! [`Sats`]. Refuses to reach out: no seeds, no discovery, no port mapping.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::error::{HarnessError, Result};
use crate::process::{Supervised, free_port};
use crate::programs::{ChainPrograms, chain_programs};
use crate::rpc::Rpc;
use crate::sats::Sats;
use crate::wallet::Wallet;

/// The RPC user.
pub const USER: &str = "nacre";
/// The RPC password; worthless, as the server listens on loopback and holds play money.
pub const PASSWORD: &str = "regtest-only";
/// [`USER`] and [`PASSWORD`] as bitcoind's `-rpcauth` takes them: HMAC-SHA256 of the password under the salt.
const RPCAUTH: &str = "nacre:6e616372652d74657374732d73616c74\
                       $5cc1f0b94880a7013620e011ae4fdb1206cd573f216476103014c534651358a0";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running regtest node.
#[derive(Debug)]
pub struct Bitcoind {
    process: Supervised,
    programs: ChainPrograms,
    folder: TempDir,
    rpc_port: u16,
    p2p_port: u16,
    rpc: Rpc,
}

/// A transaction output to spend.
#[derive(Debug, Clone, Deserialize)]
pub struct OutPoint {
    /// The transaction that made it.
    pub txid: String,
    /// Its place there.
    pub vout: u32,
}

impl Bitcoind {
    /// Starts a fresh node and waits until it answers.
    ///
    /// # Errors
    /// When the program cannot be installed or does not start.
    pub fn start() -> Result<Self> {
        let programs = chain_programs()?;
        let folder = tempfile::tempdir().map_err(HarnessError::io("make bitcoind's data folder"))?;
        let (rpc_port, p2p_port) = (free_port()?, free_port()?);
        let process = spawn(&programs, &folder, rpc_port, p2p_port)?;
        let rpc = Rpc::new(rpc_port, USER, PASSWORD);
        let mut node = Self { process, programs, folder, rpc_port, p2p_port, rpc };
        node.wait_ready()?;
        Ok(node)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.process.kill_hard()
    }

    /// SIGTERM, and waits until it has flushed and gone.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_LIMIT).map(drop)
    }

    /// Starts it again on the same data and ports, after [`Self::stop`] or [`Self::kill_hard`]. Wallets come back.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.programs, &self.folder, self.rpc_port, self.p2p_port)?;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let rpc = self.rpc.clone();
        self.process.wait_ready(START_LIMIT, |_| rpc.call::<u64>("getblockcount", json!([])).is_ok())
    }

    /// Calls that need no wallet.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// The RPC address without credentials.
    pub fn rpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc_port)
    }

    /// The RPC address with user and password in it.
    pub fn rpc_url_with_credentials(&self) -> String {
        format!("http://{USER}:{PASSWORD}@127.0.0.1:{}", self.rpc_port)
    }

    /// The cookie file; rewritten at each start.
    pub fn cookie_file(&self) -> PathBuf {
        self.folder.path().join("regtest").join(".cookie")
    }

    /// The address for peers.
    pub fn p2p_address(&self) -> String {
        format!("127.0.0.1:{}", self.p2p_port)
    }

    /// Makes a descriptor wallet and keeps it loaded over restarts.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn create_wallet(&self, name: &str) -> Result<Wallet> {
        self.rpc
            .call::<Value>("createwallet", json!({ "wallet_name": name, "load_on_startup": true }))
            .map(|_| Wallet::new(name, self.rpc.for_wallet(name)))
    }

    /// The height of the best block.
    ///
    /// # Errors
    /// When the node is down.
    pub fn height(&self) -> Result<u64> {
        self.rpc.call("getblockcount", json!([]))
    }

    /// The hash of the best block.
    ///
    /// # Errors
    /// When the node is down.
    pub fn best_block_hash(&self) -> Result<String> {
        self.rpc.call("getbestblockhash", json!([]))
    }

    /// The hash of the block at `height`.
    ///
    /// # Errors
    /// When there is none.
    pub fn block_hash(&self, height: u64) -> Result<String> {
        self.rpc.call("getblockhash", json!([height]))
    }

    /// Mines `blocks` to `address`; the hashes.
    ///
    /// # Errors
    /// When the address is not one of regtest.
    pub fn mine(&self, blocks: u32, address: &str) -> Result<Vec<String>> {
        self.rpc.call("generatetoaddress", json!([blocks, address]))
    }

    /// Mines one block to `address` with nothing of the mempool in it.
    ///
    /// # Errors
    /// When the address is not one of regtest.
    pub fn mine_empty(&self, address: &str) -> Result<()> {
        self.rpc.call::<Value>("generateblock", json!([address, []])).map(drop)
    }

    /// Takes the last `depth` blocks out of the best chain; their transactions return to the mempool where they can.
    /// The chain is then shorter: mine `depth + 1` blocks, or servers that watch the height see no reorganisation.
    ///
    /// # Errors
    /// When the chain is shorter than `depth`.
    pub fn invalidate_last_blocks(&self, depth: u64) -> Result<()> {
        let height = self.height()?;
        let first = (height + 1).checked_sub(depth).filter(|first| *first > 0);
        let first =
            first.ok_or_else(|| HarnessError::Failed(format!("{depth} blocks from height {height}")))?;
        self.rpc.call("invalidateblock", json!([self.block_hash(first)?]))
    }

    /// The transactions waiting.
    ///
    /// # Errors
    /// When the node is down.
    pub fn mempool(&self) -> Result<Vec<String>> {
        self.rpc.call("getrawmempool", json!([]))
    }

    /// An unsigned PSBT that spends `inputs`, whosever they are, to `outputs`; the rest is fee.
    ///
    /// # Errors
    /// When an address or amount is bad.
    pub fn create_psbt(&self, inputs: &[OutPoint], outputs: &[(&str, Sats)]) -> Result<String> {
        let inputs: Vec<_> = inputs.iter().map(|i| json!({ "txid": i.txid, "vout": i.vout })).collect();
        self.rpc.call("createpsbt", json!([inputs, amounts(outputs)]))
    }

    /// Merges the signatures of several signers of the same PSBT.
    ///
    /// # Errors
    /// When they are not the same transaction.
    pub fn combine_psbts(&self, psbts: &[String]) -> Result<String> {
        self.rpc.call("combinepsbt", json!([psbts]))
    }

    /// Finishes a fully signed PSBT and sends it; the txid.
    ///
    /// # Errors
    /// When a signature is missing or the mempool refuses it.
    pub fn broadcast_psbt(&self, psbt: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Finalized {
            complete: bool,
            hex: Option<String>,
        }
        let finalized: Finalized = self.rpc.call("finalizepsbt", json!([psbt]))?;
        match finalized {
            Finalized { complete: true, hex: Some(hex) } => self.broadcast(&hex),
            _ => Err(HarnessError::Failed("the PSBT is not signed by all its owners".into())),
        }
    }

    /// Sends a raw transaction; the txid.
    ///
    /// # Errors
    /// When the mempool refuses it.
    pub fn broadcast(&self, hex: &str) -> Result<String> {
        self.rpc.call("sendrawtransaction", json!([hex]))
    }

    /// An unsigned raw transaction in hex.
    ///
    /// # Errors
    /// When an address or amount is bad.
    pub fn create_raw_transaction(&self, inputs: &[OutPoint], outputs: &[(&str, Sats)]) -> Result<String> {
        let inputs: Vec<_> = inputs.iter().map(|i| json!({ "txid": i.txid, "vout": i.vout })).collect();
        self.rpc.call("createrawtransaction", json!([inputs, amounts(outputs)]))
    }
}

/// `{address: "btc"}`, the form in which bitcoind takes outputs; amounts as text, so nothing is rounded.
pub(crate) fn amounts(outputs: &[(&str, Sats)]) -> Value {
    let entries = outputs.iter().map(|(address, sats)| ((*address).into(), json!(sats.to_string())));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn spawn(programs: &ChainPrograms, folder: &TempDir, rpc_port: u16, p2p_port: u16) -> Result<Supervised> {
    let mut command = Command::new(&programs.bitcoind);
    command
        .arg(format!("-datadir={}", folder.path().display()))
        .args(["-regtest", "-server", "-rest", "-txindex", "-blockfilterindex", "-printtoconsole"])
        .args([
            format!("-rpcport={rpc_port}"),
            format!("-bind=127.0.0.1:{p2p_port}"),
            format!("-rpcauth={RPCAUTH}"),
        ])
        .args(["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", "-rpcthreads=8", "-rpcworkqueue=128"])
        .args(["-dnsseed=0", "-fixedseeds=0", "-discover=0", "-listenonion=0", "-natpmp=0"])
        .args(["-addresstype=bech32", "-changetype=bech32", "-fallbackfee=0.00001", "-keypool=100"]);
    Supervised::spawn("bitcoind", command, folder.path())
}
