//! Histories that make a naive engine quadratic, under the methods they hurt.

use nacre_engine::model::Method;

use crate::history::{History, Shape};
use crate::imports::through_with;
use crate::run::{Res, Run, count, per_second};

const METHODS: [Method; 4] = [Method::Fifo, Method::Lifo, Method::Hifo, Method::UkS104];

pub fn adversarial(run: &mut Run) -> Res<()> {
    let tenth = run.events / 10;
    let plain = History::ten_years(tenth);
    let cases = [
        ("ordinary", plain),
        ("all buys, then all sells", History { shape: Shape::BuysThenSells, ..plain }),
        ("all in one second", History { span_secs: 1, ..plain }),
        ("all in one instant", History { span_secs: 0, shape: Shape::BuysThenSells, ..plain }),
        ("one huge sale at the end", History { shape: Shape::OneHugeSale, ..plain }),
    ];
    for method in METHODS {
        let mut ordinary = None;
        for (at, (name, history)) in cases.iter().enumerate() {
            let csv = run.dir.path().join(format!("adversarial-{at}-{}.csv", method.name()));
            history.write(&csv)?;
            let total = through_with(&csv, &csv.with_extension("book"), method)?.total();
            let what = format!("{} {name}, {} ({})", method.name(), count(tenth), per_second(tenth, total));
            let reference = *ordinary.get_or_insert(total);
            run.compare("adversarial", what, total, (reference, "the ordinary one"), Some(2_000));
        }
        many_open(run, method)?;
    }
    Ok(())
}

/// As many lots open as there are events, until one sale takes them all; each event against those of a tenth as many.
fn many_open(run: &mut Run, method: Method) -> Res<()> {
    let mut took = Vec::new();
    for events in [run.events / 10, run.events] {
        let csv = run.dir.path().join(format!("open-{events}-{}.csv", method.name()));
        History { shape: Shape::OneHugeSale, ..History::ten_years(events) }.write(&csv)?;
        took.push(through_with(&csv, &csv.with_extension("book"), method)?.total());
    }
    let what =
        format!("{} {} lots open ({})", method.name(), count(run.events), per_second(run.events, took[1]));
    run.compare("adversarial", what, took[1], (took[0], "a tenth of the lots"), Some(12_000));
    Ok(())
}
