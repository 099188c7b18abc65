//! Every table of `system.redb` on one screen. Keys sort in business order: ids are UUIDv7 as `u128`, so
//! they sort by creation; a row that belongs to someone has its owner first in the key, so a caller who
//! cannot name the owner cannot reach the row.

use std::marker::PhantomData;

use redb::{Key, TableDefinition, WriteTransaction};

use super::StoreError;
use super::record::{
    ApiKey, EmailOwner, Feedback, Idempotent, OnchainConfig, Operation, Profile, Rate, RateRevision,
    RemovedBook, Session, SigningKey, User, Workspace,
};

/// `user` → the account.
pub(crate) const USERS: Table<u128, User> = Table::new("users");
/// Lower-cased e-mail → user.
pub(crate) const USERS_BY_EMAIL: Table<&str, EmailOwner> = Table::new("users_by_email");
/// `kid` → Ed25519 key that signs tokens.
pub(crate) const SIGNING_KEYS: Table<&str, SigningKey> = Table::new("signing_keys");
/// SHA-256 of an API key → user.
pub(crate) const API_KEYS: Table<[u8; 32], ApiKey> = Table::new("api_keys");
/// `(user, jti)` → a login.
pub(crate) const SESSIONS: Table<(u128, u128), Session> = Table::new("sessions");
/// `(owner, workspace)`.
pub(crate) const WORKSPACES: Table<(u128, u128), Workspace> = Table::new("workspaces");
/// `(workspace, profile)`.
pub(crate) const PROFILES: Table<(u128, u128), Profile> = Table::new("profiles");
/// A deleted profile, until its book is unlinked.
pub(crate) const REMOVED_BOOKS: Table<u128, RemovedBook> = Table::new("removed_books");
/// `(workspace, config)`.
pub(crate) const ONCHAIN_CONFIGS: Table<(u128, u128), OnchainConfig> = Table::new("onchain_configs");
/// `(user, operation)`.
pub(crate) const OPERATIONS: Table<(u128, u128), Operation> = Table::new("operations");
/// SHA-256 of (user, path, query, key) → the first answer.
pub(crate) const IDEMPOTENCY: Table<[u8; 32], Idempotent> = Table::new("idempotency");
/// `(user, pair, unix milliseconds)`.
pub(crate) const RATES: Table<(u128, &str, i64), Rate> = Table::new("rates");
/// `user` → revision of the user's rates.
pub(crate) const RATE_REVISIONS: Table<u128, RateRevision> = Table::new("rate_revisions");
/// `(user, feedback)`.
pub(crate) const FEEDBACK: Table<(u128, u128), Feedback> = Table::new("feedback");

pub(super) fn create_all(txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(USERS.definition())?;
    txn.open_table(USERS_BY_EMAIL.definition())?;
    txn.open_table(SIGNING_KEYS.definition())?;
    txn.open_table(API_KEYS.definition())?;
    txn.open_table(SESSIONS.definition())?;
    txn.open_table(WORKSPACES.definition())?;
    txn.open_table(PROFILES.definition())?;
    txn.open_table(REMOVED_BOOKS.definition())?;
    txn.open_table(ONCHAIN_CONFIGS.definition())?;
    txn.open_table(OPERATIONS.definition())?;
    txn.open_table(IDEMPOTENCY.definition())?;
    txn.open_table(RATES.definition())?;
    txn.open_table(RATE_REVISIONS.definition())?;
    txn.open_table(FEEDBACK.definition())?;
    Ok(())
}

/// A table with the type of its key and of its record.
pub(crate) struct Table<K: Key + 'static, R> {
    name: &'static str,
    types: PhantomData<fn() -> (K, R)>,
}

impl<K: Key + 'static, R> Table<K, R> {
    const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn definition(&self) -> TableDefinition<'static, K, &'static [u8]> {
        TableDefinition::new(self.name)
    }
}
