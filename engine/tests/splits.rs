//! Plain rows without `id`, known by their content and their occurrence among equal rows: neither their order, nor
//! reading a file again, nor how it was cut into files changes the books, while equal rows stay in one file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write;

use nacre_engine::book::{Book, ImportReport, NewConnection};
use nacre_engine::id::ConnectionNo;
use nacre_engine::model::Rail;
use nacre_engine::reports::Range;
use nacre_engine::time::Timestamp;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, proptest};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
const FEED: ConnectionNo = ConnectionNo(1);
const HEADER: &str = "type,timestamp,amount_btc,fiat_value,transfer_ref,note";
const KINDS: [&str; 8] = ["buy", "deposit", "income", "interest", "sell", "pay", "gift_out", "withdrawal"];
/// How many different rows there are: few, so that equal ones are frequent.
const CONTENTS: usize = KINDS.len() * 8;

/// A row: which of the [`CONTENTS`], and whether its amount is written with more zeros, which says nothing.
type Row = (usize, bool);

fn line((content, zeros): Row) -> String {
    let (kind, rest) = (KINDS[content / 8], content % 8);
    let (day, value, note) = (1 + rest % 2, 400 + 100 * (rest / 2 % 2), rest / 4);
    // A deposit and a withdrawal of one reference are the two ends of one transfer.
    let transfer = if matches!(kind, "deposit" | "withdrawal") && note == 1 { "moved" } else { "" };
    let btc = if matches!(kind, "buy" | "income" | "interest") { "0.02" } else { "0.01" };
    let amount = if zeros { format!("{btc}000") } else { btc.to_owned() };
    format!("{kind},2024-01-0{day}T00:00:00Z,{amount},{value},{transfer},{note}")
}

fn empty_book() -> Book {
    let book = Book::in_memory().unwrap();
    let new = NewConnection {
        id: "feed".into(),
        label: "Feed".into(),
        kind: "Custom".into(),
        rail: Rail::Managed,
        config: "{}".into(),
    };
    assert_eq!(book.add_connection(NOW, new).unwrap().no, FEED);
    book
}

fn import(book: &Book, rows: &[Row]) -> ImportReport {
    let mut file = HEADER.to_owned();
    for row in rows {
        write!(file, "\n{}", line(*row)).unwrap();
    }
    book.import_plain(NOW, FEED, file.as_bytes(), false).unwrap()
}

fn process(book: &Book) {
    book.process(NOW, false, &|| false).unwrap();
}

/// The reports, without the book's version: it counts the writes.
fn printed(book: &Book) -> String {
    process(book);
    assert_eq!(book.verify().unwrap().problems, Vec::<String>::new());
    let snapshot = book.snapshot().unwrap();
    let all = Range::default();
    let mut text = Vec::new();
    snapshot.journal_entries_csv(&all, &mut text).unwrap();
    snapshot.capital_gains_csv(&all, &mut text).unwrap();
    snapshot.open_lots_csv(None, NOW, &mut text).unwrap();
    let (mut sheet, mut portfolio) =
        (snapshot.balance_sheet(None, NOW).unwrap(), snapshot.portfolio_summary(None, NOW).unwrap());
    (sheet.head.book_version, portfolio.head.book_version) = (0, 0);
    let quarantined = snapshot.quarantined(None, 1_000).unwrap();
    format!("{}\n{sheet:#?}\n{portfolio:#?}\n{quarantined:#?}", String::from_utf8(text).unwrap())
}

fn version(book: &Book) -> u64 {
    book.snapshot().unwrap().header().unwrap().book_version
}

fn imported_at_once(rows: &[Row]) -> String {
    let book = empty_book();
    assert_eq!(import(&book, rows).new, rows.len() as u64, "equal rows of one file are events of their own");
    printed(&book)
}

fn counts(report: &ImportReport) -> (u64, u64, u64) {
    (report.new, report.duplicates, report.changed)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0..CONTENTS, any::<bool>()), 0..60)
}

fn rows_and_other_order() -> impl Strategy<Value = (Vec<Row>, Vec<Row>)> {
    rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn rows_in_any_order_read_twice_are_those_of_one_import((first, other) in rows_and_other_order()) {
        let book = empty_book();
        import(&book, &other);
        import(&book, &first);
        let (books, version) = (printed(&book), version(&book));
        prop_assert_eq!(&books, &imported_at_once(&first));
        let again = import(&book, &other);
        prop_assert_eq!(counts(&again), (0, other.len() as u64, 0));
        prop_assert_eq!(again.book_version, version, "nothing new was written");
        prop_assert_eq!(printed(&book), books);
    }

    #[test]
    fn a_file_cut_between_unequal_rows_gives_the_same_books(
        (whole, other) in rows_and_other_order(),
        file_of in prop::collection::vec(0..4usize, CONTENTS),
        process_between in any::<bool>(),
    ) {
        let book = empty_book();
        for file in 0..4 {
            let part: Vec<Row> = other.iter().copied().filter(|row| file_of[row.0] == file).collect();
            prop_assert_eq!(counts(&import(&book, &part)), (part.len() as u64, 0, 0));
            if process_between {
                process(&book);
            }
        }
        prop_assert_eq!(printed(&book), imported_at_once(&whole));
    }

    #[test]
    fn a_longer_export_of_the_same_rows_adds_only_what_is_new(
        (whole, other) in rows_and_other_order(),
        cut in any::<prop::sample::Index>(),
    ) {
        let book = empty_book();
        let known = cut.index(other.len() + 1);
        import(&book, &other[..known]);
        process(&book);
        prop_assert_eq!(counts(&import(&book, &whole)), ((whole.len() - known) as u64, known as u64, 0));
        prop_assert_eq!(printed(&book), imported_at_once(&whole));
    }
}

/// Equal rows that part into two files are taken for one: what the laws above except.
#[test]
fn equal_rows_of_two_files_are_one_event() {
    let (book, row) = (empty_book(), (0, false));
    assert_eq!(counts(&import(&book, &[row, row])), (2, 0, 0));
    assert_eq!(counts(&import(&book, &[(0, true)])), (0, 1, 0));
}

/// The laws would hold for books that set everything aside: these rows make gains, moves and open lots.
#[test]
fn the_rows_make_rich_books() {
    let book = empty_book();
    let rows: Vec<Row> = (0..CONTENTS).flat_map(|content| [(content, false), (content, true)]).collect();
    import(&book, &rows);
    process(&book);
    let snapshot = book.snapshot().unwrap();
    assert!(snapshot.open_lots().unwrap().count() > 10);
    assert!(snapshot.capital_gains(&Range::default(), NOW).unwrap().rows.len() > 10);
    assert!(snapshot.quarantined(None, 1_000).unwrap().len() < 20);
}
