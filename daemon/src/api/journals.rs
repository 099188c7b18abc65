//! The journal: its events in pages with filters, their count, and one event with all that explains it.

use nacre_engine::book::{EventFilter, EventPage, Snapshot, Sort};
use nacre_engine::id::{EventId, EventKey};
use nacre_engine::model::EventKind;
use nacre_engine::reports::Range;
use nacre_engine::time::Zone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::event_body::{EventBody, Names};
use super::event_detail::EventDetailBody;
use crate::books::BookAccess;
use crate::server::extract::{Path, Query};
use crate::server::page::{self, Page};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// Events of a page unless the client says otherwise.
const DEFAULT_LIMIT: usize = 10;

/// Path of an event; further parameters of the path are ignored here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OfEvent {
    /// The event, by its own id or by that of a record merged into it.
    pub(super) e: String,
}

/// Which events; every condition must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// At or after: RFC 3339, or a day in the time zone of the profile.
    from: Option<String>,
    /// At or before: RFC 3339, or a whole day in the time zone of the profile.
    to: Option<String>,
    /// Id of a connection involved.
    connection: Option<String>,
    /// Kind of the event, e.g. `trade`.
    event_kind: Option<String>,
    /// Code of a tag.
    tag: Option<String>,
    /// Part of the note, in any letter case.
    note_contains: Option<String>,
    /// Path of an account; accounts below it count too.
    account: Option<String>,
    /// Only excluded events, or only others.
    excluded: Option<bool>,
    /// `desc` (newest first) or `asc`.
    #[param(default = "desc")]
    sort: Option<String>,
    /// Events of the page; the count ignores it.
    #[param(minimum = 1, maximum = 500, default = 10)]
    limit: Option<usize>,
    /// `next_cursor` of the page before; the count ignores it.
    cursor: Option<String>,
}

/// A number of events.
#[derive(Debug, Serialize, ToSchema)]
struct CountBody {
    /// How many events match.
    count: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(count)).routes(routes!(get))
}

/// Lists events of the journal, newest first unless asked otherwise.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/journals/events", tag = "journals",
    operation_id = "list_events", responses((status = 200, body = Page<EventBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<EventQuery>,
) -> Result<axum::Json<Page<EventBody>>, Problem> {
    access.read(move |book| page_of_events(book, &query)).await.map(axum::Json)
}

/// Counts events of the journal.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/journals/events/count", tag = "journals",
    operation_id = "count_events", responses((status = 200, body = CountBody)))]
async fn count(
    access: BookAccess,
    Query(query): Query<EventQuery>,
) -> Result<axum::Json<CountBody>, Problem> {
    let counted = move |book: &Snapshot| -> Result<CountBody, Problem> {
        Ok(CountBody { count: book.count_events(&filter(book, &query)?)? })
    };
    access.read(counted).await.map(axum::Json)
}

/// One event: its double entry, the lots it used and opened, its gains slice by slice, and where its rate came from.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/journals/events/{e}", tag = "journals",
    operation_id = "get_event", responses((status = 200, body = EventDetailBody)))]
async fn get(access: BookAccess, Path(of): Path<OfEvent>) -> Result<axum::Json<EventDetailBody>, Problem> {
    let explain = move |book: &Snapshot| {
        let detail = book.event(&EventId::from_text(of.e))?;
        EventDetailBody::new(&detail, &Names::of(book)?)
    };
    let missing = |problem: Problem| match problem.code() {
        Code::NotFound => Problem::not_found("event in the journal (it appears after journals/process)"),
        _ => problem,
    };
    access.read(explain).await.map(axum::Json).map_err(missing)
}

fn page_of_events(book: &Snapshot, query: &EventQuery) -> Result<Page<EventBody>, Problem> {
    let limit = page::limit(Some(query.limit.unwrap_or(DEFAULT_LIMIT)))?;
    let after = query.cursor.as_deref().map(event_cursor).transpose()?;
    let EventPage { items, next } = book.events(&filter(book, query)?, after.as_ref(), limit)?;
    let names = Names::of(book)?;
    let items = items.iter().map(|view| EventBody::new(view, &names)).collect::<Result<_, _>>()?;
    Ok(Page { items, next_cursor: next.map(|key| page::encode_cursor(&key.to_bytes())) })
}

/// The event a cursor stands behind.
pub(super) fn event_cursor(cursor: &str) -> Result<EventKey, Problem> {
    EventKey::from_bytes(&page::decode_cursor(cursor)?).map_err(|_| page::bad_cursor())
}

fn filter(book: &Snapshot, query: &EventQuery) -> Result<EventFilter, Problem> {
    let zone = book.zone()?;
    let range = range(("from", query.from.as_deref()), ("to", query.to.as_deref()), &zone)?;
    let connection = match &query.connection {
        None => None,
        Some(id) => Some(connection_no(book, id)?),
    };
    Ok(EventFilter {
        from: range.start,
        to: range.end,
        connection,
        kind: query.event_kind.as_deref().map(kind).transpose()?,
        tag: query.tag.as_ref().map(|tag| tag.to_lowercase()),
        note_contains: query.note_contains.clone(),
        account: query.account.clone(),
        excluded: query.excluded,
        sort: query.sort.as_deref().map(sort).transpose()?.unwrap_or_default(),
    })
}

/// Reads two bounds under the names the client knows them by.
pub(crate) fn range(
    start: (&'static str, Option<&str>),
    end: (&'static str, Option<&str>),
    zone: &Zone,
) -> Result<Range, Problem> {
    Range::parse(start.1, end.1, zone).map_err(|error| match error {
        nacre_engine::Error::Invalid { field, problem } => {
            let name = if field == "start" { start.0 } else { end.0 };
            Problem::query(name, format!("{name}: {problem}"))
        }
        other => other.into(),
    })
}

fn connection_no(book: &Snapshot, id: &str) -> Result<nacre_engine::id::ConnectionNo, Problem> {
    let found = book.connections()?.into_iter().find(|connection| connection.id == id);
    let missing =
        || Problem::query("connection", "connection must be the id of a connection of this profile");
    found.map(|connection| connection.no).ok_or_else(missing)
}

fn kind(word: &str) -> Result<EventKind, Problem> {
    let found = EventKind::ALL.into_iter().find(|kind| kind.name() == word);
    found.ok_or_else(|| {
        let words = EventKind::ALL.map(EventKind::name).join(", ");
        Problem::query("event_kind", format!("event_kind must be one of {words}"))
    })
}

fn sort(word: &str) -> Result<Sort, Problem> {
    match word {
        "asc" => Ok(Sort::Ascending),
        "desc" => Ok(Sort::Descending),
        _ => Err(Problem::query("sort", "sort must be asc or desc")),
    }
}
