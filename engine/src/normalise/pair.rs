//! Components of more than one record: own transfers across rails are one event, never a disposal and a purchase.
//!
//! Outgoing ends (withdrawal, pay, a spending transaction) and incoming ends (deposit, invoice, a receiving
//! transaction) that share an identity are matched when what arrives fits into what left; the difference is the fee.

use super::chain::{self, Purse, conflict};
use super::plain::{event as single, fee_account, text};
use super::{Led, Rails, event_id, sorted_connections};
use crate::id::{ConnectionNo, EventKey, Rank};
use crate::model::{Counter, Event, EventKind, PlainKind, PlainRecord, Quarantine, Record, RecordBody, Step};
use crate::money::Msats;

pub(super) fn events(component: &[Record], rails: Rails<'_>) -> Vec<Led> {
    let ends = Ends::of(component);
    let on_chain = chain::views(component).next().is_some();
    if on_chain && chain::confirmed(component).is_none() {
        return Vec::new(); // pending: booked as a whole once it confirms
    }
    if on_chain && ends.is_empty() {
        return lead(component, chain::event(component));
    }
    if !on_chain && (ends.outs.is_empty() || ends.ins.is_empty()) {
        return alone(component, rails);
    }
    let steps = if on_chain { with_chain(component, &ends, rails) } else { off_chain(&ends, rails) };
    lead(component, merged(component, &ends, steps))
}

/// Records that share an identity but have no counterpart are events of their own.
fn alone(component: &[Record], rails: Rails<'_>) -> Vec<Led> {
    let each = component.iter().enumerate().filter_map(|(at, record)| match &record.body {
        RecordBody::Plain(plain) => Some((at, single(record, plain, rails))),
        RecordBody::Chain(_) => None,
    });
    each.collect()
}

/// The first record of the event's instant leads it (the component is sorted by place).
fn lead(component: &[Record], event: Option<Event>) -> Vec<Led> {
    let Some(event) = event else { return Vec::new() };
    let leader = component.iter().position(|record| super::place(record).time == event.key.time);
    vec![(leader.unwrap_or(0), event)]
}

/// One end of a transfer outside the chain views.
#[derive(Clone, Copy)]
struct End<'a> {
    record: &'a Record,
    plain: &'a PlainRecord,
}

struct Ends<'a> {
    outs: Vec<End<'a>>,
    ins: Vec<End<'a>>,
}

impl<'a> Ends<'a> {
    fn of(component: &'a [Record]) -> Self {
        let mut ends = Ends { outs: Vec::new(), ins: Vec::new() };
        for record in component {
            if let RecordBody::Plain(plain) = &record.body {
                let out = matches!(plain.kind, PlainKind::Withdrawal | PlainKind::Pay);
                if out { &mut ends.outs } else { &mut ends.ins }.push(End { record, plain });
            }
        }
        ends
    }

    fn is_empty(&self) -> bool {
        self.outs.is_empty() && self.ins.is_empty()
    }
}

fn total(ends: &[End<'_>]) -> Result<Msats, Quarantine> {
    Msats::sum(ends.iter().map(|end| end.plain.quantity))
        .map_err(|_| conflict("the amounts are out of range"))
}

/// Moves what `outs` sent to `receivers`; what did not arrive is fee, with the fees stated on top.
fn deliver(
    outs: &[End<'_>],
    receivers: &[(ConnectionNo, Msats)],
    rails: Rails<'_>,
) -> Result<Vec<Step>, Quarantine> {
    let sent: Vec<_> = outs.iter().map(|end| (end.record.connection, end.plain.quantity)).collect();
    let mut purse = Purse::new(&sent);
    let mut steps = Vec::new();
    for &(to, quantity) in receivers {
        let moves = purse.take(quantity)?;
        steps.extend(moves.into_iter().map(|(from, quantity)| Step::Move { from, to, quantity }));
    }
    let arrived = Msats::sum(receivers.iter().map(|receiver| receiver.1));
    let lost = arrived.and_then(|arrived| Msats::sum(sent.iter().map(|end| end.1))?.sub(arrived));
    let mut fees = purse.take(lost.map_err(|_| conflict("the amounts are out of range"))?)?;
    fees.extend(outs.iter().map(|end| (end.record.connection, end.plain.fee)));
    for (connection, quantity) in fees {
        if !quantity.is_zero() {
            steps.push(Step::TransferFee { connection, quantity, account: fee_account(rails(connection)) });
        }
    }
    Ok(steps)
}

/// Both ends are plain records.
fn off_chain(ends: &Ends<'_>, rails: Rails<'_>) -> Result<Vec<Step>, Quarantine> {
    let receivers: Vec<_> = ends.ins.iter().map(|end| (end.record.connection, end.plain.quantity)).collect();
    let mut steps = deliver(&ends.outs, &receivers, rails)?;
    steps.extend(receiving_fees(ends, rails));
    steps.extend(fiat_fees(ends.outs.iter().chain(&ends.ins)));
    Ok(steps)
}

/// Fees that ends of a transfer paid in fiat: they change no lot, and never disappear.
fn fiat_fees<'a>(ends: impl Iterator<Item = &'a End<'a>>) -> impl Iterator<Item = Step> {
    ends.filter_map(|end| Some(Step::FiatFee { connection: end.record.connection, fee: end.plain.fee_fiat? }))
}

fn receiving_fees(ends: &Ends<'_>, rails: Rails<'_>) -> Vec<Step> {
    let paid = ends.ins.iter().filter(|end| !end.plain.fee.is_zero());
    paid.map(|end| Step::TransferFee {
        connection: end.record.connection,
        quantity: end.plain.fee,
        account: fee_account(rails(end.record.connection)),
    })
    .collect()
}

/// Custodians sent; own wallets received. A withdrawal whose `vout` names an output that is not ours went to others.
fn received(
    component: &[Record],
    ends: &Ends<'_>,
    flows: &chain::Flows,
    rails: Rails<'_>,
) -> Result<Vec<Step>, Quarantine> {
    let output = |end: &End<'_>| end.plain.extra.as_ref().and_then(|extra| extra.vout);
    let ours = |vout: u32| {
        chain::views(component)
            .any(|(_, view)| view.outputs.get(vout as usize).is_some_and(|output| output.owned))
    };
    let (delivering, spent): (Vec<_>, Vec<_>) =
        ends.outs.iter().copied().partition(|end| output(end).is_none_or(ours) || !ends.ins.is_empty());
    let mut receivers = flows.receivers.clone();
    receivers.extend(ends.ins.iter().map(|end| (end.record.connection, end.plain.quantity)));
    let left =
        total(&delivering)?.get() - Msats::sum(receivers.iter().map(|end| end.1)).unwrap_or_default().get();
    let vague =
        delivering.iter().filter(|end| output(end).is_none()).map(|end| end.plain.quantity.get()).min();
    if delivering.len() > 1 && vague.is_some_and(|smallest| left >= smallest) {
        return Err(conflict(
            "several withdrawals share this transaction and more left than arrived; give each its vout",
        ));
    }
    let mut steps = match delivering.is_empty() {
        true => chain::steps(flows)?,
        false => deliver(&delivering, &receivers, rails)?,
    };
    steps.extend(receiving_fees(ends, rails));
    steps.extend(fiat_fees(delivering.iter().chain(&ends.ins)));
    for end in spent {
        let no = end.record.connection;
        steps.push(super::plain::dispose(no, end.plain, rails(no), Counter::ExpensesExternal, true));
    }
    Ok(steps)
}

/// One end is a transaction of an own wallet.
fn with_chain(component: &[Record], ends: &Ends<'_>, rails: Rails<'_>) -> Result<Vec<Step>, Quarantine> {
    let flows = chain::flows(component)?;
    match (flows.senders.is_empty(), ends.outs.is_empty(), ends.ins.is_empty()) {
        // Custodian → own wallet, and perhaps another custodian.
        (true, false, _) => received(component, ends, &flows, rails),
        // Own wallet → custodian, perhaps with other payments in the same transaction.
        (false, true, false) => {
            let mut purse = Purse::new(&flows.senders);
            let mut steps = Vec::new();
            let inside = ends.ins.iter().map(|end| (end.record.connection, end.plain.quantity));
            for (to, quantity) in flows.receivers.iter().copied().chain(inside) {
                steps.extend(purse.take(quantity)?.into_iter().map(|(from, quantity)| Step::Move {
                    from,
                    to,
                    quantity,
                }));
            }
            let credited = total(&ends.ins)?;
            let external = flows.external.sub(credited).ok().filter(|left| !left.is_negative());
            let external =
                external.ok_or_else(|| conflict("more was credited than the transaction pays out"))?;
            chain::outgoing(&mut purse, external, flows.fee, &mut steps)?;
            steps.extend(receiving_fees(ends, rails));
            steps.extend(fiat_fees(ends.ins.iter()));
            Ok(steps)
        }
        (true, true, false) => Err(conflict(
            "a deposit at a custodian and an own wallet receive by the same transaction; drop the txid of the one it does not belong to",
        )),
        (false, false, _) => {
            Err(conflict("a custodial withdrawal cannot be a transaction that an own wallet sends"))
        }
        (_, true, true) => Err(conflict("no end outside the chain")),
    }
}

fn merged(component: &[Record], ends: &Ends<'_>, steps: Result<Vec<Step>, Quarantine>) -> Option<Event> {
    let main = ends.outs.first().or(ends.ins.first())?;
    let earliest = component.iter().map(|record| super::place(record).time).min()?;
    // An own wallet's transaction names the event, and where it spends, it gives the time; else the outgoing record does.
    let key = match chain::confirmed(component) {
        Some(place) if chain::flows(component).is_ok_and(|flows| !flows.senders.is_empty()) => place,
        Some(place) => EventKey { time: earliest, ..place },
        None => EventKey { time: earliest, rank: Rank::Transfer, order: 0, id: event_id(main.record) },
    };
    let on_chain = chain::views(component).next().is_some();
    let kind = if on_chain { EventKind::Transaction } else { super::plain::kind(main.plain.kind) };
    let mut merged: Vec<_> = component.iter().map(event_id).filter(|other| *other != key.id).collect();
    merged.dedup();
    Some(Event {
        key,
        kind,
        connections: sorted_connections(component.iter().map(|record| record.connection)),
        steps,
        text: text(main.plain),
        merged,
    })
}
