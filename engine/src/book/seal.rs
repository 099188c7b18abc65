//! Sealing a period as filed, printing it again, and what became of it since.
//!
//! **What is sealed never changes**: later facts are taken as always and show as a restatement, computed when it is asked for by
//! walking the sealed rows and the journal in step. Refuses to seal books that are not final, and periods that overlap.

use std::io::Write;

use ring::digest::{Context, SHA256};

use super::snapshot::behind;
use super::{Book, Snapshot};
use crate::derive::inputs_hash;
use crate::error::{Error, Refusal, Result};
use crate::id::{ConnectionNo, EventId, EventKey};
use crate::journal::{add_year, gains_of};
use crate::model::{
    Annotation, ChangeDetail, Connection, Era, Held, JournalRow, Rail, Seal, SealedConnection, SealedSale,
};
use crate::reports::{self, Comparison, Header, Listing, Range, ReportContext, Restatement, Side};
use crate::store::{ReadStore, Readable, Store, WriteStore};
use crate::time::{Timestamp, Years, Zone};

/// A period to seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSeal {
    /// Its public id (a UUID in text form), unique in the book.
    pub id: String,
    /// What the user calls it.
    pub label: String,
    /// First instant.
    pub start: Timestamp,
    /// Last instant; not in the future.
    pub end: Timestamp,
    /// Seals although events of the period or before it are in quarantine.
    pub allow_non_final: bool,
}

impl Book {
    /// Seals a period as the journal has it.
    ///
    /// # Errors
    /// [`Error::Refused`] when the books are not final or the period overlaps a sealed one; [`Error::Invalid`] for a period that
    /// is none, or is not over.
    pub fn seal(&self, now: Timestamp, new: &NewSeal) -> Result<Seal> {
        check_period(now, new)?;
        let sealed = self.write(|store| {
            let filed = store.all_seals()?;
            let overlaps =
                |seal: &&Seal| seal.superseded_by.is_none() && seal.start <= new.end && new.start <= seal.end;
            if let Some(other) = filed.iter().find(overlaps) {
                let problem =
                    format!("{} to {} is sealed already as {:?}", other.start, other.end, other.label);
                return Err(Error::refused(Refusal::SealOverlaps, problem));
            }
            let seal = self.seal_rows(store, now, new, None)?;
            store.log(now, "seal", 1, named(&seal))?;
            Ok(Some(seal))
        })?;
        sealed.ok_or_else(|| Error::Corrupt("a seal was not written".into()))
    }

    /// Accepts the restatement of a seal: a new seal `new_id` of the same period supersedes it. The old one stays printable.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing differs, a revision replaced the seal, or the books are not final.
    pub fn accept_restatement(
        &self,
        now: Timestamp,
        id: &str,
        new_id: &str,
        allow_non_final: bool,
    ) -> Result<Seal> {
        let accepted = self.write(|store| {
            let old = standing(store, id)?;
            self.snapshot()?.must_differ(&old)?;
            let Seal { label, start, end, .. } = old.clone();
            let new = NewSeal { id: new_id.to_owned(), label, start, end, allow_non_final };
            let seal = self.seal_rows(store, now, &new, Some(old.id.clone()))?;
            store.put_seal(&Seal { superseded_by: Some(seal.id.clone()), ..old })?;
            store.log(now, "accept restatement", 1, named(&seal))?;
            Ok(Some(seal))
        })?;
        accepted.ok_or_else(|| Error::Corrupt("a seal was not written".into()))
    }

    /// Holds the restatement of a seal back: it stays listed, with the reason.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing differs or a revision replaced the seal.
    pub fn hold_restatement(&self, now: Timestamp, id: &str, note: &str) -> Result<Seal> {
        let held = self.write(|store| {
            let seal = standing(store, id)?;
            self.snapshot()?.must_differ(&seal)?;
            let held = Held { at: now, book_version: store.version()?, note: note.to_owned() };
            let seal = Seal { held: Some(held), ..seal };
            store.put_seal(&seal)?;
            store.log(now, "hold restatement", 1, named(&seal))?;
            Ok(Some(seal))
        })?;
        held.ok_or_else(|| Error::Corrupt("a seal was not written".into()))
    }

    /// Removes a seal with its rows; what it revised stands again.
    ///
    /// # Errors
    /// [`Error::Refused`] when a revision replaced it: remove that first.
    pub fn remove_seal(&self, now: Timestamp, id: &str) -> Result<()> {
        self.write(|store| {
            let seal = standing(store, id)?;
            store.remove_seal(seal.no)?;
            if let Some(revised) = &seal.revises {
                let revised = store.seal(revised)?;
                store.put_seal(&Seal { superseded_by: None, ..revised })?;
            }
            store.log(now, "remove seal", 1, named(&seal)).map(Some)
        })?;
        Ok(())
    }

    /// Copies the period's rows out of the journal, as committed, into a new seal.
    fn seal_rows(
        &self,
        store: &mut WriteStore<'_>,
        now: Timestamp,
        new: &NewSeal,
        revises: Option<String>,
    ) -> Result<Seal> {
        if store.all_seals()?.iter().any(|seal| seal.id == new.id) {
            return Err(Error::invalid("id", format!("seal {} exists already", new.id)));
        }
        let snapshot = self.snapshot()?;
        snapshot.must_be_final(new)?;
        let header = snapshot.header()?;
        let connections = snapshot.connections()?;
        let named = |connection: &Connection| SealedConnection {
            no: connection.no,
            id: connection.id.clone(),
            label: connection.label.clone(),
        };
        let mut seal = Seal {
            no: store.next_seal()?,
            id: new.id.clone(),
            label: new.label.clone(),
            start: new.start,
            end: new.end,
            sealed_at: now,
            book_version: header.book_version,
            quarantined: header.quarantined,
            settings: snapshot.booked_settings()?,
            connections: connections.iter().map(named).collect(),
            report_hash: [0; 32],
            inputs_hash: inputs_hash(&mut snapshot.store()?, &|no| rail(&connections, no), new.end)?,
            years: Vec::new(),
            revises,
            superseded_by: None,
            held: None,
        };
        let zone = Zone::named(&seal.settings.timezone)?;
        let (mut tax_years, mut years) = (Years::of(&zone), Default::default());
        snapshot.with_context(|ctx| {
            for row in snapshot.journal(&period(&seal))? {
                let (key, row) = row?;
                let Some(sale) = reports::sealed_sale(ctx, &key, &row)? else { continue };
                if let Some(gains) = gains_of(&row)? {
                    add_year(&mut years, tax_years.year(key.time)?, &gains);
                }
                store.put_sealed(seal.no, &key, &sale)?;
            }
            Ok(())
        })?;
        seal.years = years.into_iter().collect();
        seal.report_hash = report_hash(&seal, filed_rows(store, seal.no))?;
        store.put_seal(&seal)?;
        Ok(seal)
    }
}

impl Snapshot {
    /// Every seal, oldest first, superseded ones included.
    pub fn seals(&self) -> Result<Vec<Seal>> {
        self.store()?.all_seals()
    }

    /// The seal with this public id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn seal(&self, id: &str) -> Result<Seal> {
        self.store()?.seal(id)
    }

    /// The capital gains of a sealed period as filed.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a seal that is not there.
    pub fn sealed_report(&self, id: &str) -> Result<reports::CapitalGains> {
        let seal = self.seal(id)?;
        let mut store = self.store()?;
        let rows = filed_rows(&mut store, seal.no);
        with_sealed_context(&seal, |ctx| reports::capital_gains(ctx, rows, &period(&seal), seal.sealed_at))
    }

    /// The same as CSV, row by row.
    ///
    /// # Errors
    /// As [`Snapshot::sealed_report`]; [`Error::Cancelled`] when `out` takes no more.
    pub fn sealed_report_csv(&self, id: &str, out: &mut dyn Write) -> Result<()> {
        let seal = self.seal(id)?;
        let mut store = self.store()?;
        let rows = filed_rows(&mut store, seal.no);
        with_sealed_context(&seal, |ctx| reports::capital_gains_csv(ctx, rows, &period(&seal), out))
    }

    /// What was filed against what the journal says now.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a seal that is not there.
    pub fn restatement(&self, id: &str, now: Timestamp, listing: &Listing) -> Result<Restatement> {
        let seal = self.seal(id)?;
        let settings = self.booked_settings()?;
        let comparison = self.compared_with(&seal, listing)?;
        let head = self.with_context(|ctx| Ok(ctx.head(now)))?;
        let connections = self.connections()?;
        let inputs = inputs_hash(&mut self.store()?, &|no| rail(&connections, no), seal.end)?;
        Ok(Restatement {
            head,
            seal_id: seal.id.clone(),
            sealed_book_version: seal.book_version,
            range_start: seal.start.to_string(),
            range_end: seal.end.to_string(),
            sealed_fiat_currency: seal.settings.fiat_currency.code().to_owned(),
            fiat_currency: settings.fiat_currency.code().to_owned(),
            inputs_changed: inputs != seal.inputs_hash,
            settings_changed: settings != seal.settings,
            comparison,
        })
    }

    /// Whether the journal says anything else than a seal; reads no further than the first difference.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a seal that is not there.
    pub fn is_restated(&self, id: &str) -> Result<bool> {
        self.differs_from(&self.seal(id)?)
    }

    fn differs_from(&self, seal: &Seal) -> Result<bool> {
        let mut store = self.store()?;
        let money = self.booked_settings()?.fiat_currency != seal.settings.fiat_currency;
        Ok(money || reports::differs(filed_rows(&mut store, seal.no), self.journal(&period(seal))?)?)
    }

    fn must_differ(&self, seal: &Seal) -> Result<()> {
        if self.differs_from(seal)? {
            return Ok(());
        }
        let problem = "the journal says what was sealed; there is no restatement to accept or hold back";
        Err(Error::refused(Refusal::NotRestated, problem))
    }

    fn compared_with(&self, seal: &Seal, listing: &Listing) -> Result<Comparison> {
        let settings = self.booked_settings()?;
        let (sealed, current) = (Zone::named(&seal.settings.timezone)?, Zone::named(&settings.timezone)?);
        let sides = [
            Side { zone: &sealed, currency: seal.settings.fiat_currency },
            Side { zone: &current, currency: settings.fiat_currency },
        ];
        let mut store = self.store()?;
        let (filed, journal) = (filed_rows(&mut store, seal.no), self.journal(&period(seal))?);
        reports::compare(filed, journal, sides, listing)
    }

    /// Nothing waits, and up to the end nothing is set aside unless that is allowed.
    fn must_be_final(&self, new: &NewSeal) -> Result<()> {
        let mut store = self.store()?;
        if store.dirty_from()?.is_some() {
            let problem = "facts wait for the next process; process the journal, then seal";
            return Err(Error::refused(Refusal::NotFinal, problem));
        }
        match store.next_quarantined(&[])? {
            Some(first) if first.time <= new.end && !new.allow_non_final => {
                let problem = format!(
                    "event {} of {} is in quarantine and may change the period; resolve it, or allow_non_final",
                    first.id, first.time
                );
                Err(Error::refused(Refusal::NotFinal, problem))
            }
            _ => Ok(()),
        }
    }
}

/// Every seal whose rows do not print what its hash was taken of.
pub(super) fn broken_seals(store: &mut ReadStore) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for seal in store.all_seals()? {
        if report_hash(&seal, filed_rows(store, seal.no))? != seal.report_hash {
            broken.push(seal.id);
        }
    }
    Ok(broken)
}

fn check_period(now: Timestamp, new: &NewSeal) -> Result<()> {
    if new.end < new.start {
        return Err(Error::invalid("end", format!("{} is before start {}", new.end, new.start)));
    }
    if new.end > now {
        return Err(Error::invalid("end", format!("{} is not over yet; seal periods that are", new.end)));
    }
    Ok(())
}

/// The seal `id` if no revision replaced it.
fn standing(store: &mut WriteStore<'_>, id: &str) -> Result<Seal> {
    let seal = store.seal(id)?;
    match &seal.superseded_by {
        None => Ok(seal),
        Some(other) => {
            let problem = format!("seal {other} replaced this one; name that one");
            Err(Error::refused(Refusal::SealSuperseded, problem))
        }
    }
}

fn named(seal: &Seal) -> ChangeDetail {
    ChangeDetail::Seal { id: seal.id.clone(), label: seal.label.clone() }
}

fn period(seal: &Seal) -> Range {
    Range { start: Some(seal.start), end: Some(seal.end) }
}

fn rail(connections: &[Connection], no: ConnectionNo) -> Rail {
    connections.iter().find(|known| known.no == no).map_or(Rail::Managed, |known| known.rail)
}

/// The rows of a seal as a report takes them.
fn filed_rows<T: Readable>(
    store: &mut Store<T>,
    seal: u64,
) -> impl Iterator<Item = Result<(EventKey, JournalRow)>> {
    let mut from = Vec::new();
    std::iter::from_fn(move || {
        let next = store.next_sealed(seal, &from).transpose()?;
        Some(next.and_then(|(key, sale): (EventKey, SealedSale)| {
            from = behind(&key);
            Ok((key, reports::filed_row(sale)?))
        }))
    })
}

/// The names and policies of a seal; its rows carry their words themselves.
fn with_sealed_context<R>(seal: &Seal, make: impl FnOnce(&ReportContext<'_>) -> Result<R>) -> Result<R> {
    let annotation = |_: &EventId, _: &[EventId]| Ok(Annotation::default());
    let connection = |known: &SealedConnection| Connection {
        no: known.no,
        id: known.id.clone(),
        label: known.label.clone(),
        kind: String::new(),
        rail: Rail::Managed,
        config: String::new(),
        created_at: seal.sealed_at,
        synced_at: None,
    };
    let header = Header {
        book_version: seal.book_version,
        non_final: seal.quarantined > 0,
        quarantined: seal.quarantined,
    };
    let zone = Zone::named(&seal.settings.timezone)?;
    make(&ReportContext {
        header,
        settings: seal.settings.clone(),
        eras: Era::all(&seal.settings, &zone)?,
        zone,
        connections: seal.connections.iter().map(|known| (known.no, connection(known))).collect(),
        annotation: &annotation,
    })
}

fn report_hash(seal: &Seal, rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>) -> Result<[u8; 32]> {
    let mut hash = Hashed(Context::new(&SHA256));
    with_sealed_context(seal, |ctx| reports::capital_gains_csv(ctx, rows, &period(seal), &mut hash))?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.0.finish().as_ref());
    Ok(bytes)
}

/// A writer that keeps nothing but the digest.
struct Hashed(Context);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
