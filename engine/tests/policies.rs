//! Policies of a later day, where a book is larger than random worlds are: rows of many lots, marks, places of events.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;

use nacre_engine::book::{Book, NewConnection};
use nacre_engine::id::{ConnectionNo, EventId};
use nacre_engine::model::{Allocation, EventKind, LotScope, Method, Policy, Rail, Settings};
use nacre_engine::money::Msats;
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

/// 1,100 buys in turn at two brokers, one a minute from 2024-01-01 on, then a sale at each in 2025.
fn book() -> Book {
    let book = Book::in_memory().unwrap();
    for (turn, id) in ["a", "b"].into_iter().enumerate() {
        let (kind, rail) = ("Custom".to_owned(), Rail::Managed);
        let new = NewConnection { id: id.into(), label: id.into(), kind, rail, config: String::new() };
        let no = book.add_connection(NOW, new).unwrap().no;
        let mut rows = String::from("id,type,timestamp,amount_btc,fiat_value,fiat_currency\n");
        for at in (turn..1_100).step_by(2) {
            let (hour, minute) = (at / 60, at % 60);
            let (day, hour) = (1 + hour / 24, hour % 24);
            writeln!(
                rows,
                "b-{at},buy,2024-01-{day:02}T{hour:02}:{minute:02}:00Z,0.01,{},USD",
                400 + at % 97
            )
            .unwrap();
        }
        rows.push_str("s-1,sell,2025-06-01T00:00:00Z,2,150000,USD\n");
        book.import_plain(NOW, no, rows.as_bytes(), false).unwrap();
    }
    book
}

fn policy(from: &str, method: Method, lot_scope: LotScope) -> Policy {
    Policy { from: from.parse().unwrap(), method, lot_scope, allocation: Vec::new() }
}

fn keep(book: &Book, policies: &[Policy]) -> u64 {
    let settings = Settings { method: Method::Hifo, policies: policies.to_vec(), ..Settings::default() };
    book.set_settings(NOW, &settings).unwrap();
    let replayed = book.process(NOW, false, &|| false).unwrap().events_replayed;
    let verified = book.verify().unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    replayed
}

fn allocations(book: &Book) -> Vec<String> {
    let rows = book.snapshot().unwrap().journal(&Range::default()).unwrap().map(Result::unwrap);
    rows.filter(|(_, row)| row.kind == EventKind::LotAllocation).map(|(key, _)| key.id.to_string()).collect()
}

#[test]
fn a_policy_derives_the_books_anew_from_its_day_only_and_deals_in_rows_of_five_hundred_lots() {
    let book = book();
    assert_eq!(keep(&book, &[]), 1_102);
    let by_connection = policy("2025-01-01", Method::Hifo, LotScope::Connection);
    let united = policy("2026-01-01", Method::Lofo, LotScope::Universal);
    assert_eq!(keep(&book, std::slice::from_ref(&by_connection)), 3 + 2);
    let day = ["allocation.2025-01-01", "allocation.2025-01-01.000001", "allocation.2025-01-01.000002"];
    assert_eq!(allocations(&book), day);
    // 700 lots are left in 2026: the sales take 200 each.
    assert_eq!(keep(&book, &[by_connection.clone(), united.clone()]), 2);
    assert_eq!(allocations(&book)[3..], ["allocation.2026-01-01", "allocation.2026-01-01.000001"]);
    // What is no other method and no other scope is nothing new; nor is a policy taken back and set again.
    let idle = policy("2025-03-01", Method::Hifo, LotScope::Connection);
    assert_eq!(keep(&book, &[by_connection.clone(), idle, united]), 0);
    assert_eq!(keep(&book, &[by_connection]), 0);
    assert_eq!(keep(&book, &[]), 2);
    assert!(allocations(&book).is_empty());
}

#[test]
fn a_list_of_many_lots_is_dealt_first_and_every_row_can_be_read() {
    let book = book();
    let mut by_list = policy("2025-01-01", Method::Hifo, LotScope::Connection);
    // Each broker gets the lots of the other.
    by_list.allocation = (0..1_100)
        .map(|at| Allocation {
            lot: format!("c{}.b-{at}#0", 1 + at % 2),
            connection: ConnectionNo(2 - at % 2),
            quantity: Msats::new(1_000_000_000),
        })
        .collect();
    keep(&book, &[by_list]);
    let rows = allocations(&book);
    assert_eq!(rows.len(), 4, "{rows:?}");
    let snapshot = book.snapshot().unwrap();
    for id in rows {
        let detail = snapshot.event(&EventId::from_text(id.clone())).unwrap();
        assert_eq!((detail.view.key.id.as_str(), detail.postings.len()), (id.as_str(), 0));
        assert_eq!(detail.view.row.connections.len(), if id.ends_with(".000003") { 0 } else { 2 });
    }
    for lot in snapshot.open_lots().unwrap().map(Result::unwrap) {
        let bought_at = if lot.key.origin.id.as_str().starts_with("c1.") { 1 } else { 2 };
        assert_eq!(lot.key.pool, Some(ConnectionNo(3 - bought_at)));
    }
    assert!(snapshot.event(&EventId::from_text("allocation.2024-01-01")).is_err());
    assert!(snapshot.event(&EventId::from_text("allocation.x")).is_err());
}
