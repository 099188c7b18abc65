//! The journal: double-entry renderings of booked rows, the chart of accounts, and the running totals over both.
//!
//! Owns the meaning of a row in the ledger. Everything here is a pure function of a [`JournalRow`]; nothing is
//! stored, and no lot is chosen here.
//!
//! [`JournalRow`]: crate::model::JournalRow

pub mod chart;
mod gains;
mod post;
#[cfg(test)]
pub(crate) mod samples;
mod totals;

pub(crate) use gains::figures_of;
pub use gains::{add_year, gains_of, realised, remove_year};
pub use post::postings;
pub use totals::{Sign, apply};
