//! The storage layer for the benchmarks alone: no part of the engine's interface.

pub use crate::store::BlockMap;
