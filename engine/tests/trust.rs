//! Trust in filed numbers on random histories: what is sealed stays, and every difference is told, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)]
mod model;

use std::collections::{BTreeMap, BTreeSet};

use model::drive::{Op, empty_book, now, settings};
use model::world::World;
use nacre_engine::Error;
use nacre_engine::book::{Book, NewSeal};
use nacre_engine::error::Refusal;
use nacre_engine::model::{ChangeDetail, Gains};
use nacre_engine::reports::{CapitalGains, Listing, PrintedFigures, Range};
use nacre_engine::time::{Timestamp, Zone};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use rust_decimal::Decimal;

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

const ALL: Listing = Listing { after: None, limit: usize::MAX };

fn run(world: &World, book: &Book, ops: &[Op<'_>]) {
    ops.iter().for_each(|op| world.run(book, op).unwrap());
    book.process(now(), false, &|| false).unwrap();
}

/// The years 2023 and 2024 of UTC, in part: both ends lie amid the world's events.
fn period() -> Range {
    Range { start: Some(Timestamp::from_secs(1_675_000_000)), end: Some(Timestamp::from_secs(1_730_000_000)) }
}

fn new_seal(id: &str) -> NewSeal {
    let Range { start, end } = period();
    let (start, end) = (start.unwrap(), end.unwrap());
    NewSeal { id: id.into(), label: "filed".into(), start, end, allow_non_final: true }
}

fn gains(book: &Book) -> (CapitalGains, String) {
    let snapshot = book.snapshot().unwrap();
    let mut csv = Vec::new();
    snapshot.capital_gains_csv(&period(), &mut csv).unwrap();
    (snapshot.capital_gains(&period(), now()).unwrap(), String::from_utf8(csv).unwrap())
}

fn sealed(book: &Book, id: &str) -> (CapitalGains, String) {
    let snapshot = book.snapshot().unwrap();
    let mut csv = Vec::new();
    snapshot.sealed_report_csv(id, &mut csv).unwrap();
    (snapshot.sealed_report(id).unwrap(), String::from_utf8(csv).unwrap())
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// The figures of each event and lot, out of the printed rows: quantity, gross, fee, cost, and the term.
fn by_lot(report: &CapitalGains) -> BTreeMap<(String, String, String), ([Decimal; 4], &'static str)> {
    let mut found: BTreeMap<_, ([Decimal; 4], &'static str)> = BTreeMap::new();
    for row in &report.rows {
        let place = (row.event_id.clone(), row.lot_id.clone(), row.acquired_at.clone() + &row.disposed_at);
        let sum = found.entry(place).or_default();
        let figures = [&row.quantity, &row.gross_proceeds_fiat, &row.fee_fiat, &row.cost_basis_fiat];
        figures.into_iter().zip(&mut sum.0).for_each(|(text, sum)| *sum += number(text));
        sum.1 = row.term;
    }
    found
}

fn figures(printed: &PrintedFigures) -> [Decimal; 5] {
    let PrintedFigures {
        quantity, gross_proceeds_fiat, fee_fiat, cost_basis_fiat, realized_gain_fiat, ..
    } = printed;
    [quantity, gross_proceeds_fiat, fee_fiat, cost_basis_fiat, realized_gain_fiat].map(|text| number(text))
}

fn summary(report: &CapitalGains) -> [Decimal; 5] {
    let all = &report.summary;
    [
        &all.total_quantity_disposed,
        &all.total_gross_proceeds_fiat,
        &all.total_fiat_fees_fiat,
        &all.total_cost_basis_fiat,
        &all.total_realized_gain_fiat,
    ]
    .map(|text| number(text))
}

fn minus(a: [Decimal; 5], b: [Decimal; 5]) -> [Decimal; 5] {
    std::array::from_fn(|at| a[at] - b[at])
}

fn years(book: &Book) -> BTreeMap<i16, Gains> {
    book.snapshot().unwrap().totals().unwrap().years
}

fn version(book: &Book) -> u64 {
    book.snapshot().unwrap().header().unwrap().book_version
}

fn reason(error: Error) -> Refusal {
    match error {
        Error::Refused { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_restatement_is_the_difference_of_two_reports_and_filed_numbers_stay(
        bytes in prop::collection::vec(any::<u8>(), 150..600),
        cut in 1usize..20,
    ) {
        let world = World::decode(&bytes);
        let ops = world.interleaved();
        let (first, rest) = ops.split_at(ops.len() * cut / 20);
        let book = empty_book();
        run(&world, &book, first);
        let filed = gains(&book);
        let seal = book.seal(now(), &new_seal("a")).unwrap();
        prop_assert_eq!(&sealed(&book, "a"), &filed, "what is sealed is what was shown");
        prop_assert!(!book.snapshot().unwrap().is_restated("a").unwrap());
        prop_assert_eq!(reason(book.seal(now(), &new_seal("b")).unwrap_err()), Refusal::SealOverlaps);
        prop_assert_eq!(
            reason(book.accept_restatement(now(), "a", "b", true).unwrap_err()), Refusal::NotRestated
        );

        run(&world, &book, rest);
        let current = gains(&book);
        prop_assert_eq!(&sealed(&book, "a"), &filed, "whatever happened since");
        let restatement = book.snapshot().unwrap().restatement("a", now(), &ALL).unwrap();
        let compared = &restatement.comparison;
        // Sums of both sides are the summaries of both reports.
        prop_assert_eq!(figures(&compared.total.before.total), summary(&filed.0));
        prop_assert_eq!(figures(&compared.total.after.total), summary(&current.0));
        // Years add up to the total.
        let mut sum = [Decimal::ZERO; 5];
        for year in &compared.years {
            let change = minus(figures(&year.gains.after.total), figures(&year.gains.before.total));
            sum = minus(sum, change.map(|part| -part));
        }
        let difference = minus(summary(&current.0), summary(&filed.0));
        prop_assert_eq!(sum, difference);
        prop_assert_eq!(number(compared.total.gain_difference_fiat.as_ref().unwrap()), difference[4]);
        // The events listed add up to it, too, and so do the lots of each.
        let zero = [Decimal::ZERO; 5];
        let of = |side: Option<&PrintedFigures>| side.map_or(zero, figures);
        let mut sum = zero;
        for event in &compared.disposals {
            let total = |side: &Option<nacre_engine::reports::PrintedGains>| {
                side.as_ref().map_or(zero, |gains| figures(&gains.total))
            };
            let change = minus(total(&event.after), total(&event.before));
            let mut lots = zero;
            for lot in &event.lots {
                let part = minus(
                    of(lot.after.as_ref().map(|part| &part.figures)),
                    of(lot.before.as_ref().map(|part| &part.figures)),
                );
                lots = minus(lots, part.map(|part| -part));
            }
            prop_assert_eq!(lots, change, "{}", event.event_id);
            sum = minus(sum, change.map(|part| -part));
        }
        prop_assert_eq!(sum, difference);
        // Exactly the lots that differ are listed.
        let (was, is) = (by_lot(&filed.0), by_lot(&current.0));
        let differ: BTreeSet<_> = was.keys().chain(is.keys()).filter(|place| was.get(*place) != is.get(*place)).collect();
        let differ: BTreeSet<_> = differ.into_iter().map(|(event, lot, _)| (event.clone(), lot.clone())).collect();
        let listed: BTreeSet<_> = compared.disposals.iter()
            .flat_map(|event| event.lots.iter().map(|lot| (event.event_id.clone(), lot.lot_id.clone())))
            .collect();
        prop_assert_eq!(listed, differ);
        prop_assert_eq!(compared.differs, !compared.disposals.is_empty());
        prop_assert_eq!(book.snapshot().unwrap().is_restated("a").unwrap(), compared.differs);
        // Page by page it is the same list.
        let mut paged = Vec::new();
        let mut place = Listing { after: None, limit: 2 };
        loop {
            let page = book.snapshot().unwrap().restatement("a", now(), &place).unwrap().comparison;
            paged.extend(page.disposals);
            match page.next {
                Some(next) => place.after = Some(next),
                None => break,
            }
        }
        prop_assert_eq!(&paged, &compared.disposals);

        if compared.differs {
            book.hold_restatement(now(), "a", "asked the accountant").unwrap();
            let accepted = book.accept_restatement(now(), "a", "b", true).unwrap();
            prop_assert_eq!(accepted.revises.as_deref(), Some("a"));
            prop_assert_eq!(&sealed(&book, "b").1, &current.1);
            let again = book.snapshot().unwrap().restatement("b", now(), &ALL).unwrap();
            prop_assert!(!again.comparison.differs && !again.inputs_changed && !again.settings_changed);
            prop_assert_eq!(reason(book.remove_seal(now(), "a").unwrap_err()), Refusal::SealSuperseded);
            prop_assert_eq!(&sealed(&book, "a"), &filed);
            prop_assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
            book.remove_seal(now(), "b").unwrap();
            prop_assert!(book.snapshot().unwrap().seal("a").unwrap().superseded_by.is_none());
        }
        prop_assert_eq!(book.snapshot().unwrap().seal("a").unwrap().report_hash, seal.report_hash);
    }

    #[test]
    fn why_is_the_difference_of_two_versions(
        bytes in prop::collection::vec(any::<u8>(), 150..600),
        cut in 1usize..20,
    ) {
        let world = World::decode(&bytes);
        let ops = world.interleaved();
        let (first, rest) = ops.split_at(ops.len() * cut / 20);
        let book = empty_book();
        run(&world, &book, first);
        let (from, before, old) = (version(&book), years(&book), events(&book));
        run(&world, &book, rest);
        let (to, after, new) = (version(&book), years(&book), events(&book));
        let why = book.snapshot().unwrap().why(from, to).unwrap();
        let all: BTreeSet<i16> = before.keys().chain(after.keys()).copied().collect();
        let of = |years: &BTreeMap<i16, Gains>, year: i16| years.get(&year).copied().unwrap_or_default();
        let wanted: Vec<_> = all.into_iter()
            .map(|year| (year, of(&before, year), of(&after, year)))
            .filter(|(_, before, after)| before != after)
            .collect();
        let told: Vec<_> = why.effect.years.iter().map(|year| (year.year, year.before, year.after)).collect();
        prop_assert_eq!(told, wanted);
        prop_assert_eq!(why.effect.more_from, None);
        if !why.effect.first {
            let differ: BTreeSet<_> = old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
            let told: BTreeSet<_> = why.effect.events.iter().map(|event| (event.at, event.event.to_string())).collect();
            prop_assert_eq!(&told, &differ);
            for event in &why.effect.events {
                let key = (event.at, event.event.to_string());
                prop_assert_eq!((event.before, event.after), (old.get(&key).copied(), new.get(&key).copied()));
            }
        }
        if !why.effect.years.is_empty() {
            prop_assert!(why.processes > 0 && (!why.causes.is_empty() || why.effect.first));
        }
        // The years kept are the years of the journal.
        let zone = Zone::named(&book.snapshot().unwrap().booked_settings().unwrap().timezone).unwrap();
        let mut naive: BTreeMap<i16, Gains> = BTreeMap::new();
        for ((at, _), gains) in &new {
            let sum = naive.entry(zone.year(*at).unwrap()).or_default();
            *sum = sum.and(gains);
        }
        prop_assert_eq!(naive, after);
    }

    #[test]
    fn what_if_is_what_a_change_of_policy_would_book_and_changes_nothing(
        bytes in prop::collection::vec(any::<u8>(), 150..600),
    ) {
        let world = World::decode(&bytes);
        let book = empty_book();
        run(&world, &book, &world.in_order());
        let (before, seen) = (gains(&book), version(&book));
        let other = settings(&world.policy[0]);
        let snapshot = book.snapshot().unwrap();
        let printed = model::drive::printed(&book);
        let what = book.what_if(now(), &other, &period(), &ALL, &|| false).unwrap();
        prop_assert_eq!(version(&book), seen);
        prop_assert_eq!(model::drive::printed(&book), printed);
        prop_assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
        drop(snapshot);
        book.set_settings(now(), &other).unwrap();
        book.process(now(), false, &|| false).unwrap();
        let after = gains(&book);
        prop_assert_eq!(figures(&what.comparison.total.before.total), summary(&before.0));
        prop_assert_eq!(figures(&what.comparison.total.after.total), summary(&after.0));
        let totals = book.snapshot().unwrap().totals().unwrap();
        prop_assert_eq!(what.hypothetical_quarantined, totals.quarantined);
    }
}

/// What each event realised.
fn events(book: &Book) -> BTreeMap<(Timestamp, String), Gains> {
    let snapshot = book.snapshot().unwrap();
    let rows = snapshot.journal(&Range::default()).unwrap().map(|row| row.unwrap());
    let gains = rows.filter_map(|(key, row)| {
        Some(((key.time, key.id.to_string()), nacre_engine::journal::gains_of(&row).unwrap()?))
    });
    gains.collect()
}

#[test]
fn a_cancelled_what_if_leaves_no_trace() {
    let bytes: Vec<u8> = (0..400u32).map(|n| (n * 37 % 251) as u8).collect();
    let world = World::decode(&bytes);
    let book = empty_book();
    run(&world, &book, &world.in_order());
    let seen = (version(&book), model::drive::printed(&book));
    let stopped = book.what_if(now(), &settings(&world.policy[0]), &period(), &ALL, &|| true);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!((version(&book), model::drive::printed(&book)), seen);
}

#[test]
fn a_what_if_is_refused_while_facts_wait() {
    let bytes: Vec<u8> = (0..400u32).map(|n| (n * 37 % 251) as u8).collect();
    let world = World::decode(&bytes);
    let book = empty_book();
    run(&world, &book, &world.in_order());
    let mut other = book.snapshot().unwrap().settings().unwrap();
    other.rate_max_age_hours += 1;
    book.set_settings(now(), &other).unwrap();
    let asked = || book.what_if(now(), &settings(&world.policy[0]), &period(), &ALL, &|| false);
    assert_eq!(reason(asked().unwrap_err()), Refusal::NotFinal);
    book.process(now(), false, &|| false).unwrap();
    assert!(asked().is_ok());
}

#[test]
fn the_change_log_says_what_each_write_touched() {
    let bytes: Vec<u8> = (0..500u32).map(|n| (n * 91 % 253) as u8).collect();
    let world = World::decode(&bytes);
    let book = empty_book();
    run(&world, &book, &world.interleaved());
    let changes = book.snapshot().unwrap().changes_after(0, usize::MAX).unwrap();
    let mut seen = BTreeSet::new();
    for (_, change) in &changes {
        seen.insert(change.operation.as_str());
        match &change.detail {
            ChangeDetail::Records { new, changed, removed, touched, .. } if new + changed + removed > 0 => {
                assert!(!touched.events.is_empty() && touched.events.len() <= 100, "{change:?}");
                assert!(touched.span.is_none_or(|(first, last)| first <= last));
            }
            ChangeDetail::Rates(pairs) => {
                assert_eq!(pairs.iter().map(|pair| pair.rows).sum::<u64>(), change.rows);
            }
            ChangeDetail::Settings { before, after } => assert_ne!(before, after),
            ChangeDetail::Annotation { fields, .. } => assert!(!fields.is_empty()),
            _ => {}
        }
    }
    for operation in ["add connection", "import", "rates", "process", "settings"] {
        assert!(seen.contains(operation), "{operation} is not in {seen:?}");
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn units_and_cost_are_conserved_in_every_pool(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let world = World::decode(&bytes);
        let book = empty_book();
        run(&world, &book, &world.interleaved());
        let snapshot = book.snapshot().unwrap();
        let report = snapshot.conservation(now()).unwrap();
        let totals = snapshot.totals().unwrap();
        for pool in report.pools.iter().chain([&report.total]) {
            prop_assert!(pool.balanced, "{pool:?}");
            let [quantity, cost]: [Decimal; 2] = std::array::from_fn(|at| {
                let of = |flow: &nacre_engine::reports::PrintedFlow| {
                    number(if at == 0 { &flow.quantity } else { &flow.cost_basis_fiat })
                };
                let inflow = of(&pool.acquired) + of(&pool.arrived) + of(&pool.inherited);
                let outflow = of(&pool.disposed) + of(&pool.given) + of(&pool.carried) + of(&pool.departed);
                inflow - outflow - of(&pool.lots)
            });
            prop_assert_eq!((quantity, cost), (Decimal::ZERO, Decimal::ZERO), "{:?}", pool);
        }
        prop_assert_eq!(&report.total.left.quantity, &totals.open_quantity.to_sat_text());
        let sold = snapshot.capital_gains(&Range::default(), now()).unwrap().summary;
        prop_assert_eq!(&report.total.disposed.quantity, &sold.total_quantity_disposed);
        for connection in &report.connections {
            // After a change of scope, what one connection overdrew another one's lots made good.
            if let Some(lots) = connection.lots.as_ref().filter(|_| world.policy[1].later.is_empty()) {
                prop_assert_eq!(lots, &connection.ledger, "{:?}", connection);
            }
            if totals.quarantined == 0 && totals.excluded == 0 && let Some(wallet) = &connection.wallet {
                prop_assert_eq!(wallet, &connection.ledger, "{:?}", connection);
            }
        }
    }
}

#[test]
fn a_what_if_leaves_the_file_as_it_was() {
    let bytes: Vec<u8> = (0..400u32).map(|n| (n * 37 % 251) as u8).collect();
    let world = World::decode(&bytes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.redb");
    let reopened = |what: &dyn Fn(&Book)| {
        let book = Book::open(&path, 1 << 20).unwrap();
        what(&book);
        let seen = (version(&book), model::drive::printed(&book));
        drop(book);
        (std::fs::metadata(&path).unwrap().len(), seen)
    };
    let before = reopened(&|book| {
        model::drive::connect(book);
        run(&world, book, &world.in_order());
    });
    let idle = reopened(&|_| {});
    let after = reopened(&|book| {
        let other = settings(&world.policy[0]);
        book.what_if(now(), &other, &period(), &ALL, &|| false).unwrap();
    });
    assert_eq!(before.1, after.1);
    assert_eq!(idle, after, "not even the size of the file");
    assert_eq!(Book::open(&path, 1 << 20).unwrap().verify().unwrap().problems, Vec::<String>::new());
}
