//! Open lots: what is still held, by acquisition.

use std::io::Write;

use serde::Serialize;

use super::table::{Cell, Table};
use super::{ReportContext, ReportHead};
use crate::error::Result;
use crate::model::{OpenLot, Term};
use crate::money::{Fiat, Msats};
use crate::time::{Timestamp, is_long_term};

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenLots {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The instant the books are shown at (RFC 3339, UTC); `null`: as they stand.
    pub as_of: Option<String>,
    /// The book's currency.
    pub fiat_currency: String,
    /// The lot selection method in force at the instant shown.
    pub algorithm: &'static str,
    /// Sum of the rows' quantities, in decimal satoshis.
    pub total_quantity: String,
    /// Sum of the rows' costs, in decimal major units.
    pub total_cost_basis_fiat: String,
    /// One per open lot, in the order handed in.
    pub rows: Vec<OpenLotRow>,
}

/// What is left of one lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenLotRow {
    /// The lot.
    pub lot_id: String,
    /// When it was acquired (RFC 3339, UTC).
    pub acquired_at: String,
    /// The event that acquired it.
    pub acquired_event_id: String,
    /// The connection whose pool holds it; `null` in the book's one pool.
    pub connection_id: Option<String>,
    /// What the user calls that connection.
    pub connection_label: Option<String>,
    /// Quantity left, in decimal satoshis.
    pub quantity: String,
    /// Cost left, in decimal major units.
    pub cost_basis_fiat: String,
    /// `short` or `long`, if it were disposed of at the instant shown.
    pub term: &'static str,
    /// For CSV, which prints bitcoin.
    #[serde(skip)]
    quantity_msat: Msats,
}

/// The open `lots`.
///
/// # Errors
/// What `lots` yields; [`Error::Overflow`](crate::Error::Overflow) when a total leaves its range.
pub fn open_lots(
    ctx: &ReportContext<'_>,
    lots: impl Iterator<Item = Result<OpenLot>>,
    as_of: Option<Timestamp>,
    snapshot_timestamp: Timestamp,
) -> Result<OpenLots> {
    let (mut quantity, mut cost, mut rows) = (Msats::ZERO, Fiat::ZERO, Vec::new());
    let shown_at = as_of.unwrap_or(snapshot_timestamp);
    for lot in lots {
        let lot = lot?;
        quantity = quantity.add(lot.quantity)?;
        cost = cost.add(lot.cost)?;
        rows.push(row(ctx, &lot, shown_at)?);
    }
    let currency = ctx.settings.fiat_currency;
    Ok(OpenLots {
        head: ctx.head(snapshot_timestamp),
        as_of: as_of.map(|at| at.to_string()),
        fiat_currency: currency.code().to_owned(),
        algorithm: ctx.algorithm_at(shown_at),
        total_quantity: quantity.to_sat_text(),
        total_cost_basis_fiat: cost.to_text(currency),
        rows,
    })
}

/// Writes the rows of [`open_lots`] to `out` as CSV, one at a time; bitcoin in decimal bitcoin, terms as of `shown_at`.
///
/// # Errors
/// As [`open_lots`]; [`Error::Cancelled`](crate::Error::Cancelled) when `out` takes no more.
pub fn open_lots_csv(
    ctx: &ReportContext<'_>,
    lots: impl Iterator<Item = Result<OpenLot>>,
    shown_at: Timestamp,
    out: &mut dyn Write,
) -> Result<()> {
    let mut table = Table::start(out, COLUMNS)?;
    for lot in lots {
        let row = row(ctx, &lot?, shown_at)?;
        table.row([
            Cell::text(row.lot_id),
            Cell::plain(row.acquired_at),
            Cell::text(row.acquired_event_id),
            Cell::text(row.connection_label.unwrap_or_default()),
            Cell::plain(row.quantity_msat.to_btc_text()),
            Cell::plain(row.cost_basis_fiat),
            Cell::plain(row.term),
            Cell::plain(ctx.settings.fiat_currency.code()),
        ])?;
    }
    table.finish()
}

const COLUMNS: [&str; 8] = [
    "lot_id",
    "acquired_at",
    "acquired_event_id",
    "connection",
    "quantity_btc",
    "cost_basis",
    "term",
    "currency",
];

fn row(ctx: &ReportContext<'_>, lot: &OpenLot, shown_at: Timestamp) -> Result<OpenLotRow> {
    let connection = lot.key.pool.and_then(|no| ctx.connections.get(&no));
    let (acquired, today) = (ctx.zone.day(lot.key.acquired_at)?, ctx.zone.day(shown_at)?);
    let term = if is_long_term(acquired, today) { Term::Long } else { Term::Short };
    Ok(OpenLotRow {
        lot_id: lot.key.lot_id(),
        acquired_at: lot.key.acquired_at.to_string(),
        acquired_event_id: lot.key.origin.id.to_string(),
        connection_id: connection.map(|connection| connection.id.clone()),
        connection_label: connection.map(|connection| connection.label.clone()),
        quantity: lot.quantity.to_sat_text(),
        cost_basis_fiat: lot.cost.to_text(ctx.settings.fiat_currency),
        term: term.name(),
        quantity_msat: lot.quantity,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::ConnectionNo;
    use crate::journal::samples::lot;
    use crate::model::LotKey;
    use crate::reports::samples::{SNAPSHOT, context};

    fn whole(key: LotKey, msat: i64, cost: i64) -> OpenLot {
        OpenLot { key, quantity: Msats::new(msat), cost: Fiat::new(cost), loss_cost: None }
    }

    fn lots() -> Vec<Result<OpenLot>> {
        let mut pooled = lot("c3.buy-2", 1_748_000_000);
        pooled.pool = Some(ConnectionNo(3));
        vec![Ok(whole(lot("c3.buy-1", 0), 150_000_001, 100)), Ok(whole(pooled, 1_000, 5))]
    }

    #[test]
    fn lots_carry_their_term_as_of_the_snapshot_and_sum_up() {
        let report = open_lots(&context(), lots().into_iter(), None, SNAPSHOT).unwrap();
        assert_eq!(
            (report.total_quantity.as_str(), report.total_cost_basis_fiat.as_str()),
            ("150001.001", "1.05")
        );
        let mut out = Vec::new();
        open_lots_csv(&context(), lots().into_iter(), SNAPSHOT, &mut out).unwrap();
        let expected = "lot_id,acquired_at,acquired_event_id,connection,quantity_btc,cost_basis,term,currency\n\
            c3.buy-1#0,1970-01-01T00:00:00Z,c3.buy-1,,0.00150000001,1.00,long,USD\n\
            c3.buy-2#0,2025-05-23T11:33:20Z,c3.buy-2,Broker,0.00000001,0.05,short,USD\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
