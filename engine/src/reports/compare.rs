//! Two sets of gains side by side: rows are walked in step and memory holds only what is listed.
//!
//! Invariant: the sums of each side are the sums of its rows; an event is listed exactly when a figure or the term of a lot differs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::decimal_text;
use crate::error::Result;
use crate::id::{EventId, EventKey};
use crate::journal::{add_year, figures_of, gains_of, realised};
use crate::model::{Figures, Gains, JournalRow, Slice, Term};
use crate::money::Currency;
use crate::time::{Timestamp, Years, Zone};

/// Sums of slices: quantity in decimal satoshis, `_fiat` in decimal major units.
#[allow(missing_docs, reason = "the fields are the figures the type describes, named as on the surface")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrintedFigures {
    pub row_count: u64,
    pub quantity: String,
    pub gross_proceeds_fiat: String,
    pub fee_fiat: String,
    pub net_proceeds_fiat: String,
    pub cost_basis_fiat: String,
    pub realized_gain_fiat: String,
}

/// Gains of a year or an event, in total and by term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrintedGains {
    /// Disposals.
    pub disposal_count: u64,
    /// Both terms together.
    #[serde(flatten)]
    pub total: PrintedFigures,
    /// Held up to a year.
    pub short_term: PrintedFigures,
    /// Held longer.
    pub long_term: PrintedFigures,
}

/// The same gains before and after; a side that realised nothing has zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GainsPair {
    /// On the first side.
    pub before: PrintedGains,
    /// On the second side.
    pub after: PrintedGains,
    /// Second minus first: what is realised more; `null` when the sides are in two currencies.
    pub gain_difference_fiat: Option<String>,
}

/// A tax year of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedYear {
    /// The calendar year.
    pub year: i16,
    /// Its gains.
    #[serde(flatten)]
    pub gains: GainsPair,
}

/// An event whose figures differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedEvent {
    /// The disposing event.
    pub event_id: String,
    /// When (RFC 3339, UTC).
    pub disposed_at: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// Its gains on the first side, if any.
    pub before: Option<PrintedGains>,
    /// Its gains on the second side, if any.
    pub after: Option<PrintedGains>,
    /// The lots whose part differs, oldest first; only where both sides are known lot by lot.
    pub lots: Vec<ComparedLot>,
}

/// A lot whose part in an event differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComparedLot {
    /// The lot.
    pub lot_id: String,
    /// When it was acquired.
    pub acquired_at: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// Its part on the first side.
    pub before: Option<LotPart>,
    /// Its part on the second side.
    pub after: Option<LotPart>,
}

/// What a lot contributed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LotPart {
    /// `short` or `long`.
    pub term: &'static str,
    /// The figures.
    #[serde(flatten)]
    pub figures: PrintedFigures,
}

/// Both sides together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Whether any event differs.
    pub differs: bool,
    /// Every year that one of them has a disposal in.
    pub years: Vec<ComparedYear>,
    /// All of it.
    pub total: GainsPair,
    /// The events that differ, oldest first, cut to the page asked for.
    pub disposals: Vec<ComparedEvent>,
    /// The last event of this page when there is more.
    #[serde(skip)]
    pub next: Option<Place>,
}

/// An event wherever it stands in its instant: its rank there may differ between the sides.
pub type Place = (Timestamp, EventId);

/// How one side counts.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its tax years.
    pub zone: &'a Zone,
    /// Its money.
    pub currency: Currency,
}

/// Which differing events to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Only those behind this one.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: usize,
}

/// Compares the gains of two sets of rows, each in the order of the books.
///
/// # Errors
/// What the rows yield; [`Error::Overflow`](crate::Error::Overflow) when a sum cannot be printed.
pub fn compare(
    before: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    after: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    sides: [Side<'_>; 2],
    listing: &Listing,
) -> Result<Comparison> {
    let mut page = Page { sides, listing, differs: false, items: Vec::new(), last: None, next: None };
    let mut years = sides.map(|side| Years::of(side.zone));
    let mut sums: [BTreeMap<i16, Gains>; 2] = Default::default();
    in_step(before, after, |place, rows| {
        for ((row, years), sums) in rows.iter().zip(&mut years).zip(&mut sums) {
            if let Some(gains) = gains_on(*row)? {
                add_year(sums, years.year(place.0)?, &gains);
            }
        }
        page.look_at(place, rows).map(|()| true)
    })?;
    let Page { differs, items, next, .. } = page;
    let [before, after] = sums;
    let all = |years: &BTreeMap<i16, Gains>| years.values().fold(Gains::default(), |sum, year| sum.and(year));
    let total = GainsPair::of(&all(&before), &all(&after), sides)?;
    Ok(Comparison { differs, years: paired_years(&before, &after, sides)?, total, disposals: items, next })
}

/// Whether any figure differs; reads no further than the first that does.
///
/// # Errors
/// What the rows yield.
pub fn differs(
    before: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    after: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
) -> Result<bool> {
    let mut found = false;
    in_step(before, after, |_, rows| {
        found = !same_slices(rows)? && !lots_that_differ(rows)?.is_empty();
        Ok(!found)
    })?;
    Ok(found)
}

/// The years of both, side by side.
pub(super) fn paired_years(
    before: &BTreeMap<i16, Gains>,
    after: &BTreeMap<i16, Gains>,
    sides: [Side<'_>; 2],
) -> Result<Vec<ComparedYear>> {
    let mut years: Vec<i16> = before.keys().chain(after.keys()).copied().collect();
    years.sort_unstable();
    years.dedup();
    let of = |sums: &BTreeMap<i16, Gains>, year| sums.get(&year).copied().unwrap_or_default();
    let pair = |year| {
        let gains = GainsPair::of(&of(before, year), &of(after, year), sides)?;
        Ok(ComparedYear { year, gains })
    };
    years.into_iter().map(pair).collect()
}

/// Calls `each` with every event that one of the sides has a realising row of, instant by instant, until it says no.
fn in_step(
    before: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    after: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    mut each: impl FnMut(&Place, [Option<&JournalRow>; 2]) -> Result<bool>,
) -> Result<()> {
    let realises = |item: &Result<(EventKey, JournalRow)>| {
        item.as_ref().map_or(true, |(_, row)| realised(row).next().is_some())
    };
    let (mut before, mut after) = (before.filter(realises), after.filter(realises));
    let mut ahead = [before.next().transpose()?, after.next().transpose()?];
    let mut due: BTreeMap<EventId, [Option<JournalRow>; 2]> = BTreeMap::new();
    while let Some(at) = ahead.iter().flatten().map(|(key, _)| key.time).min() {
        let [first, second] = &mut ahead;
        take_instant(at, first, &mut before, |id, row| due.entry(id).or_default()[0] = Some(row))?;
        take_instant(at, second, &mut after, |id, row| due.entry(id).or_default()[1] = Some(row))?;
        while let Some((id, rows)) = due.pop_first() {
            if !each(&(at, id), rows.each_ref().map(Option::as_ref))? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Hands over the rows of the instant `at`, the first of which may be the one read `ahead`.
fn take_instant(
    at: Timestamp,
    ahead: &mut Option<(EventKey, JournalRow)>,
    rows: &mut impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    mut put: impl FnMut(EventId, JournalRow),
) -> Result<()> {
    while let Some((key, row)) = ahead.take_if(|(key, _)| key.time == at) {
        put(key.id, row);
        *ahead = rows.next().transpose()?;
    }
    Ok(())
}

fn slices(row: Option<&JournalRow>) -> impl Iterator<Item = &Slice> {
    row.into_iter().flat_map(realised).flat_map(|disposal| &disposal.slices)
}

fn gains_on(row: Option<&JournalRow>) -> Result<Option<Gains>> {
    row.map_or(Ok(None), gains_of)
}

/// Whether both sides used the same lots in the same order for the same figures.
fn same_slices([before, after]: [Option<&JournalRow>; 2]) -> Result<bool> {
    let (mut before, mut after) = (slices(before), slices(after));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return Ok(true),
            (Some(a), Some(b)) if same_slice(a, b)? => {}
            _ => return Ok(false),
        }
    }
}

fn same_slice(a: &Slice, b: &Slice) -> Result<bool> {
    let (one, other) = (&a.used.lot, &b.used.lot);
    let same_lot =
        (&one.origin.id, one.nth, one.acquired_at) == (&other.origin.id, other.nth, other.acquired_at);
    Ok(same_lot && a.term == b.term && figures_of(a)? == figures_of(b)?)
}

/// A lot's part in an event on each side.
type Parts = [Option<(Term, Figures)>; 2];

/// The lots whose part differs, by acquisition and id.
fn lots_that_differ(rows: [Option<&JournalRow>; 2]) -> Result<BTreeMap<(Timestamp, String), Parts>> {
    let mut lots: BTreeMap<(Timestamp, String), Parts> = BTreeMap::new();
    for (side, row) in rows.into_iter().enumerate() {
        for slice in slices(row) {
            let lot = &slice.used.lot;
            let parts = lots.entry((lot.acquired_at, lot.lot_id())).or_default();
            if let Some(part) = parts.get_mut(side) {
                let known = part.map_or(Figures::default(), |(_, known)| known);
                *part = Some((slice.term, known.and(&figures_of(slice)?)));
            }
        }
    }
    lots.retain(|_, [before, after]| before != after);
    Ok(lots)
}

/// The page of differing events being filled.
struct Page<'a> {
    sides: [Side<'a>; 2],
    listing: &'a Listing,
    differs: bool,
    items: Vec<ComparedEvent>,
    /// The event listed last.
    last: Option<Place>,
    next: Option<Place>,
}

impl Page<'_> {
    fn look_at(&mut self, place: &Place, rows: [Option<&JournalRow>; 2]) -> Result<()> {
        if same_slices(rows)? {
            return Ok(());
        }
        let lots = lots_that_differ(rows)?;
        if lots.is_empty() {
            return Ok(());
        }
        self.differs = true;
        if self.next.is_some() || self.listing.after.as_ref().is_some_and(|after| place <= after) {
            return Ok(());
        }
        if self.items.len() >= self.listing.limit {
            self.next = self.last.take();
            return Ok(());
        }
        let (before, after) = (gains_on(rows[0])?, gains_on(rows[1])?);
        let lots =
            lots.into_iter().map(|((acquired_at, lot_id), parts)| self.lot(acquired_at, lot_id, parts));
        let item = ComparedEvent {
            event_id: place.1.to_string(),
            disposed_at: place.0.to_string(),
            change: change(before.is_some(), after.is_some()),
            before: before.map(|gains| PrintedGains::of(&gains, self.sides[0].currency)).transpose()?,
            after: after.map(|gains| PrintedGains::of(&gains, self.sides[1].currency)).transpose()?,
            lots: lots.collect::<Result<_>>()?,
        };
        self.items.push(item);
        self.last = Some(place.clone());
        Ok(())
    }

    fn lot(&self, acquired_at: Timestamp, lot_id: String, [before, after]: Parts) -> Result<ComparedLot> {
        let print = |part: Option<(Term, Figures)>, side: Side<'_>| {
            part.map(|(term, figures)| {
                Ok(LotPart { term: term.name(), figures: PrintedFigures::of(&figures, side.currency)? })
            })
            .transpose()
        };
        Ok(ComparedLot {
            lot_id,
            acquired_at: acquired_at.to_string(),
            change: change(before.is_some(), after.is_some()),
            before: print(before, self.sides[0])?,
            after: print(after, self.sides[1])?,
        })
    }
}

/// The word for what happened to something that was there before, after, or both.
pub(super) fn change(before: bool, after: bool) -> &'static str {
    match (before, after) {
        (false, _) => "added",
        (true, false) => "removed",
        (true, true) => "changed",
    }
}

impl PrintedFigures {
    fn of(figures: &Figures, currency: Currency) -> Result<Self> {
        let fiat = |units: i128| decimal_text(units, currency.exponent());
        Ok(PrintedFigures {
            row_count: figures.slices,
            quantity: decimal_text(figures.quantity, 3)?,
            gross_proceeds_fiat: fiat(figures.gross)?,
            fee_fiat: fiat(figures.fees)?,
            net_proceeds_fiat: fiat(figures.gross - figures.fees)?,
            cost_basis_fiat: fiat(figures.cost)?,
            realized_gain_fiat: fiat(figures.gain())?,
        })
    }
}

impl PrintedGains {
    /// The printed form of `gains` in `currency`.
    ///
    /// # Errors
    /// [`Error::Overflow`](crate::Error::Overflow) when a sum has more digits than can be printed.
    pub fn of(gains: &Gains, currency: Currency) -> Result<Self> {
        Ok(PrintedGains {
            disposal_count: gains.disposals,
            total: PrintedFigures::of(&gains.all(), currency)?,
            short_term: PrintedFigures::of(&gains.short, currency)?,
            long_term: PrintedFigures::of(&gains.long, currency)?,
        })
    }
}

impl GainsPair {
    /// Both sides with their difference.
    ///
    /// # Errors
    /// As [`PrintedGains::of`].
    pub fn of(before: &Gains, after: &Gains, [first, second]: [Side<'_>; 2]) -> Result<Self> {
        let difference = after.all().gain() - before.all().gain();
        let same_money = first.currency == second.currency;
        let text = same_money.then(|| decimal_text(difference, first.currency.exponent()));
        Ok(GainsPair {
            before: PrintedGains::of(before, first.currency)?,
            after: PrintedGains::of(after, second.currency)?,
            gain_difference_fiat: text.transpose()?,
        })
    }
}
