//! Every documented refusal, over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use harness::{Answer, Request, Server};

const NO_ID: &str = "01981c9e-8f5b-7c3e-9d5a-0c6d4b6f2a11";

#[test]
fn bad_bodies_are_refused_with_the_reason() {
    let server = Server::start();
    let token = server.user("ada");
    let post = |body: &str| server.post("/v1/workspaces", &token, body);
    post(r#"{"label":"#).is_problem(400, "malformed_json");
    post("{\"label\":\"a\"} trailing").is_problem(400, "malformed_json");
    post(r#"{"label":"a","label":"b"}"#).is_problem(400, "duplicate_key");
    let deep = format!(r#"{{"label":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    post(&deep).is_problem(400, "nesting_too_deep");
    let wrong_type = post(r#"{"label":7}"#).is_problem(422, "invalid_field");
    assert_eq!(wrong_type["details"]["field"], "label");
    let unknown = post(r#"{"label":"a","colour":"red"}"#).is_problem(422, "invalid_field");
    assert_eq!(unknown["details"]["field"], "colour");
    let missing = post("{}").is_problem(422, "invalid_field");
    assert_eq!(missing["details"]["field"], "label");
    let empty = post(r#"{"label":"  "}"#).is_problem(422, "invalid_field");
    assert_eq!(empty["details"]["field"], "label");
    let plain = Request::new("POST", "/v1/workspaces").token(&token).header("content-type", "text/plain");
    plain.body(b"{}").send(server.addr).is_problem(415, "unsupported_media_type");
    assert_eq!(server.get("/v1/workspaces", &token).json()["items"].as_array().unwrap().len(), 0);
}

#[test]
fn a_body_of_two_mebibytes_is_refused_announced_or_not() {
    let server = Server::start();
    let token = server.user("ada");
    let large = vec![b' '; 2 * 1024 * 1024];
    let request = || {
        let request = Request::new("POST", "/v1/workspaces").token(&token);
        request.header("content-type", "application/json").body(&large)
    };
    request().send(server.addr).is_problem(413, "body_too_large");
    request().chunked().send(server.addr).is_problem(413, "body_too_large");
}

#[test]
fn routes_methods_and_headers_are_refused_in_the_same_shape() {
    let server = Server::start();
    server.get("/v1/nothing", "").is_problem(404, "route_not_found");
    let wrong_method = server.send("PUT", "/v1/workspaces", "", "");
    wrong_method.is_problem(405, "method_not_allowed");
    assert!(wrong_method.header("allow").unwrap().contains("POST"));
    let long = Request::new("GET", "/healthz").header("x-long", &"a".repeat(40 * 1024));
    long.send(server.addr).is_problem(431, "headers_too_large");
}

#[test]
fn tokens_are_needed_checked_and_expire() {
    let server = Server::with(|config| config.login_ttl_secs = 2);
    let token = server.user("ada");
    let list = |token: &str| server.get("/v1/workspaces", token);
    list("").is_problem(401, "unauthenticated");
    list("nonsense").is_problem(401, "invalid_token");
    let basic = Request::new("GET", "/v1/workspaces").header("authorization", "Basic YTpi");
    basic.send(server.addr).is_problem(401, "unauthenticated");
    assert_eq!(list(&token).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(3100));
    list(&token).is_problem(401, "token_expired");
    let other = Server::start();
    other.user("ada");
    other.get("/v1/workspaces", &server.login("ada")).is_problem(401, "invalid_token");
}

#[test]
fn request_ids_are_taken_if_sane_and_made_otherwise() {
    let server = Server::start();
    let with = |id: &str| Request::new("GET", "/nothing").header("x-request-id", id).send(server.addr);
    assert_eq!(with("abc-1").is_problem(404, "route_not_found")["request_id"], "abc-1");
    for odd in ["a b", "<script>", &"x".repeat(129)] {
        let made = with(odd).is_problem(404, "route_not_found")["request_id"].as_str().unwrap().to_owned();
        assert_eq!(made.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    }
}

/// Each route of the document, with real ids of one user in its path.
fn every_route(server: &Server, filled: &dyn Fn(&str) -> String) -> Vec<(String, String, bool)> {
    let document = server.get("/openapi.json", "").json();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let public =
                operation["security"].as_array().is_some_and(|list| list[0] == serde_json::json!({}));
            routes.push((method.to_uppercase(), filled(path), public));
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    routes
}

#[test]
fn no_route_works_without_a_token_and_none_shows_what_is_foreign_or_unknown() {
    let server = Server::start();
    let ada = server.user("ada");
    let eve = server.user("eve");
    let workspace = server.workspace(&ada);
    let setup = setup_body("tcp://127.0.0.1:50001");
    let made = server.post(&format!("/v1/workspaces/{workspace}/profiles/setup"), &ada, &setup);
    assert_eq!(made.status, 201, "{}", made.body);
    let (profile, config) = (made.text("profile_id"), made.text("onchain_config_id"));

    let ids_of_ada =
        |path: &str| path.replace("{w}", &workspace).replace("{p}", &profile).replace("{id}", &config);
    for (method, path, public) in every_route(&server, &ids_of_ada) {
        let answer = server.send(&method, &path, "", "");
        if public {
            assert_ne!(answer.status, 404, "{method} {path}: {}", answer.body);
        } else {
            answer.is_problem(401, "unauthenticated");
        }
        if path.contains(&workspace) || path.contains(&config) {
            assert_foreign(&server.send(&method, &path, &eve, body_for(&method, &path)), &method, &path);
        }
    }
    let unknown = |path: &str| path.replace("{w}", NO_ID).replace("{p}", NO_ID).replace("{id}", NO_ID);
    for (method, path, _) in every_route(&server, &unknown) {
        if path.contains(NO_ID) {
            assert_foreign(&server.send(&method, &path, &ada, body_for(&method, &path)), &method, &path);
        }
    }
    let mixed = format!("/v1/workspaces/{}/profiles/{profile}", server.workspace(&eve));
    server.get(&mixed, &eve).is_problem(404, "not_found");
    server.get("/v1/workspaces/no-id", &ada).is_problem(404, "not_found");
    assert_eq!(server.get(&format!("/v1/workspaces/{workspace}/profiles/{profile}"), &ada).status, 200);
}

#[track_caller]
fn assert_foreign(answer: &Answer, method: &str, path: &str) {
    assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    answer.is_problem(404, "not_found");
}

/// A body the route would take from its owner.
fn body_for(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("GET" | "DELETE", _) => "",
        (_, path) if path.ends_with("/setup") => {
            r#"{"profile_label":"m","onchain_label":"o","onchain_kind":"Electrum","onchain_url":"tcp://h:1"}"#
        }
        (_, path) if ["/select", "/settings", "/test"].iter().any(|end| path.ends_with(end)) => "{}",
        ("POST", path) if path.ends_with("/onchain-configs") => {
            r#"{"label":"o","kind":"Electrum","url":"tcp://h:1"}"#
        }
        _ => r#"{"label":"x"}"#,
    }
}

fn setup_body(url: &str) -> String {
    format!(
        r#"{{"profile_label":"main","fiat_currency":"USD","gains_algorithm":"FIFO","tor_proxy":null,
            "onchain_label":"my-electrum","onchain_kind":"Electrum","onchain_url":"{url}",
            "rpc_cookie":null,"rpc_user":null,"rpc_password":null,"select_as_default":true}}"#
    )
}
