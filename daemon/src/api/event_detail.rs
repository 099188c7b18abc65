//! One journal event with all that explains it: postings, lots, disposals with their slices, and the rate.
//!
//! Invariant: every figure is one the journal booked; differences of two of them are the only arithmetic here.

use nacre_engine::book::EventDetail;
use nacre_engine::error::Result;
use nacre_engine::id::{ConnectionNo, EventKey};
use nacre_engine::journal::{basis, disposal_basis, disposal_value, effects};
use nacre_engine::model::{
    Amount, BookedDisposal, BookedStep, LotEffect, LotKey, LotUse, OpenLot, Posting, RowStatus, Slice,
    UsePurpose, Valuation, ValueSource,
};
use nacre_engine::money::{Fiat, Msats};
use nacre_engine::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::event_body::{ConnectionRef, EventBody, Names};
use super::explanation::{DisposalReason, SliceReason};
use super::quarantine::Reason;

/// An event with its entry and its explanation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventDetailBody {
    #[serde(flatten)]
    event: EventBody,
    /// The lines of its double entry; none unless booked.
    postings: Vec<PostingBody>,
    /// Lots it opened, without what disposals before it had claimed (`UK_S104`).
    lots_opened: Vec<LotBody>,
    /// Slices of lots it used, in order; those it claimed of later lots (`UK_S104`) last.
    lots_consumed: Vec<LotBody>,
    /// Costs it added to lots (a transfer fee whose cost is carried).
    lots_adjusted: Vec<LotCostBody>,
    /// What left, with the lots that covered it.
    disposals: Vec<DisposalBody>,
    /// The rate behind its values; `null` when none was needed.
    valuation: Option<ValuationBody>,
    /// The rate you set for it, if you did.
    rate_override: Option<String>,
    /// Why it is in quarantine, if it is.
    quarantine: Option<Reason>,
}

/// One line of a double entry.
#[derive(Debug, Serialize, ToSchema)]
struct PostingBody {
    /// Path of the account, e.g. `Assets:On-chain:my-wallet`.
    account: String,
    /// `BTC` or a currency code.
    asset: String,
    /// Satoshis or major units, if it is a debit.
    debit: Option<String>,
    /// Satoshis or major units, if it is a credit.
    credit: Option<String>,
    /// Its value in the currency of the book, signed like the amount.
    fiat_value: Option<String>,
}

/// A lot, or a slice of one.
#[derive(Debug, Serialize, ToSchema)]
struct LotBody {
    /// Its id; moving a lot does not change it.
    lot_id: String,
    /// When it was acquired.
    acquired_at: String,
    /// The event that acquired it.
    acquired_event_id: String,
    /// Satoshis.
    quantity: String,
    /// Cost of this quantity.
    cost_basis_fiat: String,
    /// The connection whose pool holds it; `null` for the one pool of the book.
    pool: Option<ConnectionRef>,
    /// `disposal`, `gift`, `move` or `carried_fee`; `null` for an opened lot.
    purpose: Option<&'static str>,
}

/// Cost added to a lot.
#[derive(Debug, Serialize, ToSchema)]
struct LotCostBody {
    /// The lot.
    lot_id: String,
    /// What was added.
    cost_basis_fiat: String,
}

/// Bitcoin that left.
#[derive(Debug, Serialize, ToSchema)]
struct DisposalBody {
    /// Where it left.
    connection: Option<ConnectionRef>,
    /// Satoshis, without the fee.
    quantity: String,
    /// Satoshis of fee that left with it.
    fee: String,
    /// Whether it realises a gain (a gift does not).
    realises_gain: bool,
    /// The method in force then, e.g. `FIFO`.
    method: &'static str,
    /// The connection whose pool it chose from; `null` for the one pool of the book.
    pool: Option<ConnectionRef>,
    /// Proceeds before the fiat fee.
    gross_proceeds_fiat: String,
    /// Fiat fee.
    fee_fiat: String,
    /// Proceeds after the fiat fee.
    net_proceeds_fiat: String,
    /// Cost of all slices.
    cost_basis_fiat: String,
    /// Net proceeds less cost; zero where no gain is realised.
    realized_gain_fiat: String,
    /// Why these lots, and why these proceeds.
    reason: DisposalReason,
    /// The parts that single lots covered, in order of use.
    slices: Vec<SliceBody>,
}

/// The part of a disposal that one lot covered.
#[derive(Debug, Serialize, ToSchema)]
struct SliceBody {
    /// The lot.
    lot_id: String,
    /// When it was acquired.
    acquired_at: String,
    /// The event that acquired it.
    acquired_event_id: String,
    /// Satoshis, fee included.
    quantity: String,
    /// `short` or `long`.
    term: &'static str,
    /// Its share of the gross proceeds.
    gross_proceeds_fiat: String,
    /// Its share of the fiat fee.
    fee_fiat: String,
    /// Its share of the net proceeds.
    net_proceeds_fiat: String,
    /// Its cost.
    cost_basis_fiat: String,
    /// Its gain; zero where none is realised.
    realized_gain_fiat: String,
    /// Why this cost, and why this term.
    reason: SliceReason,
}

/// The rate behind an event's fair values.
#[derive(Debug, Serialize, ToSchema)]
struct ValuationBody {
    /// Price of one bitcoin in the currency of the book.
    rate: String,
    /// When that price was.
    timestamp: String,
    /// `override` (yours), `table` (a rate of the book) or `stated` (by the source).
    source: &'static str,
    /// The pair looked up, for `table`.
    pair: Option<String>,
    /// Who provided it, for `table`.
    provider: Option<String>,
}

impl EventDetailBody {
    /// The event `detail` in the words of `names`.
    pub(super) fn new(detail: &EventDetail, names: &Names) -> Result<Self> {
        let row = &detail.view.row;
        let mut effects = Effects::of(&effects(&detail.view.key, row)?, names);
        effects.claim(&detail.view.key, &row.steps, names);
        let disposals = row.steps.iter().filter_map(|step| match step {
            BookedStep::Disposed(disposal) => Some(disposal_body(disposal, detail, names)),
            _ => None,
        });
        let lines = detail.postings.iter().map(|(path, posting)| posting_body(path, posting, names));
        Ok(Self {
            event: EventBody::new(&detail.view, names)?,
            postings: lines.collect::<Result<_>>()?,
            lots_opened: effects.opened,
            lots_consumed: effects.consumed,
            lots_adjusted: effects.adjusted,
            disposals: disposals.collect::<Result<_>>()?,
            valuation: row.valuation.as_ref().map(valuation_body),
            rate_override: detail.view.annotation.rate.map(|rate| rate.to_decimal().to_string()),
            quarantine: match &row.status {
                RowStatus::Quarantined(reason) => Some(Reason::new(reason, row.kind, names)),
                _ => None,
            },
        })
    }
}

fn posting_body(path: &str, posting: &Posting, names: &Names) -> Result<PostingBody> {
    let (asset, is_debit, size) = match posting.amount {
        Amount::Btc(quantity) if quantity.is_negative() => {
            ("BTC".to_owned(), false, Msats::ZERO.sub(quantity)?.to_sat_text())
        }
        Amount::Btc(quantity) => ("BTC".to_owned(), true, quantity.to_sat_text()),
        Amount::Fiat(currency, amount) if amount < Fiat::ZERO => {
            (currency.code().to_owned(), false, Fiat::ZERO.sub(amount)?.to_text(currency))
        }
        Amount::Fiat(currency, amount) => (currency.code().to_owned(), true, amount.to_text(currency)),
    };
    let value = match posting.amount {
        Amount::Fiat(currency, amount) if currency == names.currency => Some(amount),
        _ => posting.value,
    };
    let (debit, credit) = if is_debit { (Some(size), None) } else { (None, Some(size)) };
    let fiat_value = value.map(|value| names.fiat(value));
    Ok(PostingBody { account: path.to_owned(), asset, debit, credit, fiat_value })
}

/// What an event did to lots.
#[derive(Default)]
struct Effects {
    opened: Vec<LotBody>,
    consumed: Vec<LotBody>,
    adjusted: Vec<LotCostBody>,
}

impl Effects {
    fn of(effects: &[LotEffect], names: &Names) -> Self {
        let mut sorted = Self::default();
        for effect in effects {
            match effect {
                LotEffect::Opened(OpenLot { key, quantity, cost, .. }) => {
                    sorted.opened.push(lot_body(key, *quantity, *cost, None, names));
                }
                LotEffect::Used { slice, purpose } => {
                    let LotUse { lot, quantity, cost, .. } = slice;
                    sorted.consumed.push(lot_body(lot, *quantity, *cost, Some(*purpose), names));
                }
                LotEffect::ClaimedWhole { .. } => {}
                LotEffect::CostAdded { lot, cost, .. } => sorted
                    .adjusted
                    .push(LotCostBody { lot_id: lot.lot_id(), cost_basis_fiat: names.fiat(*cost) }),
            }
        }
        sorted
    }

    /// Adds slices of lots that were yet to come (`UK_S104`).
    fn claim(&mut self, event: &EventKey, steps: &[BookedStep], names: &Names) {
        for step in steps {
            let BookedStep::Disposed(disposal) = step else { continue };
            let purpose = if disposal.realises { UsePurpose::Disposal } else { UsePurpose::Gift };
            for LotUse { lot, quantity, cost, .. } in disposal.slices.iter().map(|slice| &slice.used) {
                if lot.opened_by() > event {
                    self.consumed.push(lot_body(lot, *quantity, *cost, Some(purpose), names));
                }
            }
        }
    }
}

fn lot_body(
    lot: &LotKey,
    quantity: Msats,
    cost: Fiat,
    purpose: Option<UsePurpose>,
    names: &Names,
) -> LotBody {
    LotBody {
        lot_id: lot.lot_id(),
        acquired_at: lot.acquired_at.to_string(),
        acquired_event_id: lot.origin.id.to_string(),
        quantity: quantity.to_sat_text(),
        cost_basis_fiat: names.fiat(cost),
        pool: pool_of(lot.pool, names),
        purpose: purpose.map(|purpose| match purpose {
            UsePurpose::Disposal => "disposal",
            UsePurpose::Gift => "gift",
            UsePurpose::Move => "move",
            UsePurpose::CarriedFee => "carried_fee",
        }),
    }
}

fn pool_of(pool: Option<ConnectionNo>, names: &Names) -> Option<ConnectionRef> {
    pool.and_then(|no| names.connection(no))
}

fn disposal_body(disposal: &BookedDisposal, detail: &EventDetail, names: &Names) -> Result<DisposalBody> {
    // What realises nothing leaves at its cost, whatever else a gift's basis could be.
    let cost = if disposal.realises { disposal_basis(disposal)? } else { disposal_value(disposal)? };
    let net = disposal.gross.sub(disposal.fiat_fee)?;
    let gain = gain(disposal.realises, net, cost)?;
    let at = detail.view.key.time;
    let slices = disposal.slices.iter().map(|slice| slice_body(slice, disposal.realises, at, names));
    Ok(DisposalBody {
        connection: names.connection(disposal.connection),
        quantity: disposal.quantity.to_sat_text(),
        fee: disposal.fee.to_sat_text(),
        realises_gain: disposal.realises,
        method: names.method_at(at).name(),
        pool: disposal.slices.first().and_then(|slice| pool_of(slice.used.lot.pool, names)),
        gross_proceeds_fiat: names.fiat(disposal.gross),
        fee_fiat: names.fiat(disposal.fiat_fee),
        net_proceeds_fiat: names.fiat(net),
        cost_basis_fiat: names.fiat(cost),
        realized_gain_fiat: names.fiat(gain),
        reason: DisposalReason::new(disposal, detail, names)?,
        slices: slices.collect::<Result<_>>()?,
    })
}

fn slice_body(slice: &Slice, realises: bool, at: Timestamp, names: &Names) -> Result<SliceBody> {
    let net = slice.gross.sub(slice.fiat_fee)?;
    let cost = if realises { basis(slice)? } else { slice.used.cost };
    Ok(SliceBody {
        lot_id: slice.used.lot.lot_id(),
        acquired_at: slice.used.lot.acquired_at.to_string(),
        acquired_event_id: slice.used.lot.origin.id.to_string(),
        quantity: slice.used.quantity.to_sat_text(),
        term: slice.term.name(),
        gross_proceeds_fiat: names.fiat(slice.gross),
        fee_fiat: names.fiat(slice.fiat_fee),
        net_proceeds_fiat: names.fiat(net),
        cost_basis_fiat: names.fiat(cost),
        realized_gain_fiat: names.fiat(gain(realises, net, cost)?),
        reason: SliceReason::new(slice, realises, at, names)?,
    })
}

fn gain(realises: bool, net: Fiat, cost: Fiat) -> Result<Fiat> {
    if realises { net.sub(cost) } else { Ok(Fiat::ZERO) }
}

fn valuation_body(valuation: &Valuation) -> ValuationBody {
    let (source, pair, provider) = match &valuation.source {
        ValueSource::Override => ("override", None, None),
        ValueSource::Table { pair, provider } => ("table", Some(pair.clone()), Some(provider.clone())),
        ValueSource::Stated => ("stated", None, None),
    };
    ValuationBody {
        rate: valuation.rate.to_decimal().to_string(),
        timestamp: valuation.time.to_string(),
        source,
        pair,
        provider,
    }
}
