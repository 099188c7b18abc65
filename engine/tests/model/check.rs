//! The laws as functions of a [`World`]: a property test and a fuzzer hold the same ones.

use std::collections::{BTreeMap, HashMap};

use nacre_engine::book::Book;
use nacre_engine::journal::{effects, postings};
use nacre_engine::model::{Amount, LotEffect, LotKey};
use nacre_engine::reports::Range;

use super::drive::{self, Op, books, empty_book, printed};
use super::naive::keep;
use super::world::World;

/// A law that holds, or how it was broken.
pub type Law = Result<(), String>;

macro_rules! hold {
    ($condition:expr, $($why:tt)+) => {
        if !$condition { return Err(format!($($why)+)); }
    };
}
pub(crate) use hold;

fn run(world: &World, book: &Book, ops: &[Op<'_>]) -> Law {
    for op in ops {
        world.run(book, op)?;
    }
    Ok(())
}

fn same(got: &[(&str, String)], want: &[(&str, String)]) -> Law {
    for ((name, got), (_, want)) in got.iter().zip(want) {
        hold!(got == want, "{name} differ\n--- interleaved\n{got}\n--- rebuilt\n{want}");
    }
    Ok(())
}

/// However the facts came, the books are those of one import and one rebuild.
pub fn incremental_is_rebuild(world: &World) -> Law {
    let (book, rebuilt) = (empty_book(), empty_book());
    run(world, &book, &world.interleaved())?;
    run(world, &rebuilt, &world.in_order())?;
    same(&printed(&book), &printed(&rebuilt))?;
    let verified = book.verify().unwrap();
    hold!(verified.problems.is_empty() && !verified.waiting, "{:?}", verified.problems);
    nothing_new_is_nothing_written(world, &book)
}

/// The same facts again write nothing.
fn nothing_new_is_nothing_written(world: &World, book: &Book) -> Law {
    let version = |book: &Book| book.snapshot().unwrap().header().unwrap().book_version;
    let before = version(book);
    for op in world.in_order() {
        let op = if matches!(op, Op::Process(_)) { Op::Process(false) } else { op };
        if !matches!(op, Op::Remove(_)) {
            world.run(book, &op)?;
        }
        hold!(version(book) == before, "{op:?} wrote");
    }
    Ok(())
}

/// Gains, open lots, balances and reasons are those of the naive books.
pub fn agrees_with_the_naive_books(world: &World) -> Law {
    let book = empty_book();
    run(world, &book, &world.in_order())?;
    let (got, want) = (books(&book), keep(&world.facts()));
    hold!(
        got.quarantined == want.quarantined,
        "quarantine {:#?}\nwanted {:#?}",
        got.quarantined,
        want.quarantined
    );
    hold!(got.gains == want.gains, "gains {:#?}\nwanted {:#?}", got.gains, want.gains);
    hold!(got.open == want.open, "open {:#?}\nwanted {:#?}", got.open, want.open);
    hold!(got.balances == want.balances, "balances {:#?}\nwanted {:#?}", got.balances, want.balances);
    hold!(got.events == want.events, "{} events, wanted {}", got.events, want.events);
    conserved(&book)?;
    super::then::as_of_is_the_books_of_then(&book)?;
    columns_add_up(&book)
}

/// Per lot, units and cost in = used + open (where a pool has one cost, cost per pool); every entry balances per asset; no
/// lot is used before it was acquired.
fn conserved(book: &Book) -> Law {
    let snapshot = book.snapshot().unwrap();
    let connections = snapshot.connections().unwrap();
    let rail =
        |no| connections.iter().find(|c| c.no == no).map_or(nacre_engine::model::Rail::Managed, |c| c.rail);
    let pooled = snapshot.booked_settings().unwrap().method.pools_cost();
    // A lot is the same whether the method in force ranks it or not.
    let plain = |lot: &LotKey| LotKey { unit: None, ..lot.clone() };
    let mut left: HashMap<LotKey, (i128, i128)> = HashMap::new();
    let mut pools: BTreeMap<u32, i128> = BTreeMap::new();
    let number = |lot: &LotKey| lot.pool.map_or(0, |no| no.0);
    for row in snapshot.journal(&Range::default()).unwrap() {
        let (key, row) = row.unwrap();
        for effect in effects(&key, &row).unwrap() {
            let (lot, units, cost) = match &effect {
                LotEffect::Opened(lot) => {
                    (&lot.key, i128::from(lot.quantity.get()), i128::from(lot.cost.get()))
                }
                LotEffect::Used { slice, .. } => {
                    (&slice.lot, -i128::from(slice.quantity.get()), -i128::from(slice.cost.get()))
                }
                LotEffect::CostAdded { lot, cost, .. } | LotEffect::ClaimedWhole { lot, cost } => {
                    (lot, 0, i128::from(cost.get()))
                }
            };
            hold!(
                lot.acquired_at <= key.time && lot.origin <= key,
                "{} uses the later lot {}",
                key.id,
                lot.lot_id()
            );
            *pools.entry(number(lot)).or_default() += cost;
            let entry = left.entry(plain(lot)).or_default();
            *entry = (entry.0 + units, if pooled { 0 } else { entry.1 + cost });
            hold!(entry.0 >= 0, "{} takes more than lot {} holds", key.id, lot.lot_id());
        }
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        for line in postings(&row, &rail).unwrap() {
            let (asset, amount) = match line.amount {
                Amount::Btc(quantity) => ("BTC".to_owned(), quantity.get()),
                Amount::Fiat(currency, amount) => (currency.to_string(), amount.get()),
            };
            *sums.entry(asset).or_default() += i128::from(amount);
        }
        hold!(sums.values().all(|sum| *sum == 0), "{} does not balance: {sums:?}", key.id);
    }
    for lot in snapshot.open_lots().unwrap() {
        let lot = lot.unwrap();
        let cost = i128::from(lot.cost.get());
        *pools.entry(number(&lot.key)).or_default() -= cost;
        let open = (i128::from(lot.quantity.get()), if pooled { 0 } else { cost });
        hold!(left.remove(&plain(&lot.key)) == Some(open), "lot {} is not conserved", lot.key.lot_id());
    }
    hold!(pools.values().all(|rest| *rest == 0), "cost of a pool that is not in its lots: {pools:?}");
    hold!(left.values().all(|rest| *rest == (0, 0)), "used up but not to zero: {left:?}");
    Ok(())
}

/// The columns of the CSV add up to the totals printed.
fn columns_add_up(book: &Book) -> Law {
    let snapshot = book.snapshot().unwrap();
    let mut bytes = Vec::new();
    snapshot.capital_gains_csv(&Range::default(), &mut bytes).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let names = reader.headers().unwrap().clone();
    let mut sums: BTreeMap<String, rust_decimal::Decimal> = BTreeMap::new();
    for record in reader.records() {
        for (name, cell) in names.iter().zip(record.unwrap().iter()) {
            if let Ok(number) = cell.parse::<rust_decimal::Decimal>() {
                *sums.entry(name.to_owned()).or_default() += number;
            }
        }
    }
    let summary = snapshot.capital_gains(&Range::default(), drive::now()).unwrap().summary;
    let printed = [
        ("gross_proceeds", &summary.total_gross_proceeds_fiat),
        ("fee", &summary.total_fiat_fees_fiat),
        ("net_proceeds", &summary.total_net_proceeds_fiat),
        ("cost_basis", &summary.total_cost_basis_fiat),
        ("realized_gain", &summary.total_realized_gain_fiat),
    ];
    for (column, total) in printed {
        let sum = sums.get(column).copied().unwrap_or_default();
        hold!(sum == total.parse().unwrap(), "{column} adds up to {sum}, printed is {total}");
    }
    let sats: rust_decimal::Decimal = summary.total_quantity_disposed.parse().unwrap();
    let btc = sums.get("quantity_btc").copied().unwrap_or_default();
    hold!(btc * rust_decimal::Decimal::from(100_000_000) == sats, "{btc} BTC, printed are {sats} sat");
    Ok(())
}
