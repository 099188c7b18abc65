//! What the fuzz targets over the public API do with their bytes; the engine's tests run the same over the seeds.

use nacre_engine::id::EventKey;
use nacre_engine::import::{ImportContext, PlainRow, read_plain};
use nacre_engine::money::{Currency, Msats};
use nacre_engine::time::Zone;

/// Reads a file; what it accepts is in range, named once, and the same when read again. Answers the rows accepted.
pub fn plain_import(bytes: &[u8]) -> usize {
    let rows = read(bytes);
    for row in &rows {
        assert!(!row.record.quantity.is_negative() && row.record.quantity <= Msats::MAX_MONEY);
        assert!(!row.record.fee.is_negative() && row.record.fee <= Msats::MAX_MONEY);
    }
    assert_eq!(read(bytes), rows, "the same bytes read differently");
    for pair in rows.windows(2) {
        assert!(pair[0].line < pair[1].line, "lines are out of order");
        let same_id = pair[0].native_id == pair[1].native_id;
        assert!(!same_id || pair[0].record == pair[1].record, "one id for two contents");
    }
    rows.len()
}

fn read(bytes: &[u8]) -> Vec<PlainRow> {
    let context = ImportContext { zone: Zone::utc(), book_currency: Currency::USD };
    read_plain(bytes, &context).map_or_else(|_| Vec::new(), |rows| rows.filter_map(Result::ok).collect())
}

/// Reads one key, or two with `|` between; byte order is the order of the books. Answers the keys read.
pub fn event_key(bytes: &[u8]) -> usize {
    let read = |bytes: &[u8]| {
        let key = EventKey::from_bytes(bytes).ok()?;
        assert_eq!(key.to_bytes(), bytes, "a key changes when it is written again");
        Some(key)
    };
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'|') {
        let (left, right) = (&bytes[..at], &bytes[at + 1..]);
        if let (Some(a), Some(b)) = (read(left), read(right)) {
            assert_eq!(a.cmp(&b), left.cmp(right), "byte order is not the order of the books");
            return 2;
        }
    }
    usize::from(read(bytes).is_some())
}
