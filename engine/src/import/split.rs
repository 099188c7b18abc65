//! Bytes → records of cells: RFC 4180 with any of LF, CRLF or CR as line end.
//!
//! Owns: quoting, line numbers and the size bound of one record. Unlike lenient CSV readers it counts every line,
//! blank ones too, and refuses a quote that is never closed, which would otherwise swallow the rest of the file.

use std::io::{BufRead, BufReader, Read};

use super::RowError;

/// Largest record in bytes and cells together: far above any real row, and the bound of memory.
const RECORD_MAX: usize = 1 << 20;

/// One record: its cells' bytes, unquoted, in one buffer that is reused.
#[derive(Default)]
pub(super) struct RawRecord {
    /// Line on which it begins.
    pub line: u64,
    /// All cells, one after the other.
    pub bytes: Vec<u8>,
    /// Where each cell ends in `bytes`.
    pub ends: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    RecordStart,
    CellStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// The records of an input.
pub(super) struct Records<R> {
    input: BufReader<R>,
    splitter: Splitter,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        let splitter = Splitter {
            delimiter,
            line: 1,
            quote_line: 1,
            after_carriage_return: false,
            state: State::RecordStart,
        };
        Records { input: BufReader::with_capacity(64 << 10, input), splitter }
    }

    /// Reads the next record into `record`; `false` at the end. Blank lines are skipped, and counted.
    ///
    /// # Errors
    /// Malformed quoting, an oversized record, a failing input: none of them can be read past.
    pub(super) fn read(&mut self, record: &mut RawRecord) -> Result<bool, RowError> {
        record.bytes.clear();
        record.ends.clear();
        loop {
            let line = self.splitter.line;
            let chunk = self.input.fill_buf().map_err(|e| row_error(line, format!("cannot be read: {e}")))?;
            if chunk.is_empty() {
                return self.splitter.finish(record);
            }
            let (used, complete) = self.splitter.feed(chunk, record)?;
            self.input.consume(used);
            if complete {
                return Ok(true);
            }
        }
    }
}

struct Splitter {
    delimiter: u8,
    line: u64,
    quote_line: u64,
    after_carriage_return: bool,
    state: State,
}

impl Splitter {
    /// Takes bytes up to the end of a record: how many were taken, and whether the record is complete.
    fn feed(&mut self, chunk: &[u8], record: &mut RawRecord) -> Result<(usize, bool), RowError> {
        let mut used = 0;
        while let Some(&byte) = chunk.get(used) {
            let run = self.plain_run(&chunk[used..]);
            if run > 0 {
                record.bytes.extend_from_slice(&chunk[used..used + run]);
                self.after_carriage_return = false;
                used += run;
            } else {
                used += 1;
                if self.push(byte, record)? {
                    return Ok((used, true));
                }
            }
            if record.bytes.len() + record.ends.len() > RECORD_MAX {
                return Err(row_error(record.line, "is longer than 1 MiB; is a quote left open?".into()));
            }
        }
        Ok((used, false))
    }

    /// How many of the next bytes are plain content of the cell that is open.
    fn plain_run(&self, bytes: &[u8]) -> usize {
        let delimiter = self.delimiter;
        let ends = |byte: &u8| matches!(*byte, b'\n' | b'\r');
        match self.state {
            State::Plain => bytes.iter().position(|byte| *byte == delimiter || ends(byte)),
            State::Quoted => bytes.iter().position(|byte| *byte == b'"' || ends(byte)),
            _ => return 0,
        }
        .unwrap_or(bytes.len())
    }

    fn push(&mut self, byte: u8, record: &mut RawRecord) -> Result<bool, RowError> {
        let second_half = byte == b'\n' && self.after_carriage_return;
        self.after_carriage_return = byte == b'\r';
        let line_end = matches!(byte, b'\n' | b'\r');
        let line = self.line;
        if line_end && !second_half {
            self.line += 1;
        }
        if self.state == State::RecordStart {
            if line_end {
                return Ok(false);
            }
            record.line = line;
            self.state = State::CellStart;
        }
        match (self.state, byte) {
            (State::Quoted, b'"') => self.state = State::QuoteInQuoted,
            (State::Quoted, _) => record.bytes.push(byte),
            (State::QuoteInQuoted, b'"') => {
                record.bytes.push(byte);
                self.state = State::Quoted;
            }
            _ if line_end => {
                record.ends.push(record.bytes.len());
                self.state = State::RecordStart;
                return Ok(true);
            }
            _ if byte == self.delimiter => {
                record.ends.push(record.bytes.len());
                self.state = State::CellStart;
            }
            (State::CellStart, b'"') => {
                self.quote_line = line;
                self.state = State::Quoted;
            }
            (State::QuoteInQuoted, _) => {
                return Err(row_error(
                    line,
                    "has text after a closing quote; double the quotes inside a cell".into(),
                ));
            }
            _ => {
                record.bytes.push(byte);
                self.state = State::Plain;
            }
        }
        Ok(false)
    }

    fn finish(&mut self, record: &mut RawRecord) -> Result<bool, RowError> {
        match std::mem::replace(&mut self.state, State::RecordStart) {
            State::RecordStart => Ok(false),
            State::Quoted => Err(row_error(
                self.quote_line,
                "opens a quote that is never closed; the rest is unread".into(),
            )),
            State::CellStart | State::Plain | State::QuoteInQuoted => {
                record.ends.push(record.bytes.len());
                Ok(true)
            }
        }
    }
}

fn row_error(line: u64, problem: String) -> RowError {
    RowError { line, column: String::new(), problem }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Hands out one byte at a time, so that every chunk boundary is met.
    struct OneByte<'a>(&'a [u8]);
    impl Read for OneByte<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (out[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    type Lines = Vec<(u64, Vec<String>)>;

    fn split(input: impl Read) -> Result<Lines, RowError> {
        let (mut records, mut raw, mut all) = (Records::new(input, b','), RawRecord::default(), Vec::new());
        while records.read(&mut raw)? {
            let mut start = 0;
            let mut cells = Vec::new();
            for end in &raw.ends {
                cells.push(String::from_utf8_lossy(&raw.bytes[start..*end]).into_owned());
                start = *end;
            }
            all.push((raw.line, cells));
        }
        Ok(all)
    }

    #[test]
    fn cells_and_line_numbers() {
        type Expected = &'static [(u64, &'static [&'static str])];
        let table: &[(&str, Expected)] = &[
            ("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]),
            ("a,b\r\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]),
            ("a\r1\r\r2", &[(1, &["a"]), (2, &["1"]), (4, &["2"])]),
            ("\r\n\na\r\n\r\n1\n", &[(3, &["a"]), (5, &["1"])]),
            ("\"x\r\ny\",2\r\nz,", &[(1, &["x\r\ny", "2"]), (3, &["z", ""])]),
            ("\"say \"\"hi\"\"\",5\" wide\n", &[(1, &["say \"hi\"", "5\" wide"])]),
            ("\"\"", &[(1, &[""])]),
            ("", &[]),
        ];
        for (text, expected) in table {
            let expected: Lines =
                expected.iter().map(|(l, c)| (*l, c.iter().map(|s| (*s).to_string()).collect())).collect();
            assert_eq!(split(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn broken_quotes_are_refused_where_they_open() {
        let error = |text: &str| split(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("a\n1,\"b\nc"), "line 2: opens a quote that is never closed; the rest is unread");
        assert!(error("a\n\"b\"c\n").starts_with("line 2: has text after a closing quote"));
        let endless = format!("a\n\"{}", "x".repeat(RECORD_MAX + 1));
        assert!(error(&endless).starts_with("line 2: is longer than 1 MiB"));
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(bytes in proptest::collection::vec(
            prop_oneof![Just(b','), Just(b'"'), Just(b'\n'), Just(b'\r'), Just(b'x'), any::<u8>()], 0..40)) {
            prop_assert_eq!(split(OneByte(&bytes)), split(bytes.as_slice()));
        }
    }
}
