//! Bad input against the real binary, through curl: each refusal is the documented problem, and changes nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use nacre_tests::Result;
use nacre_tests::api::{Profile, User, items, text};
use nacre_tests::daemon::{Daemon, DaemonOptions};
use nacre_tests::http::{Client, Response};
use nacre_tests::process::free_port;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The page that lists every code.
const ERRORS: &str = include_str!("../../docs/errors.md");
/// An id that nothing has.
const NO_ID: &str = "01981c9e-8f5b-7c3e-9d5a-0c6d4b6f2a11";
/// Keys of nobody, from the examples of BIP 84 and BIP 32.
const MAIN_KEY: &str = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8";
const SECRET_KEY: &str = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";

/// What needs no token, and nothing else.
const PUBLIC: [&str; 7] = [
    "GET /.well-known/jwks.json",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "POST /v1/auth/login",
    "POST /v1/auth/register",
    "POST /v1/token",
];

/// A daemon with a user who has a profile.
struct Stage {
    daemon: Daemon,
    ada: User,
    workspace_id: String,
    profile: Profile,
    _folder: TempDir,
}

impl Stage {
    fn set_up() -> Result<Self> {
        let (daemon, _folder) = daemon(&[])?;
        let ada = User::register(&daemon, "ada")?;
        let workspace_id = ada.workspace("home")?;
        let nobody = format!("tcp://127.0.0.1:{}", free_port()?);
        let profile = ada.profile(&workspace_id, "main", &nobody)?;
        Ok(Self { daemon, ada, workspace_id, profile, _folder })
    }

    fn client(&self) -> &Client {
        self.ada.client()
    }

    /// A feed with a bought bitcoin and a sale that nothing covers, processed; the connection's id.
    fn import_example(&self) -> Result<String> {
        let body = json!({ "label": "feed", "kind": "Custom" });
        let made = self.client().post(&self.profile.path("/connections"), &body)?.expect_status(201)?;
        let id = text(&made.json()?, "id")?;
        let csv = "type,timestamp,id,amount_btc,fiat_value,fiat_currency\n\
                   buy,2025-01-01T00:00:00Z,bought,1,50000,USD\n\
                   sell,2025-01-02T00:00:00Z,uncovered,5,250000,USD\n";
        self.import(&id, csv)?.expect_status(200)?;
        let outcome = self.profile.process()?;
        assert_eq!((&outcome["events_total"], &outcome["quarantined"]), (&json!(2), &json!(1)), "{outcome}");
        Ok(id)
    }

    fn import(&self, connection_id: &str, csv: &str) -> Result<Response> {
        let path = self.profile.path(&format!("/connections/{connection_id}/import"));
        self.client().request("POST", &path, &[("content-type", "text/csv")], Some(csv.as_bytes()))
    }
}

fn daemon(settings: &[(&str, &str)]) -> Result<(Daemon, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let options = DaemonOptions::new(folder.path().join("data"));
    let options = settings.iter().fold(options, |options, (name, value)| options.env(name, value));
    Ok((Daemon::start(options)?, folder))
}

/// The answer is the documented problem in every respect; its body.
#[track_caller]
fn problem(answer: Result<Response>, status: u16, code: &str) -> Value {
    let answer = answer.unwrap();
    let body = answer.json().unwrap();
    assert_eq!((answer.status, body["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(ERRORS.contains(&format!("| `{code}` | {status} |")), "{code} is not documented with {status}");
    let fields: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let always = ["code", "detail", "message", "request_id", "status", "title", "type"];
    assert_eq!(fields.into_iter().filter(|name| *name != "details").collect::<Vec<_>>(), always);
    assert_eq!((&body["type"], &body["status"]), (&json!(format!("urn:nacre:error:{code}")), &json!(status)));
    assert_eq!(body["detail"], body["message"]);
    assert!(body["message"].as_str().unwrap().len() > 10 && body["title"].is_string(), "{body}");
    assert_eq!(answer.header("x-request-id"), body["request_id"].as_str());
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{body}");
    body
}

/// A refused field that is named.
#[track_caller]
fn field_problem(answer: Result<Response>, field: &str) {
    let body = problem(answer, 422, "invalid_field");
    assert_eq!(body["details"]["field"], field, "{body}");
}

#[test]
fn bodies_that_cannot_be_read_are_refused_and_make_nothing() -> Result<()> {
    let stage = Stage::set_up()?;
    let raw = |body: &[u8]| {
        let headers = [("content-type", "application/json")];
        stage.client().request("POST", "/v1/workspaces", &headers, Some(body))
    };
    for malformed in
        ["", "{\"label\":", "{\"label\":\"a\"} more", "{'label':'a'}", "\u{feff}{\"label\":\"a\"}"]
    {
        problem(raw(malformed.as_bytes()), 400, "malformed_json");
    }
    problem(raw(b"{\"label\":\"\xff\xfe\"}"), 400, "malformed_json");
    problem(raw(b"{\"label\":\"a\",\"label\":\"b\"}"), 400, "duplicate_key");
    let deep = format!("{{\"label\":{}{}}}", "[".repeat(100), "]".repeat(100));
    problem(raw(deep.as_bytes()), 400, "nesting_too_deep");
    for (wrong, field) in [
        (json!({ "label": 7 }), "label"),
        (json!({ "label": null }), "label"),
        (json!({ "label": ["a"] }), "label"),
        (json!({ "label": " " }), "label"),
        (json!({ "label": "a\nb" }), "label"),
        (json!({ "label": "a", "colour": "red" }), "colour"),
        (json!({}), "label"),
    ] {
        field_problem(stage.client().post("/v1/workspaces", &wrong), field);
    }
    problem(raw(b"[]"), 422, "invalid_field");
    let untyped = stage.client().request("POST", "/v1/workspaces", &[], Some(b"{\"label\":\"a\"}"));
    problem(untyped, 415, "unsupported_media_type");

    let large = format!("{{\"label\":\"{}\"}}", "a".repeat(2 << 20)).into_bytes();
    problem(raw(&large), 413, "body_too_large");
    let chunked = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
    let unannounced = stage.client().request("POST", "/v1/workspaces", &chunked, Some(&large));
    problem(unannounced, 413, "body_too_large");

    let all = stage.client().get("/v1/workspaces")?.expect_status(200)?.json()?;
    assert_eq!(items(&all["items"])?.len(), 1, "a refused request made something");
    Ok(())
}

#[test]
fn connections_that_cannot_be_read_are_refused_and_make_nothing() -> Result<()> {
    let stage = Stage::set_up()?;
    let connections = stage.profile.path("/connections");
    let make = |kind: &str, configuration: Value| {
        let body = json!({ "label": "w", "kind": kind, "configuration": configuration });
        stage.client().post(&connections, &body)
    };
    let descriptor = "configuration.descriptor";
    for (bad, field) in [
        (json!({ "descriptor": "wpkh(nonsense)" }), descriptor),
        (json!({ "descriptor": "" }), descriptor),
        (json!({ "descriptor": 7 }), descriptor),
        (json!({}), descriptor),
        (json!({ "descriptor": format!("wpkh({MAIN_KEY}/0/*)#aaaaaaaa") }), descriptor),
        (json!({ "descriptor": format!("wpkh({SECRET_KEY}/0/*)") }), descriptor),
        (json!({ "descriptor": format!("wpkh({MAIN_KEY}/0/*)"), "network": "regtest" }), descriptor),
        (
            json!({ "descriptor": format!("wpkh({MAIN_KEY}/0/*)"), "network": "atlantis" }),
            "configuration.network",
        ),
        (json!({ "descriptor": format!("wpkh({MAIN_KEY}/0/*)"), "gap_limit": 0 }), "configuration.gap_limit"),
        (json!({ "descriptor": format!("wpkh({MAIN_KEY}/0/*)"), "rune": "x" }), "configuration.rune"),
    ] {
        let answer = make("Descriptor", bad);
        let said = answer.as_ref().map(Response::text).unwrap_or_default();
        assert!(
            !said.contains("xprv") && !said.contains("nonsense"),
            "the refusal repeats the input: {said}"
        );
        field_problem(answer, field);
    }
    field_problem(make("Address", json!({ "addresses": ["bc1qnonsense"] })), "configuration.addresses");
    field_problem(make("Carrier pigeon", json!({})), "kind");
    problem(make("Lnd", json!({})), 422, "connection_kind_unavailable");
    let listed = stage.profile.get("/connections")?;
    assert_eq!(items(&listed["items"])?.len(), 0, "a refused request made something");
    Ok(())
}

#[test]
fn chain_sources_that_cannot_be_are_refused_and_silent_ones_fail_the_sync() -> Result<()> {
    let stage = Stage::set_up()?;
    let setup = format!("/v1/workspaces/{}/profiles/setup", stage.workspace_id);
    let body = |kind: &str, url: &str| json!({ "profile_label": "second", "onchain_label": "o", "onchain_kind": kind, "onchain_url": url });
    for url in
        ["", "localhost", "http://localhost", "tcp://", "tcp://host:0", "tcp://host:99999", "tcp://a b:1"]
    {
        field_problem(stage.client().post(&setup, &body("Electrum", url)), "onchain_url");
    }
    field_problem(stage.client().post(&setup, &body("Telepathy", "tcp://host:1")), "onchain_kind");
    problem(stage.client().post(&setup, &body("Esplora", "https://host")), 422, "chain_source_unavailable");
    let all = stage.client().get(&setup.replace("/setup", ""))?.expect_status(200)?.json()?;
    assert_eq!(items(&all["items"])?.len(), 1, "a refused setup made a profile");

    let wallet = json!({ "label": "w", "kind": "Descriptor", "configuration": {
        "descriptor": format!("wpkh({MAIN_KEY}/0/*)") } });
    let made =
        stage.client().post(&stage.profile.path("/connections"), &wallet)?.expect_status(201)?.json()?;
    let operation = stage.profile.sync(false)?;
    assert_eq!(operation["status"], "Failed", "{operation}");
    let failures = operation["result"]["failures"].as_array().unwrap();
    assert_eq!((failures.len(), &failures[0]["code"]), (1, &json!("unreachable")), "{operation}");
    assert_eq!(failures[0]["connection_id"], made["id"]);
    let finished = format!("/v1/operations/{}", text(&operation, "id")?);
    problem(stage.client().delete(&finished), 409, "operation_finished");
    Ok(())
}

#[test]
fn files_that_cannot_be_imported_are_refused_line_by_line_and_whole() -> Result<()> {
    let stage = Stage::set_up()?;
    let feed = stage.import_example()?;
    let version = stage.profile.book_version()?;
    let header = "type,timestamp,id,amount_btc\n";
    let bad = format!(
        "{header}income,2025-02-01T00:00:00Z,good,1\nincome,yesterday,x,1\nsteal,2025-02-02T00:00:00Z,y,-1\n"
    );
    let refused = problem(stage.import(&feed, &bad), 422, "invalid_import");
    let lines: BTreeSet<_> =
        items(&refused["details"]["rows"])?.iter().map(|row| row["line"].as_u64()).collect();
    assert_eq!(lines, BTreeSet::from([Some(3), Some(4)]), "{refused}");
    problem(stage.import(&feed, "type,timestamp,price\n"), 422, "invalid_import");
    problem(stage.import(NO_ID, header), 404, "not_found");
    let path = stage.profile.path(&format!("/connections/{feed}/import"));
    problem(stage.client().post(&path, &json!({})), 415, "unsupported_media_type");
    let rates = "time,pair,rate\n2025-01-01T00:00:00Z,BTC-USD,-1\n";
    let csv = [("content-type", "text/csv")];
    let answer = stage.client().request("POST", "/v1/rates/import", &csv, Some(rates.as_bytes()));
    problem(answer, 422, "invalid_rates");
    assert_eq!(stage.profile.book_version()?, version, "a refused file wrote something");
    Ok(())
}

#[test]
fn query_parameters_are_checked() -> Result<()> {
    let stage = Stage::set_up()?;
    let get = |below: &str| stage.client().get(&stage.profile.path(below));
    for bad in [
        "/journals/events?limit=0",
        "/journals/events?limit=501",
        "/journals/events?limit=many",
        "/journals/events?colour=red",
        "/journals/events?event_kind=theft",
        "/journals/events?from=yesterday",
        "/reports/capital-gains?start=2025-13-01",
        "/reports/capital-gains?format=pdf",
        "/connections?limit=-1",
    ] {
        problem(get(bad), 422, "invalid_query");
    }
    problem(get("/connections?cursor=nonsense!"), 400, "invalid_cursor");
    Ok(())
}

#[test]
fn tokens_are_needed_checked_and_expire() -> Result<()> {
    let (daemon, _folder) = daemon(&[("NACRE_LOGIN_TTL_SECS", "2")])?;
    let (other, _other_folder) = crate::daemon(&[])?;
    let foreign = User::register(&other, "ada")?;
    let ada = User::register(&daemon, "ada")?;
    ada.client().get("/v1/workspaces")?.expect_status(200)?;
    let list = |client: &Client| client.get("/v1/workspaces");
    problem(list(&daemon.client()), 401, "unauthenticated");
    problem(list(&daemon.client().with_bearer("nonsense")), 401, "invalid_token");
    problem(list(&daemon.client().with_bearer(foreign.token())), 401, "invalid_token");
    let mut forged = ada.token().to_owned();
    forged.replace_range(forged.len() - 3.., "AAA");
    problem(list(&daemon.client().with_bearer(&forged)), 401, "invalid_token");
    let wrong = json!({ "email": "ada@example.org", "password": "not her password" });
    problem(daemon.client().post("/v1/auth/login", &wrong), 401, "invalid_credentials");
    let again = json!({ "email": "Ada@Example.org", "password": "correct horse battery" });
    problem(daemon.client().post("/v1/auth/register", &again), 409, "email_taken");
    // One second of life more than the limit, and one for clocks that count in whole seconds.
    sleep(Duration::from_millis(3100));
    problem(list(ada.client()), 401, "token_expired");
    Ok(())
}

#[test]
fn unknown_routes_and_methods_and_long_headers_have_the_same_shape() -> Result<()> {
    let (daemon, _folder) = daemon(&[])?;
    let client = daemon.client();
    problem(client.get("/v1/nothing"), 404, "route_not_found");
    problem(client.get("/v1/workspaces/"), 404, "route_not_found");
    for (method, path) in
        [("PUT", "/v1/workspaces"), ("DELETE", "/v1/auth/login"), ("PATCH", "/openapi.json")]
    {
        let answer = client.request(method, path, &[], None)?;
        let allow = answer.header("allow").map(str::to_owned);
        problem(Ok(answer), 405, "method_not_allowed");
        assert!(allow.is_some_and(|allow| !allow.contains(method)), "{method} {path}");
    }
    let long = "a".repeat(40 << 10);
    problem(client.request("GET", "/healthz", &[("x-long", &long)], None), 431, "headers_too_large");
    Ok(())
}

/// Method, path as written in the document, and whether it needs no token.
fn routes(client: &Client) -> Result<Vec<(String, String, bool)>> {
    let document = client.get("/openapi.json")?.expect_status(200)?.json()?;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let public = operation["security"].as_array().is_some_and(|list| list[0] == json!({}));
            routes.push((method.to_uppercase(), path.clone(), public));
        }
    }
    Ok(routes)
}

/// Sends what the route's owner could send.
fn send(client: &Client, method: &str, path: &str) -> Result<Response> {
    let body = match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("GET" | "DELETE", _) | (_, "process" | "sync") => return client.request(method, path, &[], None),
        (_, "import") => {
            let csv = [("content-type", "text/csv")];
            return client.request(method, path, &csv, Some(b"type,timestamp,id,amount_btc\n"));
        }
        (_, "setup") => json!({ "profile_label": "m", "onchain_label": "o", "onchain_kind": "Electrum",
            "onchain_url": "tcp://127.0.0.1:1" }),
        (_, "select" | "settings" | "test") => json!({}),
        ("POST", "onchain-configs") => {
            json!({ "label": "o", "kind": "Electrum", "url": "tcp://127.0.0.1:1" })
        }
        ("POST", "connections") => json!({ "label": "o", "kind": "Custom" }),
        ("POST", "tags") => json!({ "code": "x", "label": "x" }),
        (_, "note") => json!({ "note": "x" }),
        (_, "excluded") => json!({ "excluded": true }),
        (_, "rate") => json!({ "rate": "1.00" }),
        _ => json!({ "label": "x" }),
    };
    client.send_json(method, path, &body)
}

#[test]
fn every_route_of_the_document_needs_a_token_but_the_public_ones() -> Result<()> {
    let (daemon, _folder) = daemon(&[])?;
    let client = daemon.client();
    let mut public_routes = BTreeSet::new();
    let routes = routes(&client)?;
    for (method, path, public) in &routes {
        // Ids that exist nowhere: 401 must come before 404.
        let path_of_nothing = path.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
        let path_of_nothing = path_of_nothing.collect::<Vec<_>>().join(NO_ID);
        if *public {
            let answer = send(&client, method, &path_of_nothing)?;
            assert!(answer.status != 401 && answer.status != 404, "{method} {path}: {}", answer.text());
            public_routes.insert(format!("{method} {path}"));
        } else {
            problem(send(&client, method, &path_of_nothing), 401, "unauthenticated");
            problem(send(&client.with_bearer("x"), method, &path_of_nothing), 401, "invalid_token");
        }
    }
    assert_eq!(public_routes, PUBLIC.map(str::to_owned).into());
    assert!(routes.len() > 50, "the document has only {} routes", routes.len());
    Ok(())
}

#[test]
fn nothing_foreign_or_unknown_can_be_told_from_nothing() -> Result<()> {
    let stage = Stage::set_up()?;
    let eve = User::register(&stage.daemon, "eve")?;
    let feed = stage.import_example()?;
    let tag = json!({ "code": "business", "label": "Business" });
    stage.client().post(&stage.profile.path("/metadata/tags"), &tag)?.expect_status(201)?;
    let operation_id = stage.profile.start_sync(false)?;
    stage.profile.wait_ended(&operation_id)?;
    let quarantined = stage.profile.get("/journals/quarantine")?["items"][0].clone();
    let configs = format!("/v1/workspaces/{}/onchain-configs", stage.workspace_id);
    let config_id = stage.client().get(&configs)?.expect_status(200)?.json()?["items"][0]["id"].clone();

    stage.profile.process()?;
    let year =
        json!({ "label": "2024", "start": "2024-01-01", "end": "2024-12-31", "allow_non_final": true });
    let seal = stage.client().post(&stage.profile.path("/seals"), &year)?.expect_status(201)?.json()?;
    let seal_id = text(&seal, "id")?;

    let existing = |path: &str| {
        let id = if path.starts_with("/v1/operations") {
            operation_id.as_str()
        } else if path.contains("/seals/") {
            seal_id.as_str()
        } else {
            config_id.as_str().unwrap()
        };
        path.replace("{w}", &stage.workspace_id)
            .replace("{p}", stage.profile.id())
            .replace("{c}", &feed)
            .replace("{id}", id)
            .replace("{e}", quarantined["event_id"].as_str().unwrap())
            .replace("{tag}", "business")
            .replace("{report}", "balance-sheet")
    };
    let unknown = |path: &str| {
        let words = path.replace("{report}", "balance-sheet").replace("{tag}", "business");
        words
            .split('{')
            .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest))
            .collect::<Vec<_>>()
            .join(NO_ID)
    };
    let before = stage.profile.all_said()?;
    let mut profile_routes = 0;
    for (method, path, _) in routes(stage.client())?.into_iter().filter(|(_, path, _)| path.contains('{')) {
        let mut real = existing(&path);
        assert!(!real.contains('{'), "fill in {path}");
        if real.ends_with("/capital-gains/changes") {
            real.push_str("?from_version=1");
        }
        if method == "GET" {
            assert_eq!(send(stage.client(), &method, &real)?.status, 200, "{real} is the owner's");
        }
        profile_routes += usize::from(path.contains("{p}"));
        problem(send(eve.client(), &method, &real), 404, "not_found");
        problem(send(stage.client(), &method, &unknown(&path)), 404, "not_found");
    }
    assert!(profile_routes > 30, "only {profile_routes} routes below a profile");
    assert_eq!(stage.profile.all_said()?, before, "a stranger changed something");
    let stream = format!("/v1/notifications/stream?operation_id={operation_id}");
    problem(eve.client().get(&stream), 404, "not_found");

    // Her own workspace does not lead into his profile.
    let mixed = format!("/v1/workspaces/{}/profiles/{}", eve.workspace("hers")?, stage.profile.id());
    problem(eve.client().get(&mixed), 404, "not_found");
    problem(eve.client().get(&format!("{mixed}/reports/balance-sheet")), 404, "not_found");
    problem(stage.client().get(&stage.profile.path("/connections/no-id")), 404, "not_found");
    Ok(())
}
