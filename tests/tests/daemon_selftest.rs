//! The harness against the real `nacre` binary: it starts, answers, survives a kill and stops when asked.
#![allow(clippy::unwrap_used, clippy::panic)]

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions, run_nacre};

#[test]
fn the_daemon_answers_survives_a_kill_and_stops_in_order() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")))?;
    daemon.client().get("/healthz")?.expect_status(200)?;
    daemon.client().get("/readyz")?.expect_status(200)?;
    assert!(daemon.rss_kib()? > 0 && daemon.peak_rss_kib()? >= daemon.rss_kib()?);
    assert!(daemon.data_dir().is_dir());

    daemon.kill_hard()?;
    assert!(!daemon.is_running()?);
    assert!(daemon.client().get("/healthz").is_err());

    daemon.start_again()?;
    daemon.client().get("/healthz")?.expect_status(200)?;
    assert!(daemon.stop()?.success(), "{}", daemon.output());
    Ok(())
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("data");
    std::fs::write(&in_the_way, "a file where a folder should be").unwrap();
    let error = Daemon::start(DaemonOptions::new(&in_the_way)).unwrap_err().to_string();
    assert!(error.contains("nacre ended with exit status"), "{error}");
    assert!(error.contains(in_the_way.to_str().unwrap()), "the path is not named: {error}");
}

#[test]
fn an_unknown_command_fails() -> Result<()> {
    let output = run_nacre(&["no-such-command"])?;
    assert!(!output.status.success() && !output.stderr.is_empty());
    Ok(())
}
