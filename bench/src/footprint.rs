//! Memory and disk.

use std::path::Path;
use std::process::Command;

use crate::history::{CACHE_BYTES, Fixture, History};
use crate::imports;
use crate::run::{Line, Res, Run, count, thousandths};

/// First argument of the process whose memory is looked at.
pub const CHILD: &str = "--import-for-memory";

/// Peak resident set of import + process + export of a tenth of the events, in a process of its own.
pub fn rss(run: &mut Run) -> Res<()> {
    for (events, limit_kib) in [(run.events / 10, Some(200 << 10)), (run.events, None)] {
        let csv = run.dir.path().join(format!("rss-{events}.csv"));
        History::ten_years(events).write(&csv)?;
        let child = Command::new(std::env::current_exe()?).arg(CHILD).arg(&csv).output()?;
        if !child.status.success() {
            return Err(String::from_utf8_lossy(&child.stderr).into_owned().into());
        }
        let peak_kib: u64 = String::from_utf8(child.stdout)?.trim().parse()?;
        let ratio = limit_kib.map(|limit| (thousandths(peak_kib.into(), limit), "200 MiB".to_owned()));
        run.lines.push(Line {
            bench: "rss",
            what: format!("peak of import + process + export {}", count(events)),
            figure: format!("{} MiB", peak_kib >> 10),
            at_most: ratio.as_ref().map(|_| 1_000),
            ratio,
        });
    }
    Ok(())
}

/// The process [`rss`] starts: does the work, prints its peak in KiB.
pub fn child(mut args: impl Iterator<Item = String>) -> Res<()> {
    let csv = args.next().ok_or("the file to import is missing")?;
    imports::through(Path::new(&csv), &Path::new(&csv).with_extension("book"))?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    println!("{}", line.trim().trim_end_matches("kB").trim());
    Ok(())
}

/// Bytes per event on disk, compacted.
pub fn disk(run: &mut Run) -> Res<()> {
    let events = run.events / 10;
    let dir = tempfile::tempdir_in(run.dir.path())?;
    let Fixture { mut book, file, csv, .. } = Fixture::make(dir.path(), History::ten_years(events))?;
    let before = std::fs::metadata(&file)?.len();
    book.compact()?;
    drop(book);
    let after = std::fs::metadata(&file)?.len();
    let csv = std::fs::metadata(&csv)?.len();
    run.note("disk", format!("CSV of {}", count(events)), format!("{} B/event", csv / events));
    run.note(
        "disk",
        format!("book of {} as left by process", count(events)),
        format!("{} B/event", before / events),
    );
    run.lines.push(Line {
        bench: "disk",
        what: format!("book of {} compacted", count(events)),
        figure: format!("{} B/event", after / events),
        ratio: Some((thousandths((after / events).into(), 200), "200 bytes".into())),
        at_most: Some(1_000),
    });
    run.note("disk", "page cache of every book", format!("{} MiB", CACHE_BYTES >> 20));
    Ok(())
}
