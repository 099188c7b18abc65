//! Journal events, quarantine, pending transactions, notes, tags, exclusions and rates, over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;
mod history;

use harness::{Request, Server};
use history::{Books, ids, keys};
use serde_json::json;

#[test]
fn events_are_listed_newest_first_and_say_what_happened() {
    let books = Books::kept();
    let page = books.json("/journals/events");
    assert_eq!(ids(&page), ["pay-2", "in-1", "pay-1", "sell-1", "buy-2", "buy-1"]);
    assert_eq!(page["next_cursor"], json!(null));
    assert_eq!(
        page["items"][5],
        json!({
            "id": "c1.buy-1", "timestamp": "2023-01-15T00:00:00Z", "kind": "trade", "status": "booked",
            "connections": [{ "id": books.feed, "label": "Broker" }],
            "direction": "in", "quantity": "1000000.000", "fee": "0.000",
            "fiat_value": "200.00", "fiat_currency": "USD",
            "description": "first buy", "note": null, "tags": ["savings"], "excluded": false,
        })
    );
    let paid = &page["items"][2];
    assert_eq!((&paid["direction"], &paid["quantity"]), (&json!("out"), &json!("100000.000")));
    assert_eq!((&paid["fee"], &paid["fiat_value"]), (&json!("1000.000"), &json!("80.00")));
    let waiting = &page["items"][0];
    assert_eq!((&waiting["status"], &waiting["quantity"]), (&json!("quarantined"), &json!(null)));
}

#[test]
fn filters_choose_and_the_count_agrees() {
    let books = Books::kept();
    for (query, expected) in [
        ("sort=asc&limit=2", vec!["buy-1", "buy-2"]),
        ("event_kind=trade", vec!["sell-1", "buy-2", "buy-1"]),
        ("from=2024-01-10&to=2024-06-01", vec!["sell-1", "buy-2"]),
        ("from=2024-06-01T12:00:00Z&to=2024-06-01T12:00:00Z", vec!["sell-1"]),
        ("tag=Savings", vec!["buy-1"]),
        ("note_contains=1%2B", vec!["sell-1"]),
        ("account=Expenses:External", vec!["pay-1"]),
        ("account=Income", vec!["in-1"]),
        ("excluded=true", vec![]),
        ("excluded=false&event_kind=pay", vec!["pay-2", "pay-1"]),
    ] {
        assert_eq!(books.events(query), expected, "{query}");
        if !query.contains("limit") {
            let count = books.json(&format!("/journals/events/count?{query}"))["count"].as_u64().unwrap();
            assert_eq!(count, expected.len() as u64, "{query}");
        }
    }
    assert_eq!(books.events(&format!("connection={}", books.feed)).len(), 6);
    assert_eq!(books.json("/journals/events/count"), json!({ "count": 6 }));
}

#[test]
fn a_cursor_stays_where_it_was_while_events_arrive_and_go() {
    let books = Books::kept();
    for (sort, first, second) in
        [("desc", ["pay-2", "in-1"], ["pay-1", "sell-1"]), ("asc", ["buy-1", "buy-2"], ["sell-1", "pay-1"])]
    {
        let page = books.json(&format!("/journals/events?limit=2&sort={sort}"));
        assert_eq!(ids(&page), first);
        let cursor = page["next_cursor"].as_str().unwrap().to_owned();
        // Behind the cursor in both directions: before the first event and after the last one.
        let header = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n";
        let early = format!("{sort}-a,buy,2022-01-01T00:00:00Z,0.001,40.00,USD\n");
        let late = format!("{sort}-z,buy,2025-09-01T00:00:00Z,0.001,90.00,USD\n");
        books.import(&format!("{header}{}", if sort == "asc" { &early } else { &late }));
        books.process();
        let next = books.events(&format!("limit=2&sort={sort}&cursor={cursor}"));
        assert_eq!(next, second, "{sort}");
    }
}

#[test]
fn one_event_explains_every_figure() {
    let books = Books::kept();
    let sale = books.json("/journals/events/c1.sell-1");
    let slice = |place: usize| {
        let mut slice = sale["disposals"][0]["slices"][place].clone();
        let reason = slice.as_object_mut().unwrap().remove("reason").unwrap();
        (slice, reason)
    };
    assert_eq!(sale["disposals"][0]["method"], "FIFO");
    assert_eq!(sale["disposals"][0]["pool"], json!(null));
    assert_eq!(sale["disposals"][0]["gross_proceeds_fiat"], "1000.00");
    assert_eq!(sale["disposals"][0]["fee_fiat"], "5.00");
    assert_eq!(sale["disposals"][0]["net_proceeds_fiat"], "995.00");
    assert_eq!(sale["disposals"][0]["cost_basis_fiat"], "427.00");
    assert_eq!(sale["disposals"][0]["realized_gain_fiat"], "568.00");
    assert_eq!(
        slice(0).0,
        json!({
            "lot_id": "c1.buy-1#0", "acquired_at": "2023-01-15T00:00:00Z", "acquired_event_id": "c1.buy-1",
            "quantity": "1000000.000", "term": "long", "gross_proceeds_fiat": "666.67", "fee_fiat": "3.33",
            "net_proceeds_fiat": "663.34", "cost_basis_fiat": "202.00", "realized_gain_fiat": "461.34",
        })
    );
    let second = slice(1).0;
    assert_eq!((&second["term"], &second["realized_gain_fiat"]), (&json!("short"), &json!("106.66")));
    assert_eq!(
        sale["disposals"][0]["reason"],
        json!({
            "selected_by": "method", "selection": "FIFO out of the one pool of the book: the lot acquired first",
            "proceeds_by": "stated", "proceeds": "the source states 1000.00 USD",
        })
    );
    assert_eq!(
        slice(0).1,
        json!({
            "acquired_on": "2023-01-15", "anniversary_on": "2024-01-15", "disposed_on": "2024-06-01",
            "term": "long: disposed of on 2024-06-01, after the anniversary of the acquisition, 2024-01-15",
            "lot_before": { "quantity": "1000000.000", "cost_basis_fiat": "202.00" }, "lot_after": null,
            "basis_by": "cost", "cost": "202.00: all that was left of the lot",
        })
    );
    assert_eq!(
        slice(1).1,
        json!({
            "acquired_on": "2024-01-10", "anniversary_on": "2025-01-10", "disposed_on": "2024-06-01",
            "term": "short: disposed of on 2024-06-01, not after the anniversary of the acquisition, 2025-01-10",
            "lot_before": { "quantity": "1000000.000", "cost_basis_fiat": "450.00" },
            "lot_after": { "quantity": "500000.000", "cost_basis_fiat": "225.00" },
            "basis_by": "cost",
            "cost": "450.00 × 0.00500000 BTC / 0.01000000 BTC = 225.00, rounded half-even",
        })
    );
    assert_eq!(sale["lots_consumed"].as_array().unwrap().len(), 2);
    assert_eq!(sale["lots_consumed"][1]["purpose"], "disposal");
    assert_eq!(sale["lots_opened"], json!([]));
    assert!(sale["postings"].as_array().unwrap().contains(&json!({
        "account": "Assets:Managed:Broker", "asset": "BTC", "debit": null, "credit": "1500000.000",
        "fiat_value": "-1000.00",
    })));

    let bought = books.json("/journals/events/c1.buy-1");
    assert_eq!(bought["lots_opened"][0]["cost_basis_fiat"], "202.00");
    assert_eq!(bought["lots_opened"][0]["purpose"], json!(null));

    let paid = books.json("/journals/events/c1.pay-1");
    let reason = &paid["disposals"][0]["reason"];
    assert_eq!(reason["proceeds_by"], "rate");
    assert_eq!(reason["proceeds"], "0.00100000 BTC × 80000 USD = 80.00, rounded half-even");
    assert_eq!(
        paid["valuation"],
        json!({
            "rate": "80000", "timestamp": "2025-02-01T12:00:00Z", "source": "table", "pair": "BTC-USD",
            "provider": "import",
        })
    );
    assert_eq!(paid["quarantine"], json!(null));
    let set_aside = books.json("/journals/events/c1.pay-2");
    assert_eq!(set_aside["quarantine"]["reason"], "missing_rate");
    assert_eq!(set_aside["postings"], json!([]));
}

#[test]
fn quarantine_says_why_and_a_rate_override_ends_it() {
    let books = Books::kept();
    let page = books.json("/journals/quarantine");
    let item = &page["items"][0];
    assert_eq!(item["event_id"], "c1.pay-2");
    assert_eq!(item["reason"], "missing_rate");
    assert_eq!(item["details"], json!({ "pair": "BTC-USD" }));
    assert!(item["explanation"].as_str().unwrap().contains("no BTC-USD rate"));
    assert!(item["resolutions"].as_array().unwrap().len() > 1);
    assert_eq!(books.json("/journals/quarantine/c1.pay-2"), *item);
    books.get("/journals/quarantine/c1.pay-1").is_problem(404, "not_found");
    books.get("/journals/quarantine/c1.nothing").is_problem(404, "not_found");

    let set = books.send("PUT", "/metadata/records/c1.pay-2/rate", r#"{"rate": "50000.00"}"#);
    assert_eq!(set.json()["rate"], "50000", "{}", set.body);
    assert_eq!(books.json("/reports/balance-sheet")["non_final"], true);
    books.process();
    assert_eq!(books.json("/journals/quarantine")["items"], json!([]));
    let paid = books.json("/journals/events/c1.pay-2");
    assert_eq!((&paid["valuation"]["source"], &paid["fiat_value"]), (&json!("override"), &json!("5.00")));
    assert_eq!(books.json("/reports/balance-sheet")["non_final"], false);

    assert_eq!(books.send("DELETE", "/metadata/records/c1.pay-2/rate", "").status, 204);
    books.process();
    assert_eq!(books.json("/journals/quarantine")["items"].as_array().unwrap().len(), 1);
}

#[test]
fn quarantine_and_metadata_come_in_pages() {
    let books = Books::kept();
    let csv = "id,type,timestamp,amount_btc\nx-1,pay,2025-09-01T00:00:00Z,0.0001\n\
               x-2,pay,2025-09-02T00:00:00Z,0.0001\n";
    books.import(csv);
    books.process();
    for id in ["pay-2", "x-1", "x-2"] {
        let note = books.send("PUT", &format!("/metadata/records/c1.{id}/note"), r#"{"note":"look"}"#);
        assert_eq!(note.status, 200, "{}", note.body);
    }
    for path in ["/journals/quarantine", "/metadata/records"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = books.json(&format!("{path}?limit=2{cursor}"));
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|item| item["event_id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, ["c1.pay-2", "c1.x-1", "c1.x-2"], "{path}");
    }
    assert_eq!(books.json("/journals/pending"), json!({ "items": [], "next_cursor": null }));
}

/// The bodies of this flow are those of the published guide.
#[test]
fn notes_tags_and_exclusions() {
    let books = Books::kept();
    let record = "/metadata/records/c1.pay-1";
    let noted = books.send("PUT", &format!("{record}/note"), r#"{"note": "Office hardware purchase"}"#);
    assert_eq!((noted.status, noted.text("note").as_str()), (200, "Office hardware purchase"));

    let tag = r#"{"code": "business-expense", "label": "Business Expense"}"#;
    let made = books.send("POST", "/metadata/tags", tag);
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(keys(&made.json()), ["code", "created_at", "id", "label"]);
    let capitals = r#"{"code": "Business-Expense", "label": "Again"}"#;
    books.send("POST", "/metadata/tags", capitals).is_problem(409, "tag_exists");

    books.send("PUT", &format!("{record}/tags/unknown"), "").is_problem(404, "not_found");
    let unknown = books.send("PUT", &format!("{record}/tags/unknown"), "").text("message");
    assert!(unknown.contains("POST metadata/tags"), "{unknown}");
    let tagged = books.send("PUT", &format!("{record}/tags/BUSINESS-expense"), "");
    assert_eq!(tagged.json()["tags"], json!(["business-expense"]), "{}", tagged.body);
    let event = books.json("/journals/events?tag=business-expense")["items"][0].clone();
    assert_eq!((&event["id"], &event["note"]), (&json!("c1.pay-1"), &json!("Office hardware purchase")));
    assert_eq!(books.json("/reports/portfolio-summary")["quarantined"], 1);

    let excluded = books.send("PUT", &format!("{record}/excluded"), r#"{"excluded": true}"#);
    assert_eq!(excluded.json()["excluded"], true, "{}", excluded.body);
    assert_eq!(books.json(record), excluded.json());
    books.process();
    let event = books.json("/journals/events/c1.pay-1");
    assert_eq!((&event["status"], &event["postings"]), (&json!("excluded"), &json!([])));
    assert_eq!(books.events("excluded=true"), ["pay-1"]);

    for thing in ["note", "excluded", "tags/business-expense"] {
        assert_eq!(books.send("DELETE", &format!("{record}/{thing}"), "").status, 204, "{thing}");
    }
    books.process();
    let event = books.json("/journals/events/c1.pay-1");
    assert_eq!(
        (&event["status"], &event["note"], &event["tags"]),
        (&json!("booked"), &json!(null), &json!([]))
    );
}

#[test]
fn tags_are_found_by_code_or_id_renamed_and_removed() {
    let books = Books::kept();
    let made = books.send("POST", "/metadata/tags", r#"{"code":"Tax.2025","label":"For the return"}"#).json();
    let by_id = format!("/metadata/tags/{}", made["id"].as_str().unwrap());
    assert_eq!(books.json("/metadata/tags/TAX.2025"), made);
    assert_eq!(books.json(&by_id), made);
    let renamed = books.send("PATCH", &by_id, r#"{"label":"Return 2025"}"#).json();
    assert_eq!((&renamed["label"], &renamed["code"]), (&json!("Return 2025"), &json!("tax.2025")));
    assert_eq!(books.json("/metadata/tags")["items"], json!([renamed]));
    assert_eq!(books.send("PUT", "/metadata/records/c1.in-1/tags/tax.2025", "").status, 200);
    assert_eq!(books.send("DELETE", "/metadata/tags/tax.2025", "").status, 204);
    books.send("DELETE", "/metadata/tags/tax.2025", "").is_problem(404, "not_found");
    assert_eq!(books.events("tag=tax.2025"), ["in-1"], "events keep the code");
    assert_eq!(books.send("DELETE", "/metadata/records/c1.in-1/tags/tax.2025", "").status, 204);
    assert!(books.events("tag=tax.2025").is_empty());
}

#[test]
fn bad_input_is_refused_by_name() {
    let books = Books::kept();
    for (path, field) in [
        ("/journals/events?limit=0", "limit"),
        ("/journals/events?limit=501", "limit"),
        ("/journals/events?limit=ten", "limit"),
        ("/journals/events?colour=red", "colour"),
        ("/journals/events?from=soon", "from"),
        ("/journals/events?from=2025-01-02&to=2025-01-01", "to"),
        ("/journals/events?sort=up", "sort"),
        ("/journals/events?event_kind=theft", "event_kind"),
        ("/journals/events?excluded=maybe", "excluded"),
        ("/journals/events?connection=mine", "connection"),
        ("/journals/events/count?to=never", "to"),
        ("/journals/quarantine?limit=0", "limit"),
        ("/journals/pending?limit=0", "limit"),
        ("/metadata/records?limit=0", "limit"),
        ("/metadata/tags?limit=0", "limit"),
    ] {
        let problem = books.get(path).is_problem(422, "invalid_query");
        assert_eq!(problem["details"]["field"], field, "{path}");
    }
    for path in ["/journals/events", "/journals/quarantine", "/journals/pending", "/metadata/tags"] {
        books.get(&format!("{path}?cursor=x")).is_problem(400, "invalid_cursor");
    }
    let long_note = json!({ "note": "x".repeat(4097) }).to_string();
    let record = "/metadata/records/c1.pay-1";
    for (method, path, body, field) in [
        ("PUT", format!("{record}/note"), long_note.as_str(), "note"),
        ("PUT", format!("{record}/note"), r#"{"note":" "}"#, "note"),
        ("PUT", format!("{record}/note"), r#"{"note":"a","by":"me"}"#, "by"),
        ("PUT", format!("{record}/excluded"), r#"{"excluded":"yes"}"#, "excluded"),
        ("PUT", format!("{record}/rate"), r#"{"rate":"-1"}"#, "rate"),
        ("PUT", format!("{record}/rate"), r#"{"rate":"1.123456789"}"#, "rate"),
        ("PUT", format!("{record}/rate"), r#"{"rate":50000}"#, "rate"),
        ("POST", "/metadata/tags".to_owned(), r#"{"code":"a b","label":"x"}"#, "code"),
        ("POST", "/metadata/tags".to_owned(), r#"{"code":"a","label":""}"#, "label"),
    ] {
        let problem = books.send(method, &path, body).is_problem(422, "invalid_field");
        assert_eq!(problem["details"]["field"], field, "{path}: {problem}");
    }
    for (method, path, body) in [
        ("GET", "/journals/events/c1.nothing", ""),
        ("GET", "/journals/events/c9.buy-1", ""),
        ("GET", "/metadata/records/c1.nothing", ""),
        ("PUT", "/metadata/records/c1.nothing/note", r#"{"note":"a"}"#),
        ("DELETE", "/metadata/records/c1.nothing/note", ""),
        ("GET", "/metadata/tags/none", ""),
        ("PATCH", "/metadata/tags/none", r#"{"label":"a"}"#),
    ] {
        books.send(method, path, body).is_problem(404, "not_found");
    }
    let note = books.send("PUT", &format!("{record}/note"), &json!({ "note": "ä".repeat(4096) }).to_string());
    assert_eq!(note.status, 200, "the limit counts characters");
}

#[test]
fn nobody_else_gets_in() {
    let books = Books::kept();
    let eve = books.server.user("eve");
    let routes = [
        ("GET", "/journals/events", ""),
        ("GET", "/journals/events/count", ""),
        ("GET", "/journals/events/c1.buy-1", ""),
        ("GET", "/journals/quarantine", ""),
        ("GET", "/journals/quarantine/c1.pay-2", ""),
        ("GET", "/journals/pending", ""),
        ("GET", "/metadata/records", ""),
        ("GET", "/metadata/records/c1.buy-1", ""),
        ("PUT", "/metadata/records/c1.buy-1/note", r#"{"note":"mine"}"#),
        ("DELETE", "/metadata/records/c1.buy-1/note", ""),
        ("PUT", "/metadata/records/c1.buy-1/excluded", r#"{"excluded":true}"#),
        ("DELETE", "/metadata/records/c1.buy-1/excluded", ""),
        ("PUT", "/metadata/records/c1.buy-1/rate", r#"{"rate":"1"}"#),
        ("DELETE", "/metadata/records/c1.buy-1/rate", ""),
        ("PUT", "/metadata/records/c1.buy-1/tags/savings", ""),
        ("DELETE", "/metadata/records/c1.buy-1/tags/savings", ""),
        ("POST", "/metadata/tags", r#"{"code":"a","label":"a"}"#),
        ("GET", "/metadata/tags", ""),
        ("GET", "/metadata/tags/a", ""),
        ("PATCH", "/metadata/tags/a", r#"{"label":"b"}"#),
        ("DELETE", "/metadata/tags/a", ""),
    ];
    for (method, path, body) in routes {
        let whole = format!("{}{path}", books.at);
        books.server.send(method, &whole, &eve, body).is_problem(404, "not_found");
        books.server.send(method, &whole, "", body).is_problem(401, "unauthenticated");
    }
    assert_eq!(books.json("/metadata/records")["items"], json!([]));
    assert_eq!(books.json("/metadata/tags")["items"], json!([]));
}

#[test]
fn an_empty_profile_answers_too() {
    let books = Books::empty(Server::start());
    let nothing = json!({ "items": [], "next_cursor": null });
    for path in [
        "/journals/events",
        "/journals/quarantine",
        "/journals/pending",
        "/metadata/records",
        "/metadata/tags",
    ] {
        assert_eq!(books.json(path), nothing, "{path}");
    }
    let head = Request::new("HEAD", &format!("{}/journals/events", books.at)).token(&books.token);
    assert_eq!(head.send(books.server.addr).status, 200);
}
