//! A small book for tests: someone buys at a broker, moves most of it to cold storage, and spends from there.
#![allow(clippy::expect_used)]

use crate::error::Result;
use crate::id::{ConnectionNo, EventId, EventKey};
use crate::journal::samples::{booked, disposal, key, lot, no, opening, usd};
use crate::journal::{Sign, apply_to_day, postings, totals_of};
use crate::model::{
    Annotation, BookedDisposal, BookedStep, Connection, Counter, DayTotals, Era, EventKind, JournalRow,
    LotKey, Rail, Settings, Term, Text, Totals,
};
use crate::money::{Currency, Msats};
use crate::reports::{Header, ReportContext};
use crate::time::{Timestamp, Zone};

/// 2025-06-01T00:00:00Z
pub(crate) const SNAPSHOT: Timestamp = Timestamp::from_secs(1_748_736_000);
/// 2023-01-15T00:00:00Z
const BOUGHT: i64 = 1_673_740_800;
/// 2023-06-01T00:00:00Z
const MOVED: i64 = 1_685_577_600;
/// 2025-02-01T00:00:00Z
const SPENT: i64 = 1_738_368_000;

/// The user tagged the spend.
fn annotation(id: &EventId, _: &[EventId]) -> Result<Annotation> {
    let tags = if id.as_str() == "spend" { vec!["books".to_owned()] } else { Vec::new() };
    Ok(Annotation { tags, ..Annotation::default() })
}

fn connection(number: u32, label: &str, kind: &str, rail: Rail) -> (ConnectionNo, Connection) {
    let connection = Connection {
        no: no(number),
        id: format!("00000000-0000-7000-8000-00000000000{number}"),
        label: label.into(),
        kind: kind.into(),
        rail,
        config: String::new(),
        created_at: Timestamp::from_secs(0),
        synced_at: None,
    };
    (no(number), connection)
}

/// Two connections, dollars, FIFO, UTC.
pub(crate) fn context() -> ReportContext<'static> {
    ReportContext {
        header: Header { book_version: 7, non_final: false, quarantined: 0 },
        settings: Settings::default(),
        zone: Zone::utc(),
        eras: Era::all(&Settings::default(), &Zone::utc()).unwrap_or_default(),
        connections: [
            connection(1, "Cold: storage", "Descriptor", Rail::OnChain),
            connection(3, "Broker", "Custom", Rail::Managed),
        ]
        .into(),
        annotation: &annotation,
    }
}

fn sats(sats: i64) -> Msats {
    Msats::new(sats * 1000)
}

fn the_lot() -> LotKey {
    lot("c3.buy-1", BOUGHT)
}

/// A disposal of `quantity` sat + `fee` sat from the one lot.
fn disposed(from: u32, quantity: i64, fee: i64, gross: i64, cost: i64, term: Term) -> BookedDisposal {
    let mut disposal = disposal(from, quantity * 1000, fee * 1000);
    disposal.gross = usd(gross);
    let slice = &mut disposal.slices[0];
    (slice.used.lot, slice.gross, slice.used.cost, slice.term) = (the_lot(), usd(gross), usd(cost), term);
    disposal
}

/// The rows of the book.
pub(crate) fn saver_rows() -> Vec<(EventKey, JournalRow)> {
    let mut buy = booked(vec![BookedStep::Acquired {
        connection: no(3),
        quantity: sats(150_000),
        counter: Counter::Conversion,
        value: usd(10_000),
        paid: Some((Currency::USD, usd(10_000), usd(150))),
        lot: opening(10_150),
    }]);
    buy.connections = vec![no(3)];

    let mut fee = disposed(3, 1_000, 0, 100, 68, Term::Short);
    fee.counter = Counter::NetworkFees;
    let moved = BookedStep::Moved { from: no(3), to: no(1), quantity: sats(88_000), slices: Vec::new() };
    let mut transfer = booked(vec![moved, BookedStep::Disposed(Box::new(fee))]);
    transfer.kind = EventKind::Transaction;
    transfer.connections = vec![no(1), no(3)];

    let spent = disposed(1, 28_000, 1_000, 2_800, 1_962, Term::Long);
    let mut spend = booked(vec![BookedStep::Disposed(Box::new(spent))]);
    spend.kind = EventKind::Transaction;
    let note = Some("=HYPERLINK(\"x\")".to_owned());
    spend.text = Some(Box::new(Text { description: None, note, tags: vec!["audit".into(), "books".into()] }));

    vec![(key("c3.buy-1", BOUGHT), buy), (key("move", MOVED), transfer), (key("spend", SPENT), spend)]
}

/// Those rows as one day.
pub(crate) fn saver_day() -> DayTotals {
    day_of(&saver_rows())
}

/// `rows` as one day.
pub(crate) fn day_of(rows: &[(EventKey, JournalRow)]) -> DayTotals {
    let ctx = context();
    let rail = |no| ctx.connections.get(&no).map_or(Rail::Managed, |known| known.rail);
    let mut day = DayTotals::default();
    for (_, row) in rows {
        let lines = postings(row, &rail).expect("sample amounts are small");
        apply_to_day(&mut day, row, &lines, Sign::Add).expect("sample amounts are small");
    }
    day
}

/// The running totals over those rows.
pub(crate) fn saver_totals() -> Totals {
    totals_of(&saver_day()).expect("sample amounts are small")
}
