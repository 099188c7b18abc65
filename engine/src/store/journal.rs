//! Derived rows: the journal, the quarantine list, the open lots.

use serde::{Deserialize, Serialize};

use super::block::Row;
use super::codec::{decode, encode, encode_sized};
use super::tables::{Readable, Store, WriteStore};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::model::{JournalRow, LotKey, OpenLot, PoolCost, Reach, RowStatus, UnitCost};
use crate::money::{Fiat, Msats};

/// A lot with its ordered bytes.
pub(crate) type KeyedLot = (Vec<u8>, OpenLot);

impl<T: Readable> Store<T> {
    pub fn journal_row(&mut self, key: &EventKey) -> Result<Option<JournalRow>> {
        self.journal.get(&key.to_bytes())?.map(decode).transpose()
    }

    /// The first row at or after the raw key `from`.
    pub fn next_journal(&mut self, from: &[u8]) -> Result<Option<(EventKey, JournalRow)>> {
        self.journal.at_or_after(from)?.map(journal_entry).transpose()
    }

    /// The last row before the raw key `bound` (`None`: the last of all).
    pub fn previous_journal(&mut self, bound: Option<&[u8]>) -> Result<Option<(EventKey, JournalRow)>> {
        self.journal.before(bound)?.map(journal_entry).transpose()
    }

    pub fn next_quarantined(&mut self, from: &[u8]) -> Result<Option<EventKey>> {
        self.quarantine.at_or_after(from)?.map(|(key, _)| EventKey::from_bytes(key)).transpose()
    }

    pub fn lot(&mut self, key: &LotKey) -> Result<Option<OpenLot>> {
        let stored: Option<StoredLot> = self.lots.get(&key.to_bytes())?.map(decode).transpose()?;
        Ok(stored.map(|stored| stored.under(key.clone())))
    }

    /// Quantity and cost of a pool whose lots share one cost.
    pub fn pool_cost(&mut self, pool: Option<ConnectionNo>) -> Result<PoolCost> {
        Ok(self.pools.get(&LotKey::pool_bytes(pool))?.map(decode).transpose()?.unwrap_or_default())
    }

    /// The first lot at or after the raw key `from`, while it starts with `prefix`.
    pub fn next_lot(&mut self, from: &[u8], prefix: &[u8]) -> Result<Option<KeyedLot>> {
        self.lots.at_or_after(from)?.filter(|row| row.0.starts_with(prefix)).map(lot_entry).transpose()
    }

    /// The last lot before the raw key `bound`, while it starts with `prefix`.
    pub fn previous_lot(&mut self, bound: &[u8], prefix: &[u8]) -> Result<Option<KeyedLot>> {
        self.lots.before(Some(bound))?.filter(|row| row.0.starts_with(prefix)).map(lot_entry).transpose()
    }
}

impl<T: Readable> Store<T> {
    /// How far the rows of a day reach.
    pub fn reach(&mut self, day: i32) -> Result<Option<Reach>> {
        self.reaches.get(&day_bytes(day))?.map(decode).transpose()
    }

    /// The first day at or after `day` that has a reach.
    pub fn next_reach(&mut self, day: i32) -> Result<Option<(i32, Reach)>> {
        let Some((key, value)) = self.reaches.at_or_after(&day_bytes(day))? else { return Ok(None) };
        let key = <[u8; 4]>::try_from(key).map_err(|_| Error::Corrupt("day".into()))?;
        Ok(Some(((u32::from_be_bytes(key) ^ (1 << 31)) as i32, decode(value)?)))
    }
}

/// A day as bytes whose order is the order of days.
fn day_bytes(day: i32) -> [u8; 4] {
    ((day as u32) ^ (1 << 31)).to_be_bytes()
}

impl WriteStore<'_> {
    /// Stores how far the rows of a day reach; a day whose rows touch nothing has no row.
    pub fn put_reach(&mut self, day: i32, reach: &Reach) -> Result<()> {
        if *reach == Reach::default() {
            self.reaches.remove(&day_bytes(day))?;
        } else {
            self.reaches.put(&day_bytes(day), &encode(reach)?)?;
        }
        Ok(())
    }

    /// Empties every derived table.
    pub fn clear_derived(&mut self) -> Result<()> {
        self.journal.clear()?;
        self.quarantine.clear()?;
        self.lots.clear()?;
        self.days.clear()?;
        self.pools.clear()?;
        self.reaches.clear()?;
        self.set_totals(&crate::model::Totals::default())
    }

    pub fn put_journal_row(&mut self, key: &EventKey, row: &JournalRow) -> Result<()> {
        let raw = key.to_bytes();
        if matches!(row.status, RowStatus::Quarantined(_)) {
            self.quarantine.put(&raw, &[])?;
        }
        self.journal.put(&raw, &encode_sized(row, 256)?)?;
        Ok(())
    }

    /// Puts a row in the place of another.
    pub fn replace_journal_row(
        &mut self,
        key: &EventKey,
        old: Option<&JournalRow>,
        new: &JournalRow,
    ) -> Result<()> {
        if old.is_some_and(|old| matches!(old.status, RowStatus::Quarantined(_))) {
            self.quarantine.remove(&key.to_bytes())?;
        }
        self.put_journal_row(key, new)
    }

    pub fn remove_journal_row(&mut self, key: &EventKey, row: &JournalRow) -> Result<()> {
        let raw = key.to_bytes();
        if matches!(row.status, RowStatus::Quarantined(_)) {
            self.quarantine.remove(&raw)?;
        }
        if self.journal.remove(&raw)? {
            Ok(())
        } else {
            Err(Error::Corrupt(format!("journal row {} is missing", key.id)))
        }
    }

    /// Stores a lot; says whether it was not open before.
    pub fn put_lot(&mut self, lot: &OpenLot) -> Result<bool> {
        let OpenLot { quantity, cost, loss_cost, .. } = *lot;
        let stored = StoredLot { quantity, cost, loss_cost, unit: lot.key.unit };
        self.lots.put(&lot.key.to_bytes(), &encode(&stored)?)
    }

    /// Stores what a pool holds; one that holds nothing has no row.
    pub fn put_pool_cost(&mut self, pool: Option<ConnectionNo>, held: PoolCost) -> Result<()> {
        let key = LotKey::pool_bytes(pool);
        if held == PoolCost::default() {
            self.pools.remove(&key)?;
        } else {
            self.pools.put(&key, &encode(&held)?)?;
        }
        Ok(())
    }

    pub fn remove_lot(&mut self, key: &LotKey) -> Result<()> {
        if self.lots.remove(&key.to_bytes())? {
            Ok(())
        } else {
            Err(Error::Corrupt(format!("lot {} is not open", key.lot_id())))
        }
    }
}

fn journal_entry(row: Row<'_>) -> Result<(EventKey, JournalRow)> {
    Ok((EventKey::from_bytes(row.0)?, decode(row.1)?))
}

fn lot_entry(row: Row<'_>) -> Result<KeyedLot> {
    let stored: StoredLot = decode(row.1)?;
    let key = LotKey::from_bytes(row.0, stored.unit)?;
    Ok((row.0.to_vec(), stored.under(key)))
}

/// An open lot as stored: what its key does not say.
#[derive(Serialize, Deserialize)]
struct StoredLot {
    quantity: Msats,
    cost: Fiat,
    loss_cost: Option<Fiat>,
    unit: Option<UnitCost>,
}

impl StoredLot {
    fn under(self, key: LotKey) -> OpenLot {
        OpenLot { key, quantity: self.quantity, cost: self.cost, loss_cost: self.loss_cost }
    }
}
