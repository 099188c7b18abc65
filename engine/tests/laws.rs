//! The laws of the books, held against naive books on random histories (`PROPTEST_CASES` sets how many).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod model;

use std::collections::{BTreeMap, BTreeSet};

use model::check::{agrees_with_the_naive_books, incremental_is_rebuild};
use model::naive::{Gain, keep, keep_and_count};
use model::world::{Built, Method, World};
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

/// Every method and policy, whatever the engine has of them.
const EVERYTHING: Built = Built { methods: &Method::ALL, dated_policies: true, gift_bases: true };

proptest! {
    #![proptest_config(cases(300))]

    /// The naive books are held to what can be said of them without a second opinion.
    #[test]
    fn naive_books_lose_nothing(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let world = World::decode_for(&bytes, EVERYTHING);
        assert_eq!(world.policy[1].refused(), None);
        let (books, tally) = keep_and_count(&world.facts());
        let gone: i128 = books.gains.iter().map(|gain| gain.cost).sum();
        let open: i128 = books.open.iter().map(|lot| lot.cost).sum();
        assert_eq!(tally.came, gone + tally.given + open, "cost");
        let held: i128 = books.open.iter().map(|lot| lot.msat).sum();
        let ledger = books.balances.iter().filter(|((_, asset), _)| asset == "BTC").map(|(_, net)| net);
        assert_eq!(held, ledger.sum::<i128>(), "quantity");
        assert!(books.open.iter().all(|lot| lot.msat > 0 && lot.cost >= 0));
        for gain in &books.gains {
            assert!(gain.msat > 0 && gain.cost >= 0 && gain.basis <= gain.cost, "{gain:?}");
            let latest = if world.policy[1].method == Method::Section104 { gain.at + 31 * 86_400 } else { gain.at };
            assert!(gain.acquired <= latest, "{gain:?}");
        }
    }

    /// In one pool, what is set aside and how much leaves do not depend on the method, unless lots are named.
    #[test]
    fn naive_methods_differ_in_cost_only(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let mut world = World::decode_for(&bytes, EVERYTHING);
        world.rows.iter_mut().flatten().for_each(|row| row.lots.clear());
        let mut seen = None;
        for method in Method::ALL {
            let policy = &mut world.policy[1];
            (policy.method, policy.by_connection, policy.carry_basis) = (method, false, false);
            policy.later.clear();
            let (books, tally) = keep_and_count(&world.facts());
            let mut left: Vec<(String, i128)> = Vec::new();
            for gain in books.gains {
                match left.last_mut() {
                    Some((event, msat)) if *event == gain.event => *msat += gain.msat,
                    _ => left.push((gain.event, gain.msat)),
                }
            }
            let found = (books.quarantined, books.balances, books.events, left, tally.came);
            assert_eq!(seen.get_or_insert_with(|| found.clone()), &found, "{method:?}");
        }
    }
}

/// Bytes of a fixed seed.
fn thrown(worlds: usize) -> Vec<Vec<u8>> {
    let mut dice = 1u64;
    let mut byte = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 56) as u8
    };
    (0..worlds).map(|_| (0..400).map(|_| byte()).collect()).collect()
}

/// The laws would hold in empty worlds too: random bytes must make rich ones.
#[test]
fn random_worlds_are_rich() {
    let (mut reasons, mut gains, mut long, mut open) = (BTreeSet::new(), 0, 0, 0);
    for bytes in thrown(200) {
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

/// Worlds of every method and policy meet the cases that their rules are about.
#[test]
fn random_worlds_of_everything_are_rich() {
    let (mut gains, mut met) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
    for bytes in thrown(600) {
        let world = World::decode_for(&bytes, EVERYTHING);
        let (policy, books) = (&world.policy[1], keep(&world.facts()));
        *gains.entry(policy.method.name()).or_default() += books.gains.len();
        let mut count = |what, times: usize| *met.entry(what).or_default() += times;
        let dated = policy.later.iter().filter(|dated| !dated.allocation.is_empty()).count();
        let void = books.quarantined.iter().filter(|(id, _)| id.starts_with("allocation.")).count();
        count("policies of a day", policy.later.len());
        count("allocations", dated - void);
        count("void allocations", void);
        count("second bases", books.gains.iter().filter(|gain| gain.basis < gain.cost).count());
        let next_days = |gain: &&Gain| gain.acquired > gain.at + 86_400;
        count("next days", books.gains.iter().filter(next_days).count());
        let same_day = |gain: &&Gain| gain.acquired == gain.at;
        if policy.method == Method::Section104 {
            count("same days", books.gains.iter().filter(same_day).count());
        }
    }
    assert!(gains.len() == 6 && gains.values().all(|gains| *gains > 150), "{gains:?}");
    assert!(met.len() == 6 && met.values().all(|times| *times > 20), "{met:?}");
}
