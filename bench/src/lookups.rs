//! Reports must cost what they show, not what the book holds.

use nacre_engine::reports::Range;
use nacre_engine::time::{Timestamp, Zone};

use crate::history::{Fixture, History, now};
use crate::run::{Res, Run, count, median};

const TIMES: u64 = 15;

pub fn report_year(run: &mut Run) -> Res<()> {
    let [_, tenth, all] = run.sizes();
    let range = Range::parse(Some("2023-01-01"), Some("2023-12-31"), &Zone::utc())?;
    let measure = |fixture: &Fixture| {
        median(TIMES, |_| {
            let gains = fixture.book.snapshot()?.capital_gains(&range, now())?;
            if gains.rows.is_empty() { Err("a year without gains".into()) } else { Ok(()) }
        })
    };
    let year = Fixture::make(run.dir.path(), History::one_year(tenth))?;
    let alone = measure(&year)?;
    let among = measure(run.fixture(all)?)?;
    run.note("report_year", format!("1-year book of {}", count(tenth)), crate::run::time(alone));
    let what = format!("the same year in a 10-year book of {}", count(all));
    run.compare("report_year", what, among, (alone, "1-year book"), Some(1_200));
    Ok(())
}

pub fn portfolio_summary(run: &mut Run) -> Res<()> {
    let mut first = None;
    for events in run.sizes() {
        let fixture = run.fixture(events)?;
        let at = Timestamp::from_micros(fixture.history.time(events).as_micros());
        let took = median(201, |_| {
            fixture.book.snapshot()?.portfolio_summary(None, at)?;
            Ok(())
        })?;
        match first {
            None => {
                first = Some(took);
                run.note("portfolio_summary", count(events), crate::run::time(took));
            }
            Some(first) => {
                let reference = (first, "the smallest book");
                run.compare("portfolio_summary", count(events), took, reference, Some(1_200));
            }
        }
    }
    Ok(())
}

/// Ten years of days, whatever happened on each of them.
pub fn tax_summary(run: &mut Run) -> Res<()> {
    let [_, tenth, all] = run.sizes();
    let measure = |fixture: &Fixture| {
        median(TIMES, |_| {
            let summary = fixture.book.snapshot()?.tax_summary(None, now())?;
            if summary.years.len() < 10 { Err("years are missing".into()) } else { Ok(()) }
        })
    };
    let fewer = measure(run.fixture(tenth)?)?;
    let more = measure(run.fixture(all)?)?;
    run.note("tax_summary", format!("ten years, {} events", count(tenth)), crate::run::time(fewer));
    let what = format!("ten years, {} events", count(all));
    run.compare("tax_summary", what, more, (fewer, "a tenth of the events"), Some(1_500));
    Ok(())
}
