//! What is held against what: the answers of two nodes to one job.
//!
//! Equal are: that there was an answer, or the refusal's words; the shape of the document (all but its numbers); the receipt but for names, hashes and times of
//! the job's own; the length of the slot; and how many ticks after it the reply came. Sizes follow: a document's bytes are its shape and the digits of numbers that
//! were released. Numbers differ by less than their noise, and by more than nothing.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::Value;
use tidegate_node::client::Verified;
use tidegate_protocol::receipt::Predicate;

/// The policy's tick.
const TICK_MS: u128 = 500;
/// Time after a slot before which nothing is said (`node/src/owner/jobs/schedule.rs`).
const GRACE_MS: u128 = 400;
/// Standard deviations that two draws may lie apart.
const DEVIATIONS: f64 = 6.0;
/// Standard deviations on each side of a 95 % interval.
const INTERVAL: f64 = 1.96;

/// What came of a job.
pub(super) enum Outcome {
    Answered(Box<Answered>),
    Refused(String),
    /// What nobody should see: a result that does not verify, a connection that broke.
    Failed(String),
}

impl Outcome {
    /// A refusal of these words, or of the same about another dataset or job.
    pub(super) fn refused(words: &str) -> Self {
        Self::Refused(without_ids(words))
    }

    /// What it is, where it should have been an answer, or a refusal.
    pub(super) fn is_not(&self, answers: Option<bool>) -> Option<String> {
        match (self, answers) {
            (Self::Refused(why), Some(true)) => Some(format!("tests nothing, refused: {why}")),
            (Self::Answered(_), Some(false)) => Some("was to be refused".into()),
            _ => None,
        }
    }
}

/// Lengths of ids and of how they begin, in hexadecimal digits.
const IDS: [usize; 4] = [10, 12, 32, 64];

/// A text with "id" for each run of as many hexadecimal digits as an id is shown by; a number with a point is none.
pub(super) fn without_ids(text: &str) -> String {
    let part = |c: char| c.is_ascii_hexdigit() || c == '.';
    let is_id = |run: &str| IDS.contains(&run.len()) && !run.contains('.');
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(part) {
        let end = rest[start..].find(|c| !part(c)).map_or(rest.len(), |length| start + length);
        let run = rest[start..end].trim_end_matches('.');
        out += &rest[..start];
        out += if is_id(run) { "id" } else { run };
        rest = &rest[start + run.len()..];
        if run.is_empty() {
            out.push('.');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// A result, as far as it is looked at.
pub(super) struct Answered {
    /// The document but for its job's own id.
    pub(super) text: String,
    shape: Value,
    receipt: Value,
    mechanism: Value,
    slot_ms: u128,
    /// Ticks after the first one at which a reply may leave.
    ticks: i128,
    numbers: Vec<Number>,
}

/// One number.
struct Number {
    column: String,
    value: f64,
    deviation: f64,
    /// A sum on a grid that is fine beside its noise: no two draws are the same.
    fine: bool,
}

impl Answered {
    pub(super) fn of(verified: &Verified, at: SystemTime) -> Self {
        let Predicate::Outcome { facts, .. } = &verified.receipt.predicate else { panic!("no outcome") };
        let ms = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let read = |text: &str| ms(SystemTime::from(text.parse::<jiff::Timestamp>().unwrap()));
        let (start, end) = (read(&facts.slot_start), read(&facts.slot_end));
        let first = (end + GRACE_MS).div_ceil(TICK_MS);
        let reducers: BTreeMap<&str, &str> =
            facts.mechanism.columns.iter().map(|column| (column.name.as_str(), column.reducer.as_str())).collect();
        let result = &verified.result;
        let number = |(column, cell): (&String, &tidegate_protocol::result::Cell)| {
            let deviation = (cell.high - cell.low) / 2.0 / INTERVAL;
            // An exact result's interval is its rounding.
            let fine = facts.mechanism.noise != "none"
                && match reducers.get(column.as_str()) {
                    Some(&"sum") => deviation > 0.0,
                    Some(&("count" | "units")) => deviation >= 100.0,
                    _ => false,
                };
            Number { column: column.clone(), value: cell.value, deviation, fine }
        };
        let rows = result.rows.iter().flat_map(|row| result.columns.iter().zip(&row.cells).map(number));
        let text = String::from_utf8(verified.bytes.clone()).unwrap();
        Self {
            text: text.replace(&verified.result.job.to_string(), "job"),
            shape: without_numbers(serde_json::from_slice(&verified.bytes).unwrap(), &|text| {
                // The job's own id.
                if text == verified.result.job.to_string() { "job".into() } else { text }
            }),
            receipt: without_numbers(serde_json::to_value(&verified.receipt).unwrap(), &|text| match text
                .parse::<jiff::Timestamp>()
            {
                Ok(_) => "time".into(),
                Err(_) => format!("{} bytes", text.len()),
            }),
            mechanism: serde_json::to_value(&facts.mechanism).unwrap(),
            slot_ms: end - start,
            ticks: (ms(at) / TICK_MS) as i128 - first as i128,
            numbers: rows.collect(),
        }
    }
}

/// JSON with 0 for each number, and texts as `text` has them.
fn without_numbers(value: Value, text: &impl Fn(String) -> String) -> Value {
    match value {
        Value::Number(_) => 0.into(),
        Value::String(s) => text(s).into(),
        Value::Array(values) => values.into_iter().map(|v| without_numbers(v, text)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, v)| (name, without_numbers(v, text))).collect(),
        other => other,
    }
}

/// What tells two nodes apart.
pub(super) struct Difference {
    pub(super) what: String,
    /// A busy machine may have done it.
    pub(super) may_be_chance: bool,
}

/// Holds what came from one node against what came from the other, round by round.
pub(super) fn judge(with: &[Outcome], without: &[Outcome]) -> Option<Difference> {
    let tells = |what: String| Some(Difference { what, may_be_chance: false });
    let mut answered: Vec<[&Answered; 2]> = vec![];
    for (a, b) in with.iter().zip(without) {
        match (a, b) {
            (Outcome::Failed(why), _) | (_, Outcome::Failed(why)) => return tells(format!("failed: {why}")),
            (Outcome::Refused(a), Outcome::Refused(b)) if a == b => {}
            (Outcome::Refused(a), Outcome::Refused(b)) => {
                return tells(format!("refused by words of their own: {a:?} and {b:?}"));
            }
            (Outcome::Refused(why), _) | (_, Outcome::Refused(why)) => return tells(format!("refused by one alone: {why}")),
            (Outcome::Answered(a), Outcome::Answered(b)) => answered.push([a, b]),
        }
    }
    if answered.is_empty() {
        return None;
    }
    if answered.len() != with.len() {
        return tells("answered some times and refused at others".into());
    }
    let all: Vec<&Answered> = answered.iter().flatten().copied().collect();
    let first = all[0];
    for other in &all {
        let parts = [
            ("document's shape", &first.shape, &other.shape),
            ("receipt", &first.receipt, &other.receipt),
            ("mechanism", &first.mechanism, &other.mechanism),
        ];
        if let Some((what, a, b)) = parts.into_iter().find(|(_, a, b)| a != b) {
            return tells(format!("the {what} differs: {a} and {b}"));
        }
        if first.slot_ms != other.slot_ms {
            return tells(format!("slots of {} and {} ms", first.slot_ms, other.slot_ms));
        }
    }
    numbers(&answered, &all).map_or_else(
        || {
            // The earliest of each: that is what its node makes of it on an idle machine.
            let [a, b] = [0, 1].map(|side| answered.iter().map(|both| both[side].ticks).min());
            (a != b).then(|| Difference { what: format!("replies {a:?} and {b:?} ticks after their slots"), may_be_chance: true })
        },
        tells,
    )
}

/// What numbers tell, if anything: they have one shape.
fn numbers(rounds: &[[&Answered; 2]], all: &[&Answered]) -> Option<String> {
    for [a, b] in rounds {
        for (a, b) in a.numbers.iter().zip(&b.numbers) {
            let most = DEVIATIONS * 2f64.sqrt() * a.deviation.max(b.deviation);
            // NaN is no number to be near to.
            let near = (a.value - b.value).abs() <= most;
            if !near && a.value != b.value {
                return Some(format!("{} is {} and {}, {most} apart at most by their noise", a.column, a.value, b.value));
            }
        }
    }
    for (i, one) in all[0].numbers.iter().enumerate().filter(|(_, one)| one.fine) {
        let sizes = || all.iter().map(|answered| answered.numbers[i].value.abs());
        let spread = sizes().fold(f64::MIN, f64::max) - sizes().fold(f64::MAX, f64::min);
        if spread <= 1e-6 * one.deviation {
            return Some(format!("{} is {} each time, with a deviation of {}: no noise", one.column, one.value, one.deviation));
        }
    }
    None
}
