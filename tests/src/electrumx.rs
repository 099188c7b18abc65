//! A private ElectrumX that indexes a [`Bitcoind`] of the harness and serves plain TCP on loopback.
//!
//! It polls every 0.2 s instead of 5 s (`regtest/electrumx_start.py`). [`ElectrumX::wait_synced`] compares block hashes, not
//! heights, so it is right across a reorganisation too. Its index lives in a folder that goes with it.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::bitcoind::Bitcoind;
use crate::electrum::ElectrumClient;
use crate::error::{HarnessError, Result};
use crate::process::{Supervised, free_port, wait_until};
use crate::programs::{chain_programs, regtest_file};

const START_LIMIT: Duration = Duration::from_secs(60);
const SYNC_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running Electrum server.
#[derive(Debug)]
pub struct ElectrumX {
    process: Supervised,
    folder: TempDir,
    port: u16,
    daemon_url: String,
}

impl ElectrumX {
    /// Starts a server on an empty index and waits until it has bitcoind's chain.
    ///
    /// # Errors
    /// When it cannot be installed, started or synced.
    pub fn start(node: &Bitcoind) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(HarnessError::io("make ElectrumX's data folder"))?;
        let (port, daemon_url) = (free_port()?, node.rpc_url_with_credentials());
        let process = spawn(&folder, port, &daemon_url)?;
        let mut server = Self { process, folder, port, daemon_url };
        server.wait_ready()?;
        server.wait_synced(node)?;
        Ok(server)
    }

    /// The port of the plain TCP service.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `tcp://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// A new raw connection.
    ///
    /// # Errors
    /// When the server is down.
    pub fn connect(&self) -> Result<ElectrumClient> {
        ElectrumClient::connect(self.port)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.process.kill_hard()
    }

    /// Makes it accept connections and answer none, until it is killed: the middle of a sync for as long as a test needs.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn freeze(&mut self) -> Result<()> {
        self.process.freeze()
    }

    /// SIGTERM, and waits until it has flushed and gone.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_LIMIT).map(drop)
    }

    /// Starts it again on the same index and port, after [`Self::stop`] or [`Self::kill_hard`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.folder, self.port, &self.daemon_url)?;
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let port = self.port;
        self.process.wait_ready(START_LIMIT, |_| ElectrumClient::connect(port).is_ok())
    }

    /// Waits until the server's best block is bitcoind's.
    ///
    /// # Errors
    /// When it is not within a minute.
    pub fn wait_synced(&self, node: &Bitcoind) -> Result<()> {
        let mut client = self.connect()?;
        wait_until("ElectrumX to have bitcoind's best block", SYNC_LIMIT, || {
            Ok((client.tip()?.hash == node.best_block_hash()?).then_some(()))
        })
    }

    /// Waits until the history of `address` has `txid`, confirmed or not.
    ///
    /// # Errors
    /// When it has not within a minute.
    pub fn wait_seen(&self, address: &str, txid: &str) -> Result<()> {
        self.wait_history(address, txid, true)
    }

    /// Waits until the history of `address` no longer has `txid`, after it was replaced or reorganised away.
    ///
    /// # Errors
    /// When it still has after a minute.
    pub fn wait_forgotten(&self, address: &str, txid: &str) -> Result<()> {
        self.wait_history(address, txid, false)
    }

    fn wait_history(&self, address: &str, txid: &str, present: bool) -> Result<()> {
        let mut client = self.connect()?;
        let what = format!("{txid} to be {} ElectrumX's history", if present { "in" } else { "out of" });
        wait_until(&what, SYNC_LIMIT, || {
            let seen = client.history(address)?.iter().any(|item| item.txid == txid);
            Ok((seen == present).then_some(()))
        })
    }
}

fn spawn(folder: &TempDir, port: u16, daemon_url: &str) -> Result<Supervised> {
    let mut command = Command::new(chain_programs()?.electrumx_python);
    command.arg(regtest_file("electrumx_start.py")).current_dir(folder.path()).envs([
        ("COIN", "Bitcoin"),
        ("NET", "regtest"),
        ("SERVICES", &format!("tcp://127.0.0.1:{port}")),
        ("REPORT_SERVICES", ""),
        ("PEER_DISCOVERY", "self"),
        ("PEER_ANNOUNCE", ""),
        ("ALLOW_ROOT", "1"),
        ("COST_SOFT_LIMIT", "0"),
        ("COST_HARD_LIMIT", "0"),
        ("DAEMON_URL", daemon_url),
    ]);
    command.env("DB_DIRECTORY", folder.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    Supervised::spawn("electrumx", command, folder.path())
}
