//! What a row realises, and the sums per tax year over it.
//!
//! Invariant: adding an event's gains to the years and removing them again leaves the years as they were.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::basis;
use crate::error::{Error, Result};
use crate::model::{BookedDisposal, BookedStep, Figures, Gains, JournalRow, RowStatus, Slice, Term};

/// The disposals of a booked row that realise a gain.
pub fn realised(row: &JournalRow) -> impl Iterator<Item = &BookedDisposal> {
    let steps = if row.status == RowStatus::Booked { row.steps.as_slice() } else { &[] };
    steps.iter().filter_map(|step| match step {
        BookedStep::Disposed(disposal) if disposal.realises => Some(disposal.as_ref()),
        _ => None,
    })
}

/// What a row realises; `None` when it realises nothing.
///
/// # Errors
/// As [`basis`].
pub fn gains_of(row: &JournalRow) -> Result<Option<Gains>> {
    let mut gains = Gains::default();
    for disposal in realised(row) {
        gains.disposals += 1;
        for slice in &disposal.slices {
            let sum = match slice.term {
                Term::Short => &mut gains.short,
                Term::Long => &mut gains.long,
            };
            *sum = sum.and(&figures_of(slice)?);
        }
    }
    Ok((gains.disposals > 0).then_some(gains))
}

/// The figures of one slice.
pub(crate) fn figures_of(slice: &Slice) -> Result<Figures> {
    Ok(Figures {
        slices: 1,
        quantity: slice.used.quantity.get().into(),
        gross: slice.gross.get().into(),
        fees: slice.fiat_fee.get().into(),
        cost: basis(slice)?.get().into(),
    })
}

/// Adds what an event of `year` realised.
pub fn add_year(years: &mut BTreeMap<i16, Gains>, year: i16, gains: &Gains) {
    let sum = years.entry(year).or_default();
    *sum = sum.and(gains);
}

/// Takes back what [`add_year`] added.
///
/// # Errors
/// [`Error::Corrupt`] when it was never added.
pub fn remove_year(years: &mut BTreeMap<i16, Gains>, year: i16, gains: &Gains) -> Result<()> {
    let missing = || Error::Corrupt(format!("the gains of {year} lack a row that is being removed"));
    let Entry::Occupied(mut entry) = years.entry(year) else { return Err(missing()) };
    let sum = entry.get();
    let less = Gains {
        disposals: sum.disposals.checked_sub(gains.disposals).ok_or_else(missing)?,
        short: without(&sum.short, &gains.short).ok_or_else(missing)?,
        long: without(&sum.long, &gains.long).ok_or_else(missing)?,
    };
    if less.disposals == 0 {
        entry.remove();
    } else {
        entry.insert(less);
    }
    Ok(())
}

fn without(sum: &Figures, part: &Figures) -> Option<Figures> {
    Some(Figures {
        slices: sum.slices.checked_sub(part.slices)?,
        quantity: sum.quantity - part.quantity,
        gross: sum.gross - part.gross,
        fees: sum.fees - part.fees,
        cost: sum.cost - part.cost,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;
    use crate::journal::samples::{any_row, booked, disposal};

    #[test]
    fn only_what_realises_counts_and_a_year_without_disposals_is_not_there() {
        let mut gift = disposal(1, 10, 0);
        gift.realises = false;
        let gift = booked(vec![BookedStep::Disposed(Box::new(gift))]);
        assert_eq!(gains_of(&gift).unwrap(), None);
        let sale = booked(vec![BookedStep::Disposed(Box::new(disposal(1, 10, 2)))]);
        let gains = gains_of(&sale).unwrap().unwrap();
        assert_eq!((gains.disposals, gains.short.quantity, gains.all().gain()), (1, 12, 20));
        let mut years = BTreeMap::new();
        add_year(&mut years, 2024, &gains);
        assert!(remove_year(&mut years, 2023, &gains).is_err());
        remove_year(&mut years, 2024, &gains).unwrap();
        assert!(years.is_empty());
        assert!(remove_year(&mut years, 2024, &gains).is_err());
    }

    proptest! {
        #[test]
        fn removing_is_the_inverse_of_adding(rows in prop::collection::vec((2020i16..2023, any_row()), 0..8)) {
            let gains: Vec<_> = rows.iter().filter_map(|(year, row)| Some((*year, gains_of(row).unwrap()?))).collect();
            let mut years = BTreeMap::new();
            let mut states = Vec::new();
            for (year, gains) in &gains {
                states.push(years.clone());
                add_year(&mut years, *year, gains);
            }
            for ((year, gains), before) in gains.iter().zip(states).rev() {
                remove_year(&mut years, *year, gains).unwrap();
                prop_assert_eq!(&years, &before);
            }
        }
    }
}
