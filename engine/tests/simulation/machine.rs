//! One seed: steps on a book over a failing disk, and after each what is there is held against what was acknowledged.
//!
//! Two witnesses. The *shadow* is a book in memory that is given what was acknowledged; after a crash the rows on the
//! disk are, table by table, those of the shadow before or after the step that was running, and nothing else. The
//! *ledger* keeps the facts for the naive books, which share no code with the engine.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nacre_engine::book::Book;
use nacre_engine::fuzzing::{Disk, Fault};

use crate::ledger::Ledger;
use crate::model::drive::{Op, books, connect, now, printed};
use crate::model::world::World;
use crate::seed::Dice;
use crate::steps::{Step, world};

const CACHE_BYTES: usize = 1 << 19;
/// Steps between two audits against the naive books.
const AUDIT_EVERY: usize = 12;

/// What is broken on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// The disk acknowledges syncs and does none.
    LyingDisk,
    /// An acknowledged step is not told to shadow and ledger.
    ForgetfulAuditor,
    /// A step that a crash undid is told to the ledger.
    CredulousLedger,
}

/// What was done, for the last line of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub runs: u64,
    pub steps: BTreeMap<&'static str, u64>,
    /// Those of them that were done and acknowledged.
    pub done: BTreeMap<&'static str, u64>,
    /// By kind of fault: how often it struck.
    pub struck: BTreeMap<&'static str, u64>,
    /// Power losses, amid a step or between two.
    pub crashes: u64,
    /// Steps that ran when a fault struck: found done, found undone.
    pub in_flight: [u64; 2],
    /// Openings, the failed ones too.
    pub openings: u64,
    pub failed_openings: u64,
    /// Comparisons with the naive books.
    pub audits: u64,
    pub journal_rows: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.runs += other.runs;
        other.steps.iter().for_each(|(name, count)| *self.steps.entry(name).or_default() += count);
        other.done.iter().for_each(|(name, count)| *self.done.entry(name).or_default() += count);
        other.struck.iter().for_each(|(name, count)| *self.struck.entry(name).or_default() += count);
        self.crashes += other.crashes;
        self.in_flight[0] += other.in_flight[0];
        self.in_flight[1] += other.in_flight[1];
        self.openings += other.openings;
        self.failed_openings += other.failed_openings;
        self.audits += other.audits;
        self.journal_rows += other.journal_rows;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |counts: &BTreeMap<&str, u64>| {
            counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
        };
        let steps: u64 = self.steps.values().sum();
        let [done, undone] = self.in_flight;
        writeln!(f, "{} seeds, {steps} steps: {}", self.runs, words(&self.steps))?;
        writeln!(f, "done: {}", words(&self.done))?;
        writeln!(f, "faults that struck: {}", words(&self.struck))?;
        write!(
            f,
            "{} power losses, {} openings ({} failed); ",
            self.crashes, self.openings, self.failed_openings
        )?;
        write!(f, "steps struck amid: {done} found done, {undone} undone; ")?;
        write!(f, "{} audits over {} journal rows", self.audits, self.journal_rows)
    }
}

/// A broken promise: at which step, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Steps that were begun.
    pub after: usize,
    pub what: String,
    /// All that was done, in words.
    pub trace: Vec<String>,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub tally: Tally,
    pub trace: Vec<String>,
}

/// Runs `seed` up to its first `limit` steps.
pub fn run(seed: u64, limit: usize, sabotage: Sabotage) -> Result<Run, Box<Broken>> {
    let mut dice = Dice::new(seed);
    let world = world(&mut dice);
    let steps = (20 + dice.below(60)).min(limit);
    let mut machine = Machine::new(&world, dice, sabotage);
    let mut begun = 0;
    let all = || {
        for at in 0..steps {
            begun = at + 1;
            machine.step()?;
            if begun % AUDIT_EVERY == 0 {
                machine.audit()?;
            }
        }
        machine.end()
    };
    // Whatever the disk does, nothing may panic.
    let outcome = catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|panic| Err(words(panic.as_ref())));
    let Machine { mut tally, trace, .. } = machine;
    tally.runs = 1;
    match outcome {
        Ok(()) => Ok(Run { tally, trace }),
        Err(what) => Err(Box::new(Broken { after: begun, what, trace })),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("panicked: {}", text.unwrap_or_default())
}

struct Machine<'a> {
    world: &'a World,
    dice: Dice,
    sabotage: Sabotage,
    disk: Disk,
    /// None while it is closed.
    book: Option<Book>,
    shadow: Book,
    ledger: Ledger<'a>,
    tally: Tally,
    trace: Vec<String>,
}

impl<'a> Machine<'a> {
    fn new(world: &'a World, dice: Dice, sabotage: Sabotage) -> Self {
        let disk = Disk::default();
        let book = Book::on_disk(&disk, CACHE_BYTES).unwrap();
        let shadow = Book::in_memory().unwrap();
        for book in [&book, &shadow] {
            connect(book);
            world.run(book, &Op::Policy(0)).unwrap();
        }
        disk.forget_synced();
        if sabotage == Sabotage::LyingDisk {
            disk.lie_about_syncs();
        }
        let ledger = Ledger::new(world);
        let (tally, trace) = (Tally::default(), Vec::new());
        Machine { world, dice, sabotage, disk, book: Some(book), shadow, ledger, tally, trace }
    }

    /// One step, mostly with a fault planned; then the truth about it.
    fn step(&mut self) -> Result<(), String> {
        let step = Step::draw(self.world, &self.ledger, &mut self.dice);
        *self.tally.steps.entry(step.name()).or_default() += 1;
        let fault = self.fault();
        self.say(format!("{step:?} with {fault:?}"));
        self.disk.plan(fault);
        let outcome = match (&step, self.book.as_mut()) {
            (Step::Reopen, _) => {
                // Closing writes too, and whether it could is not told.
                self.book = None;
                self.open().map(|()| false)
            }
            (_, Some(book)) => step.run(self.world, book),
            (_, None) => return Err("the book is closed".into()),
        };
        let struck = self.disk.struck();
        match outcome {
            Ok(done) if !struck => {
                self.disk.plan(None);
                if done {
                    self.acknowledged(&step)?;
                }
                // Between two steps the power may fail as well.
                if self.dice.one_in(12) { self.power_loss(None) } else { Ok(()) }
            }
            // A fault that only a read or the closing met: the answer holds all the same.
            Ok(done) => {
                if done {
                    self.acknowledged(&step)?;
                }
                self.recover(fault, None)
            }
            Err(error) if struck => {
                // What the first error was is not always told.
                let full = matches!(fault, Some(Fault::Full { .. })) && error.contains("the disk is full");
                if !full && !error.contains("book storage failed") {
                    return Err(format!("after {fault:?} the book says: {error}"));
                }
                self.recover(fault, Some(&step))
            }
            Err(error) => Err(format!("refused without a fault: {error}")),
        }
    }

    fn fault(&mut self) -> Option<Fault> {
        let dice = &mut self.dice;
        match dice.below(12) {
            0..=2 => Some(Fault::PowerLoss { after: dice.small(7) }),
            3..=4 => Some(Fault::Errors { after: dice.small(8), count: 1 + dice.small(4) }),
            5..=7 => Some(Fault::Full { after: dice.small(4), holes: dice.one_in(2) }),
            _ => None,
        }
    }

    /// After a fault struck: the disk heals or the power fails too, and the book is opened again.
    fn recover(&mut self, fault: Option<Fault>, running: Option<&Step<'a>>) -> Result<(), String> {
        let name = match fault {
            Some(Fault::PowerLoss { .. }) => "power losses",
            Some(Fault::Errors { .. }) => "I/O errors",
            Some(Fault::Full { .. }) => "full disks",
            None => return Err("a fault struck that was not planned".into()),
        };
        *self.tally.struck.entry(name).or_default() += 1;
        if name == "power losses" || self.dice.one_in(3) {
            return self.power_loss(running);
        }
        self.book = None;
        // The disk may still be bad when the book is opened; some day it is not. Reading needs no room.
        let full = name == "full disks";
        let still_bad = self.dice.one_in(2).then(|| self.open());
        if let (true, Some(Err(error))) = (full, &still_bad) {
            return Err(format!("it cannot be opened on a full disk: {error}"));
        }
        if matches!(still_bad, Some(Ok(()))) {
            // What can be opened can be read, and holds what it must.
            self.settle(running)?;
            self.book = None;
            self.disk.plan(None);
            self.open().map_err(|error| format!("it cannot be opened again: {error}"))?;
            return self.settle(None);
        }
        self.book = None;
        self.disk.plan(None);
        self.open().map_err(|error| format!("it cannot be opened on a healed disk: {error}"))?;
        self.settle(running)
    }

    fn power_loss(&mut self, running: Option<&Step<'a>>) -> Result<(), String> {
        self.tally.crashes += 1;
        // Before the handle is dropped: a process that died closes nothing.
        let mut next = self.disk.restarted(self.dice.next());
        self.disk.plan(Some(Fault::PowerLoss { after: 0 }));
        self.book = None;
        // Power may fail again while the book is opened.
        while self.dice.one_in(3) {
            self.disk = next;
            self.disk.plan(Some(Fault::PowerLoss { after: self.dice.small(5) }));
            let _ = self.open();
            self.tally.crashes += 1;
            next = self.disk.restarted(self.dice.next());
            self.disk.plan(Some(Fault::PowerLoss { after: 0 }));
            self.book = None;
        }
        self.disk = next;
        self.open().map_err(|error| format!("it cannot be opened after a power loss: {error}"))?;
        self.settle(running)
    }

    fn open(&mut self) -> Result<(), String> {
        self.tally.openings += 1;
        match Book::on_disk(&self.disk, CACHE_BYTES) {
            Ok(book) => {
                self.book = Some(book);
                Ok(())
            }
            Err(error) => {
                self.tally.failed_openings += 1;
                Err(error.to_string())
            }
        }
    }

    /// The step that was running is done or it is not; nothing else has changed.
    fn settle(&mut self, running: Option<&Step<'a>>) -> Result<(), String> {
        let found = self.book()?.rows().map_err(|error| error.to_string())?;
        if found == self.shadow.rows().unwrap() {
            self.tally.in_flight[1] += u64::from(running.is_some());
            if let (Some(step), Sabotage::CredulousLedger) = (running, self.sabotage) {
                self.ledger.note(step);
            }
            self.disk.forget_synced();
            return Ok(());
        }
        let Some(step) = running else { return Err("what was acknowledged is not what is there".into()) };
        self.tally.in_flight[0] += 1;
        self.say("(it was done)".into());
        self.acknowledged(step)?;
        if found != self.shadow.rows().unwrap() {
            return Err("neither the books before the step nor those after it".into());
        }
        self.disk.forget_synced();
        Ok(())
    }

    /// Tells the witnesses.
    fn acknowledged(&mut self, step: &Step<'a>) -> Result<(), String> {
        let forget =
            self.sabotage == Sabotage::ForgetfulAuditor && self.trace.len() > 10 && self.dice.one_in(4);
        if forget {
            return Ok(());
        }
        *self.tally.done.entry(step.name()).or_default() += 1;
        self.ledger.note(step);
        step.run(self.world, &mut self.shadow).map_err(|error| format!("the shadow refuses: {error}"))?;
        self.disk.forget_synced();
        Ok(())
    }

    /// Derives, then compares with both witnesses.
    fn audit(&mut self) -> Result<(), String> {
        self.tally.audits += 1;
        for book in [self.book()?, &self.shadow] {
            book.process(now(), false, &|| false).map_err(|error| error.to_string())?;
        }
        let book = self.book()?;
        let verified = book.verify().map_err(|error| error.to_string())?;
        if !verified.problems.is_empty() || verified.waiting {
            return Err(format!("verify: {:?}", verified.problems));
        }
        if book.rows().unwrap() != self.shadow.rows().unwrap() {
            return Err("the rows are not those of a book that nothing happened to".into());
        }
        let (got, want) = (books(book), self.ledger.books());
        if got != want {
            return Err(format!("not the naive books\ngot {got:#?}\nwanted {want:#?}"));
        }
        self.tally.journal_rows += verified.journal_rows;
        self.disk.forget_synced();
        Ok(())
    }

    /// What is there, processed from nothing, is what is there.
    fn end(&mut self) -> Result<(), String> {
        self.audit()?;
        let book = self.book()?;
        let incremental = printed(book);
        book.process(now(), true, &|| false).map_err(|error| error.to_string())?;
        if printed(book) != incremental {
            return Err("a rebuild gives other reports".into());
        }
        self.shadow.process(now(), true, &|| false).unwrap();
        self.power_loss(None)?;
        self.audit()
    }

    fn book(&self) -> Result<&Book, String> {
        self.book.as_ref().ok_or_else(|| "the book is closed".into())
    }

    fn say(&mut self, what: String) {
        self.trace.push(what);
    }
}
