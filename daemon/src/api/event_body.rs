//! Journal events as the API shows them: the names behind numbers, and what an event did in one line.
//!
//! Invariants: bitcoin is decimal satoshis with three decimals, fiat is decimal major units, both text; an event
//! without postings has no figures. It computes nothing the journal did not book.

use std::collections::BTreeMap;

use nacre_engine::book::{EventView, Snapshot};
use nacre_engine::error::Result;
use nacre_engine::id::ConnectionNo;
use nacre_engine::journal::disposal_value;
use nacre_engine::model::{BookedDisposal, BookedStep, Counter, Era, JournalRow, Method, RowStatus};
use nacre_engine::money::{Currency, Fiat, Msats};
use nacre_engine::time::{Timestamp, Zone};
use serde::Serialize;
use utoipa::ToSchema;

/// A connection by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ConnectionRef {
    /// Its id.
    pub(super) id: String,
    /// Its name.
    pub(super) label: String,
}

/// What the numbers inside journal rows stand for, from one snapshot.
pub(super) struct Names {
    connections: BTreeMap<ConnectionNo, ConnectionRef>,
    /// The currency of every value.
    pub(super) currency: Currency,
    /// The zone of its days.
    pub(super) zone: Zone,
    eras: Vec<Era>,
}

impl Names {
    /// The names of `snapshot`.
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self> {
        let settings = snapshot.booked_settings()?;
        let named = snapshot.connections()?.into_iter();
        let connections = named.map(|it| (it.no, ConnectionRef { id: it.id, label: it.label })).collect();
        let zone = Zone::named(&settings.timezone)?;
        let eras = Era::all(&settings, &zone)?;
        Ok(Self { connections, currency: settings.fiat_currency, zone, eras })
    }

    /// The lot selection method in force at an instant.
    pub(super) fn method_at(&self, at: Timestamp) -> Method {
        Era::at(&self.eras, at).map_or(Method::Fifo, |era| era.method)
    }

    /// The connection, unless it was removed since.
    pub(super) fn connection(&self, no: ConnectionNo) -> Option<ConnectionRef> {
        self.connections.get(&no).cloned()
    }

    /// Every connection of a row that still exists.
    pub(super) fn connections(&self, numbers: &[ConnectionNo]) -> Vec<ConnectionRef> {
        numbers.iter().filter_map(|no| self.connection(*no)).collect()
    }

    /// A fiat amount in the currency of the book.
    pub(super) fn fiat(&self, amount: Fiat) -> String {
        amount.to_text(self.currency)
    }
}

/// An event of the journal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventBody {
    /// Its id: the txid on chain, else made from the connection and the id at the source.
    id: String,
    /// When it happened (RFC 3339, UTC).
    timestamp: String,
    /// `transaction`, `deposit`, `withdrawal`, `trade`, `invoice`, `pay`, `forward`, `income`, `interest`, `fee`,
    /// `gift_in`, `gift_out`, `opening_balance` or `lot_allocation` (lots dealt to pools when a policy begins).
    kind: &'static str,
    /// `booked`, `quarantined` or `excluded`.
    status: &'static str,
    /// The connections involved.
    connections: Vec<ConnectionRef>,
    /// `in`, `out`, `transfer` (between own places), `fee` (nothing but a fee) or `none` (no bitcoin moved, or not
    /// booked).
    direction: &'static str,
    /// Bitcoin that came in, left or moved, without the fee, in satoshis; `null` unless booked.
    quantity: Option<String>,
    /// Bitcoin paid as fee, in satoshis; `null` unless booked.
    fee: Option<String>,
    /// Value of the quantity (of the fee, where there is nothing else) in the currency of the book; `null` for a
    /// transfer and unless booked.
    fiat_value: Option<String>,
    /// Currency of `fiat_value`.
    fiat_currency: String,
    /// What the source says it was.
    description: Option<String>,
    /// Your note, else the one that came with the record.
    note: Option<String>,
    /// Codes of the tags, sorted.
    tags: Vec<String>,
    /// Whether you excluded it; takes effect at the next `journals/process`.
    excluded: bool,
}

impl EventBody {
    /// The event `view` in the words of `names`.
    pub(super) fn new(view: &EventView, names: &Names) -> Result<Self> {
        let row = &view.row;
        let flow = Flow::of(row)?;
        let booked = row.status == RowStatus::Booked;
        let (direction, quantity, value) = flow.summary()?;
        Ok(Self {
            id: view.key.id.to_string(),
            timestamp: view.key.time.to_string(),
            kind: row.kind.name(),
            status: status_word(&row.status),
            connections: names.connections(&row.connections),
            direction,
            quantity: booked.then(|| quantity.to_sat_text()),
            fee: booked.then(|| flow.fee.to_sat_text()),
            fiat_value: value.filter(|_| booked).map(|value| names.fiat(value)),
            fiat_currency: names.currency.code().to_owned(),
            description: row.text.as_ref().and_then(|text| text.description.clone()),
            note: view.note().map(str::to_owned),
            tags: view.tags(),
            excluded: view.annotation.excluded,
        })
    }
}

fn status_word(status: &RowStatus) -> &'static str {
    match status {
        RowStatus::Booked => "booked",
        RowStatus::Quarantined(_) => "quarantined",
        RowStatus::Excluded => "excluded",
    }
}

/// Sums over the steps of a row.
#[derive(Default)]
struct Flow {
    received: Msats,
    received_value: Fiat,
    sent: Msats,
    sent_value: Fiat,
    moved: Msats,
    fee: Msats,
    fee_value: Fiat,
}

impl Flow {
    fn of(row: &JournalRow) -> Result<Self> {
        let mut flow = Self::default();
        for step in &row.steps {
            flow.add(step)?;
        }
        Ok(flow)
    }

    fn add(&mut self, step: &BookedStep) -> Result<()> {
        match step {
            BookedStep::Acquired { quantity, value, .. } => {
                self.received = self.received.add(*quantity)?;
                self.received_value = self.received_value.add(*value)?;
            }
            BookedStep::Disposed(disposal) if is_fee(disposal) => {
                self.fee = self.fee.add(disposal.quantity)?;
                self.fee_value = self.fee_value.add(disposal_value(disposal)?)?;
            }
            BookedStep::Disposed(disposal) => {
                self.sent = self.sent.add(disposal.quantity)?;
                self.sent_value = self.sent_value.add(disposal_value(disposal)?)?;
                self.fee = self.fee.add(disposal.fee)?;
            }
            BookedStep::Moved { quantity, .. } => self.moved = self.moved.add(*quantity)?,
            BookedStep::CarriedFee { quantity, .. } => self.fee = self.fee.add(*quantity)?,
            BookedStep::Dealt { .. } | BookedStep::FiatFee { .. } | BookedStep::FiatTraded { .. } => {}
        }
        Ok(())
    }

    /// Direction, quantity and value; where bitcoin came in and left, the difference.
    fn summary(&self) -> Result<(&'static str, Msats, Option<Fiat>)> {
        let net = self.received.sub(self.sent)?;
        let value = self.received_value.sub(self.sent_value)?;
        Ok(if net > Msats::ZERO {
            ("in", net, Some(value))
        } else if net < Msats::ZERO {
            ("out", self.sent.sub(self.received)?, Some(Fiat::ZERO.sub(value)?))
        } else if self.moved > Msats::ZERO {
            ("transfer", self.moved, None)
        } else if self.fee > Msats::ZERO {
            ("fee", Msats::ZERO, Some(self.fee_value))
        } else {
            ("none", Msats::ZERO, None)
        })
    }
}

/// Whether the whole disposal is a fee, as that of an own transfer.
fn is_fee(disposal: &BookedDisposal) -> bool {
    matches!(disposal.counter, Counter::NetworkFees | Counter::LightningFees | Counter::ExchangeFees)
}
