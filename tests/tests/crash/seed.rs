//! The one source of chance: a number that is printed with every failure and can be given again.

use std::fmt;
use std::time::Duration;

/// A stream of numbers that its first one decides (SplitMix64).
pub struct Seed {
    first: u64,
    state: u64,
}

impl Seed {
    /// From `CRASH_SEED`, by default always the same.
    pub fn from_environment() -> Self {
        let first = std::env::var("CRASH_SEED").ok().map_or(2_100, |text| text.parse().unwrap());
        Self { first, state: first }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A time up to `longest`.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.next() % (longest.as_micros() as u64 + 1))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CRASH_SEED={}", self.first)
    }
}
