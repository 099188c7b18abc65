//! What may be asked of a report: its parameters, read and checked before anything is computed.
//!
//! Invariant: **a parameter that a report does not know is refused, never ignored.** What a parameter means inside a book
//! (its zone, its connections, its currency) is checked against one snapshot of it.

use std::collections::BTreeSet;

use nacre_engine::Error;
use nacre_engine::book::Snapshot;
use nacre_engine::id::ConnectionNo;
use nacre_engine::money::Currency;
use nacre_engine::reports::{FormQuery, HistoryQuery, Interval, Range};
use nacre_engine::time::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::journals::range;
use crate::books::now;
use crate::server::etag;
use crate::server::page;
use crate::server::problem::{Code, Problem};

/// The reports there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(super) enum Report {
    BalanceSheet,
    BalanceHistory,
    PortfolioSummary,
    CapitalGains,
    JournalEntries,
    OpenLots,
    TaxSummary,
    Conservation,
    #[schema(rename = "form-8949")]
    Form8949,
}

/// `json` or `csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Format {
    Json,
    Csv,
}

/// Length of the spans of a balance history.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "names the words in the OpenAPI document; the engine reads them")]
enum IntervalWord {
    Hour,
    Day,
    Week,
    Month,
}

/// What to show of a report, and in which form.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportQuery {
    /// `csv` is the default of capital-gains and journal-entries, `json` that of the others.
    #[param(value_type = Option<Format>)]
    format: Option<String>,
    /// First instant shown (capital-gains, journal-entries, balance-history): RFC 3339, or a day in the time zone of the
    /// profile. A balance history begins with the books without it.
    start: Option<String>,
    /// Last instant shown: RFC 3339, or a whole day in the time zone of the profile. A balance history ends now without it.
    end: Option<String>,
    /// The books as they stood then (balance-sheet, portfolio-summary, open-lots): RFC 3339, or the end of a day in the time
    /// zone of the profile.
    as_of: Option<String>,
    /// `false`: the sums of capital-gains without its rows, which costs next to nothing (JSON).
    rows: Option<bool>,
    /// The calendar year (tax-summary: one year instead of all; form-8949: the tax year, required).
    year: Option<i16>,
    /// Length of the spans of a balance-history; `month` without it.
    #[param(value_type = Option<IntervalWord>)]
    interval: Option<String>,
    /// Accounts of this connection alone (balance-history): its id.
    connection: Option<String>,
    /// The account of this path and all below it (balance-history); `Assets` without it.
    account: Option<String>,
    /// This asset alone (balance-history): `BTC` or a currency code.
    asset: Option<String>,
    /// Ids, separated by commas, of connections whose Form 1099-DA showed the basis, too (form-8949: boxes G and J).
    basis_reported: Option<String>,
    /// Ids of connections whose Form 1099-DA showed the proceeds alone (form-8949: boxes H and K).
    proceeds_reported: Option<String>,
    /// Whether form-8949 rounds every amount to whole dollars.
    whole_dollars: Option<bool>,
    /// Taken by balance-sheet for clients that send it; a balance sheet is never cut.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

impl ReportQuery {
    /// The parameters that were given, but for the format.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("start", self.start.is_some()),
            ("end", self.end.is_some()),
            ("as_of", self.as_of.is_some()),
            ("rows", self.rows.is_some()),
            ("year", self.year.is_some()),
            ("interval", self.interval.is_some()),
            ("connection", self.connection.is_some()),
            ("account", self.account.is_some()),
            ("asset", self.asset.is_some()),
            ("basis_reported", self.basis_reported.is_some()),
            ("proceeds_reported", self.proceeds_reported.is_some()),
            ("whole_dollars", self.whole_dollars.is_some()),
            ("limit", self.limit.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name)
    }
}

impl Report {
    const ALL: [Report; 9] = [
        Report::BalanceSheet,
        Report::BalanceHistory,
        Report::PortfolioSummary,
        Report::CapitalGains,
        Report::JournalEntries,
        Report::OpenLots,
        Report::TaxSummary,
        Report::Conservation,
        Report::Form8949,
    ];

    /// Its name in the path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Report::BalanceSheet => "balance-sheet",
            Report::BalanceHistory => "balance-history",
            Report::PortfolioSummary => "portfolio-summary",
            Report::CapitalGains => "capital-gains",
            Report::JournalEntries => "journal-entries",
            Report::OpenLots => "open-lots",
            Report::TaxSummary => "tax-summary",
            Report::Conservation => "conservation",
            Report::Form8949 => "form-8949",
        }
    }

    fn named(name: &str) -> Result<Self, Problem> {
        let names = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|report| report.name() == name).ok_or_else(|| {
            let message = format!("there is no such report; there are {}", names.join(", "));
            Problem::new(Code::UnknownReport, message).with_details(serde_json::json!({ "reports": names }))
        })
    }

    /// The parameters it takes beside `format`.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Report::BalanceSheet => &["as_of", "limit"],
            Report::PortfolioSummary | Report::OpenLots => &["as_of"],
            Report::BalanceHistory => &["start", "end", "interval", "connection", "account", "asset"],
            Report::CapitalGains => &["start", "end", "rows"],
            Report::JournalEntries => &["start", "end"],
            Report::TaxSummary => &["year"],
            Report::Conservation => &[],
            Report::Form8949 => &["year", "basis_reported", "proceeds_reported", "whole_dollars"],
        }
    }

    fn is_csv_by_default(self) -> bool {
        matches!(self, Report::CapitalGains | Report::JournalEntries)
    }

    fn has_csv(self) -> bool {
        !matches!(self, Report::BalanceSheet | Report::PortfolioSummary | Report::Conservation)
    }
}

/// A question that makes sense, whatever the book.
pub(super) struct Wanted {
    /// Which report.
    pub(super) report: Report,
    /// In which form.
    pub(super) format: Format,
    query: ReportQuery,
}

/// A question that makes sense to a book.
#[derive(Debug)]
pub(super) enum Asked {
    BalanceSheet(Option<Timestamp>),
    BalanceHistory(Box<HistoryQuery>, Vec<Range>),
    PortfolioSummary(Option<Timestamp>),
    /// With its rows, or their sums alone.
    CapitalGains(Range, bool),
    JournalEntries(Range),
    OpenLots(Option<Timestamp>),
    TaxSummary(Option<i16>),
    Conservation,
    Form8949(FormQuery),
}

impl Wanted {
    /// Refuses what cannot be asked of the report `name`.
    pub(super) fn checked(name: &str, query: ReportQuery) -> Result<Self, Problem> {
        let report = Report::named(name)?;
        let format = match query.format.as_deref() {
            None if report.is_csv_by_default() => Format::Csv,
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
        let known = report.parameters();
        if let Some(other) = query.given().find(|given| !known.contains(given)) {
            let taken: Vec<&str> = ["format"].iter().chain(known).copied().collect();
            let message = format!("{name} takes no {other}; it takes {}", taken.join(", "));
            return Err(Problem::query(other, message));
        }
        if query.rows == Some(false) && format == Format::Csv {
            return Err(Problem::query("rows", "a CSV is rows; ask for rows=false with format=json"));
        }
        if report == Report::Form8949 && query.year.is_none() {
            return Err(Problem::query("year", "form-8949 is for one tax year; say which, e.g. year=2025"));
        }
        page::limit(query.limit)?;
        Ok(Self { report, format, query })
    }

    /// The question in terms of `book`.
    pub(super) fn asked(&self, book: &Snapshot) -> Result<Asked, Problem> {
        Ok(match self.report {
            Report::BalanceSheet => Asked::BalanceSheet(self.as_of(book)?),
            Report::PortfolioSummary => Asked::PortfolioSummary(self.as_of(book)?),
            Report::OpenLots => Asked::OpenLots(self.as_of(book)?),
            Report::CapitalGains => Asked::CapitalGains(self.range(book)?, self.query.rows.unwrap_or(true)),
            Report::JournalEntries => Asked::JournalEntries(self.range(book)?),
            Report::TaxSummary => {
                if let Some(year) = self.query.year {
                    Range::year(year, &book.zone()?).map_err(problem)?;
                }
                Asked::TaxSummary(self.query.year)
            }
            Report::Conservation => Asked::Conservation,
            Report::BalanceHistory => {
                let query = self.history(book)?;
                let spans = book.history_spans(&query, now()).map_err(problem)?;
                Asked::BalanceHistory(Box::new(query), spans)
            }
            Report::Form8949 => {
                let query = self.form(book)?;
                book.form_8949_range(&query).map_err(problem)?;
                Asked::Form8949(query)
            }
        })
    }

    /// Changes whenever the report could, except for the instant it states.
    pub(super) fn tag(&self, book: &Snapshot) -> Result<String, Problem> {
        let query = &self.query;
        let moment = match self.report {
            // The term of an open lot depends on the day it is looked at, and so does the method in force.
            Report::OpenLots | Report::PortfolioSummary if query.as_of.is_none() => {
                book.zone()?.day(now())?.to_string()
            }
            // Ends at this moment, and so does the rate at its end.
            Report::BalanceHistory if query.end.is_none() => now().to_string(),
            _ => String::new(),
        };
        Ok(etag::weak(book.header()?.book_version, &[self.report.name(), &format!("{query:?}"), &moment]))
    }

    fn range(&self, book: &Snapshot) -> Result<Range, Problem> {
        let (start, end) = (self.query.start.as_deref(), self.query.end.as_deref());
        range(("start", start), ("end", end), &book.zone()?)
    }

    fn as_of(&self, book: &Snapshot) -> Result<Option<Timestamp>, Problem> {
        Ok(range(("as_of", None), ("as_of", self.query.as_of.as_deref()), &book.zone()?)?.end)
    }

    fn history(&self, book: &Snapshot) -> Result<HistoryQuery, Problem> {
        let query = &self.query;
        let interval = match query.interval.as_deref() {
            None => Interval::Month,
            Some(word) => {
                let known = Interval::ALL.into_iter().find(|interval| interval.name() == word);
                let words = Interval::ALL.map(Interval::name).join(", ");
                known.ok_or_else(|| Problem::query("interval", format!("interval must be one of {words}")))?
            }
        };
        let connection = match query.connection.as_deref() {
            None => None,
            Some(id) => Some(connection(book, "connection", id)?),
        };
        Ok(HistoryQuery {
            interval,
            range: self.range(book)?,
            connection,
            account: query.account.clone().unwrap_or_else(|| "Assets".to_owned()),
            asset: query.asset.as_deref().map(asset).transpose()?,
        })
    }

    fn form(&self, book: &Snapshot) -> Result<FormQuery, Problem> {
        let query = &self.query;
        Ok(FormQuery {
            year: query.year.unwrap_or_default(),
            basis_reported: connections(book, "basis_reported", query.basis_reported.as_deref())?,
            proceeds_reported: connections(book, "proceeds_reported", query.proceeds_reported.as_deref())?,
            whole_dollars: query.whole_dollars.unwrap_or(false),
        })
    }
}

/// What the engine refuses of a question.
pub(super) fn problem(error: Error) -> Problem {
    match error {
        Error::Invalid { field: field @ "fiat_currency", problem } => {
            Problem::new(Code::WrongCurrency, problem).with_details(serde_json::json!({ "field": field }))
        }
        Error::Invalid { field, problem } => Problem::query(field, format!("{field}: {problem}")),
        other => other.into(),
    }
}

fn asset(code: &str) -> Result<String, Problem> {
    let code = code.trim().to_ascii_uppercase();
    if code == "BTC" || code.parse::<Currency>().is_ok() {
        return Ok(code);
    }
    Err(Problem::query("asset", "asset must be BTC or a currency code of ISO 4217 such as USD"))
}

fn connection(book: &Snapshot, parameter: &str, id: &str) -> Result<ConnectionNo, Problem> {
    let found = book.connections()?.into_iter().find(|connection| connection.id == id);
    found.map(|connection| connection.no).ok_or_else(|| {
        Problem::query(parameter, format!("{parameter} must name connections of this profile by their ids"))
    })
}

fn connections(
    book: &Snapshot,
    parameter: &str,
    ids: Option<&str>,
) -> Result<BTreeSet<ConnectionNo>, Problem> {
    let ids = ids.unwrap_or_default().split(',').map(str::trim).filter(|id| !id.is_empty());
    ids.map(|id| connection(book, parameter, id)).collect()
}
