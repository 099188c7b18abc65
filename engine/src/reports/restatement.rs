//! [`Restatement`]: a sealed period against what the books say of it now.

use serde::Serialize;

use super::{Comparison, ReportHead};

/// The report. `before` is what was filed, `after` what the books say now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restatement {
    /// Which books it was compared with.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The seal.
    pub seal_id: String,
    /// Version of the book it was sealed from.
    pub sealed_book_version: u64,
    /// First instant of the period.
    pub range_start: String,
    /// Last instant of the period.
    pub range_end: String,
    /// Currency of what was filed.
    pub sealed_fiat_currency: String,
    /// Currency of the books now.
    pub fiat_currency: String,
    /// Whether the facts up to the end of the period are others than when it was sealed.
    pub inputs_changed: bool,
    /// Whether the policies are others than when it was sealed.
    pub settings_changed: bool,
    /// The figures.
    #[serde(flatten)]
    pub comparison: Comparison,
}
