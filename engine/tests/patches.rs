//! Rows replaced in place where the change is awkward: what goes away whole, wallets that are forgotten and deleted, ids that
//! come to mean another record. After each process the books are those of a rebuild.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;

use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::id::ConnectionNo;
use nacre_engine::model::{Method, Rail, Settings};
use nacre_engine::money::{Currency, Rate};
use nacre_engine::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

fn book(connections: usize) -> Book {
    let book = Book::in_memory().unwrap();
    for at in 0..connections {
        let (id, kind, rail) = (format!("w{at}"), "Custom".to_owned(), Rail::OnChain);
        let new = NewConnection { label: id.clone(), id, kind, rail, config: String::new() };
        book.add_connection(NOW, new).unwrap();
    }
    book
}

fn import(book: &Book, connection: u32, rows: &str) {
    let text = format!("type,timestamp,id,amount_btc,fiat_value,txid,lots\n{rows}");
    book.import_plain(NOW, ConnectionNo(connection), text.as_bytes(), false).unwrap();
}

/// Processes; answers how many events are quarantined and how many were derived anew.
fn process(book: &Book) -> (u64, u64) {
    let done = book.process(NOW, false, &|| false).unwrap();
    assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
    (done.quarantined, done.events_replayed)
}

fn forget(book: &Book, id: &str) {
    let connection = book.snapshot().unwrap().connection(id).unwrap();
    book.update_connection(NOW, &connection, true).unwrap();
}

#[test]
fn all_records_go_at_once() {
    let book = book(1);
    import(&book, 1, "buy,2024-01-01,b1,1,40000,,\nbuy,2024-02-01,b2,1,40000,,\n");
    process(&book);
    forget(&book, "w0");
    process(&book);
    assert_eq!(book.snapshot().unwrap().totals().unwrap().events, 0);
}

#[test]
fn all_records_move_behind_the_last_one() {
    let book = book(1);
    import(&book, 1, "buy,2024-01-01,b1,1,40000,,\nbuy,2024-02-01,b2,1,40000,,\n");
    process(&book);
    import(&book, 1, "buy,2025-01-01,b1,1,40000,,\nbuy,2025-02-01,b2,1,40000,,\n");
    process(&book);
    assert_eq!(book.snapshot().unwrap().totals().unwrap().events, 2);
}

#[test]
fn a_named_lot_moves_behind_the_sale_that_names_it() {
    let book = book(1);
    import(&book, 1, "buy,2024-01-01,b1,1,40000,,\nsell,2024-02-01,s1,1,50000,,c1.b1:1\n");
    assert_eq!(process(&book).0, 0);
    import(&book, 1, "buy,2024-03-01,b1,1,40000,,\n");
    assert_eq!(process(&book).0, 1);
}

#[test]
fn a_wallet_is_forgotten_and_then_deleted_before_anything_is_derived() {
    let book = book(2);
    import(&book, 1, "buy,2024-01-01,b1,1,40000,,\n");
    import(&book, 2, "buy,2024-02-01,b2,1,40000,,\n");
    process(&book);
    forget(&book, "w1");
    book.remove_connection(NOW, ConnectionNo(2)).unwrap();
    process(&book);
    assert_eq!(book.snapshot().unwrap().totals().unwrap().events, 1);
}

#[test]
fn an_id_comes_to_mean_another_record() {
    let txid = "ab".repeat(32);
    let book = book(2);
    let rows = format!("deposit,2024-01-02,d1,1,40000,{txid},\nsell,2024-01-05,s1,1,50000,,{txid}:1\n");
    import(&book, 1, &rows);
    let before = process(&book);
    import(&book, 2, &format!("deposit,2024-01-01,d0,1,,{txid},\n"));
    process(&book);
    forget(&book, "w1");
    assert_eq!(process(&book).0, before.0, "as it was before");
}

#[test]
fn a_rate_changes_what_it_values_and_no_more() {
    let book = book(1);
    let mut rows = String::new();
    for day in 1..=28 {
        writeln!(rows, "deposit,2024-02-{day:02}T12:00:00Z,d{day},0.1,,,").unwrap();
    }
    import(&book, 1, &rows);
    let rate = |day: u32, price: &str| {
        let time = Timestamp::parse_rfc3339(&format!("2024-02-{day:02}T00:00:00Z")).unwrap();
        let rate = Rate::from_decimal(price.parse().unwrap()).unwrap();
        book.put_rates(
            NOW,
            1,
            &[RatePoint { currency: Currency::USD, time, rate, provider: "import".into() }],
        )
        .unwrap();
    };
    (1..=28).for_each(|day| rate(day, "40000"));
    assert_eq!(process(&book), (0, 28));
    rate(10, "41000");
    assert_eq!(process(&book), (0, 1), "one day's deposit alone");
}

#[test]
fn a_late_lot_of_lifo_touches_the_sales_that_reach_it_alone() {
    let book = book(1);
    book.set_settings(NOW, &Settings { method: Method::Lifo, ..Settings::default() }).unwrap();
    let mut rows = String::from("buy,2024-01-01,base,5,100000,,\n");
    for day in 2..=28 {
        writeln!(rows, "buy,2024-01-{day:02}T10:00:00Z,b{day},1,40000,,").unwrap();
        writeln!(rows, "sell,2024-01-{day:02}T11:00:00Z,s{day},1,41000,,").unwrap();
    }
    rows.push_str("sell,2024-02-01,deep,2,90000,,\n");
    import(&book, 1, &rows);
    process(&book);
    import(&book, 1, "buy,2024-01-01T12:00:00Z,late,1,30000,,\n");
    assert_eq!(process(&book), (0, 2), "itself and the one sale that reaches so deep");
}

#[test]
fn a_change_that_settles_nowhere_is_derived_from_nothing_and_says_what_changed() {
    let book = book(1);
    let mut rows = String::from("buy,2024-01-01T00:00:00Z,base,5000,100000000,,\n");
    for at in 0..3_000u32 {
        let (day, second) = (2 + at / 120, at % 120);
        writeln!(rows, "sell,2024-01-{day:02}T10:{:02}:{:02}Z,s{at},1,41000,,", second / 60, second % 60)
            .unwrap();
    }
    import(&book, 1, &rows);
    process(&book);
    import(&book, 1, "buy,2024-01-01T00:00:00Z,a-late,5000,1,,\nbuy,2023-12-31T00:00:00Z,late,0.5,7,,\n");
    process(&book);
    let snapshot = book.snapshot().unwrap();
    let version = snapshot.header().unwrap().book_version;
    let changes = snapshot.changes_after(version - 1, 1).unwrap();
    let nacre_engine::model::ChangeDetail::Process(effect) = &changes[0].1.detail else {
        unreachable!("the last change is the process")
    };
    assert!(!effect.events.is_empty());
    for event in &effect.events {
        assert!(event.before.is_some() && event.after.is_some(), "{event:?} was sold before and is sold now");
    }
}

#[test]
fn an_older_lot_comes_before_sales_and_a_record_that_names_its_lot() {
    let book = book(1);
    import(
        &book,
        1,
        "buy,2019-05-01,old,0.5,4000,,\nbuy,2023-02-02,b2,2,90000,,\nsell,2023-03-02,s1,0.1,2000,,\n\
         sell,2023-03-07,s2,0.1,2000,,\nsell,2023-04-02,named,0.1,3000,,c1.b2:0.1\nsell,2023-04-07,s3,0.1,3000,,\n",
    );
    process(&book);
    import(&book, 1, "buy,2018-06-01,late,0.3,66,,\n");
    process(&book);
    let report =
        book.snapshot().unwrap().capital_gains(&nacre_engine::reports::Range::default(), NOW).unwrap();
    let lots: Vec<_> = report.rows.iter().map(|row| row.lot_id.as_str()).collect();
    assert_eq!(lots, ["c1.late#0", "c1.late#0", "c1.b2#0", "c1.late#0"]);
}
