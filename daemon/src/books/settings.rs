//! A profile's settings in the words of the engine.

use jiff::civil::Date;
use nacre_engine::id::ConnectionNo;
use nacre_engine::model::{self, Era};
use nacre_engine::money::Msats;
use nacre_engine::time::Zone;
use uuid::Uuid;

use crate::server::problem::Problem;
use crate::store::record::{GainsAlgorithm, LotScope, Policy, Settings, TransferFeeTreatment};
use crate::workspaces::policies::in_force;

/// No connection has this number, so that nothing is ever dealt to it.
pub(super) const NO_CONNECTION: ConnectionNo = ConnectionNo(0);

/// Whether settings fit together, connections aside.
///
/// # Errors
/// `invalid_field` with the field that stands in the way.
pub(crate) fn check(settings: &Settings) -> Result<(), Problem> {
    let settings = engine_settings(settings, |_| NO_CONNECTION)?;
    settings.check()?;
    Era::all(&settings, &Zone::named(&settings.timezone)?)?;
    Ok(())
}

/// Settings as the book keeps them; `number` numbers connections.
pub(super) fn engine_settings(
    settings: &Settings,
    number: impl Fn(Uuid) -> ConnectionNo,
) -> Result<model::Settings, Problem> {
    let policies = settings.policies.iter().zip(in_force(settings));
    let policies = policies.map(|(policy, in_force)| engine_policy(policy, in_force, &number));
    Ok(model::Settings {
        fiat_currency: settings.fiat_currency.parse()?,
        method: method(settings.gains_algorithm),
        lot_scope: scope(settings.lot_scope),
        fee_treatment: match settings.transfer_fee_treatment {
            TransferFeeTreatment::Dispose => model::FeeTreatment::Dispose,
            TransferFeeTreatment::CarryBasis => model::FeeTreatment::CarryBasis,
        },
        timezone: settings.timezone.clone(),
        rate_max_age_hours: settings.rate_max_age_hours,
        policies: policies.collect::<Result<_, _>>()?,
    })
}

fn engine_policy(
    policy: &Policy,
    in_force: (GainsAlgorithm, LotScope),
    number: &impl Fn(Uuid) -> ConnectionNo,
) -> Result<model::Policy, Problem> {
    let allocation = policy.allocation.iter().map(|row| model::Allocation {
        lot: row.lot.clone(),
        connection: number(row.connection),
        quantity: Msats::new(row.msat),
    });
    Ok(model::Policy {
        from: policy.day.parse::<Date>().map_err(|error| Problem::internal(&error))?,
        method: method(in_force.0),
        lot_scope: scope(in_force.1),
        allocation: allocation.collect(),
    })
}

const fn method(algorithm: GainsAlgorithm) -> model::Method {
    match algorithm {
        GainsAlgorithm::Fifo => model::Method::Fifo,
        GainsAlgorithm::Lifo => model::Method::Lifo,
        GainsAlgorithm::Hifo => model::Method::Hifo,
        GainsAlgorithm::Lofo => model::Method::Lofo,
        GainsAlgorithm::AvgCost => model::Method::AvgCost,
        GainsAlgorithm::UkS104 => model::Method::UkS104,
    }
}

const fn scope(scope: LotScope) -> model::LotScope {
    match scope {
        LotScope::Universal => model::LotScope::Universal,
        LotScope::Connection => model::LotScope::Connection,
    }
}
