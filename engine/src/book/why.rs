//! Why the gains changed between two versions of the book: the facts written in between, and what processing made of them.
//!
//! Reads the change log only; both versions' books need not exist any more.

use std::collections::BTreeMap;

use super::Snapshot;
use crate::error::{Error, Result};
use crate::model::{Change, ChangeDetail, Effect, EventEffect, Gains, YearEffect};
use crate::money::Currency;
use crate::time::Timestamp;

/// Causes told at most.
const CAUSES_MAX: usize = 1_000;
/// Events told at most.
const EVENTS_MAX: usize = 1_000;
/// Changes read at once.
const BATCH: usize = 64;

/// A write that may have changed figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The version it made.
    pub book_version: u64,
    /// The write.
    pub change: Change,
}

/// Why the gains changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// Writes of facts, oldest first. The last of them may still wait for a process.
    pub causes: Vec<Cause>,
    /// Whether there were more causes than are told.
    pub more_causes: bool,
    /// How often the journal was processed in between.
    pub processes: u64,
    /// What that changed, all of it together: first before, last after. An event that ends as it began is not listed.
    pub effect: Effect,
}

impl Snapshot {
    /// Why the gains of version `to` are not those of version `from`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the versions are not in order or not in this book.
    pub fn why(&self, from: u64, to: u64) -> Result<Why> {
        let newest = self.header()?.book_version;
        if from > to {
            return Err(Error::invalid(
                "from_version",
                format!("{from} is after to_version {to}; swap them"),
            ));
        }
        if to > newest {
            return Err(Error::invalid("to_version", format!("the book is at version {newest}")));
        }
        let mut why = Why::default();
        let mut sum = Sum::default();
        let mut after = from;
        'log: loop {
            let changes = self.changes_after(after, BATCH)?;
            if changes.is_empty() {
                break;
            }
            for (book_version, change) in changes {
                if book_version > to {
                    break 'log;
                }
                after = book_version;
                match &change.detail {
                    ChangeDetail::Process(effect) => {
                        why.processes += 1;
                        sum.add(effect);
                    }
                    ChangeDetail::None | ChangeDetail::Seal { .. } => {}
                    _ if why.causes.len() < CAUSES_MAX => why.causes.push(Cause { book_version, change }),
                    _ => why.more_causes = true,
                }
            }
        }
        why.effect = sum.finish();
        Ok(why)
    }
}

/// Effects one after the other.
#[derive(Default)]
struct Sum {
    first: bool,
    currencies: Option<(Currency, Currency)>,
    more_from: Option<Timestamp>,
    years: BTreeMap<i16, (Gains, Gains)>,
    events: BTreeMap<(Timestamp, String), EventEffect>,
}

impl Sum {
    fn add(&mut self, effect: &Effect) {
        self.first |= effect.first;
        let before = self.currencies.or(effect.currencies).map(|(before, _)| before);
        self.currencies = before.zip(effect.currencies.map(|(_, after)| after));
        for YearEffect { year, before, after } in &effect.years {
            self.years.entry(*year).or_insert((*before, *after)).1 = *after;
        }
        for event in &effect.events {
            let known = self.events.entry((event.at, event.event.to_string()));
            known.or_insert_with(|| event.clone()).after = event.after;
        }
        let mut more_from = self.more_from.into_iter().chain(effect.more_from).min();
        // Those that ended as they began make room first; of the others the earliest are told.
        if self.events.len() > 4 * EVENTS_MAX {
            self.events.retain(|_, event| event.before != event.after);
            more_from =
                more_from.into_iter().chain(self.events.keys().nth(2 * EVENTS_MAX).map(|key| key.0)).min();
        }
        // What is not told of one process cannot be told of several.
        self.more_from = more_from;
        self.events.retain(|(at, _), _| more_from.is_none_or(|from| *at < from));
    }

    fn finish(mut self) -> Effect {
        let years = self.years.into_iter().map(|(year, (before, after))| YearEffect { year, before, after });
        if self.first {
            // Everything is new since: no event is told by itself.
            self.events.clear();
            self.more_from = None;
        }
        let mut events: Vec<_> =
            self.events.into_values().filter(|event| event.before != event.after).collect();
        let beyond = events.get(EVENTS_MAX).map(|event| event.at);
        let more_from = self.more_from.into_iter().chain(beyond).min();
        events.retain(|event| more_from.is_none_or(|from| event.at < from));
        let years = years.filter(|year| year.before != year.after).collect();
        Effect { first: self.first, currencies: self.currencies, years, events, more_from }
    }
}
