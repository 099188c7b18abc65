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
    has_fields(&sheet, &["as_of", "included_kinds", "roots", "connection_balances", "totals", "issues"]);
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
            "as_of",
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
    let fields = ["as_of", "fiat_currency", "algorithm", "total_quantity", "total_cost_basis_fiat", "rows"];
    has_fields(&lots, &fields);
    has_exactly(
        &lots["rows"][0],
        "lot_id acquired_at acquired_event_id connection_id connection_label quantity cost_basis_fiat term",
    );
    assert_eq!(lots["total_quantity"], "599000.000");
    assert_eq!(
        first_line("/reports/open-lots?format=csv"),
        "lot_id,acquired_at,acquired_event_id,connection,quantity_btc,cost_basis,term,currency"
    );
}

#[test]
fn the_tax_summary_tells_gains_income_and_expenses_by_year() {
    let books = Books::kept();
    let years = books.json("/reports/tax-summary");
    let fields = ["fiat_currency", "algorithm", "timezone", "years", "summary", "income", "expenses"];
    has_fields(&years, &fields);
    let of_year = format!("year event_count quarantined_count income expenses {GAINS}");
    has_exactly(&years["years"][0], &of_year);
    has_exactly(&years["income"], "external routing interest total_value_fiat");
    has_exactly(&years["income"]["external"], "quantity value_fiat");
    has_exactly(&years["expenses"], "external network_fees lightning_fees exchange_fees total_fees_fiat");
    let listed = |summary: &Value| -> Vec<i64> {
        summary["years"].as_array().unwrap().iter().map(|year| year["year"].as_i64().unwrap()).collect()
    };
    assert_eq!(listed(&years), [2023, 2024, 2025]);
    let last = &years["years"][2];
    assert_eq!((&last["event_count"], &last["quarantined_count"]), (&json!(3), &json!(1)));
    assert_eq!(last["income"]["external"], json!({ "quantity": "200000.000", "value_fiat": "150.00" }));
    assert_eq!(last["expenses"]["external"]["value_fiat"], "80.00");
    assert_eq!(last["expenses"]["exchange_fees"], json!({ "quantity": "1000.000", "value_fiat": "0.80" }));

    let one = books.json("/reports/tax-summary?year=2024");
    assert_eq!(listed(&one), [2024]);
    assert_eq!(one["summary"]["total_realized_gain_fiat"], "568.00");
    assert_eq!(
        one["summary"],
        books.json("/reports/capital-gains?format=json&rows=false&start=2024-01-01&end=2024-12-31")["summary"]
    );
    assert_eq!(listed(&books.json("/reports/tax-summary?year=2019")), [0i64; 0]);
    let csv = books.get("/reports/tax-summary?format=csv").body;
    let expected = "year,disposal_count,quantity_btc,gross_proceeds,fee,net_proceeds,cost_basis,short_term_gain,\
        long_term_gain,realized_gain,currency,algorithm,income_external,income_routing,income_interest,income_total,\
        spent,network_fees,lightning_fees,exchange_fees,fees_total\n\
        2023,0,0.00000000,0.00,0.00,0.00,0.00,0.00,0.00,0.00,USD,FIFO,0.00,0.00,0.00,0.00,0.00,0.00,0.00,2.00,2.00\n\
        2024,1,0.01500000,1000.00,5.00,995.00,427.00,106.66,461.34,568.00,USD,FIFO,0.00,0.00,0.00,0.00,0.00,0.00,0.00,\
        5.00,5.00\n\
        2025,1,0.00101000,80.00,0.00,80.00,45.45,0.00,34.55,34.55,USD,FIFO,150.00,0.00,0.00,150.00,80.00,0.00,0.00,\
        0.80,0.80\n";
    assert_eq!(csv, expected);
}

#[test]
fn sums_of_capital_gains_need_no_rows() {
    let books = Books::kept();
    for range in
        ["", "&start=2024-06-01&end=2024-06-01", "&start=2024-06-01T12:00:00Z&end=2025-02-01T11:00:00Z"]
    {
        let mut listed = books.json(&format!("/reports/capital-gains?format=json{range}"));
        let summed = books.json(&format!("/reports/capital-gains?format=json&rows=false{range}"));
        listed["rows"] = json!([]);
        listed["snapshot_timestamp"] = summed["snapshot_timestamp"].clone();
        assert_eq!(listed, summed, "{range}");
    }
}

#[test]
fn the_books_as_they_stood() {
    let books = Books::kept();
    let sheet = books.json("/reports/balance-sheet?as_of=2024-01-09");
    assert_eq!(sheet["as_of"], "2024-01-09T23:59:59.999999Z");
    assert_eq!(sheet["roots"][0]["balances"][0]["net"], "1000000.000");
    let noon = books.json("/reports/balance-sheet?as_of=2024-06-01T12:00:00Z");
    assert_eq!(noon["roots"][0]["balances"][0]["net"], "500000.000", "the instant itself is included");
    let before = books.json("/reports/balance-sheet?as_of=2024-06-01T11:59:59Z");
    assert_eq!(before["roots"][0]["balances"][0]["net"], "2000000.000");

    let summary = books.json("/reports/portfolio-summary?as_of=2024-12-31");
    assert_eq!(summary["btc_capital_gains"]["sale_count"], 1);
    assert_eq!(summary["btc_capital_gains"]["realized_gain_fiat"], "568.00");
    assert_eq!(summary["btc_rate_fiat"], Value::Null, "no rate was known then");
    assert_eq!(books.json("/reports/portfolio-summary?as_of=2025-02-02")["btc_rate_fiat"], "80000");

    for (as_of, lots) in
        [("2023-01-14", 0), ("2023-06-01", 1), ("2024-02-01", 2), ("2024-06-02", 1), ("2026-01-01", 2)]
    {
        let report = books.json(&format!("/reports/open-lots?as_of={as_of}"));
        assert_eq!(report["rows"].as_array().unwrap().len(), lots, "{as_of}: {report}");
    }
    let then = books.json("/reports/open-lots?as_of=2024-02-01");
    assert_eq!(
        (&then["rows"][0]["term"], &then["total_cost_basis_fiat"]),
        (&json!("long"), &json!("652.00"))
    );
    let csv = books.get("/reports/open-lots?format=csv&as_of=2023-06-01").body;
    assert!(
        csv.ends_with("c1.buy-1#0,2023-01-15T00:00:00Z,c1.buy-1,,0.01000000,202.00,short,USD\n"),
        "{csv}"
    );
    let mut now = books.json("/reports/open-lots");
    let mut late = books.json("/reports/open-lots?as_of=2100-01-01T00:00:00Z");
    for report in [&mut now, &mut late] {
        report["as_of"] = Value::Null;
        report["snapshot_timestamp"] = Value::Null;
        report["rows"].as_array_mut().unwrap().iter_mut().for_each(|row| row["term"] = Value::Null);
    }
    assert_eq!(now, late);
}

#[test]
fn a_balance_history_tells_each_span_and_values_it_where_a_rate_is() {
    let books = Books::kept();
    let path = "/reports/balance-history?interval=day&start=2025-01-31&end=2025-02-03&asset=btc";
    let report = books.json(path);
    has_fields(
        &report,
        &["fiat_currency", "interval", "timezone", "range_start", "range_end", "account", "intervals"],
    );
    let spans = report["intervals"].as_array().unwrap();
    has_exactly(&spans[0], "start end btc_rate_fiat btc_rate_timestamp balances totals");
    has_exactly(&spans[0]["balances"][0], "account connection_id asset_code net change fiat_value");
    has_exactly(&spans[0]["totals"][0], "asset_code net change fiat_value");
    let lines: Vec<_> = spans
        .iter()
        .map(|span| {
            let line = &span["balances"][0];
            [&line["net"], &line["change"], &line["fiat_value"]]
                .map(|figure| figure.as_str().unwrap_or("null"))
        })
        .collect();
    assert_eq!(
        lines,
        [
            ["500000.000", "0.000", "null"],
            ["399000.000", "-101000.000", "319.20"],
            ["399000.000", "0.000", "null"],
            ["399000.000", "0.000", "null"],
        ],
        "a rate is good for 25 hours"
    );
    let csv = books.get("/reports/balance-history?format=csv&interval=hour&start=2025-02-01T12:00:00Z&end=2025-02-01T12:59:59Z&account=Expenses");
    let expected = "start,end,account,asset,change,balance,fiat_value,currency,btc_rate\n\
        2025-02-01T12:00:00Z,2025-02-01T12:59:59Z,Expenses:External,BTC,0.00100000,0.00100000,80.00,USD,80000\n\
        2025-02-01T12:00:00Z,2025-02-01T12:59:59Z,Expenses:Exchange Fees,BTC,0.00001000,0.00001000,0.80,USD,80000\n\
        2025-02-01T12:00:00Z,2025-02-01T12:59:59Z,Expenses:Exchange Fees,USD,0.00,7.00,7.00,USD,80000\n";
    assert_eq!(csv.body, expected);
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"balance-history.csv\""));

    let all = books.json("/reports/balance-history?end=2025-12-31");
    assert_eq!((all["interval"].as_str(), all["intervals"].as_array().unwrap().len()), (Some("month"), 36));
    assert_eq!(all["range_start"], "2023-01-15T00:00:00Z");
    let last = &all["intervals"][35]["totals"];
    assert_eq!((&last[0]["net"], &last[1]["net"]), (&json!("599000.000"), &json!("34300")));
    assert_eq!(
        books.json("/reports/balance-history?interval=week&end=2025-12-31")["intervals"]
            .as_array()
            .unwrap()
            .len(),
        156
    );
    let mine = books.json(&format!("/reports/balance-history?end=2025-12-31&connection={}", books.feed));
    assert_eq!(mine["intervals"], all["intervals"]);

    let many = books.get("/reports/balance-history?interval=hour").is_problem(422, "invalid_query");
    assert!(many["message"].as_str().unwrap().contains("more than 4000"), "{many}");
    assert_eq!(many["details"]["field"], "interval");
    let empty = Books::empty(Server::start()).json("/reports/balance-history");
    assert_eq!((&empty["intervals"], &empty["range_start"]), (&json!([]), &Value::Null));
}

#[test]
fn form_8949_is_laid_out_box_by_box() {
    let books = Books::kept();
    let form = books.json("/reports/form-8949?year=2024");
    has_fields(&form, &["year", "fiat_currency", "algorithm", "timezone", "whole_dollars", "boxes"]);
    has_exactly(
        &form["boxes"][0],
        "box term reporting total_proceeds_fiat total_cost_basis_fiat total_adjustment_fiat total_gain_fiat rows",
    );
    has_exactly(
        &form["boxes"][0]["rows"][0],
        "description date_acquired date_sold proceeds_fiat cost_basis_fiat code adjustment_fiat gain_fiat event_id lot_id",
    );
    let boxes = |form: &Value| -> Vec<String> {
        form["boxes"].as_array().unwrap().iter().map(|of| of["box"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(boxes(&form), ["C", "F"]);
    let header =
        "box,description,date_acquired,date_sold,proceeds,cost_basis,code,adjustment,gain,event_id,lot_id\n";
    let csv = books.get("/reports/form-8949?year=2024&format=csv").body;
    let rows = "C,0.00500000 BTC,01/10/2024,06/01/2024,331.66,225.00,,0.00,106.66,c1.sell-1,c1.buy-2#0\n\
        F,0.01000000 BTC,01/15/2023,06/01/2024,663.34,202.00,,0.00,461.34,c1.sell-1,c1.buy-1#0\n";
    assert_eq!(csv, format!("{header}{rows}"));
    let whole = books.get("/reports/form-8949?year=2025&format=csv&whole_dollars=true").body;
    assert_eq!(
        whole,
        format!("{header}L,0.00101000 BTC,01/10/2024,02/01/2025,80,45,,0,35,c1.pay-1,c1.buy-2#0\n")
    );
    let told = |how: &str| boxes(&books.json(&format!("/reports/form-8949?year=2025&{how}={}", books.feed)));
    assert_eq!((told("basis_reported"), told("proceeds_reported")), (vec!["J".into()], vec!["K".into()]));
    assert_eq!(books.json("/reports/form-8949?year=2022")["boxes"], json!([]));

    assert_eq!(books.send("PUT", "/settings", r#"{"fiat_currency":"EUR"}"#).status, 200);
    books.process();
    for format in ["json", "csv"] {
        let path = format!("/reports/form-8949?year=2025&format={format}");
        let refused = books.get(&path).is_problem(422, "wrong_currency");
        assert!(refused["message"].as_str().unwrap().contains("kept in EUR"), "{refused}");
    }
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
        "/reports/tax-summary?year=2025",
        "/reports/balance-sheet?as_of=2025-01-01",
        "/reports/open-lots?as_of=2025-01-01",
        "/reports/balance-history?end=2025-12-31",
        "/reports/form-8949?year=2025",
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
        ("/reports/tax-summary?year=soon", "year"),
        ("/reports/balance-sheet?as_of=soon", "as_of"),
        ("/reports/portfolio-summary?as_of=2025-02-30", "as_of"),
        ("/reports/capital-gains?as_of=2025-01-01", "as_of"),
        ("/reports/capital-gains?rows=false", "rows"),
        ("/reports/balance-history?interval=fortnight", "interval"),
        ("/reports/balance-history?connection=mine", "connection"),
        ("/reports/balance-history?asset=gold", "asset"),
        ("/reports/balance-history?start=2025-02-01&end=2025-01-01", "end"),
        ("/reports/balance-history?as_of=2025-01-01", "as_of"),
        ("/reports/balance-history?interval=day&start=0001-01-01&end=2025-01-01", "interval"),
        ("/reports/balance-history?format=csv&interval=hour&start=2020-01-01&end=2025-01-01", "interval"),
        ("/reports/form-8949", "year"),
        ("/reports/form-8949?year=40000", "year"),
        ("/reports/form-8949?year=12025", "year"),
        ("/reports/form-8949?year=2025&basis_reported=mine", "basis_reported"),
        ("/reports/form-8949?year=2025&whole_dollars=maybe", "whole_dollars"),
        ("/reports/form-8949?year=2025&interval=day", "interval"),
    ] {
        let problem = books.get(path).is_problem(422, "invalid_query");
        assert_eq!(problem["details"]["field"], field, "{path}");
    }
    for path in ["/reports/balance-sheet?format=csv", "/reports/portfolio-summary?format=csv"] {
        let problem = books.get(path).is_problem(422, "no_csv");
        assert!(problem["message"].as_str().unwrap().contains("has no CSV form"), "{problem}");
    }
    let both = format!("/reports/form-8949?year=2025&basis_reported={0}&proceeds_reported={0}", books.feed);
    assert_eq!(books.get(&both).is_problem(422, "invalid_query")["details"]["field"], "proceeds_reported");
    let unknown = books.get("/reports/astrology").is_problem(404, "unknown_report");
    assert!(unknown["details"]["reports"].as_array().unwrap().contains(&json!("capital-gains")));
}

#[test]
fn nobody_else_gets_a_report() {
    let books = Books::kept();
    let eve = books.server.user("eve");
    for report in [
        "balance-sheet",
        "balance-history",
        "portfolio-summary",
        "capital-gains",
        "journal-entries",
        "open-lots",
        "tax-summary",
        "form-8949?year=2025",
    ] {
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

#[test]
fn ranges_are_cut_in_the_zone_of_the_books_until_a_new_one_is_processed() {
    let books = Books::kept();
    let day = "/reports/journal-entries?format=json&start=2023-01-15&end=2023-01-15";
    let entries = || books.json(day)["rows"].as_array().unwrap().len();
    let booked = entries();
    assert!(booked > 0);
    // Bought at midnight in UTC, on the day before in New York.
    let put = books.send("PUT", "/settings", r#"{"timezone":"America/New_York"}"#);
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(entries(), booked);
    assert_eq!(books.events("from=2023-01-15&to=2023-01-15"), ["buy-1"]);
    books.process();
    assert_eq!(entries(), 0);
    assert!(books.events("from=2023-01-15&to=2023-01-15").is_empty());
}

#[test]
fn a_year_that_never_was_is_refused() {
    let books = Books::kept();
    for year in ["12000", "-12000", "10000"] {
        for format in ["json", "csv"] {
            let answer = books.get(&format!("/reports/tax-summary?year={year}&format={format}"));
            assert_eq!(answer.is_problem(422, "invalid_query")["details"]["field"], "year", "{year}");
        }
    }
    assert_eq!(books.json("/reports/tax-summary?year=1999")["years"], json!([]));
}
