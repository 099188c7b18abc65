//! Capital gains: one row per lot slice of every disposal that realises, their totals, and the totals per connection.
//!
//! Reads the rows it is handed and shows those inside the range; which lots were used is already decided. The CSV
//! streams; the full report holds its rows, as its reader will.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::gain_sums::{GainSummary, net_and_gain, summary};
use super::head::Words;
use super::table::{Cell, Table};
use super::{Range, ReportContext, ReportHead};
use crate::error::Result;
use crate::id::{ConnectionNo, EventKey};
use crate::journal::{add_disposal, add_sales, basis, place_of_sales, realising};
use crate::model::{BookedDisposal, DayTotals, JournalRow, RowStatus, SaleTotals, Slice};
use crate::money::Msats;
use crate::time::Timestamp;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapitalGains {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The book's currency.
    pub fiat_currency: String,
    /// The lot selection method.
    pub algorithm: &'static str,
    /// First instant shown, if bounded (RFC 3339, UTC).
    pub range_start: Option<String>,
    /// Last instant shown, if bounded.
    pub range_end: Option<String>,
    /// Totals over all rows.
    pub summary: GainSummary,
    /// The same totals by where the disposals happened; they sum to `summary`.
    pub connection_aggregates: Vec<ConnectionAggregate>,
    /// One per lot slice, in the order of the books.
    pub rows: Vec<CapitalGainsRow>,
}

/// Totals of the disposals of one connection, or of those that no one connection can claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionAggregate {
    /// `single_sale_connection`, `mixed_sale_connections` (events that dispose from several connections at once) or
    /// `unattributed` (the connection is not in the book).
    pub kind: &'static str,
    /// The connection, when it is a single one.
    pub connection_id: Option<String>,
    /// What the user calls it.
    pub connection_label: Option<String>,
    /// The totals.
    #[serde(flatten)]
    pub summary: GainSummary,
}

/// The part of a disposal that one lot covered; `_fiat` in decimal major units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapitalGainsRow {
    /// The disposing event.
    pub event_id: String,
    /// When (RFC 3339, UTC).
    pub disposed_at: String,
    /// Kind of that event.
    pub kind: &'static str,
    /// Where it left, if still in the book.
    pub connection_id: Option<String>,
    /// What the user calls that.
    pub connection_label: String,
    /// Quantity in decimal satoshis, bitcoin fee included.
    pub quantity: String,
    /// When the lot was acquired.
    pub acquired_at: String,
    /// The event that acquired it.
    pub acquired_event_id: String,
    /// The lot.
    pub lot_id: String,
    /// `short` or `long`.
    pub term: &'static str,
    /// Proceeds before fiat fees.
    pub gross_proceeds_fiat: String,
    /// Fiat fees.
    pub fee_fiat: String,
    /// Proceeds after fiat fees.
    pub net_proceeds_fiat: String,
    /// Cost of the slice.
    pub cost_basis_fiat: String,
    /// Net proceeds minus cost.
    pub realized_gain_fiat: String,
    /// The lot selection method in force then, for CSV.
    #[serde(skip)]
    pub algorithm: &'static str,
    /// The user's note, else the record's.
    pub note: Option<String>,
    /// Tags of both, sorted.
    pub tags: Vec<String>,
    /// For CSV, which prints bitcoin.
    #[serde(skip)]
    quantity_msat: Msats,
}

/// Where the disposals of an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sale {
    Single(ConnectionNo),
    Mixed,
    Unattributed,
}

/// Sums by where the disposals happened.
type BySale = BTreeMap<Sale, SaleTotals>;

/// The capital gains of the `rows` inside `range`.
///
/// # Errors
/// What `rows` or the annotations yield; [`Error::Overflow`](crate::Error::Overflow) when a total leaves its range.
pub fn capital_gains(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    range: &Range,
    snapshot_timestamp: Timestamp,
) -> Result<CapitalGains> {
    let mut lines = Vec::new();
    let mut by_sale = BySale::new();
    for_each_sale(rows, range, |key, row, disposals| {
        let mine = by_sale.entry(sale(ctx, place_of_sales(row).flatten())).or_default();
        disposals.iter().try_for_each(|disposal| add_disposal(mine, disposal))?;
        lines.extend(lines_of(ctx, key, row, disposals)?);
        Ok(())
    })?;
    report(ctx, &by_sale, lines, range, snapshot_timestamp)
}

/// The capital gains of a range without their rows, out of the sums of its days: it costs what the range has days.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when a total leaves its range.
pub fn capital_gains_sums(
    ctx: &ReportContext<'_>,
    sums: &DayTotals,
    range: &Range,
    snapshot_timestamp: Timestamp,
) -> Result<CapitalGains> {
    let mut by_sale = BySale::new();
    for (place, sales) in &sums.sales {
        add_sales(by_sale.entry(sale(ctx, *place)).or_default(), sales)?;
    }
    report(ctx, &by_sale, Vec::new(), range, snapshot_timestamp)
}

fn report(
    ctx: &ReportContext<'_>,
    by_sale: &BySale,
    rows: Vec<CapitalGainsRow>,
    range: &Range,
    snapshot_timestamp: Timestamp,
) -> Result<CapitalGains> {
    let currency = ctx.settings.fiat_currency;
    let mut all = SaleTotals::default();
    by_sale.values().try_for_each(|sales| add_sales(&mut all, sales))?;
    let aggregate = |(sale, sales): (&Sale, &SaleTotals)| aggregate(ctx, *sale, summary(sales, currency)?);
    Ok(CapitalGains {
        head: ctx.head(snapshot_timestamp),
        fiat_currency: currency.code().to_owned(),
        algorithm: ctx.algorithm(range),
        range_start: range.start.map(|start| start.to_string()),
        range_end: range.end.map(|end| end.to_string()),
        summary: summary(&all, currency)?,
        connection_aggregates: by_sale.iter().map(aggregate).collect::<Result<_>>()?,
        rows,
    })
}

/// Writes the rows of [`capital_gains`] to `out` as CSV, one event at a time.
///
/// # Errors
/// As [`capital_gains`]; [`Error::Cancelled`](crate::Error::Cancelled) when `out` takes no more.
pub fn capital_gains_csv(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    range: &Range,
    out: &mut dyn Write,
) -> Result<()> {
    let mut table = Table::start(out, COLUMNS)?;
    for_each_sale(rows, range, |key, row, disposals| {
        lines_of(ctx, key, row, disposals)?.iter().try_for_each(|line| write_line(ctx, line, &mut table))
    })?;
    table.finish()
}

/// Calls `each` with every row inside `range` that realises something, and the disposals that do.
pub(super) fn for_each_sale(
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    range: &Range,
    mut each: impl FnMut(&EventKey, &JournalRow, &[&BookedDisposal]) -> Result<()>,
) -> Result<()> {
    for item in rows {
        let (key, row) = item?;
        if row.status != RowStatus::Booked || !range.contains(key.time) {
            continue;
        }
        let disposals: Vec<&BookedDisposal> = row.steps.iter().filter_map(realising).collect();
        if !disposals.is_empty() {
            each(&key, &row, &disposals)?;
        }
    }
    Ok(())
}

fn sale(ctx: &ReportContext<'_>, place: Option<ConnectionNo>) -> Sale {
    match place {
        None => Sale::Mixed,
        Some(no) if ctx.connections.contains_key(&no) => Sale::Single(no),
        Some(_) => Sale::Unattributed,
    }
}

fn aggregate(ctx: &ReportContext<'_>, sale: Sale, summary: GainSummary) -> Result<ConnectionAggregate> {
    let (kind, no) = match sale {
        Sale::Single(no) => ("single_sale_connection", Some(no)),
        Sale::Mixed => ("mixed_sale_connections", None),
        Sale::Unattributed => ("unattributed", None),
    };
    let connection = no.and_then(|no| ctx.connections.get(&no));
    Ok(ConnectionAggregate {
        kind,
        connection_id: connection.map(|connection| connection.id.clone()),
        connection_label: connection.map(|connection| connection.label.clone()),
        summary,
    })
}

fn lines_of(
    ctx: &ReportContext<'_>,
    key: &EventKey,
    row: &JournalRow,
    disposals: &[&BookedDisposal],
) -> Result<Vec<CapitalGainsRow>> {
    let words = ctx.words(&key.id, row)?;
    let slices = disposals
        .iter()
        .flat_map(|disposal| disposal.slices.iter().map(|slice| (disposal.connection, slice)));
    slices.map(|(no, slice)| line(ctx, key, row, &words, no, slice)).collect()
}

fn line(
    ctx: &ReportContext<'_>,
    key: &EventKey,
    row: &JournalRow,
    words: &Words,
    no: ConnectionNo,
    slice: &Slice,
) -> Result<CapitalGainsRow> {
    let currency = ctx.settings.fiat_currency;
    let (net, gain) = net_and_gain(slice)?;
    Ok(CapitalGainsRow {
        event_id: key.id.to_string(),
        disposed_at: key.time.to_string(),
        kind: row.kind.name(),
        connection_id: ctx.connections.get(&no).map(|connection| connection.id.clone()),
        connection_label: ctx.label(no).to_owned(),
        quantity: slice.used.quantity.to_sat_text(),
        acquired_at: slice.used.lot.acquired_at.to_string(),
        acquired_event_id: slice.used.lot.origin.id.to_string(),
        lot_id: slice.used.lot.lot_id(),
        term: slice.term.name(),
        gross_proceeds_fiat: slice.gross.to_text(currency),
        fee_fiat: slice.fiat_fee.to_text(currency),
        net_proceeds_fiat: net.to_text(currency),
        cost_basis_fiat: basis(slice)?.to_text(currency),
        realized_gain_fiat: gain.to_text(currency),
        algorithm: ctx.algorithm_at(key.time),
        note: words.note.clone(),
        tags: words.tags.clone(),
        quantity_msat: slice.used.quantity,
    })
}

const COLUMNS: [&str; 18] = [
    "event_id",
    "disposed_at",
    "kind",
    "connection",
    "quantity_btc",
    "acquired_at",
    "acquired_event_id",
    "lot_id",
    "term",
    "gross_proceeds",
    "fee",
    "net_proceeds",
    "cost_basis",
    "realized_gain",
    "currency",
    "algorithm",
    "note",
    "tags",
];

fn write_line(ctx: &ReportContext<'_>, line: &CapitalGainsRow, table: &mut Table<'_>) -> Result<()> {
    table.row([
        Cell::text(&line.event_id),
        Cell::plain(&line.disposed_at),
        Cell::plain(line.kind),
        Cell::text(&line.connection_label),
        Cell::plain(line.quantity_msat.to_btc_text()),
        Cell::plain(&line.acquired_at),
        Cell::text(&line.acquired_event_id),
        Cell::text(&line.lot_id),
        Cell::plain(line.term),
        Cell::plain(&line.gross_proceeds_fiat),
        Cell::plain(&line.fee_fiat),
        Cell::plain(&line.net_proceeds_fiat),
        Cell::plain(&line.cost_basis_fiat),
        Cell::plain(&line.realized_gain_fiat),
        Cell::plain(ctx.settings.fiat_currency.code()),
        Cell::plain(line.algorithm),
        Cell::text(line.note.as_deref().unwrap_or_default()),
        Cell::text(line.tags.join(";")),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use rust_decimal::Decimal;

    use super::*;
    use crate::journal::samples::{any_disposal, any_row, booked, disposal, key};
    use crate::model::BookedStep;
    use crate::reports::samples::{SNAPSHOT, context, day_of, saver_rows};

    fn report(rows: &[(EventKey, JournalRow)], range: &Range) -> CapitalGains {
        capital_gains(&context(), rows.iter().cloned().map(Ok), range, SNAPSHOT).unwrap()
    }

    fn csv_of(rows: &[(EventKey, JournalRow)], range: &Range) -> String {
        let mut out = Vec::new();
        capital_gains_csv(&context(), rows.iter().cloned().map(Ok), range, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_csv_of_a_saver() {
        let header = "event_id,disposed_at,kind,connection,quantity_btc,acquired_at,acquired_event_id,lot_id,term,\
            gross_proceeds,fee,net_proceeds,cost_basis,realized_gain,currency,algorithm,note,tags";
        let fee = "move,2023-06-01T00:00:00Z,transaction,Broker,0.00001000,2023-01-15T00:00:00Z,c3.buy-1,c3.buy-1#0,\
            short,1.00,0.00,1.00,0.68,0.32,USD,FIFO,,";
        let spend = "spend,2025-02-01T00:00:00Z,transaction,Cold: storage,0.00029000,2023-01-15T00:00:00Z,c3.buy-1,\
            c3.buy-1#0,long,28.00,0.00,28.00,19.62,8.38,USD,FIFO,\"'=HYPERLINK(\"\"x\"\")\",audit;books";
        assert_eq!(csv_of(&saver_rows(), &Range::default()), format!("{header}\n{fee}\n{spend}\n"));
    }

    #[test]
    fn the_report_of_a_saver() {
        let report = report(&saver_rows(), &Range::default());
        let summary = &report.summary;
        assert_eq!((summary.disposal_count, summary.row_count), (2, 2));
        assert_eq!(summary.total_quantity_disposed, "30000.000");
        assert_eq!(summary.total_realized_gain_fiat, "8.70");
        assert_eq!(summary.total_realized_gain_percentage.as_deref(), Some("42.86"));
        assert_eq!(summary.short_term_realized_gain_fiat, "0.32");
        assert_eq!(summary.long_term_realized_gain_fiat, "8.38");
        assert_eq!(report.rows[1].quantity, "29000.000");
        assert_eq!(
            report.rows[1].note.as_deref(),
            Some("=HYPERLINK(\"x\")"),
            "JSON keeps the words as they are"
        );
        let kinds: Vec<_> =
            report.connection_aggregates.iter().map(|a| (a.kind, a.connection_label.as_deref())).collect();
        let single = "single_sale_connection";
        assert_eq!(kinds, [(single, Some("Cold: storage")), (single, Some("Broker"))]);
    }

    #[test]
    fn a_range_chooses_rows_and_says_so() {
        let zone = context().zone;
        let range = Range::parse(Some("2025-01-01"), Some("2025-12-31"), &zone).unwrap();
        let report = report(&saver_rows(), &range);
        assert_eq!(report.rows.len(), 1);
        assert_eq!(report.range_end.as_deref(), Some("2025-12-31T23:59:59.999999Z"));
        assert_eq!(report.summary.total_cost_basis_fiat, "19.62");
        assert_eq!(report.summary.short_term_realized_gain_percentage, None);
    }

    #[test]
    fn disposals_that_no_one_connection_can_claim_are_kept_apart() {
        let sale = |connection| BookedStep::Disposed(Box::new(disposal(connection, 10, 0)));
        let mut gift = disposal(1, 10, 0);
        gift.realises = false;
        let rows = [
            (key("mixed", 1), booked(vec![sale(1), sale(3)])),
            (key("gone", 2), booked(vec![sale(9)])),
            (key("gift", 3), booked(vec![BookedStep::Disposed(Box::new(gift))])),
        ];
        let report = report(&rows, &Range::default());
        let got: Vec<_> = report
            .connection_aggregates
            .iter()
            .map(|a| (a.kind, a.connection_id.is_some(), a.summary.disposal_count))
            .collect();
        assert_eq!(got, [("mixed_sale_connections", false, 2), ("unattributed", false, 1)]);
        assert_eq!(report.summary.disposal_count, 3);
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn column(csv: &str, name: &str) -> Decimal {
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let place = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
        reader.records().map(|record| decimal(&record.unwrap()[place])).sum()
    }

    proptest! {
        #[test]
        fn the_columns_sum_to_the_printed_totals(
            mut journal in prop::collection::vec(any_row(), 0..4),
            sales in prop::collection::vec(any_disposal(), 0..4),
        ) {
            journal.extend(sales.into_iter().map(|sale| booked(vec![BookedStep::Disposed(Box::new(sale))])));
            let rows: Vec<_> =
                journal.into_iter().enumerate().map(|(n, row)| (key(&format!("e{n}"), n as i64), row)).collect();
            let report = report(&rows, &Range::default());
            let csv = csv_of(&rows, &Range::default());
            let sums = capital_gains_sums(&context(), &day_of(&rows), &Range::default(), SNAPSHOT).unwrap();
            prop_assert_eq!(&sums, &CapitalGains { rows: Vec::new(), ..report.clone() }, "days say the same");
            let total = |pick: fn(&GainSummary) -> &String| {
                let parts = report.connection_aggregates.iter().map(|part| decimal(pick(&part.summary)));
                (decimal(pick(&report.summary)), parts.sum::<Decimal>())
            };
            for (name, pick) in [
                ("gross_proceeds", (|s| &s.total_gross_proceeds_fiat) as fn(&GainSummary) -> &String),
                ("fee", |s| &s.total_fiat_fees_fiat),
                ("net_proceeds", |s| &s.total_net_proceeds_fiat),
                ("cost_basis", |s| &s.total_cost_basis_fiat),
                ("realized_gain", |s| &s.total_realized_gain_fiat),
            ] {
                let (printed, parts) = total(pick);
                prop_assert_eq!(column(&csv, name), printed, "{}", name);
                prop_assert_eq!(parts, printed, "{}", name);
            }
            let sats = column(&csv, "quantity_btc") * Decimal::from(100_000_000);
            prop_assert_eq!(sats, decimal(&report.summary.total_quantity_disposed));
            prop_assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().count(), report.rows.len());
        }
    }
}
