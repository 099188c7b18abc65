//! [`GainSummary`]: sums over lot slices as reports print them, in all and by holding period.
//!
//! Invariant: every printed total is the sum of the rows' own rounded figures; nothing is valued or split again here.

use serde::Serialize;

use super::figures::percentage;
use crate::error::Result;
use crate::journal::{basis, fiat, msats};
use crate::model::{SaleTotals, Slice, SliceTotals};
use crate::money::{Currency, Fiat, Msats};

/// Net proceeds and gain of one slice.
pub(super) fn net_and_gain(slice: &Slice) -> Result<(Fiat, Fiat)> {
    let net = slice.gross.sub(slice.fiat_fee)?;
    Ok((net, net.sub(basis(slice)?)?))
}

/// The printed form of `sales`.
pub(super) fn summary(sales: &SaleTotals, currency: Currency) -> Result<GainSummary> {
    let (one, other) = (&sales.short, &sales.long);
    let both = SliceTotals {
        rows: one.rows.saturating_add(other.rows),
        quantity: one.quantity.saturating_add(other.quantity),
        gross: one.gross.saturating_add(other.gross),
        fiat_fees: one.fiat_fees.saturating_add(other.fiat_fees),
        cost: one.cost.saturating_add(other.cost),
    };
    let [all, short, long] = [printed(&both, currency)?, printed(one, currency)?, printed(other, currency)?];
    Ok(GainSummary {
        disposal_count: sales.disposals,
        row_count: both.rows,
        total_quantity_disposed: all.quantity.to_sat_text(),
        total_gross_proceeds_fiat: all.gross,
        total_fiat_fees_fiat: all.fees,
        total_net_proceeds_fiat: all.net,
        total_cost_basis_fiat: all.cost,
        total_realized_gain_fiat: all.gain,
        total_realized_gain_percentage: all.percentage,
        short_term_row_count: one.rows,
        short_term_quantity_disposed: short.quantity.to_sat_text(),
        short_term_gross_proceeds_fiat: short.gross,
        short_term_fiat_fees_fiat: short.fees,
        short_term_net_proceeds_fiat: short.net,
        short_term_cost_basis_fiat: short.cost,
        short_term_realized_gain_fiat: short.gain,
        short_term_realized_gain_percentage: short.percentage,
        long_term_row_count: other.rows,
        long_term_quantity_disposed: long.quantity.to_sat_text(),
        long_term_gross_proceeds_fiat: long.gross,
        long_term_fiat_fees_fiat: long.fees,
        long_term_net_proceeds_fiat: long.net,
        long_term_cost_basis_fiat: long.cost,
        long_term_realized_gain_fiat: long.gain,
        long_term_realized_gain_percentage: long.percentage,
        quantity: all.quantity,
    })
}

fn printed(slices: &SliceTotals, currency: Currency) -> Result<Printed> {
    let (gross, fees) = (fiat(slices.gross)?, fiat(slices.fiat_fees)?);
    let cost = fiat(slices.cost)?;
    let net = gross.sub(fees)?;
    let gain = net.sub(cost)?;
    Ok(Printed {
        quantity: msats(slices.quantity)?,
        gross: gross.to_text(currency),
        fees: fees.to_text(currency),
        net: net.to_text(currency),
        cost: cost.to_text(currency),
        gain: gain.to_text(currency),
        percentage: percentage(gain, cost)?,
    })
}

struct Printed {
    quantity: Msats,
    gross: String,
    fees: String,
    net: String,
    cost: String,
    gain: String,
    percentage: Option<String>,
}

/// Totals of a set of disposals: quantities in decimal satoshis (fees included), `_fiat` in decimal major units,
/// percentages of the cost basis with two places (`null` when that is zero).
#[allow(missing_docs, reason = "the fields are the figures the type describes, named as on the surface")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GainSummary {
    pub disposal_count: u64,
    pub row_count: u64,
    pub total_quantity_disposed: String,
    pub total_gross_proceeds_fiat: String,
    pub total_fiat_fees_fiat: String,
    pub total_net_proceeds_fiat: String,
    pub total_cost_basis_fiat: String,
    pub total_realized_gain_fiat: String,
    pub total_realized_gain_percentage: Option<String>,
    pub short_term_row_count: u64,
    pub short_term_quantity_disposed: String,
    pub short_term_gross_proceeds_fiat: String,
    pub short_term_fiat_fees_fiat: String,
    pub short_term_net_proceeds_fiat: String,
    pub short_term_cost_basis_fiat: String,
    pub short_term_realized_gain_fiat: String,
    pub short_term_realized_gain_percentage: Option<String>,
    pub long_term_row_count: u64,
    pub long_term_quantity_disposed: String,
    pub long_term_gross_proceeds_fiat: String,
    pub long_term_fiat_fees_fiat: String,
    pub long_term_net_proceeds_fiat: String,
    pub long_term_cost_basis_fiat: String,
    pub long_term_realized_gain_fiat: String,
    pub long_term_realized_gain_percentage: Option<String>,
    /// For CSV, which prints bitcoin.
    #[serde(skip)]
    pub(super) quantity: Msats,
}
