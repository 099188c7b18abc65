//! The laws of the books, held against naive books on random histories (`PROPTEST_CASES` sets how many).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod model;

use std::collections::BTreeSet;

use model::check::{agrees_with_the_naive_books, incremental_is_rebuild};
use model::naive::keep;
use model::world::World;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::test_runner::TestCaseError;

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    ProptestConfig {
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn engine_keeps_the_books_of_the_naive_model(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        agrees_with_the_naive_books(&World::decode(&bytes)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_interleaving_ends_in_the_books_of_one_rebuild(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        incremental_is_rebuild(&World::decode(&bytes)).map_err(TestCaseError::fail)?;
    }
}

/// The laws would hold in empty worlds too: random bytes must make rich ones.
#[test]
fn random_worlds_are_rich() {
    let (mut reasons, mut gains, mut long, mut open, mut dice) = (BTreeSet::new(), 0, 0, 0, 1u64);
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..400)
            .map(|_| {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (dice >> 56) as u8
            })
            .collect();
        let world = World::decode(&bytes);
        let books = keep(&world.facts());
        reasons.extend(books.quarantined.iter().map(|(_, reason)| *reason));
        gains += books.gains.len();
        long += books.gains.iter().filter(|gain| gain.long).count();
        open += books.open.len();
    }
    let wanted = [
        "collaborative_spend",
        "conflicting_link",
        "insufficient_lots",
        "lot_unavailable",
        "missing_rate",
        "unknown_asset",
    ];
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), wanted);
    assert!(gains > 500 && long > 100 && open > 500, "{gains} gains, {long} long, {open} open lots");
}
