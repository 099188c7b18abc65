//! Reports: read-only renderings of the journal, one per file, all from one snapshot.
//!
//! A report is a pure function of journal rows and a [`ReportContext`]. Totals are sums of the rounded rows a user
//! can see. A range chooses which rows are shown, never which lots were used.
//!
//! Units on the surface: bitcoin in decimal satoshis (3 places), `_fiat` in decimal major units, all as strings; in
//! CSV, bitcoin in decimal bitcoin. A report that streams takes its rows as an iterator and holds one at a time.

mod balance_history;
mod balance_sheet;
mod capital_gains;
mod compare;
mod conservation;
mod context;
mod figures;
mod filed;
mod form_8949;
mod gain_sums;
mod head;
mod interval;
mod journal_entries;
mod open_lots;
mod portfolio_summary;
mod range;
mod restatement;
#[cfg(test)]
pub(crate) mod samples;
mod table;
mod tax_summary;
mod what_if;

pub use balance_history::{
    BalanceHistory, HistoryLine, HistoryQuery, HistorySource, HistorySpan, HistoryTotal, balance_history,
    balance_history_csv,
};
pub use balance_sheet::{
    AccountNode, AssetBalance, AssetTotal, BalanceSheet, ConnectionBalance, Issues, balance_sheet,
};
pub use capital_gains::{
    CapitalGains, CapitalGainsRow, ConnectionAggregate, capital_gains, capital_gains_csv, capital_gains_sums,
};
pub use compare::{
    ComparedEvent, ComparedLot, ComparedYear, Comparison, GainsPair, Listing, LotPart, Place, PrintedFigures,
    PrintedGains, Side, compare, differs,
};
pub use conservation::{
    ConnectionConservation, Conservation, LotsHeld, PoolConservation, PrintedFlow, conservation,
};
pub use context::{AnnotationOf, Header, ReportContext};
pub use filed::{filed_row, sealed_sale};
pub use form_8949::{Form8949, FormBox, FormQuery, FormRow, form_8949, form_8949_csv};
pub use gain_sums::GainSummary;
pub use head::ReportHead;
pub use interval::{Interval, SPANS_MAX};
pub use journal_entries::{JournalEntries, JournalEntryRow, journal_entries, journal_entries_csv};
pub use open_lots::{OpenLotRow, OpenLots, open_lots, open_lots_csv};
pub use portfolio_summary::{
    AssetInfo, FiatValuation, Holding, PortfolioGains, PortfolioSummary, portfolio_summary,
};
pub use range::Range;
pub use restatement::Restatement;
pub use tax_summary::{Expenses, Flow, Income, TaxSummary, TaxYear, tax_summary};
pub use what_if::WhatIf;
