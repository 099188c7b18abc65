//! Logs and metrics. Both name routes by their pattern, never by their path, so ids do not leak into labels.

pub(crate) mod log;
pub(crate) mod metrics;
