//! The tax summary: capital gains, income and expenses per calendar year of the book's zone.
//!
//! Reads sums of days, never the history. Income is what came in without being bought, given or opened, at its fair value when
//! it came. Every figure of a year is a sum of the rounded figures of its events.

use std::io::Write;

use serde::Serialize;

use super::figures::net_text;
use super::gain_sums::{GainSummary, summary};
use super::table::{Cell, Table};
use super::{Range, ReportContext, ReportHead};
use crate::error::Result;
use crate::journal::{add_day, add_sales, fiat, msats};
use crate::model::{Account, Asset, Counter, DayTotals, SaleTotals};
use crate::money::Currency;
use crate::time::Timestamp;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaxSummary {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The book's currency.
    pub fiat_currency: String,
    /// The lot selection method in force in the years asked for; `mixed` where there was more than one.
    pub algorithm: &'static str,
    /// The zone that decides when a year begins.
    pub timezone: String,
    /// Years with an event, oldest first.
    pub years: Vec<TaxYear>,
    /// The gains of the years shown together.
    pub summary: GainSummary,
    /// Their income.
    pub income: Income,
    /// Their expenses.
    pub expenses: Expenses,
}

/// One year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaxYear {
    /// The calendar year.
    pub year: i16,
    /// The lot selection method in force in it, for CSV; `mixed` where there was more than one.
    #[serde(skip)]
    pub algorithm: &'static str,
    /// Events in it, whatever their status.
    pub event_count: u64,
    /// Of these, set aside and so missing from the figures.
    pub quarantined_count: u64,
    /// Its capital gains.
    #[serde(flatten)]
    pub summary: GainSummary,
    /// What it brought.
    pub income: Income,
    /// What it cost.
    pub expenses: Expenses,
}

/// An amount of bitcoin and its fair value at the times it came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Bitcoin, in decimal satoshis.
    pub quantity: String,
    /// Value in the book's currency, in decimal major units; of amounts in fiat, too.
    pub value_fiat: String,
}

/// Income by kind, at fair value when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Income {
    /// `Income:External`: received from others, and income a source says so.
    pub external: Flow,
    /// `Income:Routing`: fees of routed Lightning payments.
    pub routing: Flow,
    /// `Income:Interest`.
    pub interest: Flow,
    /// All kinds.
    pub total_value_fiat: String,
}

/// Expenses by kind, at fair value when they were paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expenses {
    /// `Expenses:External`: spent (at fair value) and given away (at cost).
    pub external: Flow,
    /// `Expenses:Network Fees`.
    pub network_fees: Flow,
    /// `Expenses:Lightning Fees`.
    pub lightning_fees: Flow,
    /// `Expenses:Exchange Fees`. Those of a buy are in the cost of its lot, those of a sell in its net proceeds.
    pub exchange_fees: Flow,
    /// The three kinds of fees.
    pub total_fees_fiat: String,
}

/// The `years`, oldest first, each with the sums of its days. `range` is what was asked for: one year or all time.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when a total leaves its range.
pub fn tax_summary(
    ctx: &ReportContext<'_>,
    years: &[(i16, DayTotals)],
    range: &Range,
    snapshot_timestamp: Timestamp,
) -> Result<TaxSummary> {
    let mut all = DayTotals::default();
    years.iter().try_for_each(|(_, sums)| add_day(&mut all, sums))?;
    let currency = ctx.settings.fiat_currency;
    let one = |(year, sums): &(i16, DayTotals)| {
        Ok(TaxYear {
            year: *year,
            algorithm: ctx.algorithm(&Range::year(*year, &ctx.zone)?),
            event_count: sums.events,
            quarantined_count: sums.quarantined,
            summary: summary(&sales(sums)?, currency)?,
            income: income(sums, currency)?,
            expenses: expenses(sums, currency)?,
        })
    };
    Ok(TaxSummary {
        head: ctx.head(snapshot_timestamp),
        fiat_currency: currency.code().to_owned(),
        algorithm: ctx.algorithm(range),
        timezone: ctx.settings.timezone.clone(),
        years: years.iter().map(one).collect::<Result<_>>()?,
        summary: summary(&sales(&all)?, currency)?,
        income: income(&all, currency)?,
        expenses: expenses(&all, currency)?,
    })
}

fn sales(sums: &DayTotals) -> Result<SaleTotals> {
    let mut all = SaleTotals::default();
    sums.sales.values().try_for_each(|sales| add_sales(&mut all, sales))?;
    Ok(all)
}

/// What was debited to an account on balance: satoshis of bitcoin, and the value of all its assets.
struct Net {
    msat: i128,
    value: i128,
}

impl Net {
    fn of(sums: &DayTotals, counter: Counter, book: Currency) -> Net {
        let mut net = Net { msat: 0, value: 0 };
        for ((account, asset), movement) in &sums.accounts {
            if *account != Account::Counter(counter) {
                continue;
            }
            if *asset == Asset::Btc {
                net.msat = net.msat.saturating_add(movement.net());
            }
            // What is in the book's currency needs no value.
            let value = if *asset == Asset::Fiat(book) { movement.net() } else { movement.value };
            net.value = net.value.saturating_add(value);
        }
        net
    }

    fn negated(self) -> Net {
        Net { msat: self.msat.saturating_neg(), value: self.value.saturating_neg() }
    }

    fn flow(&self, currency: Currency) -> Result<Flow> {
        Ok(Flow {
            quantity: net_text(Asset::Btc, msats(self.msat)?.get().into())?,
            value_fiat: fiat(self.value)?.to_text(currency),
        })
    }
}

fn income(sums: &DayTotals, currency: Currency) -> Result<Income> {
    let of = |counter| Net::of(sums, counter, currency).negated();
    let [external, routing, interest] =
        [of(Counter::IncomeExternal), of(Counter::IncomeRouting), of(Counter::IncomeInterest)];
    let total = external.value.saturating_add(routing.value).saturating_add(interest.value);
    Ok(Income {
        external: external.flow(currency)?,
        routing: routing.flow(currency)?,
        interest: interest.flow(currency)?,
        total_value_fiat: fiat(total)?.to_text(currency),
    })
}

fn expenses(sums: &DayTotals, currency: Currency) -> Result<Expenses> {
    let of = |counter| Net::of(sums, counter, currency);
    let fees = [of(Counter::NetworkFees), of(Counter::LightningFees), of(Counter::ExchangeFees)];
    let [network, lightning, exchange] = &fees;
    let total = fees.iter().fold(0i128, |sum, fee| sum.saturating_add(fee.value));
    Ok(Expenses {
        external: of(Counter::ExpensesExternal).flow(currency)?,
        network_fees: network.flow(currency)?,
        lightning_fees: lightning.flow(currency)?,
        exchange_fees: exchange.flow(currency)?,
        total_fees_fiat: fiat(total)?.to_text(currency),
    })
}

impl TaxSummary {
    /// Writes one line per year.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) when `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> Result<()> {
        let mut table = Table::start(out, COLUMNS)?;
        for TaxYear { year, algorithm, summary, income, expenses, .. } in &self.years {
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
                Cell::plain(&income.external.value_fiat),
                Cell::plain(&income.routing.value_fiat),
                Cell::plain(&income.interest.value_fiat),
                Cell::plain(&income.total_value_fiat),
                Cell::plain(&expenses.external.value_fiat),
                Cell::plain(&expenses.network_fees.value_fiat),
                Cell::plain(&expenses.lightning_fees.value_fiat),
                Cell::plain(&expenses.exchange_fees.value_fiat),
                Cell::plain(&expenses.total_fees_fiat),
            ])?;
        }
        table.finish()
    }
}

const COLUMNS: [&str; 21] = [
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
    "income_external",
    "income_routing",
    "income_interest",
    "income_total",
    "spent",
    "network_fees",
    "lightning_fees",
    "exchange_fees",
    "fees_total",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use rust_decimal::Decimal;

    use super::*;
    use crate::id::EventKey;
    use crate::journal::samples::{any_row, booked, key, no, opening, usd};
    use crate::model::{BookedStep, JournalRow};
    use crate::money::Msats;
    use crate::reports::samples::{SNAPSHOT, context, day_of, saver_rows};

    fn years(rows: Vec<(EventKey, JournalRow)>) -> Vec<(i16, DayTotals)> {
        let mut years: BTreeMap<i16, Vec<_>> = BTreeMap::new();
        for row in rows {
            years.entry(context().zone.year(row.0.time).unwrap()).or_default().push(row);
        }
        years.into_iter().map(|(year, rows)| (year, day_of(&rows))).collect()
    }

    fn csv_of(report: &TaxSummary) -> String {
        let mut out = Vec::new();
        report.write_csv(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn years_of_a_saver() {
        let report = tax_summary(&context(), &years(saver_rows()), &Range::default(), SNAPSHOT).unwrap();
        let expected = "year,disposal_count,quantity_btc,gross_proceeds,fee,net_proceeds,cost_basis,short_term_gain,\
            long_term_gain,realized_gain,currency,algorithm,income_external,income_routing,income_interest,income_total,\
            spent,network_fees,lightning_fees,exchange_fees,fees_total\n\
            2023,1,0.00001000,1.00,0.00,1.00,0.68,0.32,0.00,0.32,USD,FIFO,0.00,0.00,0.00,0.00,0.00,1.00,0.00,1.50,2.50\n\
            2025,1,0.00029000,28.00,0.00,28.00,19.62,0.00,8.38,8.38,USD,FIFO,0.00,0.00,0.00,0.00,28.00,1.00,0.00,0.00,\
            1.00\n";
        assert_eq!(csv_of(&report), expected);
        assert_eq!(report.summary.total_realized_gain_fiat, "8.70");
        assert_eq!(report.expenses.total_fees_fiat, "3.50");
        assert_eq!(report.years[0].event_count, 2);
    }

    #[test]
    fn income_is_told_by_kind_at_its_value_then() {
        let came = |counter, msat, cents| {
            let (connection, quantity, value) = (no(1), Msats::new(msat), usd(cents));
            booked(vec![BookedStep::Acquired {
                connection,
                quantity,
                counter,
                value,
                paid: None,
                lot: opening(cents),
            }])
        };
        let rows = [
            (Counter::IncomeExternal, 1_000, 100),
            (Counter::IncomeInterest, 500, 60),
            (Counter::IncomeExternal, 250, 7),
            (Counter::IncomeRouting, 1, 1),
            (Counter::Conversion, 9_000, 900),
            (Counter::OpeningBalances, 9_000, 900),
        ];
        let rows = rows.iter().map(|(counter, msat, cents)| (key("e", 0), came(*counter, *msat, *cents)));
        let report = tax_summary(&context(), &years(rows.collect()), &Range::default(), SNAPSHOT).unwrap();
        let flow = |quantity: &str, value: &str| Flow { quantity: quantity.into(), value_fiat: value.into() };
        let expected = Income {
            external: flow("1.250", "1.07"),
            routing: flow("0.001", "0.01"),
            interest: flow("0.500", "0.60"),
            total_value_fiat: "1.68".into(),
        };
        assert_eq!((&report.income, &report.years[0].income), (&expected, &expected));
    }

    proptest! {
        #[test]
        fn the_columns_sum_to_the_printed_totals(rows in prop::collection::vec(any_row(), 0..6)) {
            let dated = rows.into_iter().enumerate().map(|(n, row)| (key("e", 30_000_000 * n as i64), row));
            let report = tax_summary(&context(), &years(dated.collect()), &Range::default(), SNAPSHOT).unwrap();
            let csv = csv_of(&report);
            let column = |name: &str| -> Decimal {
                let mut reader = csv::Reader::from_reader(csv.as_bytes());
                let place = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
                reader.records().map(|record| record.unwrap()[place].parse::<Decimal>().unwrap()).sum()
            };
            for (name, printed) in [
                ("gross_proceeds", &report.summary.total_gross_proceeds_fiat),
                ("cost_basis", &report.summary.total_cost_basis_fiat),
                ("short_term_gain", &report.summary.short_term_realized_gain_fiat),
                ("long_term_gain", &report.summary.long_term_realized_gain_fiat),
                ("realized_gain", &report.summary.total_realized_gain_fiat),
                ("income_external", &report.income.external.value_fiat),
                ("income_total", &report.income.total_value_fiat),
                ("spent", &report.expenses.external.value_fiat),
                ("network_fees", &report.expenses.network_fees.value_fiat),
                ("exchange_fees", &report.expenses.exchange_fees.value_fiat),
                ("fees_total", &report.expenses.total_fees_fiat),
            ] {
                prop_assert_eq!(column(name), printed.parse::<Decimal>().unwrap(), "{}", name);
            }
        }
    }
}
