//! Gains under other policies. Deriving them takes the book's turn to write, so it ends when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nacre_engine::reports::{Listing, WhatIf};

use super::BookAccess;
use super::access::now;
use crate::server::problem::Problem;
use crate::workspaces::settings::Change;

/// Says that nobody waits any more when it is dropped: the client left, or the request ran out of time.
struct GivesUp(Arc<AtomicBool>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The gains from `start` to `end` as booked, and as they would be with `changes` of the profile's settings.
///
/// # Errors
/// `invalid_query` for values that cannot be.
pub(crate) async fn what_if(
    access: &BookAccess,
    changes: Vec<(&'static str, Change)>,
    (start, end): (Option<String>, Option<String>),
    listing: Listing,
) -> Result<WhatIf, Problem> {
    let given_up = Arc::new(AtomicBool::new(false));
    let _guard = GivesUp(given_up.clone());
    let (facts, workspace) = (access.clone(), access.workspace);
    let work = move |book: &nacre_engine::book::Book| {
        let profile = facts.profile_now()?;
        let mut settings = profile.settings;
        if changes.iter().any(|(name, _)| matches!(*name, "gains_algorithm" | "lot_scope")) {
            // Asked for by name, a method or scope holds for the whole history.
            settings.policies.clear();
        }
        facts.state.store.read_now::<_, Problem>(|tx| {
            changes.into_iter().try_for_each(|(name, change)| {
                let applied = change.apply(tx, workspace, &mut settings);
                applied.map_err(|problem| Problem::query(name, problem.message()))
            })
        })?;
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
