//! One event more: at the end, in the past; and words that change no figure.

use std::time::Duration;

use nacre_engine::id::EventId;
use nacre_engine::model::{AnnotationEdit, Method, Settings};
use nacre_engine::time::Timestamp;

use crate::history::{Fixture, buy, csv, now};
use crate::run::{Res, Run, count, median_beside_commits, per_second, worked};

/// How often a short operation is repeated.
const TIMES: u64 = 31;

/// Imports one buy and processes.
fn one_more(fixture: &Fixture, id: &str, at: Timestamp) -> Res<u64> {
    let file = csv(&[buy(id, at)]);
    let done = fixture.book.import_and_process(now(), fixture.connection, file.as_slice(), &|| false)?;
    Ok(done.1.events_replayed)
}

pub fn append(run: &mut Run) -> Res<()> {
    let dir = run.dir.path().to_owned();
    let mut first: Option<(Duration, Duration)> = None;
    for events in run.sizes() {
        let fixture = run.fixture(events)?;
        let end = fixture.history.time(events).as_micros();
        let (took, commit) = median_beside_commits(&dir, TIMES, |call| {
            let at = Timestamp::from_micros(end + (call as i64 + 1) * 1_000_000);
            match one_more(fixture, &format!("appended-{call}"), at)? {
                1 => Ok(()),
                more => Err(format!("an append replayed {more} events").into()),
            }
        })?;
        let what = format!("import 1 + process, into {}", count(events));
        run.compare("append", what, took, (commit, "commit"), Some(2_000));
        match first {
            None => first = Some((took, commit)),
            Some((smallest, beside)) => {
                // Both in commits of their own time, so that the disk's mood does not count.
                let what = format!("{} / {}, each in commits", count(events), count(run.sizes()[0]));
                let now_as_then = Duration::from_nanos(
                    (took.as_nanos() * beside.as_nanos() / commit.as_nanos().max(1)) as u64,
                );
                run.compare("append", what, now_as_then, (smallest, "the smallest book"), Some(1_300));
            }
        }
    }
    Ok(())
}

pub fn backdate(run: &mut Run) -> Res<()> {
    let events = run.sizes()[2];
    for method in [Method::Fifo, Method::Lifo, Method::Hifo] {
        let fixture = run.fixture(events)?;
        fixture.book.set_settings(now(), &Settings { method, ..Settings::default() })?;
        let (rebuild, _) = worked(|| Ok(fixture.book.process(now(), true, &|| false)?))?;
        for (name, place, part) in
            [("oldest", 0, 1u32), ("middle", events / 2, 2), ("newest", events - 1, 1000)]
        {
            let fixture = run.fixture(events)?;
            let at = Timestamp::from_micros(fixture.history.time(place).as_micros() + 1);
            let id = format!("late-{}-{name}", method.name());
            let (took, replayed) = worked(|| one_more(fixture, &id, at))?;
            let what =
                format!("{} {name} of {} ({})", method.name(), count(events), per_second(replayed, took));
            let reference = format!("rebuild / {part}");
            // Only FIFO has to derive what follows.
            let target = (part < 3 && method == Method::Fifo).then_some(1_000);
            run.compare("backdate", what, took, (rebuild / part, reference), target);
        }
        median_backdate(run, method, rebuild)?;
    }
    run.fixture(events)?.book.set_settings(now(), &Settings::default())?;
    run.fixture(events)?.book.process(now(), false, &|| false)?;
    Ok(())
}

/// One event back-dated to places all over the history.
fn median_backdate(run: &mut Run, method: Method, rebuild: Duration) -> Res<()> {
    let events = run.sizes()[2];
    let mut times = Vec::new();
    for place in 0..TIMES {
        let fixture = run.fixture(events)?;
        let at = Timestamp::from_micros(fixture.history.time(place * events / TIMES).as_micros() + 7);
        let id = format!("anywhere-{}-{place}", method.name());
        times.push(worked(|| one_more(fixture, &id, at))?.0);
    }
    times.sort();
    let what = format!("{} median of {TIMES} places in {}", method.name(), count(events));
    let target = (method != Method::Fifo).then_some(10);
    run.compare("backdate", what, times[times.len() / 2], (rebuild, "rebuild"), target);
    Ok(())
}

pub fn relabel(run: &mut Run) -> Res<()> {
    let events = run.events;
    let dir = run.dir.path().to_owned();
    let fixture = run.fixture(events)?;
    let (note, beside_note) = median_beside_commits(&dir, TIMES, |call| {
        let id = EventId::of_native(fixture.connection, &format!("t-{}", call * (events / TIMES)));
        let edits = [AnnotationEdit::Note(Some(format!("note {call}")))];
        fixture.book.annotate(now(), &id, &edits)?;
        fixture.book.process(now(), false, &|| false)?;
        Ok(())
    })?;
    let known = std::fs::read_to_string(&fixture.csv)?;
    let rows: Vec<&str> = known.lines().skip(1).collect();
    let middle = rows.len() / 2;
    let page: Vec<String> = rows.iter().skip(middle).take(100).map(|row| (*row).to_owned()).collect();
    let page = csv(&page);
    let (again, beside_again) = median_beside_commits(&dir, TIMES, |_| {
        let report = fixture.book.import_plain(now(), fixture.connection, page.as_slice(), false)?;
        fixture.book.process(now(), false, &|| false)?;
        if report.duplicates == 100 { Ok(()) } else { Err(format!("{report:?}").into()) }
    })?;
    let (whole, _) = worked(|| {
        fixture.book.import_plain(now(), fixture.connection, known.as_bytes(), false)?;
        Ok(fixture.book.process(now(), false, &|| false)?)
    })?;
    run.compare(
        "relabel",
        format!("a note on {} + process", count(events)),
        note,
        (beside_note, "commit"),
        Some(2_000),
    );
    run.compare(
        "relabel",
        "re-import of 100 known rows + process",
        again,
        (beside_again, "commit"),
        Some(2_000),
    );
    let raw = (run.redb_raw(events)?, "redb_raw");
    run.compare("relabel", format!("re-import of all {}", count(events)), whole, raw, None);
    Ok(())
}
