//! The real daemon, killed with SIGKILL at random moments of its work: what it acknowledged is there after the restart,
//! what it did not acknowledge is there whole or not at all, and the books are those of a daemon nobody ever killed.
//!
//! `CRASH_SEED` chooses another run and `CRASH_ROUNDS` its length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../account/mod.rs"]
mod account;
mod births;
#[path = "../../../daemon/tests/chain_fake/mod.rs"]
mod chain_fake;
mod compare;
mod inputs;
mod rounds;
mod seed;
mod wallet;

use nacre_tests::Result;

use rounds::Rounds;
use seed::Seed;

#[test]
fn two_hundred_kills_lose_nothing_and_change_nothing() -> Result<()> {
    let rounds = std::env::var("CRASH_ROUNDS").map_or(200, |text| text.parse().unwrap());
    let mut run = Rounds::begin(Seed::from_environment())?;
    eprintln!("{}, {rounds} rounds", run.seed);
    for round in 1..=rounds {
        let outcome = run.one().and_then(|()| if round % 25 == 0 { run.compare() } else { Ok(()) });
        outcome.unwrap_or_else(|error| panic!("round {round} of {}: {error}\n{}", run.seed, run.log_end()));
    }
    run.compare()?;
    eprintln!("{}", run.tally);
    // A run in which the kills came when the work was done would prove nothing.
    assert!(run.tally.rounds_cut * 3 >= run.tally.rounds, "{}", run.tally);
    Ok(())
}
