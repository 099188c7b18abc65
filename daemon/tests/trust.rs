//! Filed numbers over the wire: seals, restatements, why figures changed, what if, conservation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;
mod history;

use history::Books;
use serde_json::{Value, json};

const YEAR: &str = r#"{"label":"Tax year 2024","start":"2024-01-01","end":"2024-12-31"}"#;
/// A purchase before those of the history: FIFO sells it first.
const EARLIER: &str = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n\
    buy-0,buy,2022-05-01T00:00:00Z,0.01000000,100.00,USD\n";

fn seal(books: &Books) -> String {
    let made = books.send("POST", "/seals", YEAR);
    assert_eq!(made.status, 201, "{}", made.body);
    made.text("id")
}

fn version(books: &Books) -> u64 {
    books.json("/reports/balance-sheet")["book_version"].as_u64().unwrap()
}

fn gain(value: &Value) -> &str {
    value["realized_gain_fiat"].as_str().unwrap()
}

#[test]
fn a_sealed_year_prints_the_same_bytes_whatever_happens_to_the_books() {
    let books = Books::kept();
    let range = "start=2024-01-01&end=2024-12-31";
    let shown = books.get(&format!("/reports/capital-gains?{range}")).body;
    let id = seal(&books);
    let csv = books.get(&format!("/seals/{id}/report"));
    assert_eq!((csv.status, csv.body.as_str()), (200, shown.as_str()));
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let json_form = books.get(&format!("/seals/{id}/report?format=json")).body;
    let live = books.json(&format!("/reports/capital-gains?format=json&{range}"));
    let filed: Value = serde_json::from_str(&json_form).unwrap();
    assert_eq!((&filed["rows"], &filed["summary"]), (&live["rows"], &live["summary"]));
    assert_eq!(filed["connection_aggregates"], live["connection_aggregates"]);
    let one = books.json(&format!("/seals/{id}"));
    assert_eq!(one["restated"], false);
    let hash = ring::digest::digest(&ring::digest::SHA256, shown.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(one["report_sha256"], hash, "the hash is that of the file");
    assert_eq!(one["state"], "filed");
    assert_eq!(one["years"][0]["year"], 2024);
    assert_eq!(gain(&one["years"][0]["gains"]), "568.00");

    books.import(EARLIER);
    assert_eq!(
        books.send("PUT", "/metadata/records/c1.sell-1/note", r#"{"note":"other words"}"#).status,
        200
    );
    assert_eq!(
        books.send("PATCH", &format!("/connections/{}", books.feed), r#"{"label":"Other"}"#).status,
        200
    );
    assert_eq!(
        books.send("PUT", "/settings", r#"{"gains_algorithm":"LIFO","timezone":"Asia/Tokyo"}"#).status,
        200
    );
    books.process();
    assert_eq!(books.get(&format!("/seals/{id}/report")).body, shown);
    assert_eq!(books.send("DELETE", &format!("/connections/{}", books.feed), "").status, 204);
    books.process();
    assert_eq!(books.get(&format!("/seals/{id}/report?format=csv")).body, shown);
    assert_eq!(books.get(&format!("/seals/{id}/report?format=json")).body, json_form);
    let gone = books.json(&format!("/seals/{id}/restatement"));
    assert_eq!(gone["disposals"][0]["change"], "removed");
    assert_eq!((&gone["settings_changed"], &gone["inputs_changed"]), (&json!(true), &json!(true)));
}

#[test]
fn a_back_dated_import_is_a_restatement_to_be_held_or_accepted() {
    let books = Books::kept();
    let id = seal(&books);
    let nothing = books.json(&format!("/seals/{id}/restatement"));
    assert_eq!((&nothing["differs"], &nothing["disposals"]), (&json!(false), &json!([])));
    for action in ["accept", "hold"] {
        let body = if action == "hold" { r#"{"note":"n"}"# } else { "" };
        books.send("POST", &format!("/seals/{id}/{action}"), body).is_problem(409, "not_restated");
    }
    books.import(EARLIER);
    let waiting = books.send("POST", "/seals", r#"{"label":"2023","start":"2023-01-01","end":"2023-12-31"}"#);
    waiting.is_problem(409, "not_final");
    books.process();

    assert_eq!(books.json(&format!("/seals/{id}"))["restated"], true);
    let differs = books.json(&format!("/seals/{id}/restatement"));
    // Sold were 0.01 of the new lot (cost 100.00) and 0.005 of the first (101.00), not 0.01 of the first (202.00) and 0.005 of the
    // second (225.00): net proceeds of 995.00 cost 201.00, not 427.00.
    assert_eq!(differs["differs"], true);
    assert_eq!(differs["inputs_changed"], true);
    assert_eq!(differs["settings_changed"], false);
    assert_eq!(differs["years"].as_array().unwrap().len(), 1);
    assert_eq!(gain(&differs["years"][0]["before"]), "568.00");
    assert_eq!(gain(&differs["years"][0]["after"]), "794.00");
    assert_eq!(differs["total"]["gain_difference_fiat"], "226.00");
    let disposal = &differs["disposals"][0];
    assert_eq!((&disposal["event_id"], &disposal["change"]), (&json!("c1.sell-1"), &json!("changed")));
    let lots: Vec<_> = disposal["lots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lot| (lot["lot_id"].as_str().unwrap(), lot["change"].as_str().unwrap()))
        .collect();
    assert_eq!(lots, [("c1.buy-0#0", "added"), ("c1.buy-1#0", "changed"), ("c1.buy-2#0", "removed")]);
    assert_eq!(differs["next_cursor"], Value::Null);

    let held = books.send("POST", &format!("/seals/{id}/hold"), r#"{"note":"asked the accountant"}"#);
    assert_eq!(held.json()["held"]["note"], "asked the accountant");
    let accepted = books.send("POST", &format!("/seals/{id}/accept"), "");
    assert_eq!(accepted.status, 201, "{}", accepted.body);
    let revision = accepted.text("id");
    assert_eq!(accepted.json()["revises"], json!(id));
    let listed = books.json("/seals");
    let states: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|seal| seal["state"].clone()).collect();
    assert_eq!(states, ["superseded", "filed"]);
    assert_eq!(books.json(&format!("/seals/{id}"))["superseded_by"], json!(revision));
    assert_eq!(books.json(&format!("/seals/{revision}"))["restated"], false);
    assert!(books.get(&format!("/seals/{id}/report")).body.contains("202.00"), "the old one stays printable");
    books.send("POST", &format!("/seals/{id}/accept"), "").is_problem(409, "seal_superseded");
    books.send("DELETE", &format!("/seals/{id}"), "").is_problem(409, "seal_superseded");
    assert_eq!(books.send("DELETE", &format!("/seals/{revision}"), "").status, 204);
    assert_eq!(books.json(&format!("/seals/{id}"))["state"], "filed");
    assert_eq!(books.send("DELETE", &format!("/seals/{id}"), "").status, 204);
    books.get(&format!("/seals/{id}")).is_problem(404, "not_found");
    assert_eq!(books.json("/seals")["items"], json!([]));
}

#[test]
fn what_cannot_be_sealed_is_refused_with_the_reason() {
    let books = Books::kept();
    seal(&books);
    books.send("POST", "/seals", YEAR).is_problem(409, "seal_overlaps");
    // The history has a payment of August 2025 without a rate.
    let half = r#"{"label":"x","start":"2025-01-01","end":"2025-09-01"}"#;
    books.send("POST", "/seals", half).is_problem(409, "not_final");
    let allowed = r#"{"label":"x","start":"2025-01-01","end":"2025-09-01","allow_non_final":true}"#;
    assert_eq!(books.send("POST", "/seals", allowed).status, 201);
    for (body, field) in [
        (r#"{"label":"","start":"2021-01-01","end":"2021-12-31"}"#, "label"),
        (r#"{"label":"x","start":"2021-12-31","end":"2021-01-01"}"#, "end"),
        (r#"{"label":"x","start":"soon","end":"2021-01-01"}"#, "start"),
        (r#"{"label":"x","start":"2021-01-01","end":"2999-01-01"}"#, "end"),
        (r#"{"label":"x","start":"2021-01-01"}"#, "end"),
        (r#"{"label":"x","start":"2021-01-01","end":"2021-12-31","year":2021}"#, "year"),
    ] {
        let problem = books.send("POST", "/seals", body).is_problem(422, "invalid_field");
        assert_eq!(problem["details"]["field"], field, "{body}");
    }
    let id = books.json("/seals?limit=1")["items"][0]["id"].as_str().unwrap().to_owned();
    books.get(&format!("/seals/{id}/report?format=xml")).is_problem(422, "invalid_query");
    books.get(&format!("/seals/{id}/restatement?cursor=AA")).is_problem(400, "invalid_cursor");
    books.get("/seals?cursor=AA").is_problem(400, "invalid_cursor");
    books.send("POST", &format!("/seals/{id}/hold"), r#"{"note":" "}"#).is_problem(422, "invalid_field");
    let nobody = uuid::Uuid::now_v7();
    for path in ["", "/report", "/report?format=json", "/restatement"] {
        books.get(&format!("/seals/{nobody}{path}")).is_problem(404, "not_found");
    }
    books.get("/seals/x").is_problem(404, "not_found");
    let page = books.json("/seals?limit=1");
    let next = books.json(&format!("/seals?limit=1&cursor={}", page["next_cursor"].as_str().unwrap()));
    assert_eq!(next["items"].as_array().unwrap().len(), 1);
    assert_ne!(next["items"][0]["id"], json!(id));
}

#[test]
fn why_names_the_facts_and_the_figures_they_changed() {
    let books = Books::kept();
    let before = version(&books);
    books.import(EARLIER);
    assert_eq!(books.send("PUT", "/settings", r#"{"gains_algorithm":"LIFO"}"#).status, 200);
    assert_eq!(books.send("PUT", "/metadata/records/c1.in-1/excluded", r#"{"excluded":true}"#).status, 200);
    let unprocessed = books.json(&format!("/reports/capital-gains/changes?from_version={before}"));
    assert_eq!((&unprocessed["processes"], &unprocessed["years"]), (&json!(0), &json!([])));
    books.process();
    let why = books.json(&format!("/reports/capital-gains/changes?from_version={before}"));
    assert_eq!(why["processes"], 1);
    let cause = |operation: &str| {
        let causes = why["causes"].as_array().unwrap();
        causes
            .iter()
            .find(|cause| cause["operation"] == operation)
            .unwrap_or_else(|| panic!("{operation} in {why}"))
    };
    let import = &cause("import")["detail"];
    assert_eq!((&import["connection_label"], &import["new"]), (&json!("Broker"), &json!(1)));
    assert_eq!(import["event_ids"], json!(["c1.buy-0"]));
    assert_eq!(import["first"], "2022-05-01T00:00:00Z");
    let settings = &cause("settings")["detail"];
    assert_eq!(settings["before"]["gains_algorithm"], "FIFO");
    assert_eq!(settings["after"]["gains_algorithm"], "LIFO");
    assert_eq!(cause("annotate")["detail"], json!({ "event_id": "c1.in-1", "fields": ["excluded"] }));
    // LIFO: 0.01 of the second lot (450.00) and 0.005 of the first (101.00).
    assert_eq!(why["years"][0]["year"], 2024);
    assert_eq!(gain(&why["years"][0]["before"]), "568.00");
    assert_eq!(gain(&why["years"][0]["after"]), "444.00");
    assert_eq!(why["disposals"][0]["event_id"], "c1.sell-1");
    assert_eq!((&why["disposals"][0]["change"], &why["more_from"]), (&json!("changed"), &Value::Null));
    let now = version(&books);
    let same = books.json(&format!("/reports/capital-gains/changes?from_version={now}&to_version={now}"));
    assert_eq!((&same["causes"], &same["years"]), (&json!([]), &json!([])));

    for (query, field) in [
        (format!("from_version={now}&to_version={before}"), "from_version"),
        (format!("from_version=0&to_version={}", now + 1), "to_version"),
        ("from_version=x".to_owned(), "from_version"),
        (String::new(), "from_version"),
    ] {
        let problem =
            books.get(&format!("/reports/capital-gains/changes?{query}")).is_problem(422, "invalid_query");
        assert_eq!(problem["details"]["field"], field, "{query}");
    }
}

#[test]
fn the_change_log_comes_in_pages_and_ends_with_the_version_of_the_book() {
    let books = Books::kept();
    let all = books.json("/changes?limit=500");
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.last().unwrap()["book_version"], json!(version(&books)));
    assert_eq!(items.last().unwrap()["operation"], "process");
    assert_eq!(items.last().unwrap()["detail"]["first"], true);
    assert_eq!(items.last().unwrap()["detail"]["years"][0]["year"], 2024);
    let rates = items.iter().find(|item| item["operation"] == "rates").unwrap();
    assert_eq!(rates["detail"]["pairs"][0]["pair"], "BTC-USD");
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = books.json(&format!("/changes?limit=2{cursor}"));
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(&paged, items);
    books.get("/changes?cursor=!").is_problem(400, "invalid_cursor");
    books.get("/changes?limit=0").is_problem(422, "invalid_query");
}

#[test]
fn what_if_sets_another_method_beside_the_books_and_writes_nothing() {
    let books = Books::kept();
    let (seen, report) = (version(&books), books.get("/reports/capital-gains").body);
    let what = books.json("/reports/what-if?gains_algorithm=LIFO&start=2024-01-01&end=2024-12-31");
    assert_eq!(gain(&what["total"]["before"]), "568.00");
    assert_eq!(gain(&what["total"]["after"]), "444.00");
    assert_eq!(what["years"][0]["gain_difference_fiat"], "-124.00");
    assert_eq!(what["policies_before"]["gains_algorithm"], "FIFO");
    assert_eq!(what["policies_after"]["gains_algorithm"], "LIFO");
    assert_eq!(what["disposals"][0]["event_id"], "c1.sell-1");
    assert_eq!((version(&books), books.get("/reports/capital-gains").body), (seen, report));
    let same = books.json("/reports/what-if?lot_scope=connection&transfer_fee_treatment=carry_basis");
    assert_eq!((&same["differs"], &same["disposals"]), (&json!(false), &json!([])));
    assert_eq!(same["years"].as_array().unwrap().len(), 2);
    for (query, field) in [
        ("gains_algorithm=DOWSING", "gains_algorithm"),
        ("lot_scope=galaxy", "lot_scope"),
        ("transfer_fee_treatment=none", "transfer_fee_treatment"),
        ("start=soon", "start"),
        ("start=2025-01-01&end=2024-01-01", "end"),
        ("limit=0", "limit"),
        ("fiat_currency=EUR", "fiat_currency"),
    ] {
        let problem = books.get(&format!("/reports/what-if?{query}")).is_problem(422, "invalid_query");
        assert_eq!(problem["details"]["field"], field, "{query}");
    }
}

#[test]
fn what_if_overwrites_what_it_names_and_leaves_other_policies() {
    let books = Books::kept();
    let put = |settings: Value| {
        assert_eq!(books.send("PUT", "/settings", &settings.to_string()).status, 200, "{settings}");
        books.process();
    };
    put(json!({ "policies": [
        { "effective_from": "2024-01-01", "gains_algorithm": "HIFO" },
        { "effective_from": "2025-01-01", "gains_algorithm": "LIFO", "lot_scope": "connection",
          "allocation": [{ "lot_id": "c1.buy-1#0", "connection_id": books.feed, "quantity_sat": "500000.000" }] }
    ] }));
    let days = |what: &Value| {
        let policies = what["policies_after"]["policies"].as_array().unwrap().clone();
        policies.into_iter().map(|policy| policy["from"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let what = books.json("/reports/what-if?lot_scope=connection");
    assert_eq!((&what["differs"], days(&what).len()), (&json!(false), 2), "{what}");
    let what = books.json("/reports/what-if?gains_algorithm=FIFO&end=2024-12-31");
    assert_eq!((gain(&what["total"]["before"]), gain(&what["total"]["after"])), ("444.00", "568.00"));
    assert_eq!(days(&what), ["2025-01-01"], "the step to pools of their own");
    let what = books.json("/reports/what-if?gains_algorithm=AVG_COST&lot_scope=universal");
    assert!(days(&what).is_empty());
    let refused = books.get("/reports/what-if?gains_algorithm=AVG_COST").is_problem(422, "invalid_query");
    assert_eq!(refused["details"]["field"], "gains_algorithm", "a pool is divided under it");

    // What is asked for together is checked together.
    put(json!({ "lot_scope": "connection", "policies": [] }));
    let what = books.json("/reports/what-if?gains_algorithm=UK_S104&lot_scope=universal");
    assert_eq!(what["policies_after"]["gains_algorithm"], "UK_S104");
    let refused = books.get("/reports/what-if?gains_algorithm=UK_S104").is_problem(422, "invalid_query");
    assert_eq!(refused["details"]["field"], "gains_algorithm");
    let refused = books.get("/reports/what-if?gains_algorithm=UK_S104&lot_scope=connection");
    assert_eq!(refused.is_problem(422, "invalid_query")["details"]["field"], "lot_scope");
}

#[test]
fn what_if_is_refused_while_facts_wait() {
    let books = Books::kept();
    books.import(EARLIER);
    books.get("/reports/what-if?gains_algorithm=LIFO").is_problem(409, "not_final");
    books.process();
    assert_eq!(
        gain(&books.json("/reports/what-if?gains_algorithm=LIFO&end=2024-12-31")["total"]["before"]),
        "794.00"
    );
}

#[test]
fn conservation_shows_in_out_and_left_per_pool() {
    let books = Books::kept();
    let report = books.json("/reports/conservation");
    assert_eq!(report["balanced"], true);
    assert_eq!(report["pools"].as_array().unwrap().len(), 1);
    let pool = &report["pools"][0];
    assert_eq!(pool["connection_id"], Value::Null);
    // 2 000 000 bought and 200 000 received; 1 500 000 sold and 101 000 paid.
    assert_eq!(pool["acquired"], json!({ "quantity": "2200000.000", "cost_basis_fiat": "802.00" }));
    assert_eq!(pool["disposed"]["quantity"], "1601000.000");
    assert_eq!((&pool["left"], &pool["left"]["quantity"]), (&pool["lots"], &json!("599000.000")));
    let connection = &report["connections"][0];
    assert_eq!(
        (&connection["connection_label"], &connection["ledger"]),
        (&json!("Broker"), &json!("599000.000"))
    );
    assert_eq!(
        (&connection["lots"], &connection["wallet"]),
        (&Value::Null, &Value::Null),
        "nothing reports a balance"
    );
    books.get("/reports/conservation?format=csv").is_problem(422, "no_csv");
    assert_eq!(books.send("PUT", "/settings", r#"{"lot_scope":"connection"}"#).status, 200);
    books.process();
    let report = books.json("/reports/conservation");
    assert_eq!(report["connections"][0]["lots"], "599000.000");
    assert_eq!(report["pools"][0]["connection_label"], "Broker");
}

#[test]
fn nobody_else_gets_at_filed_numbers() {
    let books = Books::kept();
    let id = seal(&books);
    let eve = books.server.user("eve");
    let note = r#"{"note":"n"}"#;
    for (method, path, body) in [
        ("POST", "/seals", YEAR),
        ("GET", "/seals", ""),
        ("GET", &format!("/seals/{id}"), ""),
        ("DELETE", &format!("/seals/{id}"), ""),
        ("GET", &format!("/seals/{id}/report"), ""),
        ("GET", &format!("/seals/{id}/report?format=json"), ""),
        ("GET", &format!("/seals/{id}/restatement"), ""),
        ("POST", &format!("/seals/{id}/accept"), "{}"),
        ("POST", &format!("/seals/{id}/hold"), note),
        ("GET", "/changes", ""),
        ("GET", "/reports/capital-gains/changes?from_version=0", ""),
        ("GET", "/reports/what-if?gains_algorithm=LIFO", ""),
        ("GET", "/reports/conservation", ""),
    ] {
        let path = format!("{}{path}", books.at);
        books.server.send(method, &path, &eve, body).is_problem(404, "not_found");
        books.server.send(method, &path, "", body).is_problem(401, "unauthenticated");
    }
    assert_eq!(books.json(&format!("/seals/{id}"))["state"], "filed");
}
