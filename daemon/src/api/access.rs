//! The one check in front of every route of a profile: a valid token, and a workspace of the caller that
//! holds the profile. A handler that takes [`OwnedProfile`] cannot run for anyone else.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use super::InProfile;
use crate::identity::AuthUser;
use crate::server::extract::Path;
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::record::Profile;
use crate::workspaces::profiles;

/// The profile of the path (`{w}`, `{p}`), proven to be the caller's.
pub(crate) struct OwnedProfile {
    /// Who asks.
    pub(crate) user: Uuid,
    /// The workspace.
    pub(crate) workspace: Uuid,
    /// The profile; also the name of its book.
    pub(crate) id: Uuid,
    /// Its label and settings.
    pub(crate) profile: Profile,
}

impl FromRequestParts<AppState> for OwnedProfile {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let user = AuthUser::from_request_parts(parts, state).await?.id;
        let Path(at) = Path::<InProfile>::from_request_parts(parts, state).await?;
        let profile = state.store.read(move |tx| profiles::owned(tx, user, at.w, at.p)).await?;
        Ok(Self { user, workspace: at.w, id: at.p, profile })
    }
}
