//! What every handler can reach: configuration, store, identity, books, jobs, limits. Cheap to clone.
//! New subsystems add a `pub(crate)` field here and build it in [`AppState::open`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backup::restore::unfinished;
use crate::books::{Books, Spool, leftovers};
use crate::config::Config;
use crate::identity::Identity;
use crate::jobs::Jobs;
use crate::jobs::sync::Syncing;
use crate::server::StartError;
use crate::server::idempotency::InFlight;
use crate::server::limits::Limits;
use crate::store::Store;

/// Shared state of one running server.
#[derive(Clone)]
pub struct AppState {
    /// Effective settings.
    pub(crate) config: Arc<Config>,
    /// The system store (`system.redb`).
    pub(crate) store: Store,
    /// Users, passwords and tokens.
    pub(crate) identity: Arc<Identity>,
    /// The books of all profiles.
    pub(crate) books: Books,
    /// Background operations and their progress.
    pub(crate) jobs: Jobs,
    /// The profiles whose wallets are being synced.
    pub(crate) syncing: Syncing,
    /// Request, export and connection bounds.
    pub(crate) limits: Arc<Limits>,
    /// Idempotency keys whose first request is still running.
    pub(crate) in_flight: InFlight,
    /// Cancelled once when the server stops; long streams end on it.
    pub(crate) shutdown: CancellationToken,
}

impl AppState {
    /// Opens the data folder (creating it if needed) and everything that lives on it.
    ///
    /// # Errors
    /// When the folder cannot be created, the store cannot be opened (another process has it, or it is
    /// damaged), or the signing key cannot be made.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        if let Some(left) = unfinished(&config.data_dir) {
            return Err(StartError::Unrestored { path: config.data_dir, left });
        }
        let books_dir = config.data_dir.join("books");
        create_private_dir(&books_dir)
            .map_err(|source| StartError::DataDir { path: books_dir.clone(), source })?;
        let spool_dir = config.data_dir.join("spool");
        let store = Store::open(&config.data_dir.join("system.redb"), spool_dir.clone(), config.cache_mib)?;
        // Only behind the store, whose lock proves that no other server uses the folder.
        Spool::prepare(&spool_dir)
            .map_err(|source| StartError::DataDir { path: spool_dir.clone(), source })?;
        leftovers::sweep(&config.data_dir, &store)?;
        let config = Arc::new(config);
        let shutdown = CancellationToken::new();
        let identity = Arc::new(Identity::open(store.clone(), &config).await?);
        let jobs = Jobs::open(store.clone(), shutdown.clone()).await?;
        let books = Books::new(books_dir, spool_dir, config.cache_mib);
        let limits = Arc::new(Limits::new(&config));
        Ok(Self {
            config,
            store,
            identity,
            books,
            jobs,
            syncing: Syncing::default(),
            limits,
            in_flight: InFlight::default(),
            shutdown,
        })
    }

    /// The folder of received files.
    pub(crate) fn spool_dir(&self) -> PathBuf {
        self.config.data_dir.join("spool")
    }

    /// The background jobs, for code in the same process.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }
}

/// Makes a folder and its parents; new ones are for their owner only, because keys and hashes live there.
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
