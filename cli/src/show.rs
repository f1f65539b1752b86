//! Results, noise and progress for people.

use indicatif::{ProgressBar, ProgressStyle};
use tidegate_gate::{Noise, Split};
use tidegate_node::{
    buyer::{
        answer::Answer,
        expected, table,
        telling::{TOO_FEW, Telling},
    },
    client::Verified,
};
use tidegate_protocol::{
    cost::FemtoDelta,
    job::Key,
    receipt::{Mechanism, Predicate},
    result::{Cell, ResultDoc},
    shown,
};

use crate::{
    numbers::{self, Released, computed, count, part, price, significant},
    tables::Sheet,
};

/// Prints each column's clipping bounds, part of the price, and noise.
pub(crate) fn noise(mechanism: &Mechanism, split: &Split) {
    if mechanism.noise == "none" {
        println!("  exact, without noise: groups that the policy's [reviewed] rules suppress are left out");
        for column in mechanism.columns.iter().filter(|column| column.reducer != "units" && column.reducer != "count") {
            println!(
                "  {} ({}) of values clipped to [{}, {}]",
                plain(&column.name),
                column.reducer,
                column.lo + 0.0,
                column.hi + 0.0
            );
        }
        return;
    }
    let currency = if split.noise == Some(Noise::Laplace) { "pure ε" } else { "ρ" };
    for ((column, price), noise) in mechanism.columns.iter().zip(&split.columns).zip(expected::noise(mechanism)) {
        println!(
            "  {} ({}) clipped to [{}, {}], for {currency} = {}",
            plain(&column.name),
            column.reducer,
            column.lo + 0.0,
            column.hi + 0.0,
            part(*price)
        );
        for part in &noise.parts {
            println!(
                "    noise on {}{}: standard deviation {}, 95 % within ±{}",
                if part.of.starts_with("each") { "" } else { "the " },
                part.of,
                significant(part.standard_deviation),
                significant(part.half_width_95)
            );
        }
    }
    match (mechanism.threshold, mechanism.least_units) {
        (Some(tau), Some(least)) => {
            let price = split.threshold.unwrap_or_default();
            println!(
                "  a group appears when it has at least {}, and with noise (standard deviation {}) at least {tau}, for {currency} = {}",
                count(least, "unit", "units"),
                significant(split.noise.unwrap_or_default().deviation(mechanism.threshold_noise.unwrap_or_default())),
                part(price)
            )
        }
        (Some(least), None) => println!("  a group appears when it has at least {}", count(least, "unit", "units")),
        (None, _) => {}
    }
    expected::notes(mechanism).iter().for_each(|note| println!("  note: {note}"));
}

/// Reducers of all of a unit's rows, with the weight of the rows that count.
const AVERAGES: [&str; 5] = ["mean", "variance", "standard-deviation", "covariance", "correlation"];

/// Prints how many of each unit's rows the numbers are about: the others are left out, whatever the noise.
pub(crate) fn counted(mechanism: &Mechanism) {
    if mechanism.blocks.is_some() {
        return;
    }
    let has = |of: &dyn Fn(&str) -> bool| mechanism.columns.iter().any(|column| of(&column.reducer));
    let groups = match mechanism.max_groups {
        1 => None,
        most => Some(format!("at most {most} groups")),
    };
    let rows = match mechanism.max_rows {
        1 => "one row".to_owned(),
        most => format!("at most {most} rows"),
    };
    let verb = if mechanism.max_rows == 1 { "counts" } else { "count" };
    let sums = has(&|reducer| reducer != "units" && !AVERAGES.contains(&reducer));
    let counts = match (sums.then_some(&rows), &groups) {
        (Some(rows), Some(groups)) => format!("{rows} in each of {groups} {verb}"),
        (Some(rows), None) => format!("{rows} {verb}"),
        (None, Some(groups)) => format!("{groups} count"),
        (None, None) => String::new(),
    };
    if !counts.is_empty() {
        println!("of each privacy unit, {counts}: further rows are left out, and no interval covers them");
    }
    if has(&|reducer| AVERAGES.contains(&reducer)) {
        let all = if expected::of_reading(mechanism).is_some() { "rows read" } else { "rows" };
        println!("averages are over all {all} of each privacy unit, with the weight of {rows}");
    }
}

/// Makes a progress bar for the bytes of named files, on stderr if this is a terminal.
pub(crate) fn bytes_bar() -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}")?);
    Ok(bar)
}

/// Shows the progress of a file. Its name may be a peer's: see [`plain`].
pub(crate) fn report(bar: &ProgressBar, name: &str, done: u64, total: u64) {
    bar.set_message(plain(name));
    bar.set_length(total);
    bar.set_position(done);
}

/// Makes a peer's text safe for a terminal, which control characters could repaint.
pub(crate) fn plain(text: &str) -> String {
    shown::plain(text).into_owned()
}

/// Shows a query's answer as a table on the terminal or as JSON lines, or writes the table to a file.
pub(crate) fn batches(batches: &[table::RecordBatch], out: Option<&std::path::Path>, json: bool) -> anyhow::Result<()> {
    if let Some(out) = out {
        return Ok(table::write_batches(batches, out)?);
    }
    if json {
        table::json_lines(batches)?.lines().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let names = batches.first().map(|batch| batch.schema().fields().iter().map(|field| plain(field.name())).collect::<Vec<_>>());
    let mut shown = Sheet::new(names.unwrap_or_default());
    for row in table::texts(batches)? {
        shown.add(row.iter().map(|text| plain(text)));
    }
    println!("{}", shown.fitted());
    Ok(())
}

pub(crate) fn key(key: &Key) -> String {
    match key {
        Key::Null => "NULL".into(),
        Key::Bool(b) => b.to_string(),
        Key::Int(i) => i.to_string(),
        Key::Float(f) => f.to_string(),
        Key::Text(t) => plain(t),
    }
}

/// Formats a number with its interval; a meaningless number is replaced by its note.
fn cell(cell: &Cell, is_count: bool, says_nothing: bool) -> String {
    let Released { value, low, high } = numbers::released(cell, is_count);
    format!("{}  [{low}, {high}]", if says_nothing { TOO_FEW } else { &value })
}

/// Builds the table of a result, each cell with the 95 % interval of its noise.
fn table(result: &ResultDoc, telling: &Telling) -> String {
    let cells = |cells: &[Cell]| -> Vec<String> {
        let one = |(place, one)| cell(one, telling.is_count(place), telling.is_too_few(place, one));
        cells.iter().enumerate().map(one).collect()
    };
    let mut table = Sheet::new(result.keys.iter().chain(&result.columns).map(|name| plain(name)));
    for row in &result.rows {
        table.add(row.key.iter().map(key).chain(cells(&row.cells)));
    }
    if let Some(others) = &result.remainder {
        let mut names = result.keys.iter().map(|_| String::new()).collect::<Vec<_>>();
        if let Some(first) = names.first_mut() {
            *first = "(all others)".into();
        }
        table.add(names.into_iter().chain(cells(others)));
    }
    table.fitted()
}

/// Formats a number of a query's own table that is no released one.
fn bare(value: &serde_json::Number) -> String {
    match (value.as_i64(), value.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(value)) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        (None, value) => computed(value.unwrap_or(f64::NAN)),
    }
}

/// Builds the table of an answer computed from a result.
fn answered(answer: &Answer, telling: &Telling) -> String {
    let mut shown = Sheet::new(answer.columns().iter().map(|name| plain(name)));
    for (place, row) in answer.rows().iter().enumerate() {
        shown.add(row.iter().enumerate().map(|(column, value)| {
            let note = answer.note(telling, column, place);
            let text = || value.as_str().filter(|_| answer.is_number(column))?.parse().ok();
            let computed = value.as_f64().or_else(text).zip(answer.interval(column, place));
            let computed = computed.map(|(value, [low, high])| Cell { value, low, high });
            match (answer.cell(column, place).copied().or(computed), value, note) {
                (Some(found), ..) => cell(&found, answer.is_count(telling, column), note.is_some()),
                (None, serde_json::Value::Null, _) => "NULL".to_owned(),
                (None, serde_json::Value::Number(_), Some(TOO_FEW)) => TOO_FEW.to_owned(),
                (None, serde_json::Value::Number(n), Some(note)) => format!("{}  ({note})", bare(n)),
                (None, serde_json::Value::Number(n), None) => bare(n),
                // A decimal number, and an integer beyond what a double has, is a text.
                (None, serde_json::Value::String(_), Some(TOO_FEW)) if answer.is_number(column) => TOO_FEW.to_owned(),
                (None, serde_json::Value::String(text), Some(note)) if answer.is_number(column) => {
                    format!("{}  ({note})", numbers::trimmed(&plain(text)))
                }
                (None, serde_json::Value::String(text), None) if answer.is_number(column) => numbers::trimmed(&plain(text)),
                (None, serde_json::Value::String(text), _) => plain(text),
                (None, other, _) => other.to_string(),
            }
        }));
    }
    shown.fitted()
}

/// Maximum number of released rows to print below the table computed from them.
const SHORT: usize = 20;

/// Says why a table is empty: the released one, or the one of `shown` rows computed from it.
fn empty(result: &ResultDoc, shown: Option<usize>) -> Option<&'static str> {
    match (result.rows.is_empty() && result.remainder.is_none(), shown) {
        // Groups that the owner's rules keep back are named.
        (true, _) if !result.suppressed.is_empty() => None,
        (true, _) => Some(
            "no row was released: no group passed its threshold, or there are no groups. Group by fewer keys, or declare the groups (`keys`)",
        ),
        (false, Some(0)) => Some("the query's table has no row: HAVING, LIMIT or WHERE removed all released rows"),
        (false, _) => None,
    }
}

/// Prints the released result, after the answer computed from it if there is one.
///
/// `elsewhere` says where a released table is that is too long to be printed below an answer; without it, all is printed.
pub(crate) fn outcome(result: &ResultDoc, telling: &Telling, answer: Option<&Answer>, elsewhere: Option<&str>) {
    if let Some(answer) = answer {
        println!("{}", answered(answer, telling));
    }
    if !answer.is_some_and(|answer| answer.is_released(result)) {
        let rows = result.rows.len() + usize::from(result.remainder.is_some());
        match (answer, elsewhere) {
            (None, _) => println!("{}", table(result, telling)),
            (Some(_), _) if rows == 0 => {}
            (Some(_), Some(elsewhere)) if rows > SHORT => {
                println!("The table above was computed here, from {rows} released rows: {elsewhere}");
            }
            (Some(_), _) => {
                println!("The table above was computed here. What was released:");
                println!("{}", table(result, telling));
            }
        }
    }
    if let Some(why) = empty(result, answer.map(|answer| answer.rows().len())) {
        println!("{why}");
    }
    if result.left_out > 0 {
        println!(
            "{} passed, with the fewest people, and exceeded the limit of a reply or of the time budget: filter, or group by fewer keys",
            count(result.left_out, "more group", "more groups")
        );
    }
    for kept_back in &result.suppressed {
        println!("suppressed by the owner's rules: {}", kept_back.iter().map(key).collect::<Vec<_>>().join(", "));
    }
}

/// Prints a verified result, its cost and the budget left.
///
/// `elsewhere` is as in [`outcome`].
pub(crate) fn verified(verified: &Verified, answer: Option<&Answer>, at: FemtoDelta, elsewhere: Option<&str>) {
    outcome(&verified.result, &verified.telling(), answer, elsewhere);
    if let Predicate::Outcome { facts, .. } = &verified.receipt.predicate {
        counted(&facts.mechanism);
        let ratios = answer.and_then(|_| expected::of_ratios(&facts.mechanism));
        expected::of_reading(&facts.mechanism).into_iter().chain(ratios).for_each(|note| println!("note: {note}"));
    }
    let interval = if verified.result.cost.reviewed > 0 { "[rounding]" } else { "[95 % interval of the noise]" };
    println!("value {interval}; cost {}", price(verified.result.cost, at));
    if verified.delivery.earlier.is_some() {
        println!("this is the earlier result of the same question, at no further cost. Another cost draws fresh noise");
    }
    println!("your remaining budget: {}; receipt {} of the owner's log, verified", price(verified.remaining, at), verified.index);
}
