//! Journal entries: every line of every booked event, in double entry.
//!
//! The CSV streams. Debits and credits balance per event and asset; `fiat_value` is signed like the line.

use std::io::Write;

use serde::Serialize;

use super::table::{Cell, Table};
use super::{Range, ReportContext, ReportHead};
use crate::error::Result;
use crate::id::{ConnectionNo, EventKey};
use crate::journal::{chart, postings};
use crate::model::{Amount, JournalRow, Posting, Rail};
use crate::money::{Fiat, Msats};
use crate::time::Timestamp;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalEntries {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The book's currency: that of every `fiat_value`.
    pub fiat_currency: String,
    /// First instant shown, if bounded (RFC 3339, UTC).
    pub range_start: Option<String>,
    /// Last instant shown, if bounded.
    pub range_end: Option<String>,
    /// The lines, in the order of the books.
    pub rows: Vec<JournalEntryRow>,
}

/// One line of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalEntryRow {
    /// The event.
    pub event_id: String,
    /// When it happened (RFC 3339, UTC).
    pub timestamp: String,
    /// Its kind.
    pub event_kind: &'static str,
    /// The connection of the account, else the event's when it has only one.
    pub connection_id: Option<String>,
    /// What the user calls it.
    pub connection_label: Option<String>,
    /// Full path of the account.
    pub account: String,
    /// `BTC` or an ISO 4217 code.
    pub asset: String,
    /// Debited: decimal satoshis for bitcoin, decimal major units for fiat.
    pub debit: Option<String>,
    /// Credited, in the same units.
    pub credit: Option<String>,
    /// Value in the book's currency, decimal major units, negative for a credit; `null` where none is known.
    pub fiat_value: Option<String>,
    /// The user's note, else the record's.
    pub note: Option<String>,
    /// Tags of both, sorted.
    pub tags: Vec<String>,
    /// For CSV, which prints bitcoin.
    #[serde(skip)]
    amount: Amount,
}

/// The lines of the `rows` inside `range`.
///
/// # Errors
/// What `rows` or the annotations yield; [`Error::Overflow`](crate::Error::Overflow) when an amount leaves its range.
pub fn journal_entries(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    range: &Range,
    snapshot_timestamp: Timestamp,
) -> Result<JournalEntries> {
    let mut lines = Vec::new();
    for_each_line(ctx, rows, range, |line| {
        lines.push(line);
        Ok(())
    })?;
    Ok(JournalEntries {
        head: ctx.head(snapshot_timestamp),
        fiat_currency: ctx.settings.fiat_currency.code().to_owned(),
        range_start: range.start.map(|start| start.to_string()),
        range_end: range.end.map(|end| end.to_string()),
        rows: lines,
    })
}

/// Writes the lines of [`journal_entries`] to `out` as CSV, one at a time; bitcoin in decimal bitcoin.
///
/// # Errors
/// As [`journal_entries`]; [`Error::Cancelled`](crate::Error::Cancelled) when `out` takes no more.
pub fn journal_entries_csv(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    range: &Range,
    out: &mut dyn Write,
) -> Result<()> {
    let mut table = Table::start(out, COLUMNS)?;
    for_each_line(ctx, rows, range, |line| write_line(ctx, &line, &mut table))?;
    table.finish()
}

fn for_each_line(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    range: &Range,
    mut each: impl FnMut(JournalEntryRow) -> Result<()>,
) -> Result<()> {
    // A balance of a connection that is gone still needs an account; the custodial one promises the least.
    let rail_of = |no| ctx.connections.get(&no).map_or(Rail::Managed, |connection| connection.rail);
    for item in rows {
        let (key, row) = item?;
        if range.contains(key.time) {
            let lines = postings(&row, &rail_of)?;
            lines.iter().try_for_each(|posting| each(line(ctx, &key, &row, posting)?))?;
        }
    }
    Ok(())
}

fn line(
    ctx: &ReportContext<'_>,
    key: &EventKey,
    row: &JournalRow,
    posting: &Posting,
) -> Result<JournalEntryRow> {
    let own = |no: ConnectionNo| ctx.connections.get(&no);
    let connection = match (chart::leaf(posting.account), row.connections.as_slice()) {
        (Some(no), _) | (None, &[no]) => own(no),
        _ => None,
    };
    let book = ctx.settings.fiat_currency;
    let (asset, debited) = match posting.amount {
        Amount::Btc(quantity) => ("BTC".to_owned(), !quantity.is_negative()),
        Amount::Fiat(currency, amount) => (currency.code().to_owned(), amount >= Fiat::ZERO),
    };
    let value = match posting.amount {
        Amount::Fiat(currency, amount) if currency == book => Some(amount),
        _ => posting.value,
    };
    let size = match posting.amount {
        Amount::Btc(quantity) => magnitude(quantity)?.to_sat_text(),
        Amount::Fiat(currency, amount) => positive(amount)?.to_text(currency),
    };
    let words = ctx.words(&key.id, row)?;
    let (debit, credit) = if debited { (Some(size), None) } else { (None, Some(size)) };
    Ok(JournalEntryRow {
        event_id: key.id.to_string(),
        timestamp: key.time.to_string(),
        event_kind: row.kind.name(),
        connection_id: connection.map(|connection| connection.id.clone()),
        connection_label: connection.map(|connection| connection.label.clone()),
        account: ctx.account_path(posting.account),
        asset,
        debit,
        credit,
        fiat_value: value.map(|value| value.to_text(book)),
        note: words.note,
        tags: words.tags,
        amount: posting.amount,
    })
}

fn magnitude(quantity: Msats) -> Result<Msats> {
    if quantity.is_negative() { Msats::ZERO.sub(quantity) } else { Ok(quantity) }
}

fn positive(amount: Fiat) -> Result<Fiat> {
    if amount < Fiat::ZERO { Fiat::ZERO.sub(amount) } else { Ok(amount) }
}

const COLUMNS: [&str; 12] = [
    "event_id",
    "timestamp",
    "event_kind",
    "connection",
    "account",
    "asset",
    "debit",
    "credit",
    "fiat_value",
    "currency",
    "note",
    "tags",
];

fn write_line(ctx: &ReportContext<'_>, line: &JournalEntryRow, table: &mut Table<'_>) -> Result<()> {
    let size = |shown: &Option<String>| -> Result<String> {
        match (shown, line.amount) {
            (None, _) => Ok(String::new()),
            (Some(_), Amount::Btc(quantity)) => Ok(magnitude(quantity)?.to_btc_text()),
            (Some(text), Amount::Fiat(..)) => Ok(text.clone()),
        }
    };
    table.row([
        Cell::text(&line.event_id),
        Cell::plain(&line.timestamp),
        Cell::plain(line.event_kind),
        Cell::text(line.connection_label.as_deref().unwrap_or_default()),
        Cell::text(&line.account),
        Cell::plain(&line.asset),
        Cell::plain(size(&line.debit)?),
        Cell::plain(size(&line.credit)?),
        Cell::plain(line.fiat_value.as_deref().unwrap_or_default()),
        Cell::plain(ctx.settings.fiat_currency.code()),
        Cell::text(line.note.as_deref().unwrap_or_default()),
        Cell::text(line.tags.join(";")),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, prop_assert, proptest};
    use rust_decimal::Decimal;

    use super::*;
    use crate::journal::samples::{any_row, key};
    use crate::reports::samples::{SNAPSHOT, context, saver_rows};

    fn csv_of(rows: &[(EventKey, JournalRow)], range: &Range) -> String {
        let mut out = Vec::new();
        journal_entries_csv(&context(), rows.iter().cloned().map(Ok), range, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_journal_of_a_saver() {
        let expected = "event_id,timestamp,event_kind,connection,account,asset,debit,credit,fiat_value,currency,note,tags\n\
            c3.buy-1,2023-01-15T00:00:00Z,trade,Broker,Assets:Managed:Broker,BTC,0.00150000,,100.00,USD,,\n\
            c3.buy-1,2023-01-15T00:00:00Z,trade,Broker,Equity:Conversion,BTC,,0.00150000,-100.00,USD,,\n\
            c3.buy-1,2023-01-15T00:00:00Z,trade,Broker,Equity:Conversion,USD,100.00,,100.00,USD,,\n\
            c3.buy-1,2023-01-15T00:00:00Z,trade,Broker,Assets:Fiat:Broker,USD,,101.50,-101.50,USD,,\n\
            c3.buy-1,2023-01-15T00:00:00Z,trade,Broker,Expenses:Exchange Fees,USD,1.50,,1.50,USD,,\n\
            move,2023-06-01T00:00:00Z,transaction,Cold: storage,Assets:On-chain:Cold%3A storage,BTC,0.00088000,,,USD,,\n\
            move,2023-06-01T00:00:00Z,transaction,Broker,Assets:Managed:Broker,BTC,,0.00088000,,USD,,\n\
            move,2023-06-01T00:00:00Z,transaction,Broker,Assets:Managed:Broker,BTC,,0.00001000,-1.00,USD,,\n\
            move,2023-06-01T00:00:00Z,transaction,,Expenses:Network Fees,BTC,0.00001000,,1.00,USD,,\n";
        let end = Timestamp::parse_rfc3339("2024-01-01T00:00:00Z");
        assert_eq!(csv_of(&saver_rows(), &Range { start: None, end }), expected);
    }

    #[test]
    fn the_report_counts_satoshis_and_keeps_words() {
        let rows = saver_rows().into_iter().map(Ok);
        let report = journal_entries(&context(), rows, &Range::default(), SNAPSHOT).unwrap();
        assert_eq!(report.rows.len(), 12);
        let spend = &report.rows[9];
        assert_eq!((spend.credit.as_deref(), &spend.debit), (Some("29000.000"), &None));
        assert_eq!(spend.fiat_value.as_deref(), Some("-29.00"));
        assert_eq!(spend.tags, ["audit", "books"]);
    }

    proptest! {
        #[test]
        fn debits_equal_credits_and_values_cancel(journal in prop::collection::vec(any_row(), 0..5)) {
            let rows: Vec<_> =
                journal.into_iter().enumerate().map(|(n, row)| (key(&format!("e{n}"), n as i64), row)).collect();
            let csv = csv_of(&rows, &Range::default());
            let mut sums: BTreeMap<(String, String), (Decimal, Decimal)> = BTreeMap::new();
            for record in csv::Reader::from_reader(csv.as_bytes()).records() {
                let record = record.unwrap();
                let number = |place: usize| record[place].parse().unwrap_or(Decimal::ZERO);
                let sum = sums.entry((record[0].to_owned(), record[5].to_owned())).or_default();
                sum.0 += number(6) - number(7);
                sum.1 += number(8);
            }
            for (place, (amount, value)) in sums {
                prop_assert!(amount.is_zero() && value.is_zero(), "{:?} {} {}", place, amount, value);
            }
        }
    }
}
