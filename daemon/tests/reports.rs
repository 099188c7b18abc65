//! Reports over the wire: the names of every field and column, ranges, entity tags, and CSV downloads with their bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;
mod history;

use std::fmt::Write;
use std::time::{Duration, Instant};

use harness::{Answer, Request, Server};
use history::{Books, keys};
use serde_json::{Value, json};

const HEAD: [&str; 4] = ["book_version", "non_final", "quarantined", "snapshot_timestamp"];

/// Asserts that `value` has the fields of every report and these.
#[track_caller]
fn has_fields(value: &Value, fields: &[&str]) {
    let mut expected: Vec<&str> = HEAD.iter().chain(fields).copied().collect();
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

#[track_caller]
fn has_exactly(value: &Value, fields: &str) {
    let mut expected: Vec<&str> = fields.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

const GAINS: &str = "disposal_count row_count total_quantity_disposed total_gross_proceeds_fiat total_fiat_fees_fiat \
    total_net_proceeds_fiat total_cost_basis_fiat total_realized_gain_fiat total_realized_gain_percentage \
    short_term_row_count short_term_quantity_disposed short_term_gross_proceeds_fiat short_term_fiat_fees_fiat \
    short_term_net_proceeds_fiat short_term_cost_basis_fiat short_term_realized_gain_fiat \
    short_term_realized_gain_percentage long_term_row_count long_term_quantity_disposed long_term_gross_proceeds_fiat \
    long_term_fiat_fees_fiat long_term_net_proceeds_fiat long_term_cost_basis_fiat long_term_realized_gain_fiat \
    long_term_realized_gain_percentage";

#[test]
fn the_balance_sheet_names_its_fields_and_balances() {
    let books = Books::kept();
    let sheet = books.json("/reports/balance-sheet?limit=50");
    has_fields(&sheet, &["included_kinds", "roots", "connection_balances", "totals", "issues"]);
    has_exactly(&sheet["roots"][0], "label balances children");
    has_exactly(&sheet["roots"][0]["balances"][0], "asset_code net");
    has_exactly(&sheet["connection_balances"][0], "connection_id connection_label kind balances");
    has_exactly(&sheet["totals"][0], "asset_code debit_total credit_total net");
    has_exactly(&sheet["issues"], "unknown_account_rows quarantined");
    let assets = &sheet["roots"][0];
    assert_eq!(assets["label"], "Assets");
    // 2 000 000 bought, 1 500 000 sold, 101 000 paid, 200 000 received.
    assert_eq!(assets["balances"][0], json!({ "asset_code": "BTC", "net": "599000.000" }));
    assert_eq!(assets["balances"][1], json!({ "asset_code": "USD", "net": "34300" }), "minor units");
    assert!(
        sheet["totals"]
            .as_array()
            .unwrap()
            .iter()
            .all(|total| { total["net"].as_str().unwrap().trim_matches(['0', '.', '-']).is_empty() })
    );
    assert_eq!(sheet["issues"]["quarantined"], 1);
}

#[test]
fn the_portfolio_summary_names_its_fields() {
    let books = Books::kept();
    let summary = books.json("/reports/portfolio-summary");
    has_fields(
        &summary,
        &[
            "btc_balance",
            "btc_balance_fiat",
            "btc_rate_fiat",
            "btc_rate_timestamp",
            "fiat_valuation",
            "balances",
            "btc_capital_gains",
        ],
    );
    has_exactly(&summary["fiat_valuation"], "fiat_currency total");
    has_exactly(&summary["balances"][0], "asset net");
    has_exactly(&summary["balances"][0]["asset"], "ticker precision");
    has_exactly(
        &summary["btc_capital_gains"],
        "algorithm sale_count total_quantity_sold total_proceeds_fiat total_cost_basis_fiat realized_gain_fiat \
         realized_gain_percentage unrealized_gain_fiat unrealized_gain_percentage unrealized_cost_basis_fiat \
         total_cost_basis_fiat_including_open average_cost_basis_fiat_per_btc total_gain_fiat",
    );
    assert_eq!(summary["btc_balance"], "599000.000");
    assert_eq!(summary["btc_balance_fiat"], "479.20");
    assert_eq!(summary["btc_capital_gains"]["sale_count"], 2);
}

#[test]
fn capital_gains_as_json_and_csv_agree() {
    let books = Books::kept();
    let report = books.json("/reports/capital-gains?format=json");
    has_fields(
        &report,
        &[
            "fiat_currency",
            "algorithm",
            "range_start",
            "range_end",
            "summary",
            "connection_aggregates",
            "rows",
        ],
    );
    has_exactly(&report["summary"], GAINS);
    has_exactly(&report["connection_aggregates"][0], &format!("kind connection_id connection_label {GAINS}"));
    has_exactly(
        &report["rows"][0],
        "event_id disposed_at kind connection_id connection_label quantity acquired_at acquired_event_id lot_id term \
         gross_proceeds_fiat fee_fiat net_proceeds_fiat cost_basis_fiat realized_gain_fiat note tags",
    );
    assert_eq!(report["connection_aggregates"][0]["kind"], "single_sale_connection");
    let csv = books.get("/reports/capital-gains");
    let expected = "event_id,disposed_at,kind,connection,quantity_btc,acquired_at,acquired_event_id,lot_id,term,\
        gross_proceeds,fee,net_proceeds,cost_basis,realized_gain,currency,algorithm,note,tags\n\
        c1.sell-1,2024-06-01T12:00:00Z,trade,Broker,0.01000000,2023-01-15T00:00:00Z,c1.buy-1,c1.buy-1#0,long,\
        666.67,3.33,663.34,202.00,461.34,USD,FIFO,'=1+1,\n\
        c1.sell-1,2024-06-01T12:00:00Z,trade,Broker,0.00500000,2024-01-10T00:00:00Z,c1.buy-2,c1.buy-2#0,short,\
        333.33,1.67,331.66,225.00,106.66,USD,FIFO,'=1+1,\n\
        c1.pay-1,2025-02-01T12:00:00Z,pay,Broker,0.00101000,2024-01-10T00:00:00Z,c1.buy-2,c1.buy-2#0,long,\
        80.00,0.00,80.00,45.45,34.55,USD,FIFO,,\n";
    assert_eq!(csv.body, expected);
    assert_eq!(report["rows"].as_array().unwrap().len(), 3);
    assert_eq!(report["summary"]["total_realized_gain_fiat"], "602.55");
}

#[test]
fn a_csv_is_a_file_and_its_range_chooses_rows() {
    let books = Books::kept();
    let year = "/reports/capital-gains?start=2025-01-01T00:00:00Z&end=2025-12-31T23:59:59Z";
    let csv = books.get(year);
    assert_eq!(csv.status, 200, "{}", csv.body);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"capital-gains.csv\""));
    assert_eq!(csv.header("transfer-encoding"), Some("chunked"));
    assert_eq!(csv.body.lines().count(), 2);
    assert_eq!(books.get("/reports/capital-gains?start=2024-06-01&end=2024-06-01").body.lines().count(), 3);
    let none = books.get("/reports/capital-gains?end=2020-01-01").body;
    assert_eq!(none.lines().count(), 1, "the header is there without rows");
}

#[test]
fn journal_entries_open_lots_and_tax_summary_name_their_fields_and_columns() {
    let books = Books::kept();
    let first_line = |path: &str| books.get(path).body.lines().next().unwrap_or_default().to_owned();
    assert_eq!(
        first_line("/reports/journal-entries"),
        "event_id,timestamp,event_kind,connection,account,asset,debit,credit,fiat_value,currency,note,tags"
    );
    let entries = books.json("/reports/journal-entries?format=json");
    has_fields(&entries, &["fiat_currency", "range_start", "range_end", "rows"]);
    has_exactly(
        &entries["rows"][0],
        "event_id timestamp event_kind connection_id connection_label account asset debit credit fiat_value note tags",
    );
    let lines = books.get("/reports/journal-entries").body.lines().count();
    assert_eq!(entries["rows"].as_array().unwrap().len() + 1, lines);

    let lots = books.json("/reports/open-lots");
    has_fields(&lots, &["fiat_currency", "algorithm", "total_quantity", "total_cost_basis_fiat", "rows"]);
    has_exactly(
        &lots["rows"][0],
        "lot_id acquired_at acquired_event_id connection_id connection_label quantity cost_basis_fiat term",
    );
    assert_eq!(lots["total_quantity"], "599000.000");
    assert_eq!(
        first_line("/reports/open-lots?format=csv"),
        "lot_id,acquired_at,acquired_event_id,connection,quantity_btc,cost_basis,term,currency"
    );

    let years = books.json("/reports/tax-summary");
    has_fields(&years, &["fiat_currency", "algorithm", "timezone", "years", "summary"]);
    has_exactly(&years["years"][0], &format!("year {GAINS}"));
    let listed: Vec<i64> =
        years["years"].as_array().unwrap().iter().map(|year| year["year"].as_i64().unwrap()).collect();
    assert_eq!(listed, [2024, 2025]);
    assert_eq!(
        first_line("/reports/tax-summary?format=csv"),
        "year,disposal_count,quantity_btc,gross_proceeds,fee,net_proceeds,cost_basis,short_term_gain,long_term_gain,\
         realized_gain,currency,algorithm"
    );
}

#[test]
fn an_etag_holds_until_the_book_or_the_question_changes() {
    let books = Books::kept();
    let ask = |path: &str, tag: &str| -> Answer {
        let whole = format!("{}{path}", books.at);
        Request::new("GET", &whole).token(&books.token).header("if-none-match", tag).send(books.server.addr)
    };
    for path in [
        "/reports/balance-sheet",
        "/reports/portfolio-summary",
        "/reports/capital-gains?format=json",
        "/reports/journal-entries?format=json",
        "/reports/open-lots",
        "/reports/tax-summary",
    ] {
        let first = books.get(path);
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no etag")).to_owned();
        let again = ask(path, &tag);
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
        assert_eq!(ask(path, "\"other\"").status, 200);
    }
    let all = books.get("/reports/capital-gains?format=json").header("etag").unwrap().to_owned();
    assert_eq!(ask("/reports/capital-gains?format=json&start=2025-01-01", &all).status, 200);
    assert_eq!(books.send("PUT", "/metadata/records/c1.in-1/note", r#"{"note":"a"}"#).status, 200);
    assert_eq!(ask("/reports/capital-gains?format=json", &all).status, 200);
}

#[test]
fn rates_and_settings_that_came_since_the_last_process_are_told_at_once() {
    let books = Books::empty(Server::start());
    let buy =
        "id,type,timestamp,amount_btc,fiat_value,fiat_currency\nb,buy,2025-03-01T00:00:00Z,0.01,800.00,USD\n";
    books.import(buy);
    books.process();
    let path = "/reports/portfolio-summary";
    let first = books.get(path);
    assert_eq!(first.json()["non_final"], false);
    let ask = |tag: &str| -> Answer {
        let whole = format!("{}{path}", books.at);
        Request::new("GET", &whole).token(&books.token).header("if-none-match", tag).send(books.server.addr)
    };
    let tag = first.header("etag").unwrap();
    assert_eq!(ask(tag).status, 304);

    let rates =
        Request::new("POST", "/v1/rates/import").token(&books.token).header("content-type", "text/csv");
    let csv = "time,pair,rate\n2025-02-20,BTC-USD,90000\n";
    assert_eq!(rates.body(csv.as_bytes()).send(books.server.addr).status, 200);
    let second = ask(tag);
    assert_eq!(second.status, 200);
    assert_eq!(
        (&second.json()["non_final"], &second.json()["btc_rate_fiat"]),
        (&json!(true), &json!("90000"))
    );
    books.process();
    let third = books.get(path);
    assert_eq!(third.json()["non_final"], false);
    assert_eq!(ask(third.header("etag").unwrap()).status, 304, "nothing new, nothing written");

    assert_eq!(books.send("PUT", "/settings", r#"{"gains_algorithm":"LIFO"}"#).status, 200);
    let fourth = ask(third.header("etag").unwrap());
    assert_eq!((fourth.status, &fourth.json()["non_final"]), (200, &json!(true)));
}

#[test]
fn questions_that_make_no_sense_are_refused_by_name() {
    let books = Books::kept();
    for (path, field) in [
        ("/reports/capital-gains?format=xml", "format"),
        ("/reports/capital-gains?start=soon", "start"),
        ("/reports/capital-gains?end=2025-13-01", "end"),
        ("/reports/capital-gains?start=2025-02-01&end=2025-01-01", "end"),
        ("/reports/capital-gains?format=json&start=soon", "start"),
        ("/reports/journal-entries?year=2025", "year"),
        ("/reports/journal-entries?limit=5", "limit"),
        ("/reports/balance-sheet?limit=0", "limit"),
        ("/reports/balance-sheet?limit=many", "limit"),
        ("/reports/balance-sheet?start=2025-01-01", "start"),
        ("/reports/tax-summary?end=2025-01-01", "end"),
    ] {
        let problem = books.get(path).is_problem(422, "invalid_query");
        assert_eq!(problem["details"]["field"], field, "{path}");
    }
    for path in ["/reports/balance-sheet?format=csv", "/reports/portfolio-summary?format=csv"] {
        let problem = books.get(path).is_problem(422, "no_csv");
        assert!(problem["message"].as_str().unwrap().contains("has no CSV form"), "{problem}");
    }
    let unknown = books.get("/reports/astrology").is_problem(404, "unknown_report");
    assert!(unknown["details"]["reports"].as_array().unwrap().contains(&json!("capital-gains")));
}

#[test]
fn nobody_else_gets_a_report() {
    let books = Books::kept();
    let eve = books.server.user("eve");
    for report in
        ["balance-sheet", "portfolio-summary", "capital-gains", "journal-entries", "open-lots", "tax-summary"]
    {
        let path = format!("{}/reports/{report}", books.at);
        books.server.get(&path, &eve).is_problem(404, "not_found");
        books.server.get(&path, "").is_problem(401, "unauthenticated");
    }
}

/// More than the sockets of both sides can hold, so that a download that is not read stays unfinished.
const MANY: usize = 60_000;

#[test]
fn csv_downloads_are_bounded_and_give_their_place_back() {
    let books = Books::empty(Server::with(|config| config.max_csv_exports = 1));
    let mut csv = "id,type,timestamp,amount_btc,fiat_value,fiat_currency,note\n".to_owned();
    let note = "n".repeat(100);
    for n in 0..MANY {
        let (hour, second) = (n / 3600, n % 3600);
        let time =
            format!("2024-01-{:02}T{:02}:{:02}:{:02}Z", 1 + hour / 24, hour % 24, second / 60, second % 60);
        writeln!(csv, "b-{n},buy,{time},0.00010000,5.00,USD,{note}").unwrap();
    }
    books.import(&csv);
    books.process();
    let path = format!("{}/reports/journal-entries", books.at);
    let mut unread = Request::new("GET", &path).token(&books.token).open(books.server.addr);
    assert_eq!(Answer::read_head(&mut unread).status, 200);
    let refused = books.get("/reports/journal-entries");
    refused.is_problem(503, "overloaded");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(books.get("/reports/balance-sheet").status, 200, "JSON is not bounded with them");
    drop(unread);
    let patience = Instant::now() + Duration::from_secs(10);
    let whole = loop {
        let answer = books.get("/reports/journal-entries");
        if answer.status == 200 {
            break answer.body;
        }
        assert!(Instant::now() < patience, "the place was never given back: {}", answer.body);
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(whole.lines().filter(|line| line.contains(",BTC,")).count() % MANY, 0);
    assert!(whole.ends_with('\n') && whole.lines().count() > 2 * MANY);
}

#[test]
fn the_guide_names_every_route() {
    let guide = include_str!("../../docs/api.md").replace(" P/", " /v1/workspaces/{w}/profiles/{p}/");
    let server = Server::start();
    let document = server.get("/openapi.json", "").json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let named = guide.split('`').filter_map(|code| code.rsplit_once(' ')).filter(|(_, at)| at == path);
        let methods: Vec<&str> = named.flat_map(|(methods, _)| methods.split(", ")).collect();
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            let served = item.get(method.to_lowercase()).is_some();
            assert_eq!(
                methods.contains(&method),
                served,
                "docs/api.md and the server differ in {method} {path}"
            );
        }
    }
}
