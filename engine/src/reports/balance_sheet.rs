//! The balance sheet: every account's net position as a tree, by connection, and in total.
//!
//! Reads the running totals, never the history. All five kinds of account are included, so per asset the nets of the
//! roots sum to zero and total debits equal total credits: the report proves itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::net_text;
use super::{ReportContext, ReportHead};
use crate::error::Result;
use crate::journal::chart::{self, Root};
use crate::model::{Account, AccountTotal, Asset, Connection, Totals};
use crate::time::Timestamp;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BalanceSheet {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The instant the books are shown at (RFC 3339, UTC); `null`: as they stand.
    pub as_of: Option<String>,
    /// The kinds of account shown.
    pub included_kinds: Vec<&'static str>,
    /// The tree of accounts.
    pub roots: Vec<AccountNode>,
    /// The asset accounts of each connection.
    pub connection_balances: Vec<ConnectionBalance>,
    /// Per asset, over all accounts.
    pub totals: Vec<AssetTotal>,
    /// What the figures do not cover.
    pub issues: Issues,
}

/// An account and what is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountNode {
    /// Its name at this level.
    pub label: String,
    /// Its balances, those below included.
    pub balances: Vec<AssetBalance>,
    /// The accounts below.
    pub children: Vec<AccountNode>,
}

/// Net position in one asset: debits minus credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AssetBalance {
    /// `BTC` or an ISO 4217 code.
    pub asset_code: String,
    /// Decimal satoshis for bitcoin, minor units for fiat.
    pub net: String,
}

/// What one connection holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionBalance {
    /// The connection's id.
    pub connection_id: String,
    /// What the user calls it.
    pub connection_label: String,
    /// Its kind.
    pub kind: String,
    /// Its asset accounts, summed.
    pub balances: Vec<AssetBalance>,
}

/// Debits and credits of one asset over all accounts; units as in [`AssetBalance`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AssetTotal {
    /// `BTC` or an ISO 4217 code.
    pub asset_code: String,
    /// Sum of debits.
    pub debit_total: String,
    /// Sum of credits.
    pub credit_total: String,
    /// Debits minus credits: zero in a book that balances.
    pub net: String,
}

/// What the figures of a balance sheet do not cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issues {
    /// Account balances whose connection is not in the book.
    pub unknown_account_rows: u64,
    /// Events set aside.
    pub quarantined: u64,
}

type Line<'a> = (&'a (Account, Asset), &'a AccountTotal);

/// The balance sheet of `totals`.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when a sum cannot be printed.
pub fn balance_sheet(
    ctx: &ReportContext<'_>,
    totals: &Totals,
    as_of: Option<Timestamp>,
    snapshot_timestamp: Timestamp,
) -> Result<BalanceSheet> {
    let lines: Vec<Line<'_>> = totals.accounts.iter().collect();
    let unknown =
        |line: &&Line<'_>| chart::leaf(line.0.0).is_some_and(|no| !ctx.connections.contains_key(&no));
    Ok(BalanceSheet {
        head: ctx.head(snapshot_timestamp),
        as_of: as_of.map(|at| at.to_string()),
        included_kinds: Root::ALL.map(Root::kind).to_vec(),
        roots: Root::ALL.into_iter().map(|root| root_node(ctx, root, &lines)).collect::<Result<_>>()?,
        connection_balances: connection_balances(ctx, &lines)?,
        totals: asset_totals(&lines)?,
        issues: Issues {
            unknown_account_rows: lines.iter().filter(unknown).count() as u64,
            quarantined: totals.quarantined,
        },
    })
}

fn root_node(ctx: &ReportContext<'_>, root: Root, lines: &[Line<'_>]) -> Result<AccountNode> {
    let mine: Vec<Line<'_>> = lines.iter().filter(|line| chart::root(line.0.0) == root).copied().collect();
    // The order of accounts keeps a group's leaves, and a leaf's assets, next to each other.
    let groups = mine.chunk_by(|a, b| chart::group(a.0.0) == chart::group(b.0.0));
    let children = groups.map(|group| group_node(ctx, group)).collect::<Result<_>>()?;
    Ok(AccountNode { label: root.label().to_owned(), balances: balances(&mine)?, children })
}

fn group_node(ctx: &ReportContext<'_>, lines: &[Line<'_>]) -> Result<AccountNode> {
    let leaves = lines.chunk_by(|a, b| a.0.0 == b.0.0);
    let leaf_node = |leaf: &[Line<'_>]| -> Option<Result<AccountNode>> {
        let no = chart::leaf(leaf.first()?.0.0)?;
        let label = Some(ctx.label(no)).filter(|label| !label.is_empty());
        let label = label.map_or_else(|| format!("#{}", no.0), str::to_owned);
        Some(balances(leaf).map(|balances| AccountNode { label, balances, children: Vec::new() }))
    };
    let children = leaves.filter_map(leaf_node).collect::<Result<_>>()?;
    let label = lines.first().map_or("", |line| chart::group(line.0.0)).to_owned();
    Ok(AccountNode { label, balances: balances(lines)?, children })
}

fn connection_balances(ctx: &ReportContext<'_>, lines: &[Line<'_>]) -> Result<Vec<ConnectionBalance>> {
    let one = |connection: &Connection| {
        let mine = lines.iter().filter(|line| chart::leaf(line.0.0) == Some(connection.no));
        Ok(ConnectionBalance {
            connection_id: connection.id.clone(),
            connection_label: connection.label.clone(),
            kind: connection.kind.clone(),
            balances: balances(&mine.copied().collect::<Vec<_>>())?,
        })
    };
    ctx.connections.values().map(one).collect()
}

fn sums(lines: &[Line<'_>]) -> BTreeMap<Asset, AccountTotal> {
    let mut sums: BTreeMap<Asset, AccountTotal> = BTreeMap::new();
    for ((_, asset), total) in lines {
        let sum = sums.entry(*asset).or_default();
        // Each side of an account is a sum of 64-bit amounts: no number of accounts brings 128 bits to overflow.
        sum.debit = sum.debit.saturating_add(total.debit);
        sum.credit = sum.credit.saturating_add(total.credit);
    }
    sums
}

fn balances(lines: &[Line<'_>]) -> Result<Vec<AssetBalance>> {
    let balance = |(asset, total): (Asset, AccountTotal)| {
        Ok(AssetBalance { asset_code: asset.code().to_owned(), net: net_text(asset, total.net())? })
    };
    sums(lines).into_iter().map(balance).collect()
}

fn asset_totals(lines: &[Line<'_>]) -> Result<Vec<AssetTotal>> {
    let total = |(asset, total): (Asset, AccountTotal)| {
        Ok(AssetTotal {
            asset_code: asset.code().to_owned(),
            debit_total: net_text(asset, total.debit)?,
            credit_total: net_text(asset, total.credit)?,
            net: net_text(asset, total.net())?,
        })
    };
    sums(lines).into_iter().map(total).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reports::samples::{SNAPSHOT, context, saver_totals};

    fn balance(asset: &str, net: &str) -> AssetBalance {
        AssetBalance { asset_code: asset.into(), net: net.into() }
    }

    fn node(label: &str, balances: &[(&str, &str)], children: Vec<AccountNode>) -> AccountNode {
        let balances = balances.iter().map(|(asset, net)| balance(asset, net)).collect();
        AccountNode { label: label.into(), balances, children }
    }

    #[test]
    fn a_saver_who_bought_moved_and_spent() {
        let report = balance_sheet(&context(), &saver_totals(), None, SNAPSHOT).unwrap();
        let btc = "120000.000";
        let cash = [("BTC", btc), ("USD", "-10150")];
        let assets = vec![
            node(
                "On-chain",
                &[("BTC", "59000.000")],
                vec![node("Cold: storage", &[("BTC", "59000.000")], vec![])],
            ),
            node("Managed", &[("BTC", "61000.000")], vec![node("Broker", &[("BTC", "61000.000")], vec![])]),
            node("Fiat", &[("USD", "-10150")], vec![node("Broker", &[("USD", "-10150")], vec![])]),
        ];
        let conversion = [("BTC", "-150000.000"), ("USD", "10000")];
        let equity = vec![node("Conversion", &conversion, vec![])];
        let expenses = vec![
            node("External", &[("BTC", "28000.000")], vec![]),
            node("Network Fees", &[("BTC", "2000.000")], vec![]),
            node("Exchange Fees", &[("USD", "150")], vec![]),
        ];
        let expected = vec![
            node("Assets", &cash, assets),
            node("Liabilities", &[], vec![]),
            node("Equity", &conversion, equity),
            node("Income", &[], vec![]),
            node("Expenses", &[("BTC", "30000.000"), ("USD", "150")], expenses),
        ];
        assert_eq!(report.roots, expected);
        let held: Vec<_> = report
            .connection_balances
            .iter()
            .map(|c| (c.connection_label.as_str(), &c.balances[..]))
            .collect();
        let broker = [balance("BTC", "61000.000"), balance("USD", "-10150")];
        assert_eq!(held[0], ("Cold: storage", &[balance("BTC", "59000.000")][..]));
        assert_eq!(held[1], ("Broker", &broker[..]));
    }

    #[test]
    fn totals_prove_that_the_book_balances() {
        let report = balance_sheet(&context(), &saver_totals(), None, SNAPSHOT).unwrap();
        assert!(report.totals.iter().all(|total| total.debit_total == total.credit_total));
        let nets: Vec<&str> = report.totals.iter().map(|total| total.net.as_str()).collect();
        assert_eq!(nets, ["0.000", "0"]);
        assert_eq!(report.included_kinds, ["asset", "liability", "equity", "income", "expense"]);
        assert_eq!(report.issues, Issues { unknown_account_rows: 0, quarantined: 0 });
        assert_eq!(report.head.snapshot_timestamp, "2025-06-01T00:00:00Z");
    }

    #[test]
    fn balances_of_a_forgotten_connection_are_shown_and_counted() {
        let mut ctx = context();
        ctx.connections.remove(&crate::id::ConnectionNo(3));
        let report = balance_sheet(&ctx, &saver_totals(), None, SNAPSHOT).unwrap();
        assert_eq!(report.issues.unknown_account_rows, 2);
        assert_eq!(report.roots[0].children[1].children[0].label, "#3");
    }

    #[test]
    fn an_empty_book_has_its_five_roots() {
        let report = balance_sheet(&context(), &Totals::default(), None, SNAPSHOT).unwrap();
        assert_eq!(report.roots.len(), 5);
        assert!(report.totals.is_empty());
    }
}
