//! Capital gains under another method, scope or fee treatment, beside those of the book. Nothing is written.

use axum::response::{IntoResponse, Response};
use nacre_engine::reports::{Listing, WhatIf};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change_body::{SettingsWords, place_cursor, read_place};
use crate::books::{BookAccess, what_if};
use crate::server::extract::Query;
use crate::server::page;
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::workspaces::settings::Change;

/// Policies to try, and the range to show.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhatIfQuery {
    /// Method for the whole history, e.g. `LIFO`; left out: as the profile has it.
    gains_algorithm: Option<String>,
    /// `universal` or `connection`, for the whole history; left out: as the profile has it.
    lot_scope: Option<String>,
    /// `dispose` or `carry_basis`; left out: as the profile has it.
    transfer_fee_treatment: Option<String>,
    /// First instant shown: RFC 3339, or a day in the time zone of the profile.
    start: Option<String>,
    /// Last instant shown: RFC 3339, or a whole day in the time zone of the profile.
    end: Option<String>,
    /// Differing disposals of the page; the sums ignore it.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before; the sums ignore it.
    cursor: Option<String>,
}

/// The report with the words of both sets of policies.
#[derive(Serialize)]
struct WhatIfBody {
    /// Policies of the side `before`.
    policies_before: SettingsWords,
    /// Policies of the side `after`.
    policies_after: SettingsWords,
    #[serde(flatten)]
    report: WhatIf,
    next_cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Gains per tax year and in total as booked (`before`) and as they would be (`after`), with the disposals that differ. Writes
/// wait while it is derived; it ends with the request, at the latest when that runs out of time.
#[utoipa::path(get, path = "/v1/workspaces/{w}/profiles/{p}/reports/what-if", tag = "reports",
    operation_id = "what_if", params(WhatIfQuery),
    responses((status = 200, description = "Both sides", body = Object)))]
async fn get(access: BookAccess, Query(query): Query<WhatIfQuery>) -> Result<Response, Problem> {
    let listing = Listing {
        after: query.cursor.as_deref().map(read_place).transpose()?,
        limit: page::limit(query.limit)?,
    };
    let change = Change {
        gains_algorithm: query.gains_algorithm,
        lot_scope: query.lot_scope,
        transfer_fee_treatment: query.transfer_fee_treatment,
        ..Change::default()
    };
    let report = what_if::what_if(&access, change, (query.start, query.end), listing).await?;
    let body = WhatIfBody {
        policies_before: SettingsWords::of(&report.booked),
        policies_after: SettingsWords::of(&report.hypothetical),
        next_cursor: report.comparison.next.as_ref().map(place_cursor),
        report,
    };
    Ok(axum::Json(body).into_response())
}
