//! The real daemon, killed with SIGKILL at random moments of its work: what it acknowledged is there after the restart,
//! what it did not acknowledge is there whole or not at all.
//!
//! `CRASH_SEED` chooses another run and `CRASH_ROUNDS` its length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../account/mod.rs"]
mod account;
mod births;
mod seed;
