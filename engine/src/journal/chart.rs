//! The built-in chart: which root and group an account hangs under, and its full path.
//!
//! Invariant: two different leaves never share a path unless their connections share a label; a `:` in a label
//! cannot forge a level of the tree. Refuses to look up labels: they are handed in.

use crate::id::ConnectionNo;
use crate::model::{Account, Counter, Rail};

/// A root of the tree of accounts, in the order reports list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// What is owned.
    Assets,
    /// What is owed.
    Liabilities,
    /// Opening balances and conversions.
    Equity,
    /// What came in.
    Income,
    /// What went out.
    Expenses,
}

impl Root {
    /// Every root, in order.
    pub const ALL: [Root; 5] = [Root::Assets, Root::Liabilities, Root::Equity, Root::Income, Root::Expenses];

    /// The first part of the paths below it.
    pub fn label(self) -> &'static str {
        match self {
            Root::Assets => "Assets",
            Root::Liabilities => "Liabilities",
            Root::Equity => "Equity",
            Root::Income => "Income",
            Root::Expenses => "Expenses",
        }
    }

    /// The kind of account, as reports name it.
    pub fn kind(self) -> &'static str {
        match self {
            Root::Assets => "asset",
            Root::Liabilities => "liability",
            Root::Equity => "equity",
            Root::Income => "income",
            Root::Expenses => "expense",
        }
    }
}

/// The root of `account`.
pub fn root(account: Account) -> Root {
    let Account::Counter(counter) = account else { return Root::Assets };
    match counter {
        Counter::IncomeExternal | Counter::IncomeRouting | Counter::IncomeInterest => Root::Income,
        Counter::OpeningBalances | Counter::Conversion => Root::Equity,
        Counter::ExpensesExternal | Counter::NetworkFees | Counter::LightningFees | Counter::ExchangeFees => {
            Root::Expenses
        }
    }
}

/// The second part of the path of `account`.
pub fn group(account: Account) -> &'static str {
    match account {
        Account::Bitcoin(Rail::OnChain, _) => "On-chain",
        Account::Bitcoin(Rail::Lightning, _) => "Lightning",
        Account::Bitcoin(Rail::Managed, _) => "Managed",
        Account::Fiat(_) => "Fiat",
        Account::Counter(counter) => match counter {
            Counter::IncomeExternal | Counter::ExpensesExternal => "External",
            Counter::IncomeRouting => "Routing",
            Counter::IncomeInterest => "Interest",
            Counter::OpeningBalances => "Opening Balances",
            Counter::Conversion => "Conversion",
            Counter::NetworkFees => "Network Fees",
            Counter::LightningFees => "Lightning Fees",
            Counter::ExchangeFees => "Exchange Fees",
        },
    }
}

/// The connection whose leaf `account` is, if it is one.
pub fn leaf(account: Account) -> Option<ConnectionNo> {
    match account {
        Account::Bitcoin(_, no) | Account::Fiat(no) => Some(no),
        Account::Counter(_) => None,
    }
}

/// The full path of `account`, e.g. `Assets:On-chain:Savings`; `label` names the connection of a leaf.
///
/// In a label `:` is written `%3A` and `%` is written `%25`; a connection without a label is called `#<number>`.
pub fn path(account: Account, label: &str) -> String {
    let above = format!("{}:{}", root(account).label(), group(account));
    match leaf(account) {
        None => above,
        Some(no) if label.is_empty() => format!("{above}:#{}", no.0),
        Some(_) => format!("{above}:{}", label.replace('%', "%25").replace(':', "%3A")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_books() {
        let no = ConnectionNo(3);
        assert_eq!(path(Account::Bitcoin(Rail::OnChain, no), "Cold"), "Assets:On-chain:Cold");
        assert_eq!(path(Account::Bitcoin(Rail::Lightning, no), "Node"), "Assets:Lightning:Node");
        assert_eq!(path(Account::Bitcoin(Rail::Managed, no), "River"), "Assets:Managed:River");
        assert_eq!(path(Account::Fiat(no), ""), "Assets:Fiat:#3");
        assert_eq!(path(Account::Counter(Counter::OpeningBalances), ""), "Equity:Opening Balances");
        assert_eq!(path(Account::Counter(Counter::IncomeExternal), "x"), "Income:External");
        assert_eq!(path(Account::Counter(Counter::LightningFees), "x"), "Expenses:Lightning Fees");
    }

    #[test]
    fn a_label_cannot_forge_a_level() {
        let account = Account::Fiat(ConnectionNo(1));
        assert_eq!(path(account, "a:b"), "Assets:Fiat:a%3Ab");
        assert_ne!(path(account, "a:b"), path(account, "a%3Ab"));
    }
}
