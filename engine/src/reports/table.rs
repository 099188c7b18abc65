//! [`Table`]: CSV as reports write it: RFC 4180, UTF-8, `\n` line ends, one header line.
//!
//! Invariant: no text cell starts with a character that makes a spreadsheet run it; numbers are never altered.
//! Streams: holds one small buffer, never the report.

use std::borrow::Cow;
use std::io::Write;

use crate::error::{Error, Result};

/// One cell of a row.
pub(super) enum Cell<'a> {
    /// Words from outside: neutralised.
    Text(Cow<'a, str>),
    /// A figure, an instant or a name this engine made: written as it is.
    Plain(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// A text cell.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Cell::Text(text.into())
    }

    /// A cell of the engine's own making.
    pub(super) fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Cell::Plain(text.into())
    }
}

/// A CSV being written.
pub(super) struct Table<'a> {
    out: csv::Writer<&'a mut dyn Write>,
}

impl<'a> Table<'a> {
    /// Writes the header line.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when `out` takes no more, here and in every other call: whoever asked has gone.
    pub(super) fn start<const N: usize>(out: &'a mut dyn Write, header: [&str; N]) -> Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(header).map_err(|_| Error::Cancelled)?;
        Ok(Table { out })
    }

    /// Writes one row.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell<'_>; N]) -> Result<()> {
        for cell in cells {
            let written = match cell {
                Cell::Text(text) => self.out.write_field(neutral(&text).as_bytes()),
                Cell::Plain(text) => self.out.write_field(text.as_bytes()),
            };
            written.map_err(|_| Error::Cancelled)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(|_| Error::Cancelled)
    }

    /// Hands the rest of the buffer on.
    pub(super) fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|_| Error::Cancelled)
    }
}

/// `text` with a leading `'` when a spreadsheet would run it as a formula.
fn neutral(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_that_would_run_is_neutralised_and_numbers_are_not() {
        let mut out = Vec::new();
        let mut table = Table::start(&mut out, ["a", "b"]).unwrap();
        for text in ["=1+1", "+1", "-1", "@x", "\tx", "\rx"] {
            table.row([Cell::text(text), Cell::plain("-1.00")]).unwrap();
        }
        table.row([Cell::text("a \"b\", =c\nd"), Cell::plain("")]).unwrap();
        table.finish().unwrap();
        let expected = "a,b\n'=1+1,-1.00\n'+1,-1.00\n'-1,-1.00\n'@x,-1.00\n'\tx,-1.00\n\"'\rx\",-1.00\n\
                        \"a \"\"b\"\", =c\nd\",\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_hangs_up_cancels_the_report() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut gone = Gone;
        let table = Table::start(&mut gone, ["a"]).unwrap();
        assert!(matches!(table.finish(), Err(Error::Cancelled)));
    }
}
