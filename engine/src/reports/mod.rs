//! Reports: read-only renderings of the journal, one per file, all from one snapshot.
//!
//! A report is a pure function of journal rows and a [`ReportContext`]. Totals are sums of the rounded rows a user
//! can see. A range chooses which rows are shown, never which lots were used.

mod context;

pub use context::{Header, ReportContext};
