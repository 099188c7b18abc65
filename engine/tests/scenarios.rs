//! Scenarios a bookkeeper can read: each file in `scenarios/` is a story with its expected books.
//!
//! A file is a list of sections. `== connection NAME RAIL`, `== policy KEY=VALUE…`, `== rates`, `== import NAME` and
//! `== exclude EVENT` change the facts; `== gains`, `== lots`, `== quarantine` and `== entries` process the books and
//! say what they must then show, column by column. Lines with `#` are words. Refuses: a section it does not know.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::id::EventId;
use nacre_engine::model::{AnnotationEdit, FeeTreatment, LotScope, Method, Rail};
use nacre_engine::money::Rate;
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;

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
            ["policy", pairs @ ..] => self.policy(pairs),
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

    fn policy(&self, pairs: &[&str]) {
        let mut settings = self.book.snapshot().unwrap().settings().unwrap();
        for pair in pairs {
            match pair.split_once('=').unwrap() {
                ("method", "FIFO") => settings.method = Method::Fifo,
                ("method", "LIFO") => settings.method = Method::Lifo,
                ("scope", "universal") => settings.lot_scope = LotScope::Universal,
                ("scope", "connection") => settings.lot_scope = LotScope::Connection,
                ("transfer_fee", "dispose") => settings.fee_treatment = FeeTreatment::Dispose,
                ("transfer_fee", "carry_basis") => settings.fee_treatment = FeeTreatment::CarryBasis,
                ("timezone", zone) => settings.timezone = zone.into(),
                ("currency", code) => settings.fiat_currency = code.parse().unwrap(),
                _ => panic!("{pair} is not a policy"),
            }
        }
        self.book.set_settings(now(), &settings).unwrap();
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
fn tell(text: &str) -> Result<usize, String> {
    let story = Story { book: Book::in_memory().unwrap() };
    let (mut held, mut differs, mut told) = (0, false, String::new());
    let mut sections = text.split("\n== ");
    told.push_str(sections.next().unwrap());
    for section in sections {
        let (title, body) = section.split_once('\n').unwrap_or((section, ""));
        let is_word = |line: &&str| line.starts_with('#') || line.trim().is_empty();
        let mut rows: String =
            body.lines().filter(|line| !is_word(line)).fold(String::new(), |rows, line| rows + line + "\n");
        if let Some(found) = story.section(title, &rows) {
            let found = columns(&found, rows.lines().next().unwrap());
            held += 1;
            differs |= found != rows;
            rows = found;
        }
        write!(told, "\n== {title}\n{rows}").unwrap();
    }
    if differs { Err(told) } else { Ok(held) }
}

#[test]
fn every_scenario_ends_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = String::new();
    for file in &files {
        match tell(&fs::read_to_string(file).unwrap()) {
            Ok(held) => assert!(held > 0, "{} expects nothing", file.display()),
            Err(told) => write!(wrong, "==== {} went:\n{told}\n", file.display()).unwrap(),
        }
    }
    assert!(files.len() >= 12, "{} scenarios", files.len());
    assert!(wrong.is_empty(), "{wrong}");
}
