//! Histories that make a naive engine quadratic.

use crate::history::{History, Shape};
use crate::imports::through;
use crate::run::{Res, Run, count, per_second};

pub fn adversarial(run: &mut Run) -> Res<()> {
    let tenth = run.events / 10;
    let plain = History::ten_years(tenth);
    let cases = [
        ("an ordinary history", plain),
        ("all buys, then all sells", History { shape: Shape::BuysThenSells, ..plain }),
        ("everything in one second", History { span_secs: 1, ..plain }),
        ("everything in one instant", History { span_secs: 0, shape: Shape::BuysThenSells, ..plain }),
    ];
    let mut ordinary = None;
    for (at, (name, history)) in cases.into_iter().enumerate() {
        let csv = run.dir.path().join(format!("adversarial-{at}.csv"));
        history.write(&csv)?;
        let total = through(&csv, &csv.with_extension("book"))?.total();
        let what = format!("{name}, {} ({})", count(tenth), per_second(tenth, total));
        let reference = *ordinary.get_or_insert(total);
        run.compare("adversarial", what, total, (reference, "the ordinary one"), Some(2_000));
    }
    Ok(())
}
