//! Exact money: quantities in millisatoshi, fiat in minor units, rates as scaled integers, one named rounding.
//!
//! Invariant: **no operation here can overflow silently or touch a float.**

mod fiat;
mod msats;
mod rate;
mod rounding;

pub use fiat::{Currency, Fiat};
pub use msats::Msats;
pub use rate::Rate;
pub use rounding::{Rounding, muldiv};
