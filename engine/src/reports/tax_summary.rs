//! The tax summary: capital gains per calendar year of the book's zone.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::civil::Date;
use serde::Serialize;

use super::capital_gains::for_each_sale;
use super::gain_sums::{GainSummary, GainSums};
use super::table::{Cell, Table};
use super::{Range, ReportContext, ReportHead};
use crate::error::{Error, Result};
use crate::id::EventKey;
use crate::model::JournalRow;
use crate::time::Timestamp;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaxSummary {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The book's currency.
    pub fiat_currency: String,
    /// The lot selection method.
    pub algorithm: &'static str,
    /// The zone that decides when a year begins.
    pub timezone: String,
    /// Years with a disposal, oldest first.
    pub years: Vec<TaxYear>,
    /// All years together.
    pub summary: GainSummary,
}

/// The disposals of one year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaxYear {
    /// The calendar year.
    pub year: i16,
    /// The lot selection method in force in it, for CSV; `mixed` where there was more than one.
    #[serde(skip)]
    pub algorithm: &'static str,
    /// Its totals.
    #[serde(flatten)]
    pub summary: GainSummary,
}

/// The capital gains of `rows` by year.
///
/// # Errors
/// As [`capital_gains`](super::capital_gains).
pub fn tax_summary(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    snapshot_timestamp: Timestamp,
) -> Result<TaxSummary> {
    let mut all = GainSums::default();
    let mut by_year: BTreeMap<i16, GainSums> = BTreeMap::new();
    for_each_sale(rows, &Range::default(), |key, _, disposals| {
        let year = by_year.entry(ctx.zone.year(key.time)?).or_default();
        disposals.iter().try_for_each(|disposal| {
            year.add(disposal)?;
            all.add(disposal)
        })
    })?;
    let currency = ctx.settings.fiat_currency;
    let one = |(year, sums): (i16, GainSums)| {
        let algorithm = ctx.algorithm(&whole_year(ctx, year)?);
        Ok(TaxYear { year, algorithm, summary: sums.summary(currency)? })
    };
    Ok(TaxSummary {
        head: ctx.head(snapshot_timestamp),
        fiat_currency: currency.code().to_owned(),
        algorithm: ctx.algorithm(&Range::default()),
        timezone: ctx.settings.timezone.clone(),
        years: by_year.into_iter().map(one).collect::<Result<_>>()?,
        summary: all.summary(currency)?,
    })
}

/// The instants of a calendar year.
fn whole_year(ctx: &ReportContext<'_>, year: i16) -> Result<Range> {
    let bad = |error: jiff::Error| Error::invalid("date", error.to_string());
    let (first, last) = (Date::new(year, 1, 1).map_err(bad)?, Date::new(year, 12, 31).map_err(bad)?);
    Ok(Range { start: Some(ctx.zone.start_of(first)?), end: Some(ctx.zone.end_of(last)?) })
}

impl TaxSummary {
    /// Writes one line per year.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) when `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> Result<()> {
        let mut table = Table::start(out, COLUMNS)?;
        for TaxYear { year, algorithm, summary } in &self.years {
            table.row([
                Cell::plain(year.to_string()),
                Cell::plain(summary.disposal_count.to_string()),
                Cell::plain(summary.quantity.to_btc_text()),
                Cell::plain(&summary.total_gross_proceeds_fiat),
                Cell::plain(&summary.total_fiat_fees_fiat),
                Cell::plain(&summary.total_net_proceeds_fiat),
                Cell::plain(&summary.total_cost_basis_fiat),
                Cell::plain(&summary.short_term_realized_gain_fiat),
                Cell::plain(&summary.long_term_realized_gain_fiat),
                Cell::plain(&summary.total_realized_gain_fiat),
                Cell::plain(&self.fiat_currency),
                Cell::plain(*algorithm),
            ])?;
        }
        table.finish()
    }
}

const COLUMNS: [&str; 12] = [
    "year",
    "disposal_count",
    "quantity_btc",
    "gross_proceeds",
    "fee",
    "net_proceeds",
    "cost_basis",
    "short_term_gain",
    "long_term_gain",
    "realized_gain",
    "currency",
    "algorithm",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::journal::samples::{booked, disposal, key};
    use crate::model::BookedStep;
    use crate::reports::samples::{SNAPSHOT, context, saver_rows};
    use crate::time::Zone;

    #[test]
    fn years_of_a_saver() {
        let report = tax_summary(&context(), saver_rows().into_iter().map(Ok), SNAPSHOT).unwrap();
        let mut out = Vec::new();
        report.write_csv(&mut out).unwrap();
        let expected = "year,disposal_count,quantity_btc,gross_proceeds,fee,net_proceeds,cost_basis,short_term_gain,\
            long_term_gain,realized_gain,currency,algorithm\n\
            2023,1,0.00001000,1.00,0.00,1.00,0.68,0.32,0.00,0.32,USD,FIFO\n\
            2025,1,0.00029000,28.00,0.00,28.00,19.62,0.00,8.38,8.38,USD,FIFO\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(report.summary.total_realized_gain_fiat, "8.70");
    }

    #[test]
    fn the_zone_decides_the_year() {
        let new_year = Timestamp::parse_rfc3339("2025-01-01T03:00:00Z").unwrap();
        let sale = booked(vec![BookedStep::Disposed(Box::new(disposal(1, 10, 0)))]);
        let rows = [Ok((key("sale", new_year.as_micros() / 1_000_000), sale))];
        let mut ctx = context();
        ctx.zone = Zone::named("America/New_York").unwrap();
        let report = tax_summary(&ctx, rows.into_iter(), SNAPSHOT).unwrap();
        assert_eq!(report.years[0].year, 2024);
    }
}
