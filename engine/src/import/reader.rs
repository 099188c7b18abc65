//! [`PlainRows`]: a file, one checked row at a time.

use std::io::Read;

use super::header::{self, Header, Input};
use super::identity::Identities;
use super::row::{self, Cells};
use super::split::{RawRecord, Records};
use crate::money::Currency;
use crate::time::Zone;

use super::{HeaderError, ImportContext, PlainRow, RowError};

/// The rows of a file in the plain format, read as they are asked for.
///
/// Memory: one row, 16 bytes per row with an `id`, 20 per row without (plus the tables' own room). A row that is
/// refused does not end the reading, broken quoting or a failing input does.
pub struct PlainRows<R> {
    records: Records<Input<R>>,
    header: Header,
    context: ImportContext,
    /// Zone and currency that identities are read under.
    as_written: ImportContext,
    identities: Identities,
    record: RawRecord,
    ended: bool,
}

/// Opens a file in the plain format: comma, semicolon or tab separated UTF-8 with a header.
///
/// # Errors
/// [`HeaderError`] when the header does not say what the columns are.
pub fn read_plain<R: Read>(input: R, context: &ImportContext) -> Result<PlainRows<R>, HeaderError> {
    let (header, records) = header::open(input)?;
    Ok(PlainRows {
        records,
        header,
        context: context.clone(),
        as_written: as_written(),
        identities: Identities::default(),
        record: RawRecord::default(),
        ended: false,
    })
}

impl<R: Read> PlainRows<R> {
    fn row(&mut self) -> Result<PlainRow, RowError> {
        let line = self.record.line;
        let cells = Cells::of(&self.record, &self.header)?;
        let (id, record) = row::read(&cells, &self.context).map_err(|wrong| RowError {
            line,
            column: wrong.column.name().into(),
            problem: wrong.problem,
        })?;
        // A row without id is known by what is written in it, not by what the book's zone and currency make of it: read
        // again under others, the same file is still the same file.
        let written = match id {
            Some(_) => None,
            None => row::read(&cells, &self.as_written).ok().map(|(_, written)| written),
        };
        let known_by = written.as_ref().unwrap_or(&record);
        let native_id = self.identities.name(id, known_by).ok_or_else(|| RowError {
            line,
            column: "id".into(),
            problem: "was given to a different row of this file before; ids must be unique".into(),
        })?;
        Ok(PlainRow { line, native_id, record })
    }
}

/// Any one zone and currency will do, as long as files do not use them: what a row leaves to the settings must not look
/// like what another row says. The currency has the most decimals there are, so that every amount can be read.
fn as_written() -> ImportContext {
    let zone = Zone::named("Etc/GMT+12").unwrap_or_else(|_| Zone::utc());
    ImportContext { zone, book_currency: "LYD".parse().unwrap_or(Currency::USD) }
}

impl<R: Read> Iterator for PlainRows<R> {
    type Item = Result<PlainRow, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.records.read(&mut self.record) {
                Ok(true) if self.record.bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(true) => return Some(self.row()),
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
