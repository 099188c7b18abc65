//! The naive books tell a scenario: what its sections say becomes the facts of `naive`, what it expects is printed from
//! them. The book's currency is called USD here whatever a story calls it; a story has one currency.

use std::collections::BTreeMap;
use std::fmt::Write;

use nacre_engine::time::Timestamp;

use crate::model::naive::calendar::civil;
use crate::model::naive::{Books, Facts, keep};
use crate::model::world::{Dated, Method, Policy, Remark, Row};

/// What a story has said so far.
pub struct Telling {
    names: Vec<String>,
    /// By connection and id: a later row with an id replaces the earlier.
    rows: BTreeMap<(u32, String), Row>,
    rates: BTreeMap<i64, i64>,
    excluded: Vec<String>,
    policy: Policy,
}

impl Default for Telling {
    fn default() -> Telling {
        let (by_connection, carry_basis, east, later) = (false, false, 0, Vec::new());
        Telling {
            names: Vec::new(),
            rows: BTreeMap::new(),
            rates: BTreeMap::new(),
            excluded: Vec::new(),
            policy: Policy { method: Method::Fifo, by_connection, carry_basis, east, later },
        }
    }
}

impl Telling {
    /// One section; the answer is what an expectation found. Entries are not kept here, so nothing is found of them.
    pub fn section(&mut self, title: &str, body: &str) -> Option<String> {
        let words: Vec<&str> = title.split_whitespace().collect();
        match words.as_slice() {
            ["connection", name, _] => self.names.push((*name).to_owned()),
            ["policy", pairs @ ..] => {
                self.policy = self.changed(pairs, body);
                assert_eq!(self.policy.refused(), None, "{title}");
            }
            ["refuses", field, "policy", pairs @ ..] => {
                assert_eq!(self.changed(pairs, body).refused(), Some(*field), "{title}");
            }
            ["rates"] => {
                for line in body.lines() {
                    let cells: Vec<&str> = line.split(',').collect();
                    self.rates.insert(secs(cells[0]), cents(cells[2]) as i64);
                }
            }
            ["import", name] => self.import(self.number(name), body),
            ["exclude", event] => self.excluded.push((*event).to_owned()),
            ["gains"] => return Some(self.gains()),
            ["lots"] => return Some(self.lots()),
            ["quarantine"] => {
                let rows = self.books().quarantined.into_iter();
                return Some(
                    rows.fold("event_id,reason\n".into(), |text, (id, why)| text + &id + "," + why + "\n"),
                );
            }
            ["entries"] => {}
            _ => panic!("== {title} is not a section"),
        }
        None
    }

    fn number(&self, name: &str) -> u32 {
        self.names.iter().position(|known| known == name).unwrap() as u32 + 1
    }

    /// The policies after a change; with `from=` it is one of a later day, which otherwise goes on as the one before.
    fn changed(&self, pairs: &[&str], body: &str) -> Policy {
        let mut policy = self.policy.clone();
        let before = policy
            .later
            .last()
            .map_or((policy.method, policy.by_connection), |last| (last.method, last.by_connection));
        let (mut from, mut method, mut scope) = (None, None, None);
        for pair in pairs {
            match pair.split_once('=').unwrap() {
                ("from", text) => from = Some(day(text)),
                ("method", word) => method = Some(named(word)),
                ("scope", word) => scope = Some(word == "connection"),
                ("transfer_fee", word) => policy.carry_basis = word == "carry_basis",
                // In winter, when these stories happen.
                ("timezone", "Europe/Berlin") => policy.east = 3_600,
                ("timezone", "Etc/GMT-10") => policy.east = 36_000,
                ("timezone", "UTC") | ("currency", _) => {}
                _ => panic!("{pair} is not a policy"),
            }
        }
        if let Some(day) = from {
            let allocation = body.lines().skip(1).map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                (cells[0].to_owned(), self.number(cells[1]), msat(cells[2], 11))
            });
            let (method, by_connection) = (method.unwrap_or(before.0), scope.unwrap_or(before.1));
            policy.later.push(Dated { day, method, by_connection, allocation: allocation.collect() });
        } else {
            policy.method = method.unwrap_or(policy.method);
            policy.by_connection = scope.unwrap_or(policy.by_connection);
        }
        policy
    }

    fn import(&mut self, conn: u32, body: &str) {
        let mut reader = csv::Reader::from_reader(body.as_bytes());
        let header = reader.headers().unwrap().clone();
        for record in reader.records() {
            let record = record.unwrap();
            let mut row = Row { conn, ..Row::default() };
            for (name, cell) in header.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty()) {
                match name {
                    "type" => row.kind = kind(cell),
                    "timestamp" => row.secs = secs(cell),
                    "id" => row.id = cell.to_owned(),
                    "amount_btc" => row.msat = msat(cell, 11),
                    "amount_sat" => row.msat = msat(cell, 3),
                    "fee_btc" => row.fee = msat(cell, 11),
                    "fiat_value" => row.value = Some(("USD", cents(cell))),
                    "fee_fiat" => row.fee_fiat = Some(cents(cell)),
                    "cost_basis" => row.cost_basis = Some(cents(cell)),
                    "fmv_at_gift" => row.fmv = Some(cents(cell)),
                    "acquired_at" => row.acquired = Some(secs(cell)),
                    "transfer_ref" => row.reference = Some(cell.to_owned()),
                    "lots" => row.lots = cell.split(';').map(lot).collect(),
                    _ => panic!("no column {name}"),
                }
            }
            self.rows.insert((conn, row.id.clone()), row);
        }
    }

    fn books(&self) -> Books {
        let excluded = Remark { excluded: true, ..Remark::default() };
        keep(&Facts {
            rows: self.rows.values().collect(),
            txs: Vec::new(),
            wallets: Vec::new(),
            rates: self.rates.iter().map(|(at, price)| ("USD", *at, *price)).collect(),
            remarks: self.excluded.iter().map(|id| (id.clone(), &excluded)).collect(),
            policy: self.policy.clone(),
        })
    }

    fn gains(&self) -> String {
        let mut text = String::from(
            "event_id,disposed_at,connection,quantity_btc,acquired_at,lot_id,term,gross_proceeds,fee,net_proceeds,\
             cost_basis,realized_gain\n",
        );
        for gain in self.books().gains {
            let cells = [
                gain.event,
                time(gain.at),
                self.names[gain.conn as usize - 1].clone(),
                btc(gain.msat),
                time(gain.acquired),
                gain.lot,
                if gain.long { "long" } else { "short" }.to_owned(),
                money(gain.gross),
                money(gain.fee),
                money(gain.gross - gain.fee),
                money(gain.basis),
                money(gain.gross - gain.fee - gain.basis),
            ];
            writeln!(text, "{}", cells.join(",")).unwrap();
        }
        text
    }

    fn lots(&self) -> String {
        let mut text = String::from("lot_id,acquired_at,connection,quantity_btc,cost_basis\n");
        for lot in self.books().open {
            let name = if lot.pool == 0 { "" } else { &self.names[lot.pool as usize - 1] };
            let cells = [lot.lot, time(lot.acquired), name.to_owned(), btc(lot.msat), money(lot.cost)];
            writeln!(text, "{}", cells.join(",")).unwrap();
        }
        text
    }
}

fn named(word: &str) -> Method {
    Method::ALL.into_iter().find(|method| method.name() == word).unwrap()
}

fn kind(word: &str) -> &'static str {
    const KINDS: [&str; 13] = [
        "buy",
        "sell",
        "deposit",
        "withdrawal",
        "invoice",
        "pay",
        "forward",
        "income",
        "interest",
        "gift_in",
        "gift_out",
        "fee",
        "opening_balance",
    ];
    KINDS.into_iter().find(|kind| *kind == word).unwrap()
}

fn lot(text: &str) -> (String, i128) {
    let (id, quantity) = text.rsplit_once(':').unwrap();
    (id.to_owned(), msat(quantity, 11))
}

/// A date as days since 1970-01-01.
fn day(text: &str) -> i64 {
    let parts: Vec<i64> = text.split('-').map(|part| part.parse().unwrap()).collect();
    (0..).find(|days| civil(*days) == (parts[0], parts[1], parts[2])).unwrap()
}

fn secs(text: &str) -> i64 {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    Timestamp::parse_rfc3339(&whole).unwrap().as_micros() / 1_000_000
}

fn time(secs: i64) -> String {
    Timestamp::from_secs(secs).to_string()
}

/// A decimal number in units of 10^-`places`.
fn msat(text: &str, places: usize) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<places$}").parse().unwrap()
}

fn cents(text: &str) -> i128 {
    msat(text, 2)
}

fn money(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

fn btc(msat: i128) -> String {
    let text = format!("{}.{:011}", msat / 100_000_000_000, msat % 100_000_000_000);
    text.strip_suffix("000").unwrap_or(&text).to_owned()
}
