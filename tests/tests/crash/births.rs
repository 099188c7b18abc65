//! Kills while files come into being: at the first start on an empty folder, and while a profile gets its book.

use std::thread;
use std::time::{Duration, Instant};

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions};
use nacre_tests::programs::nacre_binary;
use serde_json::json;

use crate::account::Profile;
use crate::seed::Seed;

#[test]
fn a_kill_during_the_first_start_leaves_a_folder_that_starts() -> Result<()> {
    let mut seed = Seed::from_environment();
    let folder = tempfile::tempdir().unwrap();
    // Building it is no part of a start.
    nacre_binary()?;
    let start = Instant::now();
    let mut daemon = Daemon::start(DaemonOptions::new(folder.path().join("timed")))?;
    let usual = start.elapsed();
    daemon.stop()?;
    for round in 0..40 {
        let data = folder.path().join(format!("{round}"));
        let mut daemon = Daemon::launch(DaemonOptions::new(data))?;
        thread::sleep(seed.up_to(usual));
        daemon.kill_hard()?;
        daemon.start_again().unwrap_or_else(|error| panic!("round {round} of {seed}: {error}"));
        daemon.client().get("/readyz")?.expect_status(200)?;
    }
    Ok(())
}

#[test]
fn a_kill_while_a_book_is_made_leaves_a_profile_that_works() -> Result<()> {
    let mut seed = Seed::from_environment();
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")))?;
    let first = Profile::set_up(daemon.address(), "tcp://127.0.0.1:1")?;
    let mut usual = Duration::from_millis(20);
    for round in 0..60 {
        let path = first.add_profile(&format!("profile {round}"), "tcp://127.0.0.1:1")?;
        let mut profile = Profile { path, ..first.clone() };
        let body = json!({ "label": "bank", "kind": "Custom" });
        let making = profile.request("POST", "/connections").json(&body).open(daemon.address())?;
        thread::sleep(seed.up_to(usual));
        daemon.kill_hard()?;
        let made = making.answer().is_some_and(|answer| answer.status == 201);
        daemon.start_again()?;
        let there = profile.request("GET", "/connections").expect_json(daemon.address(), 200);
        let there = there.unwrap_or_else(|error| panic!("round {round} of {seed}: {error}"));
        let count = there["items"].as_array().map_or(0, Vec::len);
        assert!(count == 1 || (count == 0 && !made), "round {round} of {seed}: {count} connections");
        let start = Instant::now();
        profile.connect("exchange", "Custom", json!({}))?;
        profile
            .import(0, "buy,2024-01-01T00:00:00Z,a,1000,,1.00,USD,,,\n")
            .expect_json(daemon.address(), 200)?;
        usual = (usual + start.elapsed()) / 2;
    }
    Ok(())
}
