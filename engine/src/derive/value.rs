//! Fiat values of steps: the event's override, the amount the source stated, or the last rate before the event.

use crate::error::{Error, Result};
use crate::model::{Basis, Quarantine, Settings, Valuation, ValueSource};
use crate::money::{Currency, Fiat, Msats, Rate};
use crate::store::{Readable, Store};
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

/// Values for one event; remembers the rate it used.
pub(super) struct Valuer<'a> {
    settings: &'a Settings,
    at: Timestamp,
    found: Option<Valuation>,
}

impl<'a> Valuer<'a> {
    pub fn new(settings: &'a Settings, at: Timestamp, rate_override: Option<Rate>) -> Self {
        let found = rate_override.map(|rate| Valuation { rate, time: at, source: ValueSource::Override });
        Valuer { settings, at, found }
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

    /// `amount` of `currency` in the book's currency, through bitcoin's price in both.
    pub fn convert<T: Readable>(
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
        let pair = format!("BTC-{currency}");
        match store.rate_at(&pair, self.at)? {
            Some((time, row)) if time >= self.at.minus_hours(self.settings.rate_max_age_hours) => {
                let source = ValueSource::Table { pair, provider: row.provider };
                Ok(Valuation { rate: row.rate, time, source })
            }
            _ => Err(Stop::Quarantine(Quarantine::MissingRate { pair })),
        }
    }
}

fn is_override(found: &Option<Valuation>) -> bool {
    found.as_ref().is_some_and(|found| found.source == ValueSource::Override)
}
