//! `nacre serve`: run the server until SIGTERM or SIGINT. Prints one line when it accepts requests.

use std::error::Error;
use std::io::Write;

use crate::config::Config;
use crate::{observe, server};

/// Serves until a signal asks to stop.
pub(crate) fn run(config: Config) -> Result<(), Box<dyn Error>> {
    observe::log::init(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = server::start(config).await?;
        announce(&running)?;
        server::stop_signal().await?;
        running.shutdown().await;
        Ok(())
    })
}

fn announce(running: &server::Running) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "nacre listening on http://{}", running.addr)?;
    out.flush()
}
