//! `verify`: derives everything anew from the facts and holds each stored row against it, byte by byte.
//!
//! Works inside one write transaction that is always dropped, so it needs no second copy and changes nothing.

use super::Book;
use crate::derive;
use crate::error::{Error, Result};
use crate::id::instant_bytes;
use crate::store::{BlockMap, Readable, RecordKey, WriteStore, record_from_bytes};
use crate::time::{Day, Timestamp, Zone};

/// What was verified, and everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records read.
    pub records: u64,
    /// Journal rows compared.
    pub journal_rows: u64,
    /// Days compared.
    pub days: u64,
    /// Open lots compared.
    pub open_lots: u64,
    /// Whether facts wait for the next process; then only rows before them are compared.
    pub waiting: bool,
    /// What does not hold, in words; empty when all is well. At most 100.
    pub problems: Vec<String>,
    /// Those of the problems that are about facts: records, their indexes, seals. No rebuild mends them. The others are
    /// about derived rows, which a full process writes anew. At most 100.
    pub damaged_facts: Vec<String>,
}

impl Verified {
    /// A derived row that a rebuild makes otherwise.
    fn note(&mut self, problem: String) {
        if self.problems.len() < 100 {
            self.problems.push(problem);
        }
    }

    fn note_fact(&mut self, problem: String) {
        if self.damaged_facts.len() < 100 {
            self.damaged_facts.push(problem.clone());
        }
        self.note(problem);
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
            report.note_fact(format!("seal {id} does not print what was filed"));
        }
        let outcome = self.write(|store| {
            match derive::process(store, &[derive::EVERYTHING], &|| false) {
                // A rebuild reads facts only.
                Err(Error::Corrupt(problem)) => report.note_fact(problem),
                Err(other) => return Err(other),
                Ok(_) => compare(&mut stored, store, mark, &mut report)?,
            }
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
                    report.note_fact(format!("record {} is not in its index", key.key.id));
                }
                for group in crate::normalise::shared_identities(&record) {
                    if !store.group_members(&group)?.contains(&key) {
                        report.note_fact(format!("record {} is not in its group", key.key.id));
                    }
                }
            }
            Ok(_) => report.note_fact(format!("record {} stands in the wrong place", key.key.id)),
            Err(error) => report.note_fact(format!("record {}: {error}", key.key.id)),
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
        report.note_fact(format!("{indexed} index rows for {} records", report.records));
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
    // The day of the mark is true only up to the mark.
    let zone = Zone::named(&stored.booked_settings()?.timezone)?;
    let day = mark.map(|mark| zone.local_day(mark).day.to_bytes());
    report.days = compare_rows(
        "days",
        &mut stored.days,
        &mut rebuilt.days,
        day.as_ref().map(<[u8; 4]>::as_slice),
        report,
    )?;
    compare_rows("quarantine", &mut stored.quarantine, &mut rebuilt.quarantine, end.as_deref(), report)?;
    if mark.is_none() {
        compare_rows("reaches", &mut stored.reaches, &mut rebuilt.reaches, None, report)?;
        compare_rows("pools", &mut stored.pools, &mut rebuilt.pools, None, report)?;
        report.open_lots = compare_rows("open lots", &mut stored.lots, &mut rebuilt.lots, None, report)?;
        if stored.totals()? != rebuilt.totals()? {
            report.note("the running totals differ from a rebuild".into());
        }
    }
    Ok(())
}

/// What a row is called: the event its key ends in, or its day.
fn shown(key: &[u8]) -> String {
    match <[u8; 4]>::try_from(key).map(|day| Day::from_bytes(day).date()) {
        Ok(Ok(date)) => date.to_string(),
        _ => String::from_utf8_lossy(key.get(17..).unwrap_or_default()).into_owned(),
    }
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
                let shown = shown(first);
                report.note(format!("{table}: the row at {shown:?} differs from a rebuild"));
                first.to_vec()
            }
        };
        rows += 1;
        from = next;
        from.push(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::book::NewConnection;
    use crate::model::{Rail, Settings};

    const CSV: &str = "id,type,timestamp,amount_btc,fiat_value,fiat_currency\n\
        b-1,buy,2024-03-01T23:30:00Z,1,100.00,USD\n\
        s-1,sell,2024-03-01T23:50:00Z,0.5,80.00,USD\n\
        s-2,sell,2024-03-02T00:10:00Z,0.25,40.00,USD\n";

    fn kept() -> Book {
        let book = Book::in_memory().unwrap();
        let now = Timestamp::from_secs(0);
        let (id, label, kind, config) = ("1".into(), "Broker".into(), "Custom".into(), String::new());
        book.add_connection(now, NewConnection { id, label, kind, rail: Rail::Managed, config }).unwrap();
        book.import_plain(now, crate::id::ConnectionNo(1), CSV.as_bytes(), false).unwrap();
        book.process(now, false, &|| false).unwrap();
        book
    }

    /// Changes the days of `book` behind the back of the machine.
    fn tamper(book: &Book, change: impl FnOnce(&mut WriteStore<'_>) -> Result<()>) -> Vec<String> {
        book.write(|store| change(store).map(Some)).unwrap();
        book.verify().unwrap().problems
    }

    #[test]
    fn days_are_compared_like_every_derived_row() {
        let book = kept();
        let verified = book.verify().unwrap();
        assert_eq!((verified.days, verified.journal_rows, verified.problems), (2, 3, Vec::new()));
        let second = Day::of("2024-03-02".parse().unwrap());
        let problems = tamper(&book, |store| {
            let mut day = store.day(second)?.unwrap();
            day.sales.values_mut().for_each(|sales| sales.short.cost += 1);
            store.put_day(second, &day)
        });
        assert_eq!(problems, ["days: the row at \"2024-03-02\" differs from a rebuild"]);
        let problems = tamper(&book, |store| store.put_day(second, &Default::default()));
        assert_eq!(problems, ["days: the row at \"2024-03-02\" differs from a rebuild"]);
    }

    #[test]
    fn what_a_rebuild_mends_is_told_apart_from_damaged_facts() {
        let book = kept();
        book.spoil_derived().unwrap();
        let verified = book.verify().unwrap();
        assert!(verified.problems.len() > 2 && verified.damaged_facts.is_empty(), "{verified:?}");
        book.process(Timestamp::from_secs(0), true, &|| false).unwrap();
        assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
        book.spoil_facts().unwrap();
        let verified = book.verify().unwrap();
        assert_eq!(verified.damaged_facts[0], "record c1.b-1 is not in its index");
        assert_eq!(verified.damaged_facts, verified.problems[..verified.damaged_facts.len()]);
        book.process(Timestamp::from_secs(0), true, &|| false).unwrap();
        assert!(!book.verify().unwrap().damaged_facts.is_empty(), "no rebuild mends it");
    }

    #[test]
    fn another_zone_cuts_the_days_anew() {
        let book = kept();
        let now = Timestamp::from_secs(0);
        book.set_settings(now, &Settings { timezone: "Etc/GMT-1".into(), ..Settings::default() }).unwrap();
        book.process(now, false, &|| false).unwrap();
        let verified = book.verify().unwrap();
        assert_eq!((verified.days, verified.problems), (1, Vec::new()));
        book.remove_connection(now, crate::id::ConnectionNo(1)).unwrap();
        book.process(now, false, &|| false).unwrap();
        assert_eq!(book.verify().unwrap().days, 0, "a day on which nothing happened any more is gone");
    }
}
