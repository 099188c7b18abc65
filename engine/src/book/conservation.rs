//! What the conservation report needs beside the running sums: the lots counted one by one, and what wallets hold.

use std::collections::BTreeMap;

use super::Snapshot;
use crate::error::Result;
use crate::id::ConnectionNo;
use crate::model::{ChainStatus, ChainView, Flow, RecordBody};
use crate::reports::{self, Conservation, LotsHeld};
use crate::time::Timestamp;

impl Snapshot {
    /// Units and cost in, out and left per pool; the ledger against lots and wallets. Reads every open lot and every record.
    ///
    /// # Errors
    /// [`Error::Overflow`](crate::Error::Overflow) when a sum has more digits than can be printed.
    pub fn conservation(&self, now: Timestamp) -> Result<Conservation> {
        let (totals, lots, wallets) = (self.totals()?, self.lots_held()?, self.wallets()?);
        self.with_context(|ctx| reports::conservation(ctx, &totals, &lots, &wallets, now))
    }

    fn lots_held(&self) -> Result<LotsHeld> {
        let mut held = LotsHeld::new();
        for lot in self.open_lots()? {
            let lot = lot?;
            let flow = Flow { quantity: lot.quantity.get().into(), cost: lot.cost.get().into() };
            let sum = held.entry(lot.key.pool).or_default();
            *sum = sum.and(flow);
        }
        Ok(held)
    }

    /// What each wallet on chain holds in msat, by its own confirmed transactions as of its last sync.
    fn wallets(&self) -> Result<BTreeMap<ConnectionNo, i128>> {
        let mut held = BTreeMap::new();
        let mut store = self.store()?;
        let mut from = Vec::new();
        while let Some((raw, record)) = store.next_record(&from)? {
            if let RecordBody::Chain(view) = &record.body {
                *held.entry(record.connection).or_default() += confirmed_sats(view) * 1000;
            }
            from = raw;
            from.push(0);
        }
        Ok(held)
    }
}

fn confirmed_sats(view: &ChainView) -> i128 {
    if !matches!(view.status, ChainStatus::Confirmed { .. }) {
        return 0;
    }
    let received =
        view.outputs.iter().filter(|output| output.owned).map(|output| i128::from(output.value_sat));
    let spent = view.inputs.iter().filter_map(|input| input.owned_sat).map(i128::from);
    received.sum::<i128>() - spent.sum::<i128>()
}
