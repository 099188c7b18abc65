//! Every curl command of the Clams REST API guide, as printed there, against the real binary and a real chain.
//!
//! The commands are read from `clams/commands.txt`; only ids, the server's address and the descriptor are filled in. A
//! command that is not run, or that keeps a placeholder, fails the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use nacre_tests::Result;
use nacre_tests::api::{User, items, stream_events, text, whole_sats};
use nacre_tests::bitcoind::Bitcoind;
use nacre_tests::daemon::{Daemon, DaemonOptions};
use nacre_tests::electrumx::ElectrumX;
use nacre_tests::sats::Sats;
use serde_json::{Value, json};

const COMMANDS: &str = include_str!("../clams/commands.txt");
/// 2025-06-01T00:00:00Z, inside the year for which the guide asks the capital gains.
const CHAIN_TIME_SECS: u64 = 1_748_736_000;

/// The guide's commands, what to fill in, and which have been run.
struct Guide<'a> {
    commands: BTreeMap<&'static str, &'static str>,
    ran: RefCell<BTreeSet<&'static str>>,
    filled_in: RefCell<BTreeMap<&'static str, String>>,
    daemon: &'a Daemon,
    token: String,
    folder: &'a Path,
}

impl<'a> Guide<'a> {
    fn new(daemon: &'a Daemon, user: &User, folder: &'a Path) -> Self {
        Self {
            commands: commands(),
            ran: RefCell::default(),
            filled_in: RefCell::default(),
            daemon,
            token: user.token().into(),
            folder,
        }
    }

    /// From now on `placeholder` stands for `value`.
    fn fill_in(&self, placeholder: &'static str, value: impl Into<String>) {
        self.filled_in.borrow_mut().insert(placeholder, value.into());
    }

    /// Runs the command called `name` through bash; what it printed.
    fn run(&self, name: &str) -> String {
        let (name, printed) =
            self.commands.get_key_value(name).unwrap_or_else(|| panic!("no command {name}"));
        self.ran.borrow_mut().insert(name);
        let mut command = (*printed).to_owned();
        for (placeholder, value) in self.filled_in.borrow().iter() {
            command = command.replace(placeholder, value);
        }
        for left in ["_id}", "your-electrum-server", "xpub..."] {
            assert!(!command.contains(left), "{name} still has a placeholder: {command}");
        }
        let output = Command::new("bash")
            .args(["-c", &command])
            .current_dir(self.folder)
            .env("TOKEN", &self.token)
            .env("CLAMS_BASE_URL", self.daemon.url())
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, with a JSON answer that is no error.
    fn run_json(&self, name: &str) -> Value {
        let said = self.run(name);
        let answer: Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{name}: {error}: {said}"));
        assert!(answer["code"].is_null() || answer["request_id"].is_null(), "{name} was refused: {answer}");
        answer
    }

    /// The same, and `field` of the answer becomes the value of `placeholder`.
    fn run_for_id(&self, name: &str, field: &str, placeholder: &'static str) -> Value {
        let answer = self.run_json(name);
        self.fill_in(placeholder, text(&answer, field).unwrap());
        answer
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    fn assert_all_ran(&self) {
        let all: BTreeSet<_> = self.commands.keys().copied().collect();
        let left: Vec<_> = all.difference(&self.ran.borrow()).copied().collect();
        assert!(left.is_empty(), "commands of the guide that were not run: {left:?}");
    }
}

/// Name and text of each command of the file.
fn commands() -> BTreeMap<&'static str, &'static str> {
    let blocks = COMMANDS.split("\n== ").skip(1);
    let commands: Vec<_> = blocks.map(|block| block.split_once('\n').unwrap()).collect();
    let curls = COMMANDS.lines().filter(|line| line.starts_with("curl ")).count();
    let named: BTreeMap<_, _> = commands.iter().map(|(name, text)| (*name, text.trim())).collect();
    assert_eq!((commands.len(), named.len()), (curls, curls), "each command has a name of its own");
    assert!(named.values().all(|text| text.starts_with("curl ")));
    named
}

#[test]
fn every_command_of_the_clams_guide_does_what_the_guide_says() -> Result<()> {
    let node = Bitcoind::start()?;
    node.rpc().call::<Value>("setmocktime", json!([CHAIN_TIME_SECS]))?;
    let miner = node.create_wallet("miner")?;
    let mining_address = miner.new_address()?;
    node.mine(101, &mining_address)?;
    let wallet = node.create_wallet("my-wallet")?;
    let received = [miner.send(&wallet.new_address()?, Sats(100_000_000))?, {
        node.mine(1, &mining_address)?;
        miner.send(&wallet.new_address()?, Sats(2_000_000))?
    }];
    node.mine(1, &mining_address)?;
    // All of it goes, so that no change leaves for addresses the guide's one descriptor does not cover.
    let spent = wallet.send_all(&mining_address)?;
    node.mine(1, &mining_address)?;
    let kept = miner.send(&wallet.new_address()?, Sats(40_000_000))?;
    node.mine(1, &mining_address)?;
    let electrum = ElectrumX::start(&node)?;

    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")))?;
    let user = User::register(&daemon, "reader")?;
    user.import_half_yearly_rates()?;
    let guide = Guide::new(&daemon, &user, folder.path());
    guide.fill_in("tcp://your-electrum-server:50001", electrum.url());
    guide.fill_in("wpkh([fingerprint/84h/0h/0h]xpub.../0/*)", wallet.segwit_descriptors()?.0);

    set_up(&guide, &user)?;
    connect_and_sync(&guide)?;
    process_and_annotate(&guide, &[&received[0], &received[1], &spent, &kept], &kept)?;
    report(&guide, &spent)?;
    guide.assert_all_ran();
    Ok(())
}

fn set_up(guide: &Guide<'_>, user: &User) -> Result<()> {
    let workspace = guide.run_for_id("create-workspace", "id", "{workspace_id}");
    assert_eq!(workspace["label"], "my-workspace");
    let setup = guide.run_for_id("set-up-profile", "profile_id", "{profile_id}");
    assert_eq!(
        (&setup["profile"]["label"], &setup["settings"]["fiat_currency"]),
        (&json!("main"), &json!("USD"))
    );
    assert_eq!(setup["settings"]["gains_algorithm"], "FIFO");
    assert_eq!(setup["onchain_config"]["kind"], "Electrum");
    // The guide has no rates of its own; ours are half a year apart.
    user.known_profile(&text(&workspace, "id")?, &text(&setup, "profile_id")?).take_old_rates()
}

fn connect_and_sync(guide: &Guide<'_>) -> Result<()> {
    let made = guide.run_for_id("connect-descriptor", "id", "{connection_id}");
    assert_eq!((&made["label"], &made["kind"]), (&json!("my-wallet"), &json!("Descriptor")));
    let changed = guide.run_json("change-configuration");
    assert_eq!((&changed["id"], &changed["configuration"]), (&made["id"], &made["configuration"]));
    let listed = guide.run_json("list-connections");
    let ids: Vec<_> = items(&listed["items"])?.iter().map(|item| item["id"].clone()).collect();
    assert_eq!((ids, &listed["next_cursor"]), (vec![made["id"].clone()], &Value::Null));
    let kinds = guide.run_json("list-kinds");
    let kinds = items(if kinds.is_array() { &kinds } else { &kinds["items"] })?.clone();
    assert!(kinds.iter().any(|kind| kind["kind"] == "Descriptor"), "{kinds:?}");

    guide.run_for_id("sync-all", "operation_id", "{operation_id}");
    let stream = guide.run("progress-stream");
    let events = stream_events(&stream)?;
    let last = events.last().unwrap();
    assert_eq!((&last["phase"], &last["level"]), (&json!("Succeeded"), &json!("Info")), "{stream}");
    for event in &events {
        let fields: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["level", "message", "operation_id", "phase", "progress"]);
        assert!(event["progress"]["current"].is_u64() && event["progress"]["total"].is_u64(), "{event}");
    }
    let operation = guide.run_json("operation-status");
    assert_eq!((&operation["status"], &operation["result"]["failures"]), (&json!("Succeeded"), &json!([])));
    Ok(())
}

fn process_and_annotate(guide: &Guide<'_>, txids: &[&String], chosen: &str) -> Result<()> {
    let outcome = guide.run_json("process-journals");
    let counted = (&outcome["events_total"], &outcome["quarantined"], &outcome["non_final"]);
    assert_eq!(counted, (&json!(4), &json!(0), &json!(false)), "{outcome}");
    let events = guide.run_json("list-events");
    let ids: BTreeSet<_> = items(&events["items"])?.iter().map(|event| text(event, "id").unwrap()).collect();
    assert_eq!(ids, txids.iter().map(|txid| (*txid).clone()).collect());

    guide.fill_in("{event_id}", chosen);
    let noted = guide.run_json("add-note");
    assert_eq!((&noted["event_id"], &noted["note"]), (&json!(chosen), &json!("Office hardware purchase")));
    let tag = guide.run_json("create-tag");
    assert_eq!((&tag["code"], &tag["label"]), (&json!("business-expense"), &json!("Business Expense")));

    let before = guide.run_json("balance-sheet");
    assert_eq!((&before["non_final"], held(&before)?), (&json!(false), Sats(40_000_000)));
    assert_eq!(guide.run_json("exclude-event")["excluded"], true);
    assert_eq!(
        guide.run_json("balance-sheet")["non_final"],
        true,
        "the exclusion waits for the next process"
    );
    guide.run_json("process-journals");
    Ok(())
}

fn report(guide: &Guide<'_>, spent: &str) -> Result<()> {
    let sheet = guide.run_json("balance-sheet");
    assert_eq!(
        (&sheet["non_final"], held(&sheet)?),
        (&json!(false), Sats(0)),
        "the last receipt is excluded"
    );
    let summary = guide.run_json("portfolio-summary");
    let gains = &summary["btc_capital_gains"];
    assert_eq!((&gains["sale_count"], &gains["algorithm"]), (&json!(1), &json!("FIFO")), "{summary}");
    assert_eq!(whole_sats(&gains["total_quantity_sold"])?, Sats(102_000_000), "{summary}");
    assert_eq!(whole_sats(&summary["btc_balance"])?, Sats(0));

    assert_eq!(guide.run("capital-gains-csv"), "");
    let gains = guide.file("capital-gains-2025.csv");
    let header = "event_id,disposed_at,kind,connection,quantity_btc,acquired_at,acquired_event_id,lot_id,term,\
                  gross_proceeds,fee,net_proceeds,cost_basis,realized_gain,currency,algorithm,note,tags";
    let mut lines = gains.lines();
    assert_eq!(lines.next(), Some(header));
    let rows: Vec<_> = lines.collect();
    assert_eq!(rows.len(), 2, "one row per lot of the sale: {gains}");
    assert!(rows.iter().all(|row| row.starts_with(&format!("{spent},2025-06-"))), "{gains}");

    assert_eq!(guide.run("journal-entries-csv"), "");
    let journal = guide.file("journal-entries.csv");
    let header =
        "event_id,timestamp,event_kind,connection,account,asset,debit,credit,fiat_value,currency,note,tags";
    assert_eq!(journal.lines().next(), Some(header));
    assert!(journal.contains(&format!("\n{spent},2025-06-")), "{journal}");
    Ok(())
}

/// Bitcoin of the one connection.
fn held(sheet: &Value) -> Result<Sats> {
    let balances = items(&sheet["connection_balances"][0]["balances"])?;
    let btc = balances.iter().find(|balance| balance["asset_code"] == "BTC");
    btc.map_or(Ok(Sats(0)), |balance| whole_sats(&balance["net"]))
}
