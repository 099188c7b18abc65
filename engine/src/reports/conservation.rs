//! Conservation: units and cost in = out + left for every pool, and the ledger against the lots and against what wallets hold.
//!
//! A difference is told, never hidden and never an error: it is data for the user.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::decimal_text;
use super::{ReportContext, ReportHead};
use crate::error::Result;
use crate::id::ConnectionNo;
use crate::model::{Account, Asset, Flow, LotScope, PoolFlows, Totals};
use crate::time::Timestamp;

/// What the open lots of each pool hold, as counted lot by lot.
pub type LotsHeld = BTreeMap<Option<ConnectionNo>, Flow>;

/// Units and cost: decimal satoshis and decimal major units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrintedFlow {
    /// Quantity.
    pub quantity: String,
    /// Cost.
    pub cost_basis_fiat: String,
}

/// A pool: what came in, what went out, what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolConservation {
    /// The connection whose pool it is; `null` for the book's one pool.
    pub connection_id: Option<String>,
    /// What the user calls it.
    pub connection_label: Option<String>,
    /// In: acquired.
    pub acquired: PrintedFlow,
    /// In: moved here from another pool.
    pub arrived: PrintedFlow,
    /// In: cost of transfer fees that what arrived carries.
    pub inherited: PrintedFlow,
    /// Out: disposed of with a gain or loss.
    pub disposed: PrintedFlow,
    /// Out: given away at cost.
    pub given: PrintedFlow,
    /// Out: transfer fees whose cost was carried.
    pub carried: PrintedFlow,
    /// Out: moved to another pool.
    pub departed: PrintedFlow,
    /// In minus out.
    pub left: PrintedFlow,
    /// What its open lots hold, counted lot by lot.
    pub lots: PrintedFlow,
    /// Whether the two agree.
    pub balanced: bool,
}

/// A connection: its ledger against its lots and its wallet. Quantities in decimal satoshis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionConservation {
    /// The connection; `null` when it is not in the book any more.
    pub connection_id: Option<String>,
    /// What the user calls it.
    pub connection_label: String,
    /// What the ledger says it holds.
    pub ledger: String,
    /// What the lots of its own pool hold; `null` where the book has one pool.
    pub lots: Option<String>,
    /// What the wallet holds by its own confirmed transactions as of its last sync; `null` where nothing reports a balance.
    pub wallet: Option<String>,
    /// Wallet minus ledger, where both are known: what is in quarantine, excluded, or not processed yet.
    pub wallet_difference: Option<String>,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conservation {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The book's currency.
    pub fiat_currency: String,
    /// Whether every pool is balanced and no wallet differs from its ledger.
    pub balanced: bool,
    /// Every pool that ever held something.
    pub pools: Vec<PoolConservation>,
    /// All pools together; what moved between them is in `arrived` and `departed`.
    pub total: PoolConservation,
    /// Every connection that holds something or reports a balance.
    pub connections: Vec<ConnectionConservation>,
}

/// The report over `totals`, the lots as counted and the balances that wallets report (in msat).
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when a sum has more digits than can be printed.
pub fn conservation(
    ctx: &ReportContext<'_>,
    totals: &Totals,
    lots: &LotsHeld,
    wallets: &BTreeMap<ConnectionNo, i128>,
    snapshot_timestamp: Timestamp,
) -> Result<Conservation> {
    let mut pools = Vec::new();
    let mut names: Vec<Option<ConnectionNo>> = totals.pools.keys().chain(lots.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let flows = totals.pools.get(&name).copied().unwrap_or_default();
        pools.push(pool(ctx, name, &flows, lots.get(&name).copied().unwrap_or_default())?);
    }
    let all = totals.pools.values().fold(PoolFlows::default(), |sum, pool| together(&sum, pool));
    let held = lots.values().fold(Flow::default(), |sum, held| sum.and(*held));
    let connections = connections(ctx, totals, lots, wallets)?;
    let differs = |connection: &ConnectionConservation| {
        connection.wallet.as_ref().is_some_and(|wallet| *wallet != connection.ledger)
    };
    Ok(Conservation {
        head: ctx.head(snapshot_timestamp),
        fiat_currency: ctx.settings.fiat_currency.code().to_owned(),
        balanced: pools.iter().all(|pool| pool.balanced) && !connections.iter().any(differs),
        pools,
        total: pool(ctx, None, &all, held)?,
        connections,
    })
}

fn pool(
    ctx: &ReportContext<'_>,
    name: Option<ConnectionNo>,
    flows: &PoolFlows,
    lots: Flow,
) -> Result<PoolConservation> {
    let connection = name.and_then(|no| ctx.connections.get(&no));
    let print = |flow: Flow| {
        let cost_basis_fiat = decimal_text(flow.cost, ctx.settings.fiat_currency.exponent())?;
        Ok::<_, crate::error::Error>(PrintedFlow { quantity: sats(flow.quantity)?, cost_basis_fiat })
    };
    Ok(PoolConservation {
        connection_id: connection.map(|connection| connection.id.clone()),
        connection_label: connection.map(|connection| connection.label.clone()),
        acquired: print(flows.acquired)?,
        arrived: print(flows.arrived)?,
        inherited: print(flows.inherited)?,
        disposed: print(flows.disposed)?,
        given: print(flows.given)?,
        carried: print(flows.carried)?,
        departed: print(flows.departed)?,
        left: print(flows.left())?,
        lots: print(lots)?,
        balanced: flows.left() == lots,
    })
}

fn connections(
    ctx: &ReportContext<'_>,
    totals: &Totals,
    lots: &LotsHeld,
    wallets: &BTreeMap<ConnectionNo, i128>,
) -> Result<Vec<ConnectionConservation>> {
    let mut ledger: BTreeMap<ConnectionNo, i128> = wallets.keys().map(|no| (*no, 0)).collect();
    for ((account, asset), total) in &totals.accounts {
        if let (Account::Bitcoin(_, no), Asset::Btc) = (account, asset) {
            *ledger.entry(*no).or_default() += total.net();
        }
    }
    let own_pools = ctx.settings.lot_scope == LotScope::Connection;
    let line = |(no, ledger): (ConnectionNo, i128)| {
        let held = lots.get(&Some(no)).map_or(0, |held| held.quantity);
        let wallet = wallets.get(&no).copied();
        Ok(ConnectionConservation {
            connection_id: ctx.connections.get(&no).map(|connection| connection.id.clone()),
            connection_label: ctx.label(no).to_owned(),
            ledger: sats(ledger)?,
            lots: own_pools.then(|| sats(held)).transpose()?,
            wallet: wallet.map(sats).transpose()?,
            wallet_difference: wallet.map(|wallet| sats(wallet - ledger)).transpose()?,
        })
    };
    ledger.into_iter().map(line).collect()
}

fn together(a: &PoolFlows, b: &PoolFlows) -> PoolFlows {
    PoolFlows {
        acquired: a.acquired.and(b.acquired),
        arrived: a.arrived.and(b.arrived),
        inherited: a.inherited.and(b.inherited),
        disposed: a.disposed.and(b.disposed),
        given: a.given.and(b.given),
        carried: a.carried.and(b.carried),
        departed: a.departed.and(b.departed),
    }
}

fn sats(msat: i128) -> Result<String> {
    decimal_text(msat, 3)
}
