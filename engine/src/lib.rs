//! Exact Bitcoin books in one file: facts in; journal, lots and reports out.
//!
//! The engine is a deterministic function of its file and its arguments: it has no clock, randomness, socket,
//! environment, thread or JSON. Data flows one way: bytes → record → event → entry → lot and lot use → report.

pub mod book;
pub(crate) mod derive;
pub mod error;
pub mod id;
pub mod import;
pub mod journal;
pub(crate) mod lots;
#[doc(hidden)]
pub mod measure;
pub mod model;
pub mod money;
pub mod normalise;
pub mod reports;
pub(crate) mod store;
pub mod time;

pub use error::{Error, Result};

/// Internals for the fuzz targets; no part of the API.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use store::fuzzing;
pub use store::{FORMAT, is_full, make_whole};
