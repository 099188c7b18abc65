//! Policies of a later day: what their values may be. Whether they fit each other and the settings beside them is the
//! engine's to say.

use jiff::civil::Date;
use nacre_engine::money::Msats;
use uuid::Uuid;

use super::settings::{checked_algorithm, checked_lot_scope};
use crate::server::problem::Problem;
use crate::store::record::{Allocated, GainsAlgorithm, LotScope, Policy, Settings};

/// Rows of all allocations of a profile, at most.
const MAX_ALLOCATED: usize = 10_000;
/// Characters of a lot id, at most: an event id and a number.
const MAX_LOT_CHARS: usize = 200;

/// A policy as it was handed in.
#[derive(Clone, Debug)]
pub(crate) struct NewPolicy {
    /// A date.
    pub(crate) effective_from: String,
    /// `None` goes on with the method before.
    pub(crate) gains_algorithm: Option<String>,
    /// `None` goes on with the scope before.
    pub(crate) lot_scope: Option<String>,
    /// Lot id, connection and decimal satoshis.
    pub(crate) allocation: Vec<(String, Uuid, String)>,
}

/// Every policy with its values checked; errors name the field and the row.
pub(super) fn checked(policies: Vec<NewPolicy>) -> Result<Vec<Policy>, Problem> {
    if policies.iter().map(|policy| policy.allocation.len()).sum::<usize>() > MAX_ALLOCATED {
        let message = format!("policies may allocate {MAX_ALLOCATED} lots together");
        return Err(Problem::field("policies", message));
    }
    let mut checked = Vec::with_capacity(policies.len());
    for (at, policy) in policies.into_iter().enumerate() {
        let field = |name: &str| format!("policies[{at}].{name}");
        let day = checked_day(&field("effective_from"), policy.effective_from)?;
        let algorithm =
            policy.gains_algorithm.map(|word| checked_algorithm(&field("gains_algorithm"), &word));
        let scope = policy.lot_scope.map(|word| checked_lot_scope(&field("lot_scope"), &word));
        let allocation = policy
            .allocation
            .into_iter()
            .enumerate()
            .map(|(row, allocated)| checked_allocation(&field(&format!("allocation[{row}]")), allocated));
        checked.push(Policy {
            day,
            gains_algorithm: algorithm.transpose()?,
            lot_scope: scope.transpose()?,
            allocation: allocation.collect::<Result<_, _>>()?,
        });
    }
    Ok(checked)
}

/// Method and scope in force from each policy on, in order: what one leaves out is that of the one before, and of the settings
/// before all of them.
pub(crate) fn in_force(settings: &Settings) -> impl Iterator<Item = (GainsAlgorithm, LotScope)> {
    let base = (settings.gains_algorithm, settings.lot_scope);
    settings.policies.iter().scan(base, |(algorithm, scope), policy| {
        *algorithm = policy.gains_algorithm.unwrap_or(*algorithm);
        *scope = policy.lot_scope.unwrap_or(*scope);
        Some((*algorithm, *scope))
    })
}

/// A day as it is stored. The parser of dates also takes a time of day and drops it, which nobody means.
fn checked_day(field: &str, text: String) -> Result<String, Problem> {
    match text.parse::<Date>() {
        Ok(day) if day.to_string() == text => Ok(text),
        _ => Err(Problem::field(field, format!("{field} must be a date such as 2025-01-01"))),
    }
}

fn checked_allocation(field: &str, row: (String, Uuid, String)) -> Result<Allocated, Problem> {
    let (lot, connection, quantity) = row;
    if lot.is_empty() || lot.chars().count() > MAX_LOT_CHARS {
        let field = format!("{field}.lot_id");
        return Err(Problem::field(&field, format!("{field} must be the id of a lot, as reports print it")));
    }
    match Msats::parse_sats(&quantity).filter(|quantity| *quantity > Msats::ZERO) {
        Some(quantity) => Ok(Allocated { lot, connection, msat: quantity.get() }),
        None => {
            let field = format!("{field}.quantity_sat");
            let message = format!("{field} must be satoshis above zero with up to 3 decimals, as text");
            Err(Problem::field(&field, message))
        }
    }
}
