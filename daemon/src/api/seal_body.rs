//! Seals and restatements as the API shows them.

use nacre_engine::error::Result;
use nacre_engine::model::{Gains, Held, Seal};
use nacre_engine::reports::{PrintedGains, Restatement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::change_body::{SettingsWords, place_cursor};

/// A period to seal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSealBody {
    /// One line of 1 to 100 characters, e.g. `Tax year 2024`.
    pub(super) label: String,
    /// First instant: RFC 3339, or a day in the time zone of the profile.
    pub(super) start: String,
    /// Last instant: RFC 3339, or a whole day in the time zone of the profile; not in the future.
    pub(super) end: String,
    /// Seals although events of the period or before it are in quarantine.
    #[serde(default)]
    pub(super) allow_non_final: bool,
}

/// How to accept a restatement.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptBody {
    /// Accepts although events of the period or before it are in quarantine.
    #[serde(default)]
    pub(super) allow_non_final: bool,
}

/// Why a restatement is held back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    /// 1 to 4096 characters.
    pub(super) note: String,
}

/// A sealed period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SealBody {
    /// Its id.
    id: String,
    /// What the user calls it.
    label: String,
    /// `filed`, or `superseded` by a revision.
    state: &'static str,
    /// First instant (RFC 3339).
    start: String,
    /// Last instant.
    end: String,
    /// When it was sealed.
    sealed_at: String,
    /// Version of the book it was sealed from.
    book_version: u64,
    /// Events that were in quarantine in the book then.
    quarantined: u64,
    /// The policies in force.
    settings: SettingsWords,
    /// SHA-256 of the report's CSV, in hex.
    report_sha256: String,
    /// SHA-256 of the facts that the journal up to the end was made from, in hex.
    inputs_sha256: String,
    /// Gains per tax year of the period as filed.
    #[schema(value_type = Vec<Object>)]
    years: Vec<Value>,
    /// The seal this one is a revision of.
    revises: Option<String>,
    /// The revision that replaced it.
    superseded_by: Option<String>,
    /// The restatement that is held back.
    held: Option<HeldBody>,
    /// Whether the journal says anything else now; `null` where that was not asked.
    restated: Option<bool>,
}

/// A restatement that is held back.
#[derive(Debug, Serialize, ToSchema)]
struct HeldBody {
    /// Since when (RFC 3339).
    at: String,
    /// Version of the book that was looked at.
    book_version: u64,
    /// Why.
    note: String,
}

impl SealBody {
    /// `seal`, with what is known about its restatement.
    pub(super) fn new(seal: Seal, restated: Option<bool>) -> Result<Self> {
        let currency = seal.settings.fiat_currency;
        let year = |(year, gains): &(i16, Gains)| {
            Ok(json!({ "year": year, "gains": PrintedGains::of(gains, currency)? }))
        };
        let held =
            |Held { at, book_version, note }: Held| HeldBody { at: at.to_string(), book_version, note };
        Ok(Self {
            years: seal.years.iter().map(year).collect::<Result<_>>()?,
            state: if seal.superseded_by.is_some() { "superseded" } else { "filed" },
            start: seal.start.to_string(),
            end: seal.end.to_string(),
            sealed_at: seal.sealed_at.to_string(),
            book_version: seal.book_version,
            quarantined: seal.quarantined,
            settings: SettingsWords::of(&seal.settings),
            report_sha256: hex(&seal.report_hash),
            inputs_sha256: hex(&seal.inputs_hash),
            id: seal.id,
            label: seal.label,
            revises: seal.revises,
            superseded_by: seal.superseded_by,
            held: seal.held.map(held),
            restated,
        })
    }
}

/// A restatement with the place of its next page.
#[derive(Debug, Serialize)]
pub(super) struct RestatementBody {
    #[serde(flatten)]
    report: Restatement,
    next_cursor: Option<String>,
}

impl From<Restatement> for RestatementBody {
    fn from(report: Restatement) -> Self {
        Self { next_cursor: report.comparison.next.as_ref().map(place_cursor), report }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
