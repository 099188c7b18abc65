//! `nacre backup`, `restore`, `compact`, `rebuild` and `verify` as an operator runs them: the real binary, a served
//! folder under load, another folder, damaged backups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "account/mod.rs"]
mod account;
#[path = "crash/compare.rs"]
mod compare;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions, run_nacre};
use nacre_tests::process::wait_until;
use serde_json::{Value, json};

use account::Profile;
use compare::same_books;

/// Rows that buy and sell, so that every report has something to say.
fn rows(name: &str, count: usize) -> String {
    let mut rows = String::new();
    for row in 0..count {
        let (day, kind) = (1 + row % 28, if row % 5 == 4 { "sell" } else { "buy" });
        writeln!(
            rows,
            "{kind},2023-{:02}-{day:02}T00:00:00Z,{name}-{row},{},,{}.07,USD,,,n",
            1 + row % 12,
            900 + row,
            10 + row
        )
        .unwrap();
    }
    rows
}

/// A daemon whose first profile has books and whose second is empty.
fn served(folder: &Path) -> Result<(Daemon, Profile, Profile)> {
    let daemon = Daemon::start(DaemonOptions::new(folder).env("NACRE_LOG", "warn"))?;
    let mut quiet = Profile::set_up(daemon.address(), "tcp://127.0.0.1:1")?;
    quiet.connect("exchange", "Custom", json!({}))?;
    quiet.import(0, &rows("quiet", 200)).expect_json(daemon.address(), 200)?;
    quiet
        .request("PUT", "/metadata/records/c1.quiet-7/note")
        .json(&json!({ "note": "kept" }))
        .expect_json(daemon.address(), 200)?;
    quiet.process()?;
    let path = quiet.add_profile("busy", "tcp://127.0.0.1:1")?;
    let mut busy = Profile { path, connections: Vec::new(), ..quiet.clone() };
    busy.connect("exchange", "Custom", json!({}))?;
    Ok((daemon, quiet, busy))
}

/// A command on a data folder: its exit code and all it said.
fn nacre(command: &[&str], data: &Path) -> Result<(i32, String)> {
    let mut args = command.to_vec();
    args.extend(["--data-dir", data.to_str().unwrap()]);
    let output = run_nacre(&args)?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned()))
}

fn good(command: &[&str], data: &Path) -> Result<String> {
    let (code, said) = nacre(command, data)?;
    assert_eq!(code, 0, "{command:?}: {said}");
    Ok(said)
}

/// The command fails with exit code 1 and says every one of `words`.
fn refused(command: &[&str], data: &Path, words: &[&str]) -> Result<()> {
    let (code, said) = nacre(command, data)?;
    assert_eq!(code, 1, "{command:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{command:?}: {said}, not {words:?}");
    Ok(())
}

fn at(profile: &Profile, daemon: &Daemon) -> Profile {
    Profile { address: daemon.address(), ..profile.clone() }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn id(profile: &Profile) -> &str {
    profile.path.rsplit('/').next().unwrap()
}

#[test]
fn a_backup_taken_under_load_has_what_was_acknowledged_and_the_same_reports() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup, other) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("other"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("nacre.toml"), "max_csv_exports = 3\n").unwrap();
    let (_daemon, quiet, busy) = served(&data)?;
    let socket = fs::metadata(data.join("control.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);

    // One file after the other, each acknowledged before the next; and the books derived all the time.
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = thread::spawn({
        let (busy, stop, done) = (busy.clone(), stop.clone(), done.clone());
        move || -> Result<()> {
            while !stop.load(Ordering::Acquire) {
                let file = done.load(Ordering::Acquire);
                busy.import(0, &rows(&format!("busy-{file}"), 50)).expect_json(busy.address, 200)?;
                done.store(file + 1, Ordering::Release);
                busy.process()?;
            }
            Ok(())
        }
    });
    wait_until("some load", std::time::Duration::from_secs(60), || {
        Ok((done.load(Ordering::Acquire) >= 5).then_some(()))
    })?;
    let before = done.load(Ordering::Acquire);
    let said = good(&["backup", text(&backup)], &data)?;
    let after = done.load(Ordering::Acquire) + 1;
    assert!(said.contains("2 book(s)"), "{said}");
    refused(&["backup", text(&backup)], &data, &["there is something already"])?;
    stop.store(true, Ordering::Release);
    load.join().unwrap()?;

    let said = good(&["restore", text(&backup)], &other)?;
    assert!(said.contains("2 book(s)") && !said.contains("what was there"), "{said}");
    assert_eq!(fs::read(other.join("nacre.toml")).unwrap(), fs::read(data.join("nacre.toml")).unwrap());
    assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(good(&["verify"], &other)?.contains("2 book(s) verified, 0 bad"));
    let restored = Daemon::start(DaemonOptions::new(&other).env("NACRE_LOG", "warn"))?;
    same_books(&at(&quiet, &restored), &quiet)?;

    // The busy book is that of one moment: whole files, in order, none of those acknowledged before missing.
    let there = at(&busy, &restored);
    let mut kept = 0;
    for file in 0..done.load(Ordering::Acquire) {
        match there.preview(0, &rows(&format!("busy-{file}"), 50))? {
            [0, 50, 0] if kept == file => kept = file + 1,
            [50, 0, 0] => {}
            torn => panic!("file {file} of {kept} kept: {torn:?}"),
        }
    }
    assert!((before..=after).contains(&kept), "{kept} files, {before} before the backup, {after} after");
    // And its reports are those of a folder that got these files and nothing else.
    let (_control, _, control) = served(&folder.path().join("control"))?;
    for file in 0..kept {
        control.import(0, &rows(&format!("busy-{file}"), 50)).expect_json(control.address, 200)?;
    }
    same_books(&there, &control)
}

#[test]
fn a_stopped_folder_is_backed_up_compacted_rebuilt_and_replaced() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (mut daemon, quiet, busy) = served(&data)?;
    busy.import(0, &rows("busy", 3_000)).expect_json(daemon.address(), 200)?;
    busy.process()?;
    let report = quiet.report("journal-entries")?.text();
    for command in [&["verify"][..], &["compact"], &["rebuild"], &["restore", text(&backup), "--force"]] {
        let no_backup = command[0] == "restore";
        refused(command, &data, &[if no_backup { "no backup here" } else { "stop it first" }])?;
    }
    good(&["backup", text(&backup)], &data)?;
    refused(&["restore", text(&backup), "--force"], &data, &["a server uses this data folder"])?;
    daemon.stop()?;

    let offline = folder.path().join("offline");
    assert!(good(&["backup", text(&offline)], &data)?.contains("2 book(s)"));
    let book = data.join("books").join(format!("{}.redb", id(&busy)));
    let before = fs::metadata(&book).unwrap().len();
    let said = good(&["rebuild", id(&busy)], &data)?;
    assert!(said.contains("3000 events") && said.contains("1 book(s) rebuilt, 0 bad"), "{said}");
    let said = good(&["compact"], &data)?;
    let after = fs::metadata(&book).unwrap().len();
    assert!(
        after <= before && said.contains(&format!("{after} after")) && said.contains("system.redb: "),
        "{said}"
    );
    refused(&["compact", "01981c9e-8f5b-7c3e-9d5a-0c6d4b6f2a11"], &data, &["no book of a profile"])?;
    assert_eq!(nacre(&["rebuild", "everything"], &data)?.0, 2);

    daemon.start_again()?;
    assert_eq!(quiet.report("journal-entries")?.text(), report);
    quiet.import(0, &rows("later", 10)).expect_json(daemon.address(), 200)?;
    daemon.stop()?;
    refused(&["restore", text(&offline)], &data, &["there is a system.redb already", "--force"])?;
    let said = good(&["restore", text(&offline), "--force"], &data)?;
    let aside = said.lines().find_map(|line| line.strip_prefix("what was there is in ")).unwrap();
    assert!(Path::new(aside).join("system.redb").exists() && Path::new(aside).join("books").exists());
    daemon.start_again()?;
    assert_eq!(quiet.report("journal-entries")?.text(), report);
    assert_eq!(quiet.preview(0, &rows("later", 10))?, [10, 0, 0]);
    Ok(())
}

/// A copy of a backup to do harm to.
fn copy(backup: &Path, name: &str) -> PathBuf {
    let to = backup.with_file_name(name);
    fs::create_dir_all(to.join("books")).unwrap();
    for below in ["", "books"] {
        for entry in fs::read_dir(backup.join(below)).unwrap().map(std::result::Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(below).join(entry.file_name())).unwrap();
            }
        }
    }
    to
}

fn edit_manifest(backup: &Path, edit: impl FnOnce(&mut Value)) {
    let path = backup.join("manifest.json");
    let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn a_damaged_or_foreign_backup_is_refused_and_changes_nothing() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup, target) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("target"));
    let (mut daemon, quiet, _) = served(&data)?;
    good(&["backup", text(&backup)], &data)?;
    daemon.stop()?;
    let book = format!("books/{}.redb", id(&quiet));
    let is_refused = |name: &str, harm: &dyn Fn(&Path), words: &[&str]| -> Result<()> {
        let harmed = copy(&backup, name);
        harm(&harmed);
        refused(&["restore", text(&harmed)], &target, words)?;
        let left: Vec<_> = fs::read_dir(&target).map_or_else(|_| Vec::new(), |entries| entries.collect());
        assert!(left.is_empty(), "{name} left {left:?}");
        Ok(())
    };
    let flip = |dir: &Path| {
        let mut bytes = fs::read(dir.join(&book)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(dir.join(&book), bytes).unwrap();
    };
    is_refused("flipped", &flip, &[&book, "damaged", "SHA-256"])?;
    let cut = |dir: &Path| {
        fs::File::options().write(true).open(dir.join("system.redb")).unwrap().set_len(5_000).unwrap()
    };
    is_refused("cut", &cut, &["system.redb", "damaged"])?;
    is_refused("lost", &|dir| fs::remove_file(dir.join(&book)).unwrap(), &[&book, "No such file"])?;
    let version =
        |name: &'static str| move |dir: &Path| edit_manifest(dir, |manifest| manifest[name] = json!(2));
    is_refused("later", &version("backup_format"), &["backup format 2, this version of nacre reads 1"])?;
    is_refused("books", &version("book_format"), &["book format 2, this version of nacre reads 1"])?;
    is_refused("system", &version("system_format"), &["system format 2"])?;
    let outside =
        |dir: &Path| edit_manifest(dir, |manifest| manifest["files"][0]["path"] = json!("../../etc/x"));
    is_refused("outside", &outside, &["no part of a backup"])?;
    is_refused("text", &|dir| fs::write(dir.join("manifest.json"), "{").unwrap(), &["manifest is damaged"])?;
    // Whole by its manifest, and still no book that holds: a file that somebody put a new hash to.
    let forged = |dir: &Path| {
        let noise = vec![7; 9_000];
        fs::write(dir.join(&book), &noise).unwrap();
        edit_manifest(dir, |manifest| {
            let file = manifest["files"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .find(|file| file["path"] == book.as_str())
                .unwrap();
            let sha256 =
                std::process::Command::new("sha256sum").arg(dir.join(&book)).output().unwrap().stdout;
            file["sha256"] = json!(String::from_utf8_lossy(&sha256)[..64]);
            file["bytes"] = json!(noise.len());
        });
    };
    is_refused("forged", &forged, &[&book])?;
    good(&["restore", text(&backup)], &target)?;
    // A backup of what is damaged is none.
    let path = target.join(&book);
    fs::write(&path, "no book").unwrap();
    let none = folder.path().join("none");
    refused(&["backup", text(&none)], &target, &[id(&quiet)])?;
    assert!(!none.exists());
    assert_eq!(
        fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".part"))
            .count(),
        0
    );
    Ok(())
}

#[test]
fn what_a_killed_restore_left_is_not_served_as_a_new_folder() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let aside = data.join("before-restore-2026-11-22");
    for left in [aside.join("books"), data.join("restoring-1").join("books")] {
        fs::create_dir_all(left).unwrap();
    }
    let words = ["no system.redb", "before-restore-2026-11-22, restoring-1", "nacre restore --force"];
    refused(&["serve", "--listen", "127.0.0.1:0"], &data, &words)?;
    assert!(!data.join("system.redb").exists() && !data.join("books").exists());
    // With a system store it is a data folder, and what was there before is the operator's.
    fs::remove_dir_all(&data).unwrap();
    let mut daemon = Daemon::start(DaemonOptions::new(&data))?;
    daemon.stop()?;
    fs::create_dir_all(aside).unwrap();
    daemon.start_again()
}
