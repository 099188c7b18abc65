//! A change of policy waits for the next process; until then every report is whole under the old policy.
#![allow(clippy::unwrap_used)]

use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::model::{Rail, Settings};
use nacre_engine::money::{Currency, Rate};
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
const ROWS: &str = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n\
    b,buy,2024-01-01T00:00:00Z,1,40000,USD\ns,sell,2024-06-01T00:00:00Z,1,60000,USD\n";

#[test]
fn reports_keep_the_currency_they_were_made_in_until_the_next_process() {
    let book = Book::in_memory().unwrap();
    let new = NewConnection {
        id: "x".into(),
        label: "x".into(),
        kind: "Custom".into(),
        rail: Rail::Managed,
        config: String::new(),
    };
    let no = book.add_connection(NOW, new).unwrap().no;
    book.import_plain(NOW, no, ROWS.as_bytes(), false).unwrap();
    book.process(NOW, false, &|| false).unwrap();
    let eur: Currency = "EUR".parse().unwrap();
    let changed = Settings { fiat_currency: eur, rate_max_age_hours: 10_000, ..Settings::default() };
    book.set_settings(NOW, &changed).unwrap();

    let snapshot = book.snapshot().unwrap();
    let before = snapshot.capital_gains(&Range::default(), NOW).unwrap();
    assert_eq!((before.fiat_currency.as_str(), before.rows.len()), ("USD", 1));
    assert!(snapshot.header().unwrap().non_final);

    let point = |currency, price: &str| RatePoint {
        currency,
        time: Timestamp::from_secs(1_700_000_000),
        rate: Rate::from_decimal(price.parse().unwrap()).unwrap(),
        provider: "import".into(),
    };
    book.put_rates(NOW, 1, &[point(Currency::USD, "50000"), point(eur, "45000")]).unwrap();
    book.process(NOW, false, &|| false).unwrap();
    let after = book.snapshot().unwrap().capital_gains(&Range::default(), NOW).unwrap();
    assert_eq!(
        (after.fiat_currency.as_str(), after.summary.total_realized_gain_fiat.as_str()),
        ("EUR", "18000.00")
    );
}
