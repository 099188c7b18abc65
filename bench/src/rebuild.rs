//! All derived rows anew from stored facts.

use nacre_engine::model::{Method, Settings};

use crate::history::now;
use crate::run::{Res, Run, count, per_second, worked};

pub fn rebuild(run: &mut Run) -> Res<()> {
    let [_, tenth, all] = run.sizes();
    for events in [tenth, all] {
        let reference = (run.redb_raw(events)?, "redb_raw");
        for method in Method::ALL {
            let book = &run.fixture(events)?.book;
            book.set_settings(now(), &Settings { method, ..Settings::default() })?;
            let (took, done) = worked(|| Ok(book.process(now(), true, &|| false)?))?;
            if done.events_replayed < events || done.quarantined > 0 {
                return Err(format!("a rebuild booked {done:?}").into());
            }
            let what = format!("{} {} ({})", method.name(), count(events), per_second(events, took));
            let target = match method {
                Method::Fifo | Method::Lifo => Some(1_000),
                Method::Hifo => Some(1_500),
                Method::Lofo | Method::AvgCost | Method::UkS104 => None,
            };
            run.compare("rebuild", what, took, reference, target);
        }
        let book = &run.fixture(events)?.book;
        book.set_settings(now(), &Settings::default())?;
        let (took, _) = worked(|| Ok(book.process(now(), false, &|| false)?))?;
        run.compare("rebuild", format!("change of method {}", count(events)), took, reference, None);
    }
    Ok(())
}
