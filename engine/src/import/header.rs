//! The header: which delimiter, which columns, in which order.
//!
//! Owns the list of columns of the plain format. Refuses columns it does not know, so that nothing is ignored.

use std::io::{Chain, Cursor, Read};

use super::split::{RawRecord, Records};
use super::{HeaderError, RowError};

/// Longest first line.
const HEADER_MAX: usize = 64 << 10;

macro_rules! columns {
    ($($variant:ident $name:literal,)*) => {
        /// A column of the plain format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Column { $($variant,)* }

        impl Column {
            /// Every column, in the order of the documentation.
            pub(super) const ALL: &'static [Column] = &[$(Column::$variant,)*];

            /// As the header writes it.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Column::$variant => $name,)* }
            }
        }
    };
}

columns! {
    Type "type",
    Timestamp "timestamp",
    Date "date",
    Id "id",
    AmountBtc "amount_btc",
    AmountSat "amount_sat",
    AmountMsat "amount_msat",
    FeeBtc "fee_btc",
    FeeSat "fee_sat",
    FeeMsat "fee_msat",
    FiatValue "fiat_value",
    FiatCurrency "fiat_currency",
    FeeFiat "fee_fiat",
    FromAsset "from_asset",
    FromAmount "from_amount",
    ToAsset "to_asset",
    ToAmount "to_amount",
    Txid "txid",
    Vout "vout",
    PaymentHash "payment_hash",
    TransferRef "transfer_ref",
    CostBasis "cost_basis",
    AcquiredAt "acquired_at",
    FmvAtGift "fmv_at_gift",
    Lots "lots",
    Description "description",
    Note "note",
    Tags "tags",
}

/// How many columns the format has.
const COUNT: usize = Column::ALL.len();

/// The names of all columns, for messages.
pub(super) fn known() -> String {
    Column::ALL.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ")
}

/// Where each column is in this file.
#[derive(Debug)]
pub(super) struct Header {
    places: [Option<usize>; COUNT],
    /// How many cells a row has.
    pub width: usize,
}

impl Header {
    /// The place of `column` in a row, when the file has it.
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }

    /// The column at `place`, for messages.
    pub(super) fn name_at(&self, place: usize) -> &'static str {
        let column = Column::ALL.iter().find(|column| self.place(**column) == Some(place));
        column.map_or("", |column| column.name())
    }

    fn of(record: &RawRecord) -> Result<Self, HeaderError> {
        let text = std::str::from_utf8(&record.bytes).map_err(|_| HeaderError::NotUtf8)?;
        let mut header = Header { places: [None; COUNT], width: record.ends.len() };
        let mut start = 0;
        for (place, end) in record.ends.iter().enumerate() {
            let name = text.get(start..*end).ok_or(HeaderError::NotUtf8)?.trim();
            start = *end;
            if name.is_empty() {
                return Err(HeaderError::Unnamed(place + 1));
            }
            let column = Column::ALL.iter().find(|column| column.name().eq_ignore_ascii_case(name));
            let column = *column.ok_or_else(|| HeaderError::UnknownColumn { name: clip(name) })?;
            if header.places[column as usize].replace(place).is_some() {
                return Err(HeaderError::Duplicate(column.name()));
            }
        }
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), HeaderError> {
        let has = |column| self.place(column).is_some();
        if !has(Column::Type) {
            return Err(HeaderError::Missing("type"));
        }
        match (has(Column::Timestamp), has(Column::Date)) {
            (true, true) => return Err(HeaderError::Conflict("timestamp", "date")),
            (false, false) => return Err(HeaderError::Missing("timestamp (or date)")),
            _ => {}
        }
        if ![Column::AmountBtc, Column::AmountSat, Column::AmountMsat, Column::FromAmount]
            .into_iter()
            .any(has)
        {
            return Err(HeaderError::Missing(
                "amount_btc (or amount_sat, amount_msat; a trade has from_amount)",
            ));
        }
        Ok(())
    }
}

/// The bytes looked at to find the delimiter, then the rest of the input.
pub(super) type Input<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads the header: its columns, and the records that follow it.
pub(super) fn open<R: Read>(mut input: R) -> Result<(Header, Records<Input<R>>), HeaderError> {
    let start = first_line(&mut input)?;
    let delimiter = delimiter_of(&start);
    let mut records = Records::new(Cursor::new(start).chain(input), delimiter);
    let mut record = RawRecord::default();
    match records.read(&mut record) {
        Ok(true) => Ok((Header::of(&record)?, records)),
        Ok(false) => Err(HeaderError::Empty),
        Err(error) => Err(HeaderError::Malformed(RowError { line: error.line.max(1), ..error })),
    }
}

/// Reads until the first line with content has ended, and drops a byte order mark.
fn first_line(input: &mut impl Read) -> Result<Vec<u8>, HeaderError> {
    let mut start = Vec::new();
    loop {
        let before = start.len();
        let read = input.by_ref().take(4096).read_to_end(&mut start);
        read.map_err(|error| HeaderError::Read(error.to_string()))?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(HeaderError::Utf16);
        }
        let line = header_line(&start);
        if line.contains(&0) {
            return Err(HeaderError::Utf16);
        }
        if line.len() > HEADER_MAX || start.len() > 2 * HEADER_MAX {
            return Err(HeaderError::TooLong);
        }
        let ended = line.as_ptr_range().end != start.as_ptr_range().end;
        if start.len() == before || (ended && !line.is_empty()) {
            break;
        }
    }
    if start.starts_with(&[0xef, 0xbb, 0xbf]) {
        start.drain(..3);
    }
    Ok(start)
}

/// The first line with content, without its end.
fn header_line(start: &[u8]) -> &[u8] {
    let end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let from = start.iter().position(|byte| !end(byte)).unwrap_or(start.len());
    let line = &start[from..];
    &line[..line.iter().position(end).unwrap_or(line.len())]
}

/// The most frequent of `,`, `;` and tab in the header line; no column name holds any of them.
fn delimiter_of(start: &[u8]) -> u8 {
    let line = header_line(start);
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Enough of a name to recognise it.
fn clip(name: &str) -> String {
    name.chars().take(64).collect()
}
