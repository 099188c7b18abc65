//! Memory and disk.

use std::path::Path;
use std::process::Command;

use nacre_engine::book::Book;

use crate::history::{CACHE_BYTES, Fixture, History, now};
use crate::imports;
use crate::run::{Line, Res, Run, count, thousandths};

/// First argument of the process whose memory is looked at.
pub const CHILD: &str = "--import-for-memory";
/// First argument of the process that rebuilds a book for it.
pub const REBUILD_CHILD: &str = "--rebuild-for-memory";

/// Peak resident sets, each in a process of its own: of import + process + export, and of a rebuild.
pub fn rss(run: &mut Run) -> Res<()> {
    for (events, limit_mib) in [(run.events / 10, Some(200)), (run.events, None)] {
        let csv = run.dir.path().join(format!("rss-{events}.csv"));
        History::ten_years(events).write(&csv)?;
        let peak_kib = peak_of(CHILD, &csv)?;
        note_peak(run, format!("peak of import + process + export {}", count(events)), peak_kib, limit_mib);
    }
    let book = run.dir.path().join(format!("rss-{}.book", run.events));
    let peak_kib = peak_of(REBUILD_CHILD, &book)?;
    note_peak(run, format!("peak of a rebuild of {}", count(run.events)), peak_kib, Some(80));
    Ok(())
}

fn note_peak(run: &mut Run, what: String, peak_kib: u64, limit_mib: Option<u64>) {
    let ratio = limit_mib
        .map(|limit| (thousandths(peak_kib.into(), u128::from(limit) << 10), format!("{limit} MiB")));
    let at_most = ratio.as_ref().map(|_| 1_000);
    run.lines.push(Line { bench: "rss", what, figure: format!("{} MiB", peak_kib >> 10), at_most, ratio });
}

/// What a process of its own held at most, in KiB, while it did its work on the file.
fn peak_of(work: &str, file: &Path) -> Res<u64> {
    let child = Command::new(std::env::current_exe()?).arg(work).arg(file).output()?;
    if !child.status.success() {
        return Err(String::from_utf8_lossy(&child.stderr).into_owned().into());
    }
    Ok(String::from_utf8(child.stdout)?.trim().parse()?)
}

/// The process [`rss`] starts: does the work, prints its peak in KiB.
pub fn child(work: &str, mut args: impl Iterator<Item = String>) -> Res<()> {
    let file = args.next().ok_or("the file to work on is missing")?;
    let file = Path::new(&file);
    if work == REBUILD_CHILD {
        Book::open(file, CACHE_BYTES)?.process(now(), true, &|| false)?;
    } else {
        imports::through(file, &file.with_extension("book"))?;
    }
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
