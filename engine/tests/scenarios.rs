//! Scenarios a bookkeeper can read: each file in `scenarios/` is a story with its expected books.
//!
//! A file is a list of sections. `== connection NAME RAIL`, `== policy KEY=VALUE…`, `== rates`, `== import NAME` and
//! `== exclude EVENT` change the facts; `== gains`, `== lots`, `== quarantine` and `== entries` process the books and
//! say what they must then show, column by column; `== refuses FIELD policy KEY=VALUE…` changes nothing, as FIELD stands in the way.
//! A policy with `from=DAY` holds from that day; its lines allocate lots. Lines with `#` are words.
//! The naive books tell every story too. Refuses: a section it
//! does not know.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[allow(dead_code)]
mod model;
mod story;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use nacre_engine::Error;
use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::id::EventId;
use nacre_engine::model::{
    Allocation, AnnotationEdit, FeeTreatment, LotScope, Method, Policy, Rail, Settings,
};
use nacre_engine::money::{Msats, Rate};
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;
use rust_decimal::Decimal;
use story::Telling;

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap()
}

struct Story {
    book: Book,
}

impl Story {
    /// Carries out one section; the answer is what an expectation found.
    fn section(&self, title: &str, body: &str) -> Option<String> {
        let words: Vec<&str> = title.split_whitespace().collect();
        match words.as_slice() {
            ["connection", name, rail] => self.connection(name, rail),
            ["policy", pairs @ ..] => {
                self.book.set_settings(now(), &self.changed(pairs, body)).unwrap();
            }
            ["refuses", wanted, "policy", pairs @ ..] => {
                match self.book.set_settings(now(), &self.changed(pairs, body)) {
                    Err(Error::Invalid { field, .. }) => assert_eq!(field, *wanted, "{title}"),
                    other => panic!("== {title} went {other:?}"),
                }
            }
            ["rates"] => self.rates(body),
            ["import", name] => self.import(name, body),
            ["exclude", event] => {
                let id = EventId::from_text(*event);
                self.book.annotate(now(), &id, &[AnnotationEdit::Excluded(true)]).unwrap();
            }
            ["gains" | "lots" | "quarantine" | "entries"] => return Some(self.show(words[0])),
            _ => panic!("== {title} is not a section"),
        }
        None
    }

    fn connection(&self, name: &str, rail: &str) {
        let rail = match rail {
            "managed" => Rail::Managed,
            "lightning" => Rail::Lightning,
            "on-chain" => Rail::OnChain,
            other => panic!("{other} is not a rail"),
        };
        let (id, label) = (name.to_owned(), name.to_owned());
        let new = NewConnection { id, label, kind: "Custom".into(), rail, config: "{}".into() };
        self.book.add_connection(now(), new).unwrap();
    }

    /// The settings after a change. With `from=` it is one of a later day, which otherwise goes on as the one before.
    fn changed(&self, pairs: &[&str], body: &str) -> Settings {
        let mut settings = self.book.snapshot().unwrap().settings().unwrap();
        let (mut from, mut method, mut scope) = (None, None, None);
        for pair in pairs {
            match pair.split_once('=').unwrap() {
                ("from", day) => from = Some(day.parse().unwrap()),
                ("method", word) => method = Method::named(word),
                ("scope", "universal") => scope = Some(LotScope::Universal),
                ("scope", "connection") => scope = Some(LotScope::Connection),
                ("transfer_fee", "dispose") => settings.fee_treatment = FeeTreatment::Dispose,
                ("transfer_fee", "carry_basis") => settings.fee_treatment = FeeTreatment::CarryBasis,
                ("timezone", zone) => settings.timezone = zone.into(),
                ("currency", code) => settings.fiat_currency = code.parse().unwrap(),
                _ => panic!("{pair} is not a policy"),
            }
        }
        let last = settings.policies.last();
        let before = last.map_or((settings.method, settings.lot_scope), |last| (last.method, last.lot_scope));
        if let Some(from) = from {
            let (method, lot_scope) = (method.unwrap_or(before.0), scope.unwrap_or(before.1));
            let allocation = body.lines().skip(1).map(|line| self.allocation(line)).collect();
            settings.policies.push(Policy { from, method, lot_scope, allocation });
        } else {
            settings.method = method.unwrap_or(settings.method);
            settings.lot_scope = scope.unwrap_or(settings.lot_scope);
        }
        settings
    }

    fn allocation(&self, line: &str) -> Allocation {
        let cells: Vec<&str> = line.split(',').collect();
        let connection = self.book.snapshot().unwrap().connection(cells[1]).unwrap().no;
        let btc: Decimal = cells[2].parse().unwrap();
        let quantity = Msats::new((btc * Decimal::from(100_000_000_000u64)).try_into().unwrap());
        Allocation { lot: cells[0].to_owned(), connection, quantity }
    }

    fn rates(&self, body: &str) {
        let points = body.lines().map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            RatePoint {
                time: Timestamp::parse_rfc3339(cells[0]).unwrap(),
                currency: cells[1].strip_prefix("BTC-").unwrap().parse().unwrap(),
                rate: Rate::from_decimal(cells[2].parse().unwrap()).unwrap(),
                provider: "import".into(),
            }
        });
        self.book.put_rates(now(), 0, &points.collect::<Vec<_>>()).unwrap();
    }

    fn import(&self, name: &str, body: &str) {
        let connection = self.book.snapshot().unwrap().connection(name).unwrap();
        self.book.import_plain(now(), connection.no, body.as_bytes(), false).unwrap();
    }

    /// Processes, checks the whole book, and prints what is asked for.
    fn show(&self, what: &str) -> String {
        self.book.process(now(), false, &|| false).unwrap();
        assert_eq!(self.book.verify().unwrap().problems, Vec::<String>::new());
        let snapshot = self.book.snapshot().unwrap();
        let (all, mut csv) = (Range::default(), Vec::new());
        match what {
            "gains" => snapshot.capital_gains_csv(&all, &mut csv).unwrap(),
            "lots" => snapshot.open_lots_csv(None, now(), &mut csv).unwrap(),
            "entries" => snapshot.journal_entries_csv(&all, &mut csv).unwrap(),
            _ => {
                let mut text = String::from("event_id,reason\n");
                for (key, _, reason) in snapshot.quarantined(None, 1_000).unwrap() {
                    writeln!(text, "{},{}", key.id, reason.code()).unwrap();
                }
                return text;
            }
        }
        String::from_utf8(csv).unwrap()
    }
}

/// The columns of `csv` that the expectation names, in its order.
fn columns(csv: &str, wanted: &str) -> String {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let places: Vec<usize> = wanted
        .split(',')
        .map(|name| {
            header.iter().position(|known| known == name).unwrap_or_else(|| panic!("no column {name}"))
        })
        .collect();
    let mut text = format!("{wanted}\n");
    for record in reader.records() {
        let record = record.unwrap();
        let cells: Vec<&str> = places.iter().map(|place| &record[*place]).collect();
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    text
}

/// Tells a story; answers how many expectations it held, or the story as it really went.
fn tell(text: &str, mut section_of: impl FnMut(&str, &str) -> Option<String>) -> Result<usize, String> {
    let (mut held, mut differs, mut told) = (0, false, String::new());
    let mut sections = text.split("\n== ");
    told.push_str(sections.next().unwrap());
    for section in sections {
        let (title, body) = section.split_once('\n').unwrap_or((section, ""));
        let is_word = |line: &&str| line.starts_with('#') || line.trim().is_empty();
        let mut rows: String =
            body.lines().filter(|line| !is_word(line)).fold(String::new(), |rows, line| rows + line + "\n");
        if let Some(found) = section_of(title, &rows) {
            let found = columns(&found, rows.lines().next().unwrap());
            held += 1;
            differs |= found != rows;
            rows = found;
        }
        write!(told, "\n== {title}\n{rows}").unwrap();
    }
    if differs { Err(told) } else { Ok(held) }
}

/// The stories of a folder, sorted.
fn stories(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "txt")).collect();
    files.sort();
    files
}

/// Tells each story by a new teller.
fn tell_all<F: FnMut(&str, &str) -> Option<String>>(files: &[PathBuf], teller: impl Fn() -> F) {
    let mut wrong = String::new();
    for file in files {
        match tell(&fs::read_to_string(file).unwrap(), teller()) {
            Ok(held) => assert!(held > 0, "{} expects nothing", file.display()),
            Err(told) => write!(wrong, "==== {} went:\n{told}\n", file.display()).unwrap(),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_scenario_ends_as_written() {
    let files = stories("scenarios");
    assert!(files.len() >= 12, "{} scenarios", files.len());
    tell_all(&files, || {
        let story = Story { book: Book::in_memory().unwrap() };
        move |title, body| story.section(title, body)
    });
}

#[test]
fn the_naive_books_end_every_scenario_as_written() {
    let files = stories("scenarios");
    assert!(files.len() >= 30, "{} scenarios", files.len());
    tell_all(&files, || {
        let mut telling = Telling::default();
        move |title, body| telling.section(title, body)
    });
}
