//! Why the figures of a disposal are what they are, in fields and in words.
//!
//! Invariant: it explains booked figures and derives none; days are those of the zone the journal was made under.

use jiff::civil::Date;
use nacre_engine::book::EventDetail;
use nacre_engine::error::Result;
use nacre_engine::journal::{BasisKind, basis_kind};
use nacre_engine::model::{BookedDisposal, Method, Slice, Term, Valuation};
use nacre_engine::money::Msats;
use nacre_engine::time::{Timestamp, anniversary};
use serde::Serialize;
use utoipa::ToSchema;

use super::event_body::Names;

/// Why these lots, and why this value.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DisposalReason {
    /// `method` (of the profile) or `record` (the record named its lots).
    selected_by: &'static str,
    /// Which lots were taken, in words.
    selection: String,
    /// `rate` (quantity × the rate below), `stated` (by the source) or `cost` (nothing is realised).
    proceeds_by: &'static str,
    /// Where the gross proceeds come from, in words.
    proceeds: String,
}

/// Why a slice cost what it cost, and why it is short or long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SliceReason {
    /// The local day the holding period began.
    acquired_on: String,
    /// The last day on which a disposal is short-term.
    anniversary_on: Option<String>,
    /// The local day of the disposal.
    disposed_on: String,
    /// Why the term is what it is, in words.
    term: String,
    /// The lot before this slice was taken; `null` when it was still to come (`UK_S104`).
    lot_before: Option<LotState>,
    /// The lot after it; `null` when this was the last of it, or when it was still to come.
    lot_after: Option<LotState>,
    /// `cost`, or for a gift whose value was lower than its cost: `loss` (that value, since there is a loss even by it) or
    /// `neither` (the net proceeds: no gain by the one, no loss by the other).
    basis_by: &'static str,
    /// How the cost of the slice comes about, in words.
    cost: String,
}

/// What a lot held.
#[derive(Debug, Serialize, ToSchema)]
struct LotState {
    /// Satoshis.
    quantity: String,
    /// Its cost; `null` where the pool has one cost for all of its lots.
    cost_basis_fiat: Option<String>,
}

impl DisposalReason {
    pub(super) fn new(disposal: &BookedDisposal, detail: &EventDetail, names: &Names) -> Result<Self> {
        let method = names.method_at(detail.view.key.time);
        let pool = disposal.slices.first().and_then(|slice| slice.used.lot.pool);
        let pool = match pool {
            None => "the one pool of the book".to_owned(),
            Some(no) => match names.connection(no) {
                Some(connection) => format!("the pool of {}", connection.label),
                None => format!("the pool of connection #{}", no.0),
            },
        };
        let (selected_by, selection) = match disposal.named {
            true => ("record", format!("the lots that the record names, out of {pool}")),
            false => {
                let (method, order) = (method.name(), order_of(method));
                ("method", format!("{method} out of {pool}: {order}"))
            }
        };
        let (proceeds_by, proceeds) = proceeds(disposal, detail.view.row.valuation.as_ref(), names)?;
        Ok(Self { selected_by, selection, proceeds_by, proceeds })
    }
}

fn order_of(method: Method) -> &'static str {
    match method {
        Method::Fifo => "the lot acquired first",
        Method::Lifo => "the lot acquired last",
        Method::Hifo => "the lot with the highest cost per unit, the oldest of equals",
        Method::Lofo => "the lot with the lowest cost per unit, the oldest of equals",
        Method::AvgCost => "the lot acquired first, at the average cost of the pool",
        Method::UkS104 => {
            "what was acquired on the same day, then in the 30 days after, then the pool at its average cost"
        }
    }
}

fn proceeds(
    disposal: &BookedDisposal,
    valuation: Option<&Valuation>,
    names: &Names,
) -> Result<(&'static str, String)> {
    if !disposal.realises {
        return Ok(("cost", "nothing is realised: it leaves at its cost".to_owned()));
    }
    let gross = names.fiat(disposal.gross);
    if let Some(valuation) = valuation
        && valuation.rate.value(disposal.quantity, names.currency)? == disposal.gross
    {
        let (quantity, rate) = (disposal.quantity, valuation.rate.to_decimal());
        let words = format!("{quantity} BTC × {rate} {} = {gross}, rounded half-even", names.currency);
        return Ok(("rate", words));
    }
    Ok(("stated", format!("the source states {gross} {}", names.currency)))
}

impl SliceReason {
    pub(super) fn new(slice: &Slice, realises: bool, at: Timestamp, names: &Names) -> Result<Self> {
        let (acquired, disposed) = (names.zone.day(slice.used.lot.acquired_at)?, names.zone.day(at)?);
        let year_later = anniversary(acquired);
        let shown = year_later.map_or_else(|| "none".to_owned(), |day| day.to_string());
        let term = match slice.term {
            Term::Long => {
                format!("long: disposed of on {disposed}, after the anniversary of the acquisition, {shown}")
            }
            Term::Short => {
                format!(
                    "short: disposed of on {disposed}, not after the anniversary of the acquisition, {shown}"
                )
            }
        };
        let pooled = names.method_at(at).pools_cost();
        let state = |quantity: Msats, cost| LotState {
            quantity: quantity.to_sat_text(),
            cost_basis_fiat: (!pooled).then(|| names.fiat(cost)),
        };
        let before = slice.used.before()?;
        let net = slice.gross.sub(slice.fiat_fee)?;
        Ok(Self {
            acquired_on: acquired.to_string(),
            anniversary_on: year_later.map(|day| day.to_string()),
            disposed_on: disposed.to_string(),
            term,
            // A lot that is still to come was not there to be taken from.
            lot_before: (acquired <= disposed).then(|| state(before.quantity, before.cost)),
            lot_after: slice.used.left.map(|left| state(left.quantity, left.cost)),
            basis_by: match basis_kind(net, slice.used.cost, slice.used.loss_cost) {
                _ if !realises => "cost",
                BasisKind::Cost => "cost",
                BasisKind::Loss => "loss",
                BasisKind::Neither => "neither",
            },
            cost: match names.method_at(at) {
                Method::UkS104 => share_words(slice, (acquired, disposed), names),
                _ => cost_words(slice, pooled, names)?,
            },
        })
    }
}

/// The cost of a slice under `UK_S104`, by the rule that matched it; the days say which.
fn share_words(slice: &Slice, (acquired, disposed): (Date, Date), names: &Names) -> String {
    let (cost, quantity) = (names.fiat(slice.used.cost), slice.used.quantity);
    if acquired == disposed {
        return format!(
            "{cost}: same-day rule, the share of {quantity} BTC in the cost of what was acquired on {acquired}"
        );
    }
    if acquired > disposed {
        return format!(
            "{cost}: 30-day rule, the share of {quantity} BTC in the cost of what was acquired on {acquired}"
        );
    }
    format!("{cost}: section 104 pool, the share of {quantity} BTC in its cost")
}

fn cost_words(slice: &Slice, pooled: bool, names: &Names) -> Result<String> {
    let used = &slice.used;
    let cost = names.fiat(used.cost);
    if pooled {
        return Ok(format!("{cost}: the share of {} BTC in the cost of the pool", used.quantity));
    }
    if used.left.is_none() {
        return Ok(format!("{cost}: all that was left of the lot"));
    }
    let before = used.before()?;
    let (whole, quantity, held) = (names.fiat(before.cost), used.quantity, before.quantity);
    Ok(format!("{whole} × {quantity} BTC / {held} BTC = {cost}, rounded half-even"))
}
