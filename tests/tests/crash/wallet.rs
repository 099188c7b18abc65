//! A wallet on an invented chain that goes on, served to the daemons over the Electrum protocol.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bitcoin::{OutPoint, ScriptBuf};
use serde_json::{Value, json};

use crate::chain_fake::{FakeChain, Reply, TPUB, own_script, serve};
use crate::seed::Seed;

/// Blocks at most; the fake chain counts them in a byte.
const LAST_HEIGHT: usize = 120;

/// The server and its chain.
pub struct Wallet {
    chain: Arc<Mutex<FakeChain>>,
    /// Unspent coins of the wallet with their satoshis.
    coins: Vec<(OutPoint, u64)>,
    received: u8,
    /// Where it listens.
    pub url: String,
}

impl Wallet {
    pub fn start() -> Self {
        let chain = Arc::new(Mutex::new(FakeChain::new()));
        chain.lock().unwrap().mine(None);
        let served = Arc::clone(&chain);
        let source = serve(move |method, params, _| {
            // A distant server: there is time for a kill between its answers.
            thread::sleep(Duration::from_millis(1));
            Reply::Result(served.lock().unwrap().answer(method, params))
        });
        Self { chain, coins: Vec::new(), received: 0, url: source.url() }
    }

    /// What a connection to it is configured with.
    pub fn configuration() -> Value {
        json!({ "descriptor": format!("wpkh({TPUB}/<0;1>/*)"), "gap_limit": 3, "network": "regtest" })
    }

    /// A block or two with payments to the wallet or out of it, as long as there is room.
    pub fn go_on(&mut self, seed: &mut Seed) {
        for _ in 0..1 + seed.below(2) {
            if self.chain.lock().unwrap().headers.len() >= LAST_HEIGHT {
                return;
            }
            let payment = if !self.coins.is_empty() && seed.chance(40) {
                let (coin, sat) = self.coins.swap_remove(seed.below(self.coins.len()));
                FakeChain::payment(coin, ScriptBuf::new_op_return([7]), sat - 300)
            } else {
                self.received += 1;
                let sat = 10_000 + seed.below(1_000_000) as u64;
                let payment = FakeChain::payment(FakeChain::foreign(self.received), own_script(), sat);
                self.coins.push((OutPoint { txid: payment.compute_txid(), vout: 0 }, sat));
                payment
            };
            self.chain.lock().unwrap().mine(Some(payment));
        }
    }
}
