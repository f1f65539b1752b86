//! Numbers and tables for people.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
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
    Cost,
    cost::FemtoDelta,
    job::Key,
    receipt::{Mechanism, Predicate},
    result::{Cell, ResultDoc},
    shown,
};

use crate::words::count;

/// Formats a price for people: ρ, and ε at δ; pure ε; exact results.
pub(crate) fn price(cost: Cost, at: FemtoDelta) -> String {
    let rho = cost.rho_micro.rho();
    let (pure, exact) = (cost.epsilon_micro.epsilon(), cost.reviewed);
    let mut parts = Vec::new();
    if rho > 0.0 || (pure == 0.0 && exact == 0) {
        parts.push(match tidegate_gate::epsilon_of(rho, at.delta()) {
            Ok(epsilon) => format!("ρ = {rho} (ε = {epsilon:.3} at δ = {:e})", at.delta()),
            Err(_) => format!("ρ = {rho}"),
        });
    }
    if pure > 0.0 {
        parts.push(format!("pure ε = {pure}"));
    }
    if exact > 0 {
        parts.push(count(exact, "exact result", "exact results"));
    }
    parts.join(" and ")
}

/// Prints each column's clipping bounds, part of the price, and noise.
pub(crate) fn noise(mechanism: &Mechanism, split: &Split) {
    if mechanism.noise == "none" {
        println!("  exact, without noise: what the policy's [reviewed] rules keep back is left out");
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
            "  {} ({}) clipped to [{}, {}], for {currency} {price:.6}",
            plain(&column.name),
            column.reducer,
            column.lo + 0.0,
            column.hi + 0.0
        );
        for part in &noise.parts {
            println!(
                "    noise on {}{}: standard deviation {}, 95 % within ±{}",
                if part.of.starts_with("each") { "" } else { "the " },
                part.of,
                short(part.standard_deviation),
                short(part.half_width_95)
            );
        }
    }
    match (mechanism.threshold, mechanism.least_units) {
        (Some(tau), Some(least)) => {
            let price = split.threshold.unwrap_or_default();
            println!(
                "  a group appears when it has at least {}, and with noise (standard deviation {}) at least {tau}, for {currency} {price:.6}",
                count(least, "unit", "units"),
                short(split.noise.unwrap_or_default().deviation(mechanism.threshold_noise.unwrap_or_default()))
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
        println!("of each unit, {counts}: no interval speaks of rows beyond that, which are left out");
    }
    if has(&|reducer| AVERAGES.contains(&reducer)) {
        println!("averages are over all rows of each unit, with the weight of {rows}");
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

/// Shows a query's answer as a table on the terminal, or writes the table to a file.
pub(crate) fn batches(batches: &[table::RecordBatch], out: Option<&std::path::Path>) -> anyhow::Result<()> {
    if let Some(out) = out {
        return Ok(table::write_batches(batches, out)?);
    }
    let mut shown = Table::new();
    shown.load_preset(UTF8_FULL_CONDENSED);
    if let Some(batch) = batches.first() {
        shown.set_header(batch.schema().fields().iter().map(|field| plain(field.name())));
    }
    for row in table::texts(batches)? {
        shown.add_row(row.iter().map(|text| plain(text)));
    }
    println!("{shown}");
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

/// Formats a positive number with four significant digits.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value < 1e-6 {
        return format!("{value:.1e}");
    }
    let digits = 3 - value.abs().log10().floor().clamp(-12.0, 3.0) as i32;
    format!("{value:.*}", digits.max(0) as usize)
}

/// Formats a number with as many decimal places as mean anything under its noise: two digits of half its interval.
///
/// Without an interval, six significant digits.
fn number(value: f64, half: f64) -> String {
    decimal(value, places(value, half))
}

/// Returns how many decimal places [`number`] shows.
fn places(value: f64, half: f64) -> usize {
    let size = if half > 0.0 { half / 10.0 } else { value.abs() * 1e-5 };
    if size > 0.0 { (-size.log10().floor()).clamp(0.0, 12.0) as usize } else { 0 }
}

/// Formats a number with at most as many decimal places.
fn decimal(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    // Rounding may leave a sign.
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Part of the last decimal place by which an end may lie inside the interval: the error of the arithmetic with floats.
const END_SLACK: f64 = 1e-6;

/// Formats the ends of an interval, the low one rounded down and the high one up: what is shown contains what was released.
fn ends(low: f64, high: f64) -> [String; 2] {
    let half = (high - low) / 2.0;
    if half <= 0.0 {
        return [number(low, half), number(high, half)];
    }
    let places = places(low, half);
    let step = 10_f64.powi(-(places as i32));
    let outward = |end: f64, away: f64| {
        let rounded = format!("{end:.places$}").parse::<f64>().unwrap_or(end);
        let inside = (end - rounded) * away > step * END_SLACK;
        decimal(if inside { rounded + away * step } else { rounded }, places)
    };
    [outward(low, -1.0), outward(high, 1.0)]
}

/// Formats a number without an interval.
fn bare(value: &serde_json::Number) -> String {
    match (value.as_i64(), value.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(value)) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        (None, value) => number(value.unwrap_or(f64::NAN), 0.0),
    }
}

/// Formats a number with its interval; a meaningless number is replaced by its note.
fn cell(cell: &Cell, says_nothing: bool) -> String {
    let (value, [low, high]) = (number(cell.value, (cell.high - cell.low) / 2.0), ends(cell.low, cell.high));
    let value = if says_nothing { TOO_FEW } else { &value };
    format!("{value}  [{low}, {high}]")
}

/// Builds the table of a result, each cell with the 95 % interval of its noise.
fn table(result: &ResultDoc, telling: &Telling) -> Table {
    let cells = |cells: &[Cell]| -> Vec<String> {
        cells.iter().enumerate().map(|(place, one)| cell(one, telling.is_too_few(place, one))).collect()
    };
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(result.keys.iter().chain(&result.columns).map(|name| plain(name)));
    for row in &result.rows {
        table.add_row(row.key.iter().map(key).chain(cells(&row.cells)));
    }
    if let Some(others) = &result.remainder {
        let mut names = result.keys.iter().map(|_| String::new()).collect::<Vec<_>>();
        if let Some(first) = names.first_mut() {
            *first = "(all others)".into();
        }
        table.add_row(names.into_iter().chain(cells(others)));
    }
    table
}

/// Maximum number of released rows to print below the table computed from them.
const SHORT: usize = 20;

/// Says why a table is empty: the released one, or the one of `shown` rows computed from it.
fn empty(result: &ResultDoc, shown: Option<usize>) -> Option<&'static str> {
    match (result.rows.is_empty() && result.remainder.is_none(), shown) {
        // Groups that the owner's rules keep back are named.
        (true, _) if !result.suppressed.is_empty() => None,
        (true, _) => Some(
            "no row was released: no group passed its threshold, or there are none. Group by less, or declare the groups (`keys`)",
        ),
        (false, Some(0)) => Some("the query's own table has no row: HAVING, LIMIT or WHERE left out all rows that were released"),
        (false, _) => None,
    }
}

/// Prints the released result, after the answer computed from it if there is one.
///
/// `elsewhere` says where a released table is that is too long to be printed below an answer; without it, all is printed.
pub(crate) fn outcome(result: &ResultDoc, telling: &Telling, answer: Option<&Answer>, elsewhere: Option<&str>) {
    if let Some(answer) = answer {
        let mut shown = Table::new();
        shown.load_preset(UTF8_FULL_CONDENSED);
        shown.set_header(answer.columns().iter().map(|name| plain(name)));
        for (place, row) in answer.rows().iter().enumerate() {
            shown.add_row(row.iter().enumerate().map(|(column, value)| {
                let note = answer.note(telling, column, place);
                match (answer.cell(column, place), value, note) {
                    (Some(released), ..) => cell(released, note.is_some()),
                    (None, serde_json::Value::Null, _) => "NULL".to_owned(),
                    (None, serde_json::Value::String(text), _) => plain(text),
                    (None, serde_json::Value::Number(_), Some(TOO_FEW)) => TOO_FEW.to_owned(),
                    (None, serde_json::Value::Number(n), Some(note)) => format!("{}  ({note})", bare(n)),
                    (None, serde_json::Value::Number(n), None) => bare(n),
                    (None, other, _) => other.to_string(),
                }
            }));
        }
        println!("{shown}");
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
            "{} passed, with the fewest people, and had no room in a reply, or in the slot: filter, or group by less",
            count(result.left_out, "more group", "more groups")
        );
    }
    for kept_back in &result.suppressed {
        println!("kept back by the owner's rules: {}", kept_back.iter().map(key).collect::<Vec<_>>().join(", "));
    }
}

/// Prints a verified result, its cost and the budget left.
///
/// `elsewhere` is as in [`outcome`].
pub(crate) fn verified(verified: &Verified, answer: Option<&Answer>, at: FemtoDelta, elsewhere: Option<&str>) {
    outcome(&verified.result, &verified.telling(), answer, elsewhere);
    if let Predicate::Outcome { facts, .. } = &verified.receipt.predicate {
        counted(&facts.mechanism);
    }
    let interval = if verified.result.cost.reviewed > 0 { "[rounding]" } else { "[95 % interval of the noise]" };
    println!("value {interval}; cost {}", price(verified.result.cost, at));
    if verified.delivery.earlier.is_some() {
        println!("this was asked before: the result that was released then, at no further cost. Another price buys fresh noise");
    }
    println!("left for you: {}; receipt {} of the owner's log, verified", price(verified.remaining, at), verified.index);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many digits as the noise leaves a meaning to.
    #[test]
    fn numbers_have_the_digits_that_their_noise_leaves() {
        let shown = |value: f64, half: f64| cell(&Cell { value, low: value - half, high: value + half }, false);
        assert_eq!(shown(842.0, 0.4), "842  [841.6, 842.4]");
        assert_eq!(shown(26_176.0, 35.0), "26176  [26141, 26211]");
        assert_eq!(shown(0.012_34, 0.000_8), "0.01234  [0.01154, 0.01314]");
        assert_eq!(shown(60.437_21, 0.2), "60.44  [60.23, 60.64]");
        assert_eq!(shown(-0.2, 35.0), "0  [-36, 35]");
        assert_eq!(shown(842.0, 0.0), "842  [842, 842]");
        assert_eq!(shown(1_234.567_89, 0.0), "1234.57  [1234.57, 1234.57]");
    }

    /// A number at an end of its interval is within what is shown.
    #[test]
    fn intervals_are_rounded_outward() {
        let shown = |low: f64, high: f64| cell(&Cell { value: low, low, high }, true);
        assert_eq!(shown(0.75, 3.0), "too few to say  [0.7, 3]");
        assert_eq!(shown(-3.0, -0.75), "too few to say  [-3, -0.7]");
        assert_eq!(shown(0.1, 0.3), "too few to say  [0.1, 0.3]");
        assert_eq!(shown(-0.4, 70.4), "too few to say  [-1, 71]");
    }
}
