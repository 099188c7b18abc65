//! Balance history: what accounts held at the end of each hour, day, week or month, and what changed in it.
//!
//! Reads sums of spans; the CSV streams. Bitcoin is valued at the last rate before the end of a span that is no older than
//! the books allow for any valuation; without one its value is `null`, never a guess. Totals are sums of the rows shown.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::figures::net_text;
use super::table::{Cell, Table};
use super::{Interval, Range, ReportContext, ReportHead};
use crate::error::{Error, Result};
use crate::id::ConnectionNo;
use crate::journal::{chart, fiat, msats};
use crate::model::{Account, Asset, DayTotals};
use crate::money::{Fiat, Rate};
use crate::time::Timestamp;

/// Which accounts and how finely; every condition must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// How the range is cut.
    pub interval: Interval,
    /// The instants shown.
    pub range: Range,
    /// Accounts of this connection alone.
    pub connection: Option<ConnectionNo>,
    /// The account of this path and all below it.
    pub account: String,
    /// This asset alone (`BTC` or an ISO 4217 code).
    pub asset: Option<String>,
}

/// Where the sums and prices of a history come from.
pub trait HistorySource {
    /// What the events of `span` did.
    ///
    /// # Errors
    /// When they cannot be read.
    fn sum(&mut self, span: &Range) -> Result<DayTotals>;

    /// The price of one bitcoin in the book's currency at `at`, and its instant, where there is one fresh enough.
    ///
    /// # Errors
    /// When it cannot be read.
    fn rate(&mut self, at: Timestamp) -> Result<Option<(Rate, Timestamp)>>;
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceHistory {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The book's currency: that of every `fiat_value`.
    pub fiat_currency: String,
    /// `hour`, `day`, `week` or `month`.
    pub interval: &'static str,
    /// The zone that decides when they begin.
    pub timezone: String,
    /// First instant shown (RFC 3339, UTC); `null` in an empty book.
    pub range_start: Option<String>,
    /// Last instant shown.
    pub range_end: Option<String>,
    /// The path above which no account is shown.
    pub account: String,
    /// Oldest first.
    pub intervals: Vec<HistorySpan>,
}

/// One span of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistorySpan {
    /// Its first instant.
    pub start: String,
    /// Its last instant.
    pub end: String,
    /// The price of one bitcoin at its end; `null` when there is none fresh enough.
    pub btc_rate_fiat: Option<String>,
    /// The instant of that price.
    pub btc_rate_timestamp: Option<String>,
    /// Accounts that hold something or changed, in the order of the chart.
    pub balances: Vec<HistoryLine>,
    /// The same by asset; sums of `balances`.
    pub totals: Vec<HistoryTotal>,
}

/// One account in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryLine {
    /// Full path of the account.
    pub account: String,
    /// The connection whose leaf it is.
    pub connection_id: Option<String>,
    /// `BTC` or an ISO 4217 code.
    pub asset_code: String,
    /// Debits minus credits at the end: decimal satoshis for bitcoin, minor units for fiat.
    pub net: String,
    /// What the span changed, in the same units.
    pub change: String,
    /// Value of `net` in the book's currency, decimal major units; `null` where none is known.
    pub fiat_value: Option<String>,
    /// For CSV, which prints bitcoin and major units.
    #[serde(skip)]
    place: Place,
}

/// One asset over all accounts shown; units as in [`HistoryLine`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryTotal {
    /// `BTC` or an ISO 4217 code.
    pub asset_code: String,
    /// Debits minus credits at the end.
    pub net: String,
    /// What the span changed.
    pub change: String,
    /// Sum of the values above.
    pub fiat_value: Option<String>,
}

/// What a line shows, unprinted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    asset: Asset,
    net: i128,
    change: i128,
    value: Option<Fiat>,
}

/// Lines a history has at most as JSON; the CSV has no bound.
const LINES_MAX: usize = 200_000;

/// The history of `query` over `spans`.
///
/// # Errors
/// [`Error::Invalid`] when it has too many lines for one answer, what `source` yields, [`Error::Overflow`] when a figure
/// leaves its range.
pub fn balance_history(
    ctx: &ReportContext<'_>,
    query: &HistoryQuery,
    spans: &[Range],
    source: &mut dyn HistorySource,
    snapshot_timestamp: Timestamp,
) -> Result<BalanceHistory> {
    let (mut intervals, mut lines) = (Vec::new(), 0);
    for_each_span(ctx, query, spans, source, |span| {
        lines += span.balances.len();
        if lines > LINES_MAX {
            let problem =
                format!("the history has more than {LINES_MAX} lines; narrow it, or ask for format=csv");
            return Err(Error::invalid("interval", problem));
        }
        intervals.push(span);
        Ok(())
    })?;
    let bound = |bound: Option<Timestamp>| bound.map(|at| at.to_string());
    Ok(BalanceHistory {
        head: ctx.head(snapshot_timestamp),
        fiat_currency: ctx.settings.fiat_currency.code().to_owned(),
        interval: query.interval.name(),
        timezone: ctx.settings.timezone.clone(),
        range_start: bound(spans.first().and_then(|span| span.start)),
        range_end: bound(spans.last().and_then(|span| span.end)),
        account: query.account.clone(),
        intervals,
    })
}

/// Writes the lines of [`balance_history`] to `out` as CSV, span by span; bitcoin in decimal bitcoin, fiat in decimal
/// major units.
///
/// # Errors
/// As [`balance_history`]; [`Error::Cancelled`] when `out` takes no more.
pub fn balance_history_csv(
    ctx: &ReportContext<'_>,
    query: &HistoryQuery,
    spans: &[Range],
    source: &mut dyn HistorySource,
    out: &mut dyn Write,
) -> Result<()> {
    let mut table = Table::start(out, COLUMNS)?;
    for_each_span(ctx, query, spans, source, |span| {
        let HistorySpan { start, end, btc_rate_fiat, .. } = &span;
        span.balances.iter().try_for_each(|line| {
            table.row([
                Cell::plain(start),
                Cell::plain(end),
                Cell::text(&line.account),
                Cell::plain(&line.asset_code),
                Cell::plain(units_text(line.place.asset, line.place.change)?),
                Cell::plain(units_text(line.place.asset, line.place.net)?),
                Cell::plain(line.fiat_value.as_deref().unwrap_or_default()),
                Cell::plain(ctx.settings.fiat_currency.code()),
                Cell::plain(btc_rate_fiat.as_deref().unwrap_or_default()),
            ])
        })
    })?;
    table.finish()
}

const COLUMNS: [&str; 9] =
    ["start", "end", "account", "asset", "change", "balance", "fiat_value", "currency", "btc_rate"];

fn for_each_span(
    ctx: &ReportContext<'_>,
    query: &HistoryQuery,
    spans: &[Range],
    source: &mut dyn HistorySource,
    mut each: impl FnMut(HistorySpan) -> Result<()>,
) -> Result<()> {
    let Some(begin) = spans.first().and_then(|span| span.start) else { return Ok(()) };
    let mut nets: BTreeMap<(Account, Asset), i128> = BTreeMap::new();
    let earlier = begin.as_micros().checked_sub(1).map(Timestamp::from_micros);
    if let Some(end) = earlier {
        let before = source.sum(&Range { start: None, end: Some(end) })?;
        nets.extend(changes(ctx, query, &before));
    }
    for span in spans {
        let mut lines: BTreeMap<(Account, Asset), (i128, i128)> =
            nets.iter().map(|(place, net)| (*place, (*net, 0))).collect();
        for (place, change) in changes(ctx, query, &source.sum(span)?) {
            let line = lines.entry(place).or_default();
            *line = (line.0.saturating_add(change), change);
        }
        let end = span.end.unwrap_or(Timestamp::MAX);
        each(shown(ctx, span, &lines, source.rate(end)?)?)?;
        nets = lines.into_iter().map(|(place, (net, _))| (place, net)).filter(|(_, net)| *net != 0).collect();
    }
    Ok(())
}

/// What `sums` changed in the accounts asked for.
fn changes(ctx: &ReportContext<'_>, query: &HistoryQuery, sums: &DayTotals) -> Vec<((Account, Asset), i128)> {
    let below = format!("{}:", query.account);
    let wanted = |(account, asset): &(Account, Asset)| {
        let path = ctx.account_path(*account);
        (path == query.account || path.starts_with(&below))
            && query.connection.is_none_or(|no| chart::leaf(*account) == Some(no))
            && query.asset.as_deref().is_none_or(|code| asset.code() == code)
    };
    let moved = sums.accounts.iter().filter(|(place, movement)| movement.net() != 0 && wanted(place));
    moved.map(|(place, movement)| (*place, movement.net())).collect()
}

fn shown(
    ctx: &ReportContext<'_>,
    span: &Range,
    lines: &BTreeMap<(Account, Asset), (i128, i128)>,
    rate: Option<(Rate, Timestamp)>,
) -> Result<HistorySpan> {
    let text = |bound: Option<Timestamp>| bound.map(|at| at.to_string()).unwrap_or_default();
    let price = rate.map(|(rate, _)| rate);
    let balances = lines.iter().map(|(place, figures)| line(ctx, *place, *figures, price));
    let balances: Vec<HistoryLine> = balances.collect::<Result<_>>()?;
    Ok(HistorySpan {
        start: text(span.start),
        end: text(span.end),
        btc_rate_fiat: price.map(|rate| rate.to_decimal().to_string()),
        btc_rate_timestamp: rate.map(|(_, time)| time.to_string()),
        totals: totals(ctx, &balances)?,
        balances,
    })
}

fn line(
    ctx: &ReportContext<'_>,
    (account, asset): (Account, Asset),
    (net, change): (i128, i128),
    rate: Option<Rate>,
) -> Result<HistoryLine> {
    let book = ctx.settings.fiat_currency;
    let value = match asset {
        Asset::Btc => rate.map(|rate| rate.value(msats(net)?, book)).transpose()?,
        Asset::Fiat(currency) if currency == book => Some(fiat(net)?),
        Asset::Fiat(_) => None,
    };
    let connection = chart::leaf(account).and_then(|no| ctx.connections.get(&no));
    Ok(HistoryLine {
        account: ctx.account_path(account),
        connection_id: connection.map(|connection| connection.id.clone()),
        asset_code: asset.code().to_owned(),
        net: net_text(asset, net)?,
        change: net_text(asset, change)?,
        fiat_value: value.map(|value| value.to_text(book)),
        place: Place { asset, net, change, value },
    })
}

fn totals(ctx: &ReportContext<'_>, lines: &[HistoryLine]) -> Result<Vec<HistoryTotal>> {
    let mut sums: BTreeMap<Asset, Place> = BTreeMap::new();
    for HistoryLine { place, .. } in lines {
        let none = Place { net: 0, change: 0, value: Some(Fiat::ZERO), ..*place };
        let sum = sums.entry(place.asset).or_insert(none);
        sum.net = sum.net.saturating_add(place.net);
        sum.change = sum.change.saturating_add(place.change);
        sum.value = match (sum.value, place.value) {
            (Some(sum), Some(value)) => Some(sum.add(value)?),
            _ => None,
        };
    }
    let total = |Place { asset, net, change, value }: Place| {
        Ok(HistoryTotal {
            asset_code: asset.code().to_owned(),
            net: net_text(asset, net)?,
            change: net_text(asset, change)?,
            fiat_value: value.map(|value| value.to_text(ctx.settings.fiat_currency)),
        })
    };
    sums.into_values().map(total).collect()
}

/// Decimal bitcoin or major units.
fn units_text(asset: Asset, units: i128) -> Result<String> {
    Ok(match asset {
        Asset::Btc => msats(units)?.to_btc_text(),
        Asset::Fiat(currency) => fiat(units)?.to_text(currency),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use rust_decimal::Decimal;

    use super::*;
    use crate::id::EventKey;
    use crate::journal::samples::{any_row, key, no};
    use crate::model::JournalRow;
    use crate::reports::samples::{SNAPSHOT, context, day_of, saver_rows};

    /// Rows in memory, and one price from some instant on.
    struct Rows {
        rows: Vec<(EventKey, JournalRow)>,
        price: Option<(&'static str, Timestamp)>,
    }

    impl HistorySource for Rows {
        fn sum(&mut self, span: &Range) -> Result<DayTotals> {
            let mine = self.rows.iter().filter(|(key, _)| span.contains(key.time)).cloned();
            Ok(day_of(&mine.collect::<Vec<_>>()))
        }

        fn rate(&mut self, at: Timestamp) -> Result<Option<(Rate, Timestamp)>> {
            let price = self.price.filter(|(_, from)| *from <= at);
            price.map(|(price, from)| Ok((Rate::from_decimal(price.parse().unwrap())?, from))).transpose()
        }
    }

    fn query(interval: Interval) -> HistoryQuery {
        let range = Range::default();
        HistoryQuery { interval, range, connection: None, account: "Assets".into(), asset: None }
    }

    fn spans(interval: Interval, start: &str, end: &str) -> Vec<Range> {
        let zone = context().zone;
        let range = Range::parse(Some(start), Some(end), &zone).unwrap();
        interval.spans(&zone, range.start.unwrap(), range.end.unwrap()).unwrap()
    }

    fn saver() -> Rows {
        let from = Timestamp::parse_rfc3339("2025-02-10T00:00:00Z").unwrap();
        Rows { rows: saver_rows(), price: Some(("100000", from)) }
    }

    fn csv_of(query: &HistoryQuery, spans: &[Range], source: &mut Rows) -> String {
        let mut out = Vec::new();
        balance_history_csv(&context(), query, spans, source, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_saver_by_month() {
        let spans = spans(Interval::Month, "2025-01-01", "2025-02-28");
        let expected = "start,end,account,asset,change,balance,fiat_value,currency,btc_rate\n\
            2025-01-01T00:00:00Z,2025-01-31T23:59:59.999999Z,Assets:On-chain:Cold%3A storage,BTC,0.00000000,0.00088000,,\
            USD,\n\
            2025-01-01T00:00:00Z,2025-01-31T23:59:59.999999Z,Assets:Managed:Broker,BTC,0.00000000,0.00061000,,USD,\n\
            2025-01-01T00:00:00Z,2025-01-31T23:59:59.999999Z,Assets:Fiat:Broker,USD,0.00,-101.50,-101.50,USD,\n\
            2025-02-01T00:00:00Z,2025-02-28T23:59:59.999999Z,Assets:On-chain:Cold%3A storage,BTC,-0.00029000,0.00059000,\
            59.00,USD,100000\n\
            2025-02-01T00:00:00Z,2025-02-28T23:59:59.999999Z,Assets:Managed:Broker,BTC,0.00000000,0.00061000,61.00,USD,\
            100000\n\
            2025-02-01T00:00:00Z,2025-02-28T23:59:59.999999Z,Assets:Fiat:Broker,USD,0.00,-101.50,-101.50,USD,100000\n";
        assert_eq!(csv_of(&query(Interval::Month), &spans, &mut saver()), expected);
    }

    #[test]
    fn the_report_keeps_totals_and_says_where_no_rate_is() {
        let spans = spans(Interval::Month, "2025-01-01", "2025-02-28");
        let asked = query(Interval::Month);
        let report = balance_history(&context(), &asked, &spans, &mut saver(), SNAPSHOT).unwrap();
        let total = |at: usize| report.intervals[at].totals[0].clone();
        assert_eq!((total(0).net.as_str(), total(0).fiat_value), ("149000.000", None));
        assert_eq!((total(1).net.as_str(), total(1).change.as_str()), ("120000.000", "-29000.000"));
        assert_eq!(total(1).fiat_value.as_deref(), Some("120.00"));
        assert_eq!(report.intervals[0].btc_rate_fiat, None);
        assert_eq!(report.range_end.as_deref(), Some("2025-02-28T23:59:59.999999Z"));
    }

    #[test]
    fn filters_must_all_hold() {
        let spans = spans(Interval::Week, "2025-02-01", "2025-02-28");
        let ask = |change: fn(&mut HistoryQuery)| {
            let mut asked = query(Interval::Week);
            change(&mut asked);
            let report = balance_history(&context(), &asked, &spans, &mut saver(), SNAPSHOT).unwrap();
            let last = report.intervals.last().unwrap().balances.clone();
            last.into_iter().map(|line| format!("{} {}", line.account, line.asset_code)).collect::<Vec<_>>()
        };
        assert_eq!(ask(|asked| asked.asset = Some("USD".into())), ["Assets:Fiat:Broker USD"]);
        assert_eq!(ask(|asked| asked.connection = Some(no(1))), ["Assets:On-chain:Cold%3A storage BTC"]);
        assert_eq!(ask(|asked| asked.account = "Assets:Managed".into()), ["Assets:Managed:Broker BTC"]);
        assert_eq!(ask(|asked| asked.account = "Expenses:External".into()), ["Expenses:External BTC"]);
        assert_eq!(ask(|asked| asked.account = "Asset".into()), [""; 0]);
    }

    proptest! {
        #[test]
        fn changes_add_up_to_the_balance(rows in prop::collection::vec((any_row(), 0i64..40), 0..8)) {
            let rows: Vec<_> =
                rows.into_iter().map(|(row, day)| (key("e", day * 86_400), row)).collect();
            let mut source = Rows { rows, price: None };
            let spans = spans(Interval::Week, "1970-01-10", "1970-02-05");
            let report = balance_history(&context(), &query(Interval::Week), &spans, &mut source, SNAPSHOT).unwrap();
            let csv = csv_of(&query(Interval::Week), &spans, &mut source);
            let mut balances: BTreeMap<String, Decimal> = BTreeMap::new();
            let opening = source.sum(&Range { start: None, end: Some(Timestamp::from_micros(spans[0].start.unwrap().as_micros() - 1)) }).unwrap();
            for ((account, asset), movement) in &opening.accounts {
                let place = format!("{} {}", context().account_path(*account), asset.code());
                balances.insert(place, units_text(*asset, movement.net()).unwrap().parse().unwrap());
            }
            let mut sums: BTreeMap<(String, String), (Decimal, Decimal)> = BTreeMap::new();
            for record in csv::Reader::from_reader(csv.as_bytes()).records() {
                let record = record.unwrap();
                let (change, balance): (Decimal, Decimal) = (record[4].parse().unwrap(), record[5].parse().unwrap());
                let held = balances.entry(format!("{} {}", &record[2], &record[3])).or_default();
                *held += change;
                prop_assert_eq!(*held, balance);
                let sum = sums.entry((record[1].to_owned(), record[3].to_owned())).or_default();
                *sum = (sum.0 + change, sum.1 + balance);
            }
            for span in &report.intervals {
                for total in &span.totals {
                    let (change, net) = sums[&(span.end.clone(), total.asset_code.clone())];
                    let asset = span.balances.iter().find(|line| line.asset_code == total.asset_code).unwrap().place.asset;
                    let scale = match asset {
                        Asset::Btc => Decimal::from(100_000_000),
                        Asset::Fiat(currency) => Decimal::from(10i64.pow(currency.exponent())),
                    };
                    prop_assert_eq!(net * scale, total.net.parse::<Decimal>().unwrap());
                    prop_assert_eq!(change * scale, total.change.parse::<Decimal>().unwrap());
                }
            }
        }
    }
}
