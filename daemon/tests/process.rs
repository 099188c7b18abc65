//! The binary as a process, and the bounds on what clients may take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Answer, Request, Server};

#[test]
fn serve_prints_one_line_answers_and_stops_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_nacre"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("NACRE_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let addr: SocketAddr = line.trim().strip_prefix("nacre listening on http://").unwrap().parse().unwrap();
    assert_eq!(Request::new("GET", "/readyz").send(addr).status, 200);
    let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", process.id())]).status().unwrap();
    assert!(kill.success());
    assert!(process.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line and no more");
}

#[test]
fn all_wrong_settings_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nacre"))
        .args(["serve", "--listen", "nowhere", "--registration", "maybe", "--data-dir"])
        .arg(folder.path())
        .env("NACRE_CACHE_MIB", "none")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in ["3 mistake(s)", "--listen", "--registration", "NACRE_CACHE_MIB"] {
        assert!(said.contains(word), "{word} missing in {said}");
    }
}

#[test]
fn two_servers_cannot_have_one_data_folder() {
    let server = Server::start();
    let second = Command::new(env!("CARGO_BIN_EXE_nacre"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("system.redb"));
}

/// A request whose body never comes.
fn hang(addr: SocketAddr, head: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(format!("{head}host: t\r\ncontent-length: 9\r\n\r\n{{").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    BufReader::new(stream)
}

const LOGIN: &str = "POST /v1/auth/login HTTP/1.1\r\ncontent-type: application/json\r\n";

#[test]
fn a_busy_server_refuses_at_once_and_still_answers_probes() {
    let server = Server::with(|config| config.max_concurrent_requests = 1);
    let token = server.user("ada");
    // An import is at work while its body comes.
    let head = format!(
        "POST /v1/rates/import HTTP/1.1\r\ncontent-type: text/csv\r\nauthorization: Bearer {token}\r\n"
    );
    let import = hang(server.addr, &head);
    std::thread::sleep(Duration::from_millis(200));
    let refused = server.get("/v1/workspaces", "");
    refused.is_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.get("/readyz", "").status, 200, "probes are exempt");
    drop(import);
    std::thread::sleep(Duration::from_millis(200));
    server.get("/v1/workspaces", "").is_problem(401, "unauthenticated");
}

#[test]
fn a_body_that_does_not_come_takes_no_place_and_is_cut_off() {
    let server = Server::with(|config| {
        config.max_concurrent_requests = 1;
        config.request_timeout_secs = 1;
    });
    let mut slow = hang(server.addr, LOGIN);
    std::thread::sleep(Duration::from_millis(200));
    server.get("/v1/workspaces", "").is_problem(401, "unauthenticated");
    let cut = Answer::read_head(&mut slow);
    assert_eq!((cut.status, cut.header("retry-after")), (503, Some("1")));
}

#[test]
fn a_client_that_hangs_up_leaves_one_answer_for_its_key() {
    let server = Server::start();
    let token = server.user("ada");
    let request = || {
        let request = Request::new("POST", "/v1/workspaces").token(&token).header("idempotency-key", "k");
        request.json(r#"{"label":"a"}"#)
    };
    drop(request().open(server.addr));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(request().send(server.addr).status, 201);
    assert_eq!(server.get("/v1/workspaces", &token).json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn answers_are_compressed_for_those_who_can_read_it() {
    let server = Server::start();
    let mut reader = Request::new("GET", "/openapi.json").header("accept-encoding", "gzip").open(server.addr);
    assert_eq!(Answer::read_head(&mut reader).header("content-encoding"), Some("gzip"));
}
