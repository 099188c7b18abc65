//! The layout of IRS Form 8949 (Sales and Other Dispositions of Capital Assets) for one tax year: a row per lot slice, in
//! the box that its term and its reporting put it in.
//!
//! Source: Form 8949 and its instructions, tax year 2025: boxes G, H, I (short-term) and J, K, L (long-term) are for digital
//! assets since that year; before, they went into A to F with everything else. Proceeds are net of selling expenses (column d),
//! column h is d less e with g, and whoever rounds to whole dollars rounds every amount, half a dollar up. **The totals of a box
//! are sums of its rows as printed.** Only books in US dollars have this form.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::Serialize;

use super::capital_gains::for_each_sale;
use super::gain_sums::net_and_gain;
use super::table::{Cell, Table};
use super::{Range, ReportContext, ReportHead};
use crate::error::{Error, Result};
use crate::id::{ConnectionNo, EventKey};
use crate::journal::basis;
use crate::model::{JournalRow, Slice, Term};
use crate::money::{Currency, Fiat};
use crate::time::{Timestamp, Zone};

/// First tax year of the boxes for digital assets.
const DIGITAL_ASSETS_FROM: i16 = 2025;

/// What to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormQuery {
    /// The tax year: a calendar year of the book's zone.
    pub year: i16,
    /// Connections whose Form 1099-DA (before 2025: 1099-B) showed the basis to the IRS, too.
    pub basis_reported: BTreeSet<ConnectionNo>,
    /// Connections whose form showed the proceeds without the basis.
    pub proceeds_reported: BTreeSet<ConnectionNo>,
    /// Whether every amount is rounded to whole dollars.
    pub whole_dollars: bool,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Form8949 {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The tax year.
    pub year: i16,
    /// Always `USD`.
    pub fiat_currency: String,
    /// The lot selection method in force in the year; `mixed` where there was more than one.
    pub algorithm: &'static str,
    /// The zone of all dates.
    pub timezone: String,
    /// Whether amounts are whole dollars.
    pub whole_dollars: bool,
    /// Boxes with rows, in the order of their letters; each is a form of its own.
    pub boxes: Vec<FormBox>,
}

/// The rows under one checkbox. Amounts are in dollars, with cents unless rounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormBox {
    /// The letter of the checkbox.
    #[serde(rename = "box")]
    pub letter: &'static str,
    /// `short` (Part I) or `long` (Part II).
    pub term: &'static str,
    /// `basis_reported`, `proceeds_reported` or `not_reported` to the IRS.
    pub reporting: &'static str,
    /// Sum of column (d).
    pub total_proceeds_fiat: String,
    /// Sum of column (e).
    pub total_cost_basis_fiat: String,
    /// Sum of column (g).
    pub total_adjustment_fiat: String,
    /// Sum of column (h).
    pub total_gain_fiat: String,
    /// In the order of the books.
    pub rows: Vec<FormRow>,
}

/// One line of the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormRow {
    /// Column (a): description of property.
    pub description: String,
    /// Column (b): date acquired, month/day/year.
    pub date_acquired: String,
    /// Column (c): date sold or disposed of.
    pub date_sold: String,
    /// Column (d): proceeds.
    pub proceeds_fiat: String,
    /// Column (e): cost or other basis.
    pub cost_basis_fiat: String,
    /// Column (f): code; empty, since nothing here needs an adjustment.
    pub code: &'static str,
    /// Column (g): amount of adjustment.
    pub adjustment_fiat: String,
    /// Column (h): gain or loss.
    pub gain_fiat: String,
    /// The disposing event; not on the form.
    pub event_id: String,
    /// The lot; not on the form.
    pub lot_id: String,
    #[serde(skip)]
    figures: Figures,
}

/// Columns (d), (e) and (h) in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    proceeds: Fiat,
    cost: Fiat,
    gain: Fiat,
}

/// What the IRS was told of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reporting {
    Basis,
    Proceeds,
    Nothing,
}

impl Reporting {
    fn name(self) -> &'static str {
        match self {
            Reporting::Basis => "basis_reported",
            Reporting::Proceeds => "proceeds_reported",
            Reporting::Nothing => "not_reported",
        }
    }
}

/// A checkbox: parts of the form come in this order, and so do their letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Checkbox {
    long: bool,
    reporting: Reporting,
}

impl Checkbox {
    const ALL: [Checkbox; 6] = [
        Checkbox { long: false, reporting: Reporting::Basis },
        Checkbox { long: false, reporting: Reporting::Proceeds },
        Checkbox { long: false, reporting: Reporting::Nothing },
        Checkbox { long: true, reporting: Reporting::Basis },
        Checkbox { long: true, reporting: Reporting::Proceeds },
        Checkbox { long: true, reporting: Reporting::Nothing },
    ];

    fn letter(self, year: i16) -> &'static str {
        let letters = match (year >= DIGITAL_ASSETS_FROM, self.long) {
            (false, false) => ["A", "B", "C"],
            (false, true) => ["D", "E", "F"],
            (true, false) => ["G", "H", "I"],
            (true, true) => ["J", "K", "L"],
        };
        let [basis, proceeds, nothing] = letters;
        match self.reporting {
            Reporting::Basis => basis,
            Reporting::Proceeds => proceeds,
            Reporting::Nothing => nothing,
        }
    }

    fn term(self) -> Term {
        if self.long { Term::Long } else { Term::Short }
    }
}

impl FormQuery {
    /// The instants of the tax year.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a year the calendar does not have, a book in another currency, and a connection that
    /// reported both ways.
    pub fn range(&self, currency: Currency, zone: &Zone) -> Result<Range> {
        if currency != Currency::USD {
            let problem = format!(
                "form 8949 is filed in US dollars and this book is kept in {currency}; set fiat_currency to USD and process, \
                 or use capital-gains"
            );
            return Err(Error::invalid("fiat_currency", problem));
        }
        if self.basis_reported.intersection(&self.proceeds_reported).next().is_some() {
            let problem = "a connection is either in basis_reported or in proceeds_reported";
            return Err(Error::invalid("proceeds_reported", problem));
        }
        Range::year(self.year, zone)
    }

    fn checkbox(&self, connection: ConnectionNo, term: Term) -> Checkbox {
        let reporting = if self.basis_reported.contains(&connection) {
            Reporting::Basis
        } else if self.proceeds_reported.contains(&connection) {
            Reporting::Proceeds
        } else {
            Reporting::Nothing
        };
        Checkbox { long: term == Term::Long, reporting }
    }

    /// An amount as the form shows it, in minor units.
    fn rounded(&self, amount: Fiat) -> Result<Fiat> {
        if !self.whole_dollars {
            return Ok(amount);
        }
        // Half a dollar goes up, of a loss as of a gain.
        let cents = i128::from(amount.get());
        let dollars = (cents.abs() + 50) / 100 * cents.signum();
        i64::try_from(dollars * 100).map(Fiat::new).map_err(|_| Error::Overflow("whole dollars"))
    }

    fn text(&self, amount: Fiat) -> String {
        if self.whole_dollars { (amount.get() / 100).to_string() } else { amount.to_text(Currency::USD) }
    }
}

/// The form for the `rows` of its year.
///
/// # Errors
/// As [`FormQuery::range`]; what `rows` yield; [`Error::Overflow`] when a total leaves its range.
pub fn form_8949(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    query: &FormQuery,
    snapshot_timestamp: Timestamp,
) -> Result<Form8949> {
    let mut boxes: BTreeMap<Checkbox, Vec<FormRow>> = BTreeMap::new();
    for_each_row(ctx, rows, query, |checkbox, row| {
        boxes.entry(checkbox).or_default().push(row);
        Ok(())
    })?;
    Ok(Form8949 {
        head: ctx.head(snapshot_timestamp),
        year: query.year,
        fiat_currency: ctx.settings.fiat_currency.code().to_owned(),
        algorithm: ctx.algorithm(&query.range(ctx.settings.fiat_currency, &ctx.zone)?),
        timezone: ctx.settings.timezone.clone(),
        whole_dollars: query.whole_dollars,
        boxes: boxes
            .into_iter()
            .map(|(checkbox, rows)| form_box(query, checkbox, rows))
            .collect::<Result<_>>()?,
    })
}

/// Writes the rows of [`form_8949`] to `out` as CSV, box by box; `rows` are read once for each box there can be.
///
/// # Errors
/// As [`form_8949`]; [`Error::Cancelled`] when `out` takes no more.
pub fn form_8949_csv<R: Iterator<Item = Result<(EventKey, JournalRow)>>>(
    ctx: &ReportContext<'_>,
    rows: impl Fn() -> Result<R>,
    query: &FormQuery,
    out: &mut dyn Write,
) -> Result<()> {
    let mut table = Table::start(out, COLUMNS)?;
    let possible = |checkbox: &Checkbox| match checkbox.reporting {
        Reporting::Basis => !query.basis_reported.is_empty(),
        Reporting::Proceeds => !query.proceeds_reported.is_empty(),
        Reporting::Nothing => true,
    };
    for wanted in Checkbox::ALL.into_iter().filter(possible) {
        for_each_row(ctx, rows()?, query, |checkbox, row| {
            if checkbox != wanted {
                return Ok(());
            }
            table.row([
                Cell::plain(checkbox.letter(query.year)),
                Cell::plain(&row.description),
                Cell::plain(&row.date_acquired),
                Cell::plain(&row.date_sold),
                Cell::plain(&row.proceeds_fiat),
                Cell::plain(&row.cost_basis_fiat),
                Cell::plain(row.code),
                Cell::plain(&row.adjustment_fiat),
                Cell::plain(&row.gain_fiat),
                Cell::text(&row.event_id),
                Cell::text(&row.lot_id),
            ])
        })?;
    }
    table.finish()
}

const COLUMNS: [&str; 11] = [
    "box",
    "description",
    "date_acquired",
    "date_sold",
    "proceeds",
    "cost_basis",
    "code",
    "adjustment",
    "gain",
    "event_id",
    "lot_id",
];

fn for_each_row(
    ctx: &ReportContext<'_>,
    rows: impl Iterator<Item = Result<(EventKey, JournalRow)>>,
    query: &FormQuery,
    mut each: impl FnMut(Checkbox, FormRow) -> Result<()>,
) -> Result<()> {
    let range = query.range(ctx.settings.fiat_currency, &ctx.zone)?;
    for_each_sale(rows, &range, |key, _, disposals| {
        for disposal in disposals {
            for slice in &disposal.slices {
                each(query.checkbox(disposal.connection, slice.term), row(ctx, key, slice, query)?)?;
            }
        }
        Ok(())
    })
}

fn row(ctx: &ReportContext<'_>, key: &EventKey, slice: &Slice, query: &FormQuery) -> Result<FormRow> {
    let date = |at: Timestamp| ctx.zone.day(at).map(|day| day.strftime("%m/%d/%Y").to_string());
    let (net, _) = net_and_gain(slice)?;
    let (proceeds, cost) = (query.rounded(net)?, query.rounded(basis(slice)?)?);
    let gain = proceeds.sub(cost)?;
    Ok(FormRow {
        description: format!("{} BTC", slice.used.quantity),
        date_acquired: date(slice.used.lot.acquired_at)?,
        date_sold: date(key.time)?,
        proceeds_fiat: query.text(proceeds),
        cost_basis_fiat: query.text(cost),
        code: "",
        adjustment_fiat: query.text(Fiat::ZERO),
        gain_fiat: query.text(gain),
        event_id: key.id.to_string(),
        lot_id: slice.used.lot.lot_id(),
        figures: Figures { proceeds, cost, gain },
    })
}

fn form_box(query: &FormQuery, checkbox: Checkbox, rows: Vec<FormRow>) -> Result<FormBox> {
    let sum = |column: fn(&Figures) -> Fiat| Fiat::sum(rows.iter().map(|row| column(&row.figures)));
    let (proceeds, cost, gain) =
        (sum(|figures| figures.proceeds)?, sum(|figures| figures.cost)?, sum(|figures| figures.gain)?);
    Ok(FormBox {
        letter: checkbox.letter(query.year),
        term: checkbox.term().name(),
        reporting: checkbox.reporting.name(),
        total_proceeds_fiat: query.text(proceeds),
        total_cost_basis_fiat: query.text(cost),
        total_adjustment_fiat: query.text(Fiat::ZERO),
        total_gain_fiat: query.text(gain),
        rows,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use rust_decimal::Decimal;

    use super::*;
    use crate::journal::samples::{any_disposal, booked, key, no};
    use crate::model::BookedStep;
    use crate::reports::samples::{SNAPSHOT, context, saver_rows};

    type Rows = Vec<(EventKey, JournalRow)>;

    fn query(year: i16) -> FormQuery {
        FormQuery {
            year,
            basis_reported: BTreeSet::new(),
            proceeds_reported: BTreeSet::new(),
            whole_dollars: false,
        }
    }

    fn form(rows: &Rows, query: &FormQuery) -> Form8949 {
        form_8949(&context(), rows.iter().cloned().map(Ok), query, SNAPSHOT).unwrap()
    }

    fn csv_of(rows: &Rows, query: &FormQuery) -> String {
        let mut out = Vec::new();
        form_8949_csv(&context(), || Ok(rows.iter().cloned().map(Ok)), query, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_form_of_a_saver() {
        let header = "box,description,date_acquired,date_sold,proceeds,cost_basis,code,adjustment,gain,event_id,lot_id";
        let spend = "0.00029000 BTC,01/15/2023,02/01/2025,28.00,19.62,,0.00,8.38,spend,c3.buy-1#0";
        assert_eq!(csv_of(&saver_rows(), &query(2025)), format!("{header}\nL,{spend}\n"));
        let fee = "C,0.00001000 BTC,01/15/2023,06/01/2023,1.00,0.68,,0.00,0.32,move,c3.buy-1#0";
        assert_eq!(csv_of(&saver_rows(), &query(2023)), format!("{header}\n{fee}\n"));
        assert_eq!(form(&saver_rows(), &query(2024)).boxes, []);
    }

    #[test]
    fn boxes_follow_term_and_reporting() {
        let letters = |year| Checkbox::ALL.map(|checkbox| checkbox.letter(year));
        assert_eq!(letters(2024), ["A", "B", "C", "D", "E", "F"]);
        assert_eq!(letters(2025), ["G", "H", "I", "J", "K", "L"]);
        let mut told = query(2025);
        told.proceeds_reported.insert(no(1));
        let report = form(&saver_rows(), &told);
        assert_eq!((report.boxes[0].letter, report.boxes[0].reporting), ("K", "proceeds_reported"));
        told.basis_reported.insert(no(1));
        let refused = told.range(Currency::USD, &context().zone).unwrap_err();
        assert!(refused.to_string().starts_with("proceeds_reported: a connection is either"), "{refused}");
    }

    #[test]
    fn whole_dollars_round_every_amount_and_halves_go_up() {
        let whole = FormQuery { whole_dollars: true, ..query(2025) };
        let rounded = |cents| whole.rounded(Fiat::new(cents)).unwrap().get();
        assert_eq!([149, 150, 49, -150, -149, 250].map(rounded), [100, 200, 0, -200, -100, 300]);
        let report = form(&saver_rows(), &whole);
        let FormBox { total_proceeds_fiat, total_cost_basis_fiat, total_gain_fiat, .. } = &report.boxes[0];
        assert_eq!([total_proceeds_fiat, total_cost_basis_fiat, total_gain_fiat], ["28", "20", "8"]);
    }

    #[test]
    fn other_currencies_and_years_that_are_none_are_refused() {
        let zone = context().zone;
        let refused = query(2025).range("EUR".parse().unwrap(), &zone).unwrap_err().to_string();
        assert!(refused.starts_with("fiat_currency: form 8949 is filed in US dollars"), "{refused}");
        assert!(query(i16::MAX).range(Currency::USD, &zone).is_err());
        assert!(query(9999).range(Currency::USD, &zone).is_err());
    }

    proptest! {
        #[test]
        fn the_columns_sum_to_the_printed_totals(
            sales in prop::collection::vec(any_disposal(), 0..6),
            whole_dollars in any::<bool>(),
        ) {
            let of = |(n, sale)| (key(&format!("e{n}"), n as i64), booked(vec![BookedStep::Disposed(Box::new(sale))]));
            let rows: Rows = sales.into_iter().enumerate().map(of).collect();
            let reported = FormQuery {
                basis_reported: [no(1)].into(),
                proceeds_reported: [no(2)].into(),
                whole_dollars,
                ..query(1970)
            };
            let (report, csv) = (form(&rows, &reported), csv_of(&rows, &reported));
            let mut sums: BTreeMap<String, [Decimal; 4]> = BTreeMap::new();
            for record in csv::Reader::from_reader(csv.as_bytes()).records() {
                let record = record.unwrap();
                let sum = sums.entry(record[0].to_owned()).or_default();
                for (place, column) in [4, 5, 7, 8].into_iter().enumerate() {
                    sum[place] += record[column].parse::<Decimal>().unwrap();
                }
                prop_assert!(!whole_dollars || !record[4].contains('.'));
            }
            let printed: BTreeMap<String, [Decimal; 4]> = report.boxes.iter().map(|of| {
                let totals = [&of.total_proceeds_fiat, &of.total_cost_basis_fiat, &of.total_adjustment_fiat, &of.total_gain_fiat];
                (of.letter.to_owned(), totals.map(|total| total.parse().unwrap()))
            }).collect();
            prop_assert_eq!(sums, printed);
        }
    }
}
