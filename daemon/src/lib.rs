//! The Nacre daemon as a library: REST API, identity, jobs and the system store, on one data folder.
//!
//! Invariants: HTTP and JSON live here and nowhere in the engine; `redb` is named only in [`store`];
//! no blocking call runs on an async thread. The binary and the tests start it through [`server::start`].

pub mod chain;
pub mod cli;
pub mod config;
pub mod jobs;
pub mod server;

#[allow(unused_qualifications, reason = "the OpenAPI macros write them")]
mod api;
mod backup;
mod books;
mod clock;
mod control;
mod demo;
mod identity;
mod observe;
mod rates;
mod room;
mod state;
mod store;
mod workspaces;

pub use config::Config;
pub use state::AppState;
