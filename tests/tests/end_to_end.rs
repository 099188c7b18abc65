//! The main job from end to end: real wallets on a real chain become exact books, over the real binary.
//!
//! After each scenario the wallets are synced and processed, and the balance sheet must equal bitcoind's own
//! `getbalances` to the satoshi. What left the chain must have left the books without a trace.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_tests::Result;
use nacre_tests::api::{Profile, User, items, whole_sats};
use nacre_tests::bitcoind::Bitcoind;
use nacre_tests::daemon::{Daemon, DaemonOptions, run_nacre};
use nacre_tests::electrumx::ElectrumX;
use nacre_tests::sats::Sats;
use nacre_tests::wallet::Wallet;
use serde_json::{Value, json};
use tempfile::TempDir;

const ONE_BTC: Sats = Sats(100_000_000);

/// A chain with a miner who plays the rest of the world, and a daemon with one profile of two wallets.
struct Stage {
    node: Bitcoind,
    electrum: ElectrumX,
    miner: Wallet,
    mining_address: String,
    daemon: Daemon,
    user: User,
    workspace_id: String,
    profile: Profile,
    alice: Owned,
    bob: Owned,
    // Dropped last: the daemon's data is in it.
    _folder: TempDir,
}

/// A wallet with its connection.
struct Owned {
    wallet: Wallet,
    connection_id: String,
}

impl Owned {
    fn connect(node: &Bitcoind, profile: &Profile, name: &str) -> Result<Self> {
        let wallet = node.create_wallet(name)?;
        let connection_id = profile.connect(&wallet)?;
        Ok(Self { wallet, connection_id })
    }
}

impl Stage {
    fn set_up() -> Result<Self> {
        let node = Bitcoind::start()?;
        let miner = node.create_wallet("miner")?;
        let mining_address = miner.new_address()?;
        node.mine(105, &mining_address)?;
        let electrum = ElectrumX::start(&node)?;
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")))?;
        let user = User::register(&daemon, "keeper")?;
        user.import_half_yearly_rates()?;
        let workspace_id = user.workspace("home")?;
        let profile = user.profile(&workspace_id, "main", &electrum.url())?;
        let alice = Owned::connect(&node, &profile, "alice")?;
        let bob = Owned::connect(&node, &profile, "bob")?;
        Ok(Self {
            node,
            electrum,
            miner,
            mining_address,
            daemon,
            user,
            workspace_id,
            profile,
            alice,
            bob,
            _folder: folder,
        })
    }

    /// The miner pays `amount` to the wallet, in a block; the txid.
    fn fund(&self, owned: &Owned, amount: Sats) -> Result<String> {
        let txid = self.miner.send(&owned.wallet.new_address()?, amount)?;
        self.mine(1)?;
        Ok(txid)
    }

    /// Mines blocks with what waits, and lets the server catch up.
    fn mine(&self, blocks: u32) -> Result<()> {
        self.node.mine(blocks, &self.mining_address)?;
        self.electrum.wait_synced(&self.node)
    }

    /// Mines blocks without transactions and lets the server catch up.
    fn mine_empty(&self, blocks: u32) -> Result<()> {
        (0..blocks).try_for_each(|_| self.node.mine_empty(&self.mining_address))?;
        self.electrum.wait_synced(&self.node)
    }

    /// Syncs and processes; the outcome of the process.
    #[track_caller]
    fn sync_and_process(&self) -> Result<Value> {
        let operation = self.profile.sync(false)?;
        assert_eq!(operation["status"], "Succeeded", "{operation}");
        self.profile.process()
    }

    /// Both balances in the books.
    fn booked(&self) -> Result<(Sats, Sats)> {
        Ok((self.profile.balance(&self.alice.connection_id)?, self.profile.balance(&self.bob.connection_id)?))
    }

    /// Syncs, processes, and compares both wallets with bitcoind.
    #[track_caller]
    fn check(&self, what: &str) -> Result<()> {
        let outcome = self.sync_and_process()?;
        assert_eq!(
            (&outcome["quarantined"], &outcome["non_final"]),
            (&json!(0), &json!(false)),
            "{what}: {outcome}"
        );
        let node = (self.alice.wallet.balances()?.trusted, self.bob.wallet.balances()?.trusted);
        assert_eq!(self.booked()?, node, "{what}: the books differ from getbalances");
        Ok(())
    }

    /// The status of an event, `None` if the journal does not know it.
    fn status(&self, txid: &str) -> Result<Option<String>> {
        let answer = self.user.client().get(&self.profile.path(&format!("/journals/events/{txid}")))?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(answer.expect_status(200)?.json()?["status"].as_str().map(str::to_owned))
    }

    /// The pending entry of a transaction.
    fn pending(&self, txid: &str) -> Result<Option<Value>> {
        let pending = self.profile.get("/journals/pending")?;
        Ok(items(&pending["items"])?.iter().find(|item| item["id"] == txid).cloned())
    }

    /// The rows of the capital gains that `txid` caused.
    fn gains_of(&self, txid: &str) -> Result<Vec<Value>> {
        let gains = self.profile.get("/reports/capital-gains?format=json")?;
        Ok(items(&gains["rows"])?.iter().filter(|row| row["event_id"] == txid).cloned().collect())
    }

    #[track_caller]
    fn assert_no_trace(&self, txid: &str) -> Result<()> {
        let said = self.profile.all_said()?;
        assert!(!said.contains(txid), "{txid} left a trace in {said}");
        assert_eq!(self.status(txid)?, None);
        Ok(())
    }

    #[track_caller]
    fn assert_booked(&self, txid: &str) -> Result<()> {
        assert_eq!(self.status(txid)?.as_deref(), Some("booked"), "{txid}");
        assert_eq!(self.pending(txid)?, None);
        Ok(())
    }

    /// Stops the daemon and has the data folder verified.
    fn verify(&mut self) -> Result<()> {
        assert!(self.daemon.stop()?.success(), "{}", self.daemon.output());
        let data_dir = self.daemon.data_dir().to_str().unwrap();
        let output = run_nacre(&["verify", "--data-dir", data_dir])?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 book(s) verified, 0 bad"), "{said}");
        Ok(())
    }
}

/// The network fee of a transaction the wallet sent.
fn fee(wallet: &Wallet, txid: &str) -> Result<Sats> {
    let fee = wallet.transaction(txid)?["fee"].to_string();
    Sats::from_btc(fee.trim_start_matches('-'))
}

#[test]
fn the_books_follow_two_wallets_through_a_life_on_chain() -> Result<()> {
    let mut stage = Stage::set_up()?;
    mine_and_receive(&stage)?;
    spend_and_move(&stage)?;
    batch_and_consolidate(&stage)?;
    nothing_new_writes_nothing(&stage)?;
    stage.verify()
}

fn mine_and_receive(stage: &Stage) -> Result<()> {
    stage.check("empty wallets")?;
    assert_eq!(stage.booked()?, (Sats(0), Sats(0)));

    // A coinbase counts from 101 confirmations, as in bitcoind's wallet.
    let block = stage.node.mine(1, &stage.alice.wallet.new_address()?)?.remove(0);
    let block: Value = stage.node.rpc().call("getblock", json!([block]))?;
    let coinbase = block["tx"][0].as_str().unwrap();
    stage.mine(99)?;
    stage.check("a coinbase with 100 confirmations")?;
    assert_eq!(stage.booked()?, (Sats(0), Sats(0)));
    assert_eq!(stage.pending(coinbase)?.unwrap()["status"], "immature");
    stage.mine(1)?;
    stage.check("a coinbase with 101 confirmations")?;
    assert_eq!(stage.booked()?.0, Sats(50 * ONE_BTC.0));
    stage.assert_booked(coinbase)?;

    let address = stage.alice.wallet.new_address()?;
    let received = stage.miner.send(&address, Sats(123_456_789))?;
    stage.electrum.wait_seen(&address, &received)?;
    stage.sync_and_process()?;
    assert_eq!(stage.booked()?.0, Sats(50 * ONE_BTC.0), "unconfirmed is not booked");
    let waiting = stage.pending(&received)?.unwrap();
    assert_eq!((&waiting["status"], &waiting["direction"]), (&json!("unconfirmed"), &json!("in")));
    assert_eq!((whole_sats(&waiting["quantity"])?, stage.status(&received)?), (Sats(123_456_789), None));
    stage.mine(1)?;
    stage.check("a receipt")?;
    stage.assert_booked(&received)
}

fn spend_and_move(stage: &Stage) -> Result<()> {
    let paid = Sats(30_000_001);
    let spent = stage.alice.wallet.send(&stage.mining_address, paid)?;
    stage.mine(1)?;
    stage.check("a payment with change")?;
    let fee_sats = fee(&stage.alice.wallet, &spent)?;
    assert_eq!(disposed(&stage.gains_of(&spent)?)?, Sats(paid.0 + fee_sats.0), "what was paid and its fee");

    let before = stage.booked()?;
    let moved = stage.alice.wallet.send(&stage.bob.wallet.new_address()?, ONE_BTC)?;
    stage.mine(1)?;
    stage.check("a move between own wallets")?;
    let fee_sats = fee(&stage.alice.wallet, &moved)?;
    assert_eq!(stage.booked()?, (Sats(before.0.0 - ONE_BTC.0 - fee_sats.0), Sats(before.1.0 + ONE_BTC.0)));
    assert_eq!(disposed(&stage.gains_of(&moved)?)?, fee_sats, "a move disposes of nothing but its fee");
    Ok(())
}

/// Satoshis disposed of in rows of the capital gains.
fn disposed(rows: &[Value]) -> Result<Sats> {
    let sats = rows.iter().map(|row| whole_sats(&row["quantity"]).map(|sats| sats.0));
    sats.sum::<Result<i64>>().map(Sats)
}

fn batch_and_consolidate(stage: &Stage) -> Result<()> {
    let (to_bob, to_self) = (stage.bob.wallet.new_address()?, stage.alice.wallet.new_address()?);
    let elsewhere = stage.miner.new_address()?;
    let outputs = [
        (stage.mining_address.as_str(), Sats(1_000_001)),
        (elsewhere.as_str(), Sats(2_000_002)),
        (to_bob.as_str(), Sats(3_000_003)),
        (to_self.as_str(), Sats(4_000_004)),
    ];
    let batch = stage.alice.wallet.send_many(&outputs)?;
    stage.mine(1)?;
    stage.check("a batch to strangers, the other wallet and itself")?;
    let gone = 3_000_003 + fee(&stage.alice.wallet, &batch)?.0;
    assert_eq!(disposed(&stage.gains_of(&batch)?)?, Sats(gone), "to strangers, and the fee");

    stage.fund(&stage.bob, Sats(777))?;
    stage.fund(&stage.bob, Sats(55_555))?;
    stage.check("more coins")?;
    let before = stage.bob.wallet.unspent()?.len();
    let merged = stage.bob.wallet.send_all(&stage.bob.wallet.new_address()?)?;
    stage.mine(1)?;
    stage.check("a consolidation")?;
    assert!(before > 3 && stage.bob.wallet.unspent()?.len() == 1);
    assert_eq!(disposed(&stage.gains_of(&merged)?)?, fee(&stage.bob.wallet, &merged)?);
    Ok(())
}

fn nothing_new_writes_nothing(stage: &Stage) -> Result<()> {
    let (said, version) = (stage.profile.all_said()?, stage.profile.book_version()?);
    assert_eq!(stage.profile.sync(false)?["status"], "Succeeded");
    assert_eq!(stage.profile.book_version()?, version, "a sync without news wrote something");
    stage.profile.process()?;
    assert_eq!(stage.profile.all_said()?, said);

    assert_eq!(stage.profile.sync(true)?["status"], "Succeeded");
    stage.profile.process()?;
    assert_eq!(stage.profile.all_said()?, said, "a full sync tells another story");
    Ok(())
}

#[test]
fn a_replaced_transaction_leaves_no_trace() -> Result<()> {
    let mut stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    stage.check("a funded wallet")?;

    let outgoing = stage.alice.wallet.send(&stage.mining_address, Sats(5_000_000))?;
    let incoming_address = stage.bob.wallet.new_address()?;
    let incoming = stage.miner.send(&incoming_address, Sats(7_000_000))?;
    stage.electrum.wait_seen(&stage.mining_address, &outgoing)?;
    stage.electrum.wait_seen(&incoming_address, &incoming)?;
    stage.sync_and_process()?;
    assert_eq!(stage.booked()?, (ONE_BTC, Sats(0)), "unconfirmed is not booked");
    assert_eq!(stage.pending(&outgoing)?.unwrap()["direction"], "out");
    assert_eq!(stage.pending(&incoming)?.unwrap()["direction"], "in");
    assert_eq!((stage.status(&outgoing)?, stage.status(&incoming)?), (None, None));

    let replacements = [stage.alice.wallet.bump_fee(&outgoing)?, stage.miner.bump_fee(&incoming)?];
    stage.electrum.wait_forgotten(&stage.mining_address, &outgoing)?;
    stage.electrum.wait_forgotten(&incoming_address, &incoming)?;
    stage.electrum.wait_seen(&stage.mining_address, &replacements[0])?;
    stage.electrum.wait_seen(&incoming_address, &replacements[1])?;
    stage.sync_and_process()?;
    for txid in &replacements {
        assert!(stage.pending(txid)?.is_some(), "{txid} is not pending");
    }
    stage.assert_no_trace(&outgoing)?;
    stage.assert_no_trace(&incoming)?;

    stage.mine(1)?;
    stage.check("both replacements")?;
    for (old, new) in [&outgoing, &incoming].into_iter().zip(&replacements) {
        stage.assert_no_trace(old)?;
        stage.assert_booked(new)?;
    }
    stage.verify()
}

#[test]
fn a_reorganised_transaction_leaves_no_trace_and_its_replacement_is_booked() -> Result<()> {
    let mut stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    stage.check("a funded wallet")?;

    let survivor_address = stage.bob.wallet.new_address()?;
    let survivor = stage.miner.send(&survivor_address, Sats(11_000_000))?;
    let victim = stage.alice.wallet.send(&stage.bob.wallet.new_address()?, Sats(22_000_000))?;
    stage.mine(1)?;
    stage.mine_empty(1)?;
    stage.check("a receipt and a move, two blocks deep")?;
    stage.assert_booked(&survivor)?;
    stage.assert_booked(&victim)?;

    // Both return to the mempool; the new blocks, one more than were lost, come without them.
    stage.node.invalidate_last_blocks(2)?;
    stage.mine_empty(3)?;
    stage.electrum.wait_seen(&survivor_address, &survivor)?;
    stage.sync_and_process()?;
    assert_eq!(stage.booked()?, (ONE_BTC, Sats(0)), "what is not in the chain is not booked");
    assert!(stage.pending(&victim)?.is_some() && stage.pending(&survivor)?.is_some());
    assert_eq!((stage.status(&victim)?, stage.status(&survivor)?), (None, None));

    let replacement = stage.alice.wallet.bump_fee(&victim)?;
    stage.mine(1)?;
    stage.check("the replacement and the survivor, in another block")?;
    stage.assert_no_trace(&victim)?;
    stage.assert_booked(&replacement)?;
    stage.assert_booked(&survivor)?;

    let said = stage.profile.all_said()?;
    assert_eq!(stage.profile.sync(true)?["status"], "Succeeded");
    stage.profile.process()?;
    assert_eq!(stage.profile.all_said()?, said, "a full sync tells another story");
    stage.verify()
}

#[test]
fn a_transaction_with_foreign_inputs_is_set_aside_and_moves_nothing() -> Result<()> {
    let mut stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    stage.check("a funded wallet")?;

    let own = stage.alice.wallet.unspent()?.remove(0);
    let foreign = stage.miner.unspent()?.into_iter().find(|coin| coin.amount > ONE_BTC).unwrap();
    let (to_alice, to_miner) = (stage.alice.wallet.new_address()?, stage.miner.new_address()?);
    let outputs =
        [(to_alice.as_str(), Sats(99_990_000)), (to_miner.as_str(), Sats(foreign.amount.0 - 10_000))];
    let psbt = stage.node.create_psbt(&[own.outpoint, foreign.outpoint], &outputs)?;
    let signed = [stage.alice.wallet.sign_psbt(&psbt)?, stage.miner.sign_psbt(&psbt)?];
    let txid = stage.node.broadcast_psbt(&stage.node.combine_psbts(&signed)?)?;
    stage.mine(1)?;

    let outcome = stage.sync_and_process()?;
    assert_eq!((&outcome["quarantined"], &outcome["non_final"]), (&json!(1), &json!(true)), "{outcome}");
    assert_eq!(stage.booked()?, (ONE_BTC, Sats(0)), "nothing is guessed");
    assert_eq!(stage.status(&txid)?.as_deref(), Some("quarantined"));
    let quarantine = stage.profile.get("/journals/quarantine")?;
    let quarantine = items(&quarantine["items"])?;
    assert_eq!(quarantine.len(), 1, "{quarantine:?}");
    assert_eq!(quarantine[0]["event_id"], txid.as_str());
    assert!(quarantine[0].to_string().contains("\"collaborative_spend\""), "{quarantine:?}");
    assert_eq!(stage.gains_of(&txid)?, Vec::<Value>::new());
    let sheet = stage.profile.get("/reports/balance-sheet")?;
    assert_eq!((&sheet["issues"]["quarantined"], &sheet["non_final"]), (&json!(1), &json!(true)));
    stage.verify()
}

#[test]
fn a_server_that_hangs_dies_or_is_away_costs_a_failure_entry_and_no_books() -> Result<()> {
    let mut stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    stage.check("a funded wallet")?;
    stage.fund(&stage.alice, ONE_BTC)?;
    let (said, version) = (stage.profile.all_said()?, stage.profile.book_version()?);

    // It takes the connection, says nothing, and dies in the middle of the sync.
    stage.electrum.freeze()?;
    let operation_id = stage.profile.start_sync(false)?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    stage.electrum.kill_hard()?;
    assert_failed(&stage.profile.wait_ended(&operation_id)?, 2);

    // It is away.
    let operation = stage.profile.sync(false)?;
    assert_failed(&operation, 2);
    assert_eq!(operation["result"]["failures"][0]["code"], "unreachable", "{operation}");
    assert_eq!(
        (stage.profile.all_said()?, stage.profile.book_version()?),
        (said, version),
        "the books changed"
    );

    stage.electrum.start_again()?;
    stage.electrum.wait_synced(&stage.node)?;
    stage.check("the server is back")?;
    assert_eq!(stage.booked()?.0, Sats(2 * ONE_BTC.0));
    stage.verify()
}

#[test]
fn a_sync_that_is_stopped_by_the_user_or_by_a_crash_leaves_the_books_as_they_were() -> Result<()> {
    let mut stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    stage.check("a funded wallet")?;
    stage.fund(&stage.bob, ONE_BTC)?;
    let (said, version) = (stage.profile.all_said()?, stage.profile.book_version()?);

    // A server that hangs keeps a sync running for as long as the test needs.
    stage.electrum.freeze()?;
    let cancelled = stage.profile.start_sync(false)?;
    let client = stage.user.client();
    let second = client.request("POST", &stage.profile.path("/connections/sync"), &[], None)?;
    let second = second.expect_status(409)?.json()?;
    assert_eq!(
        (&second["code"], &second["details"]["operation_id"]),
        (&json!("sync_running"), &json!(cancelled))
    );
    client.delete(&format!("/v1/operations/{cancelled}"))?.expect_status(202)?;
    assert_eq!(stage.profile.wait_ended(&cancelled)?["status"], "Cancelled");

    let interrupted = stage.profile.start_sync(false)?;
    stage.daemon.kill_hard()?;
    stage.daemon.start_again()?;
    let operation = stage.profile.wait_ended(&interrupted)?;
    assert_eq!(
        (&operation["status"], &operation["error"]["code"]),
        (&json!("Failed"), &json!("interrupted"))
    );
    assert_eq!(stage.profile.stream(&interrupted)?.last().unwrap()["phase"], "Failed");
    assert_eq!(
        (stage.profile.all_said()?, stage.profile.book_version()?),
        (said, version),
        "the books changed"
    );

    stage.electrum.kill_hard()?;
    stage.electrum.start_again()?;
    stage.electrum.wait_synced(&stage.node)?;
    stage.check("the server is back")?;
    assert_eq!(stage.booked()?, (ONE_BTC, ONE_BTC));
    stage.verify()
}

/// The operation failed as a whole, with an entry for each of so many connections.
#[track_caller]
fn assert_failed(operation: &Value, connections: usize) {
    assert_eq!(operation["status"], "Failed", "{operation}");
    let failures = operation["result"]["failures"].as_array().unwrap();
    assert_eq!(failures.len(), connections, "{operation}");
    for failure in failures {
        assert!(failure["connection_id"].is_string() && failure["code"].is_string(), "{operation}");
        assert!(failure["message"].as_str().unwrap().contains("127.0.0.1"), "{operation}");
    }
}

#[test]
fn a_connection_of_another_network_fails_alone() -> Result<()> {
    let stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    let stranger = stage.node.create_wallet("stranger")?;

    // The keys are test keys: on the main network they are refused at once, on testnet only the server can tell.
    let refused = stage.profile.try_connect(&stranger, "mainnet")?.expect_status(422)?.json()?;
    assert_eq!(refused["code"], "invalid_field", "{refused}");
    let made = stage.profile.try_connect(&stranger, "testnet")?.expect_status(201)?.json()?;
    let operation = stage.profile.sync(false)?;
    assert_eq!(operation["status"], "SucceededWithFailures", "{operation}");
    let failures = operation["result"]["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{operation}");
    assert_eq!((&failures[0]["connection_id"], &failures[0]["code"]), (&made["id"], &json!("wrong_network")));
    stage.profile.process()?;
    assert_eq!(stage.booked()?, (ONE_BTC, Sats(0)), "the others are synced");
    Ok(())
}

#[test]
fn a_dead_chain_source_fails_until_a_live_one_is_selected() -> Result<()> {
    let stage = Stage::set_up()?;
    stage.fund(&stage.alice, ONE_BTC)?;
    let client = stage.user.client();
    let configs = format!("/v1/workspaces/{}/onchain-configs", stage.workspace_id);
    let live = client.get(&configs)?.expect_status(200)?.json()?["items"][0]["id"].clone();
    let closed_port = nacre_tests::process::free_port()?;
    let dead =
        json!({ "label": "dead", "kind": "Electrum", "url": format!("tcp://127.0.0.1:{closed_port}") });
    let dead = client.post(&configs, &dead)?.expect_status(201)?.json()?["id"].clone();

    let select = |id: &Value| -> Result<()> {
        let path = format!("{configs}/{}/select", id.as_str().unwrap());
        client.post(&path, &json!({ "profile_id": stage.profile.id() }))?.expect_status(200).map(drop)
    };
    select(&dead)?;
    assert_failed(&stage.profile.sync(false)?, 2);
    select(&live)?;
    stage.check("the live source")?;
    assert_eq!(stage.booked()?, (ONE_BTC, Sats(0)));
    Ok(())
}
