//! Rows for tests: hand-sized builders and a generator of every shape a booked row can take.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

use crate::id::{ConnectionNo, EventId, EventKey, Rank};
use crate::model::{
    BookedDisposal, BookedStep, Counter, EventKind, JournalRow, Left, LotKey, LotUse, Opening, Quarantine,
    Rail, RowStatus, Slice, Term,
};
use crate::money::{Currency, Fiat, Msats};
use crate::time::Timestamp;

pub(crate) fn no(number: u32) -> ConnectionNo {
    ConnectionNo(number)
}

pub(crate) fn usd(minor: i64) -> Fiat {
    Fiat::new(minor)
}

/// The rail of each sample connection: 1 on chain, 2 Lightning, others managed.
pub(crate) fn rail(no: ConnectionNo) -> Rail {
    match no.0 {
        1 => Rail::OnChain,
        2 => Rail::Lightning,
        _ => Rail::Managed,
    }
}

/// The key of the event `id` at `secs`.
pub(crate) fn key(id: &str, secs: i64) -> EventKey {
    let (time, id) = (Timestamp::from_secs(secs), EventId::from_text(id));
    EventKey { time, rank: Rank::Disposal, order: 0, id }
}

/// The first lot of the event `id`, acquired at `secs`.
pub(crate) fn lot(id: &str, secs: i64) -> LotKey {
    let acquired_at = Timestamp::from_secs(secs);
    LotKey { pool: None, unit: None, acquired_at, origin: key(id, secs), nth: 0, via: None }
}

/// All that was left of a lot.
pub(crate) fn used(lot: LotKey, quantity: Msats, cost: Fiat) -> LotUse {
    LotUse { lot, quantity, cost, loss_cost: None, left: None }
}

/// A lot in the book's one pool, of that cost.
pub(crate) fn opening(cost: i64) -> Opening {
    Opening { pool: None, ranked: false, acquired_at: None, cost: usd(cost), loss_cost: None, claimed: None }
}

/// A booked row of `steps`.
pub(crate) fn booked(steps: Vec<BookedStep>) -> JournalRow {
    JournalRow {
        kind: EventKind::Trade,
        connections: vec![no(1)],
        status: RowStatus::Booked,
        steps,
        valuation: None,
        text: None,
        merged: Vec::new(),
    }
}

/// A realising spend of `quantity` + `fee` msat, all from one lot that cost a third of its value.
pub(crate) fn disposal(connection: u32, quantity: i64, fee: i64) -> BookedDisposal {
    let gross = usd(3 * quantity);
    let slice = Slice {
        used: used(lot("c1.buy-1", 0), Msats::new(quantity + fee), usd(quantity)),
        gross,
        fiat_fee: Fiat::ZERO,
        term: Term::Short,
    };
    BookedDisposal {
        connection: no(connection),
        quantity: Msats::new(quantity),
        fee: Msats::new(fee),
        fee_account: Counter::NetworkFees,
        counter: Counter::ExpensesExternal,
        realises: true,
        named: false,
        gross,
        fiat_fee: Fiat::ZERO,
        received: None,
        slices: vec![slice],
    }
}

fn any_msats() -> impl Strategy<Value = Msats> {
    prop_oneof![0i64..3, 1i64..1_000_000_000_000].prop_map(Msats::new)
}

fn any_fiat() -> impl Strategy<Value = Fiat> {
    prop_oneof![0i64..3, 0i64..1_000_000_000].prop_map(Fiat::new)
}

fn any_connection() -> impl Strategy<Value = ConnectionNo> {
    (1u32..4).prop_map(ConnectionNo)
}

fn any_counter() -> impl Strategy<Value = Counter> {
    prop::sample::select(vec![
        Counter::IncomeExternal,
        Counter::OpeningBalances,
        Counter::Conversion,
        Counter::ExpensesExternal,
        Counter::NetworkFees,
        Counter::LightningFees,
    ])
}

fn any_currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(
        ["USD", "EUR", "JPY"].iter().filter_map(|code| code.parse().ok()).collect::<Vec<_>>(),
    )
}

fn any_cash() -> impl Strategy<Value = Option<(Currency, Fiat, Fiat)>> {
    prop::option::of((any_currency(), any_fiat(), any_fiat()))
}

fn any_slice() -> impl Strategy<Value = Slice> {
    let term = prop::sample::select(vec![Term::Short, Term::Long]);
    let sizes = (1i64..1_000_000_000_000, any_fiat(), any_fiat(), any_fiat());
    (0i64..2_000_000_000, sizes, term).prop_map(|(secs, (quantity, cost, gross, fiat_fee), term)| Slice {
        used: used(lot("c1.buy-1", secs), Msats::new(quantity), cost),
        gross,
        fiat_fee,
        term,
    })
}

/// A disposal whose slices sum to it exactly, as the books guarantee.
pub(crate) fn any_disposal() -> impl Strategy<Value = BookedDisposal> {
    let slices = prop::collection::vec(any_slice(), 1..4);
    let fee_share = prop_oneof![Just(0i64), 0i64..1_000_000];
    let accounts = (any_counter(), any_counter());
    let rest = (any::<bool>(), any_cash());
    (any_connection(), slices, fee_share, accounts, rest).prop_map(
        |(connection, slices, fee_share, (counter, fee_account), (realises, received))| {
            let total: i64 = slices.iter().map(|slice| slice.used.quantity.get()).sum();
            let fee = total.min(fee_share);
            BookedDisposal {
                connection,
                quantity: Msats::new(total - fee),
                fee: Msats::new(fee),
                fee_account,
                counter,
                realises,
                gross: Fiat::new(slices.iter().map(|slice| slice.gross.get()).sum()),
                fiat_fee: Fiat::new(slices.iter().map(|slice| slice.fiat_fee.get()).sum()),
                named: false,
                received,
                slices,
            }
        },
    )
}

fn any_step() -> impl Strategy<Value = BookedStep> {
    let acquired = (any_connection(), any_msats(), any_counter(), any_fiat(), any_cash()).prop_map(
        |(connection, quantity, counter, value, paid)| BookedStep::Acquired {
            connection,
            quantity,
            counter,
            value,
            paid,
            lot: opening(value.get()),
        },
    );
    let moved = (any_connection(), any_connection(), any_msats(), any_fiat()).prop_map(
        |(from, to, quantity, cost)| BookedStep::Moved {
            from,
            to,
            quantity,
            slices: vec![used(lot("c1.buy-1", 0), quantity, cost)],
        },
    );
    let carried = (any_connection(), any_msats(), any_counter(), any_fiat()).prop_map(
        |(connection, quantity, account, cost)| BookedStep::CarriedFee {
            connection,
            quantity,
            account,
            slices: vec![used(lot("c1.buy-1", 0), quantity, cost)],
            heir: lot("c1.buy-2", 0),
            heir_left: Left { quantity, cost, loss_cost: None },
        },
    );
    let side = || (any_currency(), any_fiat());
    let exchanged = (any_connection(), side(), side())
        .prop_map(|(connection, from, to)| BookedStep::FiatTraded { connection, from, to });
    let charged = (any_connection(), any_currency(), any_fiat(), any_fiat()).prop_map(
        |(connection, currency, fee, value)| BookedStep::FiatFee { connection, currency, fee, value },
    );
    let disposed = any_disposal().prop_map(|disposal| BookedStep::Disposed(Box::new(disposal)));
    prop_oneof![acquired, disposed, moved, carried, exchanged, charged]
}

/// Any row: mostly booked, with every kind of step.
pub(crate) fn any_row() -> impl Strategy<Value = JournalRow> {
    let steps = prop::collection::vec(any_step(), 0..5);
    (0u8..10, steps).prop_map(|(status, steps)| match status {
        0 => JournalRow { status: RowStatus::Excluded, ..booked(Vec::new()) },
        1 => JournalRow {
            status: RowStatus::Quarantined(Quarantine::MissingRate { pair: "BTC-USD".into() }),
            ..booked(Vec::new())
        },
        _ => booked(steps),
    })
}
