//! The rules themselves, each a function from a file to findings.

use std::fmt;

use crate::layers;
use crate::paths::{NamedPath, named_paths};
use crate::source::{Source, Token, after_matching, is_word};

pub const MAX_FILE_LINES: usize = 600;
pub const MAX_FUNCTION_LINES: usize = 70;
pub const MAX_ARCHITECTURE_LINES: usize = 300;

const DRAWERS: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"];
const ENGINE_CRATES: [&str; 5] = ["serde_json", "hyper", "axum", "tokio", "reqwest"];
const ENGINE_STD: [&str; 3] = ["thread", "net", "env"];

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub rule: String,
}

impl Finding {
    pub fn new(source: &Source, line: usize, rule: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, rule: rule.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

/// All rules for one Rust file.
pub fn check_source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let product = named_paths(&source.product);
    let tests = named_paths(&source.tests);
    shape(source, &mut findings);
    function_lengths(source, &mut findings);
    drawers(source, &mut findings);
    unwraps(source, &mut findings);
    globs(source, &product, &tests, &mut findings);
    storage(source, product.iter().chain(&tests), &mut findings);
    if source.path.starts_with("engine/src/") {
        engine_purity(source, &product, &mut findings);
        layers::check(source, &product, &mut findings);
    }
    findings
}

fn shape(source: &Source, findings: &mut Vec<Finding>) {
    if !source.first_line.starts_with("//! ") {
        findings.push(Finding::new(source, 1, "the file does not open with `//!`"));
    }
    if source.product_lines > MAX_FILE_LINES {
        let lines = source.product_lines;
        findings.push(Finding::new(
            source,
            1,
            format!("{lines} lines without tests, limit {MAX_FILE_LINES}"),
        ));
    }
}

fn function_lengths(source: &Source, findings: &mut Vec<Finding>) {
    let tokens = &source.product;
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if keyword.text != "fn" || !is_word(&name.text) {
            continue;
        }
        let Some(open) = body_of(tokens, at) else { continue };
        let lines = tokens[after_matching(tokens, open) - 1].line + 1 - keyword.line;
        if lines > MAX_FUNCTION_LINES {
            let rule = format!("function `{}` has {lines} lines, limit {MAX_FUNCTION_LINES}", name.text);
            findings.push(Finding::new(source, keyword.line, rule));
        }
    }
}

/// The brace that opens the body of the function at `at`; none if it is only declared.
fn body_of(tokens: &[Token], mut at: usize) -> Option<usize> {
    loop {
        match tokens.get(at)?.text.as_str() {
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = after_matching(tokens, at),
            _ => at += 1,
        }
    }
}

fn drawers(source: &Source, findings: &mut Vec<Finding>) {
    let in_path = source.path.trim_end_matches(".rs").split('/').map(|part| (part, 1));
    let inline = source.product.windows(2).filter(|pair| pair[0].text == "mod");
    for (name, line) in in_path.chain(inline.map(|pair| (pair[1].text.as_str(), pair[1].line))) {
        if DRAWERS.contains(&name) {
            findings.push(Finding::new(source, line, format!("`{name}` is a drawer, not a module name")));
        }
    }
}

fn unwraps(source: &Source, findings: &mut Vec<Finding>) {
    for call in source.product.windows(4) {
        if call.iter().map(|t| t.text.as_str()).eq([".", "unwrap", "(", ")"]) {
            findings.push(Finding::new(source, call[1].line, "`.unwrap()` outside tests"));
        }
    }
}

fn globs(source: &Source, product: &[NamedPath], tests: &[NamedPath], findings: &mut Vec<Finding>) {
    let in_product = product.iter().filter(|path| path.ends_with(&["*"]));
    let usual = |path: &NamedPath| path.segments == ["super", "*"] || path.ends_with(&["prelude", "*"]);
    let in_tests = tests.iter().filter(|path| path.ends_with(&["*"]) && !usual(path));
    for path in in_product.chain(in_tests) {
        findings.push(Finding::new(source, path.line, "glob import"));
    }
}

/// redb belongs to one folder per crate; tests and benchmarks of other crates get at books through the engine.
fn storage<'a>(source: &Source, paths: impl Iterator<Item = &'a NamedPath>, findings: &mut Vec<Finding>) {
    let homes = ["engine/src/store/", "daemon/src/store/", "bench/src/"];
    if homes.iter().any(|home| source.path.starts_with(home)) {
        return;
    }
    for path in paths.filter(|path| path.starts_with(&["redb"])) {
        findings.push(Finding::new(source, path.line, "`redb` outside a `store` folder"));
    }
}

fn engine_purity(source: &Source, paths: &[NamedPath], findings: &mut Vec<Finding>) {
    for path in paths {
        let first = path.segments[0].as_str();
        let second = path.segments.get(1).map_or("", String::as_str);
        let reason = if ENGINE_CRATES.contains(&first) {
            "JSON, HTTP or an async runtime"
        } else if first == "std" && ENGINE_STD.contains(&second) {
            "a thread, socket or the environment"
        } else if path.ends_with(&["SystemTime"])
            || path.segments.iter().any(|s| s == "SystemTime")
            || path.segments.len() > 1 && path.ends_with(&["now"])
            || path.ends_with(&["TimeZone", "system"])
        {
            "the machine's clock or zone"
        } else if path.segments.iter().any(|s| is_float(s)) {
            "a float"
        } else {
            continue;
        };
        let rule = format!("{reason} in the engine: `{}`", path.segments.join("::"));
        findings.push(Finding::new(source, path.line, rule));
    }
}

/// `f64`, `1_f64`, `to_f64`; not the hexadecimal `0xf64`.
fn is_float(word: &str) -> bool {
    !word.starts_with("0x") && ["f32", "f64"].iter().any(|float| word.contains(float))
}

/// What the engine's manifest must not name, as `name = …`, `name.workspace = …` or `[dependencies.name]`.
pub fn check_engine_manifest(path: &str, text: &str) -> Vec<Finding> {
    let named = |line: &str| {
        let entry = line.strip_prefix("[dependencies.").unwrap_or(line);
        entry.split(['.', '=', ' ', ']']).next().is_some_and(|name| ENGINE_CRATES.contains(&name))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| named(line));
    let finding = |(at, line): (usize, &str)| Finding {
        path: path.into(),
        line: at + 1,
        rule: format!("the engine may not depend on `{line}`"),
    };
    lines.map(finding).collect()
}

/// Hosts of package registries and mirrors: machines bring their own. Written in halves, or this file would be found.
pub fn check_hosts(path: &str, text: &str) -> Vec<Finding> {
    let hosts = [
        ["deb.", "debian.org"],
        ["security.", "debian.org"],
        ["ftp.", "debian.org"],
        ["archive.", "ubuntu.com"],
        ["crates.io", "/api"],
        ["static.", "crates.io"],
        ["index.", "crates.io"],
        ["pypi", ".org"],
        ["files.", "pythonhosted"],
        ["registry.", "npmjs"],
        ["registry.", "yarnpkg"],
        ["proxy.", "golang.org"],
    ];
    let hosts = hosts.map(|halves| halves.concat());
    let named = |line: &str| hosts.iter().find(|host| line.contains(host.as_str()));
    let lines = text.lines().enumerate().filter_map(|(at, line)| named(line).map(|host| (at, host)));
    let finding = |(at, host): (usize, &String)| Finding {
        path: path.into(),
        line: at + 1,
        rule: format!("names the registry host {host}"),
    };
    lines.map(finding).collect()
}
