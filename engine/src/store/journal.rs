//! Derived rows: the journal, the quarantine list, the open lots.

use serde::{Deserialize, Serialize};

use super::block::Row;
use super::codec::{decode, encode, encode_sized};
use super::tables::{Readable, Store, WriteStore};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::model::{JournalRow, LotKey, OpenLot, PoolCost, RowStatus, UnitCost};
use crate::money::{Fiat, Msats};

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
    pub fn next_lot(&mut self, from: &[u8], prefix: &[u8]) -> Result<Option<(Vec<u8>, OpenLot)>> {
        self.lots.at_or_after(from)?.filter(|row| row.0.starts_with(prefix)).map(lot_entry).transpose()
    }

    /// The last lot before the raw key `bound`, while it starts with `prefix`.
    pub fn previous_lot(&mut self, bound: &[u8], prefix: &[u8]) -> Result<Option<(Vec<u8>, OpenLot)>> {
        self.lots.before(Some(bound))?.filter(|row| row.0.starts_with(prefix)).map(lot_entry).transpose()
    }
}

impl WriteStore<'_> {
    /// Empties every derived table.
    pub fn clear_derived(&mut self) -> Result<()> {
        self.journal.clear()?;
        self.quarantine.clear()?;
        self.lots.clear()?;
        self.days.clear()?;
        self.pools.clear()?;
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

fn lot_entry(row: Row<'_>) -> Result<(Vec<u8>, OpenLot)> {
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
