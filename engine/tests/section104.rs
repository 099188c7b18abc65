//! `UK_S104` where it is hard: many acquisitions and disposals within two months, several on a day, some brought in from
//! before, in a zone whose days are not those of UTC. Held against the naive books, and derived in pieces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)]
mod model;

use model::check::{agrees_with_the_naive_books, incremental_is_rebuild};
use model::drive::{books, empty_book, now};
use model::naive::keep;
use model::world::{Choices, Method, Policy, Row, World};
use nacre_engine::id::ConnectionNo;
use nacre_engine::model::Settings;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::test_runner::TestCaseError;

/// 2023-02-20T00:00:00Z.
const START: i64 = 1_676_851_200;

fn policy(east: i64) -> Policy {
    Policy { method: Method::Section104, by_connection: false, carry_basis: false, east, later: Vec::new() }
}

/// Rows of one feed over 64 days; one in eight is elsewhere in an older version.
fn world(bytes: &[u8]) -> World {
    let mut world = World::decode(&[]);
    (world.txs, world.remarks, world.removed) = (Vec::new(), Vec::new(), None);
    world.rows.clear();
    let mut from = Choices(bytes);
    let east = if from.byte() & 1 == 0 { 0 } else { 36_000 };
    world.policy = [policy(36_000 - east), policy(east)];
    for at in 0..from.below(60) {
        let (kind, day, hour) = (from.byte(), from.byte(), from.byte());
        let secs = START + i64::from(day % 64) * 86_400 + i64::from(hour % 8) * 10_800;
        let msat = 1_000 * (1 + i128::from(from.byte()));
        let value = Some(("USD", i128::from(from.byte()) + 1));
        let mut row = Row { conn: 1, secs, id: format!("r-{at}"), msat, value, ..Row::default() };
        row.kind = match kind % 8 {
            0..=2 => "buy",
            3..=5 => "sell",
            6 => "gift_out",
            _ => "opening_balance",
        };
        if row.kind == "opening_balance" {
            // Brought in from before, or acquired earlier on the day itself.
            row.acquired = Some(secs - if kind & 8 == 0 { 400 * 86_400 } else { 3_600 });
            row.cost_basis = row.value.map(|(_, cents)| cents);
        }
        let mut older = row.clone();
        if kind >> 5 == 0 {
            older.secs = START + i64::from(hour % 64) * 86_400;
            older.acquired = None;
        }
        world.rows.push([older, row]);
    }
    world.rest = from.0.to_vec();
    world
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn days_are_matched_as_the_naive_books_match_them(bytes in prop::collection::vec(any::<u8>(), 0..320)) {
        agrees_with_the_naive_books(&world(&bytes)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn days_in_any_order_end_in_the_books_of_one_rebuild(bytes in prop::collection::vec(any::<u8>(), 0..420)) {
        incremental_is_rebuild(&world(&bytes)).map_err(TestCaseError::fail)?;
    }
}

/// Random bytes must meet each rule, and several claims of one lot.
#[test]
fn these_worlds_are_dense() {
    let mut dice = 7u64;
    let mut byte = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 56) as u8
    };
    let (mut later, mut same_day, mut pool, mut short) = (0, 0, 0, 0);
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..320).map(|_| byte()).collect();
        let books = keep(&world(&bytes).facts());
        later += books.gains.iter().filter(|gain| gain.acquired > gain.at + 86_400).count();
        same_day += books.gains.iter().filter(|gain| (gain.acquired - gain.at).abs() < 20_000).count();
        pool += books.gains.iter().filter(|gain| gain.acquired < gain.at - 86_400).count();
        short += books.quarantined.len();
    }
    assert!(later > 300 && same_day > 20 && pool > 100 && short > 20, "{later} {same_day} {pool} {short}");
}

/// Costs are summed over all time, so that they have room wherever they end up: beyond that an acquisition is set aside.
#[test]
fn what_the_books_have_no_room_for_is_set_aside_before_days_are_matched() {
    let book = empty_book();
    let settings = Settings { method: nacre_engine::model::Method::UkS104, ..Settings::default() };
    book.set_settings(now(), &settings).unwrap();
    let rows = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n\
        b-1,buy,2024-01-01T00:00:00Z,5000000,60000000000000000,USD\n\
        s-1,sell,2024-02-01T00:00:00Z,2000000,30000000000000000,USD\n\
        b-2,buy,2024-02-10T00:00:00Z,1000000,60000000000000000,USD\n\
        b-3,buy,2024-02-11T00:00:00Z,1000000,100,USD\n\
        s-2,sell,2024-02-12T00:00:00Z,4000001,100,USD\n";
    book.import_plain(now(), ConnectionNo(1), rows.as_bytes(), false).unwrap();
    book.process(now(), false, &|| false).unwrap();
    let found = books(&book);
    assert_eq!(
        found.quarantined,
        [("c1.b-2".to_owned(), "amount_out_of_range"), ("c1.s-2".to_owned(), "insufficient_lots")]
    );
    let slices: Vec<_> = found.gains.iter().map(|gain| (gain.lot.as_str(), gain.msat)).collect();
    assert_eq!(slices, [("c1.b-3#0", 100_000_000_000_000_000), ("c1.b-1#0", 100_000_000_000_000_000)]);
    let verified = book.verify().unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}
