//! Lots: acquired quantities with their total cost, and what happens to them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventId, EventKey, instant_bytes, instant_from_bytes};
use crate::money::{Fiat, Msats};
use crate::time::Timestamp;

/// What a lot cost per unit when it was acquired, as the two totals behind it: exact, and never rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UnitCost {
    /// Total cost, fees included.
    pub cost: Fiat,
    /// Quantity; never zero.
    pub quantity: Msats,
}

impl UnitCost {
    /// Bytes whose order is that of cost ÷ quantity, equal for equal quotients.
    ///
    /// The quotient in fixed point with 128 binary places: two different quotients of quantities below 2^63 lie at least
    /// 2^-126 apart, so that no two of them share these bytes.
    pub fn rank_bytes(self) -> [u8; 24] {
        let whole = i128::from(self.cost.get());
        let by = i128::from(self.quantity.get().max(1));
        let mut rest = whole.rem_euclid(by) as u128;
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&((whole.div_euclid(by) as i64 as u64) ^ (1 << 63)).to_be_bytes());
        for place in bytes[8..].chunks_exact_mut(8) {
            let shifted = rest << 64;
            place.copy_from_slice(&((shifted / by as u128) as u64).to_be_bytes());
            rest = shifted % by as u128;
        }
        bytes
    }
}

/// Identity and order of an open lot inside its pool.
///
/// Order: unit cost where the method ranks by it, then acquisition time, then the acquiring event, then its place in
/// that event, then the move that brought it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LotKey {
    /// `None` for the book's one pool, else the connection's.
    pub pool: Option<ConnectionNo>,
    /// Its unit cost as acquired, where the method in force ranks by it.
    pub unit: Option<UnitCost>,
    /// When it was acquired (the user's date for an opening balance).
    pub acquired_at: Timestamp,
    /// The event that acquired it.
    pub origin: EventKey,
    /// Which acquisition of that event.
    pub nth: u32,
    /// The own transfers and slices that brought it here: (event, which slice); `None` where it was acquired.
    pub via: Option<(EventKey, u32)>,
}

/// Where the rank stands in a ranked lot's ordered bytes.
pub(crate) const RANK: std::ops::Range<usize> = 4..28;

impl LotKey {
    /// The lot's public id: `<event id>#<nth>`; moving it does not change it.
    pub fn lot_id(&self) -> String {
        format!("{}#{}", self.origin.id, self.nth)
    }

    /// The event that put the lot into its pool: the move that brought it, else the acquisition.
    pub fn opened_by(&self) -> &EventKey {
        self.via.as_ref().map_or(&self.origin, |(event, _)| event)
    }

    /// Ordered bytes of the pool: the prefix of all its lots.
    pub fn pool_bytes(pool: Option<ConnectionNo>) -> [u8; 4] {
        pool.map_or(0, |no| no.0).to_be_bytes()
    }

    /// Ordered bytes: pool ‖ rank ‖ acquisition ‖ origin ‖ nth ‖ via. Unique, and in the order of the lots of a pool.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.acquisition_bytes();
        bytes.extend_from_slice(&self.nth.to_be_bytes());
        if let Some((event, slice)) = &self.via {
            event.write(&mut bytes);
            bytes.push(0);
            bytes.extend_from_slice(&slice.to_be_bytes());
        }
        bytes
    }

    /// The prefix of all lots that the same event acquired with the same rank and date.
    pub(crate) fn acquisition_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80);
        bytes.extend_from_slice(&Self::pool_bytes(self.pool));
        if let Some(unit) = self.unit {
            bytes.extend_from_slice(&unit.rank_bytes());
        }
        bytes.extend_from_slice(&instant_bytes(self.acquired_at));
        self.origin.write(&mut bytes);
        bytes.push(0); // ends the id: no id holds a zero byte
        bytes
    }

    /// Reads what [`LotKey::to_bytes`] wrote; the unit cost, of which the bytes hold the rank alone, is handed in.
    pub(crate) fn from_bytes(bytes: &[u8], unit: Option<UnitCost>) -> Result<Self> {
        let bad = || Error::Corrupt("lot key".into());
        let (pool, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
        let pool = Some(u32::from_be_bytes(*pool)).filter(|no| *no != 0).map(ConnectionNo);
        let rest = if unit.is_some() { rest.get(24..).ok_or_else(bad)? } else { rest };
        let (acquired, rest) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let (origin, nth, rest) = numbered_event(rest).ok_or_else(bad)?;
        let via = match rest {
            [] => None,
            rest => match numbered_event(rest).ok_or_else(bad)? {
                (event, slice, []) => Some((EventKey::from_bytes(event)?, slice)),
                _ => return Err(bad()),
            },
        };
        let (acquired_at, origin) = (instant_from_bytes(*acquired), EventKey::from_bytes(origin)?);
        Ok(LotKey { pool, unit, acquired_at, origin, nth, via })
    }
}

/// An event key, the zero byte behind it, and a number; then what follows.
fn numbered_event(bytes: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    // The id starts behind time, rank and order, any of which may hold a zero byte.
    let end = 17 + bytes.get(17..)?.iter().position(|byte| *byte == 0)?;
    let (number, rest) = bytes.get(end + 1..)?.split_first_chunk::<4>()?;
    Some((&bytes[..end], u32::from_be_bytes(*number), rest))
}

/// As stored: the date as its distance from the acquiring event's, which is nothing for most.
type StoredLotKey<Key, Via> = (Option<ConnectionNo>, Option<UnitCost>, i64, Key, u32, Via);

impl Serialize for LotKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let distance = self.acquired_at.as_micros().wrapping_sub(self.origin.time.as_micros());
        let stored: StoredLotKey<&EventKey, &Option<(EventKey, u32)>> =
            (self.pool, self.unit, distance, &self.origin, self.nth, &self.via);
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LotKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let stored: StoredLotKey<EventKey, Option<(EventKey, u32)>> = Deserialize::deserialize(deserializer)?;
        let (pool, unit, distance, origin, nth, via) = stored;
        let acquired_at = Timestamp::from_micros(origin.time.as_micros().wrapping_add(distance));
        Ok(LotKey { pool, unit, acquired_at, origin, nth, via })
    }
}

/// What is left of a lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLot {
    /// Identity and order.
    pub key: LotKey,
    /// Quantity left; never zero.
    pub quantity: Msats,
    /// Cost left: the part of the lot's total cost not yet consumed. Nothing where the pool keeps the cost.
    pub cost: Fiat,
    /// The same for the basis that counts for a loss, where a gift has two.
    pub loss_cost: Option<Fiat>,
}

/// What a pool holds, where a method keeps one cost for all of its lots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolCost {
    /// Quantity of its open lots.
    pub quantity: Msats,
    /// Their cost.
    pub cost: Fiat,
}

/// What a lot holds after it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Quantity left; never zero.
    pub quantity: Msats,
    /// Cost left.
    pub cost: Fiat,
    /// Cost left that counts for a loss.
    pub loss_cost: Option<Fiat>,
}

/// A slice taken from a lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotUse {
    /// From which.
    pub lot: LotKey,
    /// How much.
    pub quantity: Msats,
    /// Its share of the cost.
    pub cost: Fiat,
    /// Its share of the cost that counts for a loss, where a gift has two.
    pub loss_cost: Option<Fiat>,
    /// What was left of the lot; `None` when this was the last of it.
    pub left: Option<Left>,
}

impl LotUse {
    /// The lot as it stood before the slice was taken.
    ///
    /// # Errors
    /// [`Error::Overflow`] when what was taken and what was left do not add up to an amount.
    pub fn before(&self) -> Result<OpenLot> {
        let LotUse { lot, quantity, cost, loss_cost, left } = self;
        let key = lot.clone();
        let Some(left) = left else {
            return Ok(OpenLot { key, quantity: *quantity, cost: *cost, loss_cost: *loss_cost });
        };
        let loss_cost = match (*loss_cost, left.loss_cost) {
            (Some(taken), Some(kept)) => Some(kept.add(taken)?),
            _ => None,
        };
        let (quantity, cost) = (left.quantity.add(*quantity)?, left.cost.add(*cost)?);
        Ok(OpenLot { key, quantity, cost, loss_cost })
    }
}

/// What an acquisition opened; quantity, event and place are those of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// `None` for the book's one pool, else the connection's.
    pub pool: Option<ConnectionNo>,
    /// Whether the method in force ranked lots by unit cost.
    pub ranked: bool,
    /// The user's date, where it is not the event's own.
    pub acquired_at: Option<Timestamp>,
    /// Total cost, fees included.
    pub cost: Fiat,
    /// The cost that counts for a loss, where a gift has two.
    pub loss_cost: Option<Fiat>,
    /// What disposals that stand before it had claimed of it, with its cost (`UK_S104`): the lot opens with the rest.
    pub claimed: Option<(Msats, Fiat)>,
}

/// Why a slice of a lot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsePurpose {
    /// Sold or spent: realises a gain.
    Disposal,
    /// Given away: leaves at cost.
    Gift,
    /// Moved to another pool.
    Move,
    /// Fee of an own transfer whose cost is carried.
    CarriedFee,
}

/// One effect of a row on the lots; undone in reverse order when the books are rewound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LotEffect {
    /// A lot was opened, whole.
    Opened(OpenLot),
    /// A slice was taken from a lot.
    Used {
        /// Which slice.
        slice: LotUse,
        /// Why.
        purpose: UsePurpose,
    },
    /// Cost was added to a lot (carried transfer fee).
    CostAdded {
        /// To which.
        lot: LotKey,
        /// How much.
        cost: Fiat,
        /// How much to the cost that counts for a loss, if the lot has one.
        loss_cost: Fiat,
        /// The lot with it.
        left: Left,
    },
    /// A lot came of which disposals before it had claimed all (`UK_S104`): it does not open.
    ClaimedWhole {
        /// Which lot.
        lot: LotKey,
        /// What it cost beyond what they gave for it, which its pool gets; it may be negative.
        cost: Fiat,
    },
}

/// Holding period class of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Term {
    /// Held up to a year.
    Short,
    /// Held longer than a year.
    Long,
}

impl Term {
    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            Term::Short => "short",
            Term::Long => "long",
        }
    }
}

/// The id of the event a lot id names (`<event id>#<nth>` → event id).
pub fn origin_of(lot_id: &str) -> EventId {
    EventId::from_text(lot_id.rsplit_once('#').map_or(lot_id, |(event, _)| event))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::id::Rank;

    fn unit(cost: i64, quantity: i64) -> UnitCost {
        UnitCost { cost: Fiat::new(cost), quantity: Msats::new(quantity) }
    }

    fn any_event() -> impl Strategy<Value = EventKey> {
        (any::<i64>(), any::<u64>(), "[a-z0-9.]{0,12}").prop_map(|(time, order, id)| EventKey {
            time: Timestamp::from_micros(time),
            rank: Rank::Transfer,
            order,
            id: EventId::from_text(id),
        })
    }

    fn any_lot() -> impl Strategy<Value = LotKey> {
        let unit = prop::option::of((any::<i64>(), 1i64..).prop_map(|(cost, quantity)| unit(cost, quantity)));
        let via = prop::option::of((any_event(), any::<u32>()));
        (prop::option::of(1u32..), unit, any::<i64>(), any_event(), any::<u32>(), via).prop_map(
            |(pool, unit, acquired, origin, nth, via)| LotKey {
                pool: pool.map(ConnectionNo),
                unit,
                acquired_at: Timestamp::from_micros(acquired),
                origin,
                nth,
                via,
            },
        )
    }

    #[test]
    fn neighbouring_quotients_keep_apart() {
        let (a, b) = (unit(i64::MAX - 1, i64::MAX), unit(i64::MAX - 2, i64::MAX - 1));
        assert!(b.rank_bytes() < a.rank_bytes());
        assert_eq!(unit(1, 3).rank_bytes(), unit(333, 999).rank_bytes());
    }

    proptest! {
        #[test]
        fn the_order_of_ranks_is_that_of_cross_multiplication(
            a in any::<i64>(), b in 1i64.., c in any::<i64>(), d in 1i64..,
            near in 0i64..3,
        ) {
            for (c, d) in [(c, d), (a.saturating_sub(near), b), (a, b.saturating_sub(near).max(1))] {
                let crossed = (i128::from(a) * i128::from(d)).cmp(&(i128::from(c) * i128::from(b)));
                prop_assert_eq!(unit(a, b).rank_bytes().cmp(&unit(c, d).rank_bytes()), crossed);
            }
        }

        #[test]
        fn keys_survive_their_bytes_and_their_encoding(lot in any_lot()) {
            prop_assert_eq!(&LotKey::from_bytes(&lot.to_bytes(), lot.unit).unwrap(), &lot);
            let stored = postcard::to_allocvec(&lot).unwrap();
            prop_assert_eq!(postcard::from_bytes::<LotKey>(&stored).unwrap(), lot);
        }

        #[test]
        fn bad_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = LotKey::from_bytes(&bytes, None);
            let _ = LotKey::from_bytes(&bytes, Some(unit(1, 1)));
        }
    }
}
