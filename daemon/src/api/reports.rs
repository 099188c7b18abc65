//! Reports, as JSON or CSV, each from one state of the book.
//!
//! JSON carries an `ETag` made from the version of the book and the question, so that asking again costs nothing.
//! CSV is streamed: its length is bounded by the book, its memory is not. What a report contains is the engine's.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nacre_engine::book::Snapshot;
use nacre_engine::reports::Range;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::journals::range;
use crate::books::{BookAccess, now};
use crate::server::csv_body::{self, CsvSink};
use crate::server::etag;
use crate::server::extract::{Path, Query};
use crate::server::page;
use crate::server::problem::{Code, Problem};
use crate::state::AppState;

/// The reports there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "kebab-case")]
enum Report {
    BalanceSheet,
    PortfolioSummary,
    CapitalGains,
    JournalEntries,
    OpenLots,
    TaxSummary,
}

/// `json` or `csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

/// Path of a report; further parameters of the path are ignored here.
#[derive(Deserialize)]
struct OfReport {
    report: String,
}

/// Form and range of a report.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// `csv` is the default of capital-gains and journal-entries, `json` that of the others.
    #[param(value_type = Option<Format>)]
    format: Option<String>,
    /// First instant shown (capital-gains, journal-entries): RFC 3339, or a day in the time zone of the profile.
    start: Option<String>,
    /// Last instant shown (capital-gains, journal-entries): RFC 3339, or a whole day in the time zone of the profile.
    end: Option<String>,
    /// Taken by balance-sheet for clients that send it; a balance sheet is never cut.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
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
    access.prepare().await?;
    match wanted.format {
        Format::Json => json(&access, wanted, headers).await,
        Format::Csv => csv(access, wanted).await,
    }
}

async fn json(access: &BookAccess, wanted: Wanted, headers: HeaderMap) -> Result<Response, Problem> {
    let make = move |book: &Snapshot| -> Result<(String, Option<Vec<u8>>), Problem> {
        let tag = wanted.tag(book)?;
        let known = etag::seen(&headers, &tag);
        let bytes = if known { None } else { Some(wanted.json(book)?) };
        Ok((tag, bytes))
    };
    let (tag, bytes) = access.read(make).await?;
    let caching = [(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    Ok(match bytes {
        None => (StatusCode::NOT_MODIFIED, caching).into_response(),
        Some(bytes) => (caching, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
    })
}

/// Starts to answer once the book is open and the range is understood; later failures abort the body.
async fn csv(access: BookAccess, wanted: Wanted) -> Result<Response, Problem> {
    let place = access.state.limits.csv_export()?;
    let (sink, body) = csv_body::channel(place);
    let (started, start) = oneshot::channel();
    let report = wanted.report;
    let write = move |book: &Snapshot| -> Result<(), Problem> {
        let range = wanted.range(book)?;
        // Nobody waits when the client has gone; the first write finds out.
        let _ = started.send(());
        wanted.csv(book, &range, sink)
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

impl Report {
    const ALL: [Report; 6] = [
        Report::BalanceSheet,
        Report::PortfolioSummary,
        Report::CapitalGains,
        Report::JournalEntries,
        Report::OpenLots,
        Report::TaxSummary,
    ];

    fn name(self) -> &'static str {
        match self {
            Report::BalanceSheet => "balance-sheet",
            Report::PortfolioSummary => "portfolio-summary",
            Report::CapitalGains => "capital-gains",
            Report::JournalEntries => "journal-entries",
            Report::OpenLots => "open-lots",
            Report::TaxSummary => "tax-summary",
        }
    }

    fn named(name: &str) -> Result<Self, Problem> {
        let names = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|report| report.name() == name).ok_or_else(|| {
            let message = format!("there is no such report; there are {}", names.join(", "));
            Problem::new(Code::UnknownReport, message).with_details(serde_json::json!({ "reports": names }))
        })
    }

    /// Whether it shows a range; the others show the books as they stand.
    fn has_range(self) -> bool {
        matches!(self, Report::CapitalGains | Report::JournalEntries)
    }

    fn has_csv(self) -> bool {
        !matches!(self, Report::BalanceSheet | Report::PortfolioSummary)
    }
}

/// A question that makes sense.
struct Wanted {
    report: Report,
    format: Format,
    query: ReportQuery,
}

impl Wanted {
    fn checked(name: &str, query: ReportQuery) -> Result<Self, Problem> {
        let report = Report::named(name)?;
        let format = match query.format.as_deref() {
            None if report.has_range() => Format::Csv,
            None | Some("json") => Format::Json,
            Some("csv") if report.has_csv() => Format::Csv,
            Some("csv") => {
                let message = format!("{name} has no CSV form; leave format out or ask for format=json");
                return Err(
                    Problem::new(Code::NoCsv, message).with_details(serde_json::json!({ "field": "format" }))
                );
            }
            Some(_) => return Err(Problem::query("format", "format must be json or csv")),
        };
        for (parameter, given) in [("start", &query.start), ("end", &query.end)] {
            if given.is_some() && !report.has_range() {
                let message = format!("{name} shows the books as they stand and takes no {parameter}");
                return Err(Problem::query(parameter, message));
            }
        }
        if query.limit.is_some() && report != Report::BalanceSheet {
            return Err(Problem::query("limit", format!("{name} is never cut and takes no limit")));
        }
        page::limit(query.limit)?;
        Ok(Self { report, format, query })
    }

    fn range(&self, book: &Snapshot) -> Result<Range, Problem> {
        let (start, end) = (self.query.start.as_deref(), self.query.end.as_deref());
        range(("start", start), ("end", end), &book.zone()?)
    }

    /// Changes whenever the report could, except for the instant it states.
    fn tag(&self, book: &Snapshot) -> Result<String, Problem> {
        let text = |bound: &Option<String>| bound.clone().unwrap_or_default();
        // The term of an open lot depends on the day it is looked at.
        let day = match self.report {
            Report::OpenLots => book.zone()?.day(now())?.to_string(),
            _ => String::new(),
        };
        let parts = [self.report.name(), &text(&self.query.start), &text(&self.query.end), &day];
        Ok(etag::weak(book.header()?.book_version, &parts))
    }

    fn json(&self, book: &Snapshot) -> Result<Vec<u8>, Problem> {
        let now = now();
        match self.report {
            Report::BalanceSheet => encoded(&book.balance_sheet(None, now)?),
            Report::PortfolioSummary => encoded(&book.portfolio_summary(None, now)?),
            Report::CapitalGains => encoded(&book.capital_gains(&self.range(book)?, now)?),
            Report::JournalEntries => encoded(&book.journal_entries(&self.range(book)?, now)?),
            Report::OpenLots => encoded(&book.open_lots_report(None, now)?),
            Report::TaxSummary => encoded(&book.tax_summary(None, now)?),
        }
    }

    fn csv(&self, book: &Snapshot, range: &Range, mut sink: CsvSink) -> Result<(), Problem> {
        match self.report {
            Report::CapitalGains => book.capital_gains_csv(range, &mut sink)?,
            Report::JournalEntries => book.journal_entries_csv(range, &mut sink)?,
            Report::OpenLots => book.open_lots_csv(None, now(), &mut sink)?,
            Report::TaxSummary => book.tax_summary(None, now())?.write_csv(&mut sink)?,
            Report::BalanceSheet | Report::PortfolioSummary => {
                return Err(Problem::new(Code::NoCsv, "this report has no CSV form"));
            }
        }
        // A client that left after the last row has what it wanted.
        let _ = sink.finish();
        Ok(())
    }
}

fn encoded(report: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(report).map_err(|error| Problem::internal(&error))
}
