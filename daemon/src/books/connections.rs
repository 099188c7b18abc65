//! Connections of a profile: making, changing, removing and finding them in the book.

use nacre_engine::Error;
use nacre_engine::book::{Book, NewConnection};
use nacre_engine::model::Connection;
use serde_json::Value;
use uuid::Uuid;

use super::BookAccess;
use super::access::now;
use super::kinds::Configuration;
use crate::server::page::{Page, PageQuery, id_key};
use crate::server::problem::Problem;
use crate::workspaces::checked_label;

/// Makes a connection.
pub(crate) async fn create(
    access: &BookAccess,
    label: &str,
    kind: &str,
    configuration: Option<Value>,
) -> Result<Connection, Problem> {
    let configuration = Configuration::parse(kind, configuration)?;
    let new = NewConnection {
        id: Uuid::now_v7().to_string(),
        label: checked_label("label", label)?,
        kind: configuration.kind().to_owned(),
        rail: configuration.rail(),
        config: configuration.to_stored()?,
    };
    access.write(move |book| book.add_connection(now(), new)).await
}

/// A page of the profile's connections, oldest first.
pub(crate) async fn list(access: &BookAccess, query: &PageQuery) -> Result<Page<Connection>, Problem> {
    let (limit, from) = query.after_id()?;
    let mut rows = access.read(|book| book.connections()).await?;
    rows.retain(|row| id(row).as_u128() >= from);
    rows.truncate(limit + 1);
    Ok(Page::cut(rows, limit, |row| id_key(id(row))))
}

/// One connection.
pub(crate) async fn get(access: &BookAccess, id: Uuid) -> Result<Connection, Problem> {
    access.read(move |book| book.connection(&id.to_string())).await
}

/// Changes label and configuration; `None` stays. A new configuration makes the next sync read everything.
pub(crate) async fn change(
    access: &BookAccess,
    id: Uuid,
    label: Option<String>,
    configuration: Option<Value>,
) -> Result<Connection, Problem> {
    access
        .write(move |book| {
            let mut row = find(book, id)?;
            if let Some(label) = label {
                row.label = checked_label("label", &label)?;
            }
            if let Some(value) = configuration {
                let parsed = Configuration::parse(&row.kind, Some(value))?;
                (row.config, row.rail) = (parsed.to_stored()?, parsed.rail());
            }
            book.update_connection(now(), &row, false)?;
            Ok::<_, Problem>(row)
        })
        .await
}

/// Removes a connection and everything it delivered.
pub(crate) async fn delete(access: &BookAccess, id: Uuid) -> Result<(), Problem> {
    access.write(move |book| book.remove_connection(now(), find(book, id)?.no)).await
}

/// The connection with this id, as the writer sees it.
pub(super) fn find(book: &Book, id: Uuid) -> Result<Connection, Error> {
    book.snapshot()?.connection(&id.to_string())
}

/// Its id; ids are made by [`create`] and always read.
pub(crate) fn id(row: &Connection) -> Uuid {
    row.id.parse().unwrap_or_default()
}
