//! [`WhatIf`]: the gains under the policies of the book beside those under others.

use serde::Serialize;

use super::{Comparison, ReportHead};
use crate::model::Settings;

/// The report. `before` is as booked, `after` as it would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhatIf {
    /// Which books it was made from.
    #[serde(flatten)]
    pub head: ReportHead,
    /// First instant shown, if bounded (RFC 3339, UTC).
    pub range_start: Option<String>,
    /// Last instant shown, if bounded.
    pub range_end: Option<String>,
    /// Currency of the book; it is the same on both sides.
    pub fiat_currency: String,
    /// Events that would be in quarantine.
    pub hypothetical_quarantined: u64,
    /// Cost of what is held now, as booked, in decimal major units.
    pub open_cost_basis_fiat: String,
    /// Cost of what would be held now.
    pub hypothetical_open_cost_basis_fiat: String,
    /// The policies as booked, for whoever words them.
    #[serde(skip)]
    pub booked: Settings,
    /// The other policies.
    #[serde(skip)]
    pub hypothetical: Settings,
    /// The figures.
    #[serde(flatten)]
    pub comparison: Comparison,
}
