//! Profiles: one set of books each, here only their label and settings. The book itself is a file of the
//! engine that shares the profile's id.

use uuid::Uuid;

use super::chain_sources::{self, NewSource};
use super::settings::{self, Change};
use super::{checked_label, owned as owned_workspace};
use crate::clock;
use crate::server::page::{Page, PageQuery, id_key};
use crate::server::problem::Problem;
use crate::store::record::{OnchainConfig, Profile, RemovedBook};
use crate::store::{Rows, StoreError, WriteTx, tables};

/// The profile, if it lies in a workspace of the user.
pub(crate) fn owned(tx: &impl Rows, user: Uuid, workspace: Uuid, id: Uuid) -> Result<Profile, Problem> {
    owned_workspace(tx, user, workspace)?;
    tx.get(&tables::PROFILES, key(workspace, id))?.ok_or_else(|| Problem::not_found("profile"))
}

/// Makes a profile; what `change` leaves out has its default.
pub(crate) fn create(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    label: (&str, &str),
    change: Change,
) -> Result<(Uuid, Profile), Problem> {
    owned_workspace(tx, user, workspace)?;
    let mut row = Profile {
        label: checked_label(label.0, label.1)?,
        created_at_ms: clock::now_ms(),
        settings: settings::defaults(),
    };
    change.apply(tx, workspace, &mut row.settings)?;
    let id = Uuid::now_v7();
    tx.put(&tables::PROFILES, key(workspace, id), &row)?;
    Ok((id, row))
}

/// Profile, chain source, selection and settings at once; any mistake leaves nothing behind, because the
/// caller's transaction is dropped with the error.
pub(crate) fn setup(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    profile_label: &str,
    change: Change,
    source: &NewSource,
    select_as_default: bool,
) -> Result<SetUp, Problem> {
    let (config_id, config) = chain_sources::create(tx, user, workspace, source)?;
    let (id, _) = create(tx, user, workspace, ("profile_label", profile_label), change)?;
    if select_as_default {
        chain_sources::select(tx, user, workspace, config_id, Some(id))?;
        chain_sources::select(tx, user, workspace, config_id, None)?;
    }
    let profile = owned(tx, user, workspace, id)?;
    Ok(SetUp { id, profile, config_id, config })
}

/// What [`setup`] made.
pub(crate) struct SetUp {
    /// Id of the profile.
    pub(crate) id: Uuid,
    /// The profile with its settings.
    pub(crate) profile: Profile,
    /// Id of the chain source.
    pub(crate) config_id: Uuid,
    /// The chain source.
    pub(crate) config: OnchainConfig,
}

/// A page of the workspace's profiles, oldest first.
pub(crate) fn list(
    tx: &impl Rows,
    user: Uuid,
    workspace: Uuid,
    query: &PageQuery,
) -> Result<Page<(Uuid, Profile)>, Problem> {
    owned_workspace(tx, user, workspace)?;
    let (limit, from) = query.after_id()?;
    let range = key(workspace, Uuid::from_u128(from))..=key(workspace, Uuid::max());
    let rows = tx.scan(&tables::PROFILES, range, limit + 1, |key, row| (Uuid::from_u128(key.1), row))?;
    Ok(Page::cut(rows, limit, |(id, _)| id_key(*id)))
}

/// Gives a profile another label.
pub(crate) fn rename(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    id: Uuid,
    label: &str,
) -> Result<Profile, Problem> {
    let mut row = owned(tx, user, workspace, id)?;
    row.label = checked_label("label", label)?;
    tx.put(&tables::PROFILES, key(workspace, id), &row)?;
    Ok(row)
}

/// Changes settings of a profile.
pub(crate) fn change_settings(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    id: Uuid,
    change: Change,
) -> Result<Profile, Problem> {
    let mut row = owned(tx, user, workspace, id)?;
    change.apply(tx, workspace, &mut row.settings)?;
    tx.put(&tables::PROFILES, key(workspace, id), &row)?;
    Ok(row)
}

/// Removes the profile's row and notes that its book has to go; the caller unlinks it afterwards and says so with
/// [`book_is_gone`], or else the next start does.
pub(crate) fn delete(tx: &WriteTx, user: Uuid, workspace: Uuid, id: Uuid) -> Result<(), Problem> {
    owned(tx, user, workspace, id)?;
    tx.remove(&tables::PROFILES, key(workspace, id))?;
    tx.put(&tables::REMOVED_BOOKS, id.as_u128(), &RemovedBook { deleted_at_ms: clock::now_ms() })?;
    Ok(())
}

/// Forgets a deleted profile whose book is unlinked.
pub(crate) fn book_is_gone(tx: &WriteTx, id: Uuid) -> Result<(), StoreError> {
    tx.remove(&tables::REMOVED_BOOKS, id.as_u128()).map(drop)
}

/// Writes a changed profile back.
pub(super) fn put(tx: &WriteTx, workspace: Uuid, id: Uuid, row: &Profile) -> Result<(), Problem> {
    tx.put(&tables::PROFILES, key(workspace, id), row)?;
    Ok(())
}

fn key(workspace: Uuid, profile: Uuid) -> (u128, u128) {
    (workspace.as_u128(), profile.as_u128())
}
