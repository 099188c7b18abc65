//! Edges of the books that no ordinary history meets: absurd amounts, batched withdrawals, many slices, parted pairs.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::id::{ConnectionNo, EventId, TxId};
use nacre_engine::model::{
    AnnotationEdit, ChainInput, ChainOutput, ChainStatus, ChainView, LotScope, Rail, Settings,
};
use nacre_engine::money::{Currency, Rate};
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
const DAY: i64 = 1_710_000_000;

fn book(rails: &[Rail]) -> Book {
    let book = Book::in_memory().unwrap();
    for (at, rail) in rails.iter().enumerate() {
        let name = format!("w{at}");
        let new = NewConnection {
            id: name.clone(),
            label: name,
            kind: "Custom".into(),
            rail: *rail,
            config: String::new(),
        };
        book.add_connection(NOW, new).unwrap();
    }
    let rate = Rate::from_decimal("50000".parse().unwrap()).unwrap();
    let time = Timestamp::from_secs(DAY - 3_600);
    book.put_rates(NOW, 1, &[RatePoint { currency: Currency::USD, time, rate, provider: "import".into() }])
        .unwrap();
    book
}

fn import(book: &Book, connection: u32, rows: &str) {
    let text = format!("type,timestamp,id,amount_btc,fee_btc,fiat_value,txid,vout,transfer_ref\n{rows}");
    book.import_plain(NOW, ConnectionNo(connection), text.as_bytes(), false).unwrap();
}

fn process(book: &Book) -> u64 {
    let quarantined = book.process(NOW, false, &|| false).unwrap().quarantined;
    assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
    quarantined
}

fn gains(book: &Book) -> Vec<(String, String)> {
    let report = book.snapshot().unwrap().capital_gains(&Range::default(), NOW).unwrap();
    report.rows.into_iter().map(|row| (row.event_id, row.quantity)).collect()
}

/// A payment to outputs of these values, some ours.
fn paid(byte: u8, outputs: &[(u64, bool)]) -> ChainView {
    let output = |&(value_sat, owned): &(u64, bool)| ChainOutput { value_sat, owned, script: vec![byte] };
    ChainView {
        txid: TxId([byte; 32]),
        status: ChainStatus::Confirmed {
            height: 800_000,
            position: 7,
            time: Timestamp::from_secs(DAY + 600),
        },
        coinbase: false,
        inputs: vec![ChainInput { owned_sat: None }],
        outputs: outputs.iter().map(output).collect(),
    }
}

/// A custodian (1) and a wallet (2) that got half a bitcoin by a transaction which paid a stranger, too.
fn shared_withdrawal() -> (Book, TxId) {
    let book = book(&[Rail::Managed, Rail::OnChain]);
    let view = paid(9, &[(50_000_000, true), (30_000_000, false)]);
    let txid = view.txid;
    book.apply_sync(NOW, ConnectionNo(2), vec![view], vec![1]).unwrap();
    (book, txid)
}

#[test]
fn an_absurd_amount_is_set_aside_and_stops_nothing() {
    let book = book(&[Rail::Managed]);
    let mut rows = String::from("buy,2024-01-01T00:00:00Z,good,1,,40000,,,\n");
    for at in 0..2 {
        writeln!(rows, "buy,2024-01-02T00:00:00Z,fiat-{at},1,,92233720368547758,,,").unwrap();
    }
    for at in 0..60 {
        writeln!(rows, "buy,2024-01-03T00:00:00Z,sats-{at},2000000,,1,,,").unwrap();
        writeln!(rows, "sell,2024-01-04T00:00:00Z,sold-{at},2000000,,1,,,").unwrap();
    }
    rows.push_str("sell,2024-02-01T00:00:00Z,late,0.5,,30000,,,\n");
    import(&book, 1, &rows);
    assert!(process(&book) > 0);
    let reasons = book.snapshot().unwrap().quarantined(None, 500).unwrap();
    assert!(reasons.iter().any(|(_, _, reason)| reason.code() == "amount_out_of_range"));
    assert!(gains(&book).iter().any(|(event, _)| event == "c1.late"), "the others are booked");
}

#[test]
fn a_withdrawal_to_a_strangers_output_is_a_spend_not_a_fee() {
    let (book, txid) = shared_withdrawal();
    import(
        &book,
        1,
        &format!(
            "buy,2024-01-01T00:00:00Z,b,2,,80000,,,\n\
             withdrawal,2024-03-09T16:00:00Z,mine,0.5,,,{txid},0,\n\
             withdrawal,2024-03-09T16:00:00Z,friend,0.3,,,{txid},1,\n"
        ),
    );
    assert_eq!(process(&book), 0);
    assert_eq!(gains(&book), [(txid.to_string(), "30000000.000".to_owned())]);
}

#[test]
fn a_fiat_fee_of_a_shared_withdrawal_is_paid_once() {
    let (book, txid) = shared_withdrawal();
    let rows = format!(
        "type,timestamp,id,amount_btc,fiat_value,fee_fiat,txid,vout\n\
         buy,2024-01-01T00:00:00Z,b,2,80000,,,\n\
         withdrawal,2024-03-09T16:00:00Z,mine,0.5,,3,{txid},0\n\
         withdrawal,2024-03-09T16:00:00Z,friend,0.3,,5,{txid},1\n"
    );
    book.import_plain(NOW, ConnectionNo(1), rows.as_bytes(), false).unwrap();
    assert_eq!(process(&book), 0);
    let entries = book.snapshot().unwrap().journal_entries(&Range::default(), NOW).unwrap();
    let fees =
        entries.rows.iter().filter(|row| row.account == "Expenses:Exchange Fees" && row.asset == "USD");
    let mut fees: Vec<_> = fees.map(|row| row.debit.clone().unwrap_or_default()).collect();
    fees.sort();
    assert_eq!(fees, ["3.00", "5.00"]);
}

#[test]
fn what_had_room_once_has_room_when_it_is_undone() {
    let book = book(&[Rail::Managed, Rail::Managed]);
    book.set_settings(NOW, &Settings { lot_scope: LotScope::Connection, ..Settings::default() }).unwrap();
    let mut rows = String::from("buy,2023-01-01T00:00:00Z,first,1,,1,,,\n");
    for at in 0..5 {
        writeln!(rows, "buy,2024-01-0{}T00:00:00Z,b-{at},21000000,,1,,,", at + 1).unwrap();
    }
    rows.push_str("withdrawal,2024-02-01T00:00:00Z,out,10000000,,,,,r\n");
    import(&book, 1, &rows);
    import(&book, 2, "deposit,2024-02-01T00:00:00Z,in,10000000,,,,,r\n");
    process(&book);
    import(&book, 1, "buy,2024-01-20T00:00:00Z,late,0.1,,1,,,\n");
    process(&book);
}

#[test]
fn withdrawals_that_share_a_transaction_are_not_guessed_apart() {
    let (book, txid) = shared_withdrawal();
    import(
        &book,
        1,
        &format!(
            "buy,2024-01-01T00:00:00Z,b,2,,80000,,,\n\
             withdrawal,2024-03-09T16:00:00Z,mine,0.5,,,{txid},,\n\
             withdrawal,2024-03-09T16:00:00Z,friend,0.3,,,{txid},,\n"
        ),
    );
    assert_eq!(process(&book), 1);
    let (_, _, reason) = book.snapshot().unwrap().quarantined(None, 1).unwrap().remove(0);
    assert!(reason.explain().contains("vout"), "{}", reason.explain());
}

#[test]
fn a_move_may_carry_more_than_65535_lots() {
    const LOTS: u32 = 70_000;
    let book = book(&[Rail::Lightning, Rail::OnChain]);
    book.set_settings(NOW, &Settings { lot_scope: LotScope::Connection, ..Settings::default() }).unwrap();
    let mut rows = String::new();
    for at in 0..LOTS {
        writeln!(rows, "forward,2024-01-01T00:00:00Z,f-{at},0.00001,,1,,,").unwrap();
    }
    writeln!(rows, "pay,2024-03-09T16:00:00Z,out,0.7,,,,,home").unwrap();
    import(&book, 1, &rows);
    import(&book, 2, "deposit,2024-03-09T16:00:00Z,in,0.7,,,,,home\n");
    assert_eq!(process(&book), 0);
    assert_eq!(book.snapshot().unwrap().open_lots().unwrap().count(), LOTS as usize);
}

#[test]
fn what_was_bought_needs_no_rate_for_its_fee() {
    let book = book(&[Rail::Managed]);
    import(&book, 1, "buy,2020-01-01T00:00:00Z,b,0.1,0.001,5000,,,\n");
    assert_eq!(process(&book), 0);
    let report = book.snapshot().unwrap().capital_gains(&Range::default(), NOW).unwrap();
    assert_eq!(
        (report.rows[0].quantity.as_str(), report.rows[0].gross_proceeds_fiat.as_str()),
        ("100000.000", "50.00")
    );
}

#[test]
fn an_exclusion_outlives_the_pair_it_became_part_of() {
    let book = book(&[Rail::Managed, Rail::Managed]);
    let id = EventId::from_text("c2.in");
    import(&book, 2, "deposit,2024-03-09T17:00:00Z,in,0.5,,,,,r\n");
    book.annotate(NOW, &id, &[AnnotationEdit::Excluded(true)]).unwrap();
    import(
        &book,
        1,
        "buy,2024-01-01T00:00:00Z,b,1,,40000,,,\nwithdrawal,2024-03-09T16:00:00Z,out,0.5,,,,,r\n",
    );
    book.annotate(NOW, &id, &[AnnotationEdit::Note(Some("home".into()))]).unwrap();
    process(&book);
    book.remove_connection(NOW, ConnectionNo(1)).unwrap();
    process(&book);
    let view = book.snapshot().unwrap().event(&id).unwrap().view;
    assert!(view.annotation.excluded);
    assert_eq!(view.note(), Some("home"));
}

#[test]
fn a_reconfigured_wallet_starts_without_the_old_ones_records() {
    let book = book(&[Rail::OnChain]);
    book.apply_sync(NOW, ConnectionNo(1), vec![paid(9, &[(1_000, true)])], vec![1]).unwrap();
    process(&book);
    let mut connection = book.snapshot().unwrap().connection("w0").unwrap();
    connection.config = "another wallet".into();
    book.update_connection(NOW, &connection, true).unwrap();
    assert_eq!(book.sync_state(ConnectionNo(1)).unwrap(), None);
    process(&book);
    assert_eq!(book.snapshot().unwrap().totals().unwrap().events, 0);
}
