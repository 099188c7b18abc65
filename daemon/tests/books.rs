//! Connections, imports, processing and syncing over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain_fake;
mod harness;

use std::time::{Duration, Instant};

use chain_fake::{FakeChain, Reply, TPUB, lying, own_script, serve, wallet_chain};
use harness::{Answer, Request, Server};
use serde_json::{Value, json};

const DESCRIPTOR: &str = "wpkh([73c5da0a/84h/0h/0h]xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V/0/*)";
const CSV: &str = "id,type,timestamp,amount_btc,fiat_value\n\
    a,buy,2024-01-01T10:00:00Z,0.5,20000\n\
    b,buy,2024-02-01T10:00:00Z,0.5,25000\n\
    c,sell,2024-03-01T10:00:00Z,0.25,15000\n";

/// A server with one user and one profile.
struct Desk {
    server: Server,
    token: String,
    workspace: String,
    /// Path of the profile.
    p: String,
}

impl Desk {
    fn new() -> Self {
        Self::on(Server::start())
    }

    fn on(server: Server) -> Self {
        let token = server.user("ada");
        let workspace = format!("/v1/workspaces/{}", server.workspace(&token));
        let made = server.post(&format!("{workspace}/profiles"), &token, r#"{"label":"main"}"#);
        let p = format!("{workspace}/profiles/{}", made.text("id"));
        Self { server, token, workspace, p }
    }

    fn get(&self, path: &str) -> Answer {
        self.server.get(&format!("{}{path}", self.p), &self.token)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.server.send(method, &format!("{}{path}", self.p), &self.token, &body)
    }

    fn connection(&self, kind: &str, configuration: Value) -> String {
        let body = json!({ "label": "mine", "kind": kind, "configuration": configuration });
        let answer = self.send("POST", "/connections", &body);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.text("id")
    }

    fn import(&self, connection: &str, query: &str, csv: &str) -> Answer {
        let path = format!("{}/connections/{connection}/import{query}", self.p);
        let request = Request::new("POST", &path).token(&self.token).header("content-type", "text/csv");
        request.body(csv.as_bytes()).send(self.server.addr)
    }

    fn process(&self, query: &str) -> Value {
        let answer = self.send("POST", &format!("/journals/process{query}"), &Value::Null);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Makes the profile read a chain source; the answer is its id.
    fn select(&self, url: &str) -> String {
        let config = json!({ "label": "fake", "kind": "Electrum", "url": url }).to_string();
        let configs = format!("{}/onchain-configs", self.workspace);
        let config = self.server.post(&configs, &self.token, &config).text("id");
        let select = json!({ "profile_id": self.p.rsplit('/').next().unwrap() }).to_string();
        let selected = self.server.post(&format!("{configs}/{config}/select"), &self.token, &select);
        assert_eq!(selected.status, 200, "{}", selected.body);
        config
    }

    /// Waits for the end of an operation.
    fn ended(&self, id: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let row = self.server.get(&format!("/v1/operations/{id}"), &self.token).json();
            if !row["finished_at"].is_null() {
                return row;
            }
            assert!(Instant::now() < deadline, "{row}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn counts(answer: &Answer) -> (u64, u64, u64) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    let count = |name: &str| body[name].as_u64().unwrap();
    (count("new"), count("duplicates"), count("changed"))
}

#[test]
fn connections_are_made_listed_changed_and_deleted() {
    let desk = Desk::new();
    let made = desk.send(
        "POST",
        "/connections",
        &json!({ "label": "my-wallet", "kind": "descriptor", "configuration": { "descriptor": DESCRIPTOR } }),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let wallet = made.json();
    assert_eq!((&wallet["kind"], &wallet["network"]), (&json!("Descriptor"), &json!("mainnet")));
    assert_eq!(wallet["configuration"]["descriptor"], DESCRIPTOR);
    assert!(wallet["synced_at"].is_null() && wallet["created_at"].is_string());
    let custom = desk.connection("CUSTOM", json!({ "holds": "lightning" }));

    let first = desk.get("/connections?limit=1").json();
    assert_eq!(first["items"], json!([wallet]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = desk.get(&format!("/connections?limit=1&cursor={cursor}")).json();
    assert_eq!((&second["items"][0]["id"], &second["next_cursor"]), (&json!(custom), &Value::Null));

    let path = format!("/connections/{}", wallet["id"].as_str().unwrap());
    let changed = desk.send(
        "PATCH",
        &path,
        &json!({ "label": "cold", "configuration": { "descriptor": DESCRIPTOR, "gap_limit": 50 } }),
    );
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(desk.get(&path).json(), changed.json());
    assert_eq!(changed.json()["configuration"]["gap_limit"], 50);
    assert_eq!(changed.text("label"), "cold");
    desk.send("PATCH", &path, &json!({ "configuration": { "descriptor": "wpkh(x)" } }))
        .is_problem(422, "invalid_field");
    assert_eq!(desk.get(&path).json(), changed.json());

    assert_eq!(desk.send("DELETE", &path, &Value::Null).status, 204);
    desk.get(&path).is_problem(404, "not_found");
    desk.send("DELETE", &path, &Value::Null).is_problem(404, "not_found");
}

#[test]
fn kinds_describe_themselves_and_their_examples_work() {
    let desk = Desk::new();
    let kinds = desk.get("/connections/kinds").json();
    let kinds = kinds["items"].as_array().unwrap();
    assert_eq!(kinds.len(), 3);
    for kind in kinds {
        assert_eq!(kind["configuration_schema"]["type"], "object");
        let answer = desk.send("POST", "/connections", &kind["example"]);
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
}

#[test]
fn wrong_connections_are_refused_by_field_and_leave_nothing() {
    let desk = Desk::new();
    for (body, code, field) in [
        (json!({ "kind": "custom" }), "invalid_field", "label"),
        (json!({ "label": "", "kind": "custom" }), "invalid_field", "label"),
        (json!({ "label": "x", "kind": "pigeon" }), "invalid_field", "kind"),
        (json!({ "label": "x", "kind": "lnd" }), "connection_kind_unavailable", "kind"),
        (json!({ "label": "x", "kind": "custom", "more": 1 }), "invalid_field", "more"),
        (json!({ "label": "x", "kind": "descriptor" }), "invalid_field", "configuration.descriptor"),
        (
            json!({ "label": "x", "kind": "custom", "configuration": { "rune": "y" } }),
            "invalid_field",
            "configuration.rune",
        ),
        (
            json!({ "label": "x", "kind": "descriptor",
                "configuration": { "descriptor": DESCRIPTOR, "network": "regtest" } }),
            "invalid_field",
            "configuration.descriptor",
        ),
    ] {
        let problem = desk.send("POST", "/connections", &body).is_problem(422, code);
        assert_eq!(problem["details"]["field"], field, "{problem}");
    }
    assert_eq!(desk.get("/connections").json()["items"], json!([]));
}

#[test]
fn an_import_is_idempotent_and_becomes_books() {
    let desk = Desk::new();
    let custom = desk.connection("Custom", Value::Null);
    assert_eq!(counts(&desk.import(&custom, "", CSV)), (3, 0, 0));
    assert!(desk.get(&format!("/connections/{custom}")).json()["synced_at"].is_string());
    let done = desk.process("");
    assert_eq!((&done["events_total"], &done["entries_written"]), (&json!(3), &json!(3)));
    assert_eq!((&done["quarantined"], &done["non_final"]), (&json!(0), &json!(false)));
    assert!(done["run_id"].is_string() && done["duration_ms"].is_u64());

    assert_eq!(counts(&desk.import(&custom, "", CSV)), (0, 3, 0));
    let again = desk.process("");
    assert_eq!((&again["events_replayed"], &again["book_version"]), (&json!(0), &done["book_version"]));
    assert_eq!(desk.process("?full=true")["events_replayed"], 3);
    assert_eq!(counts(&desk.import(&custom, "", &CSV.replace("15000", "16000"))), (0, 2, 1));
    assert!(std::fs::read_dir(desk.server.data_dir().join("spool")).unwrap().next().is_none());
}

#[test]
fn an_import_can_derive_the_journal_in_the_same_write() {
    let desk = Desk::new();
    let custom = desk.connection("Custom", Value::Null);
    let both = desk.import(&custom, "?process=true", CSV);
    assert_eq!(counts(&both), (3, 0, 0));
    let done = &both.json()["process"];
    assert_eq!((&done["events_total"], &done["non_final"]), (&json!(3), &json!(false)));
    assert_eq!(done["book_version"], both.json()["book_version"]);
    assert_eq!(desk.process("")["events_replayed"], 0, "nothing waits");
    let again = desk.import(&custom, "?process=true", CSV);
    assert_eq!((counts(&again), &again.json()["process"]["events_replayed"]), ((0, 3, 0), &json!(0)));
    let bad = CSV.replace("0.5,25000", "half,25000");
    desk.import(&custom, "?process=true", &bad).is_problem(422, "invalid_import");
    desk.import(&custom, "?process=true&dry_run=true", CSV).is_problem(422, "invalid_query");
}

#[test]
fn a_dry_run_answers_row_by_row_and_writes_nothing() {
    let desk = Desk::new();
    let custom = desk.connection("Custom", Value::Null);
    desk.import(&custom, "", &CSV.lines().take(2).collect::<Vec<_>>().join("\n"));
    let dry = desk.import(&custom, "?dry_run=true", CSV);
    assert_eq!(counts(&dry), (2, 1, 0));
    let rows = dry.json()["rows"].clone();
    let outcomes: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (&row["line"], &row["outcome"])).collect();
    assert_eq!(
        outcomes,
        [(&json!(2), &json!("duplicate")), (&json!(3), &json!("new")), (&json!(4), &json!("new"))]
    );
    assert_eq!(desk.process("")["events_total"], 1);
    assert_eq!(counts(&desk.import(&custom, "", CSV)), (2, 1, 0));
}

#[test]
fn wrong_files_are_refused_whole() {
    let desk = Desk::new();
    let custom = desk.connection("Custom", Value::Null);
    let bad = CSV.replace("0.5,25000", "half,25000").replace("2024-03-01T10:00:00Z", "tomorrow");
    let problem = desk.import(&custom, "", &bad).is_problem(422, "invalid_import");
    assert_eq!(problem["details"]["count"], 2);
    let rows = &problem["details"]["rows"];
    assert_eq!((&rows[0]["line"], &rows[0]["column"]), (&json!(3), &json!("amount_btc")));
    assert_eq!(rows[1]["line"], 4);
    assert!(rows[1]["problem"].is_string());
    for header in ["", "kind,when\n", "id,id\n"] {
        desk.import(&custom, "", header).is_problem(422, "invalid_import");
    }
    desk.import(&custom, "?dry=1", CSV).is_problem(422, "invalid_query");
    let path = format!("/connections/{custom}/import");
    desk.send("POST", &path, &json!({ "rows": [] })).is_problem(415, "unsupported_media_type");
    let wallet = desk.connection("descriptor", json!({ "descriptor": DESCRIPTOR }));
    desk.import(&wallet, "", CSV).is_problem(409, "import_not_taken");
    desk.import(&uuid::Uuid::now_v7().to_string(), "", CSV).is_problem(404, "not_found");
    assert_eq!(desk.process("")["events_total"], 0);
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let desk = Desk::on(Server::with(|config| config.max_import_mib = 1));
    let custom = desk.connection("Custom", Value::Null);
    let large = CSV.to_owned() + &"\n".repeat(1 << 20);
    let path = format!("{}/connections/{custom}/import", desk.p);
    let request = || Request::new("POST", &path).token(&desk.token).header("content-type", "text/csv");
    request().body(large.as_bytes()).send(desk.server.addr).is_problem(413, "body_too_large");
    request().body(large.as_bytes()).chunked().send(desk.server.addr).is_problem(413, "body_too_large");
    assert_eq!(counts(&request().body(CSV.as_bytes()).chunked().send(desk.server.addr)), (3, 0, 0));
}

#[test]
fn rates_and_settings_reach_the_books_at_the_next_process() {
    let desk = Desk::new();
    let custom = desk.connection("Custom", Value::Null);
    let csv = "id,type,timestamp,amount_btc\na,deposit,2024-01-02T00:00:00Z,0.1\n";
    desk.import(&custom, "", csv);
    assert_eq!(desk.process("")["quarantined"], 1);
    let rates = "time,pair,rate\n2024-01-01T00:00:00Z,BTC-USD,42000\n2024-01-01T00:00:00Z,BTC-EUR,38000\n";
    let request =
        Request::new("POST", "/v1/rates/import").token(&desk.token).header("content-type", "text/csv");
    assert_eq!(request.body(rates.as_bytes()).send(desk.server.addr).status, 200);
    assert_eq!(desk.process("")["quarantined"], 0);
    let settled = desk.process("")["book_version"].clone();
    assert_eq!(desk.process("")["book_version"], settled, "nothing new, nothing written");
    let settings = format!("{}/settings", desk.p);
    let answer = desk.server.send("PUT", &settings, &desk.token, r#"{"fiat_currency":"EUR"}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(desk.process("")["events_replayed"], 1);
}

#[test]
fn settings_are_stored_even_if_the_book_cannot_be_told() {
    let desk = Desk::new();
    let book = format!("{}.redb", desk.p.rsplit('/').next().unwrap());
    std::fs::write(desk.server.data_dir().join("books").join(book), "no book").unwrap();
    let put = desk.send("PUT", "/settings", &json!({ "fiat_currency": "EUR" }));
    assert_eq!((put.status, put.text("fiat_currency").as_str()), (200, "EUR"), "{}", put.body);
    assert_eq!(desk.get("/settings").text("fiat_currency"), "EUR");
    desk.get("/reports/balance-sheet").is_problem(503, "storage_failed");
}

#[test]
fn others_find_nothing_and_a_deleted_profile_leaves_no_file() {
    let desk = Desk::new();
    let custom = desk.connection("Custom", Value::Null);
    let book =
        desk.server.data_dir().join("books").join(format!("{}.redb", desk.p.rsplit('/').next().unwrap()));
    assert!(book.exists());
    let other = desk.server.user("eve");
    let one = format!("/connections/{custom}");
    for (method, path) in [
        ("GET", "/connections"),
        ("GET", "/connections/kinds"),
        ("POST", "/connections/sync"),
        ("GET", one.as_str()),
        ("DELETE", one.as_str()),
        ("POST", &format!("{one}/sync")),
        ("POST", "/journals/process"),
    ] {
        let answer = desk.server.send(method, &format!("{}{path}", desk.p), &other, "");
        answer.is_problem(404, "not_found");
    }
    let import = Request::new("POST", &format!("{}{one}/import", desk.p)).header("content-type", "text/csv");
    import.token(&other).body(CSV.as_bytes()).send(desk.server.addr).is_problem(404, "not_found");
    desk.server.get(&format!("{}/connections", desk.p), "").is_problem(401, "unauthenticated");

    assert_eq!(desk.send("DELETE", "", &Value::Null).status, 204);
    assert!(!book.exists());
    desk.get("/connections").is_problem(404, "not_found");
}

#[test]
fn a_sync_says_for_each_connection_why_it_failed() {
    let desk = Desk::new();
    desk.connection("Custom", Value::Null);
    let nothing = desk.send("POST", "/connections/sync", &Value::Null);
    assert_eq!(nothing.status, 202, "{}", nothing.body);
    let row = desk.ended(&nothing.text("operation_id"));
    assert_eq!((&row["status"], &row["kind"]), (&json!("Succeeded"), &json!("sync")));

    let wallet = desk.connection("descriptor", json!({ "descriptor": DESCRIPTOR }));
    let started =
        desk.send("POST", &format!("/connections/{wallet}/sync"), &json!({ "force_full_sync": true }));
    let row = desk.ended(&started.text("operation_id"));
    assert_eq!((&row["status"], &row["error"]["code"]), (&json!("Failed"), &json!("sync_failed")));
    let failure = &row["result"]["failures"][0];
    assert_eq!((&failure["connection_id"], &failure["code"]), (&json!(wallet), &json!("no_chain_source")));

    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = json!({ "label": "gone", "kind": "Electrum", "url": format!("tcp://127.0.0.1:{port}") });
    let configs = format!("{}/onchain-configs", desk.workspace);
    let config = desk.server.post(&configs, &desk.token, &config.to_string()).text("id");
    assert_eq!(desk.server.post(&format!("{configs}/{config}/select"), &desk.token, "").status, 200);
    let row = desk.ended(&desk.send("POST", "/connections/sync", &json!({})).text("operation_id"));
    assert_eq!(row["result"]["failures"][0]["code"], "unreachable");
    let tested = desk.server.post(&format!("{configs}/{config}/test"), &desk.token, "").json();
    assert_eq!((&tested["ok"], &tested["failure"]["code"]), (&json!(false), &json!("unreachable")));
}

#[test]
fn a_sync_brings_the_wallet_into_the_books_and_names_what_failed() {
    let desk = Desk::new();
    let own = json!({ "descriptor": format!("wpkh({TPUB}/<0;1>/*)"), "gap_limit": 3, "network": "regtest" });
    let wallet = desk.connection("descriptor", own.clone());
    let foreign = desk.connection("descriptor", json!({ "descriptor": DESCRIPTOR }));
    let source = lying(wallet_chain().0, |_, _, _| None);
    let config = desk.select(&source.url());
    let configs = format!("{}/onchain-configs", desk.workspace);
    let tested = desk.server.post(&format!("{configs}/{config}/test"), &desk.token, "").json();
    assert_eq!((&tested["ok"], &tested["network"]), (&json!(true), &json!("regtest")), "{tested}");

    let row = desk.ended(&desk.send("POST", "/connections/sync", &Value::Null).text("operation_id"));
    assert_eq!(row["status"], "SucceededWithFailures", "{row}");
    let failures = &row["result"]["failures"];
    assert_eq!((&failures[0]["connection_id"], &failures[1]), (&json!(foreign), &Value::Null));
    assert_eq!(failures[0]["code"], "wrong_network");
    let synced = &row["result"]["summary"]["connections"];
    assert_eq!((&synced[0]["connection_id"], &synced[0]["new"]), (&json!(wallet), &json!(2)));
    let path = format!("/connections/{wallet}");
    assert!(desk.get(&path).json()["synced_at"].is_string());
    assert_eq!(desk.process("")["events_total"], 1, "what is unconfirmed is not booked");

    let again = || {
        let started = desk.send("POST", &format!("{path}/sync"), &Value::Null);
        let row = desk.ended(&started.text("operation_id"));
        assert_eq!(row["status"], "Succeeded", "{row}");
        row["result"]["summary"]["connections"][0].clone()
    };
    assert_eq!((&again()["new"], &again()["changed"]), (&json!(0), &json!(0)));
    let elsewhere = json!({ "addresses": ["mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn"], "network": "regtest" });
    assert_eq!(desk.send("PATCH", &path, &json!({ "configuration": elsewhere })).status, 422);
    let mut patient = own;
    patient["gap_limit"] = json!(5);
    let renamed = json!({ "label": "mine again", "configuration": patient });
    assert_eq!(desk.send("PATCH", &path, &renamed).status, 200);
    assert_eq!(desk.process("")["events_total"], 1, "still the same wallet");
    let mut receive_only = patient;
    receive_only["descriptor"] = json!(format!("wpkh({TPUB}/7/*)"));
    assert_eq!(desk.send("PATCH", &path, &json!({ "configuration": receive_only })).status, 200);
    assert_eq!(desk.process("")["events_total"], 0, "another wallet has none of the old one's transactions");
    let pending = desk.get("/journals/pending").json();
    assert_eq!(pending["items"], json!([]));
    assert_eq!((&again()["new"], &again()["removed"]), (&json!(0), &json!(0)));
}

#[test]
fn a_payment_between_two_wallets_that_is_mined_during_the_sync_is_no_income() {
    let desk = Desk::new();
    let from = json!({ "descriptor": format!("wpkh({TPUB}/<0;1>/*)"), "gap_limit": 3, "network": "regtest" });
    let from = desk.connection("descriptor", from);
    // A pay-to-witness-script-hash address of nobody in particular.
    let address: bitcoin::Address<_> =
        "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry".parse().unwrap();
    let to = json!({ "addresses": [address.clone().assume_checked().to_string()], "network": "regtest" });
    desk.connection("address", to);
    let mut chain = FakeChain::new();
    let received = FakeChain::payment(FakeChain::foreign(1), own_script(), 1_000);
    let coin = bitcoin::OutPoint { txid: received.compute_txid(), vout: 0 };
    let script = address.assume_checked().script_pubkey();
    let paid = FakeChain::payment(coin, script.clone(), 900);
    let txid = paid.compute_txid().to_string();
    chain.mine(Some(received));
    chain.see(paid.clone());
    let later = {
        let mut later = chain.clone();
        later.mine(Some(paid));
        later
    };
    let (mined, hash) = (std::sync::atomic::AtomicBool::new(false), FakeChain::script_hash(&script));
    let source = serve(move |method, params, _| {
        use std::sync::atomic::Ordering;
        if method == "blockchain.scripthash.get_history" && params[0] == hash.as_str() {
            // The other wallet is read meanwhile; then comes the block.
            std::thread::sleep(Duration::from_millis(1000));
            mined.store(true, Ordering::SeqCst);
        }
        let now = if mined.load(Ordering::SeqCst) { &later } else { &chain };
        Reply::Result(now.answer(method, params))
    });
    desk.select(&source.url());
    let row = desk.ended(&desk.send("POST", "/connections/sync", &Value::Null).text("operation_id"));
    assert_eq!(row["status"], "Succeeded", "{row}");
    let rows = row["result"]["summary"]["connections"].as_array().unwrap().clone();
    let first = rows.iter().find(|row| row["connection_id"] == from.as_str()).unwrap();
    assert_eq!((&first["new"], &first["changed"]), (&json!(2), &json!(1)), "read twice: {row}");
    let rates =
        Request::new("POST", "/v1/rates/import").token(&desk.token).header("content-type", "text/csv");
    let rates = rates.body(b"time,pair,rate\n2020-09-13,BTC-USD,10000\n").send(desk.server.addr);
    assert_eq!(rates.status, 200, "{}", rates.body);
    desk.process("");
    let event = desk.get(&format!("/journals/events/{txid}")).json();
    assert_eq!(event["direction"], "transfer", "{event}");
}

#[test]
fn one_sync_of_a_profile_runs_at_a_time_and_can_be_cancelled() {
    let desk = Desk::new();
    desk.connection("descriptor", json!({ "descriptor": DESCRIPTOR }));
    // Accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", silent.local_addr().unwrap());
    let config = json!({ "label": "silent", "kind": "Electrum", "url": url }).to_string();
    let configs = format!("{}/onchain-configs", desk.workspace);
    let config = desk.server.post(&configs, &desk.token, &config).text("id");
    desk.server.post(&format!("{configs}/{config}/select"), &desk.token, "");
    let operation = desk.send("POST", "/connections/sync", &Value::Null).text("operation_id");
    let problem = desk.send("POST", "/connections/sync", &Value::Null).is_problem(409, "sync_running");
    assert_eq!(problem["details"]["operation_id"], operation);
    let cancel = desk.server.send("DELETE", &format!("/v1/operations/{operation}"), &desk.token, "");
    assert_eq!(cancel.status, 202, "{}", cancel.body);
    assert_eq!(desk.ended(&operation)["status"], "Cancelled");
    let again = desk.send("POST", "/connections/sync", &Value::Null);
    assert_eq!(again.status, 202, "{}", again.body);
    desk.server.send("DELETE", &format!("/v1/operations/{}", again.text("operation_id")), &desk.token, "");
}
