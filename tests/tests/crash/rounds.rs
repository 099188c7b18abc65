//! The rounds: send, kill, start again, find out what happened, compare.
//!
//! Every input goes to two daemons: to one that is killed, and, once it is known to be there, to one that never is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use nacre_engine::book::Book;
use nacre_tests::daemon::{Daemon, DaemonOptions};
use nacre_tests::process::wait_until;
use nacre_tests::wire::{InFlight, Request};
use nacre_tests::{HarnessError, Result};
use serde_json::{Value, json};

use crate::account::{Profile, text};
use crate::compare::same_books;
use crate::inputs::{File, Inputs, Rates, Said};
use crate::seed::Seed;
use crate::wallet::Wallet;

/// Longest time between the last request and the kill.
const LONGEST_WAIT: Duration = Duration::from_millis(30);
const SYNC_LIMIT: Duration = Duration::from_secs(60);
/// Place of the wallet among the connections.
const WALLET: usize = 2;

/// Something a user asks for.
enum Ask {
    Import(File),
    Rates(Rates),
    /// What is said about an event, and whether it is the note that is new.
    Say(String, Said, bool),
    Process,
    Sync,
}

/// What was done, for the last line of a run.
#[derive(Debug, Default)]
pub struct Tally {
    pub rounds: u64,
    /// Requests sent before a kill.
    pub sent: u64,
    /// Those of them that got no whole answer.
    pub cut: u64,
    /// Those without an answer whose work was done.
    pub done_unsaid: u64,
    /// Rounds in which the kill cut off a request or an operation.
    pub rounds_cut: u64,
    /// Operations that were interrupted.
    pub interrupted: u64,
    /// Kills before the daemon was ready.
    pub at_start: u64,
    pub rows: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { rounds, sent, cut, done_unsaid, rounds_cut, interrupted, at_start, rows } = self;
        write!(f, "{rounds} kills, {rounds_cut} of them amid work, {at_start} more during a start: ")?;
        write!(f, "{sent} requests sent, {cut} cut off ")?;
        write!(f, "({done_unsaid} of them done), {interrupted} operations interrupted, {rows} rows kept")
    }
}

/// A killed daemon, its control, and what must be in both.
pub struct Rounds {
    pub seed: Seed,
    pub tally: Tally,
    daemon: Daemon,
    killed: Profile,
    _control_daemon: Daemon,
    control: Profile,
    wallet: Wallet,
    inputs: Inputs,
    /// All rows that are there, by connection, and how many.
    rows: [(String, u64); 2],
    rates: u64,
    said: BTreeMap<String, Said>,
    /// Events that can be spoken about.
    events: Vec<String>,
    interrupted: BTreeSet<String>,
    /// How long the control took last for each kind of request, by [`Ask::kind`].
    usual: [Duration; 5],
    _folder: tempfile::TempDir,
}

impl Ask {
    fn kind(&self) -> usize {
        match self {
            Ask::Import(_) => 0,
            Ask::Rates(_) => 1,
            Ask::Say(..) => 2,
            Ask::Process => 3,
            Ask::Sync => 4,
        }
    }

    fn request(&self, profile: &Profile) -> Request {
        match self {
            Ask::Import(file) => profile.import(file.connection, &file.rows),
            Ask::Rates(rates) => profile.anywhere("POST", "/v1/rates/import").csv(&rates.csv),
            Ask::Say(event, said, is_note) => {
                let (what, body) = match is_note {
                    true => ("note", json!({ "note": said.note })),
                    false => ("excluded", json!({ "excluded": said.excluded })),
                };
                profile.request("PUT", &format!("/metadata/records/{event}/{what}")).json(&body)
            }
            Ask::Process => profile.request("POST", "/journals/process"),
            Ask::Sync => {
                profile.request("POST", &format!("/connections/{}/sync", profile.connections[WALLET]))
            }
        }
    }
}

impl Rounds {
    /// Starts both daemons, each with the same connections in the same order.
    pub fn begin(seed: Seed) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(HarnessError::io("make a folder"))?;
        let wallet = Wallet::start();
        let start = |name: &str| -> Result<(Daemon, Profile)> {
            let daemon =
                Daemon::start(DaemonOptions::new(folder.path().join(name)).env("NACRE_LOG", "warn"))?;
            let mut profile = Profile::set_up(daemon.address(), &wallet.url)?;
            profile.connect("exchange", "Custom", json!({}))?;
            profile.connect("node", "Custom", json!({ "holds": "lightning" }))?;
            profile.connect("wallet", "Descriptor", Wallet::configuration())?;
            Ok((daemon, profile))
        };
        let (daemon, killed) = start("killed")?;
        let (control_daemon, control) = start("control")?;
        Ok(Self {
            seed,
            tally: Tally::default(),
            daemon,
            killed,
            _control_daemon: control_daemon,
            control,
            wallet,
            inputs: Inputs::default(),
            rows: Default::default(),
            rates: 0,
            said: BTreeMap::new(),
            events: Vec::new(),
            interrupted: BTreeSet::new(),
            usual: [Duration::from_millis(10); 5],
            _folder: folder,
        })
    }

    /// One kill: requests, SIGKILL in the midst of them, start, and the truth about each.
    pub fn one(&mut self) -> Result<()> {
        self.tally.rounds += 1;
        let asks = self.asks();
        let longest = asks.iter().map(|ask| self.usual[ask.kind()]).max().unwrap_or_default();
        let wait = self.seed.up_to(longest.min(LONGEST_WAIT));
        let open = |ask: &Ask| ask.request(&self.killed).open(self.daemon.address());
        let sent = asks.iter().map(open).collect::<Result<Vec<_>>>()?;
        thread::sleep(wait);
        self.daemon.kill_hard()?;
        if self.seed.chance(15) {
            self.tally.at_start += 1;
            self.daemon.launch_again()?;
            thread::sleep(self.seed.up_to(LONGEST_WAIT));
            self.daemon.kill_hard()?;
        }
        self.daemon.start_again()?;
        let before = (self.tally.cut, self.tally.interrupted);
        for (ask, sent) in asks.into_iter().zip(sent) {
            self.settle(ask, sent)?;
        }
        self.operations_ended()?;
        self.tally.rounds_cut += u64::from(before != (self.tally.cut, self.tally.interrupted));
        self.everything_is_there()
    }

    /// One to three requests that do not depend on each other.
    fn asks(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        for _ in 0..1 + self.seed.below(3) {
            let ask = match self.seed.below(20) {
                0..9 => Ask::Import(self.inputs.file(&mut self.seed)),
                9..11 => Ask::Rates(self.inputs.rates(&mut self.seed)),
                11..14 if !self.events.is_empty() => {
                    let event = self.events[self.seed.below(self.events.len())].clone();
                    let before = self.said.get(&event).cloned().unwrap_or_default();
                    let said = self.inputs.said(&mut self.seed, &before);
                    let is_note = said.note != before.note;
                    Ask::Say(event, said, is_note)
                }
                14..17 => Ask::Sync,
                _ => Ask::Process,
            };
            if !asks.iter().any(|other: &Ask| other.kind() == ask.kind()) {
                asks.push(ask);
            }
        }
        if asks.iter().any(|ask| matches!(ask, Ask::Sync)) {
            self.wallet.go_on(&mut self.seed);
        }
        asks
    }

    /// Finds out whether a request was done, does it if not, and has the control do it too.
    fn settle(&mut self, ask: Ask, sent: InFlight) -> Result<()> {
        let answer = sent.answer();
        self.tally.sent += 1;
        self.tally.cut += u64::from(answer.is_none());
        if let Some(answer) = &answer
            && !(200..300).contains(&answer.status)
        {
            return Err(HarnessError::Failed(format!("refused with {}: {}", answer.status, answer.text())));
        }
        let acknowledged = answer.is_some();
        let done = match &ask {
            Ask::Import(file) => self.settle_import(file)?,
            Ask::Rates(rates) => self.settle_rates(rates)?,
            Ask::Say(event, said, _) => self.settle_said(event, said)?,
            Ask::Process => {
                let took_ms = answer.and_then(|answer| answer.json().ok()?["duration_ms"].as_u64());
                self.usual[ask.kind()] = took_ms.map_or(LONGEST_WAIT, |ms| Duration::from_millis(ms + 1));
                return Ok(());
            }
            Ask::Sync => return self.sync_started(answer.map(|answer| answer.json()).transpose()?),
        };
        if acknowledged && !done {
            return Err(HarnessError::Failed("an acknowledged write is gone".into()));
        }
        self.tally.done_unsaid += u64::from(done && !acknowledged);
        if !done {
            ask.request(&self.killed).send(self.killed.address)?.expect_status(200)?;
        }
        let start = Instant::now();
        ask.request(&self.control).send(self.control.address)?.expect_status(200)?;
        self.usual[ask.kind()] = start.elapsed();
        self.keep(ask);
        Ok(())
    }

    /// All rows of a file, or none.
    fn settle_import(&self, file: &File) -> Result<bool> {
        match self.killed.preview(file.connection, &file.rows)? {
            [new, 0, 0] if new == file.count => Ok(false),
            [0, there, 0] if there == file.count => Ok(true),
            torn => Err(HarnessError::Failed(format!("half an import of {} rows: {torn:?}", file.count))),
        }
    }

    fn settle_rates(&self, rates: &Rates) -> Result<bool> {
        let there = self.rates_there()?;
        if there != self.rates && there != self.rates + rates.count {
            return Err(HarnessError::Failed(format!("{there} rates, {} were acknowledged", self.rates)));
        }
        Ok(there > self.rates)
    }

    fn settle_said(&self, event: &str, said: &Said) -> Result<bool> {
        let found = self.everything_said()?.remove(event).unwrap_or_default();
        let before = self.said.get(event).cloned().unwrap_or_default();
        match found {
            found if found == *said => Ok(true),
            found if found == before => Ok(false),
            other => {
                Err(HarnessError::Failed(format!("{event}: {other:?} is neither {before:?} nor {said:?}")))
            }
        }
    }

    /// The operation that a sync started, if the kill left time for its id.
    fn sync_started(&mut self, answer: Option<Value>) -> Result<()> {
        let Some(answer) = answer else { return Ok(()) };
        let id = text(&answer["operation_id"]);
        let path = format!("/v1/operations/{id}");
        let operation = self.killed.anywhere("GET", &path).expect_json(self.killed.address, 200)?;
        match (operation["status"].as_str(), operation["error"]["code"].as_str()) {
            (Some("Succeeded"), _) | (Some("Failed"), Some("interrupted")) => Ok(()),
            _ => Err(HarnessError::Failed(format!("an operation ended as {operation}"))),
        }
    }

    /// No operation of a process that is gone counts as running.
    fn operations_ended(&mut self) -> Result<()> {
        let all = self.killed.anywhere("GET", "/v1/operations?limit=500");
        let all = all.expect_json(self.killed.address, 200)?;
        for operation in all["items"].as_array().into_iter().flatten() {
            match (operation["status"].as_str(), operation["error"]["code"].as_str()) {
                (Some("Succeeded"), _) => {}
                (Some("Failed"), Some("interrupted")) => {
                    self.interrupted.insert(text(&operation["id"]));
                }
                _ => return Err(HarnessError::Failed(format!("an operation is {operation}"))),
            }
        }
        self.tally.interrupted = self.interrupted.len() as u64;
        Ok(())
    }

    fn keep(&mut self, ask: Ask) {
        match ask {
            Ask::Import(file) => {
                let (rows, count) = &mut self.rows[file.connection];
                rows.push_str(&file.rows);
                *count += file.count;
                self.tally.rows += file.count;
                self.events.extend(file.ids.iter().map(|id| format!("c{}.{id}", file.connection + 1)));
            }
            Ask::Rates(rates) => self.rates += rates.count,
            Ask::Say(event, said, _) => {
                self.said.insert(event, said);
            }
            Ask::Process | Ask::Sync => {}
        }
    }

    /// Every acknowledged input, not only that of the last round.
    fn everything_is_there(&self) -> Result<()> {
        for (connection, (rows, count)) in self.rows.iter().enumerate() {
            let found = self.killed.preview(connection, rows)?;
            if found != [0, *count, 0] {
                let what = format!("connection {connection}: {found:?} of {count} acknowledged rows");
                return Err(HarnessError::Failed(what));
            }
        }
        let (rates, said) = (self.rates_there()?, self.everything_said()?);
        if rates != self.rates || said != self.said {
            let what = format!("{rates} of {} rates; said {said:?}, not {:?}", self.rates, self.said);
            return Err(HarnessError::Failed(what));
        }
        Ok(())
    }

    fn rates_there(&self) -> Result<u64> {
        let pages = self.pages(|cursor| {
            self.killed.anywhere("GET", &format!("/v1/rates/range?pair=BTC-USD&limit=500{cursor}"))
        })?;
        Ok(pages.len() as u64)
    }

    fn everything_said(&self) -> Result<BTreeMap<String, Said>> {
        let pages =
            self.pages(|cursor| self.killed.request("GET", &format!("/metadata/records?limit=500{cursor}")))?;
        let said = pages.into_iter().map(|item| {
            let note = item["note"].as_str().map(str::to_owned);
            (text(&item["event_id"]), Said { note, excluded: item["excluded"] == true })
        });
        Ok(said.filter(|(_, said)| *said != Said::default()).collect())
    }

    fn pages(&self, page: impl Fn(&str) -> Request) -> Result<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut answer = page(&cursor).expect_json(self.killed.address, 200)?;
            items.append(answer["items"].as_array_mut().unwrap_or(&mut Vec::new()));
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Both daemons tell the same books, and the engine finds nothing wrong in the file of the killed one.
    pub fn compare(&mut self) -> Result<()> {
        sync(&self.killed)?;
        let start = Instant::now();
        sync(&self.control)?;
        self.usual[Ask::Sync.kind()] = start.elapsed();
        same_books(&self.killed, &self.control)?;
        self.daemon.kill_hard()?;
        let profile = self.killed.path.rsplit('/').next().unwrap_or_default();
        let book = self.daemon.data_dir().join("books").join(format!("{profile}.redb"));
        let verified = Book::open(&book, 16 << 20).and_then(|book| book.verify());
        let verified = verified.map_err(|error| HarnessError::Failed(format!("verify: {error}")))?;
        if !verified.problems.is_empty() || verified.waiting || verified.records < self.tally.rows {
            return Err(HarnessError::Failed(format!("verify: {verified:?}")));
        }
        self.daemon.start_again()
    }

    /// What the killed daemon said last.
    pub fn log_end(&self) -> String {
        let output = self.daemon.output();
        let lines: Vec<_> = output.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

/// Syncs the wallet to the end.
fn sync(profile: &Profile) -> Result<()> {
    let started = Ask::Sync.request(profile).expect_json(profile.address, 202)?;
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
