//! Instants, civil days in a zone, tax years and the holding-period rule.
//!
//! Owns: [`Timestamp`] (UTC microseconds) and [`Zone`]. There is no clock here: instants are always handed in.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest instant; the books keep it for what is not booked yet.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// From whole seconds since the epoch (saturating).
    pub const fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The instant `hours` later (saturating).
    pub const fn plus_hours(self, hours: u32) -> Self {
        Timestamp(self.0.saturating_add((hours as i64).saturating_mul(3_600_000_000)))
    }

    /// The instant `hours` earlier (saturating).
    pub const fn minus_hours(self, hours: u32) -> Self {
        Timestamp(self.0.saturating_sub((hours as i64).saturating_mul(3_600_000_000)))
    }

    /// Reads RFC 3339, e.g. `2025-01-31T12:00:00Z`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Timestamp(instant.as_microsecond()))
    }

    /// The nearest instant the calendar knows.
    fn nearest_instant(self) -> jiff::Timestamp {
        let end = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        self.instant().unwrap_or(end)
    }

    fn instant(self) -> Result<jiff::Timestamp> {
        jiff::Timestamp::from_microsecond(self.0).map_err(|_| Error::TimeRange(self))
    }
}

/// RFC 3339 in UTC with as many fractional digits as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// A civil day: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// 1970-01-01
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl Day {
    /// Before every day of the calendar.
    pub const FIRST: Day = Day(i32::MIN);
    /// After every day of the calendar.
    pub const LAST: Day = Day(i32::MAX);

    /// The number of `date`.
    pub fn of(date: Date) -> Self {
        // A calendar of 20 000 years has 7 million days.
        Day(i32::try_from(date.duration_since(EPOCH).as_secs() / 86_400).unwrap_or_default())
    }

    /// Its date.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a number the calendar has no day for: no instant has it.
    pub fn date(self) -> Result<Date> {
        EPOCH.checked_add(self.0.days()).map_err(|_| Error::Corrupt(format!("there is no day {}", self.0)))
    }

    /// 4 bytes whose order is the order of days.
    pub fn to_bytes(self) -> [u8; 4] {
        ((self.0 as u32) ^ (1 << 31)).to_be_bytes()
    }

    /// Reads what [`Day::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 4]) -> Self {
        Day((u32::from_be_bytes(bytes) ^ (1 << 31)) as i32)
    }

    /// The day after; the last number there is has none and stays.
    pub fn next(self) -> Self {
        Day(self.0.saturating_add(1))
    }
}

/// The instants a day has in a zone. The days of a zone follow each other without gap or overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalDay {
    /// Which day.
    pub day: Day,
    /// Its first instant.
    pub start: Timestamp,
    /// Its last microsecond.
    pub end: Timestamp,
}

impl LocalDay {
    /// Whether `at` is on this day.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at <= self.end
    }
}

/// An IANA time zone: it decides days, tax years and holding periods.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Zone(TimeZone::UTC)
    }

    /// The zone named `name` in the bundled IANA database.
    pub fn named(name: &str) -> Result<Self> {
        TimeZone::get(name).map(Zone).map_err(|_| {
            Error::invalid(
                "timezone",
                format!("{name:?} is not an IANA time zone; use e.g. Europe/Berlin or UTC"),
            )
        })
    }

    /// The civil day of `at` in this zone.
    pub fn day(&self, at: Timestamp) -> Result<Date> {
        Ok(self.0.to_datetime(at.instant()?).date())
    }

    /// The day that began last at or before `at`. Where clocks were set back over midnight the hours that came twice
    /// belong to the day that had begun, so that days follow each other; [`Zone::day`] says what the clock showed.
    /// Instants outside the calendar belong to its first or last day.
    pub fn local_day(&self, at: Timestamp) -> LocalDay {
        let shown = self.0.to_datetime(at.nearest_instant()).date();
        let begins = |date: Date| self.start_of(date).ok();
        let later = shown.tomorrow().ok().filter(|next| begins(*next).is_some_and(|start| start <= at));
        let date = later.unwrap_or(shown);
        let next = date.tomorrow().ok().and_then(begins);
        LocalDay {
            day: Day::of(date),
            start: begins(date).filter(|start| *start <= at).unwrap_or(Timestamp::MIN),
            end: next.map_or(Timestamp::MAX, |next| Timestamp(next.0 - 1)),
        }
    }

    /// [`is_long_term`] of the days of two instants. Asks the calendar only where the days could matter.
    pub fn is_long_term(&self, acquired: Timestamp, disposed: Timestamp) -> Result<bool> {
        const DAY_MICROS: i64 = 86_400_000_000;
        // An anniversary is 365 or 366 days away, and a zone shifts an instant by a day or so at most.
        match disposed.0.saturating_sub(acquired.0) / DAY_MICROS {
            ..=361 => Ok(false),
            371.. => Ok(true),
            _ => Ok(is_long_term(self.day(acquired)?, self.day(disposed)?)),
        }
    }

    /// The calendar (tax) year of `at` in this zone.
    pub fn year(&self, at: Timestamp) -> Result<i16> {
        Ok(self.day(at)?.year())
    }

    /// The first instant of `day` in this zone.
    pub fn start_of(&self, day: Date) -> Result<Timestamp> {
        let zoned = day.to_zoned(self.0.clone()).map_err(|e| Error::invalid("date", e.to_string()))?;
        Ok(Timestamp(zoned.timestamp().as_microsecond()))
    }

    /// The last microsecond of `day` in this zone.
    pub fn end_of(&self, day: Date) -> Result<Timestamp> {
        let next = day.tomorrow().map_err(|e| Error::invalid("date", e.to_string()))?;
        Ok(Timestamp(self.start_of(next)?.0 - 1))
    }

    /// Reads an instant: RFC 3339 as it stands, a local date-time or a bare date in this zone.
    pub fn parse(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Some(instant) = Timestamp::parse_rfc3339(text) {
            return Some(instant);
        }
        let local: jiff::civil::DateTime = match text.parse() {
            Ok(local) => local,
            Err(_) => text.parse::<Date>().ok()?.at(0, 0, 0, 0),
        };
        let zoned = local.to_zoned(self.0.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_microsecond()))
    }
}

/// The tax years of many instants that mostly follow each other: the calendar is asked once a year.
#[derive(Debug)]
pub struct Years<'z> {
    zone: &'z Zone,
    /// A year with its first instant and that of the next.
    known: Option<(i16, Timestamp, Timestamp)>,
}

impl<'z> Years<'z> {
    /// The years of `zone`.
    pub fn of(zone: &'z Zone) -> Self {
        Years { zone, known: None }
    }

    /// [`Zone::year`] of `at`.
    pub fn year(&mut self, at: Timestamp) -> Result<i16> {
        if let Some((year, from, until)) = self.known
            && from <= at
            && at < until
        {
            return Ok(year);
        }
        let year = self.zone.year(at)?;
        let first = |year: i16| Date::new(year, 1, 1).ok().and_then(|day| self.zone.start_of(day).ok());
        let next = year.checked_add(1);
        self.known = first(year).zip(next.and_then(first)).map(|(from, until)| (year, from, until));
        Ok(year)
    }
}

/// How a civil day is stored.
pub(crate) mod stored_date {
    use jiff::civil::Date;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        (day.year(), day.month(), day.day()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let (year, month, day) = Deserialize::deserialize(deserializer)?;
        Date::new(year, month, day).map_err(|_| D::Error::custom("no such day"))
    }
}

/// Whether what was acquired on day `acquired` is held long-term when disposed of on day `disposed`: from the day after the
/// [`anniversary`].
pub fn is_long_term(acquired: Date, disposed: Date) -> bool {
    anniversary(acquired).is_some_and(|anniversary| disposed > anniversary)
}

/// The day a year after `acquired`; what is bought on the last day of a month has its anniversary on the last day of that
/// month a year later (Rev. Rul. 66-7). `None` behind the end of the calendar.
pub fn anniversary(acquired: Date) -> Option<Date> {
    let anniversary = acquired.checked_add(1.year()).ok()?;
    Some(if acquired == acquired.last_of_month() { anniversary.last_of_month() } else { anniversary })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn long_term_follows_the_calendar_not_365_days() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        for (acquired, last_short, first_long) in [
            ("2015-02-28", "2016-02-29", "2016-03-01"),
            ("2020-02-29", "2021-02-28", "2021-03-01"),
            ("2023-01-15", "2024-01-15", "2024-01-16"),
            ("2023-12-31", "2024-12-31", "2025-01-01"),
            ("2023-04-30", "2024-04-30", "2024-05-01"),
        ] {
            assert!(!is_long_term(day(acquired), day(last_short)), "{acquired} {last_short}");
            assert!(is_long_term(day(acquired), day(first_long)), "{acquired} {first_long}");
        }
    }

    #[test]
    fn the_quick_look_at_the_holding_period_agrees_with_the_calendar() {
        for name in ["UTC", "Pacific/Apia", "Pacific/Kiritimati", "America/New_York"] {
            let zone = Zone::named(name).unwrap();
            // Over leap days, and over the days that Samoa and the Line Islands skipped.
            for start in ["1994-01-01", "2010-12-25", "2015-02-20", "2019-02-20", "2020-02-20"] {
                let start = zone.parse(start).unwrap();
                for hours in (0..24 * 20).step_by(7) {
                    let acquired = start.plus_hours(hours);
                    for held in (24 * 355..24 * 378).step_by(5) {
                        let disposed = acquired.plus_hours(held);
                        let exact = is_long_term(zone.day(acquired).unwrap(), zone.day(disposed).unwrap());
                        assert_eq!(
                            zone.is_long_term(acquired, disposed).unwrap(),
                            exact,
                            "{acquired} {disposed}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn years_remembered_are_the_years_of_the_calendar() {
        for name in ["UTC", "Pacific/Apia", "Asia/Tehran"] {
            let zone = Zone::named(name).unwrap();
            let mut years = Years::of(&zone);
            let start = zone.parse("2009-12-20").unwrap();
            for hours in (0..24 * 800).step_by(5).chain([3, 24 * 400, 12]) {
                let at = start.plus_hours(hours);
                assert_eq!(years.year(at).unwrap(), zone.year(at).unwrap(), "{at} {name}");
            }
            for at in
                [zone.end_of("2010-12-31".parse().unwrap()).unwrap(), Timestamp::from_secs(-62_000_000_000)]
            {
                assert_eq!(years.year(at).unwrap(), zone.year(at).unwrap(), "{at} {name}");
            }
        }
    }

    #[test]
    fn a_bare_date_is_midnight_in_the_zone() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.parse("2024-07-01").unwrap().to_string(), "2024-06-30T22:00:00Z");
        assert_eq!(berlin.parse("2024-07-01 12:30:00").unwrap().to_string(), "2024-07-01T10:30:00Z");
        assert_eq!(berlin.parse("2024-07-01T12:30:00+00:00").unwrap().to_string(), "2024-07-01T12:30:00Z");
        assert!(berlin.parse("yesterday").is_none());
    }

    #[test]
    fn days_follow_each_other_in_every_zone() {
        // Skipped days, clocks set back over midnight (St. John's until 2011), days that begin at one o'clock.
        for (name, start) in [
            ("Pacific/Apia", "2011-12-27"),
            ("America/St_Johns", "2010-11-05"),
            ("America/Sao_Paulo", "2017-10-12"),
            ("America/New_York", "2025-03-07"),
            ("UTC", "1969-12-30"),
        ] {
            let zone = Zone::named(name).unwrap();
            let mut at = zone.parse(start).unwrap();
            let stop = at.plus_hours(24 * 7);
            let mut before = zone.local_day(at);
            while at < stop {
                let today = zone.local_day(at);
                assert!(today.contains(at), "{name} {at}");
                assert_eq!(today.start, zone.start_of(today.day.date().unwrap()).unwrap());
                if today != before {
                    assert!(today.day > before.day && today.start.as_micros() == before.end.as_micros() + 1);
                }
                before = today;
                at = Timestamp::from_micros(at.as_micros() + 60_000_000);
            }
        }
    }

    #[test]
    fn every_instant_has_a_day_and_days_sort() {
        let zone = Zone::named("Asia/Tokyo").unwrap();
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(0)] {
            assert!(zone.local_day(at).contains(at));
        }
        let days = ["0044-03-15", "1969-12-31", "1970-01-01", "2025-02-28"];
        let days = days.map(|text| Day::of(text.parse().unwrap()));
        for day in days {
            assert_eq!(Day::from_bytes(day.to_bytes()), day);
            assert_eq!(Day::of(day.date().unwrap()), day);
            assert_eq!(Day::of(day.next().date().unwrap()), day.next());
        }
        assert!(days[1] < days[2] && days[1].to_bytes() < days[2].to_bytes());
    }

    #[test]
    fn a_day_ends_one_microsecond_before_the_next() {
        let zone = Zone::named("America/New_York").unwrap();
        let day: Date = "2025-03-09".parse().unwrap();
        let end = zone.end_of(day).unwrap();
        assert_eq!(end.to_string(), "2025-03-10T03:59:59.999999Z");
        assert_eq!(zone.day(end).unwrap(), day);
    }
}
