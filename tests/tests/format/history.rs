//! The history of the fixture: every kind of record, a wallet on a chain, rates, remarks, every kind of method,
//! policies of later days, and sealed periods.

use std::net::SocketAddr;
use std::time::Duration;

use nacre_tests::process::wait_until;
use nacre_tests::wire::Request;
use nacre_tests::{HarnessError, Result};
use serde_json::{Value, json};

use crate::account::{Profile, text};
use crate::seed::Seed;
use crate::wallet::Wallet;

const SYNC_LIMIT: Duration = Duration::from_secs(60);
/// Every column of the plain format that carries an amount or an identity.
const HEADER: &str = "type,timestamp,id,amount_sat,fee_sat,fiat_value,fiat_currency,fee_fiat,from_asset,from_amount,\
    to_asset,to_amount,payment_hash,transfer_ref,cost_basis,acquired_at,lots,note,tags\n";
const ROWS: &str = "\
buy,2023-01-02T00:00:00Z,buy-1,1000000,,200.00,USD,1.50,,,,,,,,,,first,dca
buy,2023-02-02T00:00:00Z,buy-2,2000000,,450.00,EUR,,,,,,,,,,,,
opening_balance,2023-01-01T00:00:00Z,open-1,500000,,,,,,,,,,,40.00,2019-05-01T00:00:00Z,,,
gift_in,2023-02-10T00:00:00Z,gift-1,300000,,,,,,,,,,,25.00,2021-01-01T00:00:00Z,,,
invoice,2023-03-01T00:00:00Z,inv-1,50000,,12.00,USD,,,,,,,,,,,,shop;salary
pay,2023-03-02T00:00:00Z,pay-1,20000,10,5.00,USD,,,,,,,,,,,coffee,
forward,2023-03-03T00:00:00Z,fwd-1,12,,,,,,,,,,,,,,,
income,2023-03-04T00:00:00Z,inc-1,70000,,,,,,,,,,,,,,,
interest,2023-03-05T00:00:00Z,int-1,900,,,,,,,,,,,,,,,
trade,2023-03-06T00:00:00Z,trade-1,,,,EUR,0.30,EUR,110.00,BTC,0.005,,,,,,,
trade,2023-03-07T00:00:00Z,trade-2,,,,,,BTC,0.002,USD,50.00,,,,,,,
trade,2023-03-08T00:00:00Z,trade-3,,,,,,USD,11.00,EUR,10.00,,,,,,,
trade,2023-03-09T00:00:00Z,trade-4,,,,,,DOGE,5,BTC,0.001,,,,,,,
sell,2023-04-01T00:00:00Z,sell-1,400000,,120.00,USD,0.80,,,,,,,,,,,
sell,2023-04-02T00:00:00Z,sell-2,100000,,30.00,USD,,,,,,,,,,c1.buy-2:0.001,named,
gift_out,2023-04-03T00:00:00Z,gift-2,50000,,,,,,,,,,,,,,,
fee,2023-04-04T00:00:00Z,fee-1,700,,,,,,,,,,,,,,,
withdrawal,2023-04-05T00:00:00Z,out-1,250000,500,,,,,,,,,move 1,,,,,
deposit,2023-04-05T00:00:00Z,in-1,250000,,,,,,,,,,move 1,,,,,
pay,2023-04-06T00:00:00Z,hop-1,1000,2,,,,,,,,abababababababababababababababababababababababababababababababab,,,,,,
invoice,2023-04-06T00:00:00Z,hop-2,1000,,,,,,,,,abababababababababababababababababababababababababababababababab,,,,,,
sell,2023-05-01T00:00:00Z,sell-3,900000000,,1.00,USD,,,,,,,,,,,more than there is,
sell,2024-06-01T00:00:00Z,sell-4,600000,,400.00,USD,2.00,,,,,,,,,,,
withdrawal,2024-06-02T00:00:00Z,out-2,10000,,,,,,,,,,,,,,,
sell,2024-07-01T00:00:00Z,sell-5,1000,,0.70,USD,,,,,,,,,,,,
income,2023-08-15T00:00:00Z,inc-2,5000,,,,,,,,,,,,,,no rate,
";

/// A gift with two bases, sold below both and between them.
const GIFT: &str =
    "type,timestamp,id,amount_sat,fiat_value,fiat_currency,cost_basis,fmv_at_gift,acquired_at,lots\n\
gift_in,2023-02-11T00:00:00Z,gift-3,400000,,,200.00,80.00,2020-02-01T00:00:00Z,
sell,2023-04-07T00:00:00Z,sell-6,200000,30.00,USD,,,,c1.gift-3:0.002
sell,2023-04-08T00:00:00Z,sell-7,200000,60.00,USD,,,,c1.gift-3:0.002
";
/// Arrives when 2023 is sealed; held for longer than all else, it changes what FIFO sold then.
const LATE: &str = "type,timestamp,id,amount_sat,cost_basis,acquired_at\n\
opening_balance,2023-01-01T12:00:00Z,late-1,300000,66.00,2018-06-01T00:00:00Z
";
/// Profiles whose year 2023 is sealed, and what becomes of the restatement.
const SEALED: [(&str, &str); 2] = [("one pool", "hold"), ("policies", "accept")];
const PROFILES: usize = 7;

/// Settings of each profile, by its label; `wallet` is the id of its second connection.
fn settings(wallet: &str) -> [(&'static str, Value); PROFILES] {
    let policies = json!([
        { "effective_from": "2023-04-02", "gains_algorithm": "LIFO" },
        { "effective_from": "2024-01-01", "gains_algorithm": "HIFO", "lot_scope": "connection", "allocation": [
            { "lot_id": "c1.buy-2#0", "connection_id": wallet, "quantity_sat": "300000.000" } ] },
        { "effective_from": "2024-06-15", "lot_scope": "universal" },
    ]);
    [
        ("one pool", json!({ "gains_algorithm": "FIFO" })),
        (
            "by connection",
            json!({ "gains_algorithm": "LIFO", "lot_scope": "connection", "timezone": "Europe/Berlin" }),
        ),
        ("carried fees", json!({ "gains_algorithm": "FIFO", "transfer_fee_treatment": "carry_basis" })),
        ("highest cost", json!({ "gains_algorithm": "HIFO" })),
        ("average cost", json!({ "gains_algorithm": "AVG_COST" })),
        ("share rules", json!({ "gains_algorithm": "UK_S104", "timezone": "Europe/London" })),
        ("policies", json!({ "gains_algorithm": "FIFO", "policies": policies })),
    ]
}

/// Makes the user, the profiles and their books.
pub fn make(address: SocketAddr) -> Result<()> {
    let mut wallet = Wallet::start();
    let mut seed = Seed::from_environment();
    (0..6).for_each(|_| wallet.go_on(&mut seed));
    let first = Profile::set_up(address, &wallet.url)?;
    import_rates(&first)?;
    first.process()?;
    for (at, (label, _)) in settings("").into_iter().enumerate() {
        let path = first.add_profile(label, &wallet.url)?;
        let mut profile = Profile { path, connections: Vec::new(), ..first.clone() };
        profile.connect("exchange", "Custom", json!({}))?;
        profile.connect("wallet", "Descriptor", Wallet::configuration())?;
        let (_, settings) = &settings(&profile.connections[1])[at];
        profile.request("PUT", "/settings").json(settings).expect_json(address, 200)?;
        for csv in [&format!("{HEADER}{ROWS}"), GIFT] {
            import(&profile, csv)?;
        }
        profile
            .request("POST", "/metadata/tags")
            .json(&json!({ "code": "gift", "label": "A gift" }))
            .expect_json(address, 201)?;
        for (event, what, body) in [
            ("c1.buy-1", "note", json!({ "note": "=not a formula" })),
            ("c1.sell-5", "excluded", json!({ "excluded": true })),
        ] {
            let path = format!("/metadata/records/{event}/{what}");
            profile.request("PUT", &path).json(&body).expect_json(address, 200)?;
        }
        sync(&profile)?;
        profile.process()?;
        if let Some((_, action)) = SEALED.iter().find(|(sealed, _)| *sealed == label) {
            seal(&profile, action)?;
        }
    }
    Ok(())
}

fn import(profile: &Profile, csv: &str) -> Result<()> {
    let below = format!("/connections/{}/import", profile.connections[0]);
    profile.request("POST", &below).csv(csv).expect_json(profile.address, 200).map(drop)
}

/// Seals 2023, restates it, and does `action` with the restatement.
fn seal(profile: &Profile, action: &str) -> Result<()> {
    let year =
        json!({ "label": "2023", "start": "2023-01-01", "end": "2023-12-31", "allow_non_final": true });
    let made = profile.request("POST", "/seals").json(&year).expect_json(profile.address, 201)?;
    import(profile, LATE)?;
    profile.process()?;
    let below = format!("/seals/{}/{action}", text(&made["id"]));
    let (body, status) = match action {
        "hold" => (json!({ "note": "asked the accountant" }), 200),
        _ => (json!({ "allow_non_final": true }), 201),
    };
    profile.request("POST", &below).json(&body).expect_json(profile.address, status).map(drop)
}

/// What was filed of each seal of a profile.
pub fn filed(profile: &Profile) -> Result<String> {
    let seals = profile.request("GET", "/seals").expect_json(profile.address, 200)?;
    let mut all = String::new();
    for seal in seals["items"].as_array().into_iter().flatten() {
        let below = format!("/seals/{}/report", text(&seal["id"]));
        let report = profile.request("GET", &below).send(profile.address)?.expect_status(200)?.text();
        all += &format!(
            "{} {} {}\n{report}",
            text(&seal["label"]),
            text(&seal["state"]),
            text(&seal["report_sha256"])
        );
    }
    Ok(all)
}

/// A price every day of the history but for one month.
fn import_rates(profile: &Profile) -> Result<()> {
    let mut csv = "time,pair,rate\n".to_owned();
    for year in [2020, 2023, 2024] {
        for month in (1..=12).filter(|month| *month != 8) {
            for day in 1..=28 {
                for (pair, base) in [("BTC-USD", 20_000), ("BTC-EUR", 18_000)] {
                    csv += &format!(
                        "{year}-{month:02}-{day:02}T00:00:00Z,{pair},{}.5\n",
                        base + month * 100 + day
                    );
                }
            }
        }
    }
    profile.anywhere("POST", "/v1/rates/import").csv(&csv).expect_json(profile.address, 200)?;
    Ok(())
}

fn sync(profile: &Profile) -> Result<()> {
    let start = format!("/connections/{}/sync", profile.connections[1]);
    let started = profile.request("POST", &start).expect_json(profile.address, 202)?;
    let path = format!("/v1/operations/{}", text(&started["operation_id"]));
    wait_until("a sync to end", SYNC_LIMIT, || {
        let operation = profile.anywhere("GET", &path).expect_json(profile.address, 200)?;
        match operation["status"].as_str() {
            Some("Queued" | "Running") => Ok(None),
            Some("Succeeded") => Ok(Some(())),
            _ => Err(HarnessError::Failed(format!("a sync ended as {operation}"))),
        }
    })
}

/// The profiles that [`make`] made, logged in anew.
pub fn profiles(address: SocketAddr) -> Result<Vec<(String, Profile)>> {
    let ada = json!({ "email": "ada@example.org", "password": "correct horse" });
    let answer = Request::new("POST", "/v1/auth/login", "").json(&ada).expect_json(address, 200)?;
    let token = text(&answer["access_token"]);
    let get = |path: &str| Request::new("GET", path, &token).expect_json(address, 200);
    let workspace = text(&get("/v1/workspaces")?["items"][0]["id"]);
    let base = format!("/v1/workspaces/{workspace}/profiles");
    let mut found = Vec::new();
    for item in get(&base)?["items"].as_array().into_iter().flatten() {
        let path = format!("{base}/{}", text(&item["id"]));
        let (token, workspace) = (token.clone(), workspace.clone());
        found.push((
            text(&item["label"]),
            Profile { address, token, workspace, path, connections: Vec::new() },
        ));
    }
    assert_eq!(found.len(), PROFILES + 1, "profiles are missing");
    Ok(found)
}
