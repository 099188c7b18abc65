//! [`Event`]: records understood, as an ordered list of steps on the books.

use serde::{Deserialize, Serialize};

use crate::id::{ConnectionNo, EventId, EventKey};
use crate::money::{Currency, Fiat, Msats};
use crate::time::Timestamp;

use super::{Quarantine, Text};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum EventKind {
    /// An on-chain transaction.
    Transaction,
    /// A receipt at a custodian or import feed.
    Deposit,
    /// A sending from a custodian or import feed; a matched pair of both is a withdrawal too.
    Withdrawal,
    /// An exchange of assets.
    Trade,
    /// A Lightning invoice paid to us.
    Invoice,
    /// A Lightning payment.
    Pay,
    /// A routed Lightning payment.
    Forward,
    /// Other income.
    Income,
    /// Interest.
    Interest,
    /// A fee on its own.
    Fee,
    /// A gift received.
    GiftIn,
    /// A gift given.
    GiftOut,
    /// What was there before.
    OpeningBalance,
    /// Lots dealt to the pools of another scope, on the day a policy begins. Of the books themselves: no record.
    LotAllocation,
}

impl EventKind {
    /// Every kind, for filters and documentation.
    pub const ALL: [EventKind; 14] = [
        EventKind::Transaction,
        EventKind::Deposit,
        EventKind::Withdrawal,
        EventKind::Trade,
        EventKind::Invoice,
        EventKind::Pay,
        EventKind::Forward,
        EventKind::Income,
        EventKind::Interest,
        EventKind::Fee,
        EventKind::GiftIn,
        EventKind::GiftOut,
        EventKind::OpeningBalance,
        EventKind::LotAllocation,
    ];

    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Transaction => "transaction",
            EventKind::Deposit => "deposit",
            EventKind::Withdrawal => "withdrawal",
            EventKind::Trade => "trade",
            EventKind::Invoice => "invoice",
            EventKind::Pay => "pay",
            EventKind::Forward => "forward",
            EventKind::Income => "income",
            EventKind::Interest => "interest",
            EventKind::Fee => "fee",
            EventKind::GiftIn => "gift_in",
            EventKind::GiftOut => "gift_out",
            EventKind::OpeningBalance => "opening_balance",
            EventKind::LotAllocation => "lot_allocation",
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Fair value at the event's time, by a rate.
    Market,
    /// Stated by the source: a total in a currency.
    Stated(Currency, Fiat),
}

/// The account on the other side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Counter {
    /// `Income:External`
    IncomeExternal,
    /// `Income:Routing`
    IncomeRouting,
    /// `Income:Interest`
    IncomeInterest,
    /// `Equity:Opening Balances`
    OpeningBalances,
    /// `Equity:Conversion`
    Conversion,
    /// `Expenses:External`
    ExpensesExternal,
    /// `Expenses:Network Fees`
    NetworkFees,
    /// `Expenses:Lightning Fees`
    LightningFees,
    /// `Expenses:Exchange Fees`
    ExchangeFees,
}

/// Bitcoin that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// Where it arrives.
    pub connection: ConnectionNo,
    /// How much.
    pub quantity: Msats,
    /// From which account.
    pub counter: Counter,
    /// What it cost in total, without `fiat_fee`.
    pub basis: Basis,
    /// Fiat fee that adds to the cost (a buy).
    pub fiat_fee: Option<(Currency, Fiat)>,
    /// Acquisition date when it is not the event's own (opening balance, gift).
    pub acquired_at: Option<Timestamp>,
    /// What counts for a loss where it is lower: the value at a gift.
    pub loss_basis: Option<Basis>,
}

/// Bitcoin that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispose {
    /// Where it leaves.
    pub connection: ConnectionNo,
    /// How much, without fee.
    pub quantity: Msats,
    /// Bitcoin fee that leaves with it.
    pub fee: Msats,
    /// The expense account of that fee.
    pub fee_account: Counter,
    /// To which account.
    pub counter: Counter,
    /// Gross proceeds of the quantity.
    pub basis: Basis,
    /// Fiat fee that comes off gross proceeds (a sell).
    pub fiat_fee: Option<(Currency, Fiat)>,
    /// Whether a gain is realised (a gift given has none).
    pub realises: bool,
    /// Specific identification: (acquiring event id, quantity), in order; empty: by the method.
    pub lots: Vec<(EventId, Msats)>,
}

/// One effect of an event. Steps of an event apply in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bitcoin comes in and opens a lot.
    Acquire(Acquire),
    /// Bitcoin leaves and uses lots.
    Dispose(Dispose),
    /// Bitcoin moves between own places; lots keep date and cost.
    Move {
        /// Leaves here.
        from: ConnectionNo,
        /// Arrives here.
        to: ConnectionNo,
        /// How much arrives.
        quantity: Msats,
    },
    /// The bitcoin fee of an own transfer, treated by the book's setting.
    TransferFee {
        /// Who pays it.
        connection: ConnectionNo,
        /// How much.
        quantity: Msats,
        /// Its expense account.
        account: Counter,
    },
    /// A fiat fee of an own transfer.
    FiatFee {
        /// Where it was paid.
        connection: ConnectionNo,
        /// Currency and amount.
        fee: (Currency, Fiat),
    },
    /// Fiat received or paid at a custodian against fiat of another currency (both sides fiat).
    FiatTrade {
        /// Where.
        connection: ConnectionNo,
        /// Given.
        from: (Currency, Fiat),
        /// Got.
        to: (Currency, Fiat),
        /// Fee.
        fee: Option<(Currency, Fiat)>,
    },
}

/// An event: identity, place in the books, and either its steps or why it is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Identity and place.
    pub key: EventKey,
    /// Kind.
    pub kind: EventKind,
    /// The connections involved, sorted.
    pub connections: Vec<ConnectionNo>,
    /// The steps, or the reason it cannot be booked.
    pub steps: Result<Vec<Step>, Quarantine>,
    /// Words of the source, if any.
    pub text: Option<Box<Text>>,
    /// Ids of further records merged into this event; annotations made under them count.
    pub merged: Vec<EventId>,
}
