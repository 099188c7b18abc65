//! The harness of the end-to-end tests: real programs on loopback, each stopped when its value is dropped.
//!
//! Owns the life of the programs a test needs (bitcoind, ElectrumX, the `nacre` binary) and the small clients to talk
//! to them. Every wait has a limit and ends in an error that quotes the program's log; nothing is skipped when a
//! program is missing. Only `api` knows the product; no other file names a route, and none names a table.

pub mod api;
pub mod bitcoind;
pub mod daemon;
pub mod electrum;
pub mod electrumx;
pub mod error;
pub mod http;
pub mod process;
pub mod programs;
pub mod rpc;
pub mod sats;
pub mod wallet;
pub mod wire;

pub use error::{HarnessError, Result};
