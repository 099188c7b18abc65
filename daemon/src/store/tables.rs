//! Every table of `system.redb` on one screen. Keys sort in business order: ids are UUIDv7 as `u128`, so
//! they sort by creation; a row that belongs to someone has its owner first in the key, so a caller who
//! cannot name the owner cannot reach the row.

use std::marker::PhantomData;

use redb::{Key, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::StoreError;
use super::codec::{self, Record};
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

/// Calls a function with every table first, then the arguments.
macro_rules! with_every_table {
    ($call:ident($($argument:expr),*)) => {
        $call(&USERS, $($argument),*)?;
        $call(&USERS_BY_EMAIL, $($argument),*)?;
        $call(&SIGNING_KEYS, $($argument),*)?;
        $call(&API_KEYS, $($argument),*)?;
        $call(&SESSIONS, $($argument),*)?;
        $call(&WORKSPACES, $($argument),*)?;
        $call(&PROFILES, $($argument),*)?;
        $call(&REMOVED_BOOKS, $($argument),*)?;
        $call(&ONCHAIN_CONFIGS, $($argument),*)?;
        $call(&OPERATIONS, $($argument),*)?;
        $call(&IDEMPOTENCY, $($argument),*)?;
        $call(&RATES, $($argument),*)?;
        $call(&RATE_REVISIONS, $($argument),*)?;
        $call(&FEEDBACK, $($argument),*)?;
    };
}

pub(super) fn create_all(txn: &WriteTransaction) -> Result<(), StoreError> {
    with_every_table!(create(txn));
    Ok(())
}

/// Copies every row of every table.
pub(super) fn copy_all(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    with_every_table!(copy(from, to));
    Ok(())
}

/// Reads every row of every table; how many there are.
pub(super) fn check_all(txn: &ReadTransaction) -> Result<u64, StoreError> {
    let mut rows = 0;
    with_every_table!(check(txn, &mut rows));
    Ok(rows)
}

fn create<K: Key + 'static, R>(table: &Table<K, R>, txn: &WriteTransaction) -> Result<(), StoreError> {
    txn.open_table(table.definition())?;
    Ok(())
}

fn copy<K: Key + 'static, R>(
    table: &Table<K, R>,
    from: &ReadTransaction,
    to: &WriteTransaction,
) -> Result<(), StoreError> {
    let from = from.open_table(table.definition())?;
    let mut to = to.open_table(table.definition())?;
    for row in from.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}

fn check<K: Key + 'static, R: Record>(
    table: &Table<K, R>,
    txn: &ReadTransaction,
    rows: &mut u64,
) -> Result<(), StoreError> {
    for row in txn.open_table(table.definition())?.iter()? {
        codec::decode::<R>(table.name(), row?.1.value())?;
        *rows += 1;
    }
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
