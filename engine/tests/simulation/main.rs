//! Simulation: from one seed a random history of operations and faults on a book, held against what was acknowledged.
//!
//! `cargo test -p nacre-engine --test simulation -- --nocapture` runs fixed seeds. `NACRE_SIM_SEED=n` starts at another
//! seed, `NACRE_SIM_SECONDS=600` goes on that long, `NACRE_SIM_STEPS=n` ends each run after so many steps. A failure
//! prints the seed, the fewest steps that fail and the command that repeats them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod ledger;
mod machine;
#[allow(dead_code, reason = "each test uses its part")]
#[path = "../model/mod.rs"]
mod model;
mod seed;
mod steps;

use std::time::{Duration, Instant};

use machine::{Broken, Sabotage, Tally, run};

/// Seeds that every run of the tests goes through.
const SEEDS: u64 = 150;
const FIRST: u64 = 1;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// The shortest prefix of a failing run that fails.
fn shortest(seed: u64, broken: Box<Broken>, sabotage: Sabotage) -> (usize, Box<Broken>) {
    let shorter =
        (0..broken.after).find_map(|limit| run(seed, limit, sabotage).err().map(|broken| (limit, broken)));
    shorter.unwrap_or((broken.after, broken))
}

fn report(seed: u64, broken: Box<Broken>) -> String {
    let (steps, broken) = shortest(seed, broken, Sabotage::None);
    let trace: String =
        broken.trace.iter().enumerate().map(|(at, line)| format!("  {} {line}\n", at + 1)).collect();
    let again = "cargo test -p nacre-engine --test simulation -- --nocapture histories";
    format!(
        "seed {seed} fails at step {steps}: {}\n{trace}again: NACRE_SIM_SEED={seed} NACRE_SIM_STEPS={steps} NACRE_SIM_SECONDS=0 {again}",
        broken.what
    )
}

#[test]
fn histories_with_faults_keep_every_promise() {
    let first = number("NACRE_SIM_SEED").unwrap_or(FIRST);
    let steps = number("NACRE_SIM_STEPS").map_or(usize::MAX, |steps| steps as usize);
    let seconds = number("NACRE_SIM_SECONDS").map(Duration::from_secs);
    let begun = Instant::now();
    let mut tally = Tally::default();
    for seed in first.. {
        match run(seed, steps, Sabotage::None) {
            Ok(run) => tally.add(&run.tally),
            Err(broken) => panic!("{}", report(seed, broken)),
        }
        let enough = match seconds {
            Some(seconds) => begun.elapsed() >= seconds,
            None => tally.runs >= SEEDS,
        };
        if enough {
            eprintln!("seeds {first} to {seed}: {tally}");
            break;
        }
    }
    if seconds.is_none() && steps == usize::MAX {
        // A simulation in which little happens would prove little.
        assert!(tally.struck.len() == 3 && tally.struck.values().all(|count| *count > 25), "{tally}");
        assert!(tally.steps.len() == 19 && tally.steps.values().all(|count| *count > 10), "{tally}");
        for name in ["seals", "acceptances", "holds", "seal removals"] {
            assert!(tally.done.get(name).is_some_and(|count| *count > 10), "{name}: {tally}");
        }
        assert!(tally.in_flight.iter().all(|count| *count > 5) && tally.journal_rows > 5_000, "{tally}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 17] {
        let once = run(seed, usize::MAX, Sabotage::None).unwrap();
        assert_eq!(once, run(seed, usize::MAX, Sabotage::None).unwrap());
        assert_ne!(once, run(seed + 1, usize::MAX, Sabotage::None).unwrap());
    }
}

/// How many of the first seeds find what was broken on purpose, and that it is the same when looked for again.
fn found(sabotage: Sabotage) -> usize {
    let failing = (FIRST..FIRST + 20)
        .filter_map(|seed| run(seed, usize::MAX, sabotage).err().map(|broken| (seed, broken)));
    let failing: Vec<_> = failing.collect();
    for (seed, broken) in failing.iter().take(2) {
        let (steps, again) = shortest(*seed, broken.clone(), sabotage);
        assert!(steps <= broken.after && run(*seed, steps, sabotage) == Err(again), "seed {seed}");
    }
    failing.len()
}

#[test]
fn a_disk_that_lies_about_syncs_is_found() {
    assert!(found(Sabotage::LyingDisk) >= 18);
}

#[test]
fn an_acknowledged_step_that_is_missing_is_found() {
    assert!(found(Sabotage::ForgetfulAuditor) >= 15);
}

#[test]
fn a_lost_step_that_the_ledger_believes_in_is_found() {
    assert!(found(Sabotage::CredulousLedger) >= 5);
}
