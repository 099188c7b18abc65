//! [`Interval`]: how a history is cut: hours, days, weeks or months of the book's zone.
//!
//! Invariant: the spans of a range follow each other without gap or overlap; only the first and the last are cut by the range.

use jiff::ToSpan;

use super::Range;
use crate::error::{Error, Result};
use crate::time::{Timestamp, Zone};

/// The length of a span of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// An hour, counted from the start of the local day.
    Hour,
    /// A local day.
    Day,
    /// Monday to Sunday (ISO 8601).
    Week,
    /// A calendar month.
    Month,
}

/// Spans a history has at most: ten years of days.
pub const SPANS_MAX: usize = 4_000;

impl Interval {
    /// Every interval, shortest first.
    pub const ALL: [Interval; 4] = [Interval::Hour, Interval::Day, Interval::Week, Interval::Month];

    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
        }
    }

    /// The spans of this length from `start` to `end`, both included; none when the end is before the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`SPANS_MAX`] of them.
    pub fn spans(self, zone: &Zone, start: Timestamp, end: Timestamp) -> Result<Vec<Range>> {
        let (mut spans, mut from) = (Vec::new(), start);
        while from <= end {
            if spans.len() == SPANS_MAX {
                let problem = format!(
                    "the range has more than {SPANS_MAX} of them; ask for a longer one, or narrow start and end"
                );
                return Err(Error::invalid("interval", problem));
            }
            let last = self.end(zone, from)?.min(end);
            spans.push(Range { start: Some(from), end: Some(last) });
            match last.as_micros().checked_add(1) {
                Some(next) => from = Timestamp::from_micros(next),
                None => break,
            }
        }
        Ok(spans)
    }

    /// The last microsecond of the span `at` lies in.
    fn end(self, zone: &Zone, at: Timestamp) -> Result<Timestamp> {
        const HOUR_MICROS: i64 = 3_600_000_000;
        let today = zone.local_day(at);
        let last_day = match self {
            Interval::Hour => {
                let passed = at.as_micros().saturating_sub(today.start.as_micros()) / HOUR_MICROS;
                let next = passed.saturating_add(1).saturating_mul(HOUR_MICROS);
                let next = today.start.as_micros().saturating_add(next);
                return Ok(Timestamp::from_micros(next.saturating_sub(1)).min(today.end));
            }
            Interval::Day => return Ok(today.end),
            Interval::Week => {
                let date = today.day.date()?;
                let left = 6 - date.weekday().to_monday_zero_offset();
                date.checked_add(left.days())
            }
            Interval::Month => Ok(today.day.date()?.last_of_month()),
        };
        // Behind the last week of the calendar there is nothing.
        Ok(last_day.ok().and_then(|day| zone.end_of(day).ok()).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spans(interval: Interval, zone: &str, start: &str, end: &str) -> Vec<(String, String)> {
        let zone = Zone::named(zone).unwrap();
        let range = Range::parse(Some(start), Some(end), &zone).unwrap();
        let spans = interval.spans(&zone, range.start.unwrap(), range.end.unwrap()).unwrap();
        for pair in spans.windows(2) {
            assert_eq!(pair[0].end.unwrap().as_micros() + 1, pair[1].start.unwrap().as_micros());
        }
        spans.iter().map(|span| (span.start.unwrap().to_string(), span.end.unwrap().to_string())).collect()
    }

    #[test]
    fn weeks_begin_on_monday_and_months_are_as_long_as_they_are() {
        let weeks = spans(Interval::Week, "Europe/Berlin", "2025-03-26", "2025-04-08");
        let starts: Vec<&str> = weeks.iter().map(|(start, _)| start.as_str()).collect();
        // The first is cut by the range; 31 March is the Monday after the clocks went forward.
        assert_eq!(starts, ["2025-03-25T23:00:00Z", "2025-03-30T22:00:00Z", "2025-04-06T22:00:00Z"]);
        assert_eq!(weeks[2].1, "2025-04-08T21:59:59.999999Z");
        let months = spans(Interval::Month, "UTC", "2024-01-31", "2024-03-01");
        let ends: Vec<&str> = months.iter().map(|(_, end)| end.as_str()).collect();
        assert_eq!(
            ends,
            ["2024-01-31T23:59:59.999999Z", "2024-02-29T23:59:59.999999Z", "2024-03-01T23:59:59.999999Z"]
        );
    }

    #[test]
    fn a_day_has_the_hours_it_has() {
        for (zone, day, hours) in [
            ("UTC", "2025-03-30", 24),
            ("Europe/Berlin", "2025-03-30", 23),
            ("Europe/Berlin", "2025-10-26", 25),
            ("Asia/Kolkata", "2025-01-01", 24),
            ("Australia/Lord_Howe", "2025-04-06", 25),
        ] {
            let got = spans(Interval::Hour, zone, day, day);
            assert_eq!(got.len(), hours, "{zone} {day}");
        }
        assert_eq!(spans(Interval::Day, "Europe/Berlin", "2025-03-30", "2025-03-30").len(), 1);
    }

    #[test]
    fn too_many_are_refused_and_none_is_fine() {
        let at = Timestamp::from_secs;
        let refused = Interval::Hour.spans(&Zone::utc(), at(0), at(3600 * 5_000)).unwrap_err();
        assert!(refused.to_string().contains("more than 4000"), "{refused}");
        assert!(Interval::Month.spans(&Zone::utc(), at(0), at(86_400 * 365 * 50)).is_ok());
        assert!(Interval::Hour.spans(&Zone::utc(), at(10), at(9)).unwrap().is_empty());
        assert_eq!(Interval::Week.spans(&Zone::utc(), Timestamp::MAX, Timestamp::MAX).unwrap().len(), 1);
    }
}
