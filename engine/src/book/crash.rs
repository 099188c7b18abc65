//! What a crash leaves: every acknowledged operation, nothing half-written, and books that can go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Book, NewConnection, NewSeal, RatePoint, Tag};
use crate::error::Result;
use crate::id::{ConnectionNo, EventId, TxId};
use crate::model::{
    AnnotationEdit, ChainInput, ChainOutput, ChainStatus, ChainView, LotKey, LotScope, Method, Policy, Rail,
    Settings,
};
use crate::money::{Currency, Rate};
use crate::store::{Disk, TABLES, encode};
use crate::time::Timestamp;

const CACHE_BYTES: usize = 1 << 20;

fn at(day: i64) -> Timestamp {
    Timestamp::from_secs(1_672_531_200 + day * 86_400)
}

fn open(disk: &Disk) -> Result<Book> {
    Book::on_disk(disk, CACHE_BYTES)
}

type Dump = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

fn dump(book: &Book) -> Dump {
    book.rows().unwrap()
}

fn add(book: &Book, label: &str, rail: Rail) -> Result<()> {
    let (id, label, kind) = (label.to_owned(), label.to_owned(), "Custom".to_owned());
    book.add_connection(at(0), NewConnection { id, label, kind, rail, config: "{}".into() }).map(|_| ())
}

fn import(book: &Book, rows: &str) -> Result<()> {
    let file = format!("type,timestamp,id,amount_sat,fiat_value,transfer_ref,note\n{rows}");
    match book.import_plain(at(1), ConnectionNo(1), file.as_bytes(), false) {
        Ok(_) => Ok(()),
        Err(super::ImportFailure::Engine(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn buys(from: usize, to: usize) -> String {
    let row = |n: usize| {
        let time = at(n as i64 % 200);
        format!("buy,{time},buy-{n},{},{}.07,,{}\n", 10_000 + n, n + 3, "long words ".repeat(n % 9))
    };
    (from..to).map(row).collect()
}

fn sync(book: &Book, height: u32, spent: bool) -> Result<()> {
    let view = |id: u8, own_input: bool, day| ChainView {
        txid: TxId([id; 32]),
        status: ChainStatus::Confirmed { height, position: 1, time: at(day) },
        coinbase: false,
        inputs: vec![ChainInput { owned_sat: own_input.then_some(50_000) }],
        outputs: vec![ChainOutput { value_sat: 49_000, owned: !own_input, script: vec![1, 2, 3] }],
    };
    let views = [view(7, false, 20), view(8, true, 60)].into_iter().take(if spent { 2 } else { 1 });
    book.apply_sync(at(2), ConnectionNo(2), views.collect(), height.to_be_bytes().to_vec()).map(|_| ())
}

fn rates(book: &Book, from: i64, to: i64) -> Result<()> {
    let point = |day: i64| RatePoint {
        currency: Currency::USD,
        time: at(day),
        rate: Rate::from_decimal((20_000 + day).into()).unwrap(),
        provider: "import".into(),
    };
    let points: Vec<_> = (from..to).map(point).collect();
    book.put_rates(at(1), to as u64, &points).map(|_| ())
}

fn annotate(book: &Book, id: &str, edit: AnnotationEdit) -> Result<()> {
    book.annotate(at(3), &EventId::from_text(id), &[edit]).map(|_| ())
}

fn process(book: &Book, full: bool) -> Result<()> {
    book.process(at(4), full, &|| false).map(|_| ())
}

fn seal(book: &Book) -> Result<()> {
    let (id, label) = ("s".to_owned(), "2023".to_owned());
    book.seal(at(900), &NewSeal { id, label, start: at(0), end: at(300), allow_non_final: true }).map(|_| ())
}

fn accept(book: &Book) -> Result<()> {
    book.accept_restatement(at(901), "s", "t", true).map(|_| ())
}

const SCRIPT: [fn(&Book) -> Result<()>; 20] = [
    |book| add(book, "bank", Rail::Managed),
    |book| add(book, "cold", Rail::OnChain),
    |book| rates(book, 0, 150),
    |book| import(book, &buys(0, 60)),
    |book| process(book, false),
    |book| sync(book, 800_000, false),
    |book| {
        import(
            book,
            "sell,2023-07-01T00:00:00Z,sell-1,150000,60,,\nwithdrawal,2023-03-01T00:00:00Z,w-1,5000,,a,\n",
        )
    },
    |book| process(book, false),
    seal,
    |book| annotate(book, "c1.sell-1", AnnotationEdit::Excluded(true)),
    |book| sync(book, 800_001, true),
    |book| import(book, &buys(60, 200)),
    |book| process(book, false),
    |book| {
        let tag = Tag { id: "t".into(), code: "gift".into(), label: "Gift".into(), created_at: at(5) };
        book.put_tag(at(5), &tag)
    },
    |book| import(book, "buy,2023-01-02T00:00:00Z,buy-9,77,1,,changed\n"),
    |book| book.set_settings(at(6), &Settings { method: Method::Lifo, ..Settings::default() }).map(|_| ()),
    |book| process(book, true),
    |book| book.remove_connection(at(7), ConnectionNo(2)),
    |book| process(book, false),
    accept,
];

/// An undisturbed run: the disk, and after each operation how far the disk was and what every table held.
struct Undisturbed {
    disk: Disk,
    states: Vec<(usize, Dump)>,
}

fn undisturbed() -> Undisturbed {
    let disk = Disk::default();
    let book = open(&disk).unwrap();
    let mut states = vec![(disk.accesses(), dump(&book))];
    for operation in SCRIPT {
        operation(&book).unwrap();
        states.push((disk.accesses(), dump(&book)));
    }
    assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
    Undisturbed { disk, states }
}

/// Opens what a crash left; it must be the state after `acknowledged` operations, or after the one that was running.
fn recovered(run: &Undisturbed, content: Vec<u8>, acknowledged: usize) -> (Book, usize) {
    let book = open(&Disk::new(content, None)).unwrap();
    let found = dump(&book);
    let done = (acknowledged..run.states.len().min(acknowledged + 2)).find(|at| run.states[*at].1 == found);
    (book, done.expect("neither the books before the crash nor those after the operation"))
}

/// After going on, the books are those of the undisturbed run.
fn goes_on(run: &Undisturbed, book: &Book, done: usize) {
    assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
    SCRIPT[done..].iter().for_each(|operation| operation(book).unwrap());
    assert!(dump(book) == run.states[SCRIPT.len()].1, "going on after {done} operations ends elsewhere");
}

#[test]
fn power_may_fail_at_any_write_or_sync() {
    let run = undisturbed();
    let (first, last) = (run.states[0].0, run.disk.accesses());
    let mut points = 0;
    let mut in_flight = 0;
    for at in first..=last {
        let acknowledged = run.states.iter().rposition(|(end, _)| *end <= at).unwrap();
        for seed in 0..10u64 {
            points += 1;
            let content = run.disk.after_power_loss(at, seed.wrapping_mul(0x9e37_79b9) ^ at as u64);
            let (book, done) = recovered(&run, content, acknowledged);
            in_flight += usize::from(done > acknowledged);
            if points % 61 == 0 {
                goes_on(&run, &book, done);
            }
        }
    }
    assert!(points > 2_000, "{points} crash points");
    assert!(in_flight > 0, "no crash came after a commit and before its answer");
}

#[test]
fn a_failing_disk_fails_the_operation_and_loses_nothing() {
    let run = undisturbed();
    let (first, last) = (run.states[0].0, run.states[SCRIPT.len()].0);
    for fails_at in (first..last).step_by(7) {
        let disk = Disk::new(Vec::new(), Some(fails_at));
        let book = open(&disk).unwrap();
        let acknowledged = SCRIPT.iter().take_while(|operation| operation(&book).is_ok()).count();
        assert!(acknowledged < SCRIPT.len(), "the disk failed and nobody noticed");
        drop(book);
        let content = disk.after_power_loss(disk.accesses(), fails_at as u64);
        let (book, done) = recovered(&run, content, acknowledged);
        if fails_at % 5 == 0 {
            goes_on(&run, &book, done);
        }
    }
}

/// Rows of every kind that a plain file brings, some of them set aside.
const KINDS: &str = "opening_balance,2022-12-01T00:00:00Z,o,500000,,,\ngift_in,2022-12-02T00:00:00Z,g,300000,9,,\n\
    invoice,2023-02-01T00:00:00Z,i,5000,2,,\npay,2023-02-02T00:00:00Z,p,2000,,,words\nincome,2023-02-03T00:00:00Z,n,9,,,\n\
    gift_out,2023-02-04T00:00:00Z,h,400,,,\nfee,2023-02-05T00:00:00Z,f,30,,,\ndeposit,2023-03-01T00:00:00Z,d,4000,,a,\n\
    sell,2023-03-02T00:00:00Z,s,99999999999,1,,too much\n";

/// Values of the tables as they are stored, and pairs of the lots, as seeds of the fuzz targets.
#[test]
#[ignore = "writes seeds of the fuzz targets; again after a change of what is stored"]
fn write_the_seeds() {
    let (mut journal, mut facts, mut lots) = (Vec::new(), Vec::new(), Vec::new());
    for method in Method::ALL {
        let book = Book::in_memory().unwrap();
        SCRIPT[..14].iter().for_each(|operation| operation(&book).unwrap());
        import(&book, KINDS).unwrap();
        let policy = Policy {
            from: jiff::civil::date(2024, 1, 1),
            method,
            lot_scope: LotScope::Connection,
            allocation: Vec::new(),
        };
        let scope = if method == Method::UkS104 { LotScope::Universal } else { LotScope::Connection };
        let policies = if method.pools_cost() { Vec::new() } else { vec![policy] };
        let settings = Settings { method, policies, lot_scope: scope, ..Settings::default() };
        book.set_settings(at(6), &settings).unwrap();
        process(&book, true).unwrap();
        for (table, rows) in TABLES.iter().zip(dump(&book)) {
            let values = rows.into_iter().map(|(_, value)| value);
            match *table {
                "journal" | "reaches" | "pools" => journal.extend(values),
                "meta" | "connections" | "annotations" | "tags" | "rates" | "changes" => facts.extend(values),
                _ => {}
            }
        }
        let keys: Vec<LotKey> =
            book.snapshot().unwrap().open_lots().unwrap().map(|lot| lot.unwrap().key).collect();
        lots.extend(keys.windows(2).map(|pair| encode(&(&pair[0], &pair[1])).unwrap()));
    }
    for (target, values) in [("journal_decode", journal), ("fact_decode", facts), ("lot_order", lots)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // One of each length says most of what there is to say.
        let by_length: BTreeMap<usize, Vec<u8>> =
            values.into_iter().map(|value| (value.len(), value)).collect();
        let few = by_length.len().div_ceil(30);
        for (at, value) in by_length.values().step_by(few).enumerate() {
            fs::write(folder.join(format!("seed-{at:02}")), value).unwrap();
        }
    }
}
