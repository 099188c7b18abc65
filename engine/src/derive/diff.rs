//! [`Diff`]: keeps the gains per tax year while rows are undone and booked, and tells what changed.
//!
//! Memory is bounded: of the events whose rows were undone or booked, the [`EVENTS_MAX`] earliest are remembered; the sums per
//! year are exact whatever the number. The order in which rows are handed in does not matter. A book that had no
//! journal remembers no event.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::id::{EventId, EventKey};
use crate::journal::{add_year, gains_of, remove_year};
use crate::model::{Effect, EventEffect, Gains, JournalRow, YearEffect};
use crate::store::{Readable, Store};
use crate::time::{Timestamp, Years, Zone};

/// Events remembered while a process runs.
const EVENTS_MAX: usize = 4_096;
/// Events listed in an [`Effect`].
const LISTED_MAX: usize = 1_000;

/// An event wherever it stands in its instant: its rank there may change.
type Place = (Timestamp, EventId);
/// Gains before and after.
type Pair = (Option<Gains>, Option<Gains>);

/// What a process changes about the gains, as it goes.
pub(crate) struct Diff<'z> {
    years: Years<'z>,
    before: BTreeMap<i16, Gains>,
    after: BTreeMap<i16, Gains>,
    events: BTreeMap<Place, Pair>,
    events_max: usize,
    /// From this place on events were forgotten.
    cut: Option<Place>,
    first: bool,
}

impl<'z> Diff<'z> {
    /// Over a book whose gains per year are `before`, in `zone`; `first` when it has no journal yet.
    pub fn over(zone: &'z Zone, before: BTreeMap<i16, Gains>, first: bool) -> Self {
        let events_max = if first { 0 } else { EVENTS_MAX };
        let after = before.clone();
        Diff { years: Years::of(zone), before, after, events: BTreeMap::new(), events_max, cut: None, first }
    }

    /// A row is undone.
    pub fn old(&mut self, key: &EventKey, row: &JournalRow) -> Result<()> {
        let Some(gains) = gains_of(row)? else { return Ok(()) };
        remove_year(&mut self.after, self.years.year(key.time)?, &gains)?;
        self.note(key, |pair| pair.0 = Some(gains));
        Ok(())
    }

    /// Every row is thrown away at once; `store` still has them. Rows that were replaced before are known as they were. Reads
    /// no more of them than it can remember.
    pub fn all_old<T: Readable>(&mut self, store: &mut Store<T>) -> Result<()> {
        self.after.clear();
        let replaced: BTreeSet<Place> = self.events.keys().cloned().collect();
        self.events.values_mut().for_each(|pair| pair.1 = None);
        let mut from = Vec::new();
        while !self.first {
            let Some((key, row)) = store.next_journal(&from)? else { break };
            let place = (key.time, key.id.clone());
            if self.cut.as_ref().is_some_and(|cut| place.0 > cut.0) {
                break;
            }
            from = key.to_bytes();
            from.push(0);
            if !replaced.contains(&place)
                && let Some(gains) = gains_of(&row)?
            {
                self.note(&key, |pair| pair.0 = Some(gains));
            }
        }
        Ok(())
    }

    /// A row is booked.
    pub fn new_row(&mut self, key: &EventKey, row: &JournalRow) -> Result<()> {
        let Some(gains) = gains_of(row)? else { return Ok(()) };
        add_year(&mut self.after, self.years.year(key.time)?, &gains);
        self.note(key, |pair| pair.1 = Some(gains));
        Ok(())
    }

    fn note(&mut self, key: &EventKey, set: impl FnOnce(&mut Pair)) {
        let place = (key.time, key.id.clone());
        if self.first || self.cut.as_ref().is_some_and(|cut| place >= *cut) {
            return;
        }
        let pair = self.events.entry(place.clone()).or_default();
        set(pair);
        if pair.0 == pair.1 {
            self.events.remove(&place);
        } else if self.events.len() > self.events_max
            && let Some((last, _)) = self.events.pop_last()
        {
            self.cut = Some(last);
        }
    }

    /// The gains per year as they are now, and what changed.
    pub fn finish(self) -> (BTreeMap<i16, Gains>, Effect) {
        let Diff { before, after, events, cut, first, .. } = self;
        let beyond = events.keys().nth(LISTED_MAX).or(cut.as_ref());
        let more_from = beyond.map(|(at, _)| *at);
        let known = events.into_iter().filter(|((at, _), _)| more_from.is_none_or(|from| *at < from));
        let events = known.map(|((at, event), (before, after))| EventEffect { event, at, before, after });
        let (years, events) = (changed_years(&before, &after), events.collect());
        let effect = Effect { first, currencies: None, years, events, more_from };
        (after, effect)
    }
}

/// The years that are not the same in both.
fn changed_years(before: &BTreeMap<i16, Gains>, after: &BTreeMap<i16, Gains>) -> Vec<YearEffect> {
    let mut years: Vec<i16> = before.keys().chain(after.keys()).copied().collect();
    years.sort_unstable();
    years.dedup();
    let of = |years: &BTreeMap<i16, Gains>, year| years.get(&year).copied().unwrap_or_default();
    let effects =
        years.into_iter().map(|year| YearEffect { year, before: of(before, year), after: of(after, year) });
    effects.filter(|effect| effect.before != effect.after).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::journal::samples::{booked, disposal, key};
    use crate::model::BookedStep;

    /// Every 100 days one event, so that a few make several years.
    fn sale(at: u8, quantity: u8) -> (EventKey, JournalRow) {
        let row = booked(vec![BookedStep::Disposed(Box::new(disposal(1, quantity.into(), 0)))]);
        (key(&format!("e{at:03}"), i64::from(at) * 8_640_000), row)
    }

    fn sums(zone: &Zone, rows: &BTreeMap<u8, u8>) -> BTreeMap<i16, Gains> {
        let mut years = BTreeMap::new();
        for (at, quantity) in rows {
            let (key, row) = sale(*at, *quantity);
            add_year(&mut years, zone.year(key.time).unwrap(), &gains_of(&row).unwrap().unwrap());
        }
        years
    }

    proptest! {
        #[test]
        fn the_effect_is_the_difference_of_the_books(
            old in prop::collection::btree_map(0u8..40, 1u8..4, 0..20),
            new in prop::collection::btree_map(0u8..40, 1u8..4, 0..20),
            room in 0usize..30,
            backwards in any::<bool>(),
        ) {
            let zone = Zone::utc();
            let mut diff = Diff { events_max: room, ..Diff::over(&zone, sums(&zone, &old), false) };
            let mut undone: Vec<_> = old.iter().collect();
            if backwards {
                undone.reverse();
            }
            for (at, quantity) in undone {
                let (key, row) = sale(*at, *quantity);
                diff.old(&key, &row).unwrap();
            }
            for (at, quantity) in &new {
                let (key, row) = sale(*at, *quantity);
                diff.new_row(&key, &row).unwrap();
            }
            let (years, effect) = diff.finish();
            prop_assert_eq!(&years, &sums(&zone, &new));
            let told: Vec<_> = effect.years.iter().map(|year| (year.year, year.before, year.after)).collect();
            let before = sums(&zone, &old);
            let all: BTreeSet<_> = before.keys().chain(years.keys()).copied().collect();
            let of = |years: &BTreeMap<i16, Gains>, year: &i16| years.get(year).copied().unwrap_or_default();
            let wanted = all.iter().map(|year| (*year, of(&before, year), of(&years, year)));
            prop_assert_eq!(told, wanted.filter(|(_, a, b)| a != b).collect::<Vec<_>>());
            // Listed are the earliest events that differ, all of them unless it says that there may be more.
            let differ: Vec<String> = (0u8..40).filter(|at| old.get(at) != new.get(at)).map(|at| format!("e{at:03}")).collect();
            let listed: Vec<String> = effect.events.iter().map(|event| event.event.to_string()).collect();
            prop_assert!(differ.starts_with(&listed), "{:?} of {:?}", listed, differ);
            prop_assert!(effect.more_from.is_some() || listed == differ);
            prop_assert!(listed.len() <= room);
            if room >= old.len() + new.len() {
                prop_assert!(effect.more_from.is_none());
            }
        }
    }

    #[test]
    fn a_first_build_lists_years_and_no_event() {
        let zone = Zone::utc();
        let mut diff = Diff::over(&zone, BTreeMap::new(), true);
        let (key, row) = sale(3, 5);
        diff.new_row(&key, &row).unwrap();
        let (_, effect) = diff.finish();
        assert!(effect.first && effect.more_from.is_none() && effect.events.is_empty());
        assert_eq!((effect.years.len(), effect.years[0].after.disposals), (1, 1));
    }
}
