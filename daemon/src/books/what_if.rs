//! Gains under other policies. Deriving them takes the book's turn to write, so it ends when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nacre_engine::reports::{Listing, WhatIf};

use super::BookAccess;
use super::access::now;
use crate::server::problem::{Code, Problem};
use crate::store::record::Settings;
use crate::workspaces::policies::in_force;
use crate::workspaces::settings::Change;

/// Says that nobody waits any more when it is dropped: the client left, or the request ran out of time.
struct GivesUp(Arc<AtomicBool>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The gains from `start` to `end` as booked, and as they would be with `change` of the profile's settings: a method or scope
/// it names holds for the whole history, whatever policies say.
///
/// # Errors
/// `invalid_query` for values that cannot be; `not_final` while facts wait for the next process.
pub(crate) async fn what_if(
    access: &BookAccess,
    change: Change,
    (start, end): (Option<String>, Option<String>),
    listing: Listing,
) -> Result<WhatIf, Problem> {
    let given_up = Arc::new(AtomicBool::new(false));
    let _guard = GivesUp(given_up.clone());
    let (facts, workspace) = (access.clone(), access.workspace);
    let work = move |book: &nacre_engine::book::Book| {
        let profile = facts.profile_now()?;
        let mut settings = profile.settings;
        let named = named(&change);
        clear_policies(&mut settings, &named);
        let apply = |tx: &crate::store::ReadTx| change.apply(tx, workspace, &mut settings);
        facts.state.store.read_now::<_, Problem>(apply).map_err(|problem| of_query(&problem, &named))?;
        let snapshot = book.snapshot()?;
        let settings = super::access::settings_in(&snapshot, &settings)?;
        let zone = snapshot.zone()?;
        let range = crate::api::query_range(("start", start.as_deref()), ("end", end.as_deref()), &zone)?;
        let state = &facts.state;
        let stop = || {
            given_up.load(Ordering::Relaxed)
                || state.shutdown.is_cancelled()
                || state.books.is_removed(facts.profile_id)
        };
        Ok(book.what_if(now(), &settings, &range, &listing, &stop)?)
    };
    access.write_prepared(work).await
}

/// The parameters a question can name, as far as it does.
fn named(change: &Change) -> Vec<&'static str> {
    let all = [
        ("gains_algorithm", change.gains_algorithm.is_some()),
        ("lot_scope", change.lot_scope.is_some()),
        ("transfer_fee_treatment", change.transfer_fee_treatment.is_some()),
    ];
    all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
}

/// Takes what is named out of every policy, so that the base goes on in it, and drops the policies that say nothing then.
fn clear_policies(settings: &mut Settings, named: &[&str]) {
    let (algorithm, scope) = (named.contains(&"gains_algorithm"), named.contains(&"lot_scope"));
    if !algorithm && !scope {
        return;
    }
    for policy in &mut settings.policies {
        if algorithm {
            policy.gains_algorithm = None;
        }
        if scope {
            policy.lot_scope = None;
            // It divided a pool for a step that is no longer there.
            policy.allocation.clear();
        }
    }
    let mut last = (settings.gains_algorithm, settings.lot_scope);
    let steps: Vec<bool> = in_force(settings).map(|now| std::mem::replace(&mut last, now) != now).collect();
    let mut steps = steps.into_iter();
    settings.policies.retain(|_| steps.next().unwrap_or(true));
}

/// A refusal of settings as one of the parameter at fault: a policy or setting of the profile that stands in the way is named
/// by the message alone.
fn of_query(problem: &Problem, named: &[&'static str]) -> Problem {
    if problem.code() != Code::InvalidField {
        return problem.clone();
    }
    let at_fault = named.iter().find(|name| problem.at_field() == Some(**name)).or(named.first());
    Problem::query(at_fault.copied().unwrap_or("gains_algorithm"), problem.message())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::GivesUp;

    #[tokio::test]
    async fn a_request_that_ends_before_its_answer_gives_up() {
        let given_up = Arc::new(AtomicBool::new(false));
        let guard = GivesUp(given_up.clone());
        let request = async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        };
        let out_of_time = tokio::time::timeout(std::time::Duration::from_millis(1), request).await;
        assert!(out_of_time.is_err() && given_up.load(Ordering::Relaxed));
    }
}
