//! [`Range`]: which rows a report shows. It never decides which lots were used.

use jiff::civil::Date;

use crate::error::{Error, Result};
use crate::time::{Timestamp, Zone};

/// Instants from `start` to `end`, both included; open where `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first instant shown.
    pub start: Option<Timestamp>,
    /// The last instant shown.
    pub end: Option<Timestamp>,
}

impl Range {
    /// Reads `start` and `end` as a user gives them; a bare date means that whole day in `zone`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is not a time, and when the end is before the start.
    pub fn parse(start: Option<&str>, end: Option<&str>, zone: &Zone) -> Result<Self> {
        let start = start.map(|text| bound("start", text, zone, Zone::start_of)).transpose()?;
        let end = end.map(|text| bound("end", text, zone, Zone::end_of)).transpose()?;
        match (start, end) {
            (Some(start), Some(end)) if end < start => Err(Error::invalid(
                "end",
                format!("{end} is before start {start}; swap them or widen the range"),
            )),
            _ => Ok(Range { start, end }),
        }
    }

    /// The instants of the calendar year `year` in `zone`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a year that the calendar or the zone does not have.
    pub fn year(year: i16, zone: &Zone) -> Result<Self> {
        let bad = || Error::invalid("year", format!("{year} is not a tax year; use e.g. 2025"));
        let day = |month, day| Date::new(year, month, day).map_err(|_| bad());
        let (first, last) = (day(1, 1)?, day(12, 31)?);
        let (start, end) = (zone.start_of(first).map_err(|_| bad())?, zone.end_of(last).map_err(|_| bad())?);
        Ok(Range { start: Some(start), end: Some(end) })
    }

    /// Whether `at` is inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at <= end)
    }
}

fn bound(
    field: &'static str,
    text: &str,
    zone: &Zone,
    whole_day: fn(&Zone, Date) -> Result<Timestamp>,
) -> Result<Timestamp> {
    let text = text.trim();
    // The date parser also takes a date-time and drops its time, so only what looks like a bare date may reach it.
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        && let Ok(day) = text.parse::<Date>()
    {
        return whole_day(zone, day);
    }
    zone.parse(text).ok_or_else(|| {
        Error::invalid(
            field,
            format!(
                "{text:?} is not a time; use e.g. 2025-01-31, 2025-01-31T12:00:00 or 2025-01-31T12:00:00Z"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn berlin(start: &str, end: &str) -> Result<Range> {
        Range::parse(Some(start), Some(end), &Zone::named("Europe/Berlin").unwrap())
    }

    #[test]
    fn a_bare_date_is_the_whole_day_in_the_zone() {
        let range = berlin("2025-01-01", "2025-12-31").unwrap();
        assert_eq!(range.start.unwrap().to_string(), "2024-12-31T23:00:00Z");
        assert_eq!(range.end.unwrap().to_string(), "2025-12-31T22:59:59.999999Z");
        let day = berlin("2025-03-30", "2025-03-30").unwrap();
        let hours = (day.end.unwrap().as_micros() - day.start.unwrap().as_micros() + 1) / 3_600_000_000;
        assert_eq!(hours, 23, "the day the clocks go forward");
    }

    #[test]
    fn instants_are_inclusive_at_both_ends() {
        let range = berlin("2025-01-01T00:00:00Z", "2025-12-31T23:59:59Z").unwrap();
        let (start, end) = (range.start.unwrap(), range.end.unwrap());
        assert!(range.contains(start) && range.contains(end));
        assert!(!range.contains(Timestamp::from_micros(start.as_micros() - 1)));
        assert!(!range.contains(Timestamp::from_micros(end.as_micros() + 1)));
        assert!(Range::default().contains(Timestamp::MIN));
        assert_eq!(end.to_string(), "2025-12-31T23:59:59Z", "a given time is not stretched to its day");
    }

    #[test]
    fn a_year_is_that_of_the_zone_and_one_that_never_was_is_refused() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        assert_eq!(Range::year(2025, &zone).unwrap(), berlin("2025-01-01", "2025-12-31").unwrap());
        for never in [12_000, -12_000, i16::MAX, i16::MIN] {
            assert!(
                matches!(Range::year(never, &zone), Err(Error::Invalid { field: "year", .. })),
                "{never}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        let message = |start, end| berlin(start, end).unwrap_err().to_string();
        assert!(message("2025-02-01", "2025-01-31").contains("is before start"));
        assert!(message("soon", "2025-01-31").starts_with("start: \"soon\" is not a time"));
        assert!(message("2025-01-01", "2025-02-30").starts_with("end:"));
        assert!(message("2025-01-01", "").starts_with("end:"));
    }
}
