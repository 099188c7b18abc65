//! Workspaces and what they hold: profiles with their settings, and chain sources. The rules about them.
//!
//! Invariant: whoever cannot prove ownership of the workspace gets `404` for everything in it. A workspace
//! belongs to the user who made it. Functions work inside a transaction of the caller, so several compose
//! into one.

pub(crate) mod chain_sources;
pub(crate) mod policies;
pub(crate) mod profiles;
pub(crate) mod settings;

use uuid::Uuid;

use crate::clock;
use crate::server::page::{Page, PageQuery, id_key};
use crate::server::problem::{Code, Problem};
use crate::store::record::Workspace;
use crate::store::{Rows, WriteTx, tables};

const MAX_LABEL_CHARS: usize = 100;

/// The workspace, if it is the user's.
pub(crate) fn owned(tx: &impl Rows, user: Uuid, workspace: Uuid) -> Result<Workspace, Problem> {
    tx.get(&tables::WORKSPACES, key(user, workspace))?.ok_or_else(|| Problem::not_found("workspace"))
}

/// Makes a workspace.
pub(crate) fn create(tx: &WriteTx, user: Uuid, label: &str) -> Result<(Uuid, Workspace), Problem> {
    let row = Workspace {
        label: checked_label("label", label)?,
        created_at_ms: clock::now_ms(),
        default_onchain_config: None,
    };
    let id = Uuid::now_v7();
    tx.put(&tables::WORKSPACES, key(user, id), &row)?;
    Ok((id, row))
}

/// A page of the user's workspaces, oldest first.
pub(crate) fn list(
    tx: &impl Rows,
    user: Uuid,
    query: &PageQuery,
) -> Result<Page<(Uuid, Workspace)>, Problem> {
    let (limit, from) = query.after_id()?;
    let range = (user.as_u128(), from)..=(user.as_u128(), u128::MAX);
    let rows = tx.scan(&tables::WORKSPACES, range, limit + 1, |key, row| (Uuid::from_u128(key.1), row))?;
    Ok(Page::cut(rows, limit, |(id, _)| id_key(*id)))
}

/// Gives a workspace another label.
pub(crate) fn rename(tx: &WriteTx, user: Uuid, id: Uuid, label: &str) -> Result<Workspace, Problem> {
    let mut row = owned(tx, user, id)?;
    row.label = checked_label("label", label)?;
    tx.put(&tables::WORKSPACES, key(user, id), &row)?;
    Ok(row)
}

/// Removes an empty workspace together with its chain sources.
pub(crate) fn delete(tx: &WriteTx, user: Uuid, id: Uuid) -> Result<(), Problem> {
    owned(tx, user, id)?;
    let inside = (id.as_u128(), 0)..=(id.as_u128(), u128::MAX);
    if tx.last(&tables::PROFILES, inside.clone(), |_, _| ())?.is_some() {
        return Err(Problem::new(Code::StillInUse, "the workspace has profiles; delete them first"));
    }
    tx.retain(&tables::ONCHAIN_CONFIGS, inside, |_| false)?;
    tx.remove(&tables::WORKSPACES, key(user, id))?;
    Ok(())
}

/// Writes a changed workspace back.
pub(super) fn put(tx: &WriteTx, user: Uuid, id: Uuid, row: &Workspace) -> Result<(), Problem> {
    tx.put(&tables::WORKSPACES, key(user, id), row)?;
    Ok(())
}

/// A label without surrounding blanks, if it is one line of sensible length.
pub(crate) fn checked_label(field: &str, label: &str) -> Result<String, Problem> {
    let label = label.trim();
    let chars = label.chars().count();
    if chars == 0 || chars > MAX_LABEL_CHARS || label.chars().any(char::is_control) {
        let message = format!("{field} must be one line of 1 to {MAX_LABEL_CHARS} characters");
        return Err(Problem::field(field, message));
    }
    Ok(label.to_owned())
}

fn key(user: Uuid, workspace: Uuid) -> (u128, u128) {
    (user.as_u128(), workspace.as_u128())
}
