//! The quarantine: events the engine refuses to guess about, each with its reason and what would resolve it.

use nacre_engine::book::Snapshot;
use nacre_engine::id::{EventId, EventKey};
use nacre_engine::model::{EventKind, JournalRow, Quarantine, RowStatus};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::event_body::{ConnectionRef, Names};
use super::journals::{OfEvent, event_cursor};
use crate::books::BookAccess;
use crate::server::extract::{Path, Query};
use crate::server::page::{self, Page, PageQuery};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// An event set aside: it has no postings, and reports say `non_final` while it is there.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantinedBody {
    /// Its id.
    event_id: String,
    /// When it happened.
    timestamp: String,
    /// Its kind, as in the journal.
    event_kind: &'static str,
    /// The connections involved.
    connections: Vec<ConnectionRef>,
    /// What the source says it was.
    description: Option<String>,
    #[serde(flatten)]
    reason: Reason,
}

/// Why an event is set aside and what would change that.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reason {
    /// `collaborative_spend`, `missing_rate`, `insufficient_lots`, `lot_unavailable`, `unknown_asset`,
    /// `negative_amount` or `conflicting_link`.
    reason: &'static str,
    /// The reason in a sentence.
    explanation: String,
    /// What would resolve it; any one is enough. Takes effect at the next `journals/process`.
    resolutions: Vec<&'static str>,
    /// The figures behind the reason.
    #[schema(value_type = Object)]
    details: Value,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Lists events in quarantine, oldest first.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/journals/quarantine", tag = "journals",
    operation_id = "list_quarantine", responses((status = 200, body = Page<QuarantinedBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<QuarantinedBody>>, Problem> {
    access.read(move |book| page_of_quarantine(book, &query)).await.map(axum::Json)
}

/// One event in quarantine.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/journals/quarantine/{e}", tag = "journals",
    operation_id = "get_quarantined", responses((status = 200, body = QuarantinedBody)))]
async fn get(access: BookAccess, Path(of): Path<OfEvent>) -> Result<axum::Json<QuarantinedBody>, Problem> {
    let find = move |book: &Snapshot| -> Result<Option<QuarantinedBody>, Problem> {
        let view = book.event(&EventId::from_text(of.e))?.view;
        let names = Names::of(book)?;
        Ok(match &view.row.status {
            RowStatus::Quarantined(reason) => Some(body(&view.key, &view.row, reason, &names)),
            _ => None,
        })
    };
    let missing = || Problem::not_found("event in quarantine");
    match access.read(find).await {
        Ok(found) => found.map(axum::Json).ok_or_else(missing),
        Err(problem) if problem.code() == Code::NotFound => Err(missing()),
        Err(problem) => Err(problem),
    }
}

fn page_of_quarantine(book: &Snapshot, query: &PageQuery) -> Result<Page<QuarantinedBody>, Problem> {
    let limit = page::limit(query.limit)?;
    let after = query.cursor.as_deref().map(event_cursor).transpose()?;
    let rows = book.quarantined(after.as_ref(), limit + 1)?;
    let names = Names::of(book)?;
    let page = Page::cut(rows, limit, |(key, _, _)| key.to_bytes());
    Ok(page.map(|(key, row, reason)| body(&key, &row, &reason, &names)))
}

fn body(key: &EventKey, row: &JournalRow, reason: &Quarantine, names: &Names) -> QuarantinedBody {
    QuarantinedBody {
        event_id: key.id.to_string(),
        timestamp: key.time.to_string(),
        event_kind: row.kind.name(),
        connections: names.connections(&row.connections),
        description: row.text.as_ref().and_then(|text| text.description.clone()),
        reason: Reason::new(reason, row.kind, names),
    }
}

const EXCLUDE: &str = "exclude the event: PUT metadata/records/{event_id}/excluded";

impl Reason {
    /// The reason in the words of `names`.
    pub(super) fn new(reason: &Quarantine, kind: EventKind, names: &Names) -> Self {
        let resolutions = match reason {
            _ if kind == EventKind::LotAllocation => {
                vec!["correct the allocation of the policy, or leave it out: PUT settings"]
            }
            Quarantine::CollaborativeSpend { .. } => vec![
                "connect the wallet that owns the other inputs and sync it",
                "raise gap_limit of the connection and sync it with force_full_sync",
                EXCLUDE,
            ],
            Quarantine::MissingRate { .. } => vec![
                "import a rate at or shortly before this time: POST /v1/rates/import",
                "set a rate for this event: PUT metadata/records/{event_id}/rate",
                EXCLUDE,
            ],
            Quarantine::InsufficientLots { .. } => vec![
                "connect or import where this bitcoin came from",
                "import an opening_balance dated before this event",
                EXCLUDE,
            ],
            Quarantine::LotUnavailable { .. }
            | Quarantine::UnknownAsset { .. }
            | Quarantine::NegativeAmount { .. }
            | Quarantine::AmountOutOfRange
            | Quarantine::ConflictingLink { .. } => {
                vec!["correct the record at its source and import it again with the same id", EXCLUDE]
            }
        };
        let (explanation, details) = (explanation(reason, names), details(reason, names));
        Self { reason: reason.code(), explanation, resolutions, details }
    }
}

/// The engine's own sentence, unless it would have to number a connection that has a name.
fn explanation(reason: &Quarantine, names: &Names) -> String {
    let Quarantine::InsufficientLots { connection: Some(no), needed, available } = reason else {
        return reason.explain();
    };
    let Some(pool) = names.connection(*no) else { return reason.explain() };
    format!(
        "needs {needed} BTC but the connection {:?} holds {available} BTC then; import what is missing or add an \
         opening_balance",
        pool.label
    )
}

fn details(reason: &Quarantine, names: &Names) -> Value {
    match reason {
        Quarantine::CollaborativeSpend { own_inputs, foreign_inputs } => {
            json!({ "own_inputs": own_inputs, "foreign_inputs": foreign_inputs })
        }
        Quarantine::MissingRate { pair } => json!({ "pair": pair }),
        Quarantine::InsufficientLots { connection, needed, available } => json!({
            "connection_id": connection.and_then(|no| names.connection(no)).map(|it| it.id),
            "needed": needed.to_sat_text(),
            "available": available.to_sat_text(),
        }),
        Quarantine::LotUnavailable { lot } => json!({ "lot": lot }),
        Quarantine::UnknownAsset { asset } => json!({ "asset": asset }),
        Quarantine::NegativeAmount { .. }
        | Quarantine::AmountOutOfRange
        | Quarantine::ConflictingLink { .. } => json!({}),
    }
}
