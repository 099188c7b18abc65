//! What a user sends in a round: small files, rates, notes. Each input is unlike all others, so that it can be told
//! whether it is there.

use std::fmt::Write;

use crate::seed::Seed;

/// A file for one connection.
#[derive(Debug, Clone)]
pub struct File {
    /// Which `Custom` connection, by order of creation.
    pub connection: usize,
    /// The lines below the header.
    pub rows: String,
    /// Native ids of rows that a note may go to.
    pub ids: Vec<String>,
    /// How many rows.
    pub count: u64,
}

/// Rates as CSV.
#[derive(Debug, Clone)]
pub struct Rates {
    pub csv: String,
    pub count: u64,
}

/// What is said about one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub note: Option<String>,
    pub excluded: bool,
}

/// Makes inputs, never the same one twice.
#[derive(Default)]
pub struct Inputs {
    files: usize,
    months: usize,
    notes: usize,
    /// Withdrawals whose deposit has not been sent: connection, reference, day, amount.
    travelling: Vec<(usize, String, String, usize)>,
}

impl Inputs {
    /// Mostly a few rows, now and then hundreds; anywhere in two years, so that most of them are back-dated.
    pub fn file(&mut self, seed: &mut Seed) -> File {
        self.files += 1;
        let connection = seed.below(2);
        let count = if seed.chance(10) { 400 } else { 1 + seed.below(30) };
        let mut file = File { connection, rows: String::new(), ids: Vec::new(), count: count as u64 };
        for row in 0..count {
            let id = format!("f{}-{row}", self.files);
            let line = self.row(seed, connection, &id);
            if line.contains(",,note") {
                file.ids.push(id);
            }
            file.rows.push_str(&line);
        }
        file
    }

    /// `type,timestamp,id,amount_sat,fee_sat,fiat_value,fiat_currency,fee_fiat,transfer_ref,note`
    fn row(&mut self, seed: &mut Seed, connection: usize, id: &str) -> String {
        let (day, time) = (day(seed), time(seed));
        let (sat, cents) = (1_000 + seed.below(2_000_000), 100 + seed.below(150_000));
        let money = format!("{}.{:02}", cents / 100, cents % 100);
        match seed.below(20) {
            0..9 => format!("buy,{day}T{time}Z,{id},{sat},,{money},USD,0.{:02},,note {id}\n", cents % 100),
            9..12 => format!("sell,{day}T{time}Z,{id},{sat},{},{money},USD,,,note {id}\n", sat % 100),
            12..14 => format!("income,{day}T{time}Z,{id},{sat},,,,,,note {id}\n"),
            14..17 => format!("pay,{day}T{time}Z,{id},{},{},,,,,note {id}\n", sat / 10, sat % 10),
            17 => {
                self.travelling.push((connection, id.to_owned(), day.clone(), sat));
                format!("withdrawal,{day}T00:00:00Z,{id},{sat},{},,,,{id},\n", sat % 500)
            }
            _ => match self.travelling.iter().position(|(from, ..)| *from != connection) {
                Some(place) => {
                    let (_, reference, day, sat) = self.travelling.remove(place);
                    format!("deposit,{day}T01:00:00Z,{id},{sat},,,,,{reference},\n")
                }
                None => format!("deposit,{day}T{time}Z,{id},{sat},,,,,,note {id}\n"),
            },
        }
    }

    /// A rate for each day of a month, at an hour of its own.
    pub fn rates(&mut self, seed: &mut Seed) -> Rates {
        let (year, month, hour) = (2023 + self.months / 12 % 2, 1 + self.months % 12, self.months / 24);
        self.months += 1;
        let mut csv = "time,pair,rate\n".to_owned();
        for day in 1..=28 {
            let (dollars, cents) = (20_000 + seed.below(80_000), seed.below(100));
            let time = format!("{year}-{month:02}-{day:02}T{hour:02}:00:00Z");
            writeln!(csv, "{time},BTC-USD,{dollars}.{cents:02}").unwrap();
        }
        Rates { csv, count: 28 }
    }

    /// A note or an exclusion, as the next thing said after `before`.
    pub fn said(&mut self, seed: &mut Seed, before: &Said) -> Said {
        self.notes += 1;
        if seed.chance(30) {
            return Said { excluded: !before.excluded, ..before.clone() };
        }
        Said { note: Some(format!("said {}, \"with\" care", self.notes)), ..before.clone() }
    }
}

fn day(seed: &mut Seed) -> String {
    format!("{}-{:02}-{:02}", 2023 + seed.below(2), 1 + seed.below(12), 1 + seed.below(28))
}

fn time(seed: &mut Seed) -> String {
    format!("{:02}:{:02}:{:02}", seed.below(24), seed.below(60), seed.below(60))
}
