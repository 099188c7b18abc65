//! [`Record`]: what a connection delivered, stored as it came. A fact.

use serde::{Deserialize, Serialize};

use super::ChainView;
use crate::id::ConnectionNo;
use crate::money::{Currency, Fiat, Msats};
use crate::time::Timestamp;

/// One delivered record of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who delivered it.
    pub connection: ConnectionNo,
    /// Its id at the source, unique within the connection (the txid on chain).
    pub native_id: String,
    /// What it says.
    pub body: RecordBody,
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordBody {
    /// A row of an import.
    Plain(Box<PlainRecord>),
    /// One wallet's view of an on-chain transaction.
    Chain(Box<ChainView>),
}

/// The types of the plain format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum PlainKind {
    /// Bitcoin bought for fiat.
    Buy,
    /// Bitcoin sold for fiat.
    Sell,
    /// One asset for another (`from_asset` → `to_asset`).
    Trade,
    /// Bitcoin received into this place.
    Deposit,
    /// Bitcoin sent out of this place.
    Withdrawal,
    /// A Lightning invoice that was paid to us.
    Invoice,
    /// A Lightning payment we made.
    Pay,
    /// A routed Lightning payment: the quantity is what it earned.
    Forward,
    /// Other income at fair value.
    Income,
    /// Interest at fair value.
    Interest,
    /// A gift received.
    GiftIn,
    /// A gift given: leaves at cost.
    GiftOut,
    /// A fee on its own.
    Fee,
    /// What was already there, with its cost and date.
    OpeningBalance,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// A bitcoin quantity.
    Btc(Msats),
    /// A fiat amount.
    Fiat(Currency, Fiat),
    /// An asset these books do not keep; the ticker's bytes, zero-padded.
    Unknown([u8; 8]),
}

/// A row of the plain format, parsed and checked but not interpreted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainRecord {
    /// Its type.
    pub kind: PlainKind,
    /// When it happened.
    pub time: Timestamp,
    /// Quantity without fee (zero for a `trade`, whose sides carry it).
    pub quantity: Msats,
    /// Fee in bitcoin on top of the quantity, leaving together with it.
    pub fee: Msats,
    /// Total value of the quantity; wins over any rate.
    pub value: Option<(Currency, Fiat)>,
    /// Fee in fiat.
    pub fee_fiat: Option<(Currency, Fiat)>,
    /// `trade`: what was given and what was got.
    pub trade: Option<(Side, Side)>,
    /// `opening_balance`, `gift_in`: total cost carried in, with its currency.
    pub cost_basis: Option<(Currency, Fiat)>,
    /// `opening_balance`, `gift_in`: when it was acquired.
    pub acquired_at: Option<Timestamp>,
    /// `gift_in`: total fair value at the gift.
    pub value_at_gift: Option<(Currency, Fiat)>,
    /// Identities and words; `None` when the row has none of them.
    pub extra: Option<Box<PlainExtra>>,
}

/// Identities for pairing and human words of a plain row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainExtra {
    /// The on-chain transaction this row is about (lower-case hex).
    pub txid: Option<String>,
    /// Its output.
    pub vout: Option<u32>,
    /// The Lightning payment hash (lower-case hex).
    pub payment_hash: Option<String>,
    /// A reference shared by the two ends of an own transfer.
    pub transfer_ref: Option<String>,
    /// Specific identification: lots to use, in order.
    pub lots: Vec<(String, Msats)>,
    /// What the source says it was.
    pub description: Option<String>,
    /// A note of the user.
    pub note: Option<String>,
    /// Tags of the user, lower-cased, sorted.
    pub tags: Vec<String>,
}
