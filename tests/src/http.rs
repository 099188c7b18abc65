//! HTTP through curl: a real client, the one the guides use.
//!
//! Builds the command line and reads back status, headers and body; keeps no connection. Refuses to follow redirects
//! and to interpret statuses: the test says what it expects.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::error::{HarnessError, Result};

/// A base address, optional credentials and a time limit.
#[derive(Debug, Clone)]
pub struct Client {
    base_url: String,
    bearer: Option<String>,
    limit: Duration,
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body with transfer codings removed.
    pub body: Vec<u8>,
}

impl Client {
    /// No credentials, 60 s per request.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), bearer: None, limit: Duration::from_secs(60) }
    }

    /// The same with a bearer token on each request.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.into()), ..self.clone() }
    }

    /// The same with another limit per request.
    #[must_use]
    pub fn with_limit(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// GET.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.request("GET", path, &[], None)
    }

    /// DELETE.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn delete(&self, path: &str) -> Result<Response> {
        self.request("DELETE", path, &[], None)
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn post(&self, path: &str, body: &Value) -> Result<Response> {
        self.send_json("POST", path, body)
    }

    /// Any method with a JSON body.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let content_type = [("content-type", "application/json")];
        self.request(method, path, &content_type, Some(body.to_string().as_bytes()))
    }

    /// The request as given: no header is added but the bearer token and what HTTP itself needs.
    ///
    /// # Errors
    /// When curl is missing or no answer comes.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response> {
        let mut command = Command::new("curl");
        // -q: not the user's own settings.
        command.args(["-q", "--silent", "--show-error", "--globoff", "--noproxy", "*", "--dump-header", "-"]);
        command.arg("--max-time").arg(self.limit.as_secs().max(1).to_string());
        match method {
            "HEAD" => command.arg("--head"),
            _ => command.args(["--request", method]),
        };
        if let Some(token) = &self.bearer {
            command.args(["--header", &format!("authorization: Bearer {token}")]);
        }
        for (name, value) in headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        if body.is_some() {
            // Empty values stop curl from adding headers of its own choice.
            command.args(["--data-binary", "@-", "--header", "expect:"]);
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                command.args(["--header", "content-type:"]);
            }
        }
        command.arg(format!("{}{path}", self.base_url));
        run_curl(command, body, &format!("{method} {path}"))
    }
}

/// Feeds the body, collects the answer.
fn run_curl(mut command: Command, body: Option<&[u8]>, what: &str) -> Result<Response> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(HarnessError::io("start curl"))?;
    if let (Some(mut stdin), Some(body)) = (child.stdin.take(), body) {
        // curl reads all of its input before it writes any output, so this cannot block for ever.
        stdin.write_all(body).map_err(HarnessError::io(format!("{what}: hand the body to curl")))?;
    }
    let output = child.wait_with_output().map_err(HarnessError::io(format!("{what}: wait for curl")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(HarnessError::Failed(format!("{what}: {}", said.trim())));
    }
    parse(&output.stdout).ok_or_else(|| {
        let text = String::from_utf8_lossy(&output.stdout);
        HarnessError::Failed(format!(
            "{what}: no HTTP answer in `{}`",
            text.chars().take(200).collect::<String>()
        ))
    })
}

/// Header block, empty line, body; interim answers (1xx) come first and are passed over.
pub(crate) fn parse(mut bytes: &[u8]) -> Option<Response> {
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, body) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
        if status >= 200 {
            let header = |line: &str| {
                line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            };
            return Some(Response {
                status,
                headers: lines.filter_map(header).collect(),
                body: body.to_vec(),
            });
        }
        bytes = body;
    }
}

impl Response {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .map_err(HarnessError::json(format!("decode a body of status {}", self.status), &self.text()))
    }

    /// Itself, if the status is the expected one.
    ///
    /// # Errors
    /// When it is another; the body is in the error.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        Err(HarnessError::Failed(format!("expected status {status}, got {}: {}", self.status, self.text())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::process::free_port;
    use std::io::Read;
    use std::net::TcpListener;

    /// Serves one canned answer and hands back the request as it arrived.
    fn exchange(
        answer: &'static str,
        act: impl FnOnce(Client) -> Result<Response>,
    ) -> (String, Result<Response>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 64 * 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let response = act(Client::new(format!("http://127.0.0.1:{port}")));
        (server.join().unwrap(), response)
    }

    #[test]
    fn a_chunked_answer_is_joined_and_headers_are_found() {
        let answer = "HTTP/1.1 201 Created\r\nX-Request-Id: r1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                      4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
        let (request, response) =
            exchange(answer, |c| c.with_bearer("t").post("/v1/x?y=[1]", &serde_json::json!({"b": 2})));
        let response = response.unwrap().expect_status(201).unwrap();
        assert_eq!(response.header("x-request-id"), Some("r1"));
        assert_eq!(response.json().unwrap()["a"], 1);
        assert!(request.starts_with("POST /v1/x?y=[1] HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("authorization: Bearer t\r\n") && request.ends_with("{\"b\":2}"),
            "{request}"
        );
        assert!(request.contains("content-type: application/json\r\n"), "{request}");
    }

    #[test]
    fn a_body_without_a_type_is_sent_without_a_type() {
        let answer =
            "HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
        let (request, response) = exchange(answer, |c| c.request("PUT", "/", &[], Some(b"x")));
        assert!(!request.to_ascii_lowercase().contains("content-type"), "{request}");
        let error = response.unwrap().expect_status(200).unwrap_err().to_string();
        assert!(error.contains("415") && error.contains("no"), "{error}");
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let client = Client::new(format!("http://127.0.0.1:{}", free_port().unwrap()));
        assert!(client.get("/").is_err());
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let response = parse(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody").unwrap();
        assert_eq!(
            (response.status, response.header("a"), response.text().as_str()),
            (200, Some("b"), "body")
        );
        assert!(parse(b"").is_none() && parse(b"HTTP/1.1 x\r\n\r\n").is_none());
    }
}
