//! The law of sums over time: what a report says about an instant or a range is what the rows up to or in it add up to,
//! whether it was read from days, from rows, forwards or backwards.

use std::collections::{BTreeMap, HashMap};

use nacre_engine::Error;
use nacre_engine::book::{Book, Snapshot};
use nacre_engine::id::ConnectionNo;
use nacre_engine::journal::{effects, postings};
use nacre_engine::model::{Account, Amount, BookedStep, LotEffect, LotKey, Rail};
use nacre_engine::reports::{CapitalGains, HistoryQuery, Interval, Range};
use nacre_engine::time::Timestamp;

use super::check::{Law, hold};
use super::drive::now;

type Lots = HashMap<LotKey, (i128, i128)>;
/// Net units by connection and asset.
type Balances = BTreeMap<(ConnectionNo, String), i128>;

/// At some instants of the history: lots, balances and gains are those of the rows up to there.
pub fn as_of_is_the_books_of_then(book: &Book) -> Law {
    let snapshot = book.snapshot().unwrap();
    let connections = snapshot.connections().unwrap();
    let rail = |no| connections.iter().find(|c| c.no == no).map_or(Rail::Managed, |c| c.rail);
    let rows: Vec<_> = snapshot.journal(&Range::default()).unwrap().map(Result::unwrap).collect();
    let (mut lots, mut balances) = (Lots::new(), Balances::new());
    let mut latest = Timestamp::MIN;
    for (at, (key, row)) in rows.iter().enumerate() {
        for step in &row.steps {
            let BookedStep::Disposed(disposal) = step else { continue };
            let acquired = disposal.slices.iter().map(|slice| slice.used.lot.origin.time);
            latest = acquired.fold(latest, Timestamp::max);
        }
        effects(key, row).unwrap().into_iter().for_each(|effect| apply(&mut lots, effect));
        for line in postings(row, &rail).unwrap() {
            let (Account::Bitcoin(_, no) | Account::Fiat(no)) = line.account else { continue };
            let (asset, units) = match line.amount {
                Amount::Btc(quantity) => ("BTC".to_owned(), quantity.get()),
                Amount::Fiat(currency, amount) => (currency.to_string(), amount.get()),
            };
            *balances.entry((no, asset)).or_default() += i128::from(units);
        }
        let last_of_instant = rows.get(at + 1).is_none_or(|(next, _)| next.time > key.time);
        if last_of_instant && at % (rows.len() / 6 + 1) == 0 {
            lots_are(&snapshot, key.time, &lots, latest > key.time)?;
            balances_are(&snapshot, key.time, &balances)?;
            gains_agree(&snapshot, &Range { start: None, end: Some(key.time) })?;
            gains_agree(&snapshot, &Range { start: Some(key.time), end: None })?;
        }
    }
    let some = |at: usize| rows.get(at).map(|(key, _)| key.time);
    gains_agree(&snapshot, &Range { start: some(rows.len() / 3), end: some(rows.len() / 2) })?;
    let late = some(rows.len().saturating_sub(rows.len() / 4 + 1));
    history_is(&snapshot, Interval::Day, &Range { start: late, end: some(rows.len().saturating_sub(1)) })?;
    history_is(&snapshot, Interval::Month, &Range { start: some(rows.len() / 4), end: None })?;
    let day_later = late.map(|late| late.plus_hours(30));
    history_is(&snapshot, Interval::Hour, &Range { start: late, end: day_later })
}

/// Balances at the end of each span are those of the balance sheet of that instant.
fn history_is(snapshot: &Snapshot, interval: Interval, range: &Range) -> Law {
    let account = "Assets".to_owned();
    let query = HistoryQuery { interval, range: *range, connection: None, account, asset: None };
    // Histories of some worlds are longer than a report of days may be.
    let Ok(spans) = snapshot.history_spans(&query, now()) else { return Ok(()) };
    let history = snapshot.balance_history(&query, &spans, now()).unwrap();
    let every = history.intervals.len() / 5 + 1;
    for (span, shown) in spans.iter().zip(&history.intervals).step_by(every) {
        let sheet = snapshot.balance_sheet(span.end, now()).unwrap();
        let mut wanted: BTreeMap<String, i128> = BTreeMap::new();
        let mut got = wanted.clone();
        let units = |net: &str| net.replace('.', "").parse::<i128>().unwrap();
        for balance in &sheet.roots[0].balances {
            wanted.insert(balance.asset_code.clone(), units(&balance.net));
        }
        for line in &shown.balances {
            *got.entry(line.asset_code.clone()).or_default() += units(&line.net);
        }
        wanted.retain(|_, net| *net != 0);
        got.retain(|_, net| *net != 0);
        hold!(got == wanted, "{interval:?} to {}: {got:?}, wanted {wanted:?}", shown.end);
    }
    Ok(())
}

fn apply(lots: &mut Lots, effect: LotEffect) {
    let (lot, units, cost) = match effect {
        LotEffect::Opened(lot) => (lot.key, lot.quantity.get(), lot.cost.get()),
        LotEffect::Used { slice, .. } => (slice.lot, -slice.quantity.get(), -slice.cost.get()),
        LotEffect::CostAdded { lot, cost, .. } | LotEffect::ClaimedWhole { lot, cost } => {
            (lot, 0, cost.get())
        }
    };
    let entry = lots.entry(plain(&lot)).or_default();
    *entry = (entry.0 + i128::from(units), entry.1 + i128::from(cost));
}

/// A lot is the same whether the method in force ranks it or not.
fn plain(lot: &LotKey) -> LotKey {
    LotKey { unit: None, ..lot.clone() }
}

/// `claimed`: disposals up to then are matched with acquisitions still to come.
fn lots_are(snapshot: &Snapshot, then: Timestamp, wanted: &Lots, claimed: bool) -> Law {
    let pooled = snapshot.booked_settings().unwrap().method.pools_cost();
    // Where a pool has one cost, its lots share it: only their sum is certain.
    let mut pools: BTreeMap<Option<ConnectionNo>, i128> = BTreeMap::new();
    let mut rest = Lots::new();
    for (lot, (units, cost)) in wanted {
        *pools.entry(lot.pool).or_default() += cost;
        if *units != 0 {
            rest.insert(lot.clone(), (*units, if pooled { 0 } else { *cost }));
        }
    }
    let mut before: Option<Vec<u8>> = None;
    let lots = match snapshot.open_lots_at(Some(then)) {
        // Lots that disposals of before have a claim on are still to come.
        Err(Error::Invalid { .. }) if claimed => return Ok(()),
        lots => lots.unwrap(),
    };
    hold!(!claimed, "at {then} lots are told that are matched with later ones");
    for lot in lots {
        let lot = lot.unwrap();
        let cost = i128::from(lot.cost.get());
        *pools.entry(lot.key.pool).or_default() -= cost;
        let open = (i128::from(lot.quantity.get()), if pooled { 0 } else { cost });
        let known = rest.remove(&plain(&lot.key));
        hold!(known == Some(open), "at {then} lot {} is {open:?}, wanted {known:?}", lot.key.lot_id());
        let raw = Some(plain(&lot.key).to_bytes());
        hold!(before < raw, "at {then} lot {} is out of order", lot.key.lot_id());
        before = raw;
    }
    hold!(rest.is_empty(), "at {then} lots are missing: {rest:?}");
    hold!(pools.values().all(|left| *left == 0), "at {then} costs of pools are not in their lots: {pools:?}");
    Ok(())
}

fn balances_are(snapshot: &Snapshot, then: Timestamp, wanted: &Balances) -> Law {
    let sheet = snapshot.balance_sheet(Some(then), now()).unwrap();
    let connections = snapshot.connections().unwrap();
    let mut got = Balances::new();
    for held in &sheet.connection_balances {
        let no = connections.iter().find(|known| known.id == held.connection_id).unwrap().no;
        for balance in &held.balances {
            let units: i128 = balance.net.replace('.', "").parse().unwrap();
            got.insert((no, balance.asset_code.clone()), units);
        }
    }
    let nonzero = |balances: &Balances| -> Balances {
        balances
            .iter()
            .filter(|(_, units)| **units != 0)
            .map(|(place, units)| (place.clone(), *units))
            .collect()
    };
    let (got, wanted) = (nonzero(&got), nonzero(wanted));
    hold!(got == wanted, "at {then} balances {got:#?}\nwanted {wanted:#?}");
    Ok(())
}

/// Sums read from days are those of the rows.
fn gains_agree(snapshot: &Snapshot, range: &Range) -> Law {
    let listed = snapshot.capital_gains(range, now()).unwrap();
    let summed = snapshot.capital_gains_sums(range, now()).unwrap();
    let listed = CapitalGains { rows: Vec::new(), ..listed };
    hold!(listed == summed, "{range:?}: by rows {listed:#?}\nby days {summed:#?}");
    Ok(())
}
