//! A data folder that cannot be written, and a disk that is full: a clear word, and nothing lost.
//!
//! Most need a file system of their own, so they mount one in memory. Where that is not permitted they say so and pass;
//! the one with a limit on the size of files runs everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "account/mod.rs"]
mod account;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions, run_nacre};
use nacre_tests::process::wait_until;
use serde_json::{Value, json};

use account::Profile;

/// A file system in memory, unmounted when dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount(options: &str) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(disk.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(disk),
            _ => {
                eprintln!("not tested: mounting a file system is not permitted here");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap().success());
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a failing test may leave files open. Not mounted is what was wanted.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// `nacre serve` on a folder it cannot use: exit code 1 and one line that names the folder and the reason.
fn is_refused(data: &Path) -> Result<()> {
    let output = run_nacre(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(data.to_str().unwrap()) && said.contains("Read-only"), "{said}");
    assert!(output.stdout.is_empty());
    Ok(())
}

#[test]
fn a_read_only_folder_is_refused_with_a_clear_word() -> Result<()> {
    let Some(disk) = Disk::mount("size=16m") else { return Ok(()) };
    let (used, new) = (disk.path().join("used"), disk.path().join("new"));
    Daemon::start(DaemonOptions::new(&used))?.stop()?;
    disk.remount("ro");
    is_refused(&used)?;
    is_refused(&new)?;
    disk.remount("rw");
    Daemon::start(DaemonOptions::new(&used))?.stop()?;
    Ok(())
}

fn rows(name: &str, count: usize) -> String {
    let mut rows = String::new();
    for row in 0..count {
        let note = "n".repeat(200);
        writeln!(rows, "buy,2024-01-01T00:00:{:02}Z,{name}-{row},{},,10.00,USD,,,{note}", row % 60, row + 1)
            .unwrap();
    }
    rows
}

#[test]
fn a_full_disk_fails_the_import_and_loses_nothing() -> Result<()> {
    let Some(disk) = Disk::mount("size=12m") else { return Ok(()) };
    let daemon = Daemon::start(DaemonOptions::new(disk.path().join("data")))?;
    let mut profile = Profile::set_up(daemon.address(), "tcp://127.0.0.1:1")?;
    profile.connect("exchange", "Custom", json!({}))?;
    let kept = rows("kept", 50);
    profile.import(0, &kept).expect_json(daemon.address(), 200)?;
    profile.process()?;

    let large = rows("large", 20_000);
    // Room for some of the upload; then for the upload but not for the book.
    for left_bytes in [2 << 20, 7 << 20] {
        let ballast = fill(disk.path(), left_bytes);
        let refused = profile.import(0, &large).send(daemon.address())?;
        let problem = refused.json()?;
        assert_eq!((refused.status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
        // Reading needs no room at all.
        fs::remove_file(ballast).unwrap();
        let ballast = fill(disk.path(), 0);
        let count = profile.request("GET", "/journals/events/count").expect_json(daemon.address(), 200);
        let count = count.unwrap_or_else(|error| panic!("{left_bytes}: {error}\n{}", daemon.output()));
        assert_eq!(count["count"], 50, "with {left_bytes} bytes left");
        if left_bytes > large.len() {
            is_stopped(&daemon, &json!({ "system": false, "books": [id(&profile)] }))?;
        }
        fs::remove_file(ballast).unwrap();
        goes_on(&daemon)?;
        assert_eq!(profile.preview(0, &kept)?, [0, 50, 0]);
        assert_eq!(profile.process()?["events_total"], 50);
    }
    let more = rows("more", 50);
    profile.import(0, &more).expect_json(daemon.address(), 200)?;
    assert_eq!(profile.process()?["events_total"], 100);

    full_for_the_system_store(&disk, &daemon, &profile)?;
    assert_eq!(profile.preview(0, &(kept + &more))?, [0, 100, 0]);
    Ok(())
}

/// The id of the profile.
fn id(profile: &Profile) -> &str {
    profile.path.rsplit('/').next().unwrap()
}

/// The probe says what is not written.
fn is_stopped(daemon: &Daemon, what: &Value) -> Result<()> {
    let ready = daemon.client().get("/readyz")?.expect_status(503)?.json()?;
    assert_eq!((&ready["code"], &ready["details"]), (&json!("storage_failed"), what), "{ready}");
    Ok(())
}

/// Without a restart and without anybody asking, the daemon becomes ready.
fn goes_on(daemon: &Daemon) -> Result<()> {
    wait_until("the daemon to write again", Duration::from_secs(60), || {
        Ok((daemon.client().get("/readyz")?.status == 200).then_some(()))
    })
}

/// A limit on the size of files, as a shell sets it: works where mounting is not permitted. Raised from outside.
#[test]
fn a_book_that_may_not_grow_stops_alone_and_goes_on_when_it_may() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")))?;
    let mut profile = Profile::set_up(daemon.address(), "tcp://127.0.0.1:1")?;
    profile.connect("exchange", "Custom", json!({}))?;
    let kept = rows("kept", 50);
    profile.import(0, &kept).expect_json(daemon.address(), 200)?;
    profile.process()?;
    daemon.stop()?;
    // Enough for the upload, not for the book that would come of it.
    let large = rows("large", 12_000);
    daemon.limit_file_size(Some(large.len() as u64 + (64 << 10)));
    daemon.start_again()?;
    let refused = profile.import(0, &large).send(daemon.address())?;
    assert_eq!(
        (refused.status, &refused.json()?["code"]),
        (507, &json!("storage_full")),
        "{}",
        daemon.output()
    );
    let again = profile.import(0, &rows("small", 1)).send(daemon.address())?;
    assert_eq!(again.status, 507, "a stopped book is not written: {}", again.text());
    is_stopped(&daemon, &json!({ "system": false, "books": [id(&profile)] }))?;
    // The other files are written.
    let label = json!({ "label": "other" });
    profile.anywhere("POST", "/v1/workspaces").json(&label).expect_json(daemon.address(), 201)?;
    let count = profile.request("GET", "/journals/events/count").expect_json(daemon.address(), 200)?;
    assert_eq!(count["count"], 50);
    daemon.raise_file_size()?;
    goes_on(&daemon)?;
    assert_eq!(profile.preview(0, &kept)?, [0, 50, 0]);
    profile.import(0, &large).expect_json(daemon.address(), 200)?;
    assert_eq!(profile.process()?["events_total"], 12_050);
    Ok(())
}

/// Workspaces are made until there is no room: that fails with a problem, and the probe tells, until space is free.
fn full_for_the_system_store(disk: &Disk, daemon: &Daemon, profile: &Profile) -> Result<()> {
    let ballast = fill(disk.path(), 0);
    let make = || {
        profile
            .anywhere("POST", "/v1/workspaces")
            .json(&json!({ "label": "x".repeat(100) }))
            .send(daemon.address())
    };
    let mut made = 0;
    let refused = loop {
        let answer = make()?;
        if answer.status != 201 {
            break answer;
        }
        made += 1;
        assert!(made < 20_000, "the disk is never full");
    };
    assert_eq!((refused.status, &refused.json()?["code"]), (507, &json!("storage_full")));
    is_stopped(daemon, &json!({ "system": true, "books": [] }))?;
    profile.anywhere("GET", "/v1/workspaces").expect_json(daemon.address(), 200)?;
    fs::remove_file(ballast).unwrap();
    goes_on(daemon)?;
    let one = json!({ "label": "after" });
    profile.anywhere("POST", "/v1/workspaces").json(&one).expect_json(daemon.address(), 201)?;
    let mut there = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/workspaces?limit=500{cursor}");
        let page = profile.anywhere("GET", &path).expect_json(daemon.address(), 200)?;
        there += page["items"].as_array().map_or(0, Vec::len);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(there, made + 2, "those that were acknowledged, the first and the last");
    Ok(())
}

/// Fills the disk up to `left_bytes` with a file.
fn fill(folder: &Path, left_bytes: usize) -> std::path::PathBuf {
    let path = folder.join("ballast");
    let zeros = vec![0; 64 << 10];
    let mut file = fs::File::create(&path).unwrap();
    let mut length = 0;
    while std::io::Write::write_all(&mut file, &zeros).is_ok() {
        length += zeros.len();
    }
    file.set_len(length.saturating_sub(left_bytes) as u64).unwrap();
    path
}
