//! Decoders of stored bytes as a fuzzer calls them: what decodes must encode to what decodes to the same.

use std::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::block::Block;
use super::codec::{decode, encode};
pub use super::fault::{Disk, Fault};
use super::meta::Tag;
use super::records::RateRow;
use crate::id::ConnectionNo;
use crate::model::{
    Annotation, Change, Connection, JournalRow, LotKey, LotUse, PoolCost, Reach, Record, Settings, Totals,
    UnitCost,
};
use crate::money::Msats;

/// A block of rows from any bytes. True when they were one.
pub fn block(bytes: &[u8]) -> bool {
    let Ok(block) = Block::decode(bytes) else { return false };
    let again = Block::decode(&block.encode());
    assert!(
        again.is_ok_and(|again| again.rows().eq(block.rows())),
        "a block changes when it is written again"
    );
    true
}

/// A stored record or slice of a lot from any bytes. True when they were one of them.
pub fn value(bytes: &[u8]) -> bool {
    decodes::<Record>(bytes) | decodes::<LotUse>(bytes)
}

/// A stored journal row, reach of a day, or pool from any bytes. True when they were one of them.
pub fn journal(bytes: &[u8]) -> bool {
    decodes::<JournalRow>(bytes) | decodes::<Reach>(bytes) | decodes::<PoolCost>(bytes)
}

/// A fact that no import brings, or the totals, from any bytes. True when they were one of them.
pub fn fact(bytes: &[u8]) -> bool {
    decodes::<Settings>(bytes)
        | decodes::<Connection>(bytes)
        | decodes::<Annotation>(bytes)
        | decodes::<Tag>(bytes)
        | decodes::<Change>(bytes)
        | decodes::<RateRow>(bytes)
        | decodes::<Totals>(bytes)
}

/// Two lots from any bytes: their ordered bytes name them, and sort as the rules say. True when they were two lots.
pub fn lots(bytes: &[u8]) -> bool {
    // What no lot has, a key need not tell apart.
    let is_lot = |lot: &LotKey| {
        let ids = [Some(&lot.origin), lot.via.as_ref().map(|(event, _)| event)];
        lot.pool != Some(ConnectionNo(0))
            && lot.unit.is_none_or(|unit| unit.quantity > Msats::ZERO)
            && ids.into_iter().flatten().all(|event| !event.id.as_str().contains('\0'))
    };
    let _ = LotKey::from_bytes(bytes, None).map(|lot| assert_eq!(lot.to_bytes(), bytes, "a key changes"));
    let Ok((a, b)) = decode::<(LotKey, LotKey)>(bytes) else { return false };
    if !is_lot(&a) || !is_lot(&b) {
        return false;
    }
    for lot in [&a, &b] {
        let again = LotKey::from_bytes(&lot.to_bytes(), lot.unit);
        assert!(again.is_ok_and(|again| again == *lot), "a lot changes when its key is read");
    }
    if a.unit.is_some() == b.unit.is_some() {
        assert_eq!(a.to_bytes().cmp(&b.to_bytes()), rule(&a, &b), "keys do not sort as the rules say");
    }
    true
}

/// The order of the lots of the pools, spelled out.
fn rule(a: &LotKey, b: &LotKey) -> Ordering {
    let unit = match (a.unit, b.unit) {
        (Some(a), Some(b)) => {
            let across = |x: UnitCost, y: UnitCost| i128::from(x.cost.get()) * i128::from(y.quantity.get());
            across(a, b).cmp(&across(b, a))
        }
        _ => Ordering::Equal,
    };
    let rest = |lot: &LotKey| (lot.acquired_at, lot.origin.clone(), lot.nth, lot.via.clone());
    let pool = |lot: &LotKey| lot.pool.map_or(0, |no| no.0);
    pool(a).cmp(&pool(b)).then(unit).then_with(|| rest(a).cmp(&rest(b)))
}

/// Whether the bytes are such a value; one that is stays what it is when it is written again.
fn decodes<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) -> bool {
    decode::<T>(bytes).map(|value| same(&value)).is_ok()
}

fn same<T: Serialize + DeserializeOwned + PartialEq>(value: &T) {
    let again = encode(value).and_then(|bytes| decode::<T>(&bytes));
    assert!(again.is_ok_and(|again| again == *value), "a value changes when it is written again");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::path::Path;

    /// Runs `target` over the committed seeds; answers how many decoded.
    fn over_seeds(name: &str, target: fn(&[u8]) -> bool) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
        let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.filter(|bytes| target(bytes)).count()
    }

    #[test]
    fn seeds_decode_and_none_panics() {
        assert!(over_seeds("block_decode", super::block) > 0);
        assert!(over_seeds("record_decode", super::value) > 0);
        assert!(over_seeds("journal_decode", super::journal) > 5);
        assert!(over_seeds("fact_decode", super::fact) > 5);
        assert!(over_seeds("lot_order", super::lots) > 5);
    }
}
