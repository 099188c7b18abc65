//! Workspaces, profiles, settings, chain sources, rates, feedback; idempotency and pagination.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use harness::{Request, Server};
use serde_json::{Value, json};

fn setup(change: Value) -> String {
    let mut body = json!({
        "profile_label": "main", "fiat_currency": "USD", "gains_algorithm": "FIFO", "tor_proxy": null,
        "onchain_label": "my-electrum", "onchain_kind": "Electrum", "onchain_url": "tcp://127.0.0.1:50001",
        "rpc_cookie": null, "rpc_user": null, "rpc_password": null, "select_as_default": true
    });
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    body.to_string()
}

fn items(server: &Server, path: &str, token: &str) -> Vec<Value> {
    server.get(path, token).json()["items"].as_array().unwrap().clone()
}

#[test]
fn setup_makes_everything_or_nothing() {
    let server = Server::start();
    let token = server.user("ada");
    let base = format!("/v1/workspaces/{}", server.workspace(&token));
    let path = format!("{base}/profiles/setup");
    for (change, code, field) in [
        (json!({ "onchain_url": "http://x" }), "invalid_field", "onchain_url"),
        (json!({ "onchain_kind": "Esplora" }), "chain_source_unavailable", "onchain_kind"),
        (
            json!({ "onchain_kind": "BitcoinRpc", "rpc_user": "u" }),
            "chain_source_unavailable",
            "onchain_kind",
        ),
        (json!({ "onchain_kind": "Pigeon" }), "invalid_field", "onchain_kind"),
        (json!({ "rpc_password": "x" }), "invalid_field", "rpc_password"),
        (json!({ "fiat_currency": "BTC" }), "invalid_field", "fiat_currency"),
        (json!({ "gains_algorithm": "MAGIC" }), "invalid_field", "gains_algorithm"),
        (
            json!({ "policies": [{ "effective_from": "soon" }] }),
            "invalid_field",
            "policies[0].effective_from",
        ),
        (json!({ "tor_proxy": "nowhere" }), "invalid_field", "tor_proxy"),
        (json!({ "profile_label": "" }), "invalid_field", "profile_label"),
        (json!({ "onchain_label": "" }), "invalid_field", "onchain_label"),
    ] {
        let problem = server.post(&path, &token, &setup(change)).is_problem(422, code);
        assert_eq!(problem["details"]["field"], field);
    }
    assert!(items(&server, &format!("{base}/profiles"), &token).is_empty());
    assert!(items(&server, &format!("{base}/onchain-configs"), &token).is_empty());

    let made = server.post(&path, &token, &setup(json!({}))).json();
    assert_eq!(made["settings"]["onchain_config_id"], made["onchain_config"]["id"]);
    let profile = made["profile"]["id"].as_str().unwrap();
    let settings = server.get(&format!("{base}/profiles/{profile}/settings"), &token).json();
    assert_eq!(settings, made["settings"]);
    assert_eq!(settings["rate_max_age_hours"], 25);
}

#[test]
fn settings_keep_what_is_absent_and_clear_what_is_null() {
    let server = Server::start();
    let token = server.user("ada");
    let base = format!("/v1/workspaces/{}", server.workspace(&token));
    let profile = server.post(&format!("{base}/profiles"), &token, r#"{"label":"main"}"#).text("id");
    let path = format!("{base}/profiles/{profile}/settings");
    let put = |body: Value| server.send("PUT", &path, &token, &body.to_string());
    let config = r#"{"label":"e","kind":"Electrum","url":"ssl://e.example.org:50002"}"#;
    let config = server.post(&format!("{base}/onchain-configs"), &token, config).text("id");
    let changed = put(json!({
        "fiat_currency": "eur", "gains_algorithm": "LIFO", "lot_scope": "connection", "timezone": "Europe/Berlin",
        "transfer_fee_treatment": "carry_basis", "rate_max_age_hours": 48, "tor_proxy": "127.0.0.1:9050",
        "onchain_config_id": config
    }));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.json()["fiat_currency"], "EUR");
    let after = put(json!({ "tor_proxy": null })).json();
    assert_eq!((&after["tor_proxy"], &after["gains_algorithm"]), (&Value::Null, &json!("LIFO")));
    for (bad, field) in [
        (json!({ "timezone": "Mars/Olympus" }), "timezone"),
        (json!({ "lot_scope": "galaxy" }), "lot_scope"),
        (json!({ "transfer_fee_treatment": "forget" }), "transfer_fee_treatment"),
        (json!({ "rate_max_age_hours": 0 }), "rate_max_age_hours"),
        (json!({ "rate_max_age_hours": -1 }), "rate_max_age_hours"),
        (json!({ "onchain_config_id": profile }), "onchain_config_id"),
        (json!({ "fiat_currency": "EUR", "nonsense": 1 }), "nonsense"),
    ] {
        assert_eq!(put(bad).is_problem(422, "invalid_field")["details"]["field"], field);
    }
    assert_eq!(server.get(&path, &token).json(), after, "a refused change changes nothing");
}

#[test]
fn chain_sources_are_made_changed_selected_and_deleted() {
    let server = Server::start();
    let token = server.user("ada");
    let workspace = server.workspace(&token);
    let base = format!("/v1/workspaces/{workspace}/onchain-configs");
    let new = r#"{"label":"e","kind":"electrum","url":"tcp://127.0.0.1:50001"}"#;
    let id = server.post(&base, &token, new).text("id");
    let one = format!("{base}/{id}");
    let patched = server.send("PATCH", &one, &token, r#"{"url":"ssl://127.0.0.1:50002"}"#);
    assert_eq!(
        (patched.text("url").as_str(), patched.text("kind").as_str()),
        ("ssl://127.0.0.1:50002", "Electrum")
    );
    server.send("PATCH", &one, &token, r#"{"kind":"Esplora"}"#).is_problem(422, "chain_source_unavailable");

    assert_eq!(server.post(&format!("{one}/select"), &token, "").status, 200);
    let holder = server.get(&format!("/v1/workspaces/{workspace}"), &token).json();
    assert_eq!(holder["default_onchain_config_id"], id.as_str());
    let profiles = format!("/v1/workspaces/{workspace}/profiles");
    let profile = server.post(&profiles, &token, r#"{"label":"p"}"#).text("id");
    let body = json!({ "profile_id": profile }).to_string();
    assert_eq!(server.post(&format!("{one}/select"), &token, &body).status, 200);
    server.send("DELETE", &one, &token, "").is_problem(409, "still_in_use");
    server.send("DELETE", &format!("/v1/workspaces/{workspace}"), &token, "").is_problem(409, "still_in_use");
    assert_eq!(server.send("DELETE", &format!("{profiles}/{profile}"), &token, "").status, 204);
    assert_eq!(server.send("DELETE", &one, &token, "").status, 204);
    server.get(&one, &token).is_problem(404, "not_found");
    assert_eq!(server.send("DELETE", &format!("/v1/workspaces/{workspace}"), &token, "").status, 204);
    assert!(items(&server, "/v1/workspaces", &token).is_empty());
}

#[test]
fn the_same_key_gets_the_first_answer_again() {
    let server = Server::start();
    let (ada, eve) = (server.user("ada"), server.user("eve"));
    let post = |token: &str, path: &str, key: &str, body: &str| {
        Request::new("POST", path).token(token).header("idempotency-key", key).json(body).send(server.addr)
    };
    let first = post(&ada, "/v1/workspaces", "k1", r#"{"label":"a"}"#);
    let again = post(&ada, "/v1/workspaces", "k1", r#"{"label":"a"}"#);
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(again.header("content-type"), Some("application/json"));
    post(&ada, "/v1/workspaces", "k1", r#"{"label":"b"}"#).is_problem(409, "idempotency_mismatch");
    post(&ada, "/v1/workspaces", "", r#"{"label":"b"}"#).is_problem(400, "invalid_idempotency_key");
    assert_eq!(items(&server, "/v1/workspaces", &ada).len(), 1);
    assert_ne!(post(&eve, "/v1/workspaces", "k1", r#"{"label":"a"}"#).body, first.body, "keys are per user");
    assert_eq!(post(&ada, "/v1/feedback", "k1", r#"{"message":"hi"}"#).status, 201, "keys are per route");

    let dry = post(&ada, "/v1/workspaces?a=1", "k1", r#"{"label":"a"}"#);
    assert_ne!(dry.body, first.body, "keys are per query");

    post(&ada, "/v1/workspaces", "k2", r#"{"label":""}"#).is_problem(422, "invalid_field");
    let corrected = post(&ada, "/v1/workspaces", "k2", r#"{"label":"b"}"#);
    assert_eq!(corrected.status, 201, "a refusal is not kept: {}", corrected.body);

    let folder = server.stop();
    let server = Server::on(folder, |_| ());
    let later = Request::new("POST", "/v1/workspaces").token(&ada).header("idempotency-key", "k1");
    assert_eq!(later.json(r#"{"label":"a"}"#).send(server.addr).body, first.body, "kept over a restart");
}

#[test]
fn twins_with_one_key_make_one_thing() {
    let server = Server::start();
    let token = server.user("ada");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let twin = || {
            let request = Request::new("POST", "/v1/workspaces").token(&token).header("idempotency-key", "k");
            request.json(r#"{"label":"a"}"#).send(server.addr).status
        };
        let running: Vec<_> = (0..8).map(|_| scope.spawn(twin)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(statuses.contains(&201) && statuses.iter().all(|s| [201, 409].contains(s)), "{statuses:?}");
    assert_eq!(items(&server, "/v1/workspaces", &token).len(), 1);
}

#[test]
fn pages_stay_stable_while_rows_come_and_go() {
    let server = Server::start();
    let token = server.user("ada");
    let ids: Vec<String> = (0..5).map(|_| server.workspace(&token)).collect();
    let page = |cursor: Option<&str>| {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        server.get(&format!("/v1/workspaces?limit=2{cursor}"), &token).json()
    };
    let seen = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    let first = page(None);
    assert_eq!(seen(&first), [&*ids[0], &*ids[1]]);
    let new = server.workspace(&token);
    server.send("DELETE", &format!("/v1/workspaces/{}", ids[1]), &token, "");
    server.send("DELETE", &format!("/v1/workspaces/{}", ids[2]), &token, "");
    let second = page(first["next_cursor"].as_str());
    assert_eq!(seen(&second), [&*ids[3], &*ids[4]]);
    let third = page(second["next_cursor"].as_str());
    assert_eq!((seen(&third), &third["next_cursor"]), (vec![json!(new)], &Value::Null));
    for bad in ["limit=0", "limit=501", "limit=x", "colour=red"] {
        server.get(&format!("/v1/workspaces?{bad}"), &token).is_problem(422, "invalid_query");
    }
    server.get("/v1/workspaces?cursor=nonsense", &token).is_problem(400, "invalid_cursor");
}

#[test]
fn rates_are_imported_whole_and_looked_up() {
    let server = Server::start();
    let (ada, eve) = (server.user("ada"), server.user("eve"));
    let import = |csv: &str| {
        let request = Request::new("POST", "/v1/rates/import").token(&ada).header("content-type", "text/csv");
        request.body(csv.as_bytes()).send(server.addr)
    };
    let bad = import("time,pair,rate\n2025-01-01,BTC-USD,1\n2025-01-02,BTC-USD,one\n");
    assert_eq!(bad.is_problem(422, "invalid_rates")["details"]["errors"][0]["line"], 3);
    assert!(items(&server, "/v1/rates/pairs", &ada).is_empty());
    let good = "time,pair,rate\n2025-01-01T00:00:00Z,BTC-USD,93429.20\n2025-01-02,BTC-USD,96886.88\n2025-01-02,BTC-EUR,94000\n";
    assert_eq!(import(good).json(), json!({ "added": 3, "replaced": 0 }));
    assert_eq!(import(good).json(), json!({ "added": 0, "replaced": 3 }));
    let latest = server.get("/v1/rates/latest?pair=BTC-USD&at=2025-01-01T12:00:00Z", &ada).json();
    assert_eq!((&latest["rate"], &latest["time"]), (&json!("93429.2"), &json!("2025-01-01T00:00:00Z")));
    let page = server.get("/v1/rates/range?pair=BTC-USD&limit=1", &ada).json();
    let next = page["next_cursor"].as_str().unwrap();
    let rest = items(&server, &format!("/v1/rates/range?pair=BTC-USD&limit=1&cursor={next}"), &ada);
    assert_eq!(rest[0]["rate"], "96886.88");
    let pairs = items(&server, "/v1/rates/pairs", &ada);
    assert_eq!(pairs.iter().map(|pair| pair["pair"].clone()).collect::<Vec<_>>(), ["BTC-EUR", "BTC-USD"]);
    server.get("/v1/rates/latest?pair=BTC-USD", &eve).is_problem(404, "not_found");
    server.get("/v1/rates/latest?pair=USD", &ada).is_problem(422, "invalid_query");
    server.get("/v1/rates/range?pair=BTC-USD&from=soon", &ada).is_problem(422, "invalid_query");
    server.post("/v1/rates/import", &ada, "{}").is_problem(415, "unsupported_media_type");
}

#[test]
fn the_document_and_its_viewer_are_served() {
    let server = Server::start();
    let document = server.get("/openapi.json", "").json();
    assert_eq!(document["openapi"], "3.1.0");
    let list = &document["paths"]["/v1/workspaces/{w}/profiles"]["get"];
    let names: Vec<_> = list["parameters"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["limit", "cursor", "w"]);
    assert!(list["responses"]["default"]["content"]["application/problem+json"].is_object());
    assert_refs_resolve(&document, &document);
    assert!(server.get("/docs/", "").body.contains("swagger-ui"));
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(server.get(probe, "").json()["status"], "ok");
    }
    assert!(server.get("/metrics", "").body.contains("nacre_http_requests_total"));
}

/// Every `$ref` of the document must point at something in it.
fn assert_refs_resolve(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            for (key, value) in fields {
                if let (true, Some(target)) = (key == "$ref", value.as_str()) {
                    assert!(
                        document.pointer(target.trim_start_matches('#')).is_some(),
                        "{target} is missing"
                    );
                }
                assert_refs_resolve(document, value);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_refs_resolve(document, item)),
        _ => {}
    }
}
