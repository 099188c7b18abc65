//! Back to a place: undoes derived rows from the end.

use super::diff::Diff;
use super::pools::Pools;
use super::sums::Sums;
use crate::error::Result;
use crate::id::instant_from_bytes;
use crate::journal::{effects, postings};
use crate::model::{Era, EventKind};
use crate::normalise::Rails;
use crate::store::WriteStore;
use crate::time::Timestamp;

/// Removes every journal row at and behind the ordered bytes `at`, with its lot effects and its part of the sums, back
/// through the `eras` it was made in. Answers how many.
pub(super) fn rewind(
    store: &mut WriteStore<'_>,
    sums: &mut Sums<'_>,
    pools: &mut Pools,
    at: &[u8],
    rails: Rails<'_>,
    eras: &[Era],
    diff: &mut Diff<'_>,
) -> Result<u64> {
    if store.next_journal(&[])?.is_none_or(|(first, _)| first.to_bytes().as_slice() >= at) {
        // Nothing stays: undoing row by row would end in the same empty tables.
        let removed = sums.totals().events;
        sums.clear();
        diff.all_old(store)?;
        store.clear_derived()?;
        return Ok(removed);
    }
    let instant = at.first_chunk().map_or(Timestamp::MIN, |bytes| instant_from_bytes(*bytes));
    let mut removed = 0;
    while let Some((key, row)) = store.previous_journal(None)? {
        if key.to_bytes().as_slice() < at {
            break;
        }
        if let Some(era) = Era::at(eras, key.time) {
            pools.method = era.method;
        }
        // While lots change pools, none is ranked.
        pools.rank(store, row.kind != EventKind::LotAllocation && pools.method.ranks())?;
        pools.undo(store, &effects(&key, &row)?)?;
        sums.remove(store, key.time, &row, &postings(&row, rails)?)?;
        diff.old(&key, &row)?;
        store.remove_journal_row(&key, &row)?;
        removed += 1;
    }
    if let Some(era) = eras.get(Era::begun_before(eras, instant) - 1) {
        pools.rank(store, era.method.ranks())?;
    }
    Ok(removed)
}
