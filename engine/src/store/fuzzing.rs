//! Decoders of stored bytes as a fuzzer calls them: what decodes must encode to what decodes to the same.

use super::block::Block;
use super::codec::{decode, encode};
use crate::model::{JournalRow, LotUse, Record};

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

/// A stored record, journal row or slice of a lot from any bytes. True when they were one of them.
pub fn value(bytes: &[u8]) -> bool {
    let record = decode::<Record>(bytes).map(|value| same(&value));
    let row = decode::<JournalRow>(bytes).map(|value| same(&value));
    let lot = decode::<LotUse>(bytes).map(|value| same(&value));
    record.is_ok() || row.is_ok() || lot.is_ok()
}

fn same<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(value: &T) {
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
    }
}
