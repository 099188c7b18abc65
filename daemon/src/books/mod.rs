//! The books of all profiles: open files, who may use them, what their connections are, and what goes into them.
//!
//! Invariant: every call of the engine goes through [`Books`], so none runs on an async thread and every book has
//! one writer.

mod access;
pub(crate) mod connections;
pub(crate) mod imports;
pub(crate) mod kinds;
pub(crate) mod leftovers;
mod problem;
mod registry;
mod settings;
mod spool;
pub(crate) mod what_if;

pub(crate) use access::{BookAccess, now};
pub(crate) use registry::{Books, book_of, file_name};
pub(crate) use settings::check as check_settings;
pub(crate) use spool::Spool;
