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

/// A page of the profile's connections by id, which is oldest first as far as the clock can tell.
pub(crate) async fn list(access: &BookAccess, query: &PageQuery) -> Result<Page<Connection>, Problem> {
    let (limit, from) = query.after_id()?;
    let mut rows = access.read(|book| book.connections()).await?;
    rows.retain(|row| id(row).as_u128() >= from);
    // The book has them by number, which a clock that was set back parts from the order of ids.
    rows.sort_by_key(id);
    rows.truncate(limit + 1);
    Ok(Page::cut(rows, limit, |row| id_key(id(row))))
}

/// One connection.
pub(crate) async fn get(access: &BookAccess, id: Uuid) -> Result<Connection, Problem> {
    access.read(move |book| book.connection(&id.to_string())).await
}

/// Changes label and configuration; `None` stays. A new configuration makes the next sync read everything; when it
/// describes another wallet, what the old one delivered goes at once.
pub(crate) async fn change(
    access: &BookAccess,
    id: Uuid,
    label: Option<String>,
    configuration: Option<Value>,
) -> Result<Connection, Problem> {
    access
        .write(move |book| {
            let mut row = find(book, id)?;
            let mut forget = false;
            if let Some(label) = label {
                row.label = checked_label("label", &label)?;
            }
            if let Some(value) = configuration {
                let parsed = Configuration::parse(&row.kind, Some(value))?;
                forget = parsed.is_other_wallet(&Configuration::stored(&row)?);
                (row.config, row.rail) = (parsed.to_stored()?, parsed.rail());
            }
            book.update_connection(now(), &row, forget)?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::access::tests::fresh;
    use super::{id, list};
    use crate::books::now;
    use crate::server::page::PageQuery;
    use nacre_engine::book::NewConnection;
    use nacre_engine::model::Rail;
    use uuid::Uuid;

    #[tokio::test]
    async fn pages_hold_every_connection_once_even_if_the_clock_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let access = fresh(dir.path()).await;
        for number in [3, 1, 2_u128] {
            let new = NewConnection {
                id: Uuid::from_u128(number).to_string(),
                label: "l".to_owned(),
                kind: "Custom".to_owned(),
                rail: Rail::Managed,
                config: "{}".to_owned(),
            };
            access.write(move |book| book.add_connection(now(), new)).await.unwrap();
        }
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = list(&access, &PageQuery { limit: Some(1), cursor }).await.unwrap();
            seen.extend(page.items.iter().map(|row| id(row).as_u128()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3]);
    }
}
