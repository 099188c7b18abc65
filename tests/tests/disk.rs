//! A data folder that cannot be written, and a disk that is full: a clear word, and nothing lost.
//!
//! Needs a file system of its own, so it mounts one in memory. Where that is not permitted these tests say so and pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "account/mod.rs"]
mod account;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions, run_nacre};
use serde_json::json;

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
    let mut daemon = Daemon::start(DaemonOptions::new(disk.path().join("data")))?;
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
        assert_eq!((refused.status, &problem["code"]), (503, &json!("storage_failed")), "{problem}");
        // Reading needs no room.
        let count = profile.request("GET", "/journals/events/count").expect_json(daemon.address(), 200);
        let count = count.unwrap_or_else(|error| panic!("{left_bytes}: {error}\n{}", daemon.output()));
        assert_eq!(count["count"], 50, "with {left_bytes} bytes left");
        fs::remove_file(ballast).unwrap();
        assert_eq!(profile.preview(0, &kept)?, [0, 50, 0]);
        assert_eq!(profile.process()?["events_total"], 50);
    }
    let more = rows("more", 50);
    profile.import(0, &more).expect_json(daemon.address(), 200)?;
    assert_eq!(profile.process()?["events_total"], 100);

    full_for_the_system_store(&disk, &mut daemon, &profile)?;
    assert_eq!(profile.preview(0, &(kept + &more))?, [0, 100, 0]);
    Ok(())
}

/// Workspaces are made until there is no room: that fails with a problem, and the probe tells, until space is free and
/// the server started again.
fn full_for_the_system_store(disk: &Disk, daemon: &mut Daemon, profile: &Profile) -> Result<()> {
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
    assert_eq!((refused.status, &refused.json()?["code"]), (503, &json!("storage_failed")));
    daemon.client().get("/readyz")?.expect_status(503)?;
    profile.anywhere("GET", "/v1/workspaces").expect_json(daemon.address(), 200)?;
    fs::remove_file(ballast).unwrap();
    daemon.stop()?;
    daemon.start_again()?;
    daemon.client().get("/readyz")?.expect_status(200)?;
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
