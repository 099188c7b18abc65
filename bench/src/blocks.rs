//! The store: redb alone (the reference of everything), and rows one per key against the engine's blocks of rows.

use std::path::Path;
use std::time::Duration;

use nacre_engine::measure::BlockMap;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition};

use crate::history::CACHE_BYTES;
use crate::run::{Line, Res, Run, count, median, per_second, thousandths, time, worked};
use crate::seeded::Seeded;

type Bytes = &'static [u8];
const ROWS: TableDefinition<Bytes, Bytes> = TableDefinition::new("rows");
/// As large as an engine's journal row: a purchase with its lot.
const VALUE_BYTES: usize = 107;
const POINT_READS: u64 = 20_000;
const RANDOM_ROWS: u64 = 10_000;
/// A scan is too short to be measured alone.
const SCANS: u32 = 5;
/// Rows open at a time in the work of a pool of lots.
const OPEN_ROWS: u64 = 500;

/// How rows are laid out in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    PerKey,
    /// The engine's blocks, full at this many bytes.
    Blocks(usize),
}

const LAYOUTS: &[Layout] = &[
    Layout::PerKey,
    Layout::Blocks(1_000),
    Layout::Blocks(1_900),
    Layout::Blocks(3_900),
    Layout::Blocks(8_000),
    Layout::Blocks(16_100),
];

/// 8 bytes of time, then what an event id looks like.
fn key(number: u64) -> Vec<u8> {
    let mut key = (1_420_070_400_000_000 + number * 410_000_000).to_be_bytes().to_vec();
    key.extend_from_slice(format!("c1.t-{number:011}").as_bytes());
    key
}

fn value(number: u64) -> Vec<u8> {
    let mut random = Seeded::new(number);
    let mut value = Vec::with_capacity(VALUE_BYTES + 7);
    while value.len() < VALUE_BYTES {
        value.extend_from_slice(&random.bits().to_be_bytes());
    }
    value.truncate(VALUE_BYTES);
    value
}

fn open(path: &Path) -> Res<Database> {
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create(path)?)
}

/// Puts rows into a writable table in one layout.
fn put(table: Table<'_, Bytes, Bytes>, layout: Layout, numbers: impl Iterator<Item = u64>) -> Res<()> {
    match layout {
        Layout::PerKey => {
            let mut table = table;
            for number in numbers {
                table.insert(key(number).as_slice(), value(number).as_slice())?;
            }
        }
        Layout::Blocks(full_bytes) => {
            let mut map = BlockMap::sized(table, full_bytes);
            for number in numbers {
                map.put(&key(number), &value(number))?;
            }
            map.flush()?;
        }
    }
    Ok(())
}

fn store(db: &Database, layout: Layout, numbers: impl Iterator<Item = u64>) -> Res<()> {
    let txn = db.begin_write()?;
    put(txn.open_table(ROWS)?, layout, numbers)?;
    Ok(txn.commit()?)
}

/// Time of one durable commit of `rows` new rows in key order, one per key.
pub fn store_rows(dir: &Path, rows: u64) -> Res<Duration> {
    let path = dir.join("raw.redb");
    let db = open(&path)?;
    let (took, ()) = worked(|| store(&db, Layout::PerKey, 0..rows))?;
    drop(db);
    std::fs::remove_file(path)?;
    Ok(took)
}

/// A small store for durable commits of one row each.
pub struct Commits {
    db: Database,
    next: u64,
}

impl Commits {
    pub fn new(dir: &Path) -> Res<Self> {
        let db = open(&dir.join("commit.redb"))?;
        store(&db, Layout::PerKey, 0..1_000)?;
        Ok(Commits { db, next: 1_000 })
    }

    /// One more.
    pub fn once(&mut self) -> Res<()> {
        self.next += 1;
        store(&self.db, Layout::PerKey, std::iter::once(self.next))
    }
}

pub fn redb_raw(run: &mut Run) -> Res<()> {
    let rows = run.events;
    let took = run.redb_raw(rows)?;
    run.note("redb_raw", format!("{} rows ({})", count(rows), per_second(rows, took)), time(took));
    Ok(())
}

pub fn commit(run: &mut Run) -> Res<()> {
    let mut commits = Commits::new(run.dir.path())?;
    let took = median(201, |_| commits.once())?;
    run.note("commit", "one row, durable (median, by the clock)", time(took));
    Ok(())
}

/// What is measured of one layout.
struct Figures {
    write: Duration,
    scan: Duration,
    /// Rows opened at the end, looked at and removed a little later, as lots are.
    turn: Duration,
    read: Duration,
    insert: Duration,
    file_bytes: u64,
}

pub fn rows_vs_blocks(run: &mut Run) -> Res<()> {
    let rows = run.events / 4;
    let mut reference: Option<Figures> = None;
    for layout in LAYOUTS {
        let figures = layout_figures(run.dir.path(), *layout, rows)?;
        let against = reference.as_ref().unwrap_or(&figures);
        let name = match layout {
            Layout::PerKey => "row per key".to_owned(),
            Layout::Blocks(full_bytes) => format!("blocks of {full_bytes} B"),
        };
        let each = [
            (format!("write {} in order", count(rows)), figures.write, against.write),
            (format!("{SCANS} scans"), figures.scan, against.scan),
            (format!("open, look at and use up {}", count(rows)), figures.turn, against.turn),
            (format!("{} point reads", count(POINT_READS)), figures.read, against.read),
            (format!("insert {} at random", count(RANDOM_ROWS)), figures.insert, against.insert),
        ];
        for (what, took, to) in each {
            run.compare("rows_vs_blocks", format!("{name}: {what}"), took, (to, "row per key"), None);
        }
        run.lines.push(Line {
            bench: "rows_vs_blocks",
            what: format!("{name}: file, compacted"),
            figure: format!("{} B/row", figures.file_bytes / rows),
            ratio: Some((
                thousandths(figures.file_bytes.into(), against.file_bytes.into()),
                "row per key".into(),
            )),
            at_most: None,
        });
        reference.get_or_insert(figures);
    }
    Ok(())
}

fn layout_figures(dir: &Path, layout: Layout, rows: u64) -> Res<Figures> {
    let path = dir.join("layout.redb");
    let mut db = open(&path)?;
    // Even numbers only, so that what is inserted later falls between them.
    let (write, ()) = worked(|| store(&db, layout, (0..rows).map(|number| 2 * number)))?;
    let txn = db.begin_read()?;
    let (scan, found) = worked(|| {
        (1..SCANS).try_for_each(|_| scan(&txn, layout).map(drop))?;
        scan(&txn, layout)
    })?;
    if found != rows {
        return Err(format!("{found} of {rows} rows found").into());
    }
    let (read, ()) = worked(|| point_reads(&txn, layout, rows))?;
    drop(txn);
    while db.compact()? {}
    let file_bytes = std::fs::metadata(&path)?.len();
    let mut random = Seeded::new(11);
    let mut late: Vec<u64> = (0..RANDOM_ROWS).map(|_| 2 * random.below(rows) + 1).collect();
    late.sort_unstable();
    let (insert, ()) = worked(|| store(&db, layout, late.into_iter()))?;
    let (turn, ()) = worked(|| turn_over(&db, layout, rows))?;
    drop(db);
    std::fs::remove_file(path)?;
    Ok(Figures { write, scan, turn, read, insert, file_bytes })
}

/// Puts, reads and removes rows behind all others.
fn turn_over(db: &Database, layout: Layout, rows: u64) -> Res<()> {
    let txn = db.begin_write()?;
    let mut table = txn.open_table(ROWS)?;
    let numbers = (2 * rows..3 * rows).map(|number| (number, number.saturating_sub(OPEN_ROWS).max(2 * rows)));
    match layout {
        Layout::PerKey => {
            for (number, old) in numbers {
                table.insert(key(number).as_slice(), value(number).as_slice())?;
                table.get(key(old).as_slice())?.ok_or("a row is missing")?;
                if number - old == OPEN_ROWS {
                    table.remove(key(old).as_slice())?;
                }
            }
            drop(table);
        }
        Layout::Blocks(full_bytes) => {
            let mut map = BlockMap::sized(table, full_bytes);
            for (number, old) in numbers {
                map.put(&key(number), &value(number))?;
                map.get(&key(old))?.ok_or("a row is missing")?;
                if number - old == OPEN_ROWS {
                    map.remove(&key(old))?;
                }
            }
            map.flush()?;
        }
    }
    Ok(txn.commit()?)
}

/// Reads every row and looks at its bytes.
fn scan(txn: &ReadTransaction, layout: Layout) -> Res<u64> {
    let table = txn.open_table(ROWS)?;
    let mut found = 0;
    let mut seen = 0u8;
    match layout {
        Layout::PerKey => {
            for row in table.range::<&[u8]>(..)? {
                let (key, value) = row?;
                seen ^= key.value().len() as u8 ^ value.value().last().copied().unwrap_or(0);
                found += 1;
            }
        }
        Layout::Blocks(full_bytes) => {
            let mut map = BlockMap::sized(table, full_bytes);
            let mut from = Vec::new();
            while let Some((key, value)) = map.at_or_after(&from)? {
                seen ^= key.len() as u8 ^ value.last().copied().unwrap_or(0);
                from.clear();
                from.extend_from_slice(key);
                from.push(0);
                found += 1;
            }
        }
    }
    std::hint::black_box(seen);
    Ok(found)
}

fn point_reads(txn: &ReadTransaction, layout: Layout, rows: u64) -> Res<()> {
    let mut random = Seeded::new(5);
    let table = txn.open_table(ROWS)?;
    let wanted = |random: &mut Seeded| 2 * random.below(rows);
    match layout {
        Layout::PerKey => {
            for _ in 0..POINT_READS {
                let number = wanted(&mut random);
                let found = table.get(key(number).as_slice())?.ok_or("a row is missing")?;
                check(number, found.value())?;
            }
        }
        Layout::Blocks(full_bytes) => {
            let mut map = BlockMap::sized(table, full_bytes);
            for _ in 0..POINT_READS {
                let number = wanted(&mut random);
                check(number, map.get(&key(number))?.ok_or("a row is missing")?)?;
            }
        }
    }
    Ok(())
}

fn check(number: u64, found: &[u8]) -> Res<()> {
    if found == value(number) { Ok(()) } else { Err("a row differs".into()) }
}
