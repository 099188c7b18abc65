//! [`Era`]: a stretch of time under one method and one scope, as the settings and their policies lay them out.
//!
//! Invariants: the first era starts at the beginning of time, each later one at the start of a local day, and no two
//! neighbours are alike. Refuses a day that the book's zone cannot place.

use jiff::civil::Date;

use super::{Allocation, LotScope, Method, Settings};
use crate::error::{Error, Result};
use crate::time::{Timestamp, Zone};

/// Method and scope from an instant on, until the next era.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    /// Its first instant.
    pub from: Timestamp,
    /// The day whose start that is; `None` for the first era.
    pub day: Option<Date>,
    /// Which lots a disposal consumes.
    pub method: Method,
    /// Which lots it may choose from.
    pub lot_scope: LotScope,
    /// Lots dealt to connections by the user's word, where the scope becomes the connection's.
    pub allocation: Vec<Allocation>,
}

impl Era {
    /// The eras of a book, in order; never none. A policy that changes nothing begins no era.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a policy of a day that `zone` cannot place.
    pub fn all(settings: &Settings, zone: &Zone) -> Result<Vec<Era>> {
        let Settings { method, lot_scope, .. } = *settings;
        let first = Era { from: Timestamp::MIN, day: None, method, lot_scope, allocation: Vec::new() };
        let (mut last, mut eras) = ((method, lot_scope), vec![first]);
        for policy in &settings.policies {
            if std::mem::replace(&mut last, (policy.method, policy.lot_scope)) == last {
                continue;
            }
            let from = zone.start_of(policy.from).map_err(|_| {
                Error::invalid("policies", format!("{} is no day these books can reach", policy.from))
            })?;
            eras.push(Era {
                from,
                day: Some(policy.from),
                method: policy.method,
                lot_scope: policy.lot_scope,
                allocation: policy.allocation.clone(),
            });
        }
        Ok(eras)
    }

    /// How many of `eras` have begun before `at`: at least one.
    pub fn begun_before(eras: &[Era], at: Timestamp) -> usize {
        eras.partition_point(|era| era.from < at).max(1)
    }

    /// The era of `at`. Eras are never none.
    pub fn at(eras: &[Era], at: Timestamp) -> Option<&Era> {
        eras.get(eras.partition_point(|era| era.from <= at).max(1) - 1)
    }

    /// The first instant from which two layouts differ; `None` when they are alike.
    pub fn first_difference(a: &[Era], b: &[Era]) -> Option<Timestamp> {
        let alike = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let starts = [a.get(alike), b.get(alike)];
        starts.into_iter().flatten().map(|era| era.from).min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::Policy;

    fn eras(policies: &[(&str, Method, LotScope)]) -> Vec<Era> {
        let policies = policies.iter().map(|(from, method, lot_scope)| Policy {
            from: from.parse().unwrap(),
            method: *method,
            lot_scope: *lot_scope,
            allocation: Vec::new(),
        });
        let settings = Settings { policies: policies.collect(), ..Settings::default() };
        Era::all(&settings, &Zone::named("Etc/GMT-10").unwrap()).unwrap()
    }

    #[test]
    fn a_policy_holds_from_the_first_instant_of_its_local_day() {
        let eras = eras(&[
            ("1970-01-02", Method::Hifo, LotScope::Universal),
            ("1970-01-05", Method::Hifo, LotScope::Connection),
        ]);
        let start = Timestamp::from_secs(14 * 3_600);
        assert_eq!(eras.iter().map(|era| era.from).nth(1), Some(start));
        let before = Timestamp::from_micros(start.as_micros() - 1);
        assert_eq!(Era::at(&eras, before).unwrap().method, Method::Fifo);
        assert_eq!(Era::at(&eras, start).unwrap().method, Method::Hifo);
        assert_eq!((Era::begun_before(&eras, start), Era::begun_before(&eras, Timestamp::MAX)), (1, 3));
    }

    #[test]
    fn layouts_differ_from_the_first_era_that_is_not_in_both() {
        let (none, hifo) = (eras(&[]), ("2024-01-01", Method::Hifo, LotScope::Universal));
        assert_eq!(
            Era::first_difference(&none, &eras(&[("2024-01-01", Method::Fifo, LotScope::Universal)])),
            None
        );
        let (one, later) = (eras(&[hifo]), eras(&[hifo, ("2025-01-01", Method::Lifo, LotScope::Universal)]));
        assert_eq!(Era::first_difference(&none, &one), Some(one[1].from));
        assert_eq!(Era::first_difference(&later, &one), Some(later[2].from));
        let earlier = eras(&[("2023-01-01", Method::Hifo, LotScope::Universal)]);
        assert_eq!(Era::first_difference(&one, &earlier), Some(earlier[1].from));
    }
}
