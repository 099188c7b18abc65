//! Counts failures per key (an account, an address) within a window and says how long to wait once there
//! are too many. In memory and bounded: a restart forgives.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys remembered at most; beyond that the oldest windows are dropped.
const MAX_KEYS: usize = 10_000;

/// Failures per key.
pub(super) struct Throttle<K = String> {
    allowed: u32,
    window: Duration,
    seen: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    opened: Instant,
    failures: u32,
}

impl<K: Eq + Hash> Throttle<K> {
    pub(super) fn new(allowed: u32, window: Duration) -> Self {
        Self { allowed, window, seen: Mutex::default() }
    }

    /// Seconds to wait, if the key has failed too often.
    pub(super) fn wait_secs(&self, key: &K) -> Option<u64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let window = seen.get(key)?;
        let left = self.window.checked_sub(window.opened.elapsed())?;
        (window.failures >= self.allowed).then(|| left.as_secs() + 1)
    }

    /// Notes a failure.
    pub(super) fn failed(&self, key: K) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window { opened: Instant::now(), failures: 0 };
        if seen.len() >= MAX_KEYS {
            seen.retain(|_, window| window.opened.elapsed() < self.window);
            if seen.len() >= MAX_KEYS {
                seen.clear();
            }
        }
        let window = seen.entry(key).or_insert(fresh);
        if window.opened.elapsed() >= self.window {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
    }

    /// Forgives a key.
    pub(super) fn succeeded(&self, key: &K) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use std::time::Duration;

    #[test]
    fn too_many_failures_wait_and_a_success_or_time_forgives() {
        let throttle = Throttle::new(2, Duration::from_millis(50));
        throttle.failed("a");
        assert_eq!(throttle.wait_secs(&"a"), None);
        throttle.failed("a");
        assert_eq!(throttle.wait_secs(&"a"), Some(1));
        assert_eq!(throttle.wait_secs(&"b"), None);
        throttle.succeeded(&"a");
        assert_eq!(throttle.wait_secs(&"a"), None);
        throttle.failed("c");
        throttle.failed("c");
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(throttle.wait_secs(&"c"), None);
    }
}
