//! What is done to a book: the operations of the naive model's worlds, and those that change no books.

use nacre_engine::Error;
use nacre_engine::book::{Book, ImportFailure, NewSeal, Tag};
use nacre_engine::id::ConnectionNo;
use nacre_engine::time::Timestamp;

use crate::ledger::Ledger;
use crate::model::drive::{Op, now};
use crate::model::world::{HEADER, Row, World, hex};
use crate::seed::Dice;

/// One thing done to a book.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// An operation of the model.
    Op(Op<'a>),
    /// A file with a wrong last line; refused as a whole.
    BrokenFile(Vec<&'a Row>, u32),
    /// What an import would do.
    DryRun(Vec<&'a Row>, u32),
    /// A process, full or not, whose caller gives up when asked for the n-th time.
    GivenUp(bool, usize),
    /// A tag with one of a few codes gets a label, or is removed.
    Tag(u8, Option<u8>),
    /// A connection is renamed.
    Rename(u32, u8),
    /// One of two periods is sealed; whether quarantined events may change it.
    Seal(u32, bool, bool),
    /// What the books say now is filed instead of the n-th seal.
    Accept(usize, u32),
    /// Its restatement is held back.
    Hold(usize, u8),
    /// The n-th seal is removed.
    Unseal(usize),
    /// The file is rewritten without its free space.
    Compact,
    /// The book is closed and opened.
    Reopen,
}

/// Facts of up to three worlds in one.
pub fn world(dice: &mut Dice) -> World {
    let count = 120 + dice.below(500);
    let mut all = World::decode(&dice.bytes(count));
    rename(&mut all, 0);
    for tag in 1..=dice.below(3) as u8 {
        let mut more = World::decode(&dice.bytes(400));
        rename(&mut more, tag);
        all.rows.append(&mut more.rows);
        all.txs.append(&mut more.txs);
        all.remarks.append(&mut more.remarks);
    }
    all.removed = None;
    all
}

/// Gives what a world names names of its own, long enough to fill more than one block.
fn rename(world: &mut World, tag: u8) {
    let id = |id: &str| format!("{id}-{tag}-{:a<30}", "");
    for tx in &mut world.txs {
        tx.id[2] = tag;
    }
    for row in world.rows.iter_mut().flatten() {
        row.id = id(&row.id);
        row.lots.iter_mut().for_each(|(lot, _)| *lot = id(lot));
        if let Some(reference) = &mut row.reference {
            *reference = format!("{reference} of {tag}");
        }
        if let Some(hash) = &mut row.hash {
            hash.replace_range(..1, &tag.to_string());
        }
        if let Some(txid) = &mut row.txid {
            txid.replace_range(4..6, &format!("{tag:02x}"));
        }
    }
    for (name, _) in &mut world.remarks {
        match name.starts_with('c') && name.len() < 64 {
            true => *name = id(name),
            false => name.replace_range(4..6, &format!("{tag:02x}")),
        }
    }
    let known: Vec<String> = world.txs.iter().map(|tx| hex(&tx.id)).collect();
    let named = world.rows.iter().flatten().filter_map(|row| row.txid.as_ref());
    named.for_each(|txid| assert!(known.contains(txid), "{txid} is no transaction any more"));
}

impl<'a> Step<'a> {
    /// The next step for a book that holds what `ledger` says.
    pub fn draw(world: &'a World, ledger: &Ledger<'_>, dice: &mut Dice) -> Self {
        let version = usize::from(!dice.one_in(3));
        let wallets: Vec<u32> = (4..=5).filter(|no| ledger.has(*no)).collect();
        let feeds: Vec<u32> = (1..=3).filter(|no| ledger.has(*no)).collect();
        match dice.below(52) {
            0..=11 if !feeds.is_empty() => {
                let no = feeds[dice.below(feeds.len())];
                Step::Op(Op::Import(no, some_rows(world, no, version, dice)))
            }
            12..=16 if !wallets.is_empty() => Step::Op(Op::Sync(wallets[dice.below(wallets.len())], version)),
            17..=19 => {
                let from = dice.below(world.rates.len());
                let to = from + dice.below(world.rates.len() - from) + 1;
                Step::Op(Op::Rates(version, from..to))
            }
            20..=22 if !world.remarks.is_empty() => {
                Step::Op(Op::Remark(dice.below(world.remarks.len()), version))
            }
            23 => Step::Op(Op::Policy(version)),
            24 if dice.one_in(5) => {
                let all: Vec<u32> = feeds.into_iter().chain(wallets).collect();
                match all.is_empty() {
                    true => Step::Reopen,
                    false => Step::Op(Op::Remove(all[dice.below(all.len())])),
                }
            }
            25 if !feeds.is_empty() => {
                let no = feeds[dice.below(feeds.len())];
                Step::BrokenFile(some_rows(world, no, version, dice), no)
            }
            26 if !feeds.is_empty() => {
                let no = feeds[dice.below(feeds.len())];
                Step::DryRun(some_rows(world, no, version, dice), no)
            }
            27..=28 => Step::GivenUp(dice.one_in(2), dice.small(6)),
            29 => Step::Tag(dice.below(3) as u8, (!dice.one_in(3)).then_some(dice.below(9) as u8)),
            30 if ledger.has(1) => Step::Rename(1, dice.below(9) as u8),
            31 => Step::Compact,
            32..=33 => Step::Reopen,
            34 => Step::Op(Op::Process(true)),
            40..=44 => Step::Seal(dice.below(1 << 30) as u32, dice.one_in(2), !dice.one_in(4)),
            45..=47 => Step::Accept(dice.below(4), dice.below(1 << 30) as u32),
            48..=49 => Step::Hold(dice.below(4), dice.below(9) as u8),
            50 => Step::Unseal(dice.below(4)),
            _ => Step::Op(Op::Process(false)),
        }
    }

    /// Carries it out; whether the facts are as the operation wants them now. What is refused by right is no error.
    pub fn run(&self, world: &World, book: &mut Book) -> Result<bool, String> {
        let words = |error: Error| format!("{self:?}: {error}");
        match self {
            Step::Op(op) => world.run(book, op).map(|()| true),
            Step::BrokenFile(rows, no) => {
                let file = file(rows) + "sell,2024-02-30T00:00:00Z,wrong,1\n";
                match book.import_plain(now(), ConnectionNo(*no), file.as_bytes(), false) {
                    Err(ImportFailure::Rows { count: 1, .. }) => Ok(false),
                    Err(ImportFailure::Engine(error)) => Err(words(error)),
                    other => panic!("a broken file: {other:?}"),
                }
            }
            Step::DryRun(rows, no) => {
                match book.import_plain(now(), ConnectionNo(*no), file(rows).as_bytes(), true) {
                    Ok(_) => Ok(false),
                    Err(ImportFailure::Engine(error)) => Err(words(error)),
                    Err(other) => panic!("a dry run: {other}"),
                }
            }
            Step::GivenUp(full, after) => {
                let asked = std::cell::Cell::new(0);
                let give_up = || {
                    asked.set(asked.get() + 1);
                    asked.get() > *after
                };
                match book.process(now(), *full, &give_up) {
                    Ok(_) => Ok(true),
                    Err(Error::Cancelled) => Ok(false),
                    Err(error) => Err(words(error)),
                }
            }
            Step::Tag(code, label) => {
                let code = format!("tag-{code}");
                let done = match label {
                    Some(label) => {
                        let (id, label) = (code.clone(), format!("label {label}"));
                        book.put_tag(now(), &Tag { id, code, label, created_at: now() })
                    }
                    None => book.remove_tag(now(), &code),
                };
                match done {
                    Ok(()) | Err(Error::NotFound { .. }) => Ok(true),
                    Err(error) => Err(words(error)),
                }
            }
            Step::Rename(no, name) => {
                let known = book.snapshot().and_then(|book| book.connections()).map_err(words)?;
                let found = known.into_iter().find(|known| known.no.0 == *no);
                let mut connection = found.ok_or("the connection is gone")?;
                connection.label = format!("name {name}");
                book.update_connection(now(), &connection, false).map_err(words).map(|()| true)
            }
            Step::Seal(id, early, allow_non_final) => {
                let (start, end) =
                    if *early { (1_675_000_000, 1_700_000_000) } else { (1_700_000_001, 1_730_000_000) };
                let (start, end) = (Timestamp::from_secs(start), Timestamp::from_secs(end));
                let (id, label) = (format!("seal-{id}"), "filed".into());
                let new = NewSeal { id, label, start, end, allow_non_final: *allow_non_final };
                done(book.seal(now(), &new)).map_err(words)
            }
            Step::Accept(nth, new) => {
                let Some(id) = nth_seal(book, *nth).map_err(words)? else { return Ok(false) };
                done(book.accept_restatement(now(), &id, &format!("seal-{new}"), true)).map_err(words)
            }
            Step::Hold(nth, note) => {
                let Some(id) = nth_seal(book, *nth).map_err(words)? else { return Ok(false) };
                done(book.hold_restatement(now(), &id, &format!("note {note}"))).map_err(words)
            }
            Step::Unseal(nth) => {
                let Some(id) = nth_seal(book, *nth).map_err(words)? else { return Ok(false) };
                done(book.remove_seal(now(), &id)).map_err(words)
            }
            Step::Compact => book.compact().map_err(words).map(|_| false),
            Step::Reopen => Ok(false),
        }
    }

    /// A word for the tally.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Op(Op::Import(..)) => "imports",
            Step::Op(Op::Sync(..)) => "syncs",
            Step::Op(Op::Rates(..)) => "rates",
            Step::Op(Op::Remark(..)) => "remarks",
            Step::Op(Op::Policy(..)) => "policies",
            Step::Op(Op::Process(false)) => "processes",
            Step::Op(Op::Process(true)) => "full processes",
            Step::Op(Op::Remove(..)) => "removals",
            Step::BrokenFile(..) => "broken files",
            Step::DryRun(..) => "dry runs",
            Step::GivenUp(..) => "processes given up",
            Step::Tag(..) => "tags",
            Step::Rename(..) => "renames",
            Step::Seal(..) => "seals",
            Step::Accept(..) => "acceptances",
            Step::Hold(..) => "holds",
            Step::Unseal(..) => "seal removals",
            Step::Compact => "compactions",
            Step::Reopen => "reopenings",
        }
    }
}

/// Whether it was done; what the book refuses as things stand is no error.
fn done<T>(outcome: Result<T, Error>) -> Result<bool, Error> {
    match outcome {
        Ok(_) => Ok(true),
        Err(Error::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The public id of one of the seals, the same in every book that holds the same.
fn nth_seal(book: &Book, nth: usize) -> Result<Option<String>, Error> {
    let seals = book.snapshot()?.seals()?;
    Ok(seals.get(nth % seals.len().max(1)).map(|seal| seal.id.clone()))
}

fn some_rows<'a>(world: &'a World, no: u32, version: usize, dice: &mut Dice) -> Vec<&'a Row> {
    let sparse = 1 + dice.below(4);
    let of = world.rows.iter().filter(|row| row[0].conn == no);
    of.filter(|_| dice.one_in(sparse)).map(|row| &row[version]).collect()
}

fn file(rows: &[&Row]) -> String {
    rows.iter().fold(format!("{HEADER}\n"), |file, row| file + &row.csv() + "\n")
}
