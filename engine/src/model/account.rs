//! The built-in chart of accounts and the lines of an entry.

use serde::{Deserialize, Serialize};

use super::{Counter, Rail};
use crate::id::ConnectionNo;
use crate::money::{Currency, Fiat, Msats};

/// An account of the built-in chart. Asset accounts have one leaf per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// `Assets:On-chain|Lightning|Managed:<connection>`
    Bitcoin(Rail, ConnectionNo),
    /// `Assets:Fiat:<connection>`
    Fiat(ConnectionNo),
    /// Income, equity or expense.
    Counter(Counter),
}

/// Asset and signed amount: positive is a debit, negative a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// Bitcoin.
    Btc(Msats),
    /// Fiat.
    Fiat(Currency, Fiat),
}

/// One line of the double-entry rendering of an event. Rendered from the journal row, not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account.
    pub account: Account,
    /// Asset and signed amount.
    pub amount: Amount,
    /// Value in the book's currency, signed like the amount; `None` where the books know none.
    pub value: Option<Fiat>,
}
