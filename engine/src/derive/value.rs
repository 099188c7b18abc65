//! Fiat values of steps: the event's override, the amount the source stated, or the last rate before the event.

use std::cell::RefCell;

use crate::error::{Error, Result};
use crate::model::{Basis, Quarantine, Settings, Valuation, ValueSource};
use crate::money::{Currency, Fiat, Msats, Rate};
use crate::store::{RateRow, Readable, Store};
use crate::time::Timestamp;

/// Why booking an event stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The event is set aside.
    Quarantine(Quarantine),
    /// The operation fails.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(error)
    }
}

/// The rates in force around the event at hand, one per currency: events come in order of time, so that one look-up
/// serves all events until the next rate. Of use within one pass, in which no rate changes.
#[derive(Default)]
pub(super) struct Rates(RefCell<Vec<InForce>>);

/// The last rate of a pair for every instant from `from` to before `until` (`None`: from then on).
struct InForce {
    currency: Currency,
    pair: String,
    from: Timestamp,
    until: Option<Timestamp>,
    row: RateRow,
}

impl Rates {
    /// The last rate at or before `at`: its instant, its row and the name of its pair; else the pair alone.
    fn last<T: Readable>(
        &self,
        store: &mut Store<T>,
        currency: Currency,
        at: Timestamp,
    ) -> Result<Result<(Timestamp, RateRow, String), String>> {
        let mut known = self.0.borrow_mut();
        let covers = |rate: &&InForce| {
            rate.currency == currency && rate.from <= at && rate.until.is_none_or(|until| at < until)
        };
        if let Some(rate) = known.iter().find(covers) {
            return Ok(Ok((rate.from, rate.row.clone(), rate.pair.clone())));
        }
        let pair = format!("BTC-{currency}");
        let Some((from, row)) = store.rate_at(&pair, at)? else { return Ok(Err(pair)) };
        let until = store.next_rate_time(&pair, at)?;
        known.retain(|rate| rate.currency != currency);
        known.push(InForce { currency, pair: pair.clone(), from, until, row: row.clone() });
        Ok(Ok((from, row, pair)))
    }
}

/// Values for one event; remembers the rate it used.
pub(super) struct Valuer<'a> {
    settings: &'a Settings,
    rates: &'a Rates,
    at: Timestamp,
    found: Option<Valuation>,
}

impl<'a> Valuer<'a> {
    pub fn new(settings: &'a Settings, rates: &'a Rates, at: Timestamp, rate_override: Option<Rate>) -> Self {
        let found = rate_override.map(|rate| Valuation { rate, time: at, source: ValueSource::Override });
        Valuer { settings, rates, at, found }
    }

    /// Where the fair values of this event came from, if any were needed.
    pub fn into_valuation(self) -> Option<Valuation> {
        self.found
    }

    /// The value of `quantity` by its basis. An override beats what the source stated.
    pub fn value<T: Readable>(
        &mut self,
        store: &mut Store<T>,
        quantity: Msats,
        basis: Basis,
    ) -> Result<Fiat, Stop> {
        match (basis, &self.found) {
            (Basis::Stated(currency, total), found) if !is_override(found) => {
                self.convert(store, currency, total)
            }
            (_, Some(found)) => Ok(found.rate.value(quantity, self.settings.fiat_currency)?),
            _ if quantity.is_zero() => Ok(Fiat::ZERO),
            _ => {
                let currency = self.settings.fiat_currency;
                let found = self.rate(store, currency)?;
                let value = found.rate.value(quantity, currency)?;
                self.found = Some(found);
                Ok(value)
            }
        }
    }

    /// A fiat fee in the book's currency; nothing where there is none.
    pub fn fee<T: Readable>(
        &mut self,
        store: &mut Store<T>,
        fee: Option<(Currency, Fiat)>,
    ) -> Result<Fiat, Stop> {
        fee.map_or(Ok(Fiat::ZERO), |(currency, amount)| self.convert(store, currency, amount))
    }

    /// `amount` of `currency` in the book's currency, through bitcoin's price in both.
    fn convert<T: Readable>(
        &mut self,
        store: &mut Store<T>,
        currency: Currency,
        amount: Fiat,
    ) -> Result<Fiat, Stop> {
        let own = self.settings.fiat_currency;
        if currency == own || amount == Fiat::ZERO {
            return Ok(amount);
        }
        let there = self.rate(store, currency)?;
        let here = self.rate(store, own)?;
        Ok(there.rate.convert(amount, currency, here.rate, own)?)
    }

    fn rate<T: Readable>(&self, store: &mut Store<T>, currency: Currency) -> Result<Valuation, Stop> {
        match self.rates.last(store, currency, self.at)? {
            Ok((time, row, pair)) if time >= self.at.minus_hours(self.settings.rate_max_age_hours) => {
                let source = ValueSource::Table { pair, provider: row.provider };
                Ok(Valuation { rate: row.rate, time, source })
            }
            Ok((_, _, pair)) | Err(pair) => Err(Stop::Quarantine(Quarantine::MissingRate { pair })),
        }
    }
}

fn is_override(found: &Option<Valuation>) -> bool {
    found.as_ref().is_some_and(|found| found.source == ValueSource::Override)
}
