//! What a user says about events: note, tags, exclusion, rate. It changes no record; exclusion and rate take effect
//! at the next `journals/process`.

use std::ops::Bound;

use axum::http::StatusCode;
use nacre_engine::book::{Book, Snapshot};
use nacre_engine::id::EventId;
use nacre_engine::model::{Annotation, AnnotationEdit};
use nacre_engine::money::Rate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::journals::OfEvent;
use super::tags::{canonical_code, known_tag};
use crate::books::{BookAccess, now};
use crate::server::extract::{Json, Path, Query};
use crate::server::page::{self, Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;

/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 4096;

/// What you said about an event.
#[derive(Debug, Serialize, ToSchema)]
struct MetadataBody {
    /// The event.
    event_id: String,
    /// Your note.
    note: Option<String>,
    /// Codes of your tags, sorted.
    tags: Vec<String>,
    /// Whether you excluded it.
    excluded: bool,
    /// Price of one bitcoin that you set for it.
    rate: Option<String>,
}

/// A note.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    /// 1 to 4096 characters.
    note: String,
}

/// Whether an event is left out of the books.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExcludedBody {
    /// `true` removes its postings and what it did to lots.
    excluded: bool,
}

/// A rate for one event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RateBody {
    /// Price of one bitcoin in the currency of the profile, e.g. `"50000.00"`.
    rate: String,
}

/// Path of a tag on an event; further parameters of the path are ignored here.
#[derive(Deserialize)]
struct OfTag {
    e: String,
    tag: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(put_note, delete_note))
        .routes(routes!(put_excluded, delete_excluded))
        .routes(routes!(put_rate, delete_rate))
        .routes(routes!(put_tag, delete_tag))
}

/// Lists what you said about events, by event id.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records", tag = "metadata",
    operation_id = "list_metadata", responses((status = 200, body = Page<MetadataBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<MetadataBody>>, Problem> {
    access.read(move |book| page_of_metadata(book, &query)).await.map(axum::Json)
}

/// What you said about one event; nothing yet is an answer too.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}", tag = "metadata",
    operation_id = "get_metadata", responses((status = 200, body = MetadataBody)))]
async fn get(access: BookAccess, Path(of): Path<OfEvent>) -> Result<axum::Json<MetadataBody>, Problem> {
    access.read(move |book| find(book, EventId::from_text(of.e))).await.map(axum::Json)
}

/// Sets the note of an event.
#[utoipa::path(put, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/note", tag = "metadata",
    operation_id = "put_note", request_body = NoteBody, responses((status = 200, body = MetadataBody)))]
async fn put_note(
    access: BookAccess,
    Path(of): Path<OfEvent>,
    Json(body): Json<NoteBody>,
) -> Result<axum::Json<MetadataBody>, Problem> {
    edit(&access, of.e, AnnotationEdit::Note(Some(checked_note(body.note)?))).await.map(axum::Json)
}

/// Removes your note from an event.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/note", tag = "metadata",
    operation_id = "delete_note", responses((status = 204)))]
async fn delete_note(access: BookAccess, Path(of): Path<OfEvent>) -> Result<StatusCode, Problem> {
    edit(&access, of.e, AnnotationEdit::Note(None)).await.map(|_| StatusCode::NO_CONTENT)
}

/// Excludes an event from the books, or takes it in again.
#[utoipa::path(put, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/excluded", tag = "metadata",
    operation_id = "put_excluded", request_body = ExcludedBody, responses((status = 200, body = MetadataBody)))]
async fn put_excluded(
    access: BookAccess,
    Path(of): Path<OfEvent>,
    Json(body): Json<ExcludedBody>,
) -> Result<axum::Json<MetadataBody>, Problem> {
    edit(&access, of.e, AnnotationEdit::Excluded(body.excluded)).await.map(axum::Json)
}

/// Takes an excluded event into the books again.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/excluded", tag = "metadata",
    operation_id = "delete_excluded", responses((status = 204)))]
async fn delete_excluded(access: BookAccess, Path(of): Path<OfEvent>) -> Result<StatusCode, Problem> {
    edit(&access, of.e, AnnotationEdit::Excluded(false)).await.map(|_| StatusCode::NO_CONTENT)
}

/// Sets the rate that values an event.
#[utoipa::path(put, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/rate", tag = "metadata",
    operation_id = "put_rate", request_body = RateBody, responses((status = 200, body = MetadataBody)))]
async fn put_rate(
    access: BookAccess,
    Path(of): Path<OfEvent>,
    Json(body): Json<RateBody>,
) -> Result<axum::Json<MetadataBody>, Problem> {
    edit(&access, of.e, AnnotationEdit::Rate(Some(checked_rate(&body.rate)?))).await.map(axum::Json)
}

/// Removes the rate you set for an event.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/rate", tag = "metadata",
    operation_id = "delete_rate", responses((status = 204)))]
async fn delete_rate(access: BookAccess, Path(of): Path<OfEvent>) -> Result<StatusCode, Problem> {
    edit(&access, of.e, AnnotationEdit::Rate(None)).await.map(|_| StatusCode::NO_CONTENT)
}

/// Puts a tag on an event; the tag must exist.
#[utoipa::path(put, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/tags/{tag}", tag = "metadata",
    operation_id = "put_event_tag", responses((status = 200, body = MetadataBody)))]
async fn put_tag(access: BookAccess, Path(of): Path<OfTag>) -> Result<axum::Json<MetadataBody>, Problem> {
    let add = move |book: &Book| -> Result<MetadataBody, Problem> {
        let code = known_tag(&book.snapshot()?, &of.tag)?.code;
        apply(book, of.e, AnnotationEdit::AddTag(code))
    };
    access.write(add).await.map(axum::Json)
}

/// Takes a tag off an event, also one whose definition is gone. Tags that came with the record stay.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/metadata/records/{e}/tags/{tag}", tag = "metadata",
    operation_id = "delete_event_tag", responses((status = 204)))]
async fn delete_tag(access: BookAccess, Path(of): Path<OfTag>) -> Result<StatusCode, Problem> {
    let remove = move |book: &Book| -> Result<MetadataBody, Problem> {
        let known = known_tag(&book.snapshot()?, &of.tag).map(|tag| tag.code);
        apply(book, of.e, AnnotationEdit::RemoveTag(known.unwrap_or_else(|_| canonical_code(&of.tag))))
    };
    access.write(remove).await.map(|_| StatusCode::NO_CONTENT)
}

async fn edit(access: &BookAccess, event: String, edit: AnnotationEdit) -> Result<MetadataBody, Problem> {
    access.write(move |book| apply(book, event, edit)).await
}

fn apply(book: &Book, event: String, edit: AnnotationEdit) -> Result<MetadataBody, Problem> {
    let id = EventId::from_text(event);
    let annotation = book.annotate(now(), &id, &[edit])?;
    let id = canonical(&book.snapshot()?, id)?;
    Ok(body(&id, annotation))
}

/// The id of the event that `id` is part of, once the journal knows it.
fn canonical(book: &Snapshot, id: EventId) -> Result<EventId, Problem> {
    match book.event(&id) {
        Ok(detail) => Ok(detail.view.key.id),
        Err(nacre_engine::Error::NotFound { .. }) => Ok(id),
        Err(other) => Err(other.into()),
    }
}

fn find(book: &Snapshot, id: EventId) -> Result<MetadataBody, Problem> {
    match book.event(&id) {
        Ok(detail) => Ok(body(&detail.view.key.id, detail.view.annotation)),
        // Not in the journal yet, but it may carry metadata already.
        Err(nacre_engine::Error::NotFound { .. }) => {
            let found = book.annotations()?.into_iter().find(|(of, _)| *of == id);
            found.map(|(of, said)| body(&of, said)).ok_or_else(|| Problem::not_found("event"))
        }
        Err(other) => Err(other.into()),
    }
}

fn page_of_metadata(book: &Snapshot, query: &PageQuery) -> Result<Page<MetadataBody>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = match &query.cursor {
        None => Bound::Unbounded,
        Some(cursor) => {
            let id = String::from_utf8(page::decode_cursor(cursor)?).map_err(|_| page::bad_cursor())?;
            Bound::Excluded(EventId::from_text(id))
        }
    };
    let all: std::collections::BTreeMap<EventId, Annotation> = book.annotations()?.into_iter().collect();
    let rows = all.range((after, Bound::Unbounded)).take(limit + 1).map(|(id, said)| (id, said.clone()));
    let page = Page::cut(rows.collect(), limit, |(id, _)| id.as_str().as_bytes().to_vec());
    Ok(page.map(|(id, said)| body(id, said)))
}

fn body(id: &EventId, annotation: Annotation) -> MetadataBody {
    MetadataBody {
        event_id: id.to_string(),
        note: annotation.note,
        tags: annotation.tags,
        excluded: annotation.excluded,
        rate: annotation.rate.map(|rate| rate.to_decimal().to_string()),
    }
}

fn checked_note(note: String) -> Result<String, Problem> {
    let chars = note.chars().count();
    if note.trim().is_empty() || chars > MAX_NOTE_CHARS {
        let message = format!("note must have 1 to {MAX_NOTE_CHARS} characters; DELETE removes a note");
        return Err(Problem::field("note", message));
    }
    Ok(note)
}

fn checked_rate(rate: &str) -> Result<Rate, Problem> {
    let price = Decimal::from_str_exact(rate).ok().and_then(|price| Rate::from_decimal(price).ok());
    price.ok_or_else(|| {
        let message = "rate must be the price of one bitcoin as a positive decimal with at most 8 places, e.g. \
                       \"50000.00\"";
        Problem::field("rate", message)
    })
}
