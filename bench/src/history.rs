//! Made-up histories as CSV files, and books made of them.
//!
//! Invariant: what is sold was bought before, so nothing of an ordinary history is quarantined, and the lots open grow
//! with the history (as a saver's do).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::id::ConnectionNo;
use nacre_engine::model::Rail;
use nacre_engine::money::{Currency, Rate};
use nacre_engine::time::Timestamp;
use rust_decimal::Decimal;

use crate::run::Res;
use crate::seeded::Seeded;

/// Page cache of every book measured: the daemon's default.
pub const CACHE_BYTES: usize = 16 << 20;
/// 2015-01-01T00:00:00Z.
const START_SECS: i64 = 1_420_070_400;
const DAY_SECS: i64 = 86_400;
const DAYS_OF_TEN_YEARS: i64 = 3_653;
const HEAD: &str = "id,timestamp,type,amount_btc,fiat_value,fee_fiat\n";

/// The instant all operations are said to happen at.
pub fn now() -> Timestamp {
    Timestamp::from_secs(START_SECS + 4_000 * DAY_SECS)
}

/// How the rows of a history are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Buys, sells, and every tenth row at the market's rate.
    Mixed,
    /// The first half buys, the second half sells.
    BuysThenSells,
    /// Buys, and as the last row a sale of everything.
    OneHugeSale,
}

/// What a history looks like.
#[derive(Clone, Copy, Debug)]
pub struct History {
    pub events: u64,
    pub shape: Shape,
    /// Days before it starts, counted from 2015.
    pub first_day: i64,
    /// Seconds it covers.
    pub span_secs: i64,
}

impl History {
    pub fn ten_years(events: u64) -> Self {
        History { events, shape: Shape::Mixed, first_day: 0, span_secs: DAYS_OF_TEN_YEARS * DAY_SECS }
    }

    /// The ninth of the ten years, 2023, alone.
    pub fn one_year(events: u64) -> Self {
        History { events, shape: Shape::Mixed, first_day: 2_922, span_secs: 365 * DAY_SECS }
    }

    /// The instant of row `number`.
    pub fn time(&self, number: u64) -> Timestamp {
        let part =
            i128::from(self.span_secs) * 1_000_000 * i128::from(number) / i128::from(self.events.max(1));
        let start = (START_SECS + self.first_day * DAY_SECS) * 1_000_000;
        Timestamp::from_micros(start + part as i64)
    }

    /// Writes the history as a file in the plain format.
    pub fn write(&self, path: &Path) -> Res<()> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(HEAD.as_bytes())?;
        let mut random = Seeded::new(7);
        let mut held_sats = 0u64;
        for number in 0..self.events {
            row(&mut out, self, number, &mut random, &mut held_sats)?;
        }
        Ok(out.flush()?)
    }
}

fn row(out: &mut impl Write, history: &History, number: u64, random: &mut Seeded, held: &mut u64) -> Res<()> {
    let comes = match history.shape {
        Shape::Mixed => random.below(10) < 6,
        Shape::BuysThenSells => number < history.events / 2,
        Shape::OneHugeSale => number + 1 < history.events,
    };
    let at_market = history.shape == Shape::Mixed && random.below(10) == 0;
    let wanted = 10_000 + random.below(2_000_000);
    let sats = match history.shape {
        Shape::OneHugeSale if !comes => *held,
        _ if comes => wanted,
        _ => wanted.min(*held),
    };
    let kind = match (comes || sats == 0, at_market) {
        (true, false) => "buy",
        (true, true) => "deposit",
        (false, false) => "sell",
        (false, true) => "withdrawal",
    };
    let sats = if sats == 0 { wanted } else { sats };
    if kind == "buy" || kind == "deposit" {
        *held += sats
    } else {
        *held -= sats
    }
    let time = history.time(number);
    write!(out, "t-{number},{time},{kind},{}.{:08}", sats / 100_000_000, sats % 100_000_000)?;
    if at_market {
        return Ok(writeln!(out, ",,")?);
    }
    let cents = sats * price_cents(number / 50) / 100_000_000;
    Ok(writeln!(out, ",{}.{:02},{}.{:02}", cents / 100, cents % 100, cents / 40_000, cents / 400 % 100)?)
}

/// A price between 20 000 and 40 000 that wanders.
fn price_cents(step: u64) -> u64 {
    2_000_000 + Seeded::new(step).below(2_000_000)
}

/// A file with the rows given after the header.
pub fn csv(rows: &[String]) -> Vec<u8> {
    let mut text = HEAD.to_owned();
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    text.into_bytes()
}

/// A buy of 0.01 BTC.
pub fn buy(id: &str, at: Timestamp) -> String {
    format!("{id},{at},buy,0.01,300.00,0.50")
}

/// An empty book with daily rates of the ten years and one connection.
pub fn empty_book(path: &Path) -> Res<(Book, ConnectionNo)> {
    let book = Book::open(path, CACHE_BYTES)?;
    let mut points = Vec::new();
    for day in -2..DAYS_OF_TEN_YEARS + 2 {
        let rate = Rate::from_decimal(Decimal::new(price_cents(day.unsigned_abs()) as i64, 2))?;
        let time = Timestamp::from_secs(START_SECS + day * DAY_SECS);
        points.push(RatePoint { currency: Currency::USD, time, rate, provider: "bench".into() });
    }
    book.put_rates(now(), 1, &points)?;
    let new = NewConnection {
        id: "bench".into(),
        label: "bench".into(),
        kind: "Custom".into(),
        rail: Rail::Managed,
        config: "{}".into(),
    };
    let no = book.add_connection(now(), new)?.no;
    Ok((book, no))
}

/// A processed book with its file.
pub struct Fixture {
    pub history: History,
    pub csv: PathBuf,
    pub file: PathBuf,
    pub book: Book,
    pub connection: ConnectionNo,
}

impl Fixture {
    pub fn make(dir: &Path, history: History) -> Res<Self> {
        let name = format!("{}-{}-{:?}", history.events, history.span_secs, history.shape);
        let (csv, file) = (dir.join(format!("{name}.csv")), dir.join(format!("{name}.book")));
        history.write(&csv)?;
        let (book, connection) = empty_book(&file)?;
        book.import_plain(now(), connection, File::open(&csv)?, false)?;
        let done = book.process(now(), false, &|| false)?;
        if done.events_total != history.events || done.quarantined > 0 {
            return Err(format!("{} events, {} quarantined", done.events_total, done.quarantined).into());
        }
        Ok(Fixture { history, csv, file, book, connection })
    }
}
