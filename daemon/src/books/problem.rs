//! What the engine refuses, as the API says it. Damage and disk failures are logged with their cause; the answer
//! says what to do and names no path.

use nacre_engine::Error;
use nacre_engine::error::Refusal;

use crate::server::problem::{Code, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { what, .. } => Self::not_found(what),
            Error::Invalid { field, problem } => Self::field(field, format!("{field}: {problem}")),
            Error::Refused { reason, problem } => {
                let code = match reason {
                    Refusal::NotFinal => Code::NotFinal,
                    Refusal::SealOverlaps => Code::SealOverlaps,
                    Refusal::NotRestated => Code::NotRestated,
                    Refusal::SealSuperseded => Code::SealSuperseded,
                };
                Self::new(code, problem)
            }
            Error::Overflow(_) => {
                let message = format!("{error}; a number is larger than any real one could be, correct it");
                Self::new(Code::AmountOutOfRange, message)
            }
            Error::TimeRange(_) => Self::new(Code::AmountOutOfRange, error.to_string()),
            Error::Cancelled => {
                Self::new(Code::NotReady, "the server is stopping and nothing was written; try again later")
                    .retry_after(5)
            }
            Error::Full(_) => Self::full(&error),
            Error::Storage(_) => {
                tracing::error!(%error, "a book cannot be read or written");
                let message = "the book cannot be read or written now; check the disk of the data folder, then try again";
                Self::new(Code::StorageFailed, message).retry_after(30)
            }
            Error::Format(_) => {
                tracing::error!(%error, "a book cannot be opened");
                let message = "the book's file is not one this version can open; use the version that wrote it, or restore a backup";
                Self::new(Code::BookFormat, message)
            }
            Error::Corrupt(_) => {
                tracing::error!(%error, "a book is damaged");
                let message = "the book is damaged and nothing was written; run nacre verify, then restore a backup or process with ?full=true";
                Self::new(Code::BookDamaged, message)
            }
        }
    }
}
