//! CSV in → durable books → capital gains out as CSV.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant};

use nacre_engine::model::{Method, Settings};
use nacre_engine::reports::Range;

use crate::history::{History, empty_book, now};
use crate::run::{Res, Run, count, per_second, time, worked};

/// Processor times of the three parts, and how long all took by the clock.
pub struct Parts {
    pub import: Duration,
    pub process: Duration,
    pub export: Duration,
    pub clock: Duration,
}

impl Parts {
    pub fn total(&self) -> Duration {
        self.import + self.process + self.export
    }
}

/// Imports the file at `csv` into a new book at `file`, processes it with FIFO and writes the gains.
pub fn through(csv: &Path, file: &Path) -> Res<Parts> {
    through_with(csv, file, Method::Fifo)
}

/// [`through`] with another method.
pub fn through_with(csv: &Path, file: &Path, method: Method) -> Res<Parts> {
    let (book, no) = empty_book(file)?;
    book.set_settings(now(), &Settings { method, ..Settings::default() })?;
    let start = Instant::now();
    let (import, _) = worked(|| Ok(book.import_plain(now(), no, File::open(csv)?, false)?))?;
    let (process, done) = worked(|| Ok(book.process(now(), false, &|| false)?))?;
    if done.quarantined > 0 {
        return Err(format!("{} events of {} are quarantined", done.quarantined, done.events_total).into());
    }
    let (export, ()) = worked(|| {
        let mut out = BufWriter::new(File::create(file.with_extension("gains.csv"))?);
        Ok(book.snapshot()?.capital_gains_csv(&Range::default(), &mut out)?)
    })?;
    Ok(Parts { import, process, export, clock: start.elapsed() })
}

pub fn import_to_gains(run: &mut Run) -> Res<()> {
    let mut smaller: Option<Duration> = None;
    for events in run.sizes() {
        let csv = run.dir.path().join(format!("in-{events}.csv"));
        History::ten_years(events).write(&csv)?;
        let parts = through(&csv, &run.dir.path().join(format!("through-{events}.book")))?;
        let total = parts.total();
        let reference = (run.redb_raw(events)?, "redb_raw");
        let what =
            format!("{} ({}; {} by the clock)", count(events), per_second(events, total), time(parts.clock));
        run.compare("import_to_gains", what, total, reference, None);
        for (part, took) in [("import", parts.import), ("process", parts.process), ("export", parts.export)] {
            let what = format!("  of it {part} {}", count(events));
            run.compare("import_to_gains", what, took, (total, "the whole"), None);
        }
        if let Some(smaller) = smaller {
            let what = format!("{} / {}", count(events), count(events / 10));
            run.compare("import_to_gains", what, total, (smaller, "a tenth of the events"), Some(11_000));
        }
        smaller = Some(total);
    }
    Ok(())
}
