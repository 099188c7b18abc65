//! Accounts and tokens over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use harness::{Request, Server};
use nacre::config::Registration;

#[test]
fn register_login_me() {
    let server = Server::start();
    let body = r#"{"email":"Ada@Example.org","password":"correct horse"}"#;
    let account = server.post("/v1/auth/register", "", body);
    assert_eq!(account.status, 201, "{}", account.body);
    assert!(account.text("api_key").starts_with("cla_"));
    assert_eq!(account.json()["is_active"], true);
    server.post("/v1/auth/register", "", &body.to_lowercase()).is_problem(409, "email_taken");
    let login = server.post("/v1/auth/login", "", body);
    assert_eq!((login.text("token_type").as_str(), &login.json()["expires_in"]), ("bearer", &86_400.into()));
    let token = login.text("access_token");
    assert_eq!(server.get("/v1/auth/me", &token).json(), account.json());
    let keys = server.get("/.well-known/jwks.json", "").json();
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["crv"]), (&"OKP".into(), &"Ed25519".into()));
}

#[test]
fn bad_accounts_are_refused_by_field() {
    let server = Server::start();
    for (email, password, field) in [
        ("ada", "correct horse", "email"),
        ("ada@example.org", "short", "password"),
        ("ada@example.org", &"x".repeat(257), "password"),
    ] {
        let body = serde_json::json!({ "email": email, "password": password }).to_string();
        let problem = server.post("/v1/auth/register", "", &body).is_problem(422, "invalid_field");
        assert_eq!(problem["details"]["field"], field);
    }
}

#[test]
fn wrong_logins_look_alike_and_too_many_must_wait() {
    let server = Server::start();
    server.user("ada");
    let attempt = |email: &str| {
        server.post("/v1/auth/login", "", &format!(r#"{{"email":"{email}","password":"wrong horse"}}"#))
    };
    let known = attempt("ada@example.org").is_problem(401, "invalid_credentials");
    let unknown = attempt("nobody@example.org").is_problem(401, "invalid_credentials");
    assert_eq!(known["message"], unknown["message"]);
    for _ in 0..9 {
        attempt("ada@example.org");
    }
    let waiting = attempt("ada@example.org");
    waiting.is_problem(429, "too_many_attempts");
    assert!(waiting.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(attempt("bob@example.org").status, 401, "others are not held up");
}

#[test]
fn a_login_token_buys_an_access_token_for_one_audience() {
    let server = Server::start();
    let login = server.user("ada");
    let exchange = |subject: &str, audience: &str| {
        let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
        let body = serde_json::json!({ "grant_type": grant, "subject_token": subject, "audience": audience });
        server.post("/v1/token", "", &body.to_string())
    };
    let answer = exchange(&login, "rates");
    assert_eq!(answer.json()["expires_in"], 300);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let rates = answer.text("access_token");
    assert_eq!(server.get("/v1/rates/pairs", &rates).status, 200);
    server.get("/v1/workspaces", &rates).is_problem(401, "invalid_token");
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={login}&audience=svc"
    );
    let by_form = |body: &str| {
        let request = Request::new("POST", "/v1/token");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(body.as_bytes()).send(server.addr)
    };
    let svc = by_form(&form).text("access_token");
    assert_eq!(server.get("/v1/workspaces", &svc).status, 200);
    by_form("audience=svc").is_problem(422, "invalid_field");
    exchange(&rates, "svc").is_problem(401, "invalid_token");
    exchange(&login, "everything").is_problem(422, "invalid_field");
    let other = r#"{"grant_type":"password","audience":"svc"}"#;
    server.post("/v1/token", "", other).is_problem(422, "unsupported_grant");
}

#[test]
fn registration_can_be_closed_or_for_the_first_user_only() {
    let body = |name: &str| format!(r#"{{"email":"{name}@example.org","password":"correct horse"}}"#);
    let closed = Server::with(|config| config.registration = Registration::Closed);
    closed.post("/v1/auth/register", "", &body("ada")).is_problem(403, "registration_closed");
    let first = Server::with(|config| config.registration = Registration::FirstUserOnly);
    first.user("ada");
    first.post("/v1/auth/register", "", &body("bob")).is_problem(403, "registration_closed");
}

#[test]
fn accounts_and_tokens_survive_a_restart() {
    let server = Server::start();
    let token = server.user("ada");
    let workspace = server.workspace(&token);
    let folder = server.stop();
    let again = Server::on(folder, |_| ());
    assert_eq!(again.get(&format!("/v1/workspaces/{workspace}"), &token).status, 200);
}
