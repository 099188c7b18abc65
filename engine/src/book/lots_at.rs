//! The open lots as they stood at an instant: replayed from the first row or undone from the last, whichever is nearer.
//!
//! Holds open lots only, never the history. Invariant: both ways give the same lots.

use std::collections::BTreeMap;

use super::Snapshot;
use super::snapshot::behind;
use crate::error::{Error, Result};
use crate::model::{LotEffect, LotKey, OpenLot};
use crate::money::{Fiat, Msats};
use crate::reports::Range;
use crate::time::Timestamp;

/// Open lots, pool by pool, oldest first.
pub type LotRows = Box<dyn Iterator<Item = Result<OpenLot>>>;

impl Snapshot {
    /// Open lots as they stood at `as_of` (its own instant included; `None`: as they stand), pool by pool, oldest first.
    pub fn open_lots_at(&self, as_of: Option<Timestamp>) -> Result<LotRows> {
        let Some(as_of) = as_of else { return Ok(Box::new(self.open_lots()?)) };
        let before = self.spans()?.sum(&Range { start: None, end: Some(as_of) })?.events;
        let after = self.totals()?.events.saturating_sub(before);
        let lots = if before < after { self.replayed(as_of)? } else { self.undone(as_of)? };
        Ok(Box::new(lots.open.into_values().map(Ok)))
    }

    fn replayed(&self, as_of: Timestamp) -> Result<Lots> {
        let (mut store, mut lots, mut place) = (self.store()?, Lots::default(), Vec::new());
        while let Some((key, row)) = store.next_journal(&place)?.filter(|(key, _)| key.time <= as_of) {
            row.effects.iter().try_for_each(|effect| lots.apply(effect))?;
            place = behind(&key);
        }
        Ok(lots)
    }

    fn undone(&self, as_of: Timestamp) -> Result<Lots> {
        let mut lots = Lots::default();
        for lot in self.open_lots()? {
            let lot = lot?;
            lots.open.insert(lot.key.clone(), lot);
        }
        let (mut store, mut place) = (self.store()?, None::<Vec<u8>>);
        while let Some((key, row)) =
            store.previous_journal(place.as_deref())?.filter(|(key, _)| key.time > as_of)
        {
            row.effects.iter().rev().try_for_each(|effect| lots.undo(effect))?;
            place = Some(key.to_bytes());
        }
        Ok(lots)
    }
}

/// Open lots in memory.
#[derive(Default)]
struct Lots {
    open: BTreeMap<LotKey, OpenLot>,
}

impl Lots {
    fn apply(&mut self, effect: &LotEffect) -> Result<()> {
        match effect {
            LotEffect::Opened { lot, quantity, cost } => self.put(lot, *quantity, *cost),
            LotEffect::Used { lot, quantity, cost, .. } => {
                let (held, kept) = self.left(lot)?;
                self.put(lot, held.sub(*quantity)?, kept.sub(*cost)?)
            }
            LotEffect::CostAdded { lot, cost } => {
                let (held, kept) = self.left(lot)?;
                self.put(lot, held, kept.add(*cost)?)
            }
        }
    }

    fn undo(&mut self, effect: &LotEffect) -> Result<()> {
        match effect {
            LotEffect::Opened { lot, .. } => self.put(lot, Msats::ZERO, Fiat::ZERO),
            LotEffect::Used { lot, quantity, cost, .. } => {
                let (held, kept) = self.left(lot).unwrap_or_default();
                self.put(lot, held.add(*quantity)?, kept.add(*cost)?)
            }
            LotEffect::CostAdded { lot, cost } => {
                let (held, kept) = self.left(lot)?;
                self.put(lot, held, kept.sub(*cost)?)
            }
        }
    }

    fn left(&self, key: &LotKey) -> Result<(Msats, Fiat)> {
        let lot =
            self.open.get(key).ok_or_else(|| Error::Corrupt(format!("lot {} is not open", key.lot_id())))?;
        Ok((lot.quantity, lot.cost))
    }

    /// A lot without quantity is not open.
    fn put(&mut self, key: &LotKey, quantity: Msats, cost: Fiat) -> Result<()> {
        if quantity.is_zero() {
            self.open.remove(key);
        } else {
            self.open.insert(key.clone(), OpenLot { key: key.clone(), quantity, cost });
        }
        Ok(())
    }
}
