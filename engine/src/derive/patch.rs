//! Rows replaced in place: the events of a changed span, then each later row that what differs could change, until nothing
//! differs any more. Rows in between, and the lots table, are not touched until the end.
//!
//! Answers where it had to stop, if it had to: everything before that place is true, and the rest is replayed.

use super::advance::{Run, weight};
use super::order::behind;
use super::past::{Past, names_lots};
use super::reach::{day_of, start_of};
use super::scan::Scan;
use super::touch::{Touch, touches};
use crate::error::{Error, Result};
use crate::id::{EventKey, instant_bytes};
use crate::journal::{effects, postings};
use crate::model::{Event, JournalRow};
use crate::store::{Span, WriteStore};
use crate::time::Timestamp;

/// Sums may change by this much before every row is replayed once to see that none leaves its range on the way.
const PATCHED_MAX: i128 = i64::MAX as i128 / 4;
/// Events walked over before the scan is set anew.
const STEPS_MAX: u32 = 64;

/// Patches the events of `spans`; answers the ordered bytes of the place from which rows are still to be replayed.
pub(super) fn patch(
    run: &mut Run<'_>,
    store: &mut WriteStore<'_>,
    spans: &[Span],
) -> Result<Option<Vec<u8>>> {
    let last = store.previous_journal(None)?.map(|(key, _)| key.time);
    run.booker.pools.past = Some(Past::new(run.booker.pools.method));
    for (at, span) in spans.iter().enumerate() {
        if last.is_none_or(|last| span.to >= last) {
            return Ok(Some(instant_bytes(span.from).to_vec()));
        }
        let until = spans.get(at + 1).map(|next| instant_bytes(next.from).to_vec());
        let lost = match span_anew(run, store, span)? {
            None => follow(run, store, span.to, until.as_deref())?,
            lost => lost,
        };
        run.reaches.stop();
        if run.from_nothing {
            run.booker.pools.past = None;
            return Ok(Some(instant_bytes(Timestamp::MIN).to_vec()));
        }
        if lost.is_some() {
            return Ok(lost);
        }
    }
    match run.booker.pools.past.take() {
        Some(past) => past.settle(store).map(|()| None),
        None => Ok(None),
    }
}

/// Derives every event of a span anew.
fn span_anew(run: &mut Run<'_>, store: &mut WriteStore<'_>, span: &Span) -> Result<Option<Vec<u8>>> {
    let mut scan = Scan::starting(span.from);
    let mut event = scan.next(store, run.booker.rails)?;
    let mut from = instant_bytes(span.from).to_vec();
    loop {
        let old = store.next_journal(&from)?.filter(|(key, _)| key.time <= span.to);
        let new = event.take().filter(|event| event.key.time <= span.to);
        let key = match (&old, &new) {
            (Some((old, _)), Some(new)) => old.min(&new.key).clone(),
            (Some((key, _)), None) => key.clone(),
            (None, Some(new)) => new.key.clone(),
            (None, None) => return Ok(None),
        };
        let old = match old.filter(|(old, _)| *old == key) {
            Some((_, row)) => {
                let touched = touches(&row)?;
                Some((row, touched))
            }
            None => None,
        };
        let (now, later): (Option<Event>, Option<Event>) = match new {
            Some(new) if new.key == key => (Some(new), None),
            later => (None, later),
        };
        event = if later.is_some() { later } else { scan.next(store, run.booker.rails)? };
        let raw = key.to_bytes();
        if !replace(run, store, &key, old, now)? {
            return Ok(Some(raw));
        }
        from = behind(&raw);
    }
}

/// Replaces each row behind the instant `after` and before `until` that what differs could change.
fn follow(
    run: &mut Run<'_>,
    store: &mut WriteStore<'_>,
    after: Timestamp,
    until: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    let mut from = instant_bytes(Timestamp::from_micros(after.as_micros().saturating_add(1))).to_vec();
    let give_up = rows_worth_patching(run, store, after)?;
    let mut today = None;
    let mut events = Events { scan: None };
    while let Some(past) = run.booker.pools.past.as_mut().filter(|past| !past.is_same()) {
        let day = day_of(&from);
        if today != Some(day) {
            let Some(next) = past.next_day_affected(store, day)? else { break };
            run.reaches.leave(store)?;
            if next != day {
                from = start_of(next);
            }
            if from == start_of(next) {
                run.reaches.enter(next);
            }
            today = Some(next);
        }
        let Some((key, row)) = store.next_journal(&from)? else {
            run.reaches.leave(store)?;
            break;
        };
        let raw = key.to_bytes();
        if until.is_some_and(|until| raw.as_slice() >= until) {
            break;
        }
        if today != Some(day_of(&raw)) {
            from = start_of(day_of(&raw));
            continue;
        }
        let touched = touches(&row)?;
        if past.affects(&row, &touched)? {
            if run.replaced() > give_up {
                run.from_nothing = true;
                return Ok(Some(raw));
            }
            let event = events.at(run, store, &key)?;
            if event.is_none() || !replace(run, store, &key, Some((row, touched)), event)? {
                return Ok(Some(raw));
            }
        } else {
            run.reaches.walk(&key, &row, &touched);
        }
        from = behind(&raw);
    }
    Ok(None)
}

/// How many rows are replaced before everything is derived from nothing instead. Replacing a row costs more than booking
/// one behind the last, so that it is not worth it where most of the book is to be replaced: with FIFO, what an early event
/// changes rarely settles.
fn rows_worth_patching(run: &Run<'_>, store: &mut WriteStore<'_>, after: Timestamp) -> Result<u64> {
    let first = store.next_journal(&[])?.map_or(after, |(key, _)| key.time).as_micros();
    let last = store.previous_journal(None)?.map_or(after, |(key, _)| key.time).as_micros();
    let (whole, follows) = (last.saturating_sub(first), last.saturating_sub(after.as_micros()));
    let most = i128::from(follows) * 4 > i128::from(whole) * 3;
    Ok(if most { run.sums.totals().events / 64 + 1_000 } else { u64::MAX })
}

/// Finds the events of rows that ascend.
struct Events {
    scan: Option<Scan>,
}

impl Events {
    fn at(&mut self, run: &Run<'_>, store: &mut WriteStore<'_>, key: &EventKey) -> Result<Option<Event>> {
        for scan in [self.scan.take(), Some(Scan::starting(key.time))].into_iter().flatten() {
            let mut scan = scan;
            for _ in 0..STEPS_MAX {
                match scan.next(store, run.booker.rails)? {
                    Some(event) if event.key < *key => {}
                    Some(event) if event.key == *key => {
                        self.scan = Some(scan);
                        return Ok(Some(event));
                    }
                    _ => break,
                }
            }
        }
        Ok(None)
    }
}

/// Replaces the old row at `key` by what `event` says now; either may be missing. `false`, with nothing changed, when the
/// pools of the past cannot tell.
fn replace(
    run: &mut Run<'_>,
    store: &mut WriteStore<'_>,
    key: &EventKey,
    old: Option<(JournalRow, Vec<Touch>)>,
    event: Option<Event>,
) -> Result<bool> {
    let Some(past) = &mut run.booker.pools.past else { return Ok(false) };
    let (old, touched) = old.unzip();
    past.go(key, touched, old.as_ref().is_some_and(names_lots));
    let new = event.map(|event| run.book(store, event)).transpose()?.map(|(_, row)| row);
    let patched = [&old, &new].into_iter().flatten().map(weight).sum::<i128>();
    run.limits.patched = run.limits.patched.saturating_add(patched);
    run.from_nothing |= run.limits.patched > PATCHED_MAX;
    let lines = match new.as_ref().map(|new| postings(new, run.booker.rails)).transpose() {
        Err(Error::Overflow(_)) => None,
        lines => Some(lines?.unwrap_or_default()),
    };
    let Some(past) = &mut run.booker.pools.past else { return Ok(false) };
    let Some(lines) = lines.filter(|_| !past.lost && !run.from_nothing) else {
        if let Some(new) = &new {
            run.booker.pools.undo(store, &effects(key, new)?)?;
        }
        // What was only looked at is no difference, and what could not be told may be wrong.
        if let Some(past) = &mut run.booker.pools.past {
            past.settle_row();
        }
        return Ok(false);
    };
    if let Some(old) = &old {
        past.pass(key, old)?;
    }
    past.settle_row();
    let before = old.as_ref().map(|old| postings(old, run.booker.rails)).transpose()?.unwrap_or_default();
    // Most rows differ in their lots alone.
    let (before, lines) = if before == lines { (Vec::new(), Vec::new()) } else { (before, lines) };
    if let Some(old) = &old {
        run.sums.remove(store, key.time, old, &before)?;
        run.diff.old(key, old)?;
    }
    match (&old, &new) {
        (old, Some(new)) => {
            if !run.sums.add(store, key.time, new, &lines)? {
                // Which row has no room is seen when each is added in its turn.
                run.from_nothing = true;
                return Ok(false);
            }
            run.diff.new_row(key, new)?;
            store.replace_journal_row(key, old.as_ref(), new)?;
            run.reaches.walk(key, new, &touches(new)?);
        }
        (Some(old), None) => store.remove_journal_row(key, old)?,
        (None, None) => {}
    }
    run.reaches.changed(key);
    Ok(true)
}
