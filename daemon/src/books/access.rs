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

use super::settings::{NO_CONNECTION, engine_settings};
use crate::api::access::OwnedProfile;
use crate::clock;
use crate::rates;
use crate::server::problem::{Code, Problem};
use crate::state::AppState;
use crate::store::record::{Profile, Settings};
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

    /// Brings settings and rates as they are now into the book, where they are facts; marks what they change. Takes a
    /// turn to write only when something differs, so it may go before every report.
    pub(crate) async fn prepare(&self) -> Result<(), Problem> {
        let access = self.clone();
        let behind = move |book: &Snapshot| Ok::<_, Problem>(access.facts_now(book)?.differ_from(book)?);
        if self.read(behind).await? {
            let access = self.clone();
            self.write(move |book| access.prepare_now(book)).await?;
        }
        Ok(())
    }

    /// [`BookAccess::prepare`] before something is only read: a disk that takes no writes does not stand in the way, since what is
    /// there can be read as it is.
    pub(crate) async fn prepare_to_read(&self) -> Result<(), Problem> {
        unless_unwritable(self.prepare().await)
    }

    /// [`BookAccess::write`] after [`BookAccess::prepare`], in one turn: `work` sees the facts of this moment.
    pub(crate) async fn write_prepared<R, F>(&self, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        F: FnOnce(&Book) -> Result<R, Problem> + Send + 'static,
    {
        let access = self.clone();
        self.write(move |book| {
            access.prepare_now(book)?;
            work(book)
        })
        .await
    }

    /// [`BookAccess::prepare`] within a turn to write. The facts are read here and not when the request began: what
    /// an earlier turn wrote is never older than what this one writes.
    pub(super) fn prepare_now(&self, book: &Book) -> Result<(), Problem> {
        let known = book.snapshot()?;
        let facts = self.facts_now(&known)?;
        if !facts.differ_from(&known)? {
            return Ok(());
        }
        book.set_settings(now(), &facts.settings)?;
        let (user, known) = (self.user, known.rates_cursor()?);
        let newer = self.state.store.read_now::<_, Problem>(|tx| Ok(rates::since(tx, user, known)?))?;
        if let Some((cursor, points)) = newer {
            let points = points.into_iter().map(engine_rate).collect::<Result<Vec<_>, _>>()?;
            book.put_rates(now(), cursor, &points)?;
        }
        Ok(())
    }

    /// The profile as it is now. Blocks.
    pub(super) fn profile_now(&self) -> Result<Profile, Problem> {
        let read =
            |tx: &crate::store::ReadTx| profiles::owned(tx, self.user, self.workspace, self.profile_id);
        self.state.store.read_now::<_, Problem>(read)
    }

    /// Blocks. Connections are those of `book`; one that was removed gets nothing dealt.
    fn facts_now(&self, book: &Snapshot) -> Result<Facts, Problem> {
        self.state.store.read_now::<_, Problem>(|tx| {
            let profile = profiles::owned(tx, self.user, self.workspace, self.profile_id)?;
            let rates_revision = rates::revision(tx, self.user)?;
            Ok(Facts { settings: settings_in(book, &profile.settings)?, rates_revision })
        })
    }
}

/// A profile's settings as `book` keeps them, with its numbers of connections.
pub(super) fn settings_in(book: &Snapshot, settings: &Settings) -> Result<model::Settings, Problem> {
    let connections = book.connections()?;
    engine_settings(settings, |id: Uuid| {
        let id = id.to_string();
        connections.iter().find(|known| known.id == id).map_or(NO_CONNECTION, |known| known.no)
    })
}

/// Passes over a disk that is full or failing, with a word in the log.
fn unless_unwritable(prepared: Result<(), Problem>) -> Result<(), Problem> {
    match prepared {
        Err(problem) if matches!(problem.code(), Code::StorageFull | Code::StorageFailed) => {
            tracing::warn!(
                ?problem,
                "the book is read without rates or settings that it cannot take over now"
            );
            Ok(())
        }
        other => other,
    }
}

/// What the book has to know before anything is derived.
struct Facts {
    settings: model::Settings,
    rates_revision: u64,
}

impl Facts {
    fn differ_from(&self, book: &Snapshot) -> Result<bool, nacre_engine::Error> {
        Ok(book.settings()? != self.settings || book.rates_cursor()? != self.rates_revision)
    }
}

/// The present instant, as the engine counts.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(clock::now_ms().saturating_mul(1000))
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

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::BookAccess;
    use crate::rates;
    use crate::server::problem::Problem;
    use crate::store::StoreError;
    use crate::workspaces::settings::Change;
    use crate::workspaces::{self, profiles};
    use crate::{AppState, Config};
    use uuid::Uuid;

    /// A user's profile on a fresh data folder.
    pub(crate) async fn fresh(dir: &Path) -> BookAccess {
        let state = AppState::open(Config::for_data_dir(dir)).await.unwrap();
        let user = Uuid::now_v7();
        let make = move |tx: &crate::store::WriteTx| {
            let workspace = workspaces::create(tx, user, "w")?.0;
            Ok((workspace, profiles::create(tx, user, workspace, ("label", "p"), Change::default())?.0))
        };
        let (workspace, profile) = state.store.write::<_, Problem, _>(make).await.unwrap();
        BookAccess::prove(&state, user, workspace, profile).await.unwrap()
    }

    async fn import(access: &BookAccess, csv: &'static str) {
        let (user, points) = (access.user, rates::parse_csv(csv.as_bytes()).unwrap());
        let write = move |tx: &crate::store::WriteTx| rates::import(tx, user, &points).map(drop);
        access.state.store.write::<_, StoreError, _>(write).await.unwrap();
    }

    #[test]
    fn a_disk_that_takes_no_writes_hinders_no_reading() {
        use crate::server::problem::Code;
        let with = |code| super::unless_unwritable(Err(Problem::new(code, "no")));
        assert!(with(Code::StorageFull).is_ok() && with(Code::StorageFailed).is_ok());
        for code in [Code::NotFound, Code::BookDamaged, Code::Overloaded] {
            assert_eq!(with(code).unwrap_err().code(), code);
        }
    }

    #[tokio::test]
    async fn a_request_that_began_earlier_writes_nothing_older_into_the_book() {
        let dir = tempfile::tempdir().unwrap();
        let old = fresh(dir.path()).await;
        old.prepare().await.unwrap();
        let change = Change { fiat_currency: Some("EUR".to_owned()), ..Change::default() };
        let (user, workspace, profile) = (old.user, old.workspace, old.profile_id);
        let put = move |tx: &crate::store::WriteTx| {
            profiles::change_settings(tx, user, workspace, profile, change).map(drop)
        };
        old.state.store.write::<_, Problem, _>(put).await.unwrap();
        import(&old, "time,pair,rate\n2025-01-01,BTC-EUR,1\n").await;
        BookAccess::prove(&old.state, user, workspace, profile).await.unwrap().prepare().await.unwrap();

        old.prepare().await.unwrap();
        let found = old.read(|book| -> Result<_, nacre_engine::Error> {
            Ok((
                book.settings()?.fiat_currency.to_string(),
                book.rates_cursor()?,
                book.header()?.book_version,
            ))
        });
        let (currency, cursor, version) = found.await.unwrap();
        assert_eq!((currency.as_str(), cursor), ("EUR", 1));
        old.prepare().await.unwrap();
        assert_eq!(old.read(|book| book.header()).await.unwrap().book_version, version, "nothing new");
    }
}
