//! A small history in a profile: two buys, a sale, a payment with a fee, a receipt, and one payment that no rate values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use serde_json::Value;

use crate::harness::{Answer, Request, Server};

pub const CSV: &str = "\
id,type,timestamp,amount_btc,fee_btc,fiat_value,fiat_currency,fee_fiat,description,note,tags
buy-1,buy,2023-01-15T00:00:00Z,0.01000000,,200.00,USD,2.00,first buy,,savings
buy-2,buy,2024-01-10T00:00:00Z,0.01000000,,450.00,USD,,,,
sell-1,sell,2024-06-01T12:00:00Z,0.01500000,,1000.00,USD,5.00,,=1+1,
pay-1,pay,2025-02-01T12:00:00Z,0.00100000,0.00001000,,,,office chair,,
in-1,deposit,2025-03-01T12:00:00Z,0.00200000,,150.00,USD,,,,
pay-2,pay,2025-08-01T12:00:00Z,0.00010000,,,,,,,
";
const RATES: &str = "time,pair,rate\n2025-02-01T12:00:00Z,BTC-USD,80000.00\n";

/// A user's profile with one `Custom` connection.
pub struct Books {
    pub server: Server,
    pub token: String,
    /// Path of the profile.
    pub at: String,
    /// Id of the connection.
    pub feed: String,
}

impl Books {
    /// The history, imported and processed.
    pub fn kept() -> Self {
        let books = Self::empty(Server::start());
        books.import(CSV);
        books.process();
        books
    }

    pub fn empty(server: Server) -> Self {
        let token = server.user("ada");
        let workspace = server.workspace(&token);
        let profiles = format!("/v1/workspaces/{workspace}/profiles");
        let profile = server.post(&profiles, &token, r#"{"label":"main"}"#);
        assert_eq!(profile.status, 201, "{}", profile.body);
        let at = format!("{profiles}/{}", profile.text("id"));
        let feed = server.post(&format!("{at}/connections"), &token, r#"{"label":"Broker","kind":"custom"}"#);
        assert_eq!(feed.status, 201, "{}", feed.body);
        let feed = feed.text("id");
        let rates = Request::new("POST", "/v1/rates/import").token(&token).header("content-type", "text/csv");
        let answer = rates.body(RATES.as_bytes()).send(server.addr);
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self { server, token, at, feed }
    }

    pub fn import(&self, csv: &str) {
        let path = format!("{}/connections/{}/import", self.at, self.feed);
        let request = Request::new("POST", &path).token(&self.token).header("content-type", "text/csv");
        let answer = request.body(csv.as_bytes()).send(self.server.addr);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    pub fn process(&self) {
        let answer = self.send("POST", "/journals/process", "");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    pub fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.server.send(method, &format!("{}{path}", self.at), &self.token, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// The ids of the events a query lists.
    #[track_caller]
    pub fn events(&self, query: &str) -> Vec<String> {
        ids(&self.json(&format!("/journals/events?{query}")))
    }
}

/// The ids of the items of a page, without the connection's prefix.
#[track_caller]
pub fn ids(page: &Value) -> Vec<String> {
    let id = |item: &Value| item["id"].as_str().unwrap().trim_start_matches("c1.").to_owned();
    page["items"].as_array().unwrap().iter().map(id).collect()
}

/// The keys of an object, sorted.
#[track_caller]
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
