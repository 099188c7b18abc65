//! Code that breaks each rule and code that looks as if it did, with the line where the checker must speak up.

use crate::rules::{MAX_FILE_LINES, MAX_FUNCTION_LINES, check_engine_manifest, check_hosts, check_source};
use crate::source::{Source, mark_test_modules};

/// The findings in `code`, whose header is put before it, as `line: rule`; the code starts at line 2.
fn findings(path: &str, code: &str) -> Vec<String> {
    let source = Source::new(path, &format!("//! A sample.\n{code}"));
    check_source(&source).iter().map(|found| format!("{}: {}", found.line, found.rule)).collect()
}

#[track_caller]
fn refused(path: &str, code: &str, line: usize, rule: &str) {
    let found = findings(path, code);
    let expected = format!("{line}: ");
    let hit = found.len() == 1 && found[0].starts_with(&expected) && found[0].contains(rule);
    assert!(hit, "{path}: expected one finding `{line}: …{rule}…`, got {found:?} in\n{code}");
}

#[track_caller]
fn accepted(path: &str, code: &str) {
    assert_eq!(findings(path, code), Vec::<String>::new(), "{path}:\n{code}");
}

#[test]
fn a_file_without_a_header_is_refused() {
    let found = check_source(&Source::new("daemon/src/x.rs", "use std::fmt;\n"));
    assert_eq!((found.len(), found[0].line), (1, 1));
    assert_eq!(found[0].to_string(), "daemon/src/x.rs:1: the file does not open with `//!`");
}

#[test]
fn a_long_file_is_refused_unless_the_tests_make_it_long() {
    let long = "const A: u8 = 1;\n".repeat(MAX_FILE_LINES);
    refused("daemon/src/x.rs", &long, 1, "601 lines without tests");
    accepted("daemon/src/x.rs", &format!("#[cfg(test)]\n#[allow(x)]\nmod tests {{\n{long}}}\n"));
    accepted("daemon/src/x.rs", &"const A: u8 = 1;\n".repeat(MAX_FILE_LINES - 1));
}

#[test]
fn a_long_function_is_refused_at_its_first_line() {
    let body = "    let _ = ('{', \"{\", b'}', r#\"}\"#); // {\n";
    let function =
        |lines: usize| format!("struct A;\nfn f<'a>(x: &'a [u8; 2]) {{\n{}}}\n", body.repeat(lines - 2));
    refused("engine/src/id.rs", &function(MAX_FUNCTION_LINES + 1), 3, "function `f` has 71 lines");
    accepted("engine/src/id.rs", &function(MAX_FUNCTION_LINES));
    accepted("engine/src/id.rs", &format!("trait A {{\n    fn f();\n{}}}\n", "    fn g();\n".repeat(100)));
}

#[test]
fn drawers_are_refused_as_files_folders_and_modules() {
    refused("daemon/src/utils.rs", "", 1, "`utils` is a drawer");
    refused("daemon/src/common/x.rs", "", 1, "`common` is a drawer");
    refused("daemon/src/x.rs", "\npub mod helpers {}\n", 3, "`helpers` is a drawer");
    accepted("daemon/src/x.rs", "fn common() {}\n");
}

#[test]
fn unwrap_is_refused_outside_tests_only() {
    refused("daemon/src/x.rs", "fn f() {\n    g()\n        .unwrap();\n}\n", 4, "`.unwrap()` outside tests");
    accepted("daemon/src/x.rs", "#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}\n");
    accepted("daemon/src/x.rs", "// .unwrap()\nfn f() { g(\".unwrap()\").unwrap_or(1); }\n");
    refused("daemon/src/x.rs", "#[cfg(not(test))]\nfn f() { g().unwrap(); }\n", 3, "`.unwrap()`");
    refused("daemon/src/x.rs", "#[cfg(test)]\nmod tests;\nfn f() { g().unwrap(); }\n", 4, "`.unwrap()`");
    let field = "struct S {\n    #[cfg(test)]\n    a: u8,\n}\nfn f() { g().unwrap(); }\n";
    refused("daemon/src/x.rs", field, 6, "`.unwrap()`");
}

#[test]
fn glob_imports_are_refused_but_for_super_and_preludes_in_tests() {
    refused("daemon/src/x.rs", "use proptest::prelude::*;\n", 2, "glob import");
    accepted("daemon/src/x.rs", "#[cfg(test)]\nmod tests {\n    use proptest::prelude::*;\n}\n");
    refused("daemon/src/x.rs", "use std::{\n    fmt,\n    io::*,\n};\n", 4, "glob import");
    refused("daemon/src/x.rs", "use super::*;\n", 2, "glob import");
    refused("daemon/src/x.rs", "#[cfg(test)]\nmod tests {\n    use std::io::*;\n}\n", 4, "glob import");
    accepted("daemon/src/x.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}\nfn f() { a * b::c; }\n");
}

#[test]
fn redb_is_refused_outside_the_store_folders_tests_included() {
    for path in ["engine/src/book.rs", "daemon/src/api/x.rs", "tests/src/x.rs", "engine/src/storefront.rs"] {
        let found = findings(path, "use std::fmt;\nuse ::redb::{Database, Value};\n");
        assert!(found.contains(&"3: `redb` outside a `store` folder".into()), "{path}: {found:?}");
    }
    refused("daemon/src/x.rs", "fn f() -> redb::Error { g() }\n", 2, "`redb` outside");
    refused("daemon/src/x.rs", "#[cfg(test)]\nmod tests {\n    use redb::Table;\n}\n", 4, "`redb` outside");
    for path in ["engine/src/store/tables.rs", "daemon/src/store/mod.rs", "bench/src/lib.rs"] {
        accepted(path, "use redb::Database;\n");
    }
    accepted("engine/src/book.rs", "/// Not redb.\n/* redb::X /* redb */ */\nconst A: &str = \"redb::X\";\n");
}

#[test]
fn the_engine_knows_no_clock_thread_socket_environment_json_or_float() {
    for (code, what) in [
        ("use serde_json::Value;", "JSON"),
        ("use std::{fmt, thread};", "a thread"),
        ("use std::net::TcpStream;", "socket"),
        ("fn f() { std::env::var(A); }", "environment"),
        ("use std::time::SystemTime;", "clock"),
        ("fn f() { SystemTime::now(); }", "clock"),
        ("fn f() { Instant::now(); }", "clock"),
        ("fn f() { jiff::Timestamp::now(); }", "clock"),
        ("fn f() { TimeZone::system(); }", "clock"),
        ("fn f(a: f64) {}", "a float"),
        ("const A: u8 = 1_f32;", "a float"),
        ("fn f() { d.to_f64(); }", "a float"),
        ("use axum::Json;", "HTTP"),
        ("use tokio::task;", "runtime"),
    ] {
        refused("engine/src/time.rs", code, 2, what);
        accepted("engine/src/time.rs", &format!("#[cfg(test)]\nmod tests {{\n{code}\n}}\n"));
        accepted("daemon/src/time.rs", code);
    }
    accepted("engine/src/time.rs", "const A: u32 = 0xf64;\nfn now(now: u8) { now.now(); }\n");
}

#[test]
fn upper_layers_use_lower_ones_only() {
    for (path, used) in [
        ("engine/src/lots/plan.rs", "store"),
        ("engine/src/lots/plan.rs", "journal"),
        ("engine/src/import/river.rs", "normalise"),
        ("engine/src/store/read.rs", "lots"),
        ("engine/src/model/lot.rs", "store"),
        ("engine/src/money/msats.rs", "model"),
        ("engine/src/derive/advance.rs", "reports"),
        ("engine/src/reports/portfolio.rs", "book"),
    ] {
        let rule = format!("may not use `{used}`");
        refused(path, &format!("use crate::{used}::X;\n"), 2, &rule);
        refused(path, &format!("use crate::{{error::E, {used}::{{X, Y}}}};\n").replace(", Y", ""), 2, &rule);
        refused(path, &format!("fn f() -> super::super::{used}::X {{ g() }}\n"), 2, &rule);
    }
    refused("engine/src/lots/mod.rs", "use super::store::X;\n", 2, "may not use `store`");
    refused("engine/src/error.rs", "use super::book::X;\n", 2, "may not use `book`");
}

#[test]
fn lower_layers_the_own_module_and_the_face_of_the_crate_are_free() {
    accepted("engine/src/book.rs", "use crate::{derive::A, reports::B, store::C, model::D, money::E};\n");
    accepted(
        "engine/src/derive/rewind.rs",
        "use crate::{lots::A, store::B, time::C};\nuse super::advance::D;\n",
    );
    accepted("engine/src/lots/plan.rs", "use crate::{lots::split::A, model::lot::B};\nuse super::pool::C;\n");
    accepted("engine/src/error.rs", "use crate::id::A;\n");
    accepted("engine/src/lib.rs", "pub use crate::book::Book;\n");
}

#[test]
fn a_module_the_table_does_not_know_is_refused() {
    refused("engine/src/magic.rs", "", 1, "`magic` has no place");
    refused("engine/src/lots/plan.rs", "use crate::Book;\n", 2, "`crate::Book` is no module");
}

#[test]
fn forbidden_dependencies_of_the_engine_are_found_in_every_spelling() {
    let text = "[dependencies]\nserde.workspace = true\nserde_json.workspace = true\ntokio = \"1\"\n\
                [dependencies.hyper]\naxum={path=\"x\"}\nserde_json_path = \"1\"\n";
    let lines: Vec<_> = check_engine_manifest("engine/Cargo.toml", text).iter().map(|f| f.line).collect();
    assert_eq!(lines, [3, 4, 5, 6]);
}

#[test]
fn registry_hosts_are_found() {
    let mirror = format!("a\nhttps://{}{}/debian\n", "deb.", "debian.org");
    let index = format!("{}{}/simple", "pypi", ".org");
    assert_eq!(check_hosts("a.md", &mirror)[0].line, 2);
    assert_eq!(check_hosts("b.md", &index).len(), 1);
    assert!(check_hosts("c.md", "https://example.org/ crates.io").is_empty());
}

#[test]
fn a_file_mounted_as_a_test_module_is_test_code_and_others_are_not() {
    let bad = "//! A.\nuse a::*;\nfn f() { g().unwrap(); }\n";
    let file = |path: &str, text: &str| Source::new(path, text);
    let mut sources = [
        file("engine/src/book/mod.rs", "//! A.\nmod open;\n#[cfg(test)]\nmod crash;\n"),
        file("engine/src/book/open.rs", bad),
        file("engine/src/book/crash.rs", &format!("{bad}mod deeper;\n")),
        file("engine/src/book/crash/deeper.rs", bad),
        file("engine/src/crash.rs", bad),
    ];
    mark_test_modules(&mut sources);
    let unwraps =
        |source: &Source| check_source(source).iter().any(|finding| finding.rule.contains("unwrap"));
    assert_eq!(sources.each_ref().map(unwraps), [false, true, false, false, true]);
}
