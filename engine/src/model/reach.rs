//! [`Reach`]: how far the rows of a day reach into the pools. Derived; it lets a replay pass over days.

use serde::{Deserialize, Serialize};

/// What the rows of one day touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Whether a row depends on lots in a way that no reach tells: it waits for lots, names them, or looked for one in vain.
    pub open: bool,
    /// By pool.
    pub pools: Vec<PoolReach>,
}

/// What they touch in one pool, as ordered bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolReach {
    /// The pool.
    pub pool: [u8; 4],
    /// The lot touched that comes last in the order of the method.
    pub furthest: Vec<u8>,
    /// The event that opened the lot touched that was opened first.
    pub oldest: Vec<u8>,
}

impl Reach {
    /// What they touch in one pool.
    pub fn pool(&self, pool: &[u8; 4]) -> Option<&PoolReach> {
        self.pools.iter().find(|reach| reach.pool == *pool)
    }
}
