//! The demo data is what it says it is: it reads without error, its transfers pair, its balances and prices hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

use nacre_engine::import::{ImportContext, PlainRow, read_plain};
use nacre_engine::model::PlainKind;
use nacre_engine::money::{Currency, Msats, Rate};
use nacre_engine::time::{Timestamp, Zone};

const FILES: [&str; 4] = ["saver.csv", "wallet.csv", "merchant.csv", "lightning.csv"];

fn open(file: &str) -> File {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../daemon/src/demo/data");
    File::open(folder.join(file)).expect(file)
}

fn read(file: &str) -> Vec<PlainRow> {
    let context = ImportContext { zone: Zone::utc(), book_currency: Currency::USD };
    let rows = read_plain(open(file), &context).unwrap_or_else(|error| panic!("{file}: {error}"));
    rows.map(|row| row.unwrap_or_else(|error| panic!("{file}: {error}"))).collect()
}

fn rates() -> BTreeMap<Timestamp, Rate> {
    let mut reader = csv::Reader::from_reader(open("rates.csv"));
    assert_eq!(reader.headers().unwrap(), &["time", "pair", "rate"][..]);
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        assert_eq!(&row[1], "BTC-USD");
        let rate = Rate::from_decimal(row[2].parse().unwrap()).unwrap();
        (Timestamp::parse_rfc3339(&row[0]).unwrap(), rate)
    });
    rows.collect()
}

#[test]
fn every_file_reads_with_stable_ids() {
    for file in FILES {
        let rows = read(file);
        assert!((12..=60).contains(&rows.len()), "{file}: {} rows", rows.len());
        let ids: HashSet<_> = rows.iter().map(|row| &row.native_id).collect();
        assert_eq!(ids.len(), rows.len(), "{file}");
        assert!(ids.iter().all(|id| id.contains('-')), "{file}: an id was not given");
        assert!(rows.is_sorted_by_key(|row| row.record.time), "{file}: not in order of time");
    }
}

#[test]
fn no_place_gives_what_it_does_not_have() {
    for file in FILES {
        let mut balance = Msats::ZERO;
        for row in read(file) {
            use PlainKind as K;
            let moved = row.record.quantity;
            balance = match row.record.kind {
                K::Sell | K::Withdrawal | K::Pay | K::GiftOut | K::Fee => balance.sub(moved).unwrap(),
                _ => balance.add(moved).unwrap(),
            };
            balance = balance.sub(row.record.fee).unwrap();
            assert!(!balance.is_negative(), "{file} {}: {balance}", row.native_id);
        }
    }
}

#[test]
fn transfers_have_two_ends_that_fit() {
    let mut ends: BTreeMap<String, Vec<(&str, PlainRow)>> = BTreeMap::new();
    for file in FILES {
        for row in read(file) {
            let reference = row.record.extra.as_ref().and_then(|extra| extra.transfer_ref.clone());
            if let Some(reference) = reference {
                ends.entry(reference).or_default().push((file, row));
            }
        }
    }
    assert!(ends.len() >= 10);
    for (reference, mut pair) in ends {
        pair.sort_by_key(|(_, row)| row.record.time);
        let [(from, out), (to, back)] = &pair[..] else { panic!("{reference}: {} ends", pair.len()) };
        assert_ne!(from, to, "{reference}");
        assert_eq!(
            (out.record.kind, back.record.kind),
            (PlainKind::Withdrawal, PlainKind::Deposit),
            "{reference}"
        );
        assert_eq!(out.record.quantity, back.record.quantity, "{reference}");
    }
}

#[test]
fn prices_are_those_of_their_month() {
    let rates = rates();
    assert_eq!(rates.len(), 48);
    for file in FILES {
        for row in read(file) {
            let record = &row.record;
            let (_, before) = rates
                .range(..=record.time)
                .next_back()
                .unwrap_or_else(|| panic!("{file} {}: no close before", row.native_id));
            let (_, after) = rates
                .range(record.time..)
                .next()
                .unwrap_or_else(|| panic!("{file} {}: no close after", row.native_id));
            if !matches!(record.kind, PlainKind::Buy | PlainKind::Sell) {
                continue;
            }
            let (_, value) = record.value.unwrap();
            let at = |rate: &Rate| rate.value(record.quantity, Currency::USD).unwrap().get();
            let (low, high) = (at(before.min(after)), at(before.max(after)));
            assert!((low - 5..=high + 5).contains(&value.get()), "{file} {}", row.native_id);
        }
    }
}
