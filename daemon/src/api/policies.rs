//! Policies of a later day, as settings carry them.

use nacre_engine::money::Msats;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::books::BookAccess;
use crate::server::problem::Problem;
use crate::store::record::{Allocated, Policy};
use crate::workspaces::policies::NewPolicy;
use crate::workspaces::settings::{algorithm_word, lot_scope_word};

/// Method and scope from a day on, until the next policy.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyBody {
    /// The day from whose start it holds, in the profile's time zone, e.g. `2025-01-01`.
    effective_from: String,
    /// `FIFO`, `LIFO`, `HIFO` or `LOFO`; left out or `null`, the method before goes on.
    gains_algorithm: Option<String>,
    /// `universal` or `connection`; left out or `null`, the scope before goes on.
    lot_scope: Option<String>,
    /// Where the scope becomes `connection`: lots dealt by your word, before the rule deals the rest.
    #[serde(default)]
    allocation: Vec<AllocationBody>,
}

/// A quantity of one lot that goes to one connection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AllocationBody {
    /// The lot, as reports print it.
    lot_id: String,
    /// To which connection.
    connection_id: Uuid,
    /// How much of it, in decimal satoshis.
    quantity_sat: String,
}

impl From<Policy> for PolicyBody {
    fn from(row: Policy) -> Self {
        Self {
            effective_from: row.day,
            gains_algorithm: row.gains_algorithm.map(|algorithm| algorithm_word(algorithm).to_owned()),
            lot_scope: row.lot_scope.map(|scope| lot_scope_word(scope).to_owned()),
            allocation: row.allocation.into_iter().map(AllocationBody::from).collect(),
        }
    }
}

impl From<Allocated> for AllocationBody {
    fn from(row: Allocated) -> Self {
        let quantity_sat = Msats::new(row.msat).to_sat_text();
        Self { lot_id: row.lot, connection_id: row.connection, quantity_sat }
    }
}

impl From<PolicyBody> for NewPolicy {
    fn from(body: PolicyBody) -> Self {
        let allocation =
            body.allocation.into_iter().map(|row| (row.lot_id, row.connection_id, row.quantity_sat));
        Self {
            effective_from: body.effective_from,
            gains_algorithm: body.gains_algorithm,
            lot_scope: body.lot_scope,
            allocation: allocation.collect(),
        }
    }
}

/// Refuses allocations to what is no connection of the profile. `access` is that of a profile that exists; a new one has
/// no connections.
pub(super) async fn known_connections(
    policies: &[PolicyBody],
    access: Option<&BookAccess>,
) -> Result<(), Problem> {
    if policies.iter().all(|policy| policy.allocation.is_empty()) {
        return Ok(());
    }
    let known = match access {
        Some(access) => access.read(|book| book.connections()).await?,
        None => Vec::new(),
    };
    for (at, policy) in policies.iter().enumerate() {
        for (row, allocated) in policy.allocation.iter().enumerate() {
            let id = allocated.connection_id.to_string();
            if !known.iter().any(|connection| connection.id == id) {
                let field = format!("policies[{at}].allocation[{row}].connection_id");
                return Err(Problem::field(&field, format!("{field} names no connection of this profile")));
            }
        }
    }
    Ok(())
}
