//! A server in this process on a free loopback port, and the plainest HTTP client that can talk to it.
//! The client is our own so that tests see the bytes: status, headers, body, nothing retried or followed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use nacre::Config;
use nacre::server::Running;
use serde_json::Value;
use tokio::runtime::Runtime;

pub struct Server {
    pub addr: SocketAddr,
    pub running: Option<Running>,
    pub runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change)
    }

    pub fn on(folder: tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::for_data_dir(folder.path());
        change(&mut config);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(nacre::server::start(config)).unwrap();
        Self { addr: running.addr, running: Some(running), runtime, folder }
    }

    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Stops the server and gives its data folder back.
    pub fn stop(mut self) -> tempfile::TempDir {
        self.runtime.block_on(self.running.take().unwrap().shutdown());
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        self.folder
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        Request::new("GET", path).token(token).send(self.addr)
    }

    pub fn post(&self, path: &str, token: &str, body: &str) -> Answer {
        Request::new("POST", path).token(token).json(body).send(self.addr)
    }

    pub fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        Request::new(method, path).token(token).json(body).send(self.addr)
    }

    /// Registers a user and logs in.
    pub fn user(&self, name: &str) -> String {
        let body = format!(r#"{{"email":"{name}@example.org","password":"correct horse"}}"#);
        assert_eq!(self.post("/v1/auth/register", "", &body).status, 201);
        self.login(name)
    }

    pub fn login(&self, name: &str) -> String {
        let body = format!(r#"{{"email":"{name}@example.org","password":"correct horse"}}"#);
        let answer = self.post("/v1/auth/login", "", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub fn user_id(&self, token: &str) -> uuid::Uuid {
        self.get("/v1/auth/me", token).json()["id"].as_str().unwrap().parse().unwrap()
    }

    pub fn workspace(&self, token: &str) -> String {
        let answer = self.post("/v1/workspaces", token, r#"{"label":"my-workspace"}"#);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.text("id")
    }
}

pub struct Request {
    head: String,
    body: Vec<u8>,
    chunked: bool,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        Self { head, body: Vec::new(), chunked: false }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn token(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.header("authorization", &format!("Bearer {token}")) }
    }

    pub fn json(self, body: &str) -> Self {
        if body.is_empty() {
            self
        } else {
            self.header("content-type", "application/json").body(body.as_bytes())
        }
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub fn send(self, addr: SocketAddr) -> Answer {
        Answer::read(&mut self.header("connection", "close").open(addr))
    }

    /// Sends the request and leaves the answer to be read.
    pub fn open(self, addr: SocketAddr) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let framing = if self.chunked {
            "transfer-encoding: chunked\r\n\r\n".to_owned()
        } else {
            format!("content-length: {}\r\n\r\n", self.body.len())
        };
        stream.write_all(self.head.as_bytes()).unwrap();
        stream.write_all(framing.as_bytes()).unwrap();
        // The server may refuse and close while we still send.
        let _ = if self.chunked {
            let mut framed = format!("{:x}\r\n", self.body.len()).into_bytes();
            framed.extend_from_slice(&self.body);
            framed.extend_from_slice(b"\r\n0\r\n\r\n");
            stream.write_all(&framed)
        } else {
            stream.write_all(&self.body)
        };
        BufReader::new(stream)
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn read_head(reader: &mut impl BufRead) -> Self {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status =
            line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                None => return Self { status, headers, body: String::new() },
            }
        }
    }

    fn read(reader: &mut impl BufRead) -> Self {
        let mut answer = Self::read_head(reader);
        let mut bytes = Vec::new();
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = read_chunk(reader) {
                bytes.extend_from_slice(&chunk);
            }
        } else {
            reader.read_to_end(&mut bytes).unwrap();
        }
        answer.body = String::from_utf8(bytes).unwrap();
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body)).to_owned()
    }

    /// Asserts that this is a whole problem with the given status and code.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["detail"], body["message"]);
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        for field in ["type", "title", "detail"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} missing in {body}");
        }
        assert_eq!(self.header("www-authenticate").is_some(), status == 401);
        body
    }
}

/// The next chunk of a chunked body; `None` after the last one or when the connection ends.
pub fn read_chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let length = usize::from_str_radix(line.trim(), 16).ok().filter(|length| *length > 0)?;
    let mut chunk = vec![0; length + 2];
    reader.read_exact(&mut chunk).unwrap();
    chunk.truncate(length);
    Some(chunk)
}
