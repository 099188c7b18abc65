//! Records → components → events, naively: every pair of records is compared until nothing joins any more.

use super::naive::divide;
use std::collections::BTreeMap;

use super::naive::Facts;
use super::world::{Row, Side, Status, Tx, hex};

/// Time, rank (switches 0, receipts 1, transfers 2, disposals 3), source order, id.
pub type Place = (i64, u8, u64, String);
pub type Money = Option<(&'static str, i128)>;
pub type Outcome<T> = Result<T, &'static str>;

pub struct Event {
    pub place: Place,
    /// Ids of the rows it was put together from: an exclusion of any excludes it.
    pub merged: Vec<String>,
    pub steps: Outcome<Vec<Step>>,
}

pub enum Step {
    In {
        conn: u32,
        msat: i128,
        value: Money,
        fee: Money,
        acquired: Option<i64>,
        bought: bool,
        /// A gift's fair value, where it may be the basis of a loss.
        at_gift: Money,
    },
    Out {
        conn: u32,
        msat: i128,
        fee: i128,
        value: Money,
        fiat_fee: Money,
        sold: bool,
        gift: bool,
        lots: Vec<(String, i128)>,
    },
    Move {
        from: u32,
        to: u32,
        msat: i128,
    },
    Fee {
        conn: u32,
        msat: i128,
    },
    Fiat {
        conn: u32,
        from: (&'static str, i128),
        to: (&'static str, i128),
        fee: i128,
    },
}

/// A record: a row, or one wallet's view of a transaction.
#[derive(Clone, Copy)]
enum Record<'a> {
    Row(&'a Row),
    View(u32, &'a Tx),
}

/// The events of all records, in the order of the books.
pub fn events(facts: &Facts<'_>) -> Vec<Event> {
    let mut events: Vec<Event> =
        components(facts).iter().flat_map(|component| events_of(component)).collect();
    events.sort_by(|a, b| a.place.cmp(&b.place));
    events
}

fn status(tx: &Tx, wallet: u32) -> Option<Status> {
    tx.status[1][wallet as usize - 4]
}

/// Records joined while any two share a txid, a payment hash or a reference.
fn components<'a>(facts: &Facts<'a>) -> Vec<Vec<Record<'a>>> {
    let mut groups: Vec<Vec<Record<'a>>> = facts.rows.iter().map(|row| vec![Record::Row(row)]).collect();
    for tx in &facts.txs {
        for wallet in &facts.wallets {
            let ours = tx.inputs.iter().chain(&tx.outputs).any(|(owner, _)| owner == wallet);
            if ours && status(tx, *wallet).is_some() {
                groups.push(vec![Record::View(*wallet, tx)]);
            }
        }
    }
    loop {
        let mut pair = None;
        for a in 0..groups.len() {
            for b in a + 1..groups.len() {
                if groups[a].iter().any(|x| groups[b].iter().any(|y| linked(x, y))) {
                    pair = Some((a, b));
                }
            }
        }
        let Some((a, b)) = pair else { break };
        let joined = groups.remove(b);
        groups[a].extend(joined);
    }
    for group in &mut groups {
        group.sort_by_key(|record| match record {
            Record::Row(row) => (row.secs, format!("c{}.{}", row.conn, row.id), row.conn),
            Record::View(wallet, tx) => (view_secs(tx, *wallet), hex(&tx.id), *wallet),
        });
    }
    groups
}

fn view_secs(tx: &Tx, wallet: u32) -> i64 {
    match status(tx, wallet) {
        Some(Status::Confirmed { secs, .. }) => secs,
        _ => i64::MAX,
    }
}

fn linked(a: &Record<'_>, b: &Record<'_>) -> bool {
    let ids = |record: &Record<'_>| match record {
        Record::View(_, tx) => [Some(hex(&tx.id)), None, None],
        Record::Row(row) => [row.txid.clone(), row.hash.clone(), row.reference.clone()],
    };
    ids(a).iter().zip(ids(b)).any(|(a, b)| a.is_some() && *a == b)
}

fn events_of(component: &[Record<'_>]) -> Vec<Event> {
    let rows: Vec<&Row> =
        component.iter().filter_map(|r| if let Record::Row(row) = r { Some(*row) } else { None }).collect();
    let views: Vec<(u32, &Tx)> = component
        .iter()
        .filter_map(|r| if let Record::View(no, tx) = r { Some((*no, *tx)) } else { None })
        .collect();
    let outs: Vec<&Row> =
        rows.iter().copied().filter(|row| matches!(row.kind, "withdrawal" | "pay")).collect();
    let ins: Vec<&Row> =
        rows.iter().copied().filter(|row| matches!(row.kind, "deposit" | "invoice")).collect();
    if views.iter().any(|(no, tx)| !matches!(status(tx, *no), Some(Status::Confirmed { .. }))) {
        return Vec::new();
    }
    if views.is_empty() {
        if outs.is_empty() || ins.is_empty() {
            return rows.iter().map(|row| single(row)).collect();
        }
        let steps = deliver(&outs, &ins.iter().map(|row| (row.conn, row.msat)).collect::<Vec<_>>());
        return vec![merged(&rows, &views, with_fees(steps, &ins))];
    }
    let flows = flows(views[0].1, &views);
    if rows.is_empty() {
        return vec![on_chain(&views, flows.and_then(|flows| spend(&flows, &[])))];
    }
    let steps = flows.and_then(|flows| match (flows.sent.is_empty(), outs.is_empty(), ins.is_empty()) {
        (true, false, _) => received(&outs, &ins, &flows),
        (false, true, false) => with_fees(spend(&flows, &ins), &ins),
        _ => Err("conflicting_link"),
    });
    vec![merged(&rows, &views, steps)]
}

/// Spending transactions share a rank: the chain's own order decides between them.
fn rank(steps: &Outcome<Vec<Step>>) -> u8 {
    match steps {
        Ok(steps) if steps.iter().all(|step| matches!(step, Step::In { .. })) => 1,
        _ => 2,
    }
}

/// Time and place in the chain by the latest view.
fn chain_place(views: &[(u32, &Tx)]) -> (i64, u64) {
    let place = |(no, tx): &(u32, &Tx)| match status(tx, *no) {
        Some(Status::Confirmed { height, secs }) => (secs, (u64::from(height) << 24) + u64::from(tx.id[0])),
        _ => (i64::MAX, 0),
    };
    views.iter().map(place).max().unwrap()
}

fn on_chain(views: &[(u32, &Tx)], steps: Outcome<Vec<Step>>) -> Event {
    let (secs, order) = chain_place(views);
    Event { place: (secs, rank(&steps), order, hex(&views[0].1.id)), merged: Vec::new(), steps }
}

/// A transaction that spends gives the time, else the earliest record; it also gives the name, else the outgoing row.
fn merged(rows: &[&Row], views: &[(u32, &Tx)], steps: Outcome<Vec<Step>>) -> Event {
    let row_secs = rows.iter().map(|row| row.secs);
    let earliest = row_secs.chain(views.iter().map(|(no, tx)| view_secs(tx, *no))).min().unwrap();
    let out = rows.iter().find(|row| matches!(row.kind, "withdrawal" | "pay"));
    let merged = rows.iter().map(|row| format!("c{}.{}", row.conn, row.id)).collect();
    if views.is_empty() {
        let id = out.map(|row| format!("c{}.{}", row.conn, row.id)).unwrap();
        return Event { place: (earliest, 2, 0, id), merged, steps };
    }
    let (secs, order) = chain_place(views);
    let spends = flows(views[0].1, views).is_ok_and(|flows| !flows.sent.is_empty());
    let time = if spends { secs } else { earliest };
    Event { place: (time, 2, order, hex(&views[0].1.id)), merged, steps }
}

struct Flows {
    sent: Vec<(u32, i128)>,
    got: Vec<(u32, i128)>,
    external: i128,
    fee: i128,
}

/// Who gains and who loses by a transaction, in msat, as far as the wallets that deliver know.
fn flows(tx: &Tx, views: &[(u32, &Tx)]) -> Outcome<Flows> {
    let ours = |owner: u32| views.iter().any(|(no, _)| *no == owner);
    let own = tx.inputs.iter().filter(|(owner, _)| ours(*owner)).count();
    if own > 0 && own < tx.inputs.len() {
        return Err("collaborative_spend");
    }
    let mut net: BTreeMap<u32, i128> = BTreeMap::new();
    let (mut external, mut fee) = (0, 0);
    for (owner, sat) in tx.inputs.iter().filter(|(owner, _)| ours(*owner)) {
        *net.entry(*owner).or_default() -= i128::from(*sat) * 1_000;
        fee += i128::from(*sat) * 1_000;
    }
    for (owner, sat) in &tx.outputs {
        let msat = i128::from(*sat) * 1_000;
        if ours(*owner) {
            *net.entry(*owner).or_default() += msat;
        } else if own > 0 {
            external += msat;
        }
        fee -= msat;
    }
    let sent = net.iter().filter(|(_, msat)| **msat < 0).map(|(no, msat)| (*no, -msat)).collect();
    let got = net.iter().filter(|(_, msat)| **msat > 0).map(|(no, msat)| (*no, *msat)).collect();
    Ok(Flows { sent, got, external, fee: if own > 0 { fee } else { 0 } })
}

/// Takes `msat` from the first places that still hold something.
fn pour(purse: &mut Vec<(u32, i128)>, mut msat: i128) -> Outcome<Vec<(u32, i128)>> {
    let mut parts = Vec::new();
    while msat > 0 {
        let Some(first) = purse.first_mut() else { return Err("conflicting_link") };
        let part = msat.min(first.1);
        parts.push((first.0, part));
        first.1 -= part;
        msat -= part;
        if first.1 == 0 {
            purse.remove(0);
        }
    }
    Ok(parts)
}

/// What own wallets send: to own wallets, to own custodians (`ins`), to others, and the fee.
fn spend(flows: &Flows, ins: &[&Row]) -> Outcome<Vec<Step>> {
    let mut steps = Vec::new();
    if flows.sent.is_empty() {
        for &(conn, msat) in &flows.got {
            let (value, fee, acquired, at_gift) = (None, None, None, None);
            steps.push(Step::In { conn, msat, value, fee, acquired, bought: false, at_gift });
        }
        return Ok(steps);
    }
    let mut purse = flows.sent.clone();
    let inside: Vec<(u32, i128)> = ins.iter().map(|row| (row.conn, row.msat)).collect();
    for &(to, msat) in flows.got.iter().chain(&inside) {
        for (from, msat) in pour(&mut purse, msat)? {
            steps.push(Step::Move { from, to, msat });
        }
    }
    let external = flows.external - inside.iter().map(|(_, msat)| msat).sum::<i128>();
    if external < 0 {
        return Err("conflicting_link");
    }
    let spent = pour(&mut purse, external)?;
    let mut fees: BTreeMap<u32, i128> = pour(&mut purse, flows.fee)?.into_iter().collect();
    if external == 0 {
        steps.extend(fees.into_iter().map(|(conn, msat)| Step::Fee { conn, msat }));
        return Ok(steps);
    }
    let out = |conn, msat, fee| Step::Out {
        conn,
        msat,
        fee,
        value: None,
        fiat_fee: None,
        sold: false,
        gift: false,
        lots: Vec::new(),
    };
    for (conn, msat) in spent {
        steps.push(out(conn, msat, fees.remove(&conn).unwrap_or(0)));
    }
    steps.extend(fees.into_iter().map(|(conn, fee)| out(conn, 0, fee)));
    Ok(steps)
}

/// What custodians sent to own wallets and custodians by one transaction; more than one withdrawal must be used up.
fn received(outs: &[&Row], ins: &[&Row], flows: &Flows) -> Outcome<Vec<Step>> {
    let mut to = flows.got.clone();
    to.extend(ins.iter().map(|row| (row.conn, row.msat)));
    let left = outs.iter().map(|row| row.msat).sum::<i128>() - to.iter().map(|(_, msat)| msat).sum::<i128>();
    if outs.len() > 1 && outs.iter().any(|row| row.msat <= left) {
        return Err("conflicting_link");
    }
    with_fees(deliver(outs, &to), ins)
}

/// What custodians or nodes sent to own places; what did not arrive is fee, and so is the fee on top.
fn deliver(outs: &[&Row], to: &[(u32, i128)]) -> Outcome<Vec<Step>> {
    let mut purse: Vec<(u32, i128)> = outs.iter().map(|row| (row.conn, row.msat)).collect();
    let mut steps = Vec::new();
    for &(to, msat) in to {
        for (from, msat) in pour(&mut purse, msat)? {
            steps.push(Step::Move { from, to, msat });
        }
    }
    steps.extend(purse.into_iter().map(|(conn, msat)| Step::Fee { conn, msat }));
    steps
        .extend(outs.iter().filter(|row| row.fee > 0).map(|row| Step::Fee { conn: row.conn, msat: row.fee }));
    Ok(steps)
}

fn with_fees(steps: Outcome<Vec<Step>>, ins: &[&Row]) -> Outcome<Vec<Step>> {
    let mut steps = steps?;
    steps.extend(ins.iter().filter(|row| row.fee > 0).map(|row| Step::Fee { conn: row.conn, msat: row.fee }));
    Ok(steps)
}

fn single(row: &Row) -> Event {
    let digits: String = row.id.chars().rev().take_while(char::is_ascii_digit).collect();
    let order = digits.chars().rev().collect::<String>().parse().unwrap_or(0);
    let receipt = match (row.kind, &row.trade) {
        ("trade", Some((_, Side::Btc(_)))) => true,
        ("trade" | "sell" | "withdrawal" | "pay" | "gift_out" | "fee", _) => false,
        _ => true,
    };
    let place = (row.secs, if receipt { 1 } else { 3 }, order, format!("c{}.{}", row.conn, row.id));
    Event { place, merged: Vec::new(), steps: single_steps(row) }
}

fn single_steps(row: &Row) -> Outcome<Vec<Step>> {
    let fee = |value: Money| row.fee_fiat.map(|fee| (value.map_or("USD", |(currency, _)| currency), fee));
    let conn = row.conn;
    let income = |msat, value: Money, bought| {
        let (fee, acquired) = (fee(value), row.acquired);
        let main = Step::In { conn, msat, value, fee, acquired, bought, at_gift: None };
        // A cost carried in is no price.
        let price = if matches!(row.kind, "opening_balance" | "gift_in") { row.value } else { value };
        let network = Step::Out {
            conn,
            msat: row.fee,
            fee: 0,
            value: price.map(|(currency, paid)| (currency, divide(paid * row.fee, msat))),
            fiat_fee: None,
            sold: false,
            gift: false,
            lots: Vec::new(),
        };
        Ok(std::iter::once(main).chain((row.fee > 0).then_some(network)).collect())
    };
    let outgo = |msat, value: Money, sold, gift| {
        let lots = row.lots.clone();
        Ok(vec![Step::Out { conn, msat, fee: row.fee, value, fiat_fee: fee(value), sold, gift, lots }])
    };
    match (row.kind, &row.trade) {
        (_, Some((Side::Doge, _) | (_, Side::Doge))) => Err("unknown_asset"),
        (_, Some((Side::Fiat(a, given), Side::Fiat(b, got)))) => {
            let fee = row.fee_fiat.unwrap_or(0);
            Ok(vec![Step::Fiat { conn, from: (a, *given), to: (b, *got), fee }])
        }
        (_, Some((Side::Fiat(currency, paid), Side::Btc(msat)))) => {
            income(*msat, Some((currency, *paid)), true)
        }
        (_, Some((Side::Btc(msat), Side::Fiat(currency, got)))) => {
            outgo(*msat, Some((currency, *got)), true, false)
        }
        (_, Some(_)) => Err("negative_amount"),
        ("buy", _) => income(row.msat, row.value, true),
        ("sell", _) => outgo(row.msat, row.value, true, false),
        ("gift_out", _) => outgo(row.msat, row.value, false, true),
        ("withdrawal" | "pay" | "fee", _) => outgo(row.msat, row.value, false, false),
        ("gift_in" | "opening_balance", _) => {
            let currency = row.value.map_or("USD", |(currency, _)| currency);
            let then = row.fmv.map(|cents| (currency, cents)).filter(|_| row.kind == "gift_in");
            let carried = row.cost_basis.map(|cost| (currency, cost)).or(then).or(row.value);
            let mut steps: Vec<Step> = income(row.msat, carried, false)?;
            if let Some(Step::In { fee: of, at_gift, .. }) = steps.first_mut() {
                *of = fee(row.value);
                *at_gift = then.filter(|(_, cents)| row.cost_basis.is_some_and(|cost| *cents < cost));
            }
            Ok(steps)
        }
        _ => income(row.msat, row.value, false),
    }
}
