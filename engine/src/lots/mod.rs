//! Lots: which are used (`plan`) and how their cost is divided (`split`). Pure.

mod plan;
mod split;

pub use plan::{Plan, Take, plan};
pub use split::{apportion, cost_share};
