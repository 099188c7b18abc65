//! What can go wrong in the harness, told so that a failing test needs no debugger.
//!
//! `Debug` prints the same sentence as `Display`, because `#[test] fn … -> Result<()>` shows the debug form.

use std::fmt;

/// The result of every harness call.
pub type Result<T> = std::result::Result<T, HarnessError>;

/// A failure of a program under test or of the harness itself.
#[derive(thiserror::Error)]
pub enum HarnessError {
    /// A file, socket or child process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// An answer was not the JSON that was expected.
    #[error("{what}: {source}; the answer was: {answer}")]
    Json {
        /// What was decoded.
        what: String,
        /// Why it could not be.
        source: serde_json::Error,
        /// The beginning of the answer.
        answer: String,
    },
    /// A JSON-RPC server refused a call.
    #[error("{method} was refused with code {code}: {message}")]
    Rpc {
        /// The method called.
        method: String,
        /// The server's error code.
        code: i64,
        /// The server's message.
        message: String,
    },
    /// Something did not happen in time.
    #[error("waited {waited_ms} ms in vain for {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long, in milliseconds.
        waited_ms: u128,
    },
    /// Anything else, in one sentence.
    #[error("{0}")]
    Failed(String),
}

impl fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl HarnessError {
    /// For `map_err`: an I/O error with what was being attempted.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: a JSON error with the beginning of the text that was not understood.
    pub fn json(what: impl Into<String>, answer: &str) -> impl FnOnce(serde_json::Error) -> Self {
        let (what, answer) = (what.into(), answer.chars().take(500).collect());
        move |source| Self::Json { what, source, answer }
    }
}
