//! The journal: double-entry renderings of booked rows, the chart of accounts, the running totals
//! over both, and the same sums day by day.
//!
//! Owns the meaning of a row in the ledger. Everything here is a pure function of a [`JournalRow`]; nothing is
//! stored, and no lot is chosen here.
//!
//! [`JournalRow`]: crate::model::JournalRow

mod basis;
pub mod chart;
mod days;
mod effects;
mod flows;
mod gains;
mod post;
#[cfg(test)]
pub(crate) mod samples;
mod totals;

pub use basis::{BasisKind, basis, basis_kind, disposal_basis, disposal_value};
pub use days::{
    add_day, add_disposal, add_sales, apply_to_day, fiat, msats, place_of_sales, realising, totals_of,
};
pub use effects::{Numbers, arrived, carried, effects, effects_of, opened_key};
pub(crate) use gains::figures_of;
pub use gains::{add_year, gains_of, realised, remove_year};
pub use post::postings;
pub use totals::{Sign, apply, settle};
