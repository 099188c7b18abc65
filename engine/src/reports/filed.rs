//! Rows as filed: from the journal into a seal, and back into rows that a report prints.
//!
//! Invariant: a report of rows that went through here prints what the report of the journal printed, byte for byte.

use super::ReportContext;
use crate::error::Result;
use crate::id::{EventKey, Rank};
use crate::journal::{basis, realised};
use crate::model::{
    BookedDisposal, BookedStep, Counter, JournalRow, LotKey, LotUse, RowStatus, SealedDisposal, SealedSale,
    SealedSlice, Slice, Text,
};
use crate::money::{Fiat, Msats};

/// What the row of event `key` realised, with its words; `None` when it realised nothing.
///
/// # Errors
/// What the annotations yield.
pub fn sealed_sale(ctx: &ReportContext<'_>, key: &EventKey, row: &JournalRow) -> Result<Option<SealedSale>> {
    let disposals: Vec<SealedDisposal> = realised(row).map(sealed_disposal).collect::<Result<_>>()?;
    if disposals.is_empty() {
        return Ok(None);
    }
    let words = ctx.words(&key.id, row)?;
    Ok(Some(SealedSale { kind: row.kind, disposals, note: words.note, tags: words.tags }))
}

fn sealed_disposal(disposal: &BookedDisposal) -> Result<SealedDisposal> {
    let sealed = |slice: &Slice| {
        Ok(SealedSlice {
            acquired_at: slice.used.lot.acquired_at,
            origin: slice.used.lot.origin.id.clone(),
            nth: slice.used.lot.nth,
            quantity: slice.used.quantity,
            gross: slice.gross,
            fiat_fee: slice.fiat_fee,
            cost: basis(slice)?,
            term: slice.term,
        })
    };
    let slices = disposal.slices.iter().map(sealed).collect::<Result<_>>()?;
    Ok(SealedDisposal { connection: disposal.connection, slices })
}

/// A journal row that shows a gains report what `sale` recorded.
///
/// # Errors
/// [`Error::Overflow`](crate::Error::Overflow) when its slices do not add up to real amounts.
pub fn filed_row(sale: SealedSale) -> Result<JournalRow> {
    let SealedSale { kind, disposals, note, tags } = sale;
    let connections = disposals.iter().map(|disposal| disposal.connection).collect();
    let step = |disposal| Ok(BookedStep::Disposed(Box::new(filed_disposal(disposal)?)));
    Ok(JournalRow {
        kind,
        connections,
        status: RowStatus::Booked,
        steps: disposals.into_iter().map(step).collect::<Result<_>>()?,
        valuation: None,
        text: Some(Box::new(Text { description: None, note, tags })),
        merged: Vec::new(),
    })
}

fn filed_disposal(disposal: SealedDisposal) -> Result<BookedDisposal> {
    let SealedDisposal { connection, slices } = disposal;
    let gross = Fiat::sum(slices.iter().map(|slice| slice.gross))?;
    Ok(BookedDisposal {
        connection,
        quantity: Msats::sum(slices.iter().map(|slice| slice.quantity))?,
        fee: Msats::ZERO,
        fee_account: Counter::NetworkFees,
        counter: Counter::ExpensesExternal,
        realises: true,
        named: false,
        gross,
        fiat_fee: Fiat::sum(slices.iter().map(|slice| slice.fiat_fee))?,
        received: None,
        slices: slices.into_iter().map(filed_slice).collect(),
    })
}

fn filed_slice(slice: SealedSlice) -> Slice {
    let SealedSlice { acquired_at, origin, nth, quantity, gross, fiat_fee, cost, term } = slice;
    let origin = EventKey { time: acquired_at, rank: Rank::Receipt, order: 0, id: origin };
    let lot = LotKey { pool: None, unit: None, acquired_at, origin, nth, via: None };
    Slice { used: LotUse { lot, quantity, cost, loss_cost: None, left: None }, gross, fiat_fee, term }
}
