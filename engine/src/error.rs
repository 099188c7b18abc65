//! The errors of the engine: small, closed, lower-case; each says what was wrong and, where it helps, what to do.
//!
//! Owns: [`Error`] and the `Result` alias. Refuses: panics as control flow, strings as error types.

use crate::time::Timestamp;

/// What can go wrong in an operation on a book.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The storage layer failed; the book should be reopened.
    #[error("book storage failed: {0}")]
    Storage(String),
    /// There is no room for the write; nothing was written. The book should be reopened.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The file is not a book, or one of another format version.
    #[error("not a book this version can open: {0}")]
    Format(String),
    /// A stored value did not decode or a stored law does not hold.
    #[error("book is damaged: {0}; run verify, then restore a backup or rebuild")]
    Corrupt(String),
    /// The named thing is not in this book.
    #[error("{what} {id} is not in this book")]
    NotFound {
        /// What kind of thing was looked for.
        what: &'static str,
        /// Its identifier as given.
        id: String,
    },
    /// A value handed in is not acceptable.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field the value was for.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The operation makes no sense as things stand; nothing was written.
    #[error("{problem}")]
    Refused {
        /// Why, for programs.
        reason: Refusal,
        /// Why, and what to do.
        problem: String,
    },
    /// Arithmetic left the range of the unit; nothing was written.
    #[error("amount out of range in {0}")]
    Overflow(&'static str),
    /// A day in a zone could not be turned into an instant.
    #[error("time {0} is out of the supported range (years -9999 to 9999)")]
    TimeRange(Timestamp),
    /// The operation was cancelled by its caller; nothing was written.
    #[error("cancelled")]
    Cancelled,
}

/// Why an operation makes no sense as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something waits for the next process, or is in quarantine.
    NotFinal,
    /// The period is sealed already, in part or whole.
    SealOverlaps,
    /// The books say what was sealed.
    NotRestated,
    /// A revision replaced the seal.
    SealSuperseded,
}

impl Error {
    /// A [`Error::Refused`].
    pub fn refused(reason: Refusal, problem: impl Into<String>) -> Self {
        Error::Refused { reason, problem: problem.into() }
    }

    /// A [`Error::Invalid`] for `field`.
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Error::Invalid { field, problem: problem.into() }
    }

    /// A [`Error::NotFound`] for the thing `what` named `id`.
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Error::NotFound { what, id: id.into() }
    }
}

/// Result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
