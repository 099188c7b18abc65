//! `verify`: derives everything anew from the facts and holds each stored row against it, byte by byte.
//!
//! Works inside one write transaction that is always dropped, so it needs no second copy and changes nothing.

use super::Book;
use crate::derive;
use crate::error::{Error, Result};
use crate::id::instant_bytes;
use crate::store::{BlockMap, Readable, RecordKey, WriteStore, record_from_bytes};
use crate::time::{Timestamp, Zone};

/// What was verified, and everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Journal rows compared.
    pub journal_rows: u64,
    /// Open lots compared.
    pub open_lots: u64,
    /// Whether facts wait for the next process; then only rows before them are compared.
    pub waiting: bool,
    /// What does not hold, in words; empty when all is well. At most 100.
    pub problems: Vec<String>,
}

impl Verified {
    fn note(&mut self, problem: String) {
        if self.problems.len() < 100 {
            self.problems.push(problem);
        }
    }
}

impl Book {
    /// Audits every law on every row: indexes agree with records, derived rows equal a rebuild, units are conserved.
    ///
    /// # Errors
    /// Only when the file cannot be read; what does not hold is listed in the answer.
    pub fn verify(&self) -> Result<Verified> {
        let frozen = self.freeze()?;
        let mut report = Verified::default();
        let mut stored = frozen.store()?;
        let settings = stored.settings()?;
        let zone = Zone::named(&settings.timezone)?;
        let mark = stored.dirty_from()?.map(|mark| derive::first_affected(&settings, &zone, mark));
        report.waiting = mark.is_some();
        check_records(&mut stored, &mut report)?;
        for id in super::seal::broken_seals(&mut stored)? {
            report.note(format!("seal {id} does not print what was filed"));
        }
        let outcome = self.write(|store| {
            derive::process(store, &[derive::EVERYTHING], &|| false)?;
            compare(&mut stored, store, mark, &mut report)?;
            Ok(None::<()>)
        });
        match outcome {
            Err(Error::Corrupt(problem)) => report.note(problem),
            Err(other) => return Err(other),
            Ok(_) => {}
        }
        Ok(report)
    }
}

/// Each record stands where its content says, and its indexes name it.
fn check_records<T: Readable>(store: &mut crate::store::Store<T>, report: &mut Verified) -> Result<()> {
    let mut from = Vec::new();
    while let Some((raw, bytes)) = store.records.at_or_after(&from)? {
        let (raw, bytes) = (raw.to_vec(), bytes.to_vec());
        report.records += 1;
        let key = RecordKey::from_bytes(&raw)?;
        match record_from_bytes(&bytes) {
            Ok(record)
                if crate::normalise::place(&record) == key.key && record.connection == key.connection =>
            {
                if store.locate_record(key.connection, &key.key.id)?.as_ref() != Some(&key) {
                    report.note(format!("record {} is not in its index", key.key.id));
                }
                for group in crate::normalise::shared_identities(&record) {
                    if !store.group_members(&group)?.contains(&key) {
                        report.note(format!("record {} is not in its group", key.key.id));
                    }
                }
            }
            Ok(_) => report.note(format!("record {} stands in the wrong place", key.key.id)),
            Err(error) => report.note(format!("record {}: {error}", key.key.id)),
        }
        from = raw;
        from.push(0);
    }
    let mut indexed = 0u64;
    crate::store::for_each(&mut store.record_at, &[], |_, _| {
        indexed += 1;
        Ok(true)
    })?;
    if indexed != report.records {
        report.note(format!("{indexed} index rows for {} records", report.records));
    }
    Ok(())
}

fn compare<T: Readable>(
    stored: &mut crate::store::Store<T>,
    rebuilt: &mut WriteStore<'_>,
    mark: Option<Timestamp>,
    report: &mut Verified,
) -> Result<()> {
    let end = mark.map(|mark| instant_bytes(mark).to_vec());
    report.journal_rows =
        compare_rows("journal", &mut stored.journal, &mut rebuilt.journal, end.as_deref(), report)?;
    compare_rows("quarantine", &mut stored.quarantine, &mut rebuilt.quarantine, end.as_deref(), report)?;
    if mark.is_none() {
        compare_rows("reaches", &mut stored.reaches, &mut rebuilt.reaches, None, report)?;
        compare_rows("pools", &mut stored.pools, &mut rebuilt.pools, None, report)?;
        report.open_lots = compare_rows("open lots", &mut stored.lots, &mut rebuilt.lots, None, report)?;
        compare_rows("pools", &mut stored.pools, &mut rebuilt.pools, None, report)?;
        if stored.totals()? != rebuilt.totals()? {
            report.note("the running totals differ from a rebuild".into());
        }
    }
    Ok(())
}

/// Compares two tables row by row up to `end`; returns how many rows were compared.
fn compare_rows<A: Readable, B: Readable>(
    table: &str,
    stored: &mut BlockMap<A>,
    rebuilt: &mut BlockMap<B>,
    end: Option<&[u8]>,
    report: &mut Verified,
) -> Result<u64> {
    let mut from = Vec::new();
    let mut rows = 0;
    loop {
        let before_end = |row: &(&[u8], &[u8])| end.is_none_or(|end| row.0 < end);
        let a = stored.at_or_after(&from)?.filter(before_end);
        let b = rebuilt.at_or_after(&from)?.filter(before_end);
        let next = match (a, b) {
            (None, None) => return Ok(rows),
            (Some(a), Some(b)) if a == b => a.0.to_vec(),
            (a, b) => {
                let first = [a, b].into_iter().flatten().map(|row| row.0).min().unwrap_or_default();
                let shown = String::from_utf8_lossy(first.get(17..).unwrap_or_default()).into_owned();
                report.note(format!("{table}: the row at {shown:?} differs from a rebuild"));
                first.to_vec()
            }
        };
        rows += 1;
        from = next;
        from.push(0);
    }
}
