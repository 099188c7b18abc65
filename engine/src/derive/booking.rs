//! One event → one journal row: values its steps, uses and opens lots. All of an event is booked, or nothing.

use super::pools::Pools;
use super::value::{Rates, Stop, Valuer};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::journal::{BasisKind, Numbers, arrived, basis_kind, carried, effects_of, opened_key};
use crate::lots::{Take, apportion};
use crate::model::{
    Acquire, Annotation, Basis, BookedDisposal, BookedStep, Counter, Dispose, Event, FeeTreatment,
    JournalRow, LotEffect, LotScope, OpenLot, Opening, Quarantine, RowStatus, Settings, Slice, Step, Term,
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
    pub pools: Pools,
    /// Which lots a disposal may choose from, now.
    pub lot_scope: LotScope,
    /// Where lots are chosen later (`UK_S104`): what is held behind the last event booked.
    pub ahead: Option<Msats>,
}

/// The row being written.
struct Draft<'a> {
    key: &'a EventKey,
    valuer: Valuer<'a>,
    steps: Vec<BookedStep>,
    numbers: Numbers,
}

impl Booker<'_> {
    /// Books `event`, applying its lot effects; what cannot be booked leaves no effect.
    pub fn book(
        &mut self,
        store: &mut WriteStore<'_>,
        event: Event,
        annotation: Option<&Annotation>,
    ) -> Result<(EventKey, JournalRow)> {
        let Event { key, kind, connections, steps, text, merged } = event;
        let row = |status, steps, valuation| JournalRow {
            kind,
            connections,
            status,
            steps,
            valuation,
            text,
            merged,
        };
        if annotation.is_some_and(|annotation| annotation.excluded) {
            return Ok((key, row(RowStatus::Excluded, Vec::new(), None)));
        }
        let steps = match steps {
            Ok(steps) => steps,
            Err(reason) => return Ok((key, row(RowStatus::Quarantined(reason), Vec::new(), None))),
        };
        let rate = annotation.and_then(|annotation| annotation.rate);
        // The rates stand apart while the event is valued, since booking changes the pools beside them.
        let rates = std::mem::take(&mut self.rates);
        let ahead = self.ahead;
        let valuer = Valuer::new(self.settings, &rates, key.time, rate);
        let mut draft = Draft { key: &key, valuer, steps: Vec::new(), numbers: Numbers::default() };
        let outcome = steps.into_iter().try_for_each(|step| self.step(store, &mut draft, step));
        let Draft { valuer, steps, .. } = draft;
        let valuation = valuer.into_valuation();
        self.rates = rates;
        let reason = match outcome {
            Ok(()) => return Ok((key, row(RowStatus::Booked, steps, valuation))),
            Err(Stop::Quarantine(reason)) => reason,
            Err(Stop::Error(Error::Overflow(_))) => Quarantine::AmountOutOfRange,
            Err(Stop::Error(error)) => return Err(error),
        };
        if ahead.is_some() {
            self.ahead = ahead;
        } else {
            self.pools.undo(store, &effects_of(&key, &steps)?)?;
        }
        Ok((key, row(RowStatus::Quarantined(reason), Vec::new(), None)))
    }

    fn step(&mut self, store: &mut WriteStore<'_>, draft: &mut Draft<'_>, step: Step) -> Result<(), Stop> {
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

    /// The pool a place's disposals choose from.
    fn pool_of(&self, connection: ConnectionNo) -> Option<ConnectionNo> {
        match self.lot_scope {
            LotScope::Universal => None,
            LotScope::Connection => Some(connection),
        }
    }

    fn acquire(
        &mut self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        arriving: Acquire,
    ) -> Result<(), Stop> {
        let Acquire { connection, quantity, counter, basis, fiat_fee, acquired_at, loss_basis } = arriving;
        let value = draft.valuer.value(store, quantity, basis)?;
        let fee = draft.valuer.fee(store, fiat_fee)?;
        let cost = value.add(fee)?;
        let loss_cost = match loss_basis.filter(|_| !self.pools.method.pools_cost()) {
            Some(basis) => {
                let loss = draft.valuer.value(store, quantity, basis)?.add(fee)?;
                Some(loss).filter(|loss| *loss < cost)
            }
            None => None,
        };
        let ranked = self.pools.method.ranks();
        let lot =
            Opening { pool: self.pool_of(connection), ranked, acquired_at, cost, loss_cost, claimed: None };
        let key = opened_key(draft.key, &lot, quantity, draft.numbers.opened()?);
        match &mut self.ahead {
            Some(held) => *held = held.add(quantity)?,
            None => self.pools.open(store, OpenLot { key, quantity, cost, loss_cost })?,
        }
        let paid = fiat_leg(counter, basis, fiat_fee);
        draft.steps.push(BookedStep::Acquired { connection, quantity, counter, value, paid, lot });
        draft.steps.extend(fee_apart(connection, paid, fiat_fee, fee));
        Ok(())
    }

    fn dispose(
        &mut self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        leaving: Dispose,
    ) -> Result<(), Stop> {
        let need = leaving.quantity.add(leaving.fee)?;
        let pool = self.pool_of(leaving.connection);
        let gross = match leaving.realises {
            true => draft.valuer.value(store, leaving.quantity, leaving.basis)?,
            false => Fiat::ZERO,
        };
        let fiat_fee = draft.valuer.fee(store, leaving.fiat_fee)?;
        let slices = match (leaving.lots.as_slice(), self.ahead) {
            ([], Some(held)) => {
                self.ahead = Some(covered(held, need)?);
                Vec::new()
            }
            ([], None) => {
                let takes = self.pools.plan(store, pool, need)?;
                self.slices(store, takes, gross, fiat_fee, draft.key.time)?
            }
            (named, _) => {
                let takes = self.pools.plan_named(store, self.rails, pool, need, named)?;
                self.slices(store, takes, gross, fiat_fee, draft.key.time)?
            }
        };
        let received = fiat_leg(leaving.counter, leaving.basis, leaving.fiat_fee);
        draft.steps.push(BookedStep::Disposed(Box::new(BookedDisposal {
            connection: leaving.connection,
            quantity: leaving.quantity,
            fee: leaving.fee,
            fee_account: leaving.fee_account,
            counter: leaving.counter,
            realises: leaving.realises,
            named: !leaving.lots.is_empty(),
            gross,
            fiat_fee,
            received,
            slices,
        })));
        draft.steps.extend(fee_apart(leaving.connection, received, leaving.fiat_fee, fiat_fee));
        Ok(())
    }

    /// Takes the lots planned, and divides proceeds and fee over them.
    pub fn slices(
        &mut self,
        store: &mut WriteStore<'_>,
        takes: Vec<Take>,
        gross: Fiat,
        fiat_fee: Fiat,
        at: Timestamp,
    ) -> Result<Vec<Slice>> {
        let weights = takes.iter().map(|take| take.quantity);
        let gross = apportion(gross, weights.clone())?;
        let fees = apportion(fiat_fee, weights)?;
        let mut terms = Vec::with_capacity(takes.len());
        for ((take, gross), fee) in takes.iter().zip(&gross).zip(&fees) {
            terms.push(self.term(take, gross.sub(*fee)?, at)?);
        }
        let uses = self.pools.take(store, takes)?;
        let parts = uses.into_iter().zip(gross).zip(fees).zip(terms);
        Ok(parts.map(|(((used, gross), fiat_fee), term)| Slice { used, gross, fiat_fee, term }).collect())
    }

    /// Short or long. Where a gift's loss basis counts, the holding period starts with the gift (IRS Publication 551).
    fn term(&self, take: &Take, net: Fiat, at: Timestamp) -> Result<Term> {
        let key = &take.lot.key;
        let acquired = match basis_kind(net, take.cost, take.loss_cost) {
            BasisKind::Loss => key.origin.time,
            BasisKind::Cost | BasisKind::Neither => key.acquired_at,
        };
        Ok(if self.zone.is_long_term(acquired, at)? { Term::Long } else { Term::Short })
    }

    /// Lots keep their date and cost; they change pools only where each connection has its own.
    fn transfer(
        &mut self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        from: ConnectionNo,
        to: ConnectionNo,
        quantity: Msats,
    ) -> Result<(), Stop> {
        let mut slices = Vec::new();
        if self.lot_scope == LotScope::Connection && from != to {
            let takes = self.pools.plan(store, Some(from), quantity)?;
            slices = self.pools.take(store, takes)?;
            for slice in &slices {
                let lot = arrived(draft.key, slice, Some(to), draft.numbers.moved()?);
                self.pools.open(store, lot)?;
            }
        }
        draft.steps.push(BookedStep::Moved { from, to, quantity, slices });
        Ok(())
    }

    fn transfer_fee(
        &mut self,
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
        &mut self,
        store: &mut WriteStore<'_>,
        draft: &mut Draft<'_>,
        connection: ConnectionNo,
        quantity: Msats,
        account: Counter,
    ) -> Result<bool, Stop> {
        let pool = self.pool_of(connection);
        let takes = self.pools.plan(store, pool, quantity)?;
        let slices = self.pools.take(store, takes)?;
        let Some(heir) = self.heir(store, draft, pool)? else {
            let uses = slices.into_iter();
            let uses: Vec<_> =
                uses.map(|slice| LotEffect::Used { slice, purpose: UsePurpose::CarriedFee }).collect();
            self.pools.undo(store, &uses)?;
            return Ok(false);
        };
        let (cost, loss_cost) = carried(&slices)?;
        let key = heir.key.clone();
        let heir_left = self.pools.add_cost(store, heir, cost, loss_cost)?;
        draft.steps.push(BookedStep::CarriedFee {
            connection,
            quantity,
            account,
            slices,
            heir: key,
            heir_left,
        });
        Ok(true)
    }

    /// The lot that carries a fee's cost: the last that arrived and is still there; in one pool, the next.
    fn heir(
        &mut self,
        store: &mut WriteStore<'_>,
        draft: &Draft<'_>,
        pool: Option<ConnectionNo>,
    ) -> Result<Option<OpenLot>> {
        for effect in effects_of(draft.key, &draft.steps)?.into_iter().rev() {
            // A later fee may have used up what arrived.
            if let LotEffect::Opened(lot) = effect
                && let Some(open) = self.pools.lot(store, &lot.key)?
            {
                return Ok(Some(open));
            }
        }
        let moved = draft.steps.iter().any(|step| matches!(step, BookedStep::Moved { .. }));
        if !moved || self.lot_scope != LotScope::Universal {
            return Ok(None);
        }
        self.pools.first(store, pool)
    }
}

/// What is left of `held` after `need`.
fn covered(held: Msats, need: Msats) -> Result<Msats, Stop> {
    if held < need {
        let reason = Quarantine::InsufficientLots { connection: None, needed: need, available: held };
        return Err(Stop::Quarantine(reason));
    }
    Ok(held.sub(need)?)
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
