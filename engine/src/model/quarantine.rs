//! [`Quarantine`]: why the engine refuses to guess about an event.

use serde::{Deserialize, Serialize};

use crate::id::ConnectionNo;
use crate::money::Msats;

/// A machine-readable reason, with what is needed to resolve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quarantine {
    /// Some inputs are not ours: coinjoin, payjoin, or a gap limit too small.
    CollaborativeSpend {
        /// Inputs known to be ours.
        own_inputs: u32,
        /// Inputs of others.
        foreign_inputs: u32,
    },
    /// No rate values the event.
    MissingRate {
        /// The pair looked for, e.g. `BTC-USD`.
        pair: String,
    },
    /// The pool does not hold enough.
    InsufficientLots {
        /// The pool's connection; `None` for the whole book.
        connection: Option<ConnectionNo>,
        /// Needed for the event.
        needed: Msats,
        /// Open in the pool at that time.
        available: Msats,
    },
    /// A specific lot named by the record is not open in that quantity.
    LotUnavailable {
        /// The acquiring event named.
        lot: String,
    },
    /// An asset these books do not keep.
    UnknownAsset {
        /// Its ticker.
        asset: String,
    },
    /// The amounts contradict each other.
    NegativeAmount {
        /// What does not fit.
        problem: String,
    },
    /// The amounts are larger than these books can add up.
    AmountOutOfRange,
    /// Records that share an identity do not fit together.
    ConflictingLink {
        /// What does not fit.
        problem: String,
    },
}

impl Quarantine {
    /// The stable code on the surface.
    pub fn code(&self) -> &'static str {
        match self {
            Quarantine::CollaborativeSpend { .. } => "collaborative_spend",
            Quarantine::MissingRate { .. } => "missing_rate",
            Quarantine::InsufficientLots { .. } => "insufficient_lots",
            Quarantine::LotUnavailable { .. } => "lot_unavailable",
            Quarantine::UnknownAsset { .. } => "unknown_asset",
            Quarantine::NegativeAmount { .. } => "negative_amount",
            Quarantine::AmountOutOfRange => "amount_out_of_range",
            Quarantine::ConflictingLink { .. } => "conflicting_link",
        }
    }

    /// What is wrong and what would resolve it, in a sentence.
    pub fn explain(&self) -> String {
        match self {
            Quarantine::CollaborativeSpend { own_inputs, foreign_inputs } => format!(
                "{own_inputs} of {} inputs are yours; connect the wallet that owns the others, raise the gap limit, or exclude the event",
                own_inputs.saturating_add(*foreign_inputs)
            ),
            Quarantine::MissingRate { pair } => format!(
                "no {pair} rate at or shortly before this time; import rates or set a rate override, then process again"
            ),
            Quarantine::InsufficientLots { connection, needed, available } => format!(
                "needs {needed} BTC but {} holds {available} BTC then; import what is missing or add an opening_balance",
                match connection {
                    Some(no) => format!("connection {}", no.0),
                    None => "the book".to_owned(),
                }
            ),
            Quarantine::LotUnavailable { lot } => {
                format!("lot {lot} is not open in the quantity named; correct the `lots` of this record")
            }
            Quarantine::UnknownAsset { asset } => {
                format!("{asset} is neither BTC nor an ISO 4217 currency; these books keep bitcoin and fiat")
            }
            Quarantine::AmountOutOfRange => {
                "with this event the books would hold more than there can be; look for satoshis in an amount_btc column".into()
            }
            Quarantine::NegativeAmount { problem } | Quarantine::ConflictingLink { problem } => {
                problem.clone()
            }
        }
    }
}
