//! A wallet of bitcoind: the counterpart whose books a test compares with.
//!
//! Owns nothing: it is a name and an address; dropping it changes nothing. Amounts are [`Sats`].

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bitcoind::{OutPoint, amounts};
use crate::error::{HarnessError, Result};
use crate::rpc::Rpc;
use crate::sats::Sats;

/// A loaded wallet.
#[derive(Debug, Clone)]
pub struct Wallet {
    name: String,
    rpc: Rpc,
}

/// What `getbalances` says of the wallet's own coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Balances {
    /// Confirmed, and own unconfirmed change.
    pub trusted: Sats,
    /// Unconfirmed and from others.
    pub untrusted_pending: Sats,
    /// Mined and not yet spendable.
    pub immature: Sats,
}

/// A public descriptor of the wallet.
#[derive(Debug, Clone, Deserialize)]
pub struct PublicDescriptor {
    /// The descriptor with its checksum.
    pub desc: String,
    /// Whether new addresses come from it.
    pub active: bool,
    /// Whether it makes change addresses; absent when not active.
    #[serde(default)]
    pub internal: bool,
}

/// An output the wallet can spend.
#[derive(Debug, Clone)]
pub struct Unspent {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Whose it is.
    pub address: String,
    /// How much.
    pub amount: Sats,
}

impl Wallet {
    pub(crate) fn new(name: &str, rpc: Rpc) -> Self {
        Self { name: name.into(), rpc }
    }

    /// Its name in bitcoind.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls that go to this wallet.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// The next receiving address.
    ///
    /// # Errors
    /// When the node is down.
    pub fn new_address(&self) -> Result<String> {
        self.rpc.call("getnewaddress", json!([]))
    }

    /// The next change address.
    ///
    /// # Errors
    /// When the node is down.
    pub fn change_address(&self) -> Result<String> {
        self.rpc.call("getrawchangeaddress", json!([]))
    }

    /// Pays `amount` to `address`, replaceable; the txid.
    ///
    /// # Errors
    /// When there is too little.
    pub fn send(&self, address: &str, amount: Sats) -> Result<String> {
        let params = json!({ "address": address, "amount": amount.to_string(), "replaceable": true });
        self.rpc.call("sendtoaddress", params)
    }

    /// Pays several addresses in one transaction; the txid.
    ///
    /// # Errors
    /// When there is too little.
    pub fn send_many(&self, outputs: &[(&str, Sats)]) -> Result<String> {
        self.rpc.call("sendmany", json!({ "amounts": amounts(outputs) }))
    }

    /// Spends every coin into one output of `address` (a consolidation, if it is the wallet's own); the txid.
    ///
    /// # Errors
    /// When there is nothing to spend.
    pub fn send_all(&self, address: &str) -> Result<String> {
        self.rpc.call::<Txid>("sendall", json!({ "recipients": [address] })).map(|sent| sent.txid)
    }

    /// Replaces an unconfirmed transaction by one with a higher fee; the new txid.
    ///
    /// # Errors
    /// When it is confirmed or not the wallet's.
    pub fn bump_fee(&self, txid: &str) -> Result<String> {
        self.rpc.call::<Txid>("bumpfee", json!([txid])).map(|bumped| bumped.txid)
    }

    /// What bitcoind says the wallet holds.
    ///
    /// # Errors
    /// When the node is down.
    pub fn balances(&self) -> Result<Balances> {
        #[derive(Deserialize)]
        struct Answer {
            mine: Balances,
        }
        self.rpc.call::<Answer>("getbalances", json!([])).map(|answer| answer.mine)
    }

    /// Every descriptor of the wallet, without private keys.
    ///
    /// # Errors
    /// When the node is down.
    pub fn public_descriptors(&self) -> Result<Vec<PublicDescriptor>> {
        #[derive(Deserialize)]
        struct Answer {
            descriptors: Vec<PublicDescriptor>,
        }
        self.rpc.call::<Answer>("listdescriptors", json!([false])).map(|answer| answer.descriptors)
    }

    /// The active native-segwit descriptors: receiving, change.
    ///
    /// # Errors
    /// When the wallet has none.
    pub fn segwit_descriptors(&self) -> Result<(String, String)> {
        let all = self.public_descriptors()?;
        let find = |internal| {
            let found =
                all.iter().find(|d| d.active && d.internal == internal && d.desc.starts_with("wpkh("));
            found.map(|d| d.desc.clone())
        };
        match (find(false), find(true)) {
            (Some(receive), Some(change)) => Ok((receive, change)),
            _ => Err(HarnessError::Failed(format!("wallet {} has no wpkh descriptors", self.name))),
        }
    }

    /// The outputs it can spend, unconfirmed ones too.
    ///
    /// # Errors
    /// When the node is down.
    pub fn unspent(&self) -> Result<Vec<Unspent>> {
        #[derive(Deserialize)]
        struct Row {
            txid: String,
            vout: u32,
            address: String,
            amount: Sats,
        }
        let rows = self.rpc.call::<Vec<Row>>("listunspent", json!([0]))?;
        let unspent = rows.into_iter().map(|Row { txid, vout, address, amount }| Unspent {
            outpoint: OutPoint { txid, vout },
            address,
            amount,
        });
        Ok(unspent.collect())
    }

    /// Adds what this wallet knows of a PSBT and its signatures for its own inputs.
    ///
    /// # Errors
    /// When the PSBT is malformed.
    pub fn sign_psbt(&self, psbt: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Answer {
            psbt: String,
        }
        // Not finalised: other signers still have to add theirs.
        let params = json!({ "psbt": psbt, "sign": true, "finalize": false });
        self.rpc.call::<Answer>("walletprocesspsbt", params).map(|answer| answer.psbt)
    }

    /// What the wallet knows of one of its transactions, as bitcoind prints it. Amounts in it are floats: for looking
    /// at confirmations and replacements, not for sums.
    ///
    /// # Errors
    /// When it is not the wallet's.
    pub fn transaction(&self, txid: &str) -> Result<Value> {
        self.rpc.call("gettransaction", json!([txid]))
    }
}

#[derive(Deserialize)]
struct Txid {
    txid: String,
}
