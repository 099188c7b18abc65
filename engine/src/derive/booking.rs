//! One event → one journal row: values its steps, uses and opens lots. All of an event is booked, or nothing.

use super::pools::{add_cost, next_in_order, open, plan_by_method, plan_named, pool_of, take, undo};
use super::value::{Rates, Stop, Valuer};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::lots::{Take, apportion};
use crate::model::{
    Acquire, Annotation, Basis, BookedDisposal, BookedStep, Counter, Dispose, Event, FeeTreatment,
    JournalRow, LotEffect, LotKey, LotScope, OpenLot, Quarantine, RowStatus, Settings, Slice, Step, Term,
    UsePurpose,
};
use crate::money::{Currency, Fiat, Msats};
use crate::normalise::Rails;
use crate::store::WriteStore;
use crate::time::{Timestamp, Zone};

/// Books events under one set of settings.
pub(super) struct Booker<'a> {
    pub settings: &'a Settings,
    pub zone: &'a Zone,
    pub rails: Rails<'a>,
    pub rates: Rates,
}

/// The row being written.
struct Draft<'a> {
    key: &'a EventKey,
    valuer: Valuer<'a>,
    steps: Vec<BookedStep>,
    effects: Vec<LotEffect>,
    opened: u32,
    moved: u32,
}

impl Booker<'_> {
    /// Books `event`, applying its lot effects; what cannot be booked leaves no effect.
    pub fn book(
        &self,
        store: &mut WriteStore<'_>,
        event: Event,
        annotation: Option<&Annotation>,
    ) -> Result<(EventKey, JournalRow)> {
        let Event { key, kind, connections, steps, text, merged } = event;
        let row = |status, steps, effects, valuation| JournalRow {
            kind,
            connections,
            status,
            steps,
            effects,
            valuation,
            text,
            merged,
        };
        if annotation.is_some_and(|annotation| annotation.excluded) {
            return Ok((key, row(RowStatus::Excluded, Vec::new(), Vec::new(), None)));
        }
        let steps = match steps {
            Ok(steps) => steps,
            Err(reason) => {
                return Ok((key, row(RowStatus::Quarantined(reason), Vec::new(), Vec::new(), None)));
            }
        };
        let rate = annotation.and_then(|annotation| annotation.rate);
        let valuer = Valuer::new(self.settings, &self.rates, key.time, rate);
        let mut draft =
            Draft { key: &key, valuer, steps: Vec::new(), effects: Vec::new(), opened: 0, moved: 0 };
        let outcome = steps.into_iter().try_for_each(|step| self.step(store, &mut draft, step));
        let Draft { valuer, steps, effects, .. } = draft;
        let row = match outcome {
            Ok(()) => row(RowStatus::Booked, steps, effects, valuer.into_valuation()),
            Err(Stop::Quarantine(reason)) => {
                undo(store, &effects)?;
                row(RowStatus::Quarantined(reason), Vec::new(), Vec::new(), None)
            }
            Err(Stop::Error(Error::Overflow(_))) => {
                undo(store, &effects)?;
                row(RowStatus::Quarantined(Quarantine::AmountOutOfRange), Vec::new(), Vec::new(), None)
            }
            Err(Stop::Error(error)) => return Err(error),
        };
        Ok((key, row))
    }

    fn step(&self, store: &mut WriteStore<'_>, draft: &mut Draft<'_>, step: Step) -> Result<(), Stop> {
        match step {
            Step::Acquire(arriving) => self.acquire(store, draft, arriving),
            Step::Dispose(leaving) => self.dispose(store, draft, leaving),
            Step::Move { from, to, quantity } => self.transfer(store, draft, from, to, quantity),
            Step::TransferFee { connection, quantity, account } => {
                self.transfer_fee(store, draft, connection, quantity, account)
            }
            Step::FiatFee { connection, fee } => {
                let value = draft.valuer.fee(store, Some(fee))?;
                draft.steps.extend(fee_apart(connection, None, Some(fee), value));
                Ok(())
            }
            Step::FiatTrade { connection, from, to, fee } => {
                draft.steps.push(BookedStep::FiatTraded { connection, from, to });
                let value = draft.valuer.fee(store, fee)?;
                draft.steps.extend(fee_apart(connection, None, fee, value));
                Ok(())
            }
        }
    }

    fn acquire(
        &self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        arriving: Acquire,
    ) -> Result<(), Stop> {
        let Acquire { connection, quantity, counter, basis, fiat_fee, acquired_at } = arriving;
        let value = draft.valuer.value(store, quantity, basis)?;
        let fee = draft.valuer.fee(store, fiat_fee)?;
        let key = LotKey {
            pool: pool_of(self.settings, connection),
            acquired_at: acquired_at.unwrap_or(draft.key.time),
            origin: draft.key.clone(),
            nth: draft.opened,
            via: None,
        };
        draft.opened = draft.opened.checked_add(1).ok_or(Error::Overflow("lots of one event"))?;
        open(store, OpenLot { key, quantity, cost: value.add(fee)? }, &mut draft.effects)?;
        let paid = fiat_leg(counter, basis, fiat_fee);
        draft.steps.push(BookedStep::Acquired { connection, quantity, counter, value, paid });
        draft.steps.extend(fee_apart(connection, paid, fiat_fee, fee));
        Ok(())
    }

    fn dispose(
        &self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        leaving: Dispose,
    ) -> Result<(), Stop> {
        let need = leaving.quantity.add(leaving.fee)?;
        let pool = pool_of(self.settings, leaving.connection);
        let gross = match leaving.realises {
            true => draft.valuer.value(store, leaving.quantity, leaving.basis)?,
            false => Fiat::ZERO,
        };
        let fiat_fee = draft.valuer.fee(store, leaving.fiat_fee)?;
        let takes = match leaving.lots.as_slice() {
            [] => plan_by_method(store, self.settings.method, pool, need)?,
            named => plan_named(store, self.rails, pool, need, named)?,
        };
        let purpose = if leaving.realises { UsePurpose::Disposal } else { UsePurpose::Gift };
        take(store, &takes, purpose, &mut draft.effects)?;
        let slices = self.slices(&takes, gross, fiat_fee, draft.key.time)?;
        let cost = Fiat::sum(takes.iter().map(|take| take.cost))?;
        let received = fiat_leg(leaving.counter, leaving.basis, leaving.fiat_fee);
        draft.steps.push(BookedStep::Disposed(Box::new(BookedDisposal {
            connection: leaving.connection,
            quantity: leaving.quantity,
            fee: leaving.fee,
            fee_account: leaving.fee_account,
            counter: leaving.counter,
            realises: leaving.realises,
            gross,
            fiat_fee,
            value: if leaving.realises { gross } else { cost },
            received,
            slices,
        })));
        draft.steps.extend(fee_apart(leaving.connection, received, leaving.fiat_fee, fiat_fee));
        Ok(())
    }

    /// Divides proceeds and fee over the lots used.
    fn slices(&self, takes: &[Take], gross: Fiat, fiat_fee: Fiat, at: Timestamp) -> Result<Vec<Slice>> {
        let weights = takes.iter().map(|take| take.quantity);
        let gross = apportion(gross, weights.clone())?;
        let fees = apportion(fiat_fee, weights)?;
        let parts = takes.iter().zip(gross).zip(fees);
        parts
            .map(|((take, gross), fiat_fee)| {
                let long = self.zone.is_long_term(take.lot.key.acquired_at, at)?;
                let term = if long { Term::Long } else { Term::Short };
                let (lot, quantity, cost) = (take.lot.key.clone(), take.quantity, take.cost);
                Ok(Slice { lot, quantity, cost, gross, fiat_fee, term })
            })
            .collect()
    }

    /// Lots keep their date and cost; they change pools only where each connection has its own.
    fn transfer(
        &self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        from: ConnectionNo,
        to: ConnectionNo,
        quantity: Msats,
    ) -> Result<(), Stop> {
        let mut cost = Fiat::ZERO;
        if self.settings.lot_scope == LotScope::Connection && from != to {
            let takes = plan_by_method(store, self.settings.method, Some(from), quantity)?;
            take(store, &takes, UsePurpose::Move, &mut draft.effects)?;
            for part in takes {
                cost = cost.add(part.cost)?;
                let via = Some((draft.key.clone(), draft.moved));
                draft.moved = draft.moved.checked_add(1).ok_or(Error::Overflow("slices of one event"))?;
                let key = LotKey { pool: Some(to), via, ..part.lot.key };
                open(store, OpenLot { key, quantity: part.quantity, cost: part.cost }, &mut draft.effects)?;
            }
        }
        draft.steps.push(BookedStep::Moved { from, to, quantity, cost });
        Ok(())
    }

    fn transfer_fee(
        &self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        connection: ConnectionNo,
        quantity: Msats,
        account: Counter,
    ) -> Result<(), Stop> {
        if self.settings.fee_treatment == FeeTreatment::CarryBasis
            && self.carry_fee(store, draft, connection, quantity, account)?
        {
            return Ok(());
        }
        let leaving = Dispose {
            connection,
            quantity,
            fee: Msats::ZERO,
            fee_account: account,
            counter: account,
            basis: Basis::Market,
            fiat_fee: None,
            realises: true,
            lots: Vec::new(),
        };
        self.dispose(store, draft, leaving)
    }

    /// Moves the fee's cost into what arrived; `false` when nothing arrived that could carry it.
    fn carry_fee(
        &self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        connection: ConnectionNo,
        quantity: Msats,
        account: Counter,
    ) -> Result<bool, Stop> {
        let pool = pool_of(self.settings, connection);
        let takes = plan_by_method(store, self.settings.method, pool, quantity)?;
        let cost = Fiat::sum(takes.iter().map(|take| take.cost))?;
        let before = draft.effects.len();
        take(store, &takes, UsePurpose::CarriedFee, &mut draft.effects)?;
        let arrived = last_arrived(store, &draft.effects)?;
        let moved = draft.steps.iter().any(|step| matches!(step, BookedStep::Moved { .. }));
        let heir = match (arrived, moved && self.settings.lot_scope == LotScope::Universal) {
            (Some(lot), _) => Some(lot),
            (None, true) => next_in_order(store, self.settings.method, pool)?.map(|lot| lot.key),
            (None, false) => None,
        };
        let Some(heir) = heir else {
            undo(store, draft.effects.get(before..).unwrap_or_default())?;
            draft.effects.truncate(before);
            return Ok(false);
        };
        add_cost(store, &heir, cost, &mut draft.effects)?;
        draft.steps.push(BookedStep::CarriedFee { connection, quantity, account, cost });
        Ok(true)
    }
}

/// The last lot these effects opened that is still open: a later fee may have used up what arrived.
fn last_arrived(store: &mut WriteStore<'_>, effects: &[LotEffect]) -> Result<Option<LotKey>> {
    for effect in effects.iter().rev() {
        if let LotEffect::Opened { lot, .. } = effect
            && store.lot(lot)?.is_some()
        {
            return Ok(Some(lot.clone()));
        }
    }
    Ok(None)
}

/// The fiat side of a trade: currency, amount, fee. A fee in another currency than the amount is not part of it.
fn fiat_leg(counter: Counter, basis: Basis, fee: Option<(Currency, Fiat)>) -> Option<(Currency, Fiat, Fiat)> {
    match (counter, basis) {
        (Counter::Conversion, Basis::Stated(currency, amount)) => {
            let fee = fee.filter(|(other, _)| *other == currency).map_or(Fiat::ZERO, |(_, fee)| fee);
            Some((currency, amount, fee))
        }
        _ => None,
    }
}

/// The fee that the fiat side does not carry: a fee never disappears.
fn fee_apart(
    connection: ConnectionNo,
    side: Option<(Currency, Fiat, Fiat)>,
    fee: Option<(Currency, Fiat)>,
    value: Fiat,
) -> Option<BookedStep> {
    let (currency, fee) = fee.filter(|(_, fee)| *fee != Fiat::ZERO)?;
    let carried = side.is_some_and(|(of, _, _)| of == currency);
    (!carried).then_some(BookedStep::FiatFee { connection, currency, fee, value })
}
