//! Rows of the change log as the API shows them, and the words they share with seals: policies, gains, places in a list.

use nacre_engine::error::Result;
use nacre_engine::id::{EventId, instant_bytes, instant_from_bytes};
use nacre_engine::model::{
    Change, ChangeDetail, Effect, EventEffect, FeeTreatment, Gains, LotScope, Policy, Settings, YearEffect,
};
use nacre_engine::money::Currency;
use nacre_engine::reports::{Place, PrintedGains};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::event_body::Names;
use crate::server::page;
use crate::server::problem::Problem;

/// One write.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangeBody {
    /// The version of the book it made.
    book_version: u64,
    /// When (RFC 3339).
    at: String,
    /// E.g. `import`, `sync`, `rates`, `settings`, `annotate`, `process`, `seal`.
    operation: String,
    /// Rows it wrote or removed.
    rows: u64,
    /// What it touched, by kind of operation; `null` when nothing that could change a figure.
    #[schema(value_type = Option<Object>)]
    detail: Option<Value>,
}

impl ChangeBody {
    /// The row that made `book_version`.
    pub(super) fn new(book_version: u64, change: Change, names: &Names) -> Result<Self> {
        let Change { at, operation, rows, detail } = change;
        Ok(Self { book_version, at: at.to_string(), operation, rows, detail: detail_of(&detail, names)? })
    }
}

fn detail_of(detail: &ChangeDetail, names: &Names) -> Result<Option<Value>> {
    Ok(Some(match detail {
        ChangeDetail::None => return Ok(None),
        ChangeDetail::Records { connection, label, new, changed, removed, touched } => json!({
            "connection_id": names.connection(*connection).map(|known| known.id),
            "connection_label": label,
            "new": new,
            "changed": changed,
            "removed": removed,
            "first": touched.span.map(|(first, _)| first.to_string()),
            "last": touched.span.map(|(_, last)| last.to_string()),
            "event_ids": touched.events.iter().map(EventId::as_str).collect::<Vec<_>>(),
            "more_events": touched.more,
        }),
        ChangeDetail::Rates(pairs) => {
            let pair = |pair: &nacre_engine::model::TouchedRates| {
                json!({
                    "pair": format!("BTC-{}", pair.currency),
                    "rows": pair.rows,
                    "first": pair.first.to_string(),
                    "last": pair.last.to_string(),
                })
            };
            json!({ "pairs": pairs.iter().map(pair).collect::<Vec<_>>() })
        }
        ChangeDetail::Settings { before, after } => {
            json!({ "before": SettingsWords::of(before), "after": SettingsWords::of(after) })
        }
        ChangeDetail::Annotation { event, fields, .. } => json!({
            "event_id": event.as_str(),
            "fields": fields.iter().map(|field| field.name()).collect::<Vec<_>>(),
        }),
        ChangeDetail::Process(effect) => {
            let EffectBody { first, years, more_from, disposals } = EffectBody::new(effect, names.currency)?;
            json!({
                "first": first,
                "years": years,
                "disposals_changed": disposals.len(),
                "more_from": more_from,
            })
        }
        ChangeDetail::Seal { id, label } => json!({ "seal_id": id, "label": label }),
    }))
}

/// What processing changed about the gains.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EffectBody {
    /// Whether there was no journal before: then everything is new, and no disposal is listed.
    pub(super) first: bool,
    /// The years that changed, each with its gains `before` and `after`.
    #[schema(value_type = Vec<Object>)]
    pub(super) years: Vec<Value>,
    /// The events that changed, oldest first; those before `more_from` are all of them.
    #[schema(value_type = Vec<Object>)]
    pub(super) disposals: Vec<Value>,
    /// From this instant on further events may have changed that are not listed.
    pub(super) more_from: Option<String>,
}

impl EffectBody {
    /// `effect` in the currencies it was made in; `currency` where it knows none.
    pub(super) fn new(effect: &Effect, currency: Currency) -> Result<Self> {
        let (old, new) = effect.currencies.unwrap_or((currency, currency));
        let print = |gains: &Option<Gains>, currency| {
            gains.as_ref().map(|gains| PrintedGains::of(gains, currency)).transpose()
        };
        let year = |effect: &YearEffect| {
            let YearEffect { year, before, after } = effect;
            Ok(json!({
                "year": year,
                "before": PrintedGains::of(before, old)?,
                "after": PrintedGains::of(after, new)?,
            }))
        };
        let event = |effect: &EventEffect| {
            let EventEffect { event, at, before, after } = effect;
            let change = match (before, after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            Ok(json!({
                "event_id": event.as_str(),
                "disposed_at": at.to_string(),
                "change": change,
                "before": print(before, old)?,
                "after": print(after, new)?,
            }))
        };
        Ok(Self {
            first: effect.first,
            years: effect.years.iter().map(year).collect::<Result<_>>()?,
            disposals: effect.events.iter().map(event).collect::<Result<_>>()?,
            more_from: effect.more_from.map(|at| at.to_string()),
        })
    }
}

/// Policies of a book in words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingsWords {
    fiat_currency: String,
    gains_algorithm: &'static str,
    lot_scope: &'static str,
    transfer_fee_treatment: &'static str,
    timezone: String,
    rate_max_age_hours: u32,
    /// Other methods and scopes from a day on.
    policies: Vec<PolicyWords>,
}

/// Method and scope from a day on.
#[derive(Debug, Serialize, ToSchema)]
struct PolicyWords {
    from: String,
    gains_algorithm: &'static str,
    lot_scope: &'static str,
}

impl SettingsWords {
    /// The words of `settings`.
    pub(super) fn of(settings: &Settings) -> Self {
        let policy = |policy: &Policy| PolicyWords {
            from: policy.from.to_string(),
            gains_algorithm: policy.method.name(),
            lot_scope: scope_word(policy.lot_scope),
        };
        Self {
            fiat_currency: settings.fiat_currency.code().to_owned(),
            gains_algorithm: settings.method.name(),
            lot_scope: scope_word(settings.lot_scope),
            transfer_fee_treatment: match settings.fee_treatment {
                FeeTreatment::Dispose => "dispose",
                FeeTreatment::CarryBasis => "carry_basis",
            },
            timezone: settings.timezone.clone(),
            rate_max_age_hours: settings.rate_max_age_hours,
            policies: settings.policies.iter().map(policy).collect(),
        }
    }
}

fn scope_word(scope: LotScope) -> &'static str {
    match scope {
        LotScope::Universal => "universal",
        LotScope::Connection => "connection",
    }
}

/// The cursor behind an event of a comparison.
pub(super) fn place_cursor((at, id): &Place) -> String {
    page::encode_cursor(&[instant_bytes(*at).as_slice(), id.as_str().as_bytes()].concat())
}

/// The event a cursor of a comparison stands behind.
pub(super) fn read_place(cursor: &str) -> std::result::Result<Place, Problem> {
    let bytes = page::decode_cursor(cursor)?;
    let (at, id) = bytes.split_first_chunk::<8>().ok_or_else(page::bad_cursor)?;
    let id = std::str::from_utf8(id).map_err(|_| page::bad_cursor())?;
    Ok((instant_from_bytes(*at), EventId::from_text(id)))
}
