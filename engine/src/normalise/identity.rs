//! Where a record stands in time, and which identities it shares with others.

use super::event_id;
use crate::id::{EventKey, Rank, TxId, trailing_number};
use crate::model::{ChainStatus, PlainKind, PlainRecord, Record, RecordBody, Side};
use crate::time::Timestamp;

/// The identities a record may share with records of other connections; empty for most.
pub fn shared_identities(record: &Record) -> Vec<Vec<u8>> {
    let tagged = |tag: u8, bytes: &[u8]| {
        let mut key = vec![tag];
        key.extend_from_slice(bytes);
        key
    };
    match &record.body {
        RecordBody::Chain(view) => vec![tagged(b't', &view.txid.0)],
        RecordBody::Plain(plain) if is_end(plain.kind) => {
            let Some(extra) = &plain.extra else { return Vec::new() };
            let txid = extra.txid.as_ref().and_then(|txid| txid.parse::<TxId>().ok());
            let txid = txid.map(|txid| tagged(b't', &txid.0));
            let hash = extra.payment_hash.as_ref().map(|hash| tagged(b'p', hash.as_bytes()));
            let reference = extra.transfer_ref.as_ref().map(|reference| tagged(b'r', reference.as_bytes()));
            [txid, hash, reference].into_iter().flatten().collect()
        }
        RecordBody::Plain(_) => Vec::new(),
    }
}

/// Whether a plain record can be one end of an own transfer.
fn is_end(kind: PlainKind) -> bool {
    matches!(kind, PlainKind::Deposit | PlainKind::Withdrawal | PlainKind::Invoice | PlainKind::Pay)
}

/// The place of a record: exact for a record on its own, the earliest possible for one that may be grouped.
pub fn place(record: &Record) -> EventKey {
    let id = event_id(record);
    let (time, rank, order) = match &record.body {
        RecordBody::Chain(view) => match view.status {
            ChainStatus::Confirmed { time, .. } => (time, Rank::Receipt, 0),
            ChainStatus::Unconfirmed { .. } | ChainStatus::Immature { .. } => {
                (Timestamp::MAX, Rank::Receipt, 0)
            }
        },
        RecordBody::Plain(plain) if shared_identities(record).is_empty() => {
            (plain.time, plain_rank(plain), trailing_number(&record.native_id))
        }
        RecordBody::Plain(plain) => (plain.time, Rank::Receipt, 0),
    };
    EventKey { time, rank, order, id }
}

/// The rank of a plain record on its own.
pub(super) fn plain_rank(plain: &PlainRecord) -> Rank {
    match plain.kind {
        PlainKind::Buy
        | PlainKind::Deposit
        | PlainKind::Invoice
        | PlainKind::Forward
        | PlainKind::Income
        | PlainKind::Interest
        | PlainKind::GiftIn
        | PlainKind::OpeningBalance => Rank::Receipt,
        PlainKind::Trade => match plain.trade {
            Some((_, Side::Btc(_))) => Rank::Receipt,
            _ => Rank::Disposal,
        },
        PlainKind::Sell | PlainKind::Withdrawal | PlainKind::Pay | PlainKind::GiftOut | PlainKind::Fee => {
            Rank::Disposal
        }
    }
}
