//! Sealed periods: sealing one as filed, printing it again, and what became of its numbers since.
//!
//! Invariant: a sealed report is printed from what was sealed alone; whether the books moved on is asked for by itself.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nacre_engine::book::{NewSeal, Snapshot};
use nacre_engine::reports::{Listing, Range};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::change_body::read_place;
use super::seal_body::{AcceptBody, HoldBody, NewSealBody, RestatementBody, SealBody};
use crate::books::{BookAccess, now};
use crate::server::csv_body;
use crate::server::extract::{Json, OptionalJson, Path, Query};
use crate::server::page::{self, Page, PageQuery};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;
use crate::workspaces::checked_label;

/// Longest note of a held restatement, in characters.
const MAX_NOTE_CHARS: usize = 4096;

/// Path of a seal; further parameters of the path are ignored here.
#[derive(Deserialize)]
struct OfSeal {
    id: Uuid,
}

/// Form of a sealed report.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FormQuery {
    /// `csv` (as hashed) or `json`.
    #[param(default = "csv")]
    format: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(report))
        .routes(routes!(restatement))
        .routes(routes!(accept))
        .routes(routes!(hold))
}

/// Seals a period as the journal has it: the capital gains report is kept as filed, whatever happens to the books.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/seals", tag = "seals",
    operation_id = "create_seal", request_body = NewSealBody, responses((status = 201, body = SealBody)))]
async fn create(
    access: BookAccess,
    Json(new): Json<NewSealBody>,
) -> Result<(StatusCode, axum::Json<SealBody>), Problem> {
    let label = checked_label("label", &new.label)?;
    let seal = access.write_prepared(move |book| {
        let zone = book.snapshot()?.zone()?;
        let range = Range::parse(Some(&new.start), Some(&new.end), &zone)?;
        let (Some(start), Some(end)) = (range.start, range.end) else {
            return Err(Problem::field("start", "start and end are needed"));
        };
        let id = Uuid::now_v7().to_string();
        let new = NewSeal { id, label, start, end, allow_non_final: new.allow_non_final };
        Ok(book.seal(now(), &new)?)
    });
    Ok((StatusCode::CREATED, axum::Json(SealBody::new(seal.await?, Some(false))?)))
}

/// Lists seals, oldest first, superseded ones included.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/seals", tag = "seals",
    operation_id = "list_seals", responses((status = 200, body = Page<SealBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<SealBody>>, Problem> {
    let read = move |book: &Snapshot| -> Result<Page<SealBody>, Problem> {
        let limit = page::limit(query.limit)?;
        let after = query.cursor.as_deref().map(number_of).transpose()?.unwrap_or(0);
        let rows = book.seals()?.into_iter().filter(|seal| seal.no > after).take(limit + 1);
        let Page { items, next_cursor } =
            Page::cut(rows.collect(), limit, |seal| seal.no.to_be_bytes().to_vec());
        let items = items.into_iter().map(|seal| SealBody::new(seal, None)).collect::<Result<_, _>>()?;
        Ok(Page { items, next_cursor })
    };
    access.read(read).await.map(axum::Json)
}

/// One seal, and whether the journal says anything else now (`restated`).
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/seals/{id}", tag = "seals",
    operation_id = "get_seal", responses((status = 200, body = SealBody)))]
async fn get(access: BookAccess, Path(of): Path<OfSeal>) -> Result<axum::Json<SealBody>, Problem> {
    access.prepare_to_read().await?;
    let read = move |book: &Snapshot| -> Result<SealBody, Problem> {
        let id = of.id.to_string();
        Ok(SealBody::new(book.seal(&id)?, Some(book.is_restated(&id)?))?)
    };
    access.read(read).await.map(axum::Json)
}

/// Removes a seal with the report it kept; what it revised stands again.
#[utoipa::path(delete, path = "/v1/workspaces/{w}/profiles/{p}/seals/{id}", tag = "seals",
    operation_id = "delete_seal", responses((status = 204)))]
async fn delete(access: BookAccess, Path(of): Path<OfSeal>) -> Result<StatusCode, Problem> {
    access.write(move |book| book.remove_seal(now(), &of.id.to_string())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The capital gains report of a sealed period as filed, byte for byte.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/seals/{id}/report", tag = "seals",
    operation_id = "get_sealed_report", params(FormQuery),
    responses((status = 200, description = "The report as filed",
        content((String = "text/csv"), (Object = "application/json")))))]
async fn report(
    access: BookAccess,
    Path(of): Path<OfSeal>,
    Query(query): Query<FormQuery>,
) -> Result<Response, Problem> {
    let id = of.id.to_string();
    match query.format.as_deref() {
        None | Some("csv") => csv(access, id).await,
        Some("json") => {
            let report = access.read(move |book| book.sealed_report(&id)).await?;
            Ok(axum::Json(report).into_response())
        }
        Some(_) => Err(Problem::query("format", "format must be json or csv")),
    }
}

/// Starts to answer once the seal is found; later failures abort the body.
async fn csv(access: BookAccess, id: String) -> Result<Response, Problem> {
    let place = access.state.limits.csv_export()?;
    let name = id.clone();
    access.read(move |book| book.seal(&name).map(|_| ())).await?;
    let (mut sink, body) = csv_body::channel(place);
    let file = format!("attachment; filename=\"capital-gains-{id}.csv\"");
    let write = move |book: &Snapshot| -> Result<(), Problem> {
        book.sealed_report_csv(&id, &mut sink)?;
        // A client that left after the last row has what it wanted.
        let _ = sink.finish();
        Ok(())
    };
    tokio::spawn(async move { access.read(write).await });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, file),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// What was filed (`before`) against what the journal says now (`after`), by year, disposal and lot.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/seals/{id}/restatement", tag = "seals",
    operation_id = "get_restatement", params(PageQuery),
    responses((status = 200, description = "The difference; `limit` and `cursor` cut the disposals, never the sums",
        body = Object)))]
async fn restatement(
    access: BookAccess,
    Path(of): Path<OfSeal>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let limit = page::limit(query.limit)?;
    let listing = Listing { after: query.cursor.as_deref().map(read_place).transpose()?, limit };
    access.prepare_to_read().await?;
    let read = move |book: &Snapshot| book.restatement(&of.id.to_string(), now(), &listing);
    Ok(axum::Json(RestatementBody::from(access.read(read).await?)).into_response())
}

/// Accepts the restatement of a seal: a revision of the same period supersedes it, and the old one stays printable.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/seals/{id}/accept", tag = "seals",
    operation_id = "accept_restatement", request_body = Option<AcceptBody>,
    responses((status = 201, body = SealBody)))]
async fn accept(
    access: BookAccess,
    Path(of): Path<OfSeal>,
    OptionalJson(how): OptionalJson<AcceptBody>,
) -> Result<(StatusCode, axum::Json<SealBody>), Problem> {
    let write = move |book: &nacre_engine::book::Book| {
        let revision = Uuid::now_v7().to_string();
        Ok(book.accept_restatement(now(), &of.id.to_string(), &revision, how.allow_non_final)?)
    };
    let seal = access.write_prepared(write).await?;
    Ok((StatusCode::CREATED, axum::Json(SealBody::new(seal, Some(false))?)))
}

/// Holds the restatement of a seal back, with the reason. It stays listed.
#[utoipa::path(post, path = "/v1/workspaces/{w}/profiles/{p}/seals/{id}/hold", tag = "seals",
    operation_id = "hold_restatement", request_body = HoldBody, responses((status = 200, body = SealBody)))]
async fn hold(
    access: BookAccess,
    Path(of): Path<OfSeal>,
    Json(why): Json<HoldBody>,
) -> Result<axum::Json<SealBody>, Problem> {
    let note = why.note.trim().to_owned();
    if note.is_empty() || note.chars().count() > MAX_NOTE_CHARS {
        return Err(Problem::field("note", format!("note must have 1 to {MAX_NOTE_CHARS} characters")));
    }
    let write =
        move |book: &nacre_engine::book::Book| Ok(book.hold_restatement(now(), &of.id.to_string(), &note)?);
    let seal = access.write_prepared(write).await?;
    Ok(axum::Json(SealBody::new(seal, Some(true))?))
}

fn number_of(cursor: &str) -> Result<u64, Problem> {
    let bytes = page::decode_cursor(cursor)?;
    let number = <[u8; 8]>::try_from(bytes.as_slice()).map(u64::from_be_bytes);
    number.map_err(|_| Problem::new(Code::InvalidCursor, "the cursor is not one of this list"))
}
