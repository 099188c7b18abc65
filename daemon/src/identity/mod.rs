//! Who is who: accounts, passwords, tokens. The rest of the daemon sees a user id and nothing else.
//!
//! Invariants: a password is hashed off the async threads, two at a time; a wrong password and an unknown
//! e-mail take the same time and get the same answer; a token is believed only with our key, algorithm,
//! issuer, audience and time.

pub(crate) mod auth;
mod jwt_ring;
mod passwords;
mod throttle;
pub(crate) mod tokens;
mod users;

use std::time::Duration;

use axum::http::HeaderMap;
use uuid::Uuid;

use crate::config::{Config, Registration};
use crate::server::StartError;
use crate::store::{ReadTx, Rows, Store, StoreError, tables};
use passwords::Passwords;
use throttle::Throttle;
use tokens::Tokens;

pub(crate) use auth::AuthUser;
pub(crate) use tokens::{Audience, Issued};

/// Failed logins one account may have within the window.
const ACCOUNT_FAILURES: u32 = 10;
/// Failed logins one address may have within the window.
const ADDRESS_FAILURES: u32 = 50;
const FAILURE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Accounts and tokens of one server.
pub(crate) struct Identity {
    store: Store,
    registration: Registration,
    login_ttl_secs: u64,
    access_ttl_secs: u64,
    passwords: Passwords,
    tokens: Tokens,
    by_account: Throttle,
    by_address: Throttle,
}

impl Identity {
    /// Reads the signing keys, making one at first start.
    pub(crate) async fn open(store: Store, config: &Config) -> Result<Self, StartError> {
        let issuer = config.public_url.clone().unwrap_or_else(|| "nacre".to_owned());
        Ok(Self {
            tokens: Tokens::open(store.clone(), issuer).await?,
            passwords: Passwords::new().await?,
            store,
            registration: config.registration,
            login_ttl_secs: config.login_ttl_secs,
            access_ttl_secs: config.access_ttl_secs,
            by_account: Throttle::new(ACCOUNT_FAILURES, FAILURE_WINDOW),
            by_address: Throttle::new(ADDRESS_FAILURES, FAILURE_WINDOW),
        })
    }

    /// The tokens of this server.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The user behind a valid bearer token of any audience, if there is one.
    pub(crate) async fn user_of(&self, headers: &HeaderMap) -> Option<Uuid> {
        let token = auth::bearer(headers)?;
        self.tokens.verify(token).await.ok().map(|verified| verified.user)
    }

    /// Removes logins that have run out. Writes nothing if there are none.
    pub(crate) async fn forget_expired_sessions(&self) -> Result<(), StoreError> {
        let now_ms = crate::clock::now_ms();
        let everything = || (0, 0)..=(u128::MAX, u128::MAX);
        let find = move |tx: &ReadTx| {
            tx.scan(&tables::SESSIONS, everything(), usize::MAX, |_, row| row.expires_at_ms <= now_ms)
        };
        if !self.store.read::<_, StoreError, _>(find).await?.contains(&true) {
            return Ok(());
        }
        self.store
            .write(move |tx| tx.retain(&tables::SESSIONS, everything(), |row| row.expires_at_ms > now_ms))
            .await
    }
}
