//! One user with one profile on a running daemon, and the requests that fill and read its books.
//!
//! Shared by the end-to-end tests that stress the daemon. It builds requests and reads plain answers; what is right
//! is for the tests to say.
#![allow(dead_code, reason = "each test uses its part")]

use std::net::SocketAddr;

use nacre_tests::Result;
use nacre_tests::http::{Client, Response};
use nacre_tests::wire::Request;
use serde_json::{Value, json};

/// The first line of every file that [`Profile::import`] is given.
pub const HEADER: &str =
    "type,timestamp,id,amount_sat,fee_sat,fiat_value,fiat_currency,fee_fiat,transfer_ref,note\n";

/// A profile of a user who is logged in. The login outlives restarts of the daemon.
#[derive(Debug, Clone)]
pub struct Profile {
    pub address: SocketAddr,
    pub token: String,
    pub workspace: String,
    /// The path of the profile.
    pub path: String,
    /// Ids of its connections, in order of creation.
    pub connections: Vec<String>,
}

impl Profile {
    /// Registers, logs in and makes a workspace with a profile that reads `electrum_url`.
    pub fn set_up(address: SocketAddr, electrum_url: &str) -> Result<Self> {
        let ada = json!({ "email": "ada@example.org", "password": "correct horse" });
        let post = |path: &str, token: &str, body: &Value, status| {
            Request::new("POST", path, token).json(body).expect_json(address, status)
        };
        post("/v1/auth/register", "", &ada, 201)?;
        let token = text(&post("/v1/auth/login", "", &ada, 200)?["access_token"]);
        let workspace = text(&post("/v1/workspaces", &token, &json!({ "label": "ours" }), 201)?["id"]);
        let mut profile = Self { address, token, workspace, path: String::new(), connections: Vec::new() };
        profile.path = profile.add_profile("main", electrum_url)?;
        Ok(profile)
    }

    /// Makes another profile in the workspace; its path.
    pub fn add_profile(&self, label: &str, electrum_url: &str) -> Result<String> {
        let setup = json!({
            "profile_label": label, "fiat_currency": "USD", "gains_algorithm": "FIFO", "onchain_label": label,
            "onchain_kind": "Electrum", "onchain_url": electrum_url, "select_as_default": true,
        });
        let profiles = format!("/v1/workspaces/{}/profiles", self.workspace);
        let made = Request::new("POST", format!("{profiles}/setup"), &self.token).json(&setup);
        Ok(format!("{profiles}/{}", text(&made.expect_json(self.address, 201)?["profile_id"])))
    }

    /// Adds a connection.
    pub fn connect(&mut self, label: &str, kind: &str, configuration: Value) -> Result<()> {
        let body = json!({ "label": label, "kind": kind, "configuration": configuration });
        let made = self.request("POST", "/connections").json(&body).expect_json(self.address, 201)?;
        self.connections.push(text(&made["id"]));
        Ok(())
    }

    /// A request to a path below the profile's.
    pub fn request(&self, method: &'static str, below: &str) -> Request {
        Request::new(method, format!("{}{below}", self.path), &self.token)
    }

    /// A request to any path.
    pub fn anywhere(&self, method: &'static str, path: &str) -> Request {
        Request::new(method, path, &self.token)
    }

    /// Imports `rows` below [`HEADER`] into a connection, by its place in the order of creation.
    pub fn import(&self, connection: usize, rows: &str) -> Request {
        let below = format!("/connections/{}/import", self.connections[connection]);
        self.request("POST", &below).csv(&format!("{HEADER}{rows}"))
    }

    /// What [`Self::import`] would do: rows that are new, there already, and there in another form.
    pub fn preview(&self, connection: usize, rows: &str) -> Result<[u64; 3]> {
        let below = format!("/connections/{}/import?dry_run=true", self.connections[connection]);
        let said = self.request("POST", &below).csv(&format!("{HEADER}{rows}"));
        let said = said.expect_json(self.address, 200)?;
        Ok(["new", "duplicates", "changed"].map(|field| said[field].as_u64().unwrap_or(u64::MAX)))
    }

    /// Derives the books.
    pub fn process(&self) -> Result<Value> {
        self.request("POST", "/journals/process").expect_json(self.address, 200)
    }

    /// A report as the daemon gives it by default.
    pub fn report(&self, name: &str) -> Result<Response> {
        let client = Client::new(format!("http://{}", self.address)).with_bearer(&self.token);
        client.get(&format!("{}/reports/{name}", self.path))?.expect_status(200)
    }
}

/// The text of a JSON string; empty if it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
