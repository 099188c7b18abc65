//! The tags of a profile: a code for programs and a label for people.

use axum::http::StatusCode;
use nacre_engine::book::{Book, Snapshot, Tag};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::workspaces::Label;
use crate::books::{BookAccess, now};
use crate::server::extract::{Json, Path, Query};
use crate::server::page::{self, Page, PageQuery};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;
use crate::workspaces::checked_label;

/// Longest code, in characters.
const MAX_CODE_CHARS: usize = 64;

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
struct TagBody {
    /// Its id.
    id: String,
    /// Canonical identifier, lower case.
    code: String,
    /// Display name.
    label: String,
    /// When it was made (RFC 3339).
    created_at: String,
}

impl From<Tag> for TagBody {
    fn from(tag: Tag) -> Self {
        Self { id: tag.id, code: tag.code, label: tag.label, created_at: tag.created_at.to_string() }
    }
}

/// A tag to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTag {
    /// 1 to 64 of `a-z 0-9 . _ -`; capitals are lowered.
    code: String,
    /// One line of 1 to 100 characters.
    label: String,
}

/// Path of a tag; further parameters of the path are ignored here.
#[derive(Deserialize)]
struct TagPath {
    tag: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, rename, delete))
}

/// Makes a tag.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/metadata/tags", tag = "metadata",
    operation_id = "create_tag", request_body = NewTag, responses((status = 201, body = TagBody)))]
async fn create(
    access: BookAccess,
    Json(new): Json<NewTag>,
) -> Result<(StatusCode, axum::Json<TagBody>), Problem> {
    let tag = Tag {
        id: Uuid::now_v7().to_string(),
        code: checked_code(&new.code)?,
        label: checked_label("label", &new.label)?,
        created_at: now(),
    };
    let made = access.write(move |book| add(book, tag)).await?;
    Ok((StatusCode::CREATED, axum::Json(made.into())))
}

/// Lists tags by code.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/metadata/tags", tag = "metadata",
    operation_id = "list_tags", responses((status = 200, body = Page<TagBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<TagBody>>, Problem> {
    access.read(move |book| page_of_tags(book, &query)).await.map(axum::Json)
}

/// One tag, by code or id.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/metadata/tags/{tag}", tag = "metadata",
    operation_id = "get_tag", responses((status = 200, body = TagBody)))]
async fn get(access: BookAccess, Path(at): Path<TagPath>) -> Result<axum::Json<TagBody>, Problem> {
    let tag = access.read(move |book| known_tag(book, &at.tag)).await?;
    Ok(axum::Json(tag.into()))
}

/// Gives a tag another label; its code stays.
#[utoipa::path(patch, path = "/v1/workspaces/{w}/profiles/{p}/metadata/tags/{tag}", tag = "metadata",
    operation_id = "rename_tag", request_body = Label, responses((status = 200, body = TagBody)))]
async fn rename(
    access: BookAccess,
    Path(at): Path<TagPath>,
    Json(new): Json<Label>,
) -> Result<axum::Json<TagBody>, Problem> {
    let label = checked_label("label", &new.label)?;
    let write = move |book: &Book| -> Result<Tag, Problem> {
        let tag = Tag { label, ..known_tag(&book.snapshot()?, &at.tag)? };
        book.put_tag(now(), &tag)?;
        Ok(tag)
    };
    Ok(axum::Json(access.write(write).await?.into()))
}

/// Removes a tag; events that carry it keep its code.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/metadata/tags/{tag}", tag = "metadata",
    operation_id = "delete_tag", responses((status = 204)))]
async fn delete(access: BookAccess, Path(at): Path<TagPath>) -> Result<StatusCode, Problem> {
    let remove = move |book: &Book| -> Result<(), Problem> {
        let code = known_tag(&book.snapshot()?, &at.tag)?.code;
        Ok(book.remove_tag(now(), &code)?)
    };
    access.write(remove).await.map(|()| StatusCode::NO_CONTENT)
}

fn add(book: &Book, tag: Tag) -> Result<Tag, Problem> {
    if book.snapshot()?.tags()?.iter().any(|known| known.code == tag.code) {
        let message = format!("there is a tag {} already; PATCH changes its label", tag.code);
        return Err(Problem::new(Code::TagExists, message));
    }
    book.put_tag(now(), &tag)?;
    Ok(tag)
}

fn page_of_tags(book: &Snapshot, query: &PageQuery) -> Result<Page<TagBody>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = query.cursor.as_deref().map(page::decode_cursor).transpose()?;
    let behind = |tag: &Tag| after.as_ref().is_none_or(|last| tag.code.as_bytes() > last.as_slice());
    let rows = book.tags()?.into_iter().filter(behind).take(limit + 1).collect();
    Ok(Page::cut(rows, limit, |tag: &Tag| tag.code.as_bytes().to_vec()).map(TagBody::from))
}

/// The tag with this code, in any letter case, or this id.
pub(super) fn known_tag(book: &Snapshot, code_or_id: &str) -> Result<Tag, Problem> {
    let code = canonical_code(code_or_id);
    let found = book.tags()?.into_iter().find(|tag| tag.code == code || tag.id == code);
    found.ok_or_else(|| {
        let message = "there is no such tag; make it first: POST metadata/tags {\"code\": …, \"label\": …}";
        Problem::new(Code::NotFound, message)
    })
}

/// A code as it is stored.
pub(super) fn canonical_code(code: &str) -> String {
    code.trim().to_lowercase()
}

fn checked_code(code: &str) -> Result<String, Problem> {
    let code = canonical_code(code);
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    if code.is_empty() || code.len() > MAX_CODE_CHARS || !code.bytes().all(plain) {
        let message = format!("code must be 1 to {MAX_CODE_CHARS} of the characters a-z 0-9 . _ -");
        return Err(Problem::field("code", message));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::checked_code;

    #[test]
    fn codes_are_lowered_and_checked() {
        assert_eq!(checked_code(" Business-Expense ").ok().as_deref(), Some("business-expense"));
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(checked_code(bad).is_err(), "{bad}");
        }
    }
}
