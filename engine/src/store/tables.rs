//! Every table of a book, on one screen.
//!
//! All are [`BlockMap`]s of byte rows. Facts are never rewritten by processing; derived tables can always be rebuilt.

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

use super::{BlockMap, failed};
use crate::error::{Error, Result};

type Bytes = &'static [u8];
/// A table of a read transaction.
pub(crate) type ReadTable = ReadOnlyTable<Bytes, Bytes>;

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// The names of all tables.
        pub(crate) const TABLES: &[&str] = &[$(stringify!($field),)*];

        /// The tables of one transaction.
        pub(crate) struct Store<T> { $($(#[$doc])* pub $field: BlockMap<T>,)* }

        impl<T> Store<T> {
            /// Every table.
            #[cfg(any(test, feature = "fuzzing"))]
            pub fn every(&mut self) -> Vec<&mut BlockMap<T>> {
                vec![$(&mut self.$field,)*]
            }
        }

        impl Store<ReadTable> {
            pub fn read(txn: &ReadTransaction) -> Result<Self> {
                Ok(Store { $($field: BlockMap::new(open(txn, stringify!($field))?),)* })
            }
        }

        impl<'t> Store<Table<'t, Bytes, Bytes>> {
            pub fn write(txn: &'t WriteTransaction) -> Result<Self> {
                Ok(Store { $($field: BlockMap::new(
                    txn.open_table(TableDefinition::<Bytes, Bytes>::new(stringify!($field))).map_err(failed)?
                ),)* })
            }

            /// Writes every changed block; call once before the commit.
            pub fn flush(&mut self) -> Result<()> {
                $(self.$field.flush()?;)*
                Ok(())
            }
        }
    };
}

tables! {
    /// Fact: name → single values (format, settings, mark, version, totals of the derived tables).
    meta,
    /// Fact: connection number → `Connection`.
    connections,
    /// Fact: connection number → the reader's opaque checkpoint.
    sync_states,
    /// Fact: time ‖ rank ‖ order ‖ event id ‖ 0 ‖ connection → `Record`.
    records,
    /// Index of `records`: connection ‖ event id → time ‖ rank ‖ order.
    record_at,
    /// Index of `records`: shared identity ‖ connection ‖ event id → nothing.
    groups,
    /// Fact: event id → `Annotation`.
    annotations,
    /// Fact: tag code → `Tag`.
    tags,
    /// Fact: pair ‖ 0 ‖ time → rate and provider.
    rates,
    /// Fact: version → `Change`.
    changes,
    /// Fact: seal number → `Seal`.
    seals,
    /// Fact: seal number ‖ event key → `SealedSale`.
    sealed_rows,
    /// Derived: event key → `JournalRow`.
    journal,
    /// Derived: event key of each quarantined row → nothing.
    quarantine,
    /// Derived: lot key → what is left of the lot.
    lots,
    /// Derived: local day → `DayTotals`; no row for a day on which nothing happened.
    days,
    /// Derived: day (UTC) → `Reach`: how far its rows reach into the pools.
    reaches,
    /// Derived: pool → `PoolCost`, where a method keeps one cost for a whole pool.
    pools,
}

pub(super) fn open(txn: &ReadTransaction, name: &str) -> Result<ReadTable> {
    txn.open_table(TableDefinition::<Bytes, Bytes>::new(name)).map_err(|error| match error {
        TableError::TableDoesNotExist(name) => Error::Format(format!("table {name} is missing")),
        other => failed(other),
    })
}

/// Any table a [`Store`] can be read from.
pub(crate) trait Readable: ReadableTable<Bytes, Bytes> {}
impl<T: ReadableTable<Bytes, Bytes>> Readable for T {}
/// The tables of a write transaction.
pub(crate) type WriteStore<'t> = Store<Table<'t, Bytes, Bytes>>;
/// The tables of a snapshot.
pub(crate) type ReadStore = Store<ReadTable>;
