//! Clients that take their time: they cost others nothing, are dropped in the end, and do not hold up a stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "account/mod.rs"]
mod account;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions};
use nacre_tests::wire::connect;
use serde_json::json;

use account::{Profile, text};

const DRIBBLERS: usize = 200;
/// More than the requests the daemon works on at once.
const UNFINISHED: usize = 150;
/// Far beyond every timeout of the daemon.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the server has ended the connection; reads away what it said.
fn ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut said = [0; 1024];
    loop {
        match stream.read(&mut said) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn hundreds_of_slow_clients_stop_nobody_and_are_dropped() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let options = DaemonOptions::new(folder.path().join("data")).env("NACRE_REQUEST_TIMEOUT_SECS", "3");
    let daemon = Daemon::start(options)?;
    let profile = Profile::set_up(daemon.address(), "tcp://127.0.0.1:1")?;

    let mut slow = Vec::new();
    for _ in 0..UNFINISHED {
        let mut stream = connect(daemon.address())?;
        let head = "POST /v1/auth/login HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n";
        stream.write_all(format!("{head}content-length: 90\r\n\r\n{{\"email\"").as_bytes()).unwrap();
        slow.push(stream);
    }
    for _ in 0..DRIBBLERS {
        let mut stream = connect(daemon.address())?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: t\r\nx-slow: ").unwrap();
        slow.push(stream);
    }

    let start = Instant::now();
    let (mut served, mut open) = (0, slow.len());
    while open > 0 {
        assert!(start.elapsed() < PATIENCE, "{open} slow clients are still connected");
        profile.anywhere("GET", "/v1/workspaces").expect_json(daemon.address(), 200)?;
        served += 1;
        slow.retain_mut(|stream| !ended(stream));
        // One byte at a time, so that the connection is never idle.
        for stream in &mut slow {
            let _ = stream.write(b"a");
        }
        open = slow.len();
        thread::sleep(Duration::from_millis(250));
    }
    eprintln!(
        "{served} requests served beside {} slow clients, all dropped after {:?}",
        UNFINISHED + DRIBBLERS,
        start.elapsed()
    );
    assert!(served > 2, "they were dropped before anyone asked");
    daemon.client().get("/readyz")?.expect_status(200)?;
    Ok(())
}

#[test]
fn a_stop_ends_an_open_stream_and_its_operation() -> Result<()> {
    // An Electrum server that takes connections and says nothing, so that a sync stays at work.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    thread::spawn(move || silent.incoming().map_while(std::result::Result::ok).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")))?;
    let mut profile = Profile::set_up(daemon.address(), &url)?;
    let address =
        json!({ "addresses": ["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"], "network": "regtest" });
    profile.connect("wallet", "Address", address)?;
    let started = profile.request("POST", "/connections/sync").expect_json(daemon.address(), 202)?;
    let operation = text(&started["operation_id"]);

    let mut stream = connect(daemon.address())?;
    let path = format!("/v1/notifications/stream?operation_id={operation}");
    let head = format!("GET {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {}\r\n\r\n", profile.token);
    stream.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    let running = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"Running\"")));
    assert!(running.is_some(), "the stream does not tell of the operation");

    let start = Instant::now();
    let status = daemon.stop()?;
    eprintln!("stopped {:?} after SIGTERM, with an open stream", start.elapsed());
    assert!(status.success(), "{status}: {}", daemon.output());
    assert!(start.elapsed() < Duration::from_secs(20));
    // The stream ends instead of waiting for ever.
    assert!(lines.all(|line| line.is_ok() || line.is_err_and(|error| error.kind() != ErrorKind::WouldBlock)));

    daemon.start_again()?;
    let path = format!("/v1/operations/{operation}");
    let ended = profile.anywhere("GET", &path).expect_json(daemon.address(), 200)?;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("Failed"), &json!("interrupted")));
    Ok(())
}
