//! Methods and policies of later days over the wire: what settings take, what they refuse by field and row, and what the
//! journal and the reports say of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;
mod history;

use harness::{Answer, Server};
use history::Books;
use serde_json::{Value, json};

fn put(books: &Books, body: Value) -> Answer {
    books.send("PUT", "/settings", &body.to_string())
}

#[track_caller]
fn set(books: &Books, body: Value) -> Value {
    let answer = put(books, body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    books.process();
    answer.json()
}

/// The column of a CSV report.
fn column(books: &Books, path: &str, name: &str) -> Vec<String> {
    let text = books.get(path).body;
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let at = lines.next().unwrap().iter().position(|known| known == name).unwrap();
    lines.map(|line| line[at].clone()).collect()
}

#[test]
fn every_method_can_be_chosen_in_any_letter_case_and_is_named_in_reports() {
    let books = Books::kept();
    for (word, cost) in [
        ("fifo", "427.00"),
        ("LIFO", "551.00"),
        ("Hifo", "551.00"),
        ("lofo", "427.00"),
        ("avg_cost", "489.00"),
    ] {
        let settings = set(&books, json!({ "gains_algorithm": word }));
        assert_eq!(settings["gains_algorithm"], word.to_uppercase());
        let report = books.json("/reports/capital-gains?format=json&end=2024-12-31");
        assert_eq!(
            (&report["algorithm"], &report["summary"]["total_cost_basis_fiat"]),
            (&json!(word.to_uppercase()), &json!(cost))
        );
    }
    let lots = books.json("/reports/open-lots");
    let rows = lots["rows"].as_array().unwrap();
    let sum: f64 =
        rows.iter().map(|row| row["cost_basis_fiat"].as_str().unwrap().parse::<f64>().unwrap()).sum();
    assert_eq!(format!("{sum:.2}"), lots["total_cost_basis_fiat"].as_str().unwrap());
    let portfolio = books.json("/reports/portfolio-summary");
    assert_eq!(portfolio["btc_capital_gains"]["unrealized_cost_basis_fiat"], lots["total_cost_basis_fiat"]);
}

#[test]
fn a_disposal_under_uk_s104_explains_what_it_claims_of_a_later_purchase() {
    let books = Books::empty(Server::start());
    books.import(
        "id,type,timestamp,amount_btc,fiat_value\nb-1,buy,2023-01-01T12:00:00Z,2,200\n\
         s-1,sell,2023-03-01T12:00:00Z,1,500\nb-2,buy,2023-03-10T12:00:00Z,0.7,140\n",
    );
    set(&books, json!({ "gains_algorithm": "UK_S104" }));
    let sale = books.json("/journals/events/c1.s-1");
    let slices = sale["disposals"][0]["slices"].as_array().unwrap();
    let named = |field: &str| slices.iter().map(|slice| slice[field].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(named("lot_id"), ["c1.b-2#0", "c1.b-1#0"]);
    assert_eq!(named("cost_basis_fiat"), ["140.00", "30.00"]);
    let words: Vec<_> = slices.iter().map(|slice| slice["reason"]["cost"].as_str().unwrap()).collect();
    assert!(words[0].contains("30-day rule") && words[1].contains("section 104 pool"), "{words:?}");
    assert_eq!(slices[0]["reason"]["lot_before"], Value::Null, "it is still to come");
    for report in ["open-lots", "portfolio-summary"] {
        let between = books.get(&format!("/reports/{report}?as_of=2023-03-05"));
        assert!(between.is_problem(422, "invalid_field")["message"].as_str().unwrap().contains("2023-03-10"));
        books.json(&format!("/reports/{report}?as_of=2023-03-10"));
        books.json(&format!("/reports/{report}?as_of=2023-02-28"));
    }
    let used = sale["lots_consumed"].as_array().unwrap();
    assert_eq!((used.len(), &used[1]["lot_id"]), (2, &json!("c1.b-2#0")));
    let bought = books.json("/journals/events/c1.b-2");
    assert_eq!(bought["lots_opened"], json!([]), "all of it was claimed before it came");
}

#[test]
fn policies_hold_from_their_day_and_the_switch_is_an_event() {
    let books = Books::kept();
    let other = books.send("POST", "/connections", r#"{"label":"Vault","kind":"custom"}"#).text("id");
    let policies = json!([
        { "effective_from": "2024-01-01", "gains_algorithm": "HIFO" },
        { "effective_from": "2025-01-01", "lot_scope": "connection",
          "allocation": [{ "lot_id": "c1.buy-1#0", "connection_id": books.feed, "quantity_sat": "500000.000" }] },
        { "effective_from": "2025-06-01", "lot_scope": "universal" }
    ]);
    let settings = set(&books, json!({ "policies": policies }));
    let second = &settings["policies"][1];
    assert_eq!((&second["gains_algorithm"], &second["lot_scope"]), (&Value::Null, &json!("connection")));
    assert_eq!(second["allocation"], policies[1]["allocation"]);
    assert_eq!(books.json("/settings"), settings);

    let switches = ["allocation.2025-06-01", "allocation.2025-01-01.000001", "allocation.2025-01-01"];
    assert_eq!(books.events("event_kind=lot_allocation"), switches);
    let dealt = books.json("/journals/events/allocation.2025-01-01");
    assert_eq!((&dealt["kind"], &dealt["postings"]), (&json!("lot_allocation"), &json!([])));
    assert_eq!(dealt["lots_consumed"][0]["purpose"], "move");
    assert_eq!(dealt["lots_opened"][0]["pool"]["id"], json!(books.feed));
    assert_eq!(column(&books, "/reports/capital-gains", "algorithm"), ["HIFO"; 3]);
    assert_eq!(books.json("/reports/capital-gains?format=json")["algorithm"], "mixed");
    assert_eq!(books.json("/reports/capital-gains?format=json&start=2024-01-01")["algorithm"], "HIFO");
    assert_eq!(books.json("/journals/events/c1.sell-1")["disposals"][0]["method"], "HIFO");

    // Each report names the method of what it was asked for.
    let named = |path: &str| books.json(path)["algorithm"].as_str().unwrap().to_owned();
    for (query, method) in [("year=2023", "FIFO"), ("year=2024", "HIFO"), ("year=2025", "HIFO")] {
        assert_eq!(named(&format!("/reports/form-8949?{query}")), method, "{query}");
        assert_eq!(named(&format!("/reports/tax-summary?{query}")), method, "{query}");
    }
    assert_eq!(named("/reports/tax-summary"), "mixed");
    for (query, method) in [("as_of=2023-12-31", "FIFO"), ("as_of=2024-01-01", "HIFO"), ("", "HIFO")] {
        assert_eq!(named(&format!("/reports/open-lots?{query}")), method, "{query}");
        let portfolio = books.json(&format!("/reports/portfolio-summary?{query}"));
        assert_eq!(portfolio["btc_capital_gains"]["algorithm"], method, "{query}");
    }

    // A list that does not fit is set aside, and the rule deals everything.
    let void = json!([{ "effective_from": "2025-01-01", "lot_scope": "connection", "allocation":
        [{ "lot_id": "c1.buy-1#0", "connection_id": other, "quantity_sat": "1" }] }]);
    set(&books, json!({ "policies": void }));
    let quarantined = books.json("/journals/quarantine");
    let first = &quarantined["items"][0];
    assert_eq!(first["event_id"], "allocation.2025-01-01", "{quarantined}");
    assert!(first["resolutions"][0].as_str().unwrap().contains("PUT settings"));
    // So is one that names a connection which is gone.
    assert!(books.send("DELETE", &format!("/connections/{other}"), "").status < 300);
    books.process();
    assert_eq!(books.json("/journals/quarantine")["items"][0]["event_id"], "allocation.2025-01-01");
    assert_eq!(set(&books, json!({ "policies": [] }))["policies"], json!([]));
    assert!(books.events("event_kind=lot_allocation").is_empty());
}

#[test]
fn what_a_policy_leaves_out_goes_on_as_before_also_when_that_changes_later() {
    let books = Books::kept();
    let policies = json!([{ "effective_from": "2024-01-01", "lot_scope": "connection" }]);
    set(&books, json!({ "policies": policies }));
    let settings = set(&books, json!({ "gains_algorithm": "HIFO" }));
    let policy = &settings["policies"][0];
    assert_eq!((&policy["gains_algorithm"], &policy["lot_scope"]), (&Value::Null, &json!("connection")));
    let report = books.json("/reports/capital-gains?format=json&end=2024-12-31");
    assert_eq!(
        (&report["algorithm"], &report["summary"]["total_cost_basis_fiat"]),
        (&json!("HIFO"), &json!("551.00"))
    );

    let policies = json!([{ "effective_from": "2024-01-01", "gains_algorithm": "LOFO" }, { "effective_from": "2025-01-01" }]);
    set(&books, json!({ "policies": policies }));
    let settings = set(&books, json!({ "lot_scope": "connection" }));
    assert!(books.events("event_kind=lot_allocation").is_empty(), "one scope from the beginning");
    assert_eq!(column(&books, "/reports/capital-gains", "algorithm"), ["LOFO"; 3]);
    // What is read can be put back.
    assert_eq!(set(&books, json!({ "policies": settings["policies"] })), settings);
}

#[test]
fn what_cannot_hold_is_refused_by_field_and_row() {
    let books = Books::kept();
    let day = |more: Value| {
        let mut policy = json!({ "effective_from": "2025-01-01" });
        policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "policies": [{ "effective_from": "2024-01-01", "gains_algorithm": "LIFO" }, policy] })
    };
    let row = |lot: &str, connection: &str, quantity: &str| {
        day(json!({ "lot_scope": "connection", "allocation":
            [{ "lot_id": lot, "connection_id": connection, "quantity_sat": quantity }] }))
    };
    let before = books.json("/settings");
    for (body, field) in [
        (json!({ "gains_algorithm": "UK_S104", "lot_scope": "connection" }), "lot_scope"),
        (
            json!({ "gains_algorithm": "UK_S104", "transfer_fee_treatment": "carry_basis" }),
            "transfer_fee_treatment",
        ),
        (day(json!({ "gains_algorithm": "AVG_COST" })), "policies"),
        (day(json!({ "effective_from": "2024-01-01" })), "policies"),
        (day(json!({ "effective_from": "2025-02-30" })), "policies[1].effective_from"),
        (day(json!({ "effective_from": "2025-01-01T12:00" })), "policies[1].effective_from"),
        (day(json!({ "effective_from": "20250101" })), "policies[1].effective_from"),
        (day(json!({ "gains_algorithm": "MAGIC" })), "policies[1].gains_algorithm"),
        (day(json!({ "lot_scope": "galaxy" })), "policies[1].lot_scope"),
        (row("", &books.feed, "1"), "policies[1].allocation[0].lot_id"),
        (row("c1.buy-1#0", &books.feed, "0"), "policies[1].allocation[0].quantity_sat"),
        (row("c1.buy-1#0", &books.feed, "1.0001"), "policies[1].allocation[0].quantity_sat"),
        (
            row("c1.buy-1#0", "00000000-0000-0000-0000-000000000001", "1"),
            "policies[1].allocation[0].connection_id",
        ),
        (
            day(
                json!({ "allocation": [{ "lot_id": "x", "connection_id": books.feed, "quantity_sat": "1" }] }),
            ),
            "policies",
        ),
        (day(json!({ "nonsense": 1 })), "policies[1].nonsense"),
    ] {
        let problem = put(&books, body.clone()).is_problem(422, "invalid_field");
        assert_eq!(problem["details"]["field"], field, "{body}");
    }
    assert_eq!(books.json("/settings"), before, "a refused change changes nothing");
}
