//! Prometheus metrics of the process, rendered by `GET /metrics`. One recorder per process, shared by all
//! servers in it (tests start several).

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder if this process has none yet.
pub(crate) fn init() {
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().ok());
}

/// The current metrics in Prometheus text format; empty if another recorder owns the process.
pub(crate) fn render() -> String {
    match RECORDER.get() {
        Some(Some(handle)) => {
            handle.run_upkeep();
            handle.render()
        }
        _ => String::new(),
    }
}

/// Counts one answered request.
pub(crate) fn request_done(method: &str, route: &str, status: u16, took: Duration) {
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
    metrics::counter!("nacre_http_requests_total", &labels).increment(1);
    metrics::histogram!("nacre_http_request_seconds", "route" => route.to_owned()).record(took.as_secs_f64());
}
