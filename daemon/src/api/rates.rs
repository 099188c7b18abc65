//! Exchange rates of the caller: pairs, latest, range, import.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock;
use crate::identity::auth::{Auth, Rates};
use crate::rates::{self, Imported, Point};
use crate::server::extract::{Query, RawBody};
use crate::server::page::{self, Page};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// A rate: the price of one bitcoin.
#[derive(Serialize, ToSchema)]
struct RateBody {
    /// `BTC-` and a currency code.
    pair: String,
    /// Since when (RFC 3339).
    time: String,
    /// Exact decimal.
    rate: String,
    /// Where it came from.
    source: String,
}

fn body(point: Point) -> RateBody {
    RateBody {
        pair: point.pair,
        time: clock::rfc3339(point.at_ms),
        rate: point.rate.value,
        source: point.rate.source,
    }
}

/// A pair that has rates.
#[derive(Serialize, ToSchema)]
struct PairBody {
    /// `BTC-` and a currency code.
    pair: String,
    /// Time of its first rate (RFC 3339).
    first: String,
    /// Time of its last rate (RFC 3339).
    last: String,
}

fn pair_body((first, last): (Point, Point)) -> PairBody {
    PairBody { pair: first.pair, first: clock::rfc3339(first.at_ms), last: clock::rfc3339(last.at_ms) }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LatestQuery {
    /// `BTC-` and a currency code.
    pair: String,
    /// The last rate at or before this time (RFC 3339), by default now.
    at: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RangeQuery {
    /// `BTC-` and a currency code.
    pair: String,
    /// First time (RFC 3339), included.
    from: Option<String>,
    /// Last time (RFC 3339), included.
    to: Option<String>,
    /// Rates of the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl RangeQuery {
    /// Page size, first and last time; a cursor moves the first time.
    fn bounds(&self) -> Result<(usize, i64, i64), Problem> {
        let limit = page::limit(self.limit)?;
        let from_ms = time("from", self.from.as_deref())?.unwrap_or(i64::MIN);
        let to_ms = time("to", self.to.as_deref())?.unwrap_or(i64::MAX);
        let Some(cursor) = &self.cursor else { return Ok((limit, from_ms, to_ms)) };
        let key = page::decode_cursor(cursor)?.try_into().map_err(|_| page::bad_cursor())?;
        Ok((limit, from_ms.max(i64::from_be_bytes(key).saturating_add(1)), to_ms))
    }
}

/// What an import did.
#[derive(Serialize, ToSchema)]
struct ImportedBody {
    /// Times that had no rate before.
    added: u64,
    /// Times whose rate was replaced.
    replaced: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(pairs))
        .routes(routes!(latest))
        .routes(routes!(range))
        .routes(routes!(import))
}

/// The pairs that have rates.
#[utoipa::path(get, path = "/v1/rates/pairs", tag = "rates", operation_id = "list_rate_pairs",
    responses((status = 200, body = Page<PairBody>)))]
async fn pairs(
    State(state): State<AppState>,
    user: Auth<Rates>,
) -> Result<axum::Json<Page<PairBody>>, Problem> {
    let found = state.store.read::<_, Problem, _>(move |tx| Ok(rates::pairs(tx, user.id)?)).await?;
    Ok(axum::Json(Page { items: found.into_iter().map(pair_body).collect(), next_cursor: None }))
}

/// The last rate of a pair at or before a time.
#[utoipa::path(get, path = "/v1/rates/latest", tag = "rates", operation_id = "latest_rate", params(LatestQuery),
    responses((status = 200, body = RateBody)))]
async fn latest(
    State(state): State<AppState>,
    user: Auth<Rates>,
    Query(query): Query<LatestQuery>,
) -> Result<axum::Json<RateBody>, Problem> {
    let pair = pair(&query.pair)?;
    let at_ms = time("at", query.at.as_deref())?.unwrap_or_else(clock::now_ms);
    let read = move |tx: &crate::store::ReadTx| rates::at_or_before(tx, user.id, &pair, at_ms);
    let found = state.store.read(read).await?;
    found.map(body).map(axum::Json).ok_or_else(|| Problem::not_found("rate"))
}

/// The rates of a pair within a time, oldest first.
#[utoipa::path(get, path = "/v1/rates/range", tag = "rates", operation_id = "rate_range", params(RangeQuery),
    responses((status = 200, body = Page<RateBody>)))]
async fn range(
    State(state): State<AppState>,
    user: Auth<Rates>,
    Query(query): Query<RangeQuery>,
) -> Result<axum::Json<Page<RateBody>>, Problem> {
    let pair = pair(&query.pair)?;
    let (limit, from_ms, to_ms) = query.bounds()?;
    let read = move |tx: &crate::store::ReadTx| rates::between(tx, user.id, &pair, from_ms, to_ms, limit + 1);
    let rows = state.store.read(read).await?;
    let page = Page::cut(rows, limit, |point: &Point| point.at_ms.to_be_bytes().to_vec());
    Ok(axum::Json(page.map(body)))
}

/// Imports rates from CSV `time,pair,rate` of at most 16 MiB; a wrong line imports nothing.
#[utoipa::path(post, path = "/v1/rates/import", tag = "rates", operation_id = "import_rates",
    request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportedBody)))]
async fn import(
    State(state): State<AppState>,
    user: Auth<Rates>,
    raw: RawBody,
) -> Result<axum::Json<ImportedBody>, Problem> {
    if raw.content_type != "text/csv" {
        let message = "send the rates as CSV with the header Content-Type: text/csv";
        return Err(Problem::new(Code::UnsupportedMediaType, message));
    }
    // Before the transaction, so that a large file keeps nobody from writing.
    let parsed = tokio::task::spawn_blocking(move || rates::parse_csv(&raw.bytes)).await;
    let points = parsed.map_err(|error| Problem::internal(&error))??;
    let write = move |tx: &crate::store::WriteTx| rates::import(tx, user.id, &points);
    let Imported { added, replaced } = state.store.write(write).await?;
    Ok(axum::Json(ImportedBody { added, replaced }))
}

fn pair(text: &str) -> Result<String, Problem> {
    rates::checked_pair(text).map_err(|()| bad_query("pair", "pair must be BTC-<currency> such as BTC-USD"))
}

fn time(field: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let message = format!("{field} must be an RFC 3339 time such as 2025-01-31T00:00:00Z");
    rates::parse_time(text).map(Some).ok_or_else(|| bad_query(field, &message))
}

fn bad_query(field: &str, message: &str) -> Problem {
    Problem::new(Code::InvalidQuery, message).with_details(serde_json::json!({ "field": field }))
}
