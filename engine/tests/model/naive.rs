//! The naive books: every event in one `Vec`, sorted, then booked one by one in plain loops with `i128`.
//!
//! Written from the rules of the books, not from the engine: records → components → events → lots.

use std::collections::BTreeMap;

use super::world::{Policy, Remark, Row, Side, Status, Tx, hex};

/// The facts as they stand.
pub struct Facts<'a> {
    pub rows: Vec<&'a Row>,
    pub txs: Vec<&'a Tx>,
    /// Wallets that still deliver.
    pub wallets: Vec<u32>,
    /// Currency, instant, price in minor units.
    pub rates: Vec<(&'static str, i64, i64)>,
    pub remarks: BTreeMap<String, &'a Remark>,
    pub policy: Policy,
}

/// What the books must say.
#[derive(Debug, Default, PartialEq)]
pub struct Books {
    /// In the order of the books.
    pub gains: Vec<Gain>,
    /// In the order of pools and lots.
    pub open: Vec<Open>,
    /// Connection and asset → net, in msat or minor units; zero balances left out.
    pub balances: BTreeMap<(u32, String), i128>,
    /// Event id and reason.
    pub quarantined: Vec<(String, &'static str)>,
    /// Events in the journal.
    pub events: usize,
}

/// One slice of a disposal.
#[derive(Debug, PartialEq)]
pub struct Gain {
    pub event: String,
    pub conn: u32,
    pub lot: String,
    pub acquired: i64,
    pub msat: i128,
    pub gross: i128,
    pub fee: i128,
    pub cost: i128,
    pub long: bool,
}

/// An open lot.
#[derive(Debug, PartialEq)]
pub struct Open {
    pub pool: u32,
    pub lot: String,
    pub acquired: i64,
    pub msat: i128,
    pub cost: i128,
}

/// Time, rank (receipts, transfers, disposals), source order, id.
type Place = (i64, u8, u64, String);
type Money = Option<(&'static str, i128)>;
type Outcome<T> = Result<T, &'static str>;

struct Event {
    place: Place,
    steps: Outcome<Vec<Step>>,
}

enum Step {
    In {
        conn: u32,
        msat: i128,
        value: Money,
        fee: Money,
        acquired: Option<i64>,
        bought: bool,
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

/// Keeps the books of `facts`.
pub fn keep(facts: &Facts<'_>) -> Books {
    let mut events: Vec<Event> =
        components(facts).iter().flat_map(|component| events_of(component)).collect();
    events.sort_by(|a, b| a.place.cmp(&b.place));
    let mut keeper = Keeper { facts, lots: Vec::new(), books: Books::default() };
    for event in events {
        keeper.book(event);
    }
    keeper.finish()
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
        (true, false, true) => deliver(&outs, &flows.got),
        (false, true, false) => with_fees(spend(&flows, &ins), &ins),
        _ => Err("conflicting_link"),
    });
    vec![merged(&rows, &views, steps)]
}

fn rank(steps: &Outcome<Vec<Step>>) -> u8 {
    match steps {
        Ok(steps) if steps.iter().any(|step| matches!(step, Step::Out { .. })) => 2,
        Ok(steps) if steps.iter().any(|step| matches!(step, Step::Move { .. } | Step::Fee { .. })) => 1,
        Ok(_) => 0,
        Err(_) => 2,
    }
}

/// The earliest view gives time and height.
fn on_chain(views: &[(u32, &Tx)], steps: Outcome<Vec<Step>>) -> Event {
    let mut first = (i64::MAX, 0);
    for (no, tx) in views {
        if let Some(Status::Confirmed { height, secs }) = status(tx, *no)
            && secs < first.0
        {
            first = (secs, height);
        }
    }
    Event { place: (first.0, rank(&steps), first.1.into(), hex(&views[0].1.id)), steps }
}

/// The earliest record gives the time; the transaction, else the outgoing row, gives the name.
fn merged(rows: &[&Row], views: &[(u32, &Tx)], steps: Outcome<Vec<Step>>) -> Event {
    let row_secs = rows.iter().map(|row| row.secs);
    let secs = row_secs.chain(views.iter().map(|(no, tx)| view_secs(tx, *no))).min().unwrap();
    let out = rows.iter().find(|row| matches!(row.kind, "withdrawal" | "pay"));
    let id = views.first().map(|(_, tx)| hex(&tx.id));
    let id = id.unwrap_or_else(|| out.map(|row| format!("c{}.{}", row.conn, row.id)).unwrap());
    let rank = rank(&steps).max(1);
    Event { place: (secs, rank, 0, id), steps }
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
            steps.push(Step::In { conn, msat, value: None, fee: None, acquired: None, bought: false });
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
    let place = (row.secs, if receipt { 0 } else { 2 }, order, format!("c{}.{}", row.conn, row.id));
    Event { place, steps: single_steps(row) }
}

fn single_steps(row: &Row) -> Outcome<Vec<Step>> {
    let fee = |value: Money| row.fee_fiat.zip(value).map(|(fee, (currency, _))| (currency, fee));
    let conn = row.conn;
    let income = |msat, value: Money, bought| {
        let main = Step::In { conn, msat, value, fee: fee(value), acquired: row.acquired, bought };
        let network = Step::Out {
            conn,
            msat: row.fee,
            fee: 0,
            value: None,
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
            let carried = row.cost_basis.map(|cost| (currency, cost)).or(row.value);
            let mut steps: Vec<Step> = income(row.msat, carried, false)?;
            if let Some(Step::In { fee: of, .. }) = steps.first_mut() {
                *of = fee(row.value);
            }
            Ok(steps)
        }
        _ => income(row.msat, row.value, false),
    }
}

#[derive(Clone)]
struct Lot {
    pool: u32,
    acquired: i64,
    origin: Place,
    nth: usize,
    /// The move that brought it, and which of its slices.
    via: Option<(Place, usize)>,
    msat: i128,
    cost: i128,
}

impl Lot {
    fn order(&self) -> (u32, i64, &Place, usize, &Option<(Place, usize)>) {
        (self.pool, self.acquired, &self.origin, self.nth, &self.via)
    }
}

struct Keeper<'a> {
    facts: &'a Facts<'a>,
    lots: Vec<Lot>,
    books: Books,
}

/// One event while it is booked.
struct Draft<'a> {
    place: &'a Place,
    rate: Option<i64>,
    opened: usize,
    moved: usize,
    /// Whether anything moved between own places.
    transfer: bool,
    gains: Vec<Gain>,
    balances: Vec<((u32, String), i128)>,
}

impl Keeper<'_> {
    fn book(&mut self, event: Event) {
        self.books.events += 1;
        let id = event.place.3.clone();
        let remark = self.facts.remarks.get(&id);
        if remark.is_some_and(|remark| remark.excluded) {
            return;
        }
        let before = self.lots.clone();
        let mut draft = Draft {
            place: &event.place,
            rate: remark.and_then(|remark| remark.rate),
            opened: 0,
            moved: 0,
            transfer: false,
            gains: Vec::new(),
            balances: Vec::new(),
        };
        let outcome =
            event.steps.and_then(|steps| steps.iter().try_for_each(|step| self.step(&mut draft, step)));
        match outcome {
            Ok(()) => {
                for (account, amount) in draft.balances {
                    *self.books.balances.entry(account).or_default() += amount;
                }
                self.books.gains.extend(draft.gains);
            }
            Err(reason) => {
                self.lots = before;
                self.books.quarantined.push((id, reason));
            }
        }
    }

    fn step(&mut self, draft: &mut Draft<'_>, step: &Step) -> Outcome<()> {
        match step {
            Step::In { conn, msat, value, fee, acquired, bought } => {
                let worth = self.value(draft, *msat, *value)?;
                let cost = worth + self.in_dollars(draft, *fee)?;
                let lot = Lot {
                    pool: self.pool(*conn),
                    acquired: acquired.unwrap_or(draft.place.0),
                    origin: draft.place.clone(),
                    nth: draft.opened,
                    via: None,
                    msat: *msat,
                    cost,
                };
                draft.opened += 1;
                self.lots.push(lot);
                draft.balances.push(((*conn, "BTC".into()), *msat));
                if let (true, Some((currency, paid))) = (bought, value) {
                    draft.balances.push(((*conn, (*currency).into()), -paid));
                }
                pay_fee(draft, *conn, *fee);
            }
            Step::Out { conn, msat, fee, value, fiat_fee, sold, gift, lots } => {
                let gross = if *gift { 0 } else { self.value(draft, *msat, *value)? };
                let costs = self.in_dollars(draft, *fiat_fee)?;
                let slices = if lots.is_empty() {
                    self.take(*conn, msat + fee)?
                } else {
                    self.take_named(*conn, lots)?
                };
                if !gift {
                    self.realise(draft, *conn, &slices, gross, costs);
                }
                draft.balances.push(((*conn, "BTC".into()), -(msat + fee)));
                if let (true, Some((currency, got))) = (sold, value) {
                    draft.balances.push(((*conn, (*currency).into()), *got));
                }
                pay_fee(draft, *conn, *fiat_fee);
            }
            Step::Move { from, to, msat } => self.carry(draft, *from, *to, *msat)?,
            Step::Fee { conn, msat } => self.transfer_fee(draft, *conn, *msat)?,
            Step::Fiat { conn, from, to, fee } => {
                draft.balances.push(((*conn, from.0.into()), -(from.1 + fee)));
                draft.balances.push(((*conn, to.0.into()), to.1));
            }
        }
        Ok(())
    }

    fn pool(&self, conn: u32) -> u32 {
        if self.facts.policy.by_connection { conn } else { 0 }
    }

    fn price(&self, currency: &str, at: i64) -> Outcome<i128> {
        let known = self.facts.rates.iter().filter(|(of, time, _)| *of == currency && *time <= at);
        let last = known.max_by_key(|(_, time, _)| *time);
        let fresh = last.filter(|(_, time, _)| at - time <= 25 * 3_600);
        fresh.map(|(_, _, price)| i128::from(*price)).ok_or("missing_rate")
    }

    fn value(&self, draft: &Draft<'_>, msat: i128, stated: Money) -> Outcome<i128> {
        let at = |price: i128| divide(msat * price, 100_000_000_000);
        match (draft.rate, stated) {
            (Some(price), _) => Ok(at(price.into())),
            (None, Some(_)) => self.in_dollars(draft, stated),
            (None, None) if msat == 0 => Ok(0),
            (None, None) => Ok(at(self.price("USD", draft.place.0)?)),
        }
    }

    /// Euros become dollars through the price of bitcoin in both.
    fn in_dollars(&self, draft: &Draft<'_>, money: Money) -> Outcome<i128> {
        match money {
            None | Some((_, 0)) => Ok(0),
            Some(("USD", cents)) => Ok(cents),
            Some((currency, cents)) => {
                let there = self.price(currency, draft.place.0)?;
                Ok(divide(cents * self.price("USD", draft.place.0)?, there))
            }
        }
    }

    /// The lots of a pool in the order the method uses them.
    fn queue(&self, pool: u32) -> Vec<usize> {
        let mut queue: Vec<usize> = (0..self.lots.len()).filter(|at| self.lots[*at].pool == pool).collect();
        queue.sort_by(|a, b| self.lots[*a].order().cmp(&self.lots[*b].order()));
        if self.facts.policy.lifo {
            queue.reverse();
        }
        queue
    }

    fn take(&mut self, conn: u32, msat: i128) -> Outcome<Vec<Lot>> {
        let queue = self.queue(self.pool(conn));
        self.take_from(&queue, msat).ok_or("insufficient_lots")
    }

    /// Takes `msat` from the lots at `queue`, or nothing.
    fn take_from(&mut self, queue: &[usize], msat: i128) -> Option<Vec<Lot>> {
        if queue.iter().map(|at| self.lots[*at].msat).sum::<i128>() < msat {
            return None;
        }
        let (mut left, mut slices) = (msat, Vec::new());
        for at in queue {
            let lot = &mut self.lots[*at];
            let part = left.min(lot.msat);
            if part > 0 {
                let cost = divide(lot.cost * part, lot.msat);
                slices.push(Lot { msat: part, cost, ..lot.clone() });
                (lot.msat, lot.cost) = (lot.msat - part, lot.cost - cost);
                left -= part;
            }
        }
        self.lots.retain(|lot| lot.msat > 0);
        Some(slices)
    }

    fn take_named(&mut self, conn: u32, named: &[(String, i128)]) -> Outcome<Vec<Lot>> {
        let mut slices = Vec::new();
        for (id, msat) in named {
            let mut of: Vec<usize> = self.queue(self.pool(conn));
            of.retain(|at| self.lots[*at].origin.3 == *id);
            of.sort_by(|a, b| self.lots[*a].order().cmp(&self.lots[*b].order()));
            slices.extend(self.take_from(&of, *msat).ok_or("lot_unavailable")?);
        }
        Ok(slices)
    }

    fn realise(&self, draft: &mut Draft<'_>, conn: u32, slices: &[Lot], gross: i128, fee: i128) {
        let (mut gross, mut fee, mut weight) =
            (gross, fee, slices.iter().map(|slice| slice.msat).sum::<i128>());
        for slice in slices {
            let (part, fee_part) = (divide(gross * slice.msat, weight), divide(fee * slice.msat, weight));
            (gross, fee, weight) = (gross - part, fee - fee_part, weight - slice.msat);
            draft.gains.push(Gain {
                event: draft.place.3.clone(),
                conn,
                lot: format!("{}#{}", slice.origin.3, slice.nth),
                acquired: slice.acquired,
                msat: slice.msat,
                gross: part,
                fee: fee_part,
                cost: slice.cost,
                long: is_long(slice.acquired, draft.place.0, self.facts.policy.east),
            });
        }
    }

    fn carry(&mut self, draft: &mut Draft<'_>, from: u32, to: u32, msat: i128) -> Outcome<()> {
        draft.transfer = true;
        if self.facts.policy.by_connection && from != to {
            for slice in self.take(from, msat)? {
                let via = Some((draft.place.clone(), draft.moved));
                draft.moved += 1;
                self.lots.push(Lot { pool: to, via, ..slice });
            }
        }
        draft.balances.push(((from, "BTC".into()), -msat));
        draft.balances.push(((to, "BTC".into()), msat));
        Ok(())
    }

    fn transfer_fee(&mut self, draft: &mut Draft<'_>, conn: u32, msat: i128) -> Outcome<()> {
        let before = self.lots.clone();
        if self.facts.policy.carry_basis {
            let slices = self.take(conn, msat)?;
            if let Some(heir) = self.heir(draft) {
                self.lots[heir].cost += slices.iter().map(|slice| slice.cost).sum::<i128>();
                draft.balances.push(((conn, "BTC".into()), -msat));
                return Ok(());
            }
            self.lots = before;
        }
        let gross = self.value(draft, msat, None)?;
        let slices = self.take(conn, msat)?;
        self.realise(draft, conn, &slices, gross, 0);
        draft.balances.push(((conn, "BTC".into()), -msat));
        Ok(())
    }

    /// Which lot inherits the cost of a transfer's fee: the last that arrived and is still there; in one pool, the next.
    fn heir(&self, draft: &Draft<'_>) -> Option<usize> {
        if !self.facts.policy.by_connection {
            return self.queue(0).first().copied().filter(|_| draft.transfer);
        }
        let came =
            |lot: &Lot| lot.via.as_ref().filter(|(event, _)| event == draft.place).map(|(_, slice)| *slice);
        (0..self.lots.len())
            .filter(|at| came(&self.lots[*at]).is_some())
            .max_by_key(|at| came(&self.lots[*at]))
    }

    fn finish(mut self) -> Books {
        self.lots.sort_by(|a, b| a.order().cmp(&b.order()));
        self.books.balances.retain(|_, net| *net != 0);
        self.books.open = self
            .lots
            .iter()
            .map(|lot| Open {
                pool: lot.pool,
                lot: format!("{}#{}", lot.origin.3, lot.nth),
                acquired: lot.acquired,
                msat: lot.msat,
                cost: lot.cost,
            })
            .collect();
        self.books
    }
}

fn pay_fee(draft: &mut Draft<'_>, conn: u32, fee: Money) {
    if let Some((currency, cents)) = fee {
        draft.balances.push(((conn, currency.into()), -cents));
    }
}

/// Half to even; `b` is positive.
fn divide(a: i128, b: i128) -> i128 {
    let (floor, rest) = (a.div_euclid(b), a.rem_euclid(b));
    if rest * 2 > b || (rest * 2 == b && floor % 2 != 0) { floor + 1 } else { floor }
}

/// Long from the day after the anniversary; the last day of a month has its anniversary on the last day.
fn is_long(acquired: i64, disposed: i64, east: bool) -> bool {
    let shift = if east { 36_000 } else { 0 };
    let (year, month, day) = civil((acquired + shift).div_euclid(86_400));
    let day = if day == month_days(year, month) { month_days(year + 1, month) } else { day };
    civil((disposed + shift).div_euclid(86_400)) > (year + 1, month, day)
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

/// Days since 1970-01-01 as a date, counted year by year.
fn civil(mut days: i64) -> (i64, i64, i64) {
    let (mut year, mut month) = (1970, 1);
    loop {
        let length = (1..=12).map(|month| month_days(year, month)).sum::<i64>();
        if days < length {
            break;
        }
        (days, year) = (days - length, year + 1);
    }
    while days >= month_days(year, month) {
        (days, month) = (days - month_days(year, month), month + 1);
    }
    (year, month, days + 1)
}
