//! Reports, as JSON or CSV, each from one state of the book.
//!
//! JSON carries an `ETag` made from the version of the book and the question, so that asking again costs nothing.
//! CSV is streamed: its length is bounded by the book, its memory is not. What a report contains is the engine's; what
//! may be asked of it is in [`super::report_query`].

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nacre_engine::book::Snapshot;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report_query::{Asked, Format, Report, ReportQuery, Wanted};
use crate::books::{BookAccess, now};
use crate::server::csv_body::{self, CsvSink};
use crate::server::etag;
use crate::server::extract::{Path, Query};
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// Path of a report; further parameters of the path are ignored here.
#[derive(Deserialize)]
struct OfReport {
    report: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get))
}

/// A report. `non_final` says that something waits for `journals/process` or is quarantined.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/reports/{report}", tag = "reports",
    operation_id = "get_report", params(("report" = inline(Report), Path)),
    responses(
        (status = 200, description = "The report", content((Object = "application/json"), (String = "text/csv"))),
        (status = 304, description = "Nothing has changed since the `ETag` in `If-None-Match`")))]
async fn get(
    access: BookAccess,
    headers: HeaderMap,
    Path(of): Path<OfReport>,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Problem> {
    let wanted = Wanted::checked(&of.report, query)?;
    // Rates and settings changed since the last process are marked in the book: the report says that it is not final,
    // and its tag is a new one.
    access.prepare_to_read().await?;
    match wanted.format {
        Format::Json => json(&access, wanted, headers).await,
        Format::Csv => csv(access, wanted).await,
    }
}

async fn json(access: &BookAccess, wanted: Wanted, headers: HeaderMap) -> Result<Response, Problem> {
    let make = move |book: &Snapshot| -> Result<(String, Option<Vec<u8>>), Problem> {
        let tag = wanted.tag(book)?;
        let known = etag::seen(&headers, &tag);
        let bytes = if known { None } else { Some(json_of(&wanted.asked(book)?, book)?) };
        Ok((tag, bytes))
    };
    let (tag, bytes) = access.read(make).await?;
    let caching = [(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    Ok(match bytes {
        None => (StatusCode::NOT_MODIFIED, caching).into_response(),
        Some(bytes) => (caching, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
    })
}

/// Starts to answer once the book is open and the question is understood; later failures abort the body.
async fn csv(access: BookAccess, wanted: Wanted) -> Result<Response, Problem> {
    let place = access.state.limits.csv_export()?;
    let (sink, body) = csv_body::channel(place);
    let (started, start) = oneshot::channel();
    let report = wanted.report;
    let write = move |book: &Snapshot| -> Result<(), Problem> {
        let asked = wanted.asked(book)?;
        // Nobody waits when the client has gone; the first write finds out.
        let _ = started.send(());
        csv_of(&asked, book, sink)
    };
    let writing = tokio::spawn(async move { access.read(write).await });
    match start.await {
        Ok(()) => Ok(csv_response(report, body)),
        Err(_) => match writing.await {
            Ok(Err(problem)) => Err(problem),
            Ok(Ok(())) => Err(Problem::internal(&"a CSV ended before it began")),
            Err(error) => Err(Problem::internal(&error)),
        },
    }
}

fn csv_response(report: Report, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.csv\"", report.name())),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    (headers, body).into_response()
}

fn json_of(asked: &Asked, book: &Snapshot) -> Result<Vec<u8>, Problem> {
    let now = now();
    match asked {
        Asked::BalanceSheet(as_of) => encoded(&book.balance_sheet(*as_of, now)?),
        Asked::BalanceHistory(query, spans) => {
            encoded(&book.balance_history(query, spans, now).map_err(super::report_query::problem)?)
        }
        Asked::PortfolioSummary(as_of) => encoded(&book.portfolio_summary(*as_of, now)?),
        Asked::CapitalGains(range, true) => encoded(&book.capital_gains(range, now)?),
        Asked::CapitalGains(range, false) => encoded(&book.capital_gains_sums(range, now)?),
        Asked::JournalEntries(range) => encoded(&book.journal_entries(range, now)?),
        Asked::OpenLots(as_of) => encoded(&book.open_lots_report(*as_of, now)?),
        Asked::TaxSummary(year) => encoded(&book.tax_summary(*year, now)?),
        Asked::Form8949(query) => encoded(&book.form_8949(query, now)?),
        Asked::Conservation => encoded(&book.conservation(now)?),
    }
}

fn csv_of(asked: &Asked, book: &Snapshot, mut sink: CsvSink) -> Result<(), Problem> {
    match asked {
        Asked::CapitalGains(range, _) => book.capital_gains_csv(range, &mut sink)?,
        Asked::JournalEntries(range) => book.journal_entries_csv(range, &mut sink)?,
        Asked::OpenLots(as_of) => book.open_lots_csv(*as_of, now(), &mut sink)?,
        Asked::TaxSummary(year) => book.tax_summary(*year, now())?.write_csv(&mut sink)?,
        Asked::BalanceHistory(query, spans) => book.balance_history_csv(query, spans, &mut sink)?,
        Asked::Form8949(query) => book.form_8949_csv(query, &mut sink)?,
        Asked::BalanceSheet(_) | Asked::PortfolioSummary(_) | Asked::Conservation => {
            return Err(Problem::new(Code::NoCsv, "this report has no CSV form"));
        }
    }
    // A client that left after the last row has what it wanted.
    let _ = sink.finish();
    Ok(())
}

fn encoded(report: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(report).map_err(|error| Problem::internal(&error))
}
