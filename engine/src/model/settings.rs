//! [`Settings`]: the policies of a book. Facts; changing one that matters re-derives the books.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::ConnectionNo;
use crate::money::{Currency, Msats};

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
    /// Other methods and scopes from a day on, each until the next; days ascend.
    pub policies: Vec<Policy>,
}

/// Method and scope from a day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// From the start of this day in the book's zone.
    #[serde(with = "crate::time::stored_date")]
    pub from: Date,
    /// Which lots a disposal consumes from then on.
    pub method: Method,
    /// Which lots it may choose from.
    pub lot_scope: LotScope,
    /// Where the scope becomes `connection`: lots dealt to connections by the user's word, before the rule deals the rest.
    pub allocation: Vec<Allocation>,
}

/// A quantity of one lot that goes to one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// The lot's public id.
    pub lot: String,
    /// To which connection.
    pub connection: ConnectionNo,
    /// How much of it.
    pub quantity: Msats,
}

impl Settings {
    /// Refuses policies that contradict each other.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field that is wrong.
    pub fn check(&self) -> Result<()> {
        if self.policies.len() > POLICIES_MAX {
            return Err(Error::invalid("policies", format!("at most {POLICIES_MAX} policies")));
        }
        if let Some(pair) = self.policies.windows(2).find(|pair| pair[0].from >= pair[1].from) {
            return Err(Error::invalid("policies", format!("days must ascend; {} does not", pair[1].from)));
        }
        let pooled = std::iter::once(self.method).chain(self.policies.iter().map(|policy| policy.method));
        if let Some(method) = pooled.into_iter().find(|method| method.pools_cost())
            && !self.policies.is_empty()
        {
            return Err(Error::invalid(
                "policies",
                format!("{} keeps one cost for a whole pool and holds for the whole book", method.name()),
            ));
        }
        if self.method == Method::UkS104 && self.lot_scope != LotScope::Universal {
            return Err(Error::invalid("lot_scope", "UK_S104 knows one pool: lot_scope must be universal"));
        }
        if self.method == Method::UkS104 && self.fee_treatment == FeeTreatment::CarryBasis {
            let problem = "under UK_S104 the fee of an own transfer is a disposal: it must be dispose";
            return Err(Error::invalid("transfer_fee_treatment", problem));
        }
        let scopes =
            std::iter::once(self.lot_scope).chain(self.policies.iter().map(|policy| policy.lot_scope));
        let idle = scopes.zip(&self.policies).find(|(before, policy)| {
            !policy.allocation.is_empty()
                && (*before, policy.lot_scope) != (LotScope::Universal, LotScope::Connection)
        });
        if let Some((_, policy)) = idle {
            let problem = format!("{} allocates lots, but no pool is divided on that day", policy.from);
            return Err(Error::invalid("policies", problem));
        }
        match self
            .policies
            .iter()
            .find(|policy| policy.allocation.iter().any(|row| row.quantity <= Msats::ZERO))
        {
            Some(policy) => {
                Err(Error::invalid("policies", format!("an allocation of {} is not positive", policy.from)))
            }
            None => Ok(()),
        }
    }
}

/// Policies in a book at most.
const POLICIES_MAX: usize = 100;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            fiat_currency: Currency::USD,
            method: Method::Fifo,
            lot_scope: LotScope::Universal,
            fee_treatment: FeeTreatment::Dispose,
            timezone: "UTC".into(),
            rate_max_age_hours: 25,
            policies: Vec::new(),
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
    /// Highest cost per unit first, the oldest of equals.
    Hifo,
    /// Lowest cost per unit first, the oldest of equals.
    Lofo,
    /// Oldest lot first, at the average cost of the pool.
    AvgCost,
    /// United Kingdom: same day, then the next 30 days, then the section 104 pool at its average cost.
    UkS104,
}

impl Method {
    /// Every method, for documentation and parsing.
    pub const ALL: [Method; 6] =
        [Method::Fifo, Method::Lifo, Method::Hifo, Method::Lofo, Method::AvgCost, Method::UkS104];

    /// The method of that name in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        Method::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }

    /// Whether it ranks lots by their unit cost.
    pub const fn ranks(self) -> bool {
        matches!(self, Method::Hifo | Method::Lofo)
    }

    /// Whether a pool has one cost for all of its lots.
    pub const fn pools_cost(self) -> bool {
        matches!(self, Method::AvgCost | Method::UkS104)
    }

    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            Method::Fifo => "FIFO",
            Method::Lifo => "LIFO",
            Method::Hifo => "HIFO",
            Method::Lofo => "LOFO",
            Method::AvgCost => "AVG_COST",
            Method::UkS104 => "UK_S104",
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
