//! The cells of a row → one [`PlainRecord`] that keeps the rules of its type.
//!
//! Owns: which cells a type needs, allows and forbids. A cell that would have no meaning is refused, not ignored.

use super::cell::{self, Asset, Problem, Unit, kind_name, quoted};
use super::header::{Column, Header};
use super::split::RawRecord;
use super::{ImportContext, RowError};
use crate::model::{PlainExtra, PlainKind, PlainRecord, Side};
use crate::money::{Currency, Fiat, Msats};
use crate::time::Timestamp;

/// A cell that was refused, and why.
pub(super) struct Wrong {
    pub column: Column,
    pub problem: Problem,
}

/// The cells of one row, by column.
pub(super) struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
    header: &'a Header,
}

impl<'a> Cells<'a> {
    /// Checks that the record is text with as many cells as the header.
    pub(super) fn of(record: &'a RawRecord, header: &'a Header) -> Result<Self, RowError> {
        let wrong = |column: &str, problem| RowError { line: record.line, column: column.into(), problem };
        let (cells, width) = (record.ends.len(), header.width);
        if cells != width {
            let problem = format!(
                "has {cells} cells, the header has {width}; quote cells that hold a separator or a line break"
            );
            return Err(wrong("", problem));
        }
        let text = std::str::from_utf8(&record.bytes).map_err(|error| {
            let place = record.ends.iter().position(|end| error.valid_up_to() < *end).unwrap_or(0);
            wrong(header.name_at(place), "is not UTF-8 text; save the file as CSV in UTF-8".into())
        })?;
        Ok(Cells { text, ends: &record.ends, header })
    }

    /// The trimmed text of a cell; `None` when blank or when the file has no such column.
    fn get(&self, column: Column) -> Option<&'a str> {
        let place = self.header.place(column)?;
        let start = if place == 0 { 0 } else { *self.ends.get(place - 1)? };
        let text = self.text.get(start..*self.ends.get(place)?)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The value of a cell that may be blank.
    fn read<T>(
        &self,
        column: Column,
        read: impl FnOnce(&'a str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Wrong> {
        self.get(column).map(read).transpose().map_err(|problem| Wrong { column, problem })
    }

    /// The value of a cell that must be there; `why` says so to the user.
    fn need<T>(
        &self,
        column: Column,
        why: &str,
        read: impl FnOnce(&'a str) -> Result<T, Problem>,
    ) -> Result<T, Wrong> {
        self.read(column, read)?.ok_or_else(|| Wrong { column, problem: why.into() })
    }

    /// Refuses cells that mean nothing for this type.
    fn forbid(&self, columns: &[Column], problem: impl FnOnce() -> Problem) -> Result<(), Wrong> {
        match columns.iter().find(|column| self.get(**column).is_some()) {
            Some(column) => Err(Wrong { column: *column, problem: problem() }),
            None => Ok(()),
        }
    }

    /// The quantity in whichever one of three columns is filled.
    fn quantity(&self, columns: [Column; 3]) -> Result<Option<(Column, Msats)>, Wrong> {
        let mut found: Option<(Column, Msats)> = None;
        for (column, unit) in columns.into_iter().zip([Unit::Btc, Unit::Sat, Unit::Msat]) {
            let Some(quantity) = self.read(column, |text| cell::quantity(text, unit))? else { continue };
            if let Some((first, _)) = found {
                let problem = format!("is filled as well as {}; fill one of them", first.name());
                return Err(Wrong { column, problem });
            }
            found = Some((column, quantity));
        }
        Ok(found)
    }
}

const AMOUNTS: [Column; 3] = [Column::AmountBtc, Column::AmountSat, Column::AmountMsat];
const FEES: [Column; 3] = [Column::FeeBtc, Column::FeeSat, Column::FeeMsat];
const TRADE: [Column; 4] = [Column::FromAsset, Column::FromAmount, Column::ToAsset, Column::ToAmount];
const CARRIED: [Column; 3] = [Column::CostBasis, Column::AcquiredAt, Column::FmvAtGift];

/// Reads one row: its own id, if it has one, and what it says.
pub(super) fn read<'a>(
    cells: &Cells<'a>,
    context: &ImportContext,
) -> Result<(Option<&'a str>, PlainRecord), Wrong> {
    let kind = cells.need(Column::Type, "is blank; every row has a type", cell::kind)?;
    let time = read_time(cells, context)?;
    let (quantity, trade) = match kind {
        PlainKind::Trade => (Msats::ZERO, Some(read_trade(cells, context)?)),
        _ => (read_quantity(cells, kind)?, None),
    };
    let fee = read_fee(cells, kind)?;
    let money = read_money(cells, kind, trade, context)?;
    let acquired_at = read_acquired(cells, kind, time, context)?;
    let leaving = match trade {
        Some((Side::Btc(given), _)) => Some(given),
        None if is_disposal(kind) => Some(quantity),
        _ => None,
    };
    let extra = read_extra(cells, kind, leaving, fee)?;
    let id = cells.read(Column::Id, cell::reference)?;
    let record = PlainRecord {
        kind,
        time,
        quantity,
        fee,
        value: money.value,
        fee_fiat: money.fee,
        trade,
        cost_basis: money.cost_basis,
        acquired_at,
        value_at_gift: money.at_gift,
        extra,
    };
    Ok((id, record))
}

fn read_time(cells: &Cells<'_>, context: &ImportContext) -> Result<Timestamp, Wrong> {
    let has_date = cells.header.place(Column::Date).is_some();
    let column = if has_date { Column::Date } else { Column::Timestamp };
    cells.need(column, "is blank; every row has a time", |text| cell::time(text, &context.zone))
}

fn read_quantity(cells: &Cells<'_>, kind: PlainKind) -> Result<Msats, Wrong> {
    cells.forbid(&TRADE, || {
        format!("is for trades; a row of type {} has amount_btc, amount_sat or amount_msat", kind_name(kind))
    })?;
    match cells.quantity(AMOUNTS)? {
        Some((_, quantity)) if !quantity.is_zero() => Ok(quantity),
        Some((column, _)) => Err(Wrong {
            column,
            problem: format!("is zero; a row of type {} has a quantity", kind_name(kind)),
        }),
        None => {
            let problem = format!(
                "is blank; a row of type {} has its quantity in amount_btc, amount_sat or amount_msat",
                kind_name(kind)
            );
            let present = AMOUNTS.into_iter().find(|column| cells.header.place(*column).is_some());
            Err(Wrong { column: present.unwrap_or(Column::AmountBtc), problem })
        }
    }
}

fn read_fee(cells: &Cells<'_>, kind: PlainKind) -> Result<Msats, Wrong> {
    match cells.quantity(FEES)? {
        Some((column, fee)) if kind == PlainKind::Fee && !fee.is_zero() => {
            Err(Wrong { column, problem: "is not for rows of type fee; their quantity is the fee".into() })
        }
        found => Ok(found.map_or(Msats::ZERO, |(_, fee)| fee)),
    }
}

fn read_trade(cells: &Cells<'_>, context: &ImportContext) -> Result<(Side, Side), Wrong> {
    cells.forbid(&AMOUNTS, || "is not for trades; they have from_amount and to_amount".into())?;
    let why = "is blank; a trade has from_asset, from_amount, to_asset and to_amount";
    let asset = |column| cells.need(column, why, |text| cell::asset(text, context.book_currency));
    let (from, to) = (asset(Column::FromAsset)?, asset(Column::ToAsset)?);
    if from == to && !matches!(from, Asset::Unknown(_)) {
        let problem = "is the asset given; a trade gets another one".into();
        return Err(Wrong { column: Column::ToAsset, problem });
    }
    let side = |asset: Asset, column| cells.need(column, why, |text| asset.side(text));
    Ok((side(from, Column::FromAmount)?, side(to, Column::ToAmount)?))
}

/// The fiat amounts of a row.
struct Money {
    value: Option<(Currency, Fiat)>,
    fee: Option<(Currency, Fiat)>,
    cost_basis: Option<(Currency, Fiat)>,
    at_gift: Option<(Currency, Fiat)>,
}

fn read_money(
    cells: &Cells<'_>,
    kind: PlainKind,
    trade: Option<(Side, Side)>,
    context: &ImportContext,
) -> Result<Money, Wrong> {
    let book = context.book_currency;
    let stated = cells.read(Column::FiatCurrency, |text| cell::currency(text, book))?;
    let currency = stated.unwrap_or(book);
    let amount = |column| cells.read(column, |text| Ok((currency, cell::fiat(text, currency)?)));
    let traded = match trade {
        Some((Side::Fiat(currency, _), _) | (_, Side::Fiat(currency, _))) => Some(currency),
        _ => None,
    };
    if traded.is_some() {
        cells.forbid(&[Column::FiatValue], || {
            "is not for a trade with a fiat side, which is its value".into()
        })?;
    }
    let value = amount(Column::FiatValue)?;
    if value.is_none() && matches!(kind, PlainKind::Buy | PlainKind::Sell) {
        let problem = format!("is blank; a {} says what was paid for it, without fee", kind_name(kind));
        return Err(Wrong { column: Column::FiatValue, problem });
    }
    let fee_currency = value.map(|(currency, _)| currency).or(traded).unwrap_or(currency);
    let fee = cells.read(Column::FeeFiat, |text| {
        if stated.is_some_and(|stated| stated != fee_currency) {
            return Err(format!("would be in {currency}, but this row's fee is counted in {fee_currency}"));
        }
        Ok((fee_currency, cell::fiat(text, fee_currency)?))
    })?;
    if !carries_cost(kind) {
        cells.forbid(&CARRIED, || {
            format!("is for opening_balance and gift_in, not for {}", kind_name(kind))
        })?;
    }
    Ok(Money { value, fee, cost_basis: amount(Column::CostBasis)?, at_gift: amount(Column::FmvAtGift)? })
}

fn read_acquired(
    cells: &Cells<'_>,
    kind: PlainKind,
    time: Timestamp,
    context: &ImportContext,
) -> Result<Option<Timestamp>, Wrong> {
    if !carries_cost(kind) {
        return Ok(None);
    }
    cells.read(Column::AcquiredAt, |text| {
        let at = cell::time(text, &context.zone)?;
        if at > time { Err(format!("{} is after the row's own time", quoted(text))) } else { Ok(at) }
    })
}

fn carries_cost(kind: PlainKind) -> bool {
    matches!(kind, PlainKind::OpeningBalance | PlainKind::GiftIn)
}

fn is_disposal(kind: PlainKind) -> bool {
    matches!(
        kind,
        PlainKind::Sell | PlainKind::Withdrawal | PlainKind::Pay | PlainKind::GiftOut | PlainKind::Fee
    )
}

fn read_extra(
    cells: &Cells<'_>,
    kind: PlainKind,
    leaving: Option<Msats>,
    fee: Msats,
) -> Result<Option<Box<PlainExtra>>, Wrong> {
    let words = |column| cells.get(column).map(str::to_string);
    let extra = PlainExtra {
        txid: cells.read(Column::Txid, cell::hash)?,
        vout: cells.read(Column::Vout, cell::output)?,
        payment_hash: cells.read(Column::PaymentHash, cell::hash)?,
        transfer_ref: cells.read(Column::TransferRef, |text| cell::reference(text).map(str::to_string))?,
        lots: cells.read(Column::Lots, |text| read_lots(text, kind, leaving, fee))?.unwrap_or_default(),
        description: words(Column::Description),
        note: words(Column::Note),
        tags: cells.get(Column::Tags).map(cell::tags).unwrap_or_default(),
    };
    if extra.vout.is_some() && extra.txid.is_none() {
        return Err(Wrong { column: Column::Vout, problem: "has no txid beside it".into() });
    }
    Ok((extra != PlainExtra::default()).then(|| Box::new(extra)))
}

fn read_lots(
    text: &str,
    kind: PlainKind,
    leaving: Option<Msats>,
    fee: Msats,
) -> Result<Vec<(String, Msats)>, Problem> {
    let Some(quantity) = leaving else {
        return Err(format!(
            "is for rows in which bitcoin leaves; in this row of type {} none does",
            kind_name(kind)
        ));
    };
    let lots = cell::lots(text)?;
    let too_large = |_| format!("{} adds up to more than there can be", quoted(text));
    let named = Msats::sum(lots.iter().map(|(_, amount)| *amount)).map_err(too_large)?;
    let wanted = quantity.add(fee).map_err(too_large)?;
    if !lots.is_empty() && named != wanted {
        return Err(format!("adds up to {named} BTC, but {wanted} BTC leave (quantity and fee)"));
    }
    Ok(lots)
}
