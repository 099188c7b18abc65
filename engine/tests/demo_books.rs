//! The bundled example histories become books that are clean, complete and the same however they are processed.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::PathBuf;

use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::model::{Rail, Settings};
use nacre_engine::money::Rate;
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../daemon/src/demo/data").join(name)
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2025-01-01T00:00:00Z").unwrap()
}

#[test]
fn the_example_histories_are_clean_books() {
    let book = Book::in_memory().unwrap();
    book.set_settings(now(), &Settings { rate_max_age_hours: 800, ..Settings::default() }).unwrap();
    let rates = std::fs::read_to_string(data("rates.csv")).unwrap();
    let points: Vec<RatePoint> = rates
        .lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            let time = Timestamp::parse_rfc3339(cells.next().unwrap()).unwrap();
            let currency = cells.next().unwrap().strip_prefix("BTC-").unwrap().parse().unwrap();
            let rate = Rate::from_decimal(cells.next().unwrap().parse().unwrap()).unwrap();
            RatePoint { currency, time, rate, provider: "import".into() }
        })
        .collect();
    book.put_rates(now(), 1, &points).unwrap();
    let feeds = [
        ("saver", Rail::Managed),
        ("wallet", Rail::OnChain),
        ("merchant", Rail::Managed),
        ("lightning", Rail::Lightning),
    ];
    for (label, rail) in feeds {
        let new = NewConnection {
            id: label.into(),
            label: label.into(),
            kind: "Custom".into(),
            rail,
            config: "{}".into(),
        };
        let connection = book.add_connection(now(), new).unwrap();
        let file = File::open(data(&format!("{label}.csv"))).unwrap();
        let report = book.import_plain(now(), connection.no, file, false).unwrap();
        assert!(report.new > 10, "{report:?}");
        book.process(now(), false, &|| false).unwrap();
    }
    let snapshot = book.snapshot().unwrap();
    let quarantined = snapshot.quarantined(None, 10).unwrap();
    assert!(quarantined.is_empty(), "{quarantined:#?}");
    let gains = snapshot.capital_gains(&Range::default(), now()).unwrap();
    assert!(
        gains.rows.iter().any(|row| row.term == "long") && gains.rows.iter().any(|row| row.term == "short")
    );
    let verified = book.verify().unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
    assert!(verified.journal_rows > 100 && verified.open_lots > 0);
}
