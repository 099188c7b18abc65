//! Lots: which are used (`plan`) and how their cost is divided (`split`), also where days are matched as a whole
//! (`section104`). Pure.

mod plan;
mod section104;
mod split;

pub use plan::{Plan, Take, plan};
pub use section104::{Cut, Matcher, Part, cut, first_match, last_match};
pub use split::{apportion, cost_share};
