//! [`JournalRow`]: one event as booked. Derived; enough to render its entry, explain its gain, and undo it.
//!
//! Every lot an event touches is named once, in the step that touches it (`journal::effects` lists them).

use serde::{Deserialize, Serialize};

use super::{Counter, EventKind, Left, LotKey, LotUse, Opening, Quarantine, Term};
use crate::id::{ConnectionNo, EventId};
use crate::money::{Currency, Fiat, Msats, Rate};
use crate::time::Timestamp;

/// An event as booked, under its [`EventKey`](crate::id::EventKey).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRow {
    /// Kind of the event.
    pub kind: EventKind,
    /// Connections involved, sorted.
    pub connections: Vec<ConnectionNo>,
    /// Booked, set aside or excluded.
    pub status: RowStatus,
    /// The steps with their values; empty unless booked.
    pub steps: Vec<BookedStep>,
    /// Where its fair values come from, when a rate was needed.
    pub valuation: Option<Valuation>,
    /// Words of the source, if any.
    pub text: Option<Box<Text>>,
    /// Ids of further records merged into this event; annotations made under them count.
    pub merged: Vec<EventId>,
}

/// Whether a row has postings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowStatus {
    /// In the books.
    Booked,
    /// Set aside.
    Quarantined(Quarantine),
    /// Removed by the user.
    Excluded,
}

/// A step with its fiat values in the book's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookedStep {
    /// Bitcoin came in.
    Acquired {
        /// Where.
        connection: ConnectionNo,
        /// How much.
        quantity: Msats,
        /// From which account.
        counter: Counter,
        /// Value of the quantity, without the fee.
        value: Fiat,
        /// Fiat paid: currency, amount without fee, fee (a buy).
        paid: Option<(Currency, Fiat, Fiat)>,
        /// The lot it opened.
        lot: Opening,
    },
    /// Bitcoin went out.
    Disposed(Box<BookedDisposal>),
    /// Bitcoin moved between own places.
    Moved {
        /// From.
        from: ConnectionNo,
        /// To.
        to: ConnectionNo,
        /// How much.
        quantity: Msats,
        /// The slices that changed pools (`connection` scope), each a lot of its own where it arrived; else none.
        slices: Vec<LotUse>,
    },
    /// Lots came into another pool because the scope changed: no bitcoin moved.
    Dealt {
        /// The pool they came into: a connection's, or the book's one.
        to: Option<ConnectionNo>,
        /// The slices that changed pools, each a lot of its own where it arrived.
        slices: Vec<LotUse>,
    },
    /// A transfer fee whose cost was carried into what arrived.
    CarriedFee {
        /// Who paid.
        connection: ConnectionNo,
        /// How much.
        quantity: Msats,
        /// Its expense account.
        account: Counter,
        /// The slices it used, whose cost was carried.
        slices: Vec<LotUse>,
        /// The lot that carries the cost now.
        heir: LotKey,
        /// That lot with the cost.
        heir_left: Left,
    },
    /// A fiat fee of a step that has no fiat side of its own in that currency.
    FiatFee {
        /// Where it was paid.
        connection: ConnectionNo,
        /// Its currency.
        currency: Currency,
        /// How much.
        fee: Fiat,
        /// Its value in the book's currency.
        value: Fiat,
    },
    /// One fiat currency for another.
    FiatTraded {
        /// Where.
        connection: ConnectionNo,
        /// Given.
        from: (Currency, Fiat),
        /// Got.
        to: (Currency, Fiat),
    },
}

/// A disposal with the lot slices it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookedDisposal {
    /// Where it left.
    pub connection: ConnectionNo,
    /// How much, without fee.
    pub quantity: Msats,
    /// Bitcoin fee that left with it.
    pub fee: Msats,
    /// The expense account of the fee.
    pub fee_account: Counter,
    /// To which account (for a transfer fee: the fee's own expense account, with zero `fee`).
    pub counter: Counter,
    /// Whether it realises a gain.
    pub realises: bool,
    /// Whether the record named its lots (specific identification).
    pub named: bool,
    /// Gross proceeds of the quantity; zero when nothing is realised.
    pub gross: Fiat,
    /// Fiat fee in the book's currency that came off the gross proceeds.
    pub fiat_fee: Fiat,
    /// Fiat received: currency, amount before fee, fee (a sell).
    pub received: Option<(Currency, Fiat, Fiat)>,
    /// The lot slices, in order of use.
    pub slices: Vec<Slice>,
}

/// The part of a disposal that one lot covered. Slices of a disposal sum to its totals exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// What was taken, fee included.
    pub used: LotUse,
    /// Its share of the gross proceeds.
    pub gross: Fiat,
    /// Its share of the fiat fee.
    pub fiat_fee: Fiat,
    /// Short or long.
    pub term: Term,
}

/// The rate behind a row's fair values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valuation {
    /// Price of one bitcoin in the book's currency.
    pub rate: Rate,
    /// The instant of that price.
    pub time: Timestamp,
    /// Where it came from.
    pub source: ValueSource,
}

/// Provenance of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueSource {
    /// The user's override on the event.
    Override,
    /// A rate of the book's table: the pair and its provider.
    Table {
        /// E.g. `BTC-USD`.
        pair: String,
        /// E.g. `import`.
        provider: String,
    },
    /// The source stated the total.
    Stated,
}

/// Human words of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// What the source says it was.
    pub description: Option<String>,
    /// A note that came with the record.
    pub note: Option<String>,
    /// Tags that came with the record, sorted.
    pub tags: Vec<String>,
}
