//! [`BookAccess`]: the proof that a user may use a profile's book, and the way to it.
//!
//! Invariants: whoever does not own the workspace gets `404`; before anything is derived or imported, the profile's
//! settings and the user's rates are facts of the book ([`BookAccess::prepare`]).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use nacre_engine::book::{Book, RatePoint, Snapshot};
use nacre_engine::model;
use nacre_engine::time::Timestamp;
use uuid::Uuid;

use crate::api::access::OwnedProfile;
use crate::clock;
use crate::rates;
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::{GainsAlgorithm, LotScope, Profile, Settings, TransferFeeTreatment};
use crate::workspaces::profiles;

/// A user in one of their profiles. As an extractor it reads `{w}` and `{p}` from the path and the user from the token.
#[derive(Clone)]
pub(crate) struct BookAccess {
    /// Who asks.
    pub(crate) user: Uuid,
    /// The workspace of the profile.
    pub(crate) workspace: Uuid,
    /// The profile.
    pub(crate) profile_id: Uuid,
    /// Label and settings of the profile.
    pub(crate) profile: Profile,
    /// The server.
    pub(crate) state: AppState,
}

impl FromRequestParts<AppState> for BookAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let OwnedProfile { user, workspace, id, profile } =
            OwnedProfile::from_request_parts(parts, state).await?;
        Ok(Self { user, workspace, profile_id: id, profile, state: state.clone() })
    }
}

impl BookAccess {
    /// Access of `user` to a profile.
    ///
    /// # Errors
    /// `not_found` when it is not there or not theirs.
    pub(crate) async fn prove(
        state: &AppState,
        user: Uuid,
        workspace: Uuid,
        profile_id: Uuid,
    ) -> Result<Self, Problem> {
        let read = move |tx: &crate::store::ReadTx| profiles::owned(tx, user, workspace, profile_id);
        let profile = state.store.read(read).await?;
        Ok(Self { user, workspace, profile_id, profile, state: state.clone() })
    }

    /// [`Books::read`](super::Books::read) of this profile.
    pub(crate) async fn read<R, E, F>(&self, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
        F: FnOnce(&Snapshot) -> Result<R, E> + Send + 'static,
    {
        self.state.books.read(self.profile_id, work).await
    }

    /// [`Books::write`](super::Books::write) of this profile.
    pub(crate) async fn write<R, E, F>(&self, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
        F: FnOnce(&Book) -> Result<R, E> + Send + 'static,
    {
        self.state.books.write(self.profile_id, work).await
    }

    /// Copies the profile's settings and the user's new rates into the book, where they are facts.
    pub(crate) async fn prepare(&self) -> Result<(), Problem> {
        let settings = engine_settings(&self.profile.settings)?;
        self.write(move |book| book.set_settings(now(), &settings)).await?;
        let known = self.read(|book| book.rates_cursor()).await?;
        let user = self.user;
        let read = move |tx: &crate::store::ReadTx| rates::since(tx, user, known);
        let Some((cursor, points)) = self.state.store.read(read).await? else { return Ok(()) };
        let points = points.into_iter().map(engine_rate).collect::<Result<Vec<_>, _>>()?;
        self.write(move |book| book.put_rates(now(), cursor, &points)).await?;
        Ok(())
    }
}

/// The present instant, as the engine counts.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_ms().saturating_mul(1000))
}

fn engine_settings(settings: &Settings) -> Result<model::Settings, Problem> {
    Ok(model::Settings {
        fiat_currency: settings.fiat_currency.parse()?,
        method: match settings.gains_algorithm {
            GainsAlgorithm::Fifo => model::Method::Fifo,
            GainsAlgorithm::Lifo => model::Method::Lifo,
        },
        lot_scope: match settings.lot_scope {
            LotScope::Universal => model::LotScope::Universal,
            LotScope::Connection => model::LotScope::Connection,
        },
        fee_treatment: match settings.transfer_fee_treatment {
            TransferFeeTreatment::Dispose => model::FeeTreatment::Dispose,
            TransferFeeTreatment::CarryBasis => model::FeeTreatment::CarryBasis,
        },
        timezone: settings.timezone.clone(),
        rate_max_age_hours: settings.rate_max_age_hours,
    })
}

fn engine_rate(point: rates::Point) -> Result<RatePoint, Problem> {
    let currency = point.pair.strip_prefix("BTC-").unwrap_or(&point.pair);
    Ok(RatePoint {
        currency: currency.parse()?,
        time: Timestamp::from_micros(point.at_ms.saturating_mul(1000)),
        rate: rates::engine_rate(&point.rate.value)?,
        provider: point.rate.source,
    })
}
