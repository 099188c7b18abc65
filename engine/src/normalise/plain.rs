//! One plain record on its own → one event.

use super::identity::plain_rank;
use super::{Rails, sorted_connections};
use crate::id::{ConnectionNo, EventId, EventKey, trailing_number};
use crate::model::{
    Acquire, Basis, Counter, Dispose, Event, EventKind, PlainKind, PlainRecord, Quarantine, Rail, Record,
    Side, Step, Text,
};
use crate::money::{Currency, Fiat, Msats, Rounding, muldiv};

pub(super) fn event(record: &Record, plain: &PlainRecord, rails: Rails<'_>) -> Event {
    let key = EventKey {
        time: plain.time,
        rank: plain_rank(plain),
        order: trailing_number(&record.native_id),
        id: super::event_id(record),
    };
    Event {
        key,
        kind: kind(plain.kind),
        connections: sorted_connections([record.connection]),
        steps: steps(record.connection, plain, rails(record.connection)),
        text: text(plain),
        merged: Vec::new(),
    }
}

pub(super) fn kind(kind: PlainKind) -> EventKind {
    match kind {
        PlainKind::Buy | PlainKind::Sell | PlainKind::Trade => EventKind::Trade,
        PlainKind::Deposit => EventKind::Deposit,
        PlainKind::Withdrawal => EventKind::Withdrawal,
        PlainKind::Invoice => EventKind::Invoice,
        PlainKind::Pay => EventKind::Pay,
        PlainKind::Forward => EventKind::Forward,
        PlainKind::Income => EventKind::Income,
        PlainKind::Interest => EventKind::Interest,
        PlainKind::GiftIn => EventKind::GiftIn,
        PlainKind::GiftOut => EventKind::GiftOut,
        PlainKind::Fee => EventKind::Fee,
        PlainKind::OpeningBalance => EventKind::OpeningBalance,
    }
}

/// The words of a record, if it has any.
pub(super) fn text(plain: &PlainRecord) -> Option<Box<Text>> {
    let extra = plain.extra.as_deref()?;
    let text =
        Text { description: extra.description.clone(), note: extra.note.clone(), tags: extra.tags.clone() };
    (text != Text::default()).then(|| Box::new(text))
}

/// The expense account of a bitcoin fee paid from a place of this kind.
pub(super) fn fee_account(rail: Rail) -> Counter {
    match rail {
        Rail::OnChain => Counter::NetworkFees,
        Rail::Lightning => Counter::LightningFees,
        Rail::Managed => Counter::ExchangeFees,
    }
}

fn steps(connection: ConnectionNo, plain: &PlainRecord, rail: Rail) -> Result<Vec<Step>, Quarantine> {
    let stated = |value: Option<(Currency, Fiat)>| {
        value.map_or(Basis::Market, |(code, value)| Basis::Stated(code, value))
    };
    let value = stated(plain.value);
    let out = |counter, realises| dispose(connection, plain, rail, counter, realises);
    let main = match plain.kind {
        PlainKind::Trade => return trade(connection, plain, rail),
        PlainKind::Buy => acquire(connection, plain, Counter::Conversion, value),
        PlainKind::Deposit | PlainKind::Invoice | PlainKind::Income => {
            acquire(connection, plain, Counter::IncomeExternal, value)
        }
        PlainKind::Forward => acquire(connection, plain, Counter::IncomeRouting, value),
        PlainKind::Interest => acquire(connection, plain, Counter::IncomeInterest, value),
        PlainKind::GiftIn => {
            // A gift keeps the giver's cost and date where they are known; else it is worth its fair value.
            let basis = plain.cost_basis.or(plain.value_at_gift).or(plain.value);
            acquire(connection, plain, Counter::IncomeExternal, stated(basis))
        }
        PlainKind::OpeningBalance => {
            acquire(connection, plain, Counter::OpeningBalances, stated(plain.cost_basis.or(plain.value)))
        }
        PlainKind::Sell => out(Counter::Conversion, true),
        PlainKind::Withdrawal | PlainKind::Pay => out(Counter::ExpensesExternal, true),
        PlainKind::GiftOut => out(Counter::ExpensesExternal, false),
        PlainKind::Fee => out(fee_account(rail), true),
    };
    // A receipt's bitcoin fee leaves after the quantity arrived.
    let fee = match main {
        Step::Acquire(_) if !plain.fee.is_zero() => Some(fee_step(connection, plain, rail)),
        _ => None,
    };
    Ok(std::iter::once(main).chain(fee).collect())
}

/// The bitcoin fee of a receipt, at the price the row states: what was bought needs no rate.
fn fee_step(connection: ConnectionNo, plain: &PlainRecord, rail: Rail) -> Step {
    let share = |value: Fiat| {
        let (fee, whole) = (plain.fee.get().into(), plain.quantity.get().into());
        muldiv(value.get().into(), fee, whole, Rounding::HalfEven).and_then(|share| i64::try_from(share).ok())
    };
    let stated = plain.value.and_then(|(currency, value)| Some((currency, Fiat::new(share(value)?))));
    Step::Dispose(Dispose {
        connection,
        quantity: plain.fee,
        fee: Msats::ZERO,
        fee_account: fee_account(rail),
        counter: fee_account(rail),
        basis: stated.map_or(Basis::Market, |(currency, value)| Basis::Stated(currency, value)),
        fiat_fee: None,
        realises: true,
        lots: Vec::new(),
    })
}

fn acquire(connection: ConnectionNo, plain: &PlainRecord, counter: Counter, basis: Basis) -> Step {
    Step::Acquire(Acquire {
        connection,
        quantity: plain.quantity,
        counter,
        basis,
        fiat_fee: plain.fee_fiat,
        acquired_at: plain.acquired_at,
        loss_basis: loss_basis(plain),
    })
}

/// A gift has a second basis, which counts for a loss, where its value was below the giver's cost.
fn loss_basis(plain: &PlainRecord) -> Option<Basis> {
    let (currency, value) = plain.value_at_gift?;
    (plain.kind == PlainKind::GiftIn && plain.cost_basis.is_some()).then_some(Basis::Stated(currency, value))
}

pub(super) fn dispose(
    connection: ConnectionNo,
    plain: &PlainRecord,
    rail: Rail,
    counter: Counter,
    realises: bool,
) -> Step {
    let lots = plain.extra.as_deref().map_or(&[][..], |extra| extra.lots.as_slice());
    Step::Dispose(Dispose {
        connection,
        quantity: plain.quantity,
        fee: plain.fee,
        fee_account: fee_account(rail),
        counter,
        basis: plain.value.map_or(Basis::Market, |(currency, value)| Basis::Stated(currency, value)),
        fiat_fee: plain.fee_fiat,
        realises,
        lots: lots.iter().map(|(id, quantity)| (EventId::from_text(id.clone()), *quantity)).collect(),
    })
}

/// A `trade` row: its two sides decide what it is.
fn trade(connection: ConnectionNo, plain: &PlainRecord, rail: Rail) -> Result<Vec<Step>, Quarantine> {
    let unknown = |asset: [u8; 8]| {
        let asset = String::from_utf8_lossy(&asset).trim_end_matches('\0').to_owned();
        Err(Quarantine::UnknownAsset { asset })
    };
    let problem = |problem: &str| Err(Quarantine::NegativeAmount { problem: problem.to_owned() });
    let valued =
        |quantity, currency, value| PlainRecord { quantity, value: Some((currency, value)), ..plain.clone() };
    match plain.trade {
        Some((Side::Unknown(asset), _) | (_, Side::Unknown(asset))) => unknown(asset),
        Some((Side::Fiat(currency, paid), Side::Btc(got))) => {
            let row = valued(got, currency, paid);
            let basis = Basis::Stated(currency, paid);
            let fee = (!row.fee.is_zero()).then(|| fee_step(connection, &row, rail));
            Ok(std::iter::once(acquire(connection, &row, Counter::Conversion, basis)).chain(fee).collect())
        }
        Some((Side::Btc(given), Side::Fiat(currency, got))) => {
            Ok(vec![dispose(connection, &valued(given, currency, got), rail, Counter::Conversion, true)])
        }
        Some((Side::Fiat(a, given), Side::Fiat(b, got))) => {
            Ok(vec![Step::FiatTrade { connection, from: (a, given), to: (b, got), fee: plain.fee_fiat }])
        }
        Some((Side::Btc(_), Side::Btc(_))) => problem("a trade of BTC for BTC is no trade; use a transfer"),
        None => problem("a trade needs from_asset, from_amount, to_asset and to_amount"),
    }
}
