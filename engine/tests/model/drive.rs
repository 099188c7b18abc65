//! Feeds a [`World`] to a [`Book`], in order or in any interleaving, and reads back what the laws compare.

use std::collections::BTreeMap;

use nacre_engine::Error;
use nacre_engine::book::{Book, NewConnection, RatePoint};
use nacre_engine::id::{ConnectionNo, EventId};
use nacre_engine::journal::basis;
use nacre_engine::model::{
    Account, Allocation, AnnotationEdit, Asset, BookedStep, FeeTreatment, LotScope, Method, RowStatus,
    Settings, Term,
};
use nacre_engine::money::{Msats, Rate};
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;

use super::naive::calendar::civil;
use super::naive::{Books, Facts, Gain, Open};
use super::world::{CONNECTIONS, Choices, Dated, HEADER, Policy, Row, World};

/// One operation on a book.
#[derive(Clone, Debug)]
pub enum Op<'a> {
    Import(u32, Vec<&'a Row>),
    Sync(u32, usize),
    Rates(usize, std::ops::Range<usize>),
    Remark(usize, usize),
    Policy(usize),
    Process(bool),
    Remove(u32),
}

pub fn now() -> Timestamp {
    Timestamp::from_secs(1_770_000_000)
}

/// A book with every connection of the world and nothing else.
pub fn empty_book() -> Book {
    let book = Book::in_memory().unwrap();
    connect(&book);
    book
}

/// Adds the connections that are not there yet.
pub fn connect(book: &Book) {
    let known = book.snapshot().unwrap().connections().unwrap().len();
    for (label, rail) in CONNECTIONS.into_iter().skip(known) {
        let kind = "Custom".into();
        let new = NewConnection { id: label.into(), label: label.into(), kind, rail, config: "{}".into() };
        book.add_connection(now(), new).unwrap();
    }
}

impl World {
    /// Whether `no` stays to the end.
    fn stays(&self, no: u32) -> bool {
        self.removed != Some(no)
    }

    /// The final facts, for the naive books.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            rows: self.rows.iter().map(|row| &row[1]).filter(|row| self.stays(row.conn)).collect(),
            txs: self.txs.iter().collect(),
            wallets: [4, 5].into_iter().filter(|no| self.stays(*no)).collect(),
            rates: self.rates.iter().map(|(currency, at, price)| (*currency, *at, price[1])).collect(),
            remarks: self.remarks.iter().map(|(id, remark)| (id.clone(), &remark[1])).collect(),
            policy: self.policy[1].clone(),
        }
    }

    /// Every final fact once, in the plainest order, then one full rebuild.
    pub fn in_order(&self) -> Vec<Op<'_>> {
        let mut ops = vec![Op::Policy(1), Op::Rates(1, 0..self.rates.len())];
        for no in (1..=3).filter(|no| self.stays(*no)) {
            let rows = self.rows.iter().map(|row| &row[1]).filter(|row| row.conn == no);
            ops.push(Op::Import(no, rows.collect()));
        }
        ops.extend([4, 5].into_iter().filter(|no| self.stays(*no)).map(|no| Op::Sync(no, 1)));
        ops.extend((0..self.remarks.len()).map(|at| Op::Remark(at, 1)));
        ops.extend(self.removed.map(Op::Remove));
        ops.push(Op::Process(true));
        ops
    }

    /// The same facts in pieces and out of order, after and among older versions of them.
    pub fn interleaved(&self) -> Vec<Op<'_>> {
        let mut from = Choices(&self.rest);
        let mut ops = Vec::new();
        for _ in 0..from.below(16) {
            ops.push(self.noise(&mut from));
        }
        let mut last = Vec::new();
        for no in (1..=3).filter(|no| self.stays(*no)) {
            let mut rows: Vec<&Row> =
                self.rows.iter().map(|row| &row[1]).filter(|row| row.conn == no).collect();
            shuffle(&mut rows, &mut from);
            while !rows.is_empty() {
                let rest = rows.split_off(rows.len().min(1 + from.below(9)));
                last.push(Op::Import(no, std::mem::replace(&mut rows, rest)));
            }
        }
        last.extend([4, 5].into_iter().filter(|no| self.stays(*no)).map(|no| Op::Sync(no, 1)));
        let half = self.rates.len() / 2;
        last.extend([Op::Rates(1, 0..half), Op::Rates(1, half..self.rates.len()), Op::Policy(1)]);
        last.extend((0..self.remarks.len()).map(|at| Op::Remark(at, 1)));
        last.extend(self.removed.map(Op::Remove));
        shuffle(&mut last, &mut from);
        for op in last {
            ops.push(op);
            match from.below(6) {
                0 | 1 => ops.push(Op::Process(false)),
                2 => ops.push(Op::Process(true)),
                _ => {}
            }
        }
        // Remarks on what had not arrived were refused: say them again.
        ops.extend((0..self.remarks.len()).map(|at| Op::Remark(at, 1)));
        ops.push(Op::Process(false));
        ops
    }

    fn noise(&self, from: &mut Choices<'_>) -> Op<'_> {
        let choice = from.byte();
        let version = usize::from(choice >> 7);
        match choice % 8 {
            0..=2 => {
                let (no, skip) = (1 + from.below(3) as u32, from.byte());
                let rows = self
                    .rows
                    .iter()
                    .enumerate()
                    .filter(|(at, row)| row[0].conn == no && (skip >> (at % 8)) & 1 == 0);
                Op::Import(no, rows.map(|(_, row)| &row[version]).collect())
            }
            3 => Op::Sync(4 + from.below(2) as u32, version),
            4 => Op::Rates(version, 0..self.rates.len() * from.below(5) / 4),
            5 if !self.remarks.is_empty() => Op::Remark(from.below(self.remarks.len()), version),
            6 => Op::Policy(version),
            _ => Op::Process(choice & 64 != 0),
        }
    }

    /// Carries out one operation. A remark about an event that is not there is refused, and that is fine.
    pub fn run(&self, book: &Book, op: &Op<'_>) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{op:?}: {error}");
        match op {
            Op::Import(no, rows) => {
                let lines: Vec<String> = rows.iter().map(|row| row.csv()).collect();
                let file = format!("{HEADER}\n{}\n", lines.join("\n"));
                book.import_plain(now(), ConnectionNo(*no), file.as_bytes(), false)
                    .map_err(|e| failed(&e))?;
            }
            Op::Sync(no, version) => {
                let views = self.txs.iter().filter_map(|tx| tx.view(*no, *version)).collect();
                book.apply_sync(now(), ConnectionNo(*no), views, vec![*version as u8])
                    .map_err(|e| failed(&e))?;
            }
            Op::Rates(version, range) => {
                let points: Vec<RatePoint> =
                    self.rates[range.clone()].iter().map(|rate| point(rate, *version)).collect();
                book.put_rates(now(), 7, &points).map_err(|e| failed(&e))?;
            }
            Op::Remark(at, version) => {
                let (id, remark) = &self.remarks[*at];
                let edits = [
                    AnnotationEdit::Note(remark[*version].note.map(str::to_owned)),
                    AnnotationEdit::Excluded(remark[*version].excluded),
                    AnnotationEdit::Rate(remark[*version].rate.map(price)),
                ];
                match book.annotate(now(), &EventId::from_text(id.clone()), &edits) {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(failed(&error)),
                }
            }
            Op::Policy(version) => {
                book.set_settings(now(), &settings(&self.policy[*version])).map_err(|e| failed(&e))?;
            }
            Op::Process(full) => {
                book.process(now(), *full, &|| false).map_err(|e| failed(&e))?;
            }
            Op::Remove(no) => book.remove_connection(now(), ConnectionNo(*no)).map_err(|e| failed(&e))?,
        }
        Ok(())
    }
}

fn point(rate: &(&'static str, i64, [i64; 2]), version: usize) -> RatePoint {
    let (currency, at, prices) = rate;
    RatePoint {
        currency: currency.parse().unwrap(),
        time: Timestamp::from_secs(*at),
        rate: price(prices[version]),
        provider: "import".into(),
    }
}

fn price(cents: i64) -> Rate {
    Rate::from_decimal(format!("{}.{:02}", cents / 100, cents % 100).parse().unwrap()).unwrap()
}

pub fn settings(policy: &Policy) -> Settings {
    assert_eq!(policy.refused(), None);
    Settings {
        method: Method::named(policy.method.name()).unwrap(),
        lot_scope: if policy.by_connection { LotScope::Connection } else { LotScope::Universal },
        fee_treatment: if policy.carry_basis { FeeTreatment::CarryBasis } else { FeeTreatment::Dispose },
        timezone: if policy.east == 0 { "UTC".into() } else { "Etc/GMT-10".into() },
        policies: policy.later.iter().map(from_a_day).collect(),
        ..Settings::default()
    }
}

fn from_a_day(dated: &Dated) -> nacre_engine::model::Policy {
    let (year, month, day) = civil(dated.day);
    let row = |(lot, no, msat): &(String, u32, i128)| Allocation {
        lot: lot.clone(),
        connection: ConnectionNo(*no),
        quantity: Msats::new(*msat as i64),
    };
    nacre_engine::model::Policy {
        from: jiff::civil::date(year as i16, month as i8, day as i8),
        method: Method::named(dated.method.name()).unwrap(),
        lot_scope: if dated.by_connection { LotScope::Connection } else { LotScope::Universal },
        allocation: dated.allocation.iter().map(row).collect(),
    }
}

fn shuffle<T>(items: &mut [T], from: &mut Choices<'_>) {
    for at in (1..items.len()).rev() {
        items.swap(at, from.below(at + 1));
    }
}

/// Every report a user can print, by name; the book's version is left out.
pub fn printed(book: &Book) -> Vec<(&'static str, String)> {
    let snapshot = book.snapshot().unwrap();
    let all = Range::default();
    let (mut gains, mut entries, mut lots) = (Vec::new(), Vec::new(), Vec::new());
    snapshot.capital_gains_csv(&all, &mut gains).unwrap();
    snapshot.journal_entries_csv(&all, &mut entries).unwrap();
    snapshot.open_lots_csv(None, now(), &mut lots).unwrap();
    let mut sheet = snapshot.balance_sheet(None, now()).unwrap();
    let mut portfolio = snapshot.portfolio_summary(None, now()).unwrap();
    (sheet.head.book_version, portfolio.head.book_version) = (0, 0);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    vec![
        ("capital gains", text(gains)),
        ("journal entries", text(entries)),
        ("open lots", text(lots)),
        ("balance sheet", format!("{sheet:#?}")),
        ("portfolio", format!("{portfolio:#?}")),
        ("quarantine", format!("{:#?}", snapshot.quarantined(None, 10_000).unwrap())),
    ]
}

/// What the engine's books say, in the words of the naive ones.
pub fn books(book: &Book) -> Books {
    let snapshot = book.snapshot().unwrap();
    let totals = snapshot.totals().unwrap();
    let mut books = Books { events: totals.events as usize, ..Books::default() };
    for row in snapshot.journal(&Range::default()).unwrap() {
        let (key, row) = row.unwrap();
        if let RowStatus::Quarantined(reason) = &row.status {
            books.quarantined.push((key.id.to_string(), reason.code()));
        }
        for step in &row.steps {
            let BookedStep::Disposed(disposal) = step else { continue };
            for slice in disposal.slices.iter().filter(|_| disposal.realises) {
                books.gains.push(Gain {
                    event: key.id.to_string(),
                    at: key.time.as_micros() / 1_000_000,
                    conn: disposal.connection.0,
                    lot: slice.used.lot.lot_id(),
                    acquired: slice.used.lot.acquired_at.as_micros() / 1_000_000,
                    msat: slice.used.quantity.get().into(),
                    gross: slice.gross.get().into(),
                    fee: slice.fiat_fee.get().into(),
                    cost: slice.used.cost.get().into(),
                    basis: basis(slice).unwrap().get().into(),
                    long: slice.term == Term::Long,
                });
            }
        }
    }
    for lot in snapshot.open_lots().unwrap() {
        let lot = lot.unwrap();
        books.open.push(Open {
            pool: lot.key.pool.map_or(0, |no| no.0),
            lot: lot.key.lot_id(),
            acquired: lot.key.acquired_at.as_micros() / 1_000_000,
            msat: lot.quantity.get().into(),
            cost: lot.cost.get().into(),
        });
    }
    let mut balances: BTreeMap<(u32, String), i128> = BTreeMap::new();
    for ((account, asset), total) in &totals.accounts {
        let (Account::Bitcoin(_, no) | Account::Fiat(no)) = account else { continue };
        let code = match asset {
            Asset::Btc => "BTC".to_owned(),
            Asset::Fiat(currency) => currency.code().to_owned(),
        };
        *balances.entry((no.0, code)).or_default() += total.net();
    }
    balances.retain(|_, net| *net != 0);
    books.balances = balances;
    books
}
