//! Days and years of the naive books, counted one by one from 1970-01-01.

/// The local day of an instant.
pub fn day(secs: i64, east: i64) -> i64 {
    (secs + east).div_euclid(86_400)
}

/// Long from the day after the anniversary; the last day of a month has its anniversary on the last day.
pub fn is_long(acquired: i64, disposed: i64, east: i64) -> bool {
    let (year, month, date) = civil(day(acquired, east));
    let date = if date == month_days(year, month) { month_days(year + 1, month) } else { date };
    civil(day(disposed, east)) > (year + 1, month, date)
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

/// Days since 1970-01-01 as a date, counted year by year.
pub fn civil(mut days: i64) -> (i64, i64, i64) {
    let (mut year, mut month) = (1970, 1);
    loop {
        let length = (1..=12).map(|month| month_days(year, month)).sum::<i64>();
        if days < length {
            break;
        }
        (days, year) = (days - length, year + 1);
    }
    while days >= month_days(year, month) {
        (days, month) = (days - month_days(year, month), month + 1);
    }
    (year, month, days + 1)
}
