//! The daemon's one reading of the wall clock, and its one rendering of instants (RFC 3339, UTC).
//! Instants are stored as `i64` milliseconds since the Unix epoch. The engine never sees this module.

use jiff::Timestamp;

/// Milliseconds since the Unix epoch, now.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Seconds since the Unix epoch, now.
pub(crate) fn now_secs() -> i64 {
    Timestamp::now().as_second()
}

/// An instant as RFC 3339 in UTC. Instants outside the calendar (never written by us) render as the epoch.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
