//! [`GainSums`]: sums over lot slices, kept apart by holding period, and [`GainSummary`], their printed form.
//!
//! Invariant: every printed total is the sum of the rows' own rounded figures; nothing is valued or split again here.

use serde::Serialize;

use super::figures::percentage;
use crate::error::Result;
use crate::journal::basis;
use crate::model::{BookedDisposal, Slice, Term};
use crate::money::{Currency, Fiat, Msats};

/// Sums over the slices of some disposals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GainSums {
    disposals: u64,
    all: TermSums,
    short: TermSums,
    long: TermSums,
}

#[derive(Clone, Copy, Debug, Default)]
struct TermSums {
    rows: u64,
    quantity: Msats,
    gross: Fiat,
    fees: Fiat,
    cost: Fiat,
}

/// Net proceeds and gain of one slice.
pub(super) fn net_and_gain(slice: &Slice) -> Result<(Fiat, Fiat)> {
    let net = slice.gross.sub(slice.fiat_fee)?;
    Ok((net, net.sub(basis(slice)?)?))
}

impl GainSums {
    /// Adds every slice of `disposal`.
    pub(super) fn add(&mut self, disposal: &BookedDisposal) -> Result<()> {
        self.disposals += 1;
        for slice in &disposal.slices {
            self.all.add(slice)?;
            match slice.term {
                Term::Short => self.short.add(slice)?,
                Term::Long => self.long.add(slice)?,
            }
        }
        Ok(())
    }

    /// The printed form.
    pub(super) fn summary(&self, currency: Currency) -> Result<GainSummary> {
        let [all, short, long] =
            [self.all.print(currency)?, self.short.print(currency)?, self.long.print(currency)?];
        Ok(GainSummary {
            disposal_count: self.disposals,
            row_count: self.all.rows,
            total_quantity_disposed: self.all.quantity.to_sat_text(),
            total_gross_proceeds_fiat: all.gross,
            total_fiat_fees_fiat: all.fees,
            total_net_proceeds_fiat: all.net,
            total_cost_basis_fiat: all.cost,
            total_realized_gain_fiat: all.gain,
            total_realized_gain_percentage: all.percentage,
            short_term_row_count: self.short.rows,
            short_term_quantity_disposed: self.short.quantity.to_sat_text(),
            short_term_gross_proceeds_fiat: short.gross,
            short_term_fiat_fees_fiat: short.fees,
            short_term_net_proceeds_fiat: short.net,
            short_term_cost_basis_fiat: short.cost,
            short_term_realized_gain_fiat: short.gain,
            short_term_realized_gain_percentage: short.percentage,
            long_term_row_count: self.long.rows,
            long_term_quantity_disposed: self.long.quantity.to_sat_text(),
            long_term_gross_proceeds_fiat: long.gross,
            long_term_fiat_fees_fiat: long.fees,
            long_term_net_proceeds_fiat: long.net,
            long_term_cost_basis_fiat: long.cost,
            long_term_realized_gain_fiat: long.gain,
            long_term_realized_gain_percentage: long.percentage,
            quantity: self.all.quantity,
        })
    }
}

impl TermSums {
    fn add(&mut self, slice: &Slice) -> Result<()> {
        self.rows += 1;
        self.quantity = self.quantity.add(slice.used.quantity)?;
        self.gross = self.gross.add(slice.gross)?;
        self.fees = self.fees.add(slice.fiat_fee)?;
        self.cost = self.cost.add(basis(slice)?)?;
        Ok(())
    }

    fn print(&self, currency: Currency) -> Result<Printed> {
        let net = self.gross.sub(self.fees)?;
        let gain = net.sub(self.cost)?;
        Ok(Printed {
            gross: self.gross.to_text(currency),
            fees: self.fees.to_text(currency),
            net: net.to_text(currency),
            cost: self.cost.to_text(currency),
            gain: gain.to_text(currency),
            percentage: percentage(gain, self.cost)?,
        })
    }
}

struct Printed {
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
