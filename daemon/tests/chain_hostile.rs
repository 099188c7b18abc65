//! Hostile Electrum servers: whatever one sends, a sync ends soon with a named error and never with part of a wallet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain_fake;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{OutPoint, ScriptBuf, Txid};
use nacre::chain::{
    ChainError, ElectrumSource, Limits, Network, SyncProgress, SyncedWallet, WalletSpec, sync_wallet,
};
use nacre_engine::model::ChainStatus;
use serde_json::{Value, json};

use chain_fake::{FakeChain, OWN, Reply, TPUB, lying, own_script, serve, spec, sync, wallet_chain};

/// Syncs against a liar and expects this error, soon.
fn expect(code: &str, lie: impl Fn(&FakeChain, &str, &Value) -> Option<Reply> + Send + Sync + 'static) {
    let source = lying(wallet_chain().0, lie);
    let start = Instant::now();
    let error = sync(&source, None).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(&source.url()), "{error}");
    assert!(start.elapsed() < Duration::from_secs(8));
}

#[test]
fn an_honest_server_gives_the_whole_wallet_and_the_same_bytes_twice() {
    let (chain, received, spent) = wallet_chain();
    let source = lying(chain, |_, _, _| None);
    let first = sync(&source, None).unwrap();
    assert_eq!((first.tip_height, first.network), (5, Network::REGTEST));
    let find =
        |txid: Txid| first.views.iter().find(|view| view.txid.to_string() == txid.to_string()).unwrap();
    assert_eq!(first.views.len(), 2);
    assert!(first.views.is_sorted_by_key(|view| view.txid));
    assert!(matches!(find(received).status, ChainStatus::Confirmed { height: 2, .. }));
    assert_eq!(find(received).inputs[0].owned_sat, None);
    assert!(find(received).outputs[0].owned);
    assert!(matches!(find(spent).status, ChainStatus::Unconfirmed { first_seen: None }));
    assert_eq!(find(spent).inputs[0].owned_sat, Some(1_000));
    assert!(!find(spent).outputs[0].owned);
    assert_eq!(sync(&source, Some(&first.state)).unwrap(), first);
    let report = source.test(Some(Network::REGTEST)).unwrap();
    assert_eq!(
        (report.software.as_str(), report.protocol.as_str(), report.tip_height),
        ("Fake 1.0", "1.4", 5)
    );
}

#[test]
fn an_incremental_sync_fetches_only_what_is_new_and_unreadable_state_is_ignored() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    let source = lying(wallet_chain().0, move |_, method, _| {
        let counted = matches!(method, "blockchain.transaction.get" | "blockchain.transaction.get_merkle");
        counter.fetch_add(usize::from(counted), Ordering::SeqCst);
        None
    });
    let first = sync(&source, None).unwrap();
    assert_eq!(fetched.swap(0, Ordering::SeqCst), 3);
    assert_eq!(sync(&source, Some(&first.state)).unwrap(), first);
    assert_eq!(fetched.swap(0, Ordering::SeqCst), 0);
    let cut = &first.state[..first.state.len() - 1];
    for state in [&[][..], &[1], &[9, 9, 9], &[0xff; 300], cut] {
        assert_eq!(sync(&source, Some(state)).unwrap(), first);
        assert_eq!(fetched.swap(0, Ordering::SeqCst), 3);
    }
    let forced = sync_wallet(&spec(), &source, Some(&first.state), true, None, &|_| {}, &|| false).unwrap();
    assert_eq!((forced, fetched.load(Ordering::SeqCst)), (first, 3));
}

#[test]
fn replaced_evicted_and_reorganised_transactions_leave_no_trace() {
    let shared = Arc::new(Mutex::new(wallet_chain().0));
    let served = Arc::clone(&shared);
    let source = serve(move |method, params, _| Reply::Result(served.lock().unwrap().answer(method, params)));
    let (_, received, spent) = wallet_chain();
    let first = sync(&source, None).unwrap();
    // The spending transaction is replaced by another.
    let coin = OutPoint { txid: received, vout: 0 };
    let replacement = FakeChain::payment(coin, ScriptBuf::new_op_return([8]), 800);
    let replacement_id = replacement.compute_txid();
    {
        let mut chain = shared.lock().unwrap();
        chain.txs.remove(&spent);
        chain.see(replacement);
    }
    let second = sync(&source, Some(&first.state)).unwrap();
    let ids =
        |synced: &SyncedWallet| synced.views.iter().map(|view| view.txid.to_string()).collect::<Vec<_>>();
    let mut expected = vec![received.to_string(), replacement_id.to_string()];
    expected.sort();
    assert_eq!(ids(&second), expected);
    // The replacement is evicted.
    shared.lock().unwrap().txs.remove(&replacement_id);
    let third = sync(&source, Some(&second.state)).unwrap();
    assert_eq!(ids(&third), [received.to_string()]);
    // All blocks but the first are replaced by fewer; the receipt is back in the mempool.
    {
        let mut chain = shared.lock().unwrap();
        let tx = chain.txs.remove(&received).unwrap().0;
        chain.headers.truncate(2);
        chain.mine(Some(FakeChain::payment(FakeChain::foreign(9), ScriptBuf::new(), 5)));
        chain.see(tx);
    }
    let fourth = sync(&source, Some(&third.state)).unwrap();
    assert_eq!((fourth.tip_height, fourth.views.len()), (2, 1));
    assert!(matches!(fourth.views[0].status, ChainStatus::Unconfirmed { .. }));
    // It confirms again elsewhere, and a scan from nothing agrees.
    {
        let mut chain = shared.lock().unwrap();
        let tx = chain.txs.remove(&received).unwrap().0;
        chain.mine(None);
        chain.mine(Some(tx));
    }
    let fifth = sync(&source, Some(&fourth.state)).unwrap();
    assert!(matches!(fifth.views[0].status, ChainStatus::Confirmed { height: 4, .. }));
    assert_eq!(sync(&source, None).unwrap(), fifth);
}

#[test]
fn a_reorg_to_a_block_of_the_same_height_is_noticed() {
    let shared = Arc::new(Mutex::new(wallet_chain().0));
    let served = Arc::clone(&shared);
    let source = serve(move |method, params, _| Reply::Result(served.lock().unwrap().answer(method, params)));
    let received = wallet_chain().1;
    let first = sync(&source, None).unwrap();
    {
        let mut chain = shared.lock().unwrap();
        let tx = chain.txs.remove(&received).unwrap().0;
        chain.headers.truncate(1);
        chain.mine(Some(FakeChain::payment(FakeChain::foreign(3), ScriptBuf::new(), 5)));
        chain.mine(Some(tx));
        (0..9).for_each(|_| chain.mine(None));
    }
    let second = sync(&source, Some(&first.state)).unwrap();
    assert_eq!(second.tip_height, 11);
    assert_ne!(second.state, first.state);
    assert_eq!(sync(&source, None).unwrap(), second);
}

#[test]
fn a_block_that_comes_in_the_middle_is_read_too() {
    let shared = Arc::new(Mutex::new(wallet_chain().0));
    let done = AtomicBool::new(false);
    let source = serve(move |method, params, _| {
        let mut chain = shared.lock().unwrap();
        if method == "blockchain.transaction.get" && !done.swap(true, Ordering::SeqCst) {
            let spent = wallet_chain().2;
            let tx = chain.txs.remove(&spent).unwrap().0;
            chain.mine(Some(tx));
        }
        Reply::Result(chain.answer(method, params))
    });
    let synced = sync(&source, None).unwrap();
    assert_eq!(synced.tip_height, 6);
    assert!(synced.views.iter().all(|view| matches!(view.status, ChainStatus::Confirmed { .. })));
}

#[test]
fn a_server_that_hangs_costs_its_timeout() {
    expect("timeout", |_, _, _| Some(Reply::Hang));
    for method in [
        "blockchain.block.header",
        "blockchain.headers.subscribe",
        "blockchain.scripthash.get_history",
        "blockchain.transaction.get",
        "blockchain.transaction.get_merkle",
    ] {
        expect("timeout", move |_, asked, _| (asked == method).then_some(Reply::Hang));
    }
}

#[test]
fn a_server_that_trickles_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let limits = Limits { read_timeout_ms: 500, deadline_ms: 1_200, ..Limits::default() };
    let source = ElectrumSource::parse(&url, None).unwrap().with_limits(limits);
    let start = Instant::now();
    let error = sync(&source, None).unwrap_err();
    assert_eq!(error.code(), "timeout", "{error}");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn garbage_is_a_protocol_error() {
    for garbage in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\xff\xfe\x00\n",
        b"\n",
        b"[]\n",
        b"null\n",
        b"3\n",
        b"{}\n",
        b"{\"id\":0}\n",
        b"{\"id\":-1,\"result\":1}\n",
        b"{\"id\":\"x\",\"result\":1}\n",
        b"{\"id\":77777,\"result\":[\"a\",\"b\"]}\n",
        b"{\"id\":0,\"result\":{}}\n",
        b"{\"id\":0,\"result\":[\"a\"]}\n",
        b"{\"id\":0,\"id\":0,\"result\":[]}\n",
    ] {
        expect("protocol", move |_, _, _| Some(Reply::Raw(garbage.to_vec())));
    }
    let deep = [b"{\"id\":0,\"result\":".to_vec(), vec![b'['; 100_000], b"\n".to_vec()].concat();
    expect("protocol", move |_, _, _| Some(Reply::Raw(deep.clone())));
}

#[test]
fn answers_of_the_wrong_form_are_protocol_errors() {
    let answers = [
        ("blockchain.headers.subscribe", json!({"height": -1, "hex": ""})),
        ("blockchain.headers.subscribe", json!({"height": 4_000_000_000_u64, "hex": ""})),
        ("blockchain.headers.subscribe", json!(null)),
        ("blockchain.block.header", json!("00")),
        ("blockchain.block.header", json!("zz")),
        ("blockchain.block.header", json!(["00"])),
        ("blockchain.scripthash.get_history", json!([{"tx_hash": "00", "height": 1}])),
        ("blockchain.scripthash.get_history", json!([{"height": 1}])),
        ("blockchain.scripthash.get_history", json!({"a": 1})),
        ("blockchain.transaction.get", json!("")),
        ("blockchain.transaction.get", json!("0200000001")),
        ("blockchain.transaction.get", json!(["x"])),
        ("blockchain.transaction.get_merkle", json!({"pos": -1})),
        ("blockchain.transaction.get_merkle", json!({"block_height": 1, "pos": 1, "merkle": ["00"]})),
    ];
    for (method, answer) in answers {
        expect("protocol", move |_, asked, _| (asked == method).then(|| Reply::Result(answer.clone())));
    }
}

#[test]
fn a_server_that_closes_is_unreachable() {
    expect("unreachable", |_, _, _| Some(Reply::Close(b"")));
    expect("unreachable", |_, _, _| Some(Reply::Close(b"{\"id\":0,\"resu")));
    for method in ["blockchain.scripthash.get_history", "blockchain.transaction.get"] {
        expect("unreachable", move |_, asked, _| {
            (asked == method).then_some(Reply::Close(b"{\"id\":1,\"result\":[{\"tx_h"))
        });
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = ElectrumSource::parse(&url, None).unwrap().test(None).unwrap_err();
    assert_eq!(error.code(), "unreachable", "{error}");
}

#[test]
fn a_huge_line_and_an_endless_stream_are_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let chunk = [b'a'; 65_536];
            while stream.write_all(&chunk).is_ok() {}
        }
    });
    let limits = Limits { answer_bytes: 1 << 20, ..Limits::default() };
    let source = ElectrumSource::parse(&url, None).unwrap().with_limits(limits);
    assert_eq!(sync(&source, None).unwrap_err().code(), "too_large");
    let noise = "{\"method\":\"blockchain.headers.subscribe\",\"params\":[]}\n".repeat(4_000).into_bytes();
    let source = serve(move |_, _, _| Reply::Raw(noise.clone()));
    let source = source.with_limits(Limits { total_bytes: 100_000, ..Limits::default() });
    assert_eq!(sync(&source, None).unwrap_err().code(), "too_large");
}

#[test]
fn another_chain_is_the_wrong_network() {
    let main = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).header;
    let genesis = move |_: &FakeChain, method: &str, _: &Value| {
        (method == "blockchain.block.header").then(|| Reply::Result(json!(serialize_hex(&main))))
    };
    expect("wrong_network", genesis);
    let source = lying(wallet_chain().0, |_, _, _| None);
    assert_eq!(source.test(Some(Network::MAINNET)).unwrap_err().code(), "wrong_network");
    let free = WalletSpec::parse(&format!("wpkh({TPUB}/0/*)"), None, None, None).unwrap();
    let error =
        sync_wallet(&free, &source, None, false, Some(Network::MAINNET), &|_| {}, &|| false).unwrap_err();
    assert_eq!(error.code(), "wrong_network");
    // A chain that starts with an unknown block.
    let mut own = FakeChain::new();
    own.headers.clear();
    own.headers.push(wallet_chain().0.headers[3]);
    assert_eq!(sync(&lying(own, |_, _, _| None), None).unwrap_err().code(), "wrong_network");
}

#[test]
fn false_proofs_are_found() {
    expect("bad_proof", |chain, method, params| {
        let mut proof =
            (method == "blockchain.transaction.get_merkle").then(|| chain.answer(method, params))?;
        proof["pos"] = json!(0);
        Some(Reply::Result(proof))
    });
    expect("bad_proof", |chain, method, params| {
        let mut proof =
            (method == "blockchain.transaction.get_merkle").then(|| chain.answer(method, params))?;
        proof["pos"] = json!(3);
        Some(Reply::Result(proof))
    });
    // A height it was not confirmed at.
    expect("bad_proof", |chain, method, params| {
        let mut list =
            (method == "blockchain.scripthash.get_history").then(|| chain.answer(method, params))?;
        list.as_array_mut()?.iter_mut().for_each(|entry| entry["height"] = json!(3));
        Some(Reply::Result(list))
    });
}

#[test]
fn contradictions_are_protocol_errors() {
    // Above its own best block.
    expect("protocol", |chain, method, params| {
        let mut list =
            (method == "blockchain.scripthash.get_history").then(|| chain.answer(method, params))?;
        list.as_array_mut()?.iter_mut().for_each(|entry| entry["height"] = json!(6));
        Some(Reply::Result(list))
    });
    // A header from elsewhere in the middle of the chain.
    expect("protocol", |chain, method, params| {
        (method == "blockchain.block.header" && params[0] == 3)
            .then(|| Reply::Result(json!(serialize_hex(&chain.headers[2]))))
    });
    // A header without work.
    expect("protocol", |chain, method, _| {
        let mut header = *chain.headers.last()?;
        while header.validate_pow(header.target()).is_ok() {
            header.nonce += 1;
        }
        (method == "blockchain.headers.subscribe")
            .then(|| Reply::Result(json!({"height": 5, "hex": serialize_hex(&header)})))
    });
    // Another transaction than was asked for, and one that makes coins out of nothing.
    expect("protocol", |_, method, _| {
        let other = FakeChain::payment(FakeChain::foreign(4), own_script(), 1);
        (method == "blockchain.transaction.get").then(|| Reply::Result(json!(serialize_hex(&other))))
    });
    let mut chain = FakeChain::new();
    chain.see(FakeChain::payment(FakeChain::foreign(4), own_script(), u64::MAX));
    assert_eq!(sync(&lying(chain, |_, _, _| None), None).unwrap_err().code(), "protocol");
}

#[test]
fn transactions_that_are_not_ours_are_not_shown() {
    let foreign = FakeChain::payment(FakeChain::foreign(5), ScriptBuf::new_op_return([1]), 0);
    let mut chain = FakeChain::new();
    chain.see(foreign.clone());
    let source = lying(chain, move |_, method, _| {
        let entry = json!([{"tx_hash": foreign.compute_txid(), "height": -1}]);
        (method == "blockchain.scripthash.get_history").then_some(Reply::Result(entry))
    });
    // It also claims that every script is used: the deadline ends the search.
    let limits = Limits { deadline_ms: 1_000, ..Limits::default() };
    assert_eq!(sync(&source.clone().with_limits(limits), None).unwrap_err().code(), "timeout");
    let single = WalletSpec::addresses(&[OWN.to_owned()], None);
    assert!(single.is_ok_and(|spec| {
        sync_wallet(&spec, &source, None, false, None, &|_| {}, &|| false).unwrap().views.is_empty()
    }));
}

#[test]
fn a_refusal_is_passed_on_in_short_printable_words() {
    for method in ["server.version", "blockchain.scripthash.get_history", "blockchain.transaction.get"] {
        expect("refused", move |_, asked, _| {
            (asked == method).then_some(Reply::Refuse("history too large\u{7}\n\u{1b}[31m"))
        });
    }
}

#[test]
fn cancelling_ends_a_sync_even_when_the_server_hangs() {
    let source = lying(wallet_chain().0, |_, method, _| {
        (method == "blockchain.scripthash.get_history").then_some(Reply::Hang)
    });
    let source = source.with_limits(Limits::default());
    let start = Instant::now();
    let cancelled = || start.elapsed() > Duration::from_millis(300);
    let error = sync_wallet(&spec(), &source, None, false, None, &|_| {}, &cancelled).unwrap_err();
    assert_eq!(error, ChainError::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn progress_is_reported_and_ends_complete() {
    let source = lying(wallet_chain().0, |_, _, _| None);
    let seen = Mutex::new(Vec::<SyncProgress>::new());
    let progress = |step: SyncProgress| seen.lock().unwrap().push(step);
    sync_wallet(&spec(), &source, None, false, None, &progress, &|| false).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.iter().all(|step| step.done <= step.total));
    assert_eq!(seen.last().map(|step| (step.done, step.total)), Some((1, 1)));
}

#[test]
fn plain_text_where_tls_is_due_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ssl://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"{\"id\":0,\"result\":[]}\n{\"id\":0,\"result\":[]}\n");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    let error = ElectrumSource::parse(&url, None).unwrap().test(None).unwrap_err();
    assert_eq!(error.code(), "tls", "{error}");
}

/// A SOCKS5 proxy for one connection, which it always leads to `target`; returns its address and what was asked of it.
fn proxy(target: ElectrumSource) -> (String, std::sync::mpsc::Receiver<(String, u16)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut greeting = [0; 3];
        near.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        near.write_all(&[5, 0]).unwrap();
        let mut head = [0; 5];
        near.read_exact(&mut head).unwrap();
        assert_eq!(head[..4], [5, 1, 0, 3], "the name must be resolved by the proxy");
        let mut rest = vec![0; usize::from(head[4]) + 2];
        near.read_exact(&mut rest).unwrap();
        let port = u16::from_be_bytes([rest[rest.len() - 2], rest[rest.len() - 1]]);
        sender.send((String::from_utf8(rest[..rest.len() - 2].to_vec()).unwrap(), port)).unwrap();
        near.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).unwrap();
        let mut far = TcpStream::connect(target.url().strip_prefix("tcp://").unwrap()).unwrap();
        let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
        let _ = std::io::copy(&mut far, &mut near);
    });
    (address, receiver)
}

#[test]
fn with_a_proxy_names_are_resolved_by_it() {
    let (address, asked) = proxy(lying(wallet_chain().0, |_, _, _| None));
    let source = ElectrumSource::parse("tcp://electrumfake.onion:7777", Some(&address)).unwrap();
    assert_eq!(sync(&source, None).unwrap().views.len(), 2);
    assert_eq!(asked.recv().unwrap(), ("electrumfake.onion".to_owned(), 7777));
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = ElectrumSource::parse("tcp://x.onion", Some(&address)).unwrap().test(None).unwrap_err();
    assert_eq!(error.code(), "proxy", "{error}");
    assert!(error.to_string().contains(&address));
}

#[test]
fn a_coin_is_never_spent_before_it_arrived_though_block_times_run_backwards() {
    let mut chain = FakeChain::new();
    chain.step_s = -20;
    let received = FakeChain::payment(FakeChain::foreign(1), own_script(), 1_000);
    let spends = OutPoint { txid: received.compute_txid(), vout: 0 };
    let spent = FakeChain::payment(spends, ScriptBuf::new(), 900);
    chain.mine(Some(received.clone()));
    chain.mine(Some(spent.clone()));
    let views = sync(&lying(chain, |_, _, _| None), None).unwrap().views;
    let status =
        |txid: Txid| views.iter().find(|view| view.txid.to_string() == txid.to_string()).unwrap().status;
    let (first, second) = (status(received.compute_txid()), status(spent.compute_txid()));
    match (first, second) {
        (
            ChainStatus::Confirmed { height: 1, position: 1, time: arrived },
            ChainStatus::Confirmed { height: 2, position: 1, time: left },
        ) => assert_eq!(arrived, left),
        other => panic!("{other:?}"),
    }
}
