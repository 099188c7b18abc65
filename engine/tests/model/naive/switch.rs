//! The day the scope changes: lots of the one pool are dealt to the connections, or all pools become one.

use std::collections::BTreeMap;

use super::Keeper;
use super::calendar::civil;
use super::orders::{Lot, queue};
use crate::model::world::{Dated, Method};

impl Keeper<'_> {
    /// Puts a policy in force; a change of scope is an event of its own.
    pub(super) fn switch(&mut self, dated: &Dated, at: i64) {
        let was = std::mem::replace(&mut self.by_connection, dated.by_connection);
        self.method = dated.method;
        if was == dated.by_connection {
            return;
        }
        let (year, month, date) = civil(dated.day);
        let day = format!("{year:04}-{month:02}-{date:02}");
        if was {
            self.books.events += 1;
            for lot in &mut self.stock.lots {
                lot.pool = 0;
            }
            return;
        }
        let mut due: BTreeMap<u32, i128> = BTreeMap::new();
        for ((conn, asset), net) in &self.books.balances {
            if asset == "BTC" && *net > 0 {
                due.insert(*conn, *net);
            }
        }
        if !dated.allocation.is_empty() {
            self.books.events += 1;
            let place = (at, 0, 0, format!("allocation.{day}"));
            let before = (self.stock.lots.clone(), due.clone());
            let mut dealt = 0;
            for (lot, conn, msat) in &dated.allocation {
                if !self.allocate(&place, &mut dealt, &mut due, lot, *conn, *msat) {
                    (self.stock.lots, due) = before;
                    self.books.quarantined.push((place.3, "conflicting_link"));
                    break;
                }
            }
        }
        self.books.events += 1;
        let place = (at, 0, 1, format!("switch.{day}"));
        let mut dealt = 0;
        for (conn, due) in due {
            self.deal(&place, &mut dealt, conn, due, None);
        }
    }

    /// One row of an explicit allocation; whether it fitted.
    fn allocate(
        &mut self,
        place: &super::Place,
        dealt: &mut usize,
        due: &mut BTreeMap<u32, i128>,
        lot: &str,
        conn: u32,
        msat: i128,
    ) -> bool {
        let open: i128 = self
            .stock
            .lots
            .iter()
            .filter(|open| open.pool == 0 && open.id() == lot)
            .map(|open| open.msat)
            .sum();
        let room = due.entry(conn).or_default();
        if open < msat || *room < msat {
            return false;
        }
        *room -= msat;
        self.deal(place, dealt, conn, msat, Some(lot));
        true
    }

    /// Moves the oldest lots (of one id) from the one pool to a connection's, as long as they last.
    fn deal(&mut self, place: &super::Place, dealt: &mut usize, conn: u32, mut msat: i128, id: Option<&str>) {
        for at in queue(&self.stock.lots, 0, Method::Fifo) {
            let lot = &mut self.stock.lots[at];
            let part = msat.min(lot.msat);
            if part == 0 || id.is_some_and(|id| lot.id() != id) {
                continue;
            }
            let moved = Lot { pool: conn, via: Some((place.clone(), *dealt)), ..lot.split(part) };
            self.stock.lots.push(moved);
            (*dealt, msat) = (*dealt + 1, msat - part);
        }
        self.stock.lots.retain(|lot| lot.msat > 0);
    }
}
