//! What can be wrong with a file: its header ([`HeaderError`]) or one of its rows ([`RowError`]).

/// Why a file cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Nothing but blank lines.
    #[error("the file is empty; its first line must name the columns")]
    Empty,
    /// The bytes are UTF-16 (or something else with zero bytes).
    #[error("the file is UTF-16 or binary; save it as CSV in UTF-8")]
    Utf16,
    /// The header is not text.
    #[error("the header is not UTF-8 text; save the file as CSV in UTF-8")]
    NotUtf8,
    /// No end of line where a header should have ended.
    #[error("the first line is longer than 64 KiB; this is not a CSV file with a header")]
    TooLong,
    /// The header line itself is not well-formed CSV.
    #[error("the header cannot be read: {0}")]
    Malformed(RowError),
    /// A header cell is blank.
    #[error("column {0} has no name; name it or remove it (known columns: {known})", known = super::header::known())]
    Unnamed(usize),
    /// A column this format does not have.
    #[error("unknown column {name:?}; rename or remove it (known columns: {known})", known = super::header::known())]
    UnknownColumn {
        /// As written.
        name: String,
    },
    /// A column named twice.
    #[error("column {0} is there twice; keep one")]
    Duplicate(&'static str),
    /// Two columns that mean the same.
    #[error("columns {0} and {1} mean the same; keep one")]
    Conflict(&'static str, &'static str),
    /// A column without which no row can be read.
    #[error("there is no column {0}")]
    Missing(&'static str),
    /// The input failed.
    #[error("the input cannot be read: {0}")]
    Read(String),
}

/// Why a row was refused. After an unclosed quote, or when the input fails, nothing more is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}{column}: {problem}", if column.is_empty() { "" } else { ", column " })]
pub struct RowError {
    /// Line of the file on which the row begins.
    pub line: u64,
    /// The column, or empty when the row as a whole is wrong.
    pub column: String,
    /// What is wrong and what would be right.
    pub problem: String,
}
