//! Where the programs under test are; installs or builds them on first use.
//!
//! A program that cannot be had is an error of every test that asks for it, never a skipped test.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::error::{HarnessError, Result};

/// The real chain programs.
#[derive(Debug, Clone)]
pub struct ChainPrograms {
    /// A bitcoind with wallet support.
    pub bitcoind: PathBuf,
    /// The Python that has ElectrumX.
    pub electrumx_python: PathBuf,
}

/// bitcoind and ElectrumX, installed by `regtest/install.sh` on first use in this process.
///
/// # Errors
/// When the script fails; its own words are in the error.
pub fn chain_programs() -> Result<ChainPrograms> {
    static INSTALLED: OnceLock<std::result::Result<ChainPrograms, String>> = OnceLock::new();
    INSTALLED.get_or_init(|| install().map_err(|e| e.to_string())).clone().map_err(HarnessError::Failed)
}

/// A file of `tests/regtest`.
pub fn regtest_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regtest").join(name)
}

fn install() -> Result<ChainPrograms> {
    let output = Command::new("bash").arg(regtest_file("install.sh")).output();
    let output = output.map_err(HarnessError::io("run tests/regtest/install.sh"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(HarnessError::Failed(format!("tests/regtest/install.sh failed: {}", said.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let paths: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let path = |key: &str| {
        let path = paths.get(key).map(PathBuf::from);
        path.ok_or_else(|| HarnessError::Failed(format!("install.sh did not print {key}")))
    };
    Ok(ChainPrograms { bitcoind: path("BITCOIND")?, electrumx_python: path("ELECTRUMX_PYTHON")? })
}

/// The `nacre` binary of the profile this test was built with, built now if it is absent or stale.
///
/// # Errors
/// When cargo cannot build it; the compiler's words are in the error.
pub fn nacre_binary() -> Result<PathBuf> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build_nacre().map_err(|e| e.to_string())).clone().map_err(HarnessError::Failed)
}

fn build_nacre() -> Result<PathBuf> {
    // <target>/<profile>/deps/<this test>
    let this_test = env::current_exe().map_err(HarnessError::io("find this test's executable"))?;
    let (Some(profile_folder), Some(target_folder)) =
        (this_test.ancestors().nth(2), this_test.ancestors().nth(3))
    else {
        return Err(HarnessError::Failed(format!("{} is not in a target folder", this_test.display())));
    };
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in env::vars_os().filter(|(name, _)| describes_this_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let output = command
        // Naming a test makes cargo choose the same features as `cargo test --workspace`, so nothing is built twice.
        .args(["build", "--quiet", "--workspace", "--bin", "nacre", "--test", "tidy", "--profile", profile])
        .arg("--target-dir")
        .arg(target_folder)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .map_err(HarnessError::io("run cargo build"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(HarnessError::Failed(format!("cargo build of nacre failed: {}", said.trim())));
    }
    Ok(profile_folder.join("nacre"))
}

/// What `cargo test` tells a test about its package. Some build scripts watch these, so they would run again, and all
/// that stands on them would be compiled again.
fn describes_this_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_PACKAGE"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}
