//! Back to a place: undoes derived rows from the end.

use super::pools::Pools;
use super::sums::Sums;
use crate::error::Result;
use crate::journal::{effects, postings};
use crate::normalise::Rails;
use crate::store::WriteStore;

/// Removes every journal row at and behind the ordered bytes `at`, with its lot effects and its part of the sums.
/// Answers how many.
pub(super) fn rewind(
    store: &mut WriteStore<'_>,
    sums: &mut Sums<'_>,
    pools: &mut Pools,
    at: &[u8],
    rails: Rails<'_>,
) -> Result<u64> {
    if store.next_journal(&[])?.is_none_or(|(first, _)| first.to_bytes().as_slice() >= at) {
        // Nothing stays: undoing row by row would end in the same empty tables.
        let removed = sums.totals().events;
        sums.clear();
        store.clear_derived()?;
        return Ok(removed);
    }
    let mut removed = 0;
    while let Some((key, row)) = store.previous_journal(None)? {
        if key.to_bytes().as_slice() < at {
            break;
        }
        pools.undo(store, &effects(&key, &row)?)?;
        sums.remove(store, key.time, &row, &postings(&row, rails)?)?;
        store.remove_journal_row(&key, &row)?;
        removed += 1;
    }
    Ok(removed)
}
