//! Fixed-seed workloads; every verdict is a ratio of two figures of the same run, so it holds on any machine.
//!
//! `cargo run --release -p nacre-bench -- [--events N] [--only NAME]... [--json FILE]`. Owns: the list of workloads,
//! the arguments and the exit code. Refuses: wall-clock assertions, randomness, the network.

mod adversarial;
mod append;
mod blocks;
mod footprint;
mod history;
mod imports;
mod lookups;
mod rebuild;
mod run;
mod seeded;
mod table;

use std::process::ExitCode;

use run::{Res, Run};

/// A workload: measures, and notes its figures in the run.
type Workload = fn(&mut Run) -> Res<()>;

const WORKLOADS: &[(&str, Workload)] = &[
    ("redb_raw", blocks::redb_raw),
    ("commit", blocks::commit),
    ("rows_vs_blocks", blocks::rows_vs_blocks),
    ("rebuild", rebuild::rebuild),
    ("import_to_gains", imports::import_to_gains),
    ("append", append::append),
    ("backdate", append::backdate),
    ("relabel", append::relabel),
    ("report_year", lookups::report_year),
    ("portfolio_summary", lookups::portfolio_summary),
    ("tax_summary", lookups::tax_summary),
    ("rss", footprint::rss),
    ("disk", footprint::disk),
    ("adversarial", adversarial::adversarial),
];

const USAGE: &str = "usage: nacre-bench [--events N] [--only NAME]... [--json FILE]";

struct Args {
    events: u64,
    only: Vec<String>,
    json: Option<String>,
}

impl Args {
    fn parse(mut args: impl Iterator<Item = String>) -> Res<Self> {
        let mut parsed = Args { events: 1_000_000, only: Vec::new(), json: None };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"));
            match arg.as_str() {
                "--events" => parsed.events = value()?.parse()?,
                "--only" => parsed.only.push(value()?),
                "--json" => parsed.json = Some(value()?),
                _ => return Err(USAGE.into()),
            }
        }
        if parsed.events < 1_000 {
            return Err("--events must be at least 1000".into());
        }
        if let Some(name) = parsed.only.iter().find(|name| WORKLOADS.iter().all(|(known, _)| known != name)) {
            let known: Vec<&str> = WORKLOADS.iter().map(|(name, _)| *name).collect();
            return Err(format!("no workload {name}; known: {}", known.join(", ")).into());
        }
        Ok(parsed)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let works = [footprint::CHILD, footprint::REBUILD_CHILD];
    let done = match args.next_if(|arg| works.contains(&arg.as_str())) {
        Some(work) => footprint::child(&work, args),
        None => Args::parse(args).and_then(|args| measure(&args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nacre-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Res<()> {
    let mut run = Run::new(args.events)?;
    for (name, workload) in WORKLOADS {
        if args.only.is_empty() || args.only.iter().any(|only| only == name) {
            eprintln!("{name} …");
            workload(&mut run)?;
        }
    }
    print!("{}", table::text(&run.lines));
    if let Some(path) = &args.json {
        std::fs::write(path, table::json(args.events, &run.lines)?)?;
    }
    Ok(())
}
