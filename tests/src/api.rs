//! The product's API as the chain tests use it: a user, a profile, one sync, one report.
//!
//! Every call goes through curl to the real binary and insists on the documented status; what the answers mean is the
//! test's business. The only file of the harness that names routes. Waits end with an error.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::daemon::Daemon;
use crate::error::{HarnessError, Result};
use crate::http::{Client, Response};
use crate::process::wait_until;
use crate::sats::Sats;
use crate::wallet::Wallet;

/// Longest wait for an operation; a sync of a test chain takes well under a second.
const OPERATION_LIMIT: Duration = Duration::from_secs(60);
/// Oldest rate a test profile takes, in hours: a year, so that [`User::import_half_yearly_rates`] covers any clock.
const RATE_MAX_AGE_HOURS: u32 = 24 * 366;

/// A registered user who is logged in.
#[derive(Debug, Clone)]
pub struct User {
    client: Client,
    token: String,
}

/// One set of books.
#[derive(Debug, Clone)]
pub struct Profile {
    client: Client,
    workspace_id: String,
    id: String,
}

impl User {
    /// Registers `name` and logs in.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn register(daemon: &Daemon, name: &str) -> Result<Self> {
        let client = daemon.client();
        let body = json!({ "email": format!("{name}@example.org"), "password": "correct horse battery" });
        client.post("/v1/auth/register", &body)?.expect_status(201)?;
        let login = client.post("/v1/auth/login", &body)?.expect_status(200)?.json()?;
        let token = text(&login, "access_token")?;
        Ok(Self { client: client.with_bearer(&token), token })
    }

    /// Requests with this user's token.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The login token, good for every part of the server.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Makes a workspace; its id.
    ///
    /// # Errors
    /// When it is refused.
    pub fn workspace(&self, label: &str) -> Result<String> {
        let made = self.client.post("/v1/workspaces", &json!({ "label": label }))?.expect_status(201)?;
        text(&made.json()?, "id")
    }

    /// Makes a profile that reads `electrum_url` and takes rates up to a year old.
    ///
    /// # Errors
    /// When it is refused.
    pub fn profile(&self, workspace_id: &str, label: &str, electrum_url: &str) -> Result<Profile> {
        let body = json!({
            "profile_label": label, "fiat_currency": "USD", "gains_algorithm": "FIFO", "tor_proxy": null,
            "onchain_label": "electrum", "onchain_kind": "Electrum", "onchain_url": electrum_url,
            "rpc_cookie": null, "rpc_user": null, "rpc_password": null, "select_as_default": true
        });
        let path = format!("/v1/workspaces/{workspace_id}/profiles/setup");
        let made = self.client.post(&path, &body)?.expect_status(201)?.json()?;
        let profile = self.known_profile(workspace_id, &text(&made, "profile_id")?);
        profile.take_old_rates()?;
        Ok(profile)
    }

    /// A profile that exists.
    pub fn known_profile(&self, workspace_id: &str, id: &str) -> Profile {
        Profile { client: self.client.clone(), workspace_id: workspace_id.into(), id: id.into() }
    }

    /// Imports a BTC-USD rate for each half-year from 2024 to 2060, rising by 1000 each time.
    ///
    /// # Errors
    /// When the import is refused.
    pub fn import_half_yearly_rates(&self) -> Result<()> {
        let mut csv = String::from("time,pair,rate\n");
        for (no, day) in (2024..2060).flat_map(|year| [(year, "01-01"), (year, "07-01")]).enumerate() {
            csv.push_str(&format!("{}-{}T00:00:00Z,BTC-USD,{}.00\n", day.0, day.1, 50_000 + no * 1000));
        }
        let headers = [("content-type", "text/csv")];
        let answer = self.client.request("POST", "/v1/rates/import", &headers, Some(csv.as_bytes()))?;
        answer.expect_status(200).map(drop)
    }
}

impl Profile {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path of `below`, which begins with `/` or is empty.
    pub fn path(&self, below: &str) -> String {
        format!("/v1/workspaces/{}/profiles/{}{below}", self.workspace_id, self.id)
    }

    /// GET below the profile, 200 expected; the JSON.
    ///
    /// # Errors
    /// On any other status.
    pub fn get(&self, below: &str) -> Result<Value> {
        self.client.get(&self.path(below))?.expect_status(200)?.json()
    }

    /// Sets how old a rate may be to a year.
    ///
    /// # Errors
    /// When it is refused.
    pub fn take_old_rates(&self) -> Result<()> {
        let body = json!({ "rate_max_age_hours": RATE_MAX_AGE_HOURS });
        self.client.send_json("PUT", &self.path("/settings"), &body)?.expect_status(200).map(drop)
    }

    /// Asks for a connection to the wallet's public receive and change descriptors; the answer, whatever it is.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn try_connect(&self, wallet: &Wallet, network: &str) -> Result<Response> {
        let (receive, change) = wallet.segwit_descriptors()?;
        let configuration = json!({ "descriptor": receive, "change_descriptor": change, "network": network });
        let body = json!({ "label": wallet.name(), "kind": "Descriptor", "configuration": configuration });
        self.client.post(&self.path("/connections"), &body)
    }

    /// Connects the wallet on regtest; the connection's id.
    ///
    /// # Errors
    /// When it is refused.
    pub fn connect(&self, wallet: &Wallet) -> Result<String> {
        text(&self.try_connect(wallet, "regtest")?.expect_status(201)?.json()?, "id")
    }

    /// Starts a sync of all connections; the operation's id.
    ///
    /// # Errors
    /// When it is refused.
    pub fn start_sync(&self, force_full_sync: bool) -> Result<String> {
        let body = json!({ "force_full_sync": force_full_sync });
        let started = self.client.post(&self.path("/connections/sync"), &body)?.expect_status(202)?;
        text(&started.json()?, "operation_id")
    }

    /// Waits until the operation has ended; the operation.
    ///
    /// # Errors
    /// When it has not within a minute.
    pub fn wait_ended(&self, operation_id: &str) -> Result<Value> {
        let path = format!("/v1/operations/{operation_id}");
        wait_until(&format!("operation {operation_id} to end"), OPERATION_LIMIT, || {
            let operation = self.client.get(&path)?.expect_status(200)?.json()?;
            Ok((!operation["finished_at"].is_null()).then_some(operation))
        })
    }

    /// Every event of the operation's progress stream; returns when the server ends it.
    ///
    /// # Errors
    /// When the stream does not end or an event is no JSON.
    pub fn stream(&self, operation_id: &str) -> Result<Vec<Value>> {
        let path = format!("/v1/notifications/stream?operation_id={operation_id}");
        let answer = self.client.with_limit(OPERATION_LIMIT).get(&path)?.expect_status(200)?;
        stream_events(&answer.text())
    }

    /// Syncs all connections and waits for the end; the operation.
    ///
    /// # Errors
    /// When it does not end, or the stream tells another end than the operation.
    pub fn sync(&self, force_full_sync: bool) -> Result<Value> {
        let id = self.start_sync(force_full_sync)?;
        let events = self.stream(&id)?;
        let operation = self.wait_ended(&id)?;
        match events.last() {
            Some(last) if last["phase"] == operation["status"] && last["operation_id"] == id.as_str() => {
                Ok(operation)
            }
            last => Err(HarnessError::Failed(format!("{operation} ended, but the stream with {last:?}"))),
        }
    }

    /// Processes the journals; the outcome.
    ///
    /// # Errors
    /// When it is refused.
    pub fn process(&self) -> Result<Value> {
        self.client.request("POST", &self.path("/journals/process"), &[], None)?.expect_status(200)?.json()
    }

    /// The bitcoin the balance sheet shows for a connection.
    ///
    /// # Errors
    /// When the connection is not in it or its balance is no whole number of satoshis.
    pub fn balance(&self, connection_id: &str) -> Result<Sats> {
        let sheet = self.get("/reports/balance-sheet")?;
        let mine =
            items(&sheet["connection_balances"])?.iter().find(|it| it["connection_id"] == connection_id);
        let mine = mine.ok_or_else(|| HarnessError::Failed(format!("no {connection_id} in {sheet}")))?;
        let btc = items(&mine["balances"])?.iter().find(|balance| balance["asset_code"] == "BTC");
        btc.map_or(Ok(Sats(0)), |balance| whole_sats(&balance["net"]))
    }

    /// Everything the reports, the journal and the quarantine say, without the marks of the moment they were asked.
    ///
    /// # Errors
    /// When one of them is refused.
    pub fn all_said(&self) -> Result<String> {
        let mut said = String::new();
        for report in ["balance-sheet", "portfolio-summary", "capital-gains?format=json"] {
            let mut report = self.get(&format!("/reports/{report}"))?;
            for moment in ["snapshot_timestamp", "book_version"] {
                report.as_object_mut().and_then(|fields: &mut Map<_, _>| fields.remove(moment));
            }
            said.push_str(&format!("{report}\n"));
        }
        let csv = self.client.get(&self.path("/reports/journal-entries"))?.expect_status(200)?;
        said.push_str(&csv.text());
        for list in ["events?limit=500", "quarantine?limit=500", "pending?limit=500"] {
            said.push_str(&format!("{}\n", self.get(&format!("/journals/{list}"))?));
        }
        Ok(said)
    }

    /// The number of writes the book has seen.
    ///
    /// # Errors
    /// When the balance sheet is refused.
    pub fn book_version(&self) -> Result<u64> {
        let sheet = self.get("/reports/balance-sheet")?;
        sheet["book_version"]
            .as_u64()
            .ok_or_else(|| HarnessError::Failed(format!("no book_version in {sheet}")))
    }
}

/// The JSON of each `data:` line of an event stream.
///
/// # Errors
/// When one is no JSON.
pub fn stream_events(text: &str) -> Result<Vec<Value>> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|json| serde_json::from_str(json).map_err(HarnessError::json("decode an event", json))).collect()
}

/// The text in `field`.
///
/// # Errors
/// When there is none.
pub fn text(body: &Value, field: &str) -> Result<String> {
    let found = body[field].as_str().map(str::to_owned);
    found.ok_or_else(|| HarnessError::Failed(format!("no text in `{field}` of {body}")))
}

/// The elements of a list.
///
/// # Errors
/// When it is none.
pub fn items(list: &Value) -> Result<&Vec<Value>> {
    list.as_array().ok_or_else(|| HarnessError::Failed(format!("{list} is no list")))
}

/// Decimal satoshis (`"150000.000"`) as a whole number.
///
/// # Errors
/// When it is no text of a whole number of satoshis.
pub fn whole_sats(value: &Value) -> Result<Sats> {
    let split = value.as_str().map(|text| text.split_once('.').unwrap_or((text, "")));
    let whole = split.filter(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'));
    let sats = whole.and_then(|(whole, _)| whole.parse().ok());
    sats.map(Sats).ok_or_else(|| HarnessError::Failed(format!("{value} is no whole number of satoshis")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn satoshis_are_whole_or_refused() {
        assert_eq!(whole_sats(&json!("-150000.000")).unwrap(), Sats(-150_000));
        assert_eq!(whole_sats(&json!("7")).unwrap(), Sats(7));
        for bad in [json!("1.001"), json!(1), json!(""), json!("1.0x")] {
            assert!(whole_sats(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_are_the_data_lines() {
        let text = "id: 1\ndata: {\"a\":1}\n\n:heartbeat\n\nid: 2\ndata: {\"a\":2}\n\n";
        assert_eq!(stream_events(text).unwrap(), [json!({"a": 1}), json!({"a": 2})]);
        assert!(stream_events("data: x\n").is_err());
    }
}
