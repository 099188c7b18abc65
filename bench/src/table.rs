//! The figures as a table for people and as JSON for comparisons between versions.

use serde_json::json;

use crate::run::{Line, Res};

/// Thousandths as a decimal.
fn decimal(thousandths: u64) -> String {
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

fn verdict(line: &Line) -> &'static str {
    match (&line.ratio, line.at_most) {
        (Some((ratio, _)), Some(at_most)) => match *ratio <= at_most {
            true => "ok",
            false => "MISSED",
        },
        _ => "",
    }
}

/// One row per figure.
pub fn text(lines: &[Line]) -> String {
    let head = ["bench", "what", "figure", "ratio", "to", "target", "verdict"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(lines.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn cells(line: &Line) -> [String; 7] {
    let (ratio, to) = match &line.ratio {
        Some((ratio, to)) => (decimal(*ratio), to.clone()),
        None => Default::default(),
    };
    let target = line.at_most.map(|most| format!("≤ {}", decimal(most))).unwrap_or_default();
    [line.bench.into(), line.what.clone(), line.figure.clone(), ratio, to, target, verdict(line).into()]
}

/// The same as one JSON document.
pub fn json(events: u64, lines: &[Line]) -> Res<String> {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "bench": line.bench,
                "what": line.what,
                "figure": line.figure,
                "ratio_thousandths": line.ratio.as_ref().map(|(ratio, _)| ratio),
                "reference": line.ratio.as_ref().map(|(_, to)| to),
                "at_most_thousandths": line.at_most,
                "verdict": verdict(line),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({ "events": events, "lines": lines }))?)
}
