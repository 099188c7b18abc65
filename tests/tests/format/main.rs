//! Files of each format version that was ever released open, hold and tell the same reports, byte for byte.
//!
//! A fixture is a backup as `nacre backup` made it, with its reports beside it. It is written once per format version:
//! `cargo test --workspace --test format -- --ignored` makes that of the present one anew, from an invented history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../account/mod.rs"]
mod account;
#[path = "../../../daemon/tests/chain_fake/mod.rs"]
mod chain_fake;
#[path = "../crash/compare.rs"]
mod compare;
mod history;
#[allow(dead_code, reason = "each test uses its part")]
#[path = "../crash/seed.rs"]
mod seed;
#[path = "../crash/wallet.rs"]
mod wallet;

use std::fs;
use std::path::{Path, PathBuf};

use nacre_engine::book::Book;
use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions, run_nacre};

use account::Profile;
use compare::{REPORTS, plain};

/// Longest file of a fixture that is committed.
const FILE_BYTES_MAX: u64 = 200 << 10;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixture").join(name)
}

fn nacre(args: &[&str]) -> Result<()> {
    let output = run_nacre(args)?;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Where the expected text of a report is.
fn expected(format: &str, report: &str) -> PathBuf {
    let name = report.replace(['?', '='], "-");
    fixture(&format!("{format}-reports")).join(format!("{name}.txt"))
}

/// Every report of every profile, each under the profile's label.
fn reports(profiles: &[(String, Profile)]) -> Result<Vec<(&'static str, String)>> {
    let of = |report: &'static str| {
        let texts =
            profiles.iter().map(|(label, profile)| Ok(format!("# {label}\n{}\n", plain(profile, report)?)));
        Ok((report, texts.collect::<Result<String>>()?))
    };
    let mut all = REPORTS.into_iter().map(of).collect::<Result<Vec<_>>>()?;
    let filed =
        profiles.iter().map(|(label, profile)| Ok(format!("# {label}\n{}\n", history::filed(profile)?)));
    all.push(("seals", filed.collect::<Result<String>>()?));
    Ok(all)
}

#[test]
fn files_of_format_1_tell_the_same_reports() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), fixture("format-1"));
    nacre(&["restore", backup.to_str().unwrap(), "--data-dir", data.to_str().unwrap()])?;
    // The engine alone reads its file, as any program on it would.
    let mut rows = 0;
    for file in fs::read_dir(data.join("books")).unwrap() {
        let verified = Book::open(&file.unwrap().path(), 1 << 20).unwrap().verify().unwrap();
        assert!(verified.problems.is_empty() && !verified.waiting, "{:?}", verified.problems);
        rows += verified.journal_rows;
    }
    assert!(rows > 60, "{rows} rows prove little");
    let daemon = Daemon::start(DaemonOptions::new(&data))?;
    for (report, text) in reports(&history::profiles(daemon.address())?)? {
        let path = expected("format-1", report);
        let wanted = fs::read_to_string(&path).unwrap();
        assert!(text == wanted, "{report} is not as in {}:\n{text}", path.display());
    }
    Ok(())
}

#[test]
#[ignore = "writes the fixture of the present format"]
fn write_the_fixture() -> Result<()> {
    let format = format!("format-{}", nacre_engine::FORMAT);
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), fixture(&format));
    let daemon = Daemon::start(DaemonOptions::new(&data))?;
    history::make(daemon.address())?;
    for (report, text) in reports(&history::profiles(daemon.address())?)? {
        let path = expected(&format, report);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    if backup.exists() {
        fs::remove_dir_all(&backup).unwrap();
    }
    nacre(&["backup", backup.to_str().unwrap(), "--data-dir", data.to_str().unwrap()])?;
    for below in ["", "books"] {
        for file in fs::read_dir(backup.join(below)).unwrap().map(std::result::Result::unwrap) {
            let length = file.metadata().unwrap().len();
            assert!(length <= FILE_BYTES_MAX, "{} has {length} bytes", file.path().display());
        }
    }
    Ok(())
}
