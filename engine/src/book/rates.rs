//! Rates as facts of the book, fed from wherever the daemon keeps them.

use super::{Book, RateRow};
use crate::error::Result;
use crate::model::{ChangeDetail, TouchedRates};
use crate::money::{Currency, Rate};
use crate::time::Timestamp;

/// One rate to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatePoint {
    /// The currency that prices one bitcoin.
    pub currency: Currency,
    /// The instant of the price.
    pub time: Timestamp,
    /// The price.
    pub rate: Rate,
    /// Who says so, e.g. `import`.
    pub provider: String,
}

impl Book {
    /// Stores rates; what changed marks the events that each changed price may value. `cursor` is the caller's own
    /// bookmark into its source, kept in the same transaction ([`Snapshot::rates_cursor`](super::Snapshot)).
    pub fn put_rates(&self, now: Timestamp, cursor: u64, points: &[RatePoint]) -> Result<u64> {
        let mut changed = 0;
        let mut touched: Vec<TouchedRates> = Vec::new();
        self.write(|store| {
            let valid_hours = store.settings()?.rate_max_age_hours;
            for point in points {
                let pair = format!("BTC-{}", point.currency);
                let row = RateRow { rate: point.rate, provider: point.provider.clone() };
                if store.rate_exactly_at(&pair, point.time)?.as_ref() != Some(&row) {
                    store.put_rate(&pair, point.time, &row)?;
                    store.mark(point.time, point.time.plus_hours(valid_hours))?;
                    changed += 1;
                    note(&mut touched, point);
                }
            }
            if changed == 0 && store.rates_cursor()? == cursor {
                return Ok(None);
            }
            store.set_rates_cursor(cursor)?;
            store.log(now, "rates", changed, ChangeDetail::Rates(std::mem::take(&mut touched))).map(Some)
        })?;
        Ok(changed)
    }
}

fn note(touched: &mut Vec<TouchedRates>, point: &RatePoint) {
    let RatePoint { currency, time, .. } = *point;
    match touched.iter_mut().find(|pair| pair.currency == currency) {
        Some(pair) => {
            pair.rows += 1;
            pair.first = pair.first.min(time);
            pair.last = pair.last.max(time);
        }
        None => touched.push(TouchedRates { currency, rows: 1, first: time, last: time }),
    }
}
