//! The plain format by example, one refusal after the other, and its laws on arbitrary input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::header::Column;
use super::*;
use crate::model::{PlainExtra, PlainKind, Side};
use crate::money::{Fiat, Msats};
use crate::time::Timestamp;

fn context() -> ImportContext {
    ImportContext { zone: Zone::named("Europe/Berlin").unwrap(), book_currency: "EUR".parse().unwrap() }
}

fn rows(bytes: &[u8]) -> Vec<Result<PlainRow, RowError>> {
    read_plain(bytes, &context()).unwrap().collect()
}

fn good(text: &str) -> Vec<PlainRow> {
    rows(text.as_bytes()).into_iter().collect::<Result<_, _>>().unwrap()
}

fn eur(minor: i64) -> (Currency, Fiat) {
    ("EUR".parse().unwrap(), Fiat::new(minor))
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn blank(kind: PlainKind, time: &str, msat: i64) -> PlainRecord {
    PlainRecord {
        kind,
        time: at(time),
        quantity: Msats::new(msat),
        fee: Msats::ZERO,
        value: None,
        fee_fiat: None,
        trade: None,
        cost_basis: None,
        acquired_at: None,
        value_at_gift: None,
        extra: None,
    }
}

#[test]
fn a_buy_says_what_was_paid() {
    let text = "Tags,ID,fee_fiat,FIAT_VALUE,amount_btc,timestamp,type,note\n\
        \"Stack, dca;stack\",b-1,1.5,100,0.00250000000,2024-07-01,BUY, first \n";
    let extra = PlainExtra {
        tags: vec!["dca".into(), "stack".into()],
        note: Some("first".into()),
        ..PlainExtra::default()
    };
    let record = PlainRecord {
        value: Some(eur(10_000)),
        fee_fiat: Some(("EUR".parse().unwrap(), Fiat::new(150))),
        extra: Some(Box::new(extra)),
        ..blank(PlainKind::Buy, "2024-06-30T22:00:00Z", 250_000_000)
    };
    assert_eq!(good(text), [PlainRow { line: 2, native_id: "b-1".into(), record }]);
}

#[test]
fn a_trade_has_two_sides() {
    let text = "type,date,from_asset,from_amount,to_asset,to_amount,fee_sat,lots,fiat_currency,fee_fiat\n\
        trade,2024-01-02T03:04:05Z,btc,0.1,usd,4200.10,12.345,c1.b:1:0.05;c1.a:0.05000012345,USD,2\n\
        trade,2024-01-02 03:04:05,eth,1.500000000000000000000000000000001,XBT,0.1,,,,\n\
        trade,2024-01-02 03:04:05,LONGTICKER,7,eur,10,,,,\n";
    let read = good(text);
    let usd: Currency = "USD".parse().unwrap();
    let sides: Vec<_> = read.iter().map(|row| row.record.trade.unwrap()).collect();
    assert_eq!(sides[0], (Side::Btc(Msats::new(10_000_000_000)), Side::Fiat(usd, Fiat::new(420_010))));
    assert_eq!(sides[1], (Side::Unknown(*b"ETH\0\0\0\0\0"), Side::Btc(Msats::new(10_000_000_000))));
    assert_eq!(sides[2].0, Side::Unknown(*b"LONGTICK"));
    let first = &read[0].record;
    assert_eq!(
        (first.quantity, first.fee, first.fee_fiat),
        (Msats::ZERO, Msats::new(12_345), Some((usd, Fiat::new(200))))
    );
    assert_eq!(first.extra.as_ref().unwrap().lots[0], ("c1.b:1".into(), Msats::new(5_000_000_000)));
}

#[test]
fn dialects_read_the_same() {
    let plain = good("type,timestamp,amount_sat,note\ndeposit,2024-01-01,21,a\ndeposit,2024-01-01,21,a\n");
    for text in [
        "\u{feff}type,timestamp,amount_sat,note\r\ndeposit,2024-01-01,21,a\r\ndeposit,2024-01-01,21,a\r\n,,,\r\n\r\n",
        "type;timestamp;amount_sat;note\ndeposit;2024-01-01;21;a\ndeposit;2024-01-01;21;a",
        "note\ttype\tamount_msat\tdate\na\tdeposit\t21000\t2024-01-01\n\"a\"\tdeposit\t21000\t2024-01-01 00:00\n",
        "\n\ntype,timestamp,amount_btc,note\ndeposit,2024-01-01,.00000021,a\n\n   \n\
            deposit,2024-01-01 00:00:00,0.000000210000000000000,a\n",
    ] {
        let read = good(text);
        let strip = |rows: &[PlainRow]| -> Vec<_> {
            rows.iter().map(|row| (row.native_id.clone(), row.record.clone())).collect()
        };
        assert_eq!(strip(&read), strip(&plain), "{text:?}");
    }
    let ids: Vec<_> = plain.iter().map(|row| row.native_id.as_str()).collect();
    assert_eq!((&ids[0][..1], &ids[0][33..], &ids[1][33..]), ("h", "-0", "-1"));
    assert_eq!(ids[0][..33], ids[1][..33]);
}

#[test]
fn the_hash_of_a_content_never_changes() {
    let row = &good("type,timestamp,amount_btc,fee_sat,txid,note\nPay,2024-01-01,1,1,,hello\n")[0];
    assert_eq!(row.native_id, "h213da3bd03369a118ff53e2560c48489-0");
}

#[test]
fn a_file_is_the_same_file_under_another_zone_and_currency() {
    let text = "type,timestamp,amount_btc,fiat_value\nbuy,2024-01-01 12:00:00,1,40000\nbuy,2024-01-01T12:00:00Z,1,40000\n";
    let ids = |zone, currency: &str| -> Vec<String> {
        let context = ImportContext { zone, book_currency: currency.parse().unwrap() };
        read_plain(text.as_bytes(), &context).unwrap().map(|row| row.unwrap().native_id).collect()
    };
    let first = ids(Zone::utc(), "USD");
    assert_eq!(first, ids(Zone::named("America/New_York").unwrap(), "EUR"));
}

#[test]
fn lines_are_those_of_the_file() {
    let text = "type,date,amount_btc,note\r\ndeposit,2024-01-01,1,\"two\r\nlines\"\r\n\r\nfoo,2024-01-01,1,\r\n\
        deposit,2024-01-01,1,ok\r\n";
    let lines: Vec<_> = rows(text.as_bytes())
        .into_iter()
        .map(|row| row.map_or_else(|error| (error.line, error.column), |row| (row.line, String::new())))
        .collect();
    assert_eq!(lines, [(2, String::new()), (5, "type".into()), (6, String::new())]);
}

/// (header, row, what the error says).
const REFUSED: &[(&str, &str, &str)] = &[
    ("", ",2024-01-01,1", "line 2, column type: is blank"),
    ("", "spend,2024-01-01,1", "line 2, column type: \"spend\" is not a type of row; use one of buy, sell"),
    ("", "pay,,1", "line 2, column date: is blank"),
    ("", "pay,01/02/2024,1", "line 2, column date: \"01/02/2024\" does not say which part is the day"),
    ("", "pay,1.2.2024,1", "column date: \"1.2.2024\" does not say which part is the day"),
    ("", "pay,2024/02/01,1", "column date: \"2024/02/01\" is not a date or time"),
    ("", "pay,1704067200,1", "column date: \"1704067200\" looks like a number of seconds"),
    ("", "pay,2024-02-30,1", "column date: \"2024-02-30\" is not a valid date"),
    ("", "pay,2024-02-01T25:00:00,1", "is not a valid date"),
    ("", "pay,2024-02-01T12:00:00+99:00,1", "is not a valid date"),
    ("", "pay,2024-02-01T12:00:00[Asia/Tokyo],1", "is not a date or time"),
    ("", "pay,2008-12-31,1", "column date: \"2008-12-31\" is before bitcoin existed"),
    ("", "pay,2024-01-01,", "line 2, column amount_btc: is blank; a row of type pay has its quantity"),
    ("", "pay,2024-01-01,0.0", "column amount_btc: is zero"),
    ("", "pay,2024-01-01,-1", "column amount_btc: \"-1\" is negative"),
    ("", "pay,2024-01-01,(1)", "column amount_btc: \"(1)\" is negative"),
    ("", "pay,2024-01-01,+1", "column amount_btc: \"+1\" has a sign"),
    ("", "pay,2024-01-01,1e-3", "column amount_btc: \"1e-3\" has an exponent"),
    (
        "",
        "pay,2024-01-01,\"1,000\"",
        "column amount_btc: \"1,000\" has a thousands separator or a decimal comma",
    ),
    ("", "pay,2024-01-01,1_000", "column amount_btc: \"1_000\" has a thousands separator"),
    ("", "pay,2024-01-01,1.2.3", "column amount_btc: \"1.2.3\" is not a number"),
    ("", "pay,2024-01-01,.", "column amount_btc: \".\" is not a number"),
    ("", "pay,2024-01-01,NaN", "column amount_btc: \"NaN\" is not a number"),
    ("", "pay,2024-01-01,0.000000000001", "is finer than a millisatoshi"),
    ("", "pay,2024-01-01,21000000.00000000001", "is more than the 21 million BTC"),
    ("", "pay,2024-01-01,99999999999999999999", "is too large"),
    (",amount_sat", "pay,2024-01-01,1,1", "column amount_sat: is filled as well as amount_btc"),
    (",fee_btc,fee_msat", "pay,2024-01-01,1,0,0", "column fee_msat: is filled as well as fee_btc"),
    (",fee_btc", "fee,2024-01-01,1,1", "column fee_btc: is not for rows of type fee"),
    (",fee_msat", "pay,2024-01-01,1,0.5", "column fee_msat: \"0.5\" is finer than a millisatoshi"),
    ("", "buy,2024-01-01,1", "column fiat_value: is blank; a buy says what was paid"),
    (",fiat_value", "sell,2024-01-01,1,", "column fiat_value: is blank; a sell says what was paid"),
    (",fiat_value", "sell,2024-01-01,1,1.005", "column fiat_value: \"1.005\" is finer than the minor unit"),
    (",fiat_value", "sell,2024-01-01,1,-5", "column fiat_value: \"-5\" is negative"),
    (
        ",fiat_value,fiat_currency",
        "buy,2024-01-01,1,1.5,JPY",
        "column fiat_value: \"1.5\" is finer than a whole unit",
    ),
    (
        ",fiat_value,fiat_currency",
        "buy,2024-01-01,1,1,BTC",
        "column fiat_currency: \"BTC\" is not an ISO 4217 code",
    ),
    (",fee_fiat", "pay,2024-01-01,1,1.001", "column fee_fiat: \"1.001\" is finer"),
    (",from_asset", "buy,2024-01-01,1,BTC", "column from_asset: is for trades"),
    ("", "trade,2024-01-01,1", "column amount_btc: is not for trades"),
    ("", "trade,2024-01-01,", "column from_asset: is blank; a trade has"),
    (TRADE, "trade,2024-01-01,,BTC,1,XBT,1", "column to_asset: is the asset given"),
    (TRADE, "trade,2024-01-01,,BTC,0,EUR,1", "column from_amount: is zero"),
    (TRADE, "trade,2024-01-01,,BTC,1,EUR,0.00", "column to_amount: is zero"),
    (TRADE, "trade,2024-01-01,,BTC,1,EUR,", "column to_amount: is blank"),
    (TRADE, "trade,2024-01-01,,ETH,1e3,BTC,1", "column from_amount: \"1e3\" has an exponent"),
    (TRADE, "trade,2024-01-01,,A B,1,BTC,1", "column from_asset: \"A B\" is not a ticker"),
    (
        ",from_asset,from_amount,to_asset,to_amount,fiat_value",
        "trade,2024-01-01,,BTC,1,EUR,1,1",
        "column fiat_value: is not for a trade with a fiat side",
    ),
    (",txid", "pay,2024-01-01,1,abc", "column txid: \"abc\" is not 64 hexadecimal digits"),
    (",vout", "pay,2024-01-01,1,0", "column vout: has no txid beside it"),
    (",vout", "pay,2024-01-01,1,-1", "column vout: \"-1\" is not the number of an output"),
    (",payment_hash", "pay,2024-01-01,1,xyz", "column payment_hash: \"xyz\" is not 64"),
    (",transfer_ref", "withdrawal,2024-01-01,1,\"a\nb\"", "column transfer_ref: \"a\\nb\" has a line break"),
    (
        ",cost_basis",
        "pay,2024-01-01,1,5",
        "column cost_basis: is for opening_balance and gift_in, not for pay",
    ),
    (",acquired_at", "buy,2024-01-01,1,2023-01-01", "column fiat_value: is blank"),
    (
        ",acquired_at",
        "income,2024-01-01,1,2023-01-01",
        "column acquired_at: is for opening_balance and gift_in",
    ),
    (
        ",acquired_at",
        "gift_in,2024-01-01,1,2024-01-02",
        "column acquired_at: \"2024-01-02\" is after the row's own",
    ),
    (",fmv_at_gift", "gift_out,2024-01-01,1,5", "column fmv_at_gift: is for opening_balance and gift_in"),
    (",lots", "deposit,2024-01-01,1,c1.a:1", "column lots: is for rows in which bitcoin leaves"),
    (",lots", "pay,2024-01-01,1,c1.a", "column lots: \"c1.a\" is not an event id and an amount"),
    (",lots", "pay,2024-01-01,1,:1", "column lots: \":1\" is not an event id and an amount"),
    (",lots", "pay,2024-01-01,1,c1.a:0", "column lots: \"c1.a:0\" takes nothing"),
    (",fee_btc,lots", "pay,2024-01-01,1,0.5,c1.a:1", "adds up to 1.00000000 BTC, but 1.50000000 BTC leave"),
    (TRADE_LOTS, "trade,2024-01-01,,EUR,1,BTC,1,c1.a:1", "column lots: is for rows in which bitcoin leaves"),
    (",note", "pay,2024-01-01,1", "line 2: has 3 cells, the header has 4"),
    ("", "pay,2024-01-01,1,", "line 2: has 4 cells, the header has 3"),
    ("", "\"pay\"x,2024-01-01,1", "line 2: has text after a closing quote"),
    (",note", "pay,2024-01-01,1,\"open", "line 2: opens a quote that is never closed"),
];
const TRADE: &str = ",from_asset,from_amount,to_asset,to_amount";
const TRADE_LOTS: &str = ",from_asset,from_amount,to_asset,to_amount,lots";

#[test]
fn what_is_wrong_is_refused_with_line_column_and_reason() {
    for (columns, row, says) in REFUSED {
        let text = format!("type,date,amount_btc{columns}\n{row}\n");
        let error = match &rows(text.as_bytes())[..] {
            [Err(error)] => error.to_string(),
            other => panic!("{row}: {other:?}"),
        };
        assert!(error.contains(says), "{row}: {error:?} does not say {says:?}");
    }
}

#[test]
fn bytes_that_are_not_text_are_refused_in_their_cell() {
    let read = rows(b"type,date,amount_btc,note\npay,2024-01-01,1,\xe9t\xe9\npay,2024-01-01,1,ok\n");
    let error = read[0].as_ref().unwrap_err().to_string();
    assert_eq!(error, "line 2, column note: is not UTF-8 text; save the file as CSV in UTF-8");
    assert!(read[1].is_ok());
}

#[test]
fn a_repeated_id_must_repeat_its_content() {
    let text = "id,type,date,amount_sat\nx,pay,2024-01-01,1\nx,pay,2024-01-01,1.000\nx,pay,2024-01-01,2\n";
    let read = rows(text.as_bytes());
    assert_eq!(read[0].as_ref().unwrap().native_id, "x");
    assert_eq!(read[1].as_ref().unwrap().record, read[0].as_ref().unwrap().record);
    let error = read[2].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("line 4, column id: was given to a different row"), "{error}");
}

#[test]
fn headers_that_do_not_say_what_the_columns_are_are_refused() {
    let table: &[(&[u8], &str)] = &[
        (b"", "the file is empty"),
        (b"\r\n\n", "the file is empty"),
        (b"\xff\xfet\0y\0p\0e\0", "UTF-16"),
        (b"t\0y\0p\0e\0\n\0", "UTF-16"),
        (b"type,date,amount_btc,\xe9\n", "not UTF-8"),
        (
            b"type,date,amount_btc,price\n",
            "unknown column \"price\"; rename or remove it (known columns: type, ",
        ),
        (b"type,date,amount_btc,Type\n", "column type is there twice"),
        (b"type,date,timestamp,amount_btc\n", "columns timestamp and date mean the same"),
        (b"type,date,amount_btc,\n", "column 4 has no name"),
        (b"date,amount_btc\n", "there is no column type"),
        (b"type,amount_btc\n", "there is no column timestamp (or date)"),
        (b"type,date\n", "there is no column amount_btc"),
        (b"\"type,date,amount_btc\n", "line 1: opens a quote that is never closed"),
    ];
    for (bytes, says) in table {
        let error = read_plain(*bytes, &context()).err().unwrap().to_string();
        assert!(error.contains(says), "{error:?} does not say {says:?}");
    }
    let endless = vec![b'x'; 1 << 20];
    assert_eq!(read_plain(endless.as_slice(), &context()).err().unwrap(), HeaderError::TooLong);
}

#[test]
fn an_input_that_fails_is_an_error_once() {
    struct Fails(Vec<u8>);
    impl std::io::Read for Fails {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Err(std::io::Error::other("gone"));
            }
            let length = self.0.len().min(out.len());
            out[..length].copy_from_slice(&self.0.drain(..length).collect::<Vec<_>>());
            Ok(length)
        }
    }
    let text = format!("type,date,amount_btc\n{}", "pay,2024-01-01,1\n".repeat(1000));
    let read: Vec<_> = read_plain(Fails(text.into()), &context()).unwrap().collect();
    assert_eq!(read.len(), 1001);
    assert_eq!(read[1000].as_ref().unwrap_err().to_string(), "line 1002: cannot be read: gone");
}

// ---- laws ----

fn any_currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(vec!["EUR", "USD", "JPY", "KWD"]).prop_map(|code| code.parse().unwrap())
}

fn any_quantity() -> impl Strategy<Value = Msats> {
    prop_oneof![1..5000i64, 1..=Msats::MAX_MONEY.get()].prop_map(Msats::new)
}

fn any_fiat() -> impl Strategy<Value = Fiat> {
    prop_oneof![0..1000i64, 0..=i64::MAX].prop_map(Fiat::new)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (1_230_940_800_000_000i64..4_102_444_800_000_000).prop_map(Timestamp::from_micros)
}

fn any_text() -> impl Strategy<Value = String> {
    r#"[a-zA-Z0-9,;:"'\n\r\t é=€-]{1,12}"#.prop_map(|text| text.trim().to_string())
}

fn words() -> impl Strategy<Value = Option<String>> {
    of(any_text().prop_filter("blank", |text| !text.is_empty()))
}

fn any_side(currency: Currency) -> impl Strategy<Value = (Side, Side)> {
    let other: Currency = "CHF".parse().unwrap();
    let btc = any_quantity().prop_map(Side::Btc);
    let unknown = "[A-Z0-9]{4,8}".prop_map(|text| {
        let mut ticker = [0; 8];
        ticker[..text.len()].copy_from_slice(text.as_bytes());
        Side::Unknown(ticker)
    });
    let money = any_fiat().prop_map(move |fiat| Side::Fiat(currency, fiat.max(Fiat::new(1)))).boxed();
    let francs = any_fiat().prop_map(move |fiat| Side::Fiat(other, fiat.max(Fiat::new(1))));
    (prop_oneof![(btc, money.clone()), (unknown.clone(), unknown), (money, francs)], any::<bool>())
        .prop_map(|((a, b), swap)| if swap { (b, a) } else { (a, b) })
}

fn any_kind() -> impl Strategy<Value = PlainKind> {
    use PlainKind as K;
    prop::sample::select(vec![
        K::Buy,
        K::Sell,
        K::Trade,
        K::Deposit,
        K::Withdrawal,
        K::Invoice,
        K::Pay,
        K::Forward,
        K::Income,
        K::Interest,
        K::GiftIn,
        K::GiftOut,
        K::Fee,
        K::OpeningBalance,
    ])
}

fn any_extra() -> impl Strategy<Value = PlainExtra> {
    let reference = of("[!-~]{1,12}( [!-~]{1,3})?");
    let tags = vec("[a-z0-9-]{1,5}( [a-z]{1,2})?", 0..3);
    (of("[0-9a-f]{64}"), of(any::<u32>()), of("[0-9a-f]{64}"), reference, words(), words(), tags).prop_map(
        |(txid, vout, payment_hash, transfer_ref, description, note, mut tags)| {
            tags.sort();
            tags.dedup();
            let vout = vout.filter(|_| txid.is_some());
            PlainExtra { txid, vout, payment_hash, transfer_ref, lots: Vec::new(), description, note, tags }
        },
    )
}

/// A record and the currency its row states.
fn any_record() -> impl Strategy<Value = (PlainRecord, Currency)> {
    let money = (of(any_fiat()), of(any_fiat()), of(any_fiat()), of(any_fiat()), of(any_time())).boxed();
    let quantities = (any_quantity(), any_quantity(), any::<bool>()).boxed();
    any_currency()
        .prop_flat_map(move |currency| {
            let parts = (any_kind(), any_time(), quantities.clone(), any_side(currency), money.clone());
            (Just(currency), parts, any_extra(), of("[a-z0-9.:]{1,8}"))
        })
        .prop_map(|(currency, (kind, time, quantities, trade, money), mut extra, lot)| {
            let (quantity, fee, has_fee) = quantities;
            let (value, fee_fiat, cost, gift, acquired) = money;
            let is_trade = kind == PlainKind::Trade;
            let carried = matches!(kind, PlainKind::OpeningBalance | PlainKind::GiftIn);
            let priced = matches!(kind, PlainKind::Buy | PlainKind::Sell);
            let quantity = if is_trade { Msats::ZERO } else { quantity };
            let fee = if has_fee && kind != PlainKind::Fee { fee } else { Msats::ZERO };
            let with = |amount: Option<Fiat>| amount.map(|amount| (currency, amount));
            let value =
                if priced { with(value.or(Some(Fiat::ZERO))) } else { with(value) }.filter(|_| !is_trade);
            let fee_fiat = with(fee_fiat.filter(|_| value.is_some()));
            let leaves =
                matches!(kind, PlainKind::Sell | PlainKind::Withdrawal | PlainKind::Pay | PlainKind::Fee);
            if let Some(lot) = lot.filter(|_| leaves) {
                extra.lots = vec![(lot, quantity.add(fee).unwrap().min(Msats::MAX_MONEY))];
                extra.lots.retain(|(_, amount)| *amount == quantity.add(fee).unwrap());
            }
            let record = PlainRecord {
                kind,
                time,
                quantity,
                fee,
                value,
                fee_fiat,
                trade: is_trade.then_some(trade),
                cost_basis: with(cost).filter(|_| carried),
                acquired_at: acquired.filter(|at| carried && *at <= time),
                value_at_gift: with(gift).filter(|_| carried),
                extra: (extra != PlainExtra::default()).then(|| Box::new(extra)),
            };
            (record, currency)
        })
}

/// The text of `column` for a record, without quoting.
fn print(column: Column, id: Option<&str>, record: &PlainRecord, currency: Currency) -> String {
    let extra = record.extra.as_deref().cloned().unwrap_or_default();
    let money = |money: Option<(Currency, Fiat)>| money.map(|(currency, amount)| amount.to_text(currency));
    let ticker = |side: Side| match side {
        Side::Btc(_) => "BTC".to_string(),
        Side::Fiat(currency, _) => currency.to_string(),
        Side::Unknown(ticker) => String::from_utf8(ticker.to_vec()).unwrap().trim_end_matches('\0').into(),
    };
    let amount = |side: Side| match side {
        Side::Btc(amount) => amount.to_btc_text(),
        Side::Fiat(currency, amount) => amount.to_text(currency),
        Side::Unknown(_) => "1.5".into(),
    };
    let quantity = record.quantity;
    let lots =
        extra.lots.iter().map(|(event, amount)| format!("{event}:{amount}")).collect::<Vec<_>>().join(";");
    let text = match column {
        Column::Type => Some(cell::kind_name(record.kind).into()),
        Column::Timestamp => Some(record.time.to_string()),
        Column::Date => unreachable!(),
        Column::Id => id.map(str::to_string),
        Column::AmountBtc => (quantity.get() % 3 == 0).then(|| quantity.to_btc_text()),
        Column::AmountSat => (quantity.get() % 3 == 1).then(|| quantity.to_sat_text()),
        Column::AmountMsat => (quantity.get() % 3 == 2).then(|| quantity.get().to_string()),
        Column::FeeBtc => None,
        Column::FeeSat => Some(record.fee.to_sat_text()),
        Column::FeeMsat => None,
        Column::FiatValue => money(record.value),
        Column::FiatCurrency => Some(currency.to_string().to_lowercase()),
        Column::FeeFiat => money(record.fee_fiat),
        Column::FromAsset => record.trade.map(|(from, _)| ticker(from)),
        Column::FromAmount => record.trade.map(|(from, _)| amount(from)),
        Column::ToAsset => record.trade.map(|(_, to)| ticker(to)),
        Column::ToAmount => record.trade.map(|(_, to)| amount(to)),
        Column::Txid => extra.txid.map(|hash| hash.to_uppercase()),
        Column::Vout => extra.vout.map(|vout| vout.to_string()),
        Column::PaymentHash => extra.payment_hash,
        Column::TransferRef => extra.transfer_ref,
        Column::CostBasis => money(record.cost_basis),
        Column::AcquiredAt => record.acquired_at.map(|at| at.to_string()),
        Column::FmvAtGift => money(record.value_at_gift),
        Column::Lots => Some(lots),
        Column::Description => extra.description,
        Column::Note => extra.note,
        Column::Tags => Some(extra.tags.join(", ")),
    };
    // A trade has no amount cell, not even a zero one.
    let text = if record.quantity.is_zero() && AMOUNTS.contains(&column) { None } else { text };
    text.unwrap_or_default()
}
const AMOUNTS: [Column; 3] = [Column::AmountBtc, Column::AmountSat, Column::AmountMsat];

type Written<'a> = (Option<&'a str>, &'a PlainRecord, Currency);

fn csv_of(rows: &[Written<'_>], columns: &[Column], delimiter: u8) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| column.name())).unwrap();
    for (id, record, currency) in rows {
        writer.write_record(columns.iter().map(|column| print(*column, *id, record, *currency))).unwrap();
    }
    writer.into_inner().unwrap()
}

fn any_columns() -> impl Strategy<Value = Vec<Column>> {
    let columns = Column::ALL.iter().copied().filter(|column| *column != Column::Date).collect::<Vec<_>>();
    Just(columns).prop_shuffle()
}

proptest! {
    #[test]
    fn printing_and_reading_back_is_the_identity(
        records in vec(any_record(), 1..6),
        columns in any_columns(),
        delimiter in prop::sample::select(vec![b',', b';', b'\t']),
    ) {
        let ids: Vec<String> = (0..records.len()).map(|n| format!("row {n}")).collect();
        let written: Vec<Written<'_>> =
            records.iter().zip(&ids).map(|((record, currency), id)| (Some(id.as_str()), record, *currency)).collect();
        let read: Vec<_> = rows(&csv_of(&written, &columns, delimiter));
        prop_assert_eq!(read.len(), records.len());
        for (row, (id, record, _)) in read.into_iter().zip(written) {
            let row = row.unwrap();
            prop_assert_eq!(Some(row.native_id.as_str()), id);
            prop_assert_eq!(&row.record, record);
        }
    }

    #[test]
    fn order_of_rows_and_columns_does_not_change_native_ids(
        (records, shuffled) in vec(any_record(), 1..5).prop_flat_map(|records| {
            let twice = [records.clone(), records].concat();
            (Just(twice.clone()), Just(twice).prop_shuffle())
        }),
        columns in any_columns(),
    ) {
        let named = |records: &[(PlainRecord, Currency)], columns: &[Column]| {
            let written: Vec<Written<'_>> = records.iter().map(|(record, currency)| (None, record, *currency)).collect();
            let mut rows: Vec<_> = rows(&csv_of(&written, columns, b','))
                .into_iter()
                .map(|row| row.map(|row| (row.native_id, row.record)).unwrap())
                .collect();
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            rows
        };
        let mut sorted = columns.clone();
        sorted.sort_by_key(|column| *column as usize);
        let first = named(&records, &sorted);
        prop_assert!(first.windows(2).all(|pair| pair[0].0 != pair[1].0));
        prop_assert_eq!(first, named(&shuffled, &columns));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(rows) = read_plain(bytes.as_slice(), &context()) {
            rows.for_each(drop);
        }
    }

    #[test]
    fn arbitrary_cells_never_panic(body in r#"[a-z0-9.,;:"\n\r é€T-]{0,200}"#, columns in any_columns(), cut in 0..27usize) {
        let header: Vec<_> = columns.iter().skip(cut).map(|column| column.name()).collect();
        let text = format!("type,date,amount_btc\n{body}\n{}\n{body}", header.join(","));
        for text in [&text, &text[text.find('\n').unwrap() + body.len() + 2..]] {
            if let Ok(rows) = read_plain(text.as_bytes(), &context()) {
                rows.for_each(drop);
            }
        }
    }

    #[test]
    fn arbitrary_cells_in_a_good_row_never_panic(cells in vec(r#"[a-zA-Z0-9.,;:+ é€-]{0,24}"#, 27), kind in any_kind()) {
        let columns: Vec<_> = Column::ALL.iter().filter(|column| **column != Column::Date).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(columns.iter().map(|column| column.name())).unwrap();
        writer.write_record(columns.iter().zip(&cells).map(|(column, text)| match column {
            Column::Type => cell::kind_name(kind),
            _ => text,
        })).unwrap();
        prop_assert_eq!(rows(&writer.into_inner().unwrap()).len(), 1);
    }
}
