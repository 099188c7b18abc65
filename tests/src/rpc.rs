//! JSON-RPC to bitcoind: one request per connection over a plain socket.
//!
//! Answers are decoded straight into the caller's type, so an amount can be taken as [`crate::sats::Sats`] without ever
//! being a float. Refuses redirects, TLS and anything bitcoind does not speak.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::error::{HarnessError, Result};

/// Longest wait for one answer; mining hundreds of blocks takes seconds on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A JSON-RPC endpoint with its credentials.
#[derive(Debug, Clone)]
pub struct Rpc {
    port: u16,
    path: String,
    authorization: String,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Answer<T> {
    // `null` is an answer too (`T = ()`), so presence is told by `error` alone.
    #[serde(default = "none")]
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

fn none<T>() -> Option<T> {
    None
}

impl Rpc {
    /// An endpoint on loopback.
    pub fn new(port: u16, user: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self { port, path: "/".into(), authorization }
    }

    /// The same server, with calls going to one of its wallets.
    pub fn for_wallet(&self, name: &str) -> Self {
        Self { path: format!("/wallet/{name}"), ..self.clone() }
    }

    /// Calls `method` with an array or object of parameters and decodes the result.
    ///
    /// # Errors
    /// [`HarnessError::Rpc`] when bitcoind refuses, otherwise what failed on the way.
    pub fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T> {
        let text = self.exchange(method, &params)?;
        let decoded = serde_json::from_str::<Answer<T>>(&text);
        let answer = decoded.map_err(HarnessError::json(format!("decode the answer to {method}"), &text))?;
        match (answer.error, answer.result) {
            (Some(Refusal { code, message }), _) => {
                Err(HarnessError::Rpc { method: method.into(), code, message })
            }
            (None, Some(result)) => Ok(result),
            (None, None) => serde_json::from_value(Value::Null)
                .map_err(HarnessError::json(format!("decode the answer to {method}"), &text)),
        }
    }

    fn exchange(&self, method: &str, params: &Value) -> Result<String> {
        let body = json!({ "id": 0, "method": method, "params": params }).to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.path,
            self.authorization,
            body.len()
        );
        let io = |step: &str| HarnessError::io(format!("{method}: {step} 127.0.0.1:{}", self.port));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(io("connect to"))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(io("set a time limit for"))?;
        stream.write_all(request.as_bytes()).map_err(io("write to"))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(io("read from"))?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if body.is_empty() {
            let status = head.lines().next().unwrap_or("nothing");
            return Err(HarnessError::Failed(format!("{method}: bitcoind answered {status} without a body")));
        }
        Ok(body.into())
    }
}
