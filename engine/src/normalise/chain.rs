//! All connections' views of one transaction → one event. Owned inputs and outputs are known book-wide, so change,
//! moves between own wallets, consolidation and batch sends fall out of the arithmetic.

use std::collections::BTreeMap;

use super::{event_id, sorted_connections};
use crate::id::{ConnectionNo, EventKey, Rank};
use crate::model::{
    Acquire, Basis, ChainStatus, ChainView, Counter, Dispose, Event, EventKind, Quarantine, Record,
    RecordBody, Step,
};
use crate::money::Msats;

/// What a transaction does to the connections of the book.
pub(super) struct Flows {
    /// Connections whose balance falls, and by how much (fee included).
    pub senders: Vec<(ConnectionNo, Msats)>,
    /// Connections whose balance rises, and by how much.
    pub receivers: Vec<(ConnectionNo, Msats)>,
    /// What leaves to others, without the fee.
    pub external: Msats,
    /// The network fee, when all inputs are ours.
    pub fee: Msats,
}

/// The event of a component of chain views only; `None` while it is pending.
pub(super) fn event(component: &[Record]) -> Option<Event> {
    let place = confirmed(component)?;
    let steps = flows(component).and_then(|flows| steps(&flows));
    Some(Event {
        key: EventKey { rank: rank(&steps), ..place },
        kind: EventKind::Transaction,
        connections: sorted_connections(component.iter().map(|record| record.connection)),
        steps,
        text: None,
        merged: Vec::new(),
    })
}

/// The views of a component.
pub(super) fn views(component: &[Record]) -> impl Iterator<Item = (ConnectionNo, &ChainView)> {
    component.iter().filter_map(|record| match &record.body {
        RecordBody::Chain(view) => Some((record.connection, view.as_ref())),
        RecordBody::Plain(_) => None,
    })
}

/// Place by the latest view, source order by height and position in the block; `None` when any view is pending.
pub(super) fn confirmed(component: &[Record]) -> Option<EventKey> {
    let mut latest: Option<EventKey> = None;
    for record in component {
        if let RecordBody::Chain(view) = &record.body {
            let ChainStatus::Confirmed { height, position, time } = view.status else { return None };
            // Never zero: what the books themselves put first in an instant has the order zero.
            let order = ((u64::from(height) << POSITION_BITS) | u64::from(position)).max(1);
            if latest.as_ref().is_none_or(|best| (best.time, best.order) < (time, order)) {
                latest = Some(EventKey { time, rank: Rank::Transfer, order, id: event_id(record) });
            }
        }
    }
    latest
}

/// Bits of the source order that hold the position in the block: far more than the transactions of any block.
const POSITION_BITS: u32 = 24;

/// All that spends shares one rank, so that the chain's own order decides: it never spends what has not arrived.
fn rank(steps: &Result<Vec<Step>, Quarantine>) -> Rank {
    match steps {
        Ok(steps) if steps.iter().all(|step| matches!(step, Step::Acquire(_))) => Rank::Receipt,
        _ => Rank::Transfer,
    }
}

/// Adds up who owns what. Quarantines a transaction with inputs of others beside ours.
pub(super) fn flows(component: &[Record]) -> Result<Flows, Quarantine> {
    let Some((_, first)) = views(component).next() else {
        return Err(conflict("a transaction without a view"));
    };
    if views(component).any(|(_, view)| {
        view.txid != first.txid
            || view.inputs.len() != first.inputs.len()
            || view.outputs.len() != first.outputs.len()
    }) {
        return Err(conflict("the connections disagree about this transaction; sync them again"));
    }
    let mut net: BTreeMap<ConnectionNo, i128> = BTreeMap::new();
    let mut spent = 0i128;
    let mut own_inputs = 0u32;
    for at in 0..first.inputs.len() {
        let owner = views(component).find_map(|(no, view)| Some((no, view.inputs.get(at)?.owned_sat?)));
        if let Some((no, sat)) = owner {
            *net.entry(no).or_default() -= i128::from(sat);
            spent += i128::from(sat);
            own_inputs += 1;
        }
    }
    let foreign_inputs = (first.inputs.len() as u32).saturating_sub(own_inputs);
    if own_inputs > 0 && foreign_inputs > 0 {
        return Err(Quarantine::CollaborativeSpend { own_inputs, foreign_inputs });
    }
    let mut external = 0i128;
    let mut total = 0i128;
    for (at, output) in first.outputs.iter().enumerate() {
        total += i128::from(output.value_sat);
        let owner =
            views(component).find(|(_, view)| view.outputs.get(at).is_some_and(|output| output.owned));
        match owner {
            Some((no, _)) => *net.entry(no).or_default() += i128::from(output.value_sat),
            None => external += i128::from(output.value_sat),
        }
    }
    if own_inputs == 0 {
        (external, total) = (0, 0);
    }
    let sats = |value: i128| {
        u64::try_from(value)
            .ok()
            .and_then(Msats::from_sats)
            .ok_or_else(|| conflict("its outputs exceed its inputs"))
    };
    let side = |sign: i128| {
        let of = net.iter().filter(|(_, value)| **value * sign > 0);
        of.map(|(no, value)| Ok((*no, sats(value * sign)?))).collect::<Result<Vec<_>, Quarantine>>()
    };
    Ok(Flows {
        senders: side(-1)?,
        receivers: side(1)?,
        external: sats(external)?,
        fee: sats(if own_inputs == 0 { 0 } else { spent - total })?,
    })
}

/// The steps of a transaction nobody else has a record of.
pub(super) fn steps(flows: &Flows) -> Result<Vec<Step>, Quarantine> {
    if flows.senders.is_empty() {
        let receive = |&(connection, quantity): &(ConnectionNo, Msats)| {
            Step::Acquire(Acquire {
                connection,
                quantity,
                counter: Counter::IncomeExternal,
                basis: Basis::Market,
                fiat_fee: None,
                acquired_at: None,
                loss_basis: None,
            })
        };
        return Ok(flows.receivers.iter().map(receive).collect());
    }
    let mut purse = Purse::new(&flows.senders);
    let mut steps = Vec::new();
    for &(to, quantity) in &flows.receivers {
        steps.extend(purse.take(quantity)?.into_iter().map(|(from, quantity)| Step::Move {
            from,
            to,
            quantity,
        }));
    }
    outgoing(&mut purse, flows.external, flows.fee, &mut steps)?;
    Ok(steps)
}

/// What leaves the book: the spend with its fee, or the fee of an own transfer. All of the purse is used up.
pub(super) fn outgoing(
    purse: &mut Purse,
    external: Msats,
    fee: Msats,
    steps: &mut Vec<Step>,
) -> Result<(), Quarantine> {
    if external.is_zero() {
        for (connection, quantity) in purse.take(fee)? {
            steps.push(Step::TransferFee { connection, quantity, account: Counter::NetworkFees });
        }
        return Ok(());
    }
    let spends = purse.take(external)?;
    let mut fees: BTreeMap<ConnectionNo, Msats> = purse.take(fee)?.into_iter().collect();
    let mut spend = |connection, quantity, fee| {
        steps.push(Step::Dispose(Dispose {
            connection,
            quantity,
            fee,
            fee_account: Counter::NetworkFees,
            counter: Counter::ExpensesExternal,
            basis: Basis::Market,
            fiat_fee: None,
            realises: true,
            lots: Vec::new(),
        }))
    };
    for (connection, quantity) in spends {
        let fee = fees.remove(&connection).unwrap_or_default();
        spend(connection, quantity, fee);
    }
    // A sender that only paid fee: its part of the same spend has no quantity of its own.
    for (connection, fee) in fees {
        spend(connection, Msats::ZERO, fee);
    }
    Ok(())
}

/// What the senders put in, handed out in order of their numbers.
pub(super) struct Purse(Vec<(ConnectionNo, Msats)>);

impl Purse {
    pub fn new(senders: &[(ConnectionNo, Msats)]) -> Self {
        Purse(senders.iter().rev().copied().collect())
    }

    pub fn take(&mut self, mut quantity: Msats) -> Result<Vec<(ConnectionNo, Msats)>, Quarantine> {
        let mut taken = Vec::new();
        while !quantity.is_zero() {
            let Some((no, left)) = self.0.last_mut() else {
                return Err(conflict("more arrives than was sent"));
            };
            let part = quantity.min(*left);
            taken.push((*no, part));
            *left = Msats::new(left.get() - part.get());
            quantity = Msats::new(quantity.get() - part.get());
            if left.is_zero() {
                self.0.pop();
            }
        }
        Ok(taken)
    }
}

pub(super) fn conflict(problem: &str) -> Quarantine {
    Quarantine::ConflictingLink { problem: problem.to_owned() }
}
