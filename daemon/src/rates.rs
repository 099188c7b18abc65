//! Exchange rates a user imported: per user, pair and instant an exact decimal. A lookup takes the last rate
//! at or before the instant asked for. An import is all or nothing.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::json;
use uuid::Uuid;

use crate::server::problem::{Code, Problem};
use crate::store::record::{Rate, RateRevision};
use crate::store::{Rows, StoreError, WriteTx, tables};
use crate::workspaces::settings::checked_currency;

/// Wrong lines that are reported; more are only counted.
const MAX_REPORTED: usize = 100;

/// One rate: price of one bitcoin in a currency at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// `BTC-` and a currency code.
    pub(crate) pair: String,
    /// Unix milliseconds.
    pub(crate) at_ms: i64,
    /// Price and source.
    pub(crate) rate: Rate,
}

/// What an import did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Instants that had no rate before.
    pub(crate) added: u64,
    /// Instants whose rate was written again.
    pub(crate) replaced: u64,
}

/// Reads the CSV `time,pair,rate`; every wrong line is named.
pub(crate) fn parse_csv(bytes: &[u8]) -> Result<Vec<Point>, Problem> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| refused(1, vec![json!(error.to_string())]))?;
    if header != ["time", "pair", "rate"].as_slice() {
        return Err(refused(1, vec![json!({"line": 1, "message": "the first line must be time,pair,rate"})]));
    }
    let (mut points, mut errors, mut wrong) = (Vec::new(), Vec::new(), 0_usize);
    for row in reader.records() {
        let line = match &row {
            Ok(row) => row.position().map_or(0, csv::Position::line),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        match row.map_err(|error| error.to_string()).and_then(|row| parse_row(&row)) {
            Ok(point) => points.push(point),
            Err(message) => {
                wrong += 1;
                if errors.len() < MAX_REPORTED {
                    errors.push(json!({ "line": line, "message": message }));
                }
            }
        }
    }
    if wrong > 0 { Err(refused(wrong, errors)) } else { Ok(points) }
}

fn refused(wrong: usize, errors: Vec<serde_json::Value>) -> Problem {
    let message =
        format!("{wrong} line(s) are wrong and nothing was imported; correct them and send the file again");
    Problem::new(Code::InvalidRates, message).with_details(json!({ "errors": errors }))
}

fn parse_row(row: &csv::StringRecord) -> Result<Point, String> {
    let (time, pair, rate) = match (row.get(0), row.get(1), row.get(2)) {
        (Some(time), Some(pair), Some(rate)) => (time, pair, rate),
        _ => return Err("must have three fields: time,pair,rate".to_owned()),
    };
    let at_ms = parse_time(time).ok_or_else(|| format!("time {time:?} is no RFC 3339 time or date"))?;
    let pair = checked_pair(pair).map_err(|()| format!("pair {pair:?} must be BTC-<currency>"))?;
    let value = Decimal::from_str_exact(rate)
        .ok()
        .filter(|value| value.is_sign_positive() && !value.is_zero())
        .filter(|value| nacre_engine::money::Rate::from_decimal(*value).is_ok())
        .ok_or_else(|| format!("rate {rate:?} must be a positive decimal with at most 8 places"))?;
    let rate = Rate { value: value.normalize().to_string(), source: "import".to_owned() };
    Ok(Point { pair, at_ms, rate })
}

/// An RFC 3339 instant, or a date, which means its first moment in UTC.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_millisecond());
    }
    let strict_date = text.len() == 10;
    let date = text.parse::<Date>().ok().filter(|_| strict_date)?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// A pair in capitals, if it is one.
pub(crate) fn checked_pair(pair: &str) -> Result<String, ()> {
    let upper = pair.to_ascii_uppercase();
    let currency = upper.strip_prefix("BTC-").ok_or(())?;
    checked_currency("pair", currency).map_err(drop)?;
    Ok(upper)
}

/// A stored price as the engine counts it.
pub(crate) fn engine_rate(value: &str) -> Result<nacre_engine::money::Rate, nacre_engine::Error> {
    let decimal = Decimal::from_str_exact(value)
        .map_err(|error| nacre_engine::Error::invalid("rate", format!("{value:?}: {error}")))?;
    nacre_engine::money::Rate::from_decimal(decimal)
}

/// How often the user's rates were written.
pub(crate) fn revision(tx: &impl Rows, user: Uuid) -> Result<u64, StoreError> {
    Ok(tx.get(&tables::RATE_REVISIONS, user.as_u128())?.map_or(0, |row| row.revision))
}

/// Every rate of the user and its revision, unless that is `known`. (It may be earlier: a store can be restored.)
pub(crate) fn since(tx: &impl Rows, user: Uuid, known: u64) -> Result<Option<(u64, Vec<Point>)>, StoreError> {
    let present = revision(tx, user)?;
    if present == known {
        return Ok(None);
    }
    let id = user.as_u128();
    let all = (id, "", i64::MIN)..=(id, "\u{10ffff}", i64::MAX);
    Ok(Some((present, tx.scan(&tables::RATES, all, usize::MAX, point)?)))
}

/// Writes rates in the caller's transaction.
pub(crate) fn import(tx: &WriteTx, user: Uuid, points: &[Point]) -> Result<Imported, StoreError> {
    let mut done = Imported { added: 0, replaced: 0 };
    for point in points {
        let key = (user.as_u128(), point.pair.as_str(), point.at_ms);
        let counter =
            if tx.put(&tables::RATES, key, &point.rate)? { &mut done.added } else { &mut done.replaced };
        *counter += 1;
    }
    if !points.is_empty() {
        let revision = revision(tx, user)? + 1;
        tx.put(&tables::RATE_REVISIONS, user.as_u128(), &RateRevision { revision })?;
    }
    Ok(done)
}

/// The last rate of a pair at or before an instant.
pub(crate) fn at_or_before(
    tx: &impl Rows,
    user: Uuid,
    pair: &str,
    at_ms: i64,
) -> Result<Option<Point>, StoreError> {
    let user = user.as_u128();
    tx.last(&tables::RATES, (user, pair, i64::MIN)..=(user, pair, at_ms), point)
}

/// Up to `limit` rates of a pair from one instant to another, both included.
pub(crate) fn between(
    tx: &impl Rows,
    user: Uuid,
    pair: &str,
    from_ms: i64,
    to_ms: i64,
    limit: usize,
) -> Result<Vec<Point>, StoreError> {
    if from_ms > to_ms {
        return Ok(Vec::new());
    }
    let user = user.as_u128();
    tx.scan(&tables::RATES, (user, pair, from_ms)..=(user, pair, to_ms), limit, point)
}

/// First and last rate of every pair; hops from pair to pair without reading what lies between.
pub(crate) fn pairs(tx: &impl Rows, user: Uuid) -> Result<Vec<(Point, Point)>, StoreError> {
    let id = user.as_u128();
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let rest = (id, after.as_str(), i64::MAX)..=(id, "\u{10ffff}", i64::MAX);
        let Some(first) = tx.scan(&tables::RATES, rest, 1, point)?.pop() else { return Ok(found) };
        after.clone_from(&first.pair);
        let last = at_or_before(tx, user, &after, i64::MAX)?;
        found.push((first.clone(), last.unwrap_or(first)));
    }
}

fn point(key: (u128, &str, i64), rate: Rate) -> Point {
    Point { pair: key.1.to_owned(), at_ms: key.2, rate }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Imported, at_or_before, import, pairs, parse_csv, parse_time};
    use crate::store::{Store, StoreError};
    use uuid::Uuid;

    #[test]
    fn wrong_lines_are_named() {
        let csv = "time,pair,rate\n2025-01-01,BTC-USD,1.50\nx,BTC-USD,1\n2025-01-01,BTC-XXX,1\n2025-01-01,BTC-USD,-1\n1,2\n";
        let problem = format!("{:?}", parse_csv(csv.as_bytes()).unwrap_err());
        for line in [3, 4, 5, 6] {
            assert!(problem.contains(&format!("\"line\": Number({line})")), "{line} in {problem}");
        }
        assert!(!problem.contains("Number(2)"));
        assert!(parse_csv(b"pair,time,rate\n").is_err());
    }

    #[test]
    fn a_date_is_its_first_moment_in_utc() {
        assert_eq!(parse_time("1970-01-02"), Some(86_400_000));
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn a_lookup_takes_the_last_rate_at_or_before() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("system.redb"), dir.path().join("spool"), 1).unwrap();
        let user = Uuid::now_v7();
        let csv = "time,pair,rate\n2025-01-01,BTC-USD,1.50\n2025-01-03,BTC-USD,3\n2025-01-01,btc-eur,7\n";
        let points = parse_csv(csv.as_bytes()).unwrap();
        let write = || store.write_now::<_, StoreError>(|tx| import(tx, user, &points)).unwrap();
        assert_eq!(write(), Imported { added: 3, replaced: 0 });
        assert_eq!(write(), Imported { added: 0, replaced: 3 });
        let look = |text| {
            let at_ms = parse_time(text).unwrap();
            let found =
                store.read_now::<_, StoreError>(|tx| at_or_before(tx, user, "BTC-USD", at_ms)).unwrap();
            found.map(|point| point.rate.value)
        };
        assert_eq!(look("2024-12-31"), None);
        assert_eq!(look("2025-01-02").as_deref(), Some("1.5"));
        assert_eq!(look("2025-01-03").as_deref(), Some("3"));
        let names = |user| {
            let found = store.read_now::<_, StoreError>(|tx| pairs(tx, user)).unwrap();
            found.into_iter().map(|(first, _)| first.pair).collect::<Vec<_>>()
        };
        assert_eq!(names(user), ["BTC-EUR", "BTC-USD"]);
        assert!(names(Uuid::now_v7()).is_empty());
    }
}
