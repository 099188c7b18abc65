//! A second, naive set of books to hold the engine against.
//!
//! `world` makes facts from bytes, `naive` keeps books of them in plain loops, `drive` feeds them to a [`Book`],
//! `check` holds the two against each other, `then` holds the sums of stretches of time against their rows.
//! Invariant: `naive` shares no code with the engine. Refuses to be fast.
//!
//! [`Book`]: nacre_engine::book::Book

pub mod check;
pub mod drive;
pub mod events;
pub mod naive;
pub mod then;
pub mod world;
