//! The change log of a book, and why its capital gains are not what they were at an earlier version.

use nacre_engine::book::{Cause, Snapshot, Why};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change_body::{ChangeBody, EffectBody};
use super::event_body::Names;
use crate::books::BookAccess;
use crate::server::extract::Query;
use crate::server::page::{self, Page, PageQuery};
use crate::server::problem::Problem;
use crate::state::AppState;

/// Two versions of the book.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionsQuery {
    /// `book_version` of the earlier report.
    from_version: u64,
    /// `book_version` of the later report; left out: now.
    to_version: Option<u64>,
}

/// Why the gains changed.
#[derive(Debug, Serialize, ToSchema)]
struct WhyBody {
    /// The earlier version.
    from_version: u64,
    /// The later version.
    to_version: u64,
    /// Writes of facts in between, oldest first.
    causes: Vec<ChangeBody>,
    /// Whether there were more than are listed.
    more_causes: bool,
    /// How often the journal was processed in between; without that no figure changes.
    processes: u64,
    /// What that changed, all of it together.
    #[serde(flatten)]
    effect: EffectBody,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(why))
}

/// Lists every write of the book, oldest first: what was done, when, and what it touched. The disposals a process changed are listed by
/// `reports/capital-gains/changes`.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/changes", tag = "journals",
    operation_id = "list_changes", responses((status = 200, body = Page<ChangeBody>)))]
async fn list(
    access: BookAccess,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<ChangeBody>>, Problem> {
    let read = move |book: &Snapshot| -> Result<Page<ChangeBody>, Problem> {
        let limit = page::limit(query.limit)?;
        let after = query.cursor.as_deref().map(version_of).transpose()?.unwrap_or(0);
        let rows = book.changes_after(after, limit + 1)?;
        let names = Names::of(book)?;
        let Page { items, next_cursor } =
            Page::cut(rows, limit, |(version, _)| version.to_be_bytes().to_vec());
        let items = items.into_iter().map(|(version, change)| ChangeBody::new(version, change, &names));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next_cursor })
    };
    access.read(read).await.map(axum::Json)
}

/// Why the capital gains of one version of the book are not those of another: the facts written in between, and the years and
/// disposals that came out differently.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/reports/capital-gains/changes", tag = "reports",
    operation_id = "capital_gains_changes", params(VersionsQuery),
    responses((status = 200, body = WhyBody)))]
async fn why(access: BookAccess, Query(query): Query<VersionsQuery>) -> Result<axum::Json<WhyBody>, Problem> {
    let read = move |book: &Snapshot| -> Result<WhyBody, Problem> {
        let from_version = query.from_version;
        let to_version = match query.to_version {
            Some(version) => version,
            None => book.header()?.book_version,
        };
        let Why { causes, more_causes, processes, effect } =
            book.why(from_version, to_version).map_err(as_query)?;
        let names = Names::of(book)?;
        let cause = |Cause { book_version, change }: Cause| ChangeBody::new(book_version, change, &names);
        Ok(WhyBody {
            from_version,
            to_version,
            causes: causes.into_iter().map(cause).collect::<Result<_, _>>()?,
            more_causes,
            processes,
            effect: EffectBody::new(&effect, names.currency)?,
        })
    };
    access.read(read).await.map(axum::Json)
}

fn as_query(error: nacre_engine::Error) -> Problem {
    match error {
        nacre_engine::Error::Invalid { field, problem } => {
            Problem::query(field, format!("{field}: {problem}"))
        }
        other => other.into(),
    }
}

fn version_of(cursor: &str) -> Result<u64, Problem> {
    let bytes = page::decode_cursor(cursor)?;
    <[u8; 8]>::try_from(bytes.as_slice()).map(u64::from_be_bytes).map_err(|_| page::bad_cursor())
}
