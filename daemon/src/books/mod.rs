//! The books of all profiles: open files, who may use them, and what is copied into them from the system store.
//!
//! Invariant: every call of the engine goes through [`Books`], so none runs on an async thread and every book has
//! one writer.

mod access;
mod problem;
mod registry;

pub(crate) use access::{BookAccess, now};
pub(crate) use registry::Books;
