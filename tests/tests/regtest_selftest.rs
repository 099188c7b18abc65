//! The harness against itself: a real bitcoind and a real Electrum server that agree, also after a reorganisation and a
//! crash. When this fails, no other test on the chain means anything.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_tests::Result;
use nacre_tests::bitcoind::Bitcoind;
use nacre_tests::electrumx::ElectrumX;
use nacre_tests::sats::Sats;
use nacre_tests::wallet::Wallet;
use serde_json::json;

const ONE_BTC: Sats = Sats(100_000_000);

/// A node with 101 blocks, a miner who can spend one coinbase, and an Electrum server on it.
fn funded_chain() -> Result<(Bitcoind, ElectrumX, Wallet, String)> {
    let node = Bitcoind::start()?;
    let miner = node.create_wallet("miner")?;
    let mining_address = miner.new_address()?;
    node.mine(101, &mining_address)?;
    let electrum = ElectrumX::start(&node)?;
    Ok((node, electrum, miner, mining_address))
}

#[test]
fn electrum_history_follows_the_chain_through_a_reorganisation() -> Result<()> {
    let (node, electrum, miner, mining_address) = funded_chain()?;
    let alice = node.create_wallet("alice")?;
    assert_eq!(miner.balances()?.trusted, Sats(50 * ONE_BTC.0));
    assert_eq!(electrum.connect()?.tip()?.height, 101);

    let address = alice.new_address()?;
    let txid = miner.send(&address, Sats(12_345_678))?;
    electrum.wait_seen(&address, &txid)?;
    assert_eq!(electrum.connect()?.balance(&address)?, (0, 12_345_678));
    assert_eq!(alice.balances()?.untrusted_pending, Sats(12_345_678));

    node.mine(2, &mining_address)?;
    electrum.wait_synced(&node)?;
    let history = electrum.connect()?.history(&address)?;
    assert_eq!((history.len(), history[0].txid.as_str(), history[0].height), (1, txid.as_str(), 102));
    assert_eq!(electrum.connect()?.balance(&address)?, (12_345_678, 0));

    // Two blocks go; the payment is confirmed again two blocks later than before.
    let orphaned_tip = node.best_block_hash()?;
    node.invalidate_last_blocks(2)?;
    assert_eq!((node.height()?, node.mempool()?), (101, vec![txid.clone()]));
    node.mine_empty(&mining_address)?;
    node.mine_empty(&mining_address)?;
    node.mine(1, &mining_address)?;
    electrum.wait_synced(&node)?;
    assert_ne!(node.block_hash(103)?, orphaned_tip);
    let history = electrum.connect()?.history(&address)?;
    assert_eq!((history.len(), history[0].height), (1, 104));
    assert_eq!(alice.balances()?.trusted, Sats(12_345_678));
    Ok(())
}

#[test]
fn a_replaced_transaction_leaves_the_electrum_history() -> Result<()> {
    let (node, electrum, miner, mining_address) = funded_chain()?;
    let alice = node.create_wallet("alice")?;
    let address = alice.new_address()?;
    let first = miner.send(&address, ONE_BTC)?;
    electrum.wait_seen(&address, &first)?;
    let second = miner.bump_fee(&first)?;
    electrum.wait_seen(&address, &second)?;
    electrum.wait_forgotten(&address, &first)?;
    node.mine(1, &mining_address)?;
    electrum.wait_synced(&node)?;
    let history = electrum.connect()?.history(&address)?;
    assert_eq!((history.len(), history[0].txid.as_str()), (1, second.as_str()));
    Ok(())
}

#[test]
fn two_wallets_can_sign_one_transaction_and_coins_can_be_consolidated() -> Result<()> {
    let (node, electrum, miner, mining_address) = funded_chain()?;
    let (alice, bob) = (node.create_wallet("alice")?, node.create_wallet("bob")?);
    let (to_alice, to_bob) = (alice.new_address()?, bob.new_address()?);
    miner.send_many(&[(&to_alice, ONE_BTC), (&to_bob, ONE_BTC)])?;
    node.mine(1, &mining_address)?;

    let inputs = [alice.unspent()?[0].outpoint.clone(), bob.unspent()?[0].outpoint.clone()];
    let (back_to_alice, back_to_bob) = (alice.new_address()?, bob.new_address()?);
    let each = Sats(ONE_BTC.0 - 500);
    let psbt = node.create_psbt(&inputs, &[(&back_to_alice, each), (&back_to_bob, each)])?;
    assert!(
        node.broadcast_psbt(&alice.sign_psbt(&psbt)?).is_err(),
        "one signature of two must not be enough"
    );
    let signed = node.combine_psbts(&[alice.sign_psbt(&psbt)?, bob.sign_psbt(&psbt)?])?;
    let txid = node.broadcast_psbt(&signed)?;
    electrum.wait_seen(&back_to_alice, &txid)?;
    node.mine(1, &mining_address)?;
    assert_eq!((alice.balances()?.trusted, bob.balances()?.trusted), (each, each));

    miner.send(&alice.new_address()?, ONE_BTC)?;
    node.mine(1, &mining_address)?;
    assert_eq!(alice.unspent()?.len(), 2);
    alice.send_all(&alice.new_address()?)?;
    node.mine(1, &mining_address)?;
    let unspent = alice.unspent()?;
    assert_eq!(unspent.len(), 1);
    assert_eq!(alice.balances()?.trusted, unspent[0].amount);
    Ok(())
}

#[test]
fn both_servers_come_back_after_a_kill() -> Result<()> {
    let (mut node, mut electrum, miner, mining_address) = funded_chain()?;
    electrum.kill_hard()?;
    assert!(electrum.connect().is_err());
    node.mine(3, &mining_address)?;
    electrum.start_again()?;
    electrum.wait_synced(&node)?;
    assert_eq!(electrum.connect()?.tip()?.height, 104);

    // ElectrumX waits for bitcoind and goes on when it returns.
    node.stop()?;
    assert!(node.height().is_err());
    node.start_again()?;
    assert!(node.cookie_file().is_file());
    assert_eq!(miner.balances()?.trusted, Sats(4 * 50 * ONE_BTC.0));
    node.mine(1, &mining_address)?;
    electrum.wait_synced(&node)?;
    electrum.stop()?;
    Ok(())
}

#[test]
fn descriptors_are_public_and_refusals_are_told() -> Result<()> {
    let node = Bitcoind::start()?;
    let wallet = node.create_wallet("w")?;
    let (receive, change) = wallet.segwit_descriptors()?;
    assert!(receive.contains("tpub") && receive.contains("/0/*)#") && change.contains("/1/*)#"));
    let error = wallet.send(&wallet.new_address()?, ONE_BTC).unwrap_err().to_string();
    assert!(error.contains("sendtoaddress was refused with code -6"), "{error}");
    let error = node.rpc().call::<String>("getblockhash", json!([999])).unwrap_err().to_string();
    assert!(error.contains("code -8"), "{error}");
    Ok(())
}
