//! [`Run`]: what is measured once and used by several workloads, and the figures noted so far.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::blocks;
use crate::history::{Fixture, History};

/// Any failure ends the run.
pub type Res<T> = Result<T, Box<dyn std::error::Error>>;

/// A figure with its verdict. Ratios and limits are in thousandths: no floats needed.
#[derive(Debug)]
pub struct Line {
    /// Workload.
    pub bench: &'static str,
    /// What was measured.
    pub what: String,
    /// The figure with its unit.
    pub figure: String,
    /// The figure over its reference, in thousandths, and what the reference is.
    pub ratio: Option<(u64, String)>,
    /// The ratio must not exceed this many thousandths.
    pub at_most: Option<u64>,
}

/// One run of the benchmarks.
pub struct Run {
    /// Events of the largest book.
    pub events: u64,
    /// Where files go.
    pub dir: tempfile::TempDir,
    /// The figures so far.
    pub lines: Vec<Line>,
    redb_raw: BTreeMap<u64, Duration>,
    fixtures: BTreeMap<u64, Fixture>,
}

impl Run {
    pub fn new(events: u64) -> Res<Self> {
        Ok(Run {
            events,
            dir: tempfile::tempdir()?,
            lines: Vec::new(),
            redb_raw: BTreeMap::new(),
            fixtures: BTreeMap::new(),
        })
    }

    /// The sizes most workloads look at: a hundredth, a tenth and the whole.
    pub fn sizes(&self) -> [u64; 3] {
        [self.events / 100, self.events / 10, self.events]
    }

    /// Notes a figure without a reference.
    pub fn note(&mut self, bench: &'static str, what: impl Into<String>, figure: impl Into<String>) {
        let (what, figure) = (what.into(), figure.into());
        self.lines.push(Line { bench, what, figure, ratio: None, at_most: None });
    }

    /// Notes a time against a reference time.
    pub fn compare(
        &mut self,
        bench: &'static str,
        what: impl Into<String>,
        took: Duration,
        reference: (Duration, impl Into<String>),
        at_most: Option<u64>,
    ) {
        let ratio = thousandths(took.as_nanos(), reference.0.as_nanos());
        let ratio = Some((ratio, reference.1.into()));
        self.lines.push(Line { bench, what: what.into(), figure: time(took), ratio, at_most });
    }

    /// Time redb alone needs for `rows` rows, one per key: the reference of everything that stores rows.
    pub fn redb_raw(&mut self, rows: u64) -> Res<Duration> {
        if let Some(known) = self.redb_raw.get(&rows) {
            return Ok(*known);
        }
        let took = blocks::store_rows(self.dir.path(), rows)?;
        self.redb_raw.insert(rows, took);
        Ok(took)
    }

    /// A processed ten-year book of `events` events, made once per run.
    pub fn fixture(&mut self, events: u64) -> Res<&mut Fixture> {
        if !self.fixtures.contains_key(&events) {
            let made = Fixture::make(self.dir.path(), History::ten_years(events))?;
            self.fixtures.insert(events, made);
        }
        self.fixtures.get_mut(&events).ok_or_else(|| "the book just made is missing".into())
    }
}

/// How much processor time `work` took, and what it gave. For work that computes: on a busy machine it is the only
/// figure that holds. The system adds it up once per tick, so `work` should take some tens of milliseconds.
pub fn worked<R>(work: impl FnOnce() -> Res<R>) -> Res<(Duration, R)> {
    let before = processor_nanos()?;
    let result = work()?;
    Ok((Duration::from_nanos(processor_nanos()?.saturating_sub(before)), result))
}

/// Nanoseconds this process (it has one thread) was on a processor.
fn processor_nanos() -> Res<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("an empty schedstat")?.parse()?)
}

/// How long `work` took by the clock, and what it gave. For work that waits for the disk.
pub fn timed<R>(work: impl FnOnce() -> Res<R>) -> Res<(Duration, R)> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed(), result))
}

/// The median time of `times` calls; `work` gets the number of the call.
pub fn median(times: u64, mut work: impl FnMut(u64) -> Res<()>) -> Res<Duration> {
    median_of(times, |call| Ok(timed(|| work(call))?.0))
}

fn median_of(times: u64, mut measure: impl FnMut(u64) -> Res<Duration>) -> Res<Duration> {
    let mut all = (0..times).map(&mut measure).collect::<Res<Vec<_>>>()?;
    all.sort_unstable();
    all.get(all.len() / 2).copied().ok_or_else(|| "nothing was measured".into())
}

/// The medians of `times` calls of `work` and of as many durable commits of one row, in turn: a disk that others use is
/// fast in one second and slow in the next.
pub fn median_beside_commits(
    dir: &Path,
    times: u64,
    mut work: impl FnMut(u64) -> Res<()>,
) -> Res<(Duration, Duration)> {
    let mut commits = blocks::Commits::new(dir)?;
    let mut of_commits = Vec::new();
    let of_work = median_of(times, |call| {
        of_commits.push(timed(|| commits.once())?.0);
        Ok(timed(|| work(call))?.0)
    })?;
    of_commits.sort_unstable();
    let middle = of_commits.get(of_commits.len() / 2).copied();
    Ok((of_work, middle.ok_or("nothing was measured")?))
}

/// `a / b` in thousandths.
pub fn thousandths(a: u128, b: u128) -> u64 {
    u64::try_from(a * 1000 / b.max(1)).unwrap_or(u64::MAX)
}

/// A count such as `100 k` or `1 M`.
pub fn count(events: u64) -> String {
    match events {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{} M", n / 1_000_000),
        n if n >= 1_000 && n % 1_000 == 0 => format!("{} k", n / 1_000),
        n => n.to_string(),
    }
}

/// A time in the unit that suits it.
pub fn time(took: Duration) -> String {
    match took.as_nanos() {
        n if n >= 1_000_000_000 => format!("{}.{:02} s", n / 1_000_000_000, n % 1_000_000_000 / 10_000_000),
        n if n >= 1_000_000 => format!("{}.{:02} ms", n / 1_000_000, n % 1_000_000 / 10_000),
        n => format!("{}.{:02} µs", n / 1_000, n % 1_000 / 10),
    }
}

/// `events` in `took` as a rate per second.
pub fn per_second(events: u64, took: Duration) -> String {
    let rate = u128::from(events) * 1_000_000_000 / took.as_nanos().max(1);
    match rate {
        n if n >= 10_000 => format!("{} k/s", n / 1_000),
        n => format!("{n} /s"),
    }
}
