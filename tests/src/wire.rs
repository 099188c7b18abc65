//! HTTP on a bare socket: requests that are cut off, dribbled, never finished or answered by nobody.
//!
//! Owns the bytes of one request on one connection, so that a test decides what is sent and when. A whole answer is
//! told from a part of one. For ordinary requests there is [`crate::http::Client`].

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::error::{HarnessError, Result};
use crate::http::{Response, parse};

const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A request before it is sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    path: String,
    bearer: String,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &'static str, path: impl Into<String>, bearer: &str) -> Self {
        let bearer = bearer.into();
        Self { method, path: path.into(), bearer, content_type: "application/json", body: Vec::new() }
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..self }
    }

    /// The same with a CSV body.
    #[must_use]
    pub fn csv(self, body: &str) -> Self {
        Self { content_type: "text/csv", body: body.into(), ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { method, path, bearer, content_type, body } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer {bearer}\r\n\
             content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }

    /// Sends it and leaves the answer to be read.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(&self, address: SocketAddr) -> Result<InFlight> {
        let mut stream = connect(address)?;
        // A server that dies or refuses while we send is what the answer, or its absence, will tell.
        let _ = stream.write_all(&self.bytes());
        Ok(InFlight { stream })
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn send(&self, address: SocketAddr) -> Result<Response> {
        let answer = self.open(address)?.answer();
        answer.ok_or_else(|| HarnessError::Failed(format!("no answer to {} {}", self.method, self.path)))
    }

    /// Sends it and expects an answer of this status with a JSON body.
    ///
    /// # Errors
    /// When another or none comes; the body is in the error.
    pub fn expect_json(&self, address: SocketAddr, status: u16) -> Result<Value> {
        self.send(address)?.expect_status(status)?.json()
    }
}

/// A request that was sent.
#[derive(Debug)]
pub struct InFlight {
    stream: TcpStream,
}

impl InFlight {
    /// The whole answer, or `None` when the connection ended before there was one.
    pub fn answer(mut self) -> Option<Response> {
        let mut bytes = Vec::new();
        // A reset is an end too: what came before it is what there is.
        let _ = self.stream.read_to_end(&mut bytes);
        parse(&bytes).filter(is_whole)
    }
}

/// Connects with a limit on every read.
///
/// # Errors
/// When nobody listens.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).map_err(HarnessError::io(format!("connect to {address}")))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(HarnessError::io("set a time limit"))?;
    Ok(stream)
}

fn is_whole(response: &Response) -> bool {
    match response.header("content-length").map(str::parse::<usize>) {
        Some(length) => length == Ok(response.body.len()),
        None => {
            response.header("transfer-encoding") != Some("chunked") || response.body.ends_with(b"0\r\n\r\n")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    fn exchange(answer: &'static [u8]) -> Result<Response> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].ends_with(b"\r\n\r\n{\"a\":1}"));
            stream.write_all(answer).unwrap();
        });
        let response = Request::new("POST", "/x", "t").json(&serde_json::json!({"a": 1})).send(address);
        server.join().unwrap();
        response
    }

    #[test]
    fn part_of_an_answer_is_no_answer() {
        let whole = exchange(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((whole.status, whole.text().as_str()), (200, "{}"));
        assert!(exchange(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{").is_err());
        assert!(exchange(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n").is_err());
        assert!(exchange(b"HTTP/1.1 200").is_err() && exchange(b"").is_err());
    }
}
