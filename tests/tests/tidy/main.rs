//! The house rules, enforced over the source tree.
//!
//! `tree` tests read the repository; `samples` tests feed the checker code that breaks each rule, so that it cannot pass
//! because it has gone blind. Every finding names file, line and rule.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod layers;
mod paths;
mod rules;
mod samples;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::{Finding, MAX_ARCHITECTURE_LINES, check_engine_manifest, check_hosts, check_source};
use source::{Source, mark_test_modules};

const SOURCE_FOLDERS: [&str; 4] = ["engine/src", "daemon/src", "bench/src", "tests/src"];
const NOT_OURS: [&str; 6] = ["target", ".git", ".cache", "node_modules", "Cargo.lock", "package-lock.json"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files below `folder`, as paths from the root, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        if NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

fn sources() -> Vec<Source> {
    let files = SOURCE_FOLDERS.iter().flat_map(|folder| files(&root().join(folder)));
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| Source::new(&relative(&path), &fs::read_to_string(&path).unwrap());
    let mut sources: Vec<_> = rust.map(read).collect();
    mark_test_modules(&mut sources);
    sources
}

#[track_caller]
fn assert_tidy(findings: &[Finding]) {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn the_walk_sees_every_member() {
    let sources = sources();
    for file in ["engine/src/lib.rs", "daemon/src/main.rs", "bench/src/main.rs", "tests/src/lib.rs"] {
        let source = sources.iter().find(|source| source.path == file);
        assert!(source.is_some(), "{file} was not read");
    }
}

#[test]
fn the_source_tree_keeps_the_house_rules() {
    assert_tidy(&sources().iter().flat_map(check_source).collect::<Vec<_>>());
}

#[test]
fn the_engine_depends_on_no_json_http_or_runtime() {
    let path = "engine/Cargo.toml";
    assert_tidy(&check_engine_manifest(path, &fs::read_to_string(root().join(path)).unwrap()));
}

#[test]
fn no_file_names_a_registry_host() {
    let findings = files(root()).into_iter().flat_map(|path| {
        let text = fs::read(&path).unwrap();
        check_hosts(&relative(&path), &String::from_utf8_lossy(&text))
    });
    assert_tidy(&findings.collect::<Vec<_>>());
}

#[test]
fn the_architecture_page_is_short_enough_to_read() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is missing");
    let lines = text.lines().count();
    assert!(
        lines <= MAX_ARCHITECTURE_LINES,
        "ARCHITECTURE.md has {lines} lines, limit {MAX_ARCHITECTURE_LINES}"
    );
}
