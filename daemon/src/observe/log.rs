//! The log: one line per event on standard error, filtered by the `log` setting.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the process's log. A second call (tests in one process) changes nothing.
pub(crate) fn init(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr);
    // An already installed subscriber is not an error for us: the first one stays.
    let _ = log.try_init();
}
