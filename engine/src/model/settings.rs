//! [`Settings`]: the policies of a book. Facts; changing one that matters re-derives the books.

use serde::{Deserialize, Serialize};

use crate::money::Currency;

/// How the books are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Currency of every valuation.
    pub fiat_currency: Currency,
    /// Which lots a disposal consumes.
    pub method: Method,
    /// Which lots a disposal may choose from.
    pub lot_scope: LotScope,
    /// How the fee of an own transfer is treated.
    pub fee_treatment: FeeTreatment,
    /// IANA zone that decides days, tax years and holding periods.
    pub timezone: String,
    /// Oldest rate that still values an event, in hours.
    pub rate_max_age_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            fiat_currency: Currency::USD,
            method: Method::Fifo,
            lot_scope: LotScope::Universal,
            fee_treatment: FeeTreatment::Dispose,
            timezone: "UTC".into(),
            rate_max_age_hours: 25,
        }
    }
}

/// The lot selection methods (the surface says `gains_algorithm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Oldest lot first.
    Fifo,
    /// Newest lot first.
    Lifo,
}

impl Method {
    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            Method::Fifo => "FIFO",
            Method::Lifo => "LIFO",
        }
    }
}

/// The set of lots a disposal may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LotScope {
    /// One pool for the whole book.
    Universal,
    /// One pool per connection.
    Connection,
}

/// What happens to the bitcoin fee of an own transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FeeTreatment {
    /// It is disposed of at fair value.
    Dispose,
    /// Its cost moves into the basis of what arrives.
    CarryBasis,
}
