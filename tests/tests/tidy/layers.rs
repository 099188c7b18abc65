//! Who may know whom inside `engine/src`.
//!
//! A module may use those of lower ranks only; the base modules may also use each other. So the four pure stages know
//! neither each other nor the store. Names at the crate root (`crate::Name`) are refused, because they hide the module.

use crate::paths::NamedPath;
use crate::rules::Finding;
use crate::source::Source;

const BASE_RANK: u8 = 1;
const RANKS: [(u8, &[&str]); 5] = [
    (5, &["book", "measure"]),
    (4, &["derive", "reports"]),
    (3, &["store", "import", "normalise", "journal", "lots"]),
    (2, &["model"]),
    (BASE_RANK, &["money", "time", "id", "error"]),
];

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(_, modules)| modules.contains(&module)).map(|(rank, _)| *rank)
}

/// The layer rules, for product code of the engine. `lib.rs` is the face of the crate and may show anything.
pub fn check(source: &Source, paths: &[NamedPath], findings: &mut Vec<Finding>) {
    let Some(file) = source.path.strip_prefix("engine/src/") else { return };
    let own_path = module_path(file);
    let Some(own) = own_path.first() else { return };
    let Some(own_rank) = rank(own) else {
        findings.push(Finding::new(source, 1, format!("module `{own}` has no place in the layer table")));
        return;
    };
    for path in paths {
        let Some(used) = top_module(&own_path, path).filter(|used| used != own) else { continue };
        let complaint = match rank(&used) {
            None => format!("`crate::{used}` is no module of the layer table; name the module it is in"),
            Some(used_rank) if used_rank < own_rank || own_rank == BASE_RANK && used_rank == BASE_RANK => {
                continue;
            }
            Some(_) => format!("layer: `{own}` may not use `{used}`"),
        };
        findings.push(Finding::new(source, path.line, complaint));
    }
}

/// `lots/plan.rs` → `[lots, plan]`; `lots/mod.rs` → `[lots]`; `lib.rs` → `[]`.
fn module_path(file: &str) -> Vec<String> {
    let parts = file.trim_end_matches(".rs").split('/');
    parts.filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_owned).collect()
}

/// The first module below the crate root that `path` goes through, if it is a path inside the crate.
fn top_module(own_path: &[String], path: &NamedPath) -> Option<String> {
    let first = path.segments.first()?.as_str();
    let supers = path.segments.iter().take_while(|s| *s == "super").count();
    match first {
        "crate" => path.segments.get(1).cloned(),
        "super" if supers >= own_path.len() => path.segments.get(supers).cloned(),
        _ => None,
    }
}
