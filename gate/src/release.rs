//! The node's half: noise, threshold, intervals. The only constructor of [`Released`].

use tidegate_protocol::{
    ContentHash,
    job::Key,
    result::{Cell, ResultDoc, Row},
};

use crate::{Calibration, GateError, GroupSums, Keys, Measure, Plan, Sums, noise};

/// 97.5th percentile of the standard normal: a two-sided 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;
/// 98.75th percentile: two intervals that hold together with 95 %.
const Z95_OF_TWO: f64 = 2.241_402_727_604_946;
/// 99.1667th percentile: three intervals that hold together with 95 %.
const Z95_OF_THREE: f64 = 2.393_979_800_014_43;

/// A released result: noised, and the only thing that can be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Released(ResultDoc);

impl Released {
    /// The document.
    pub fn document(&self) -> &ResultDoc {
        &self.0
    }
}

/// Noises `sums` by `calibration`. `declared` are the declared keys, in their order; empty for the other key modes.
///
/// A group that is missing from `sums` (nobody is in it, or the worker failed) is released as zeros plus noise where it must appear.
///
/// # Errors
/// [`GateError::Misfit`] when the sums do not fit the plan; [`GateError::Noise`] without entropy.
pub fn release(
    plan: &Plan,
    calibration: &Calibration,
    declared: &[Vec<Key>],
    sums: &Sums,
    job: ContentHash,
) -> Result<Released, GateError> {
    plan.check(sums)?;
    let noises = calibration.scales.iter().map(|s| noise::gaussian(*s)).collect::<Result<Vec<_>, _>>()?;
    let empty = |key: &[Key]| plan.group(key.to_vec());
    let find = |key: &[Key]| sums.groups.iter().find(|g| g.key == key).cloned().unwrap_or_else(|| empty(key));
    let groups: Vec<GroupSums> = match plan.shape.keys {
        Keys::None => vec![find(&[])],
        Keys::Declared(_) => declared_groups(plan, declared, sums),
        Keys::Undeclared { .. } => passing(calibration, sums)?,
    };
    let mut rows = Vec::with_capacity(groups.len());
    for group in groups {
        let noised = group
            .lanes
            .iter()
            .zip(&noises)
            .map(|(sum, noise)| Ok(sum + i128::from(noise.draw()?)))
            .collect::<Result<Vec<i128>, GateError>>()?;
        rows.push(Row { key: group.key, cells: cells(plan, calibration, &noised) });
    }
    if matches!(plan.shape.keys, Keys::Undeclared { .. }) {
        // The order of arrival in the worker would tell which group came first in the files.
        rows.sort_by(|a, b| compare_keys(&a.key, &b.key));
    }
    Ok(Released(ResultDoc {
        version: 1,
        job,
        cost: calibration.cost,
        keys: plan.shape.key_names.clone(),
        columns: column_names(plan),
        rows,
    }))
}

fn declared_groups(plan: &Plan, declared: &[Vec<Key>], sums: &Sums) -> Vec<GroupSums> {
    // Key has no total order or hash (floats): its JSON text is its identity.
    let text = |key: &[Key]| serde_json::to_string(key).unwrap_or_default();
    let by_key: std::collections::HashMap<String, &GroupSums> = sums.groups.iter().map(|g| (text(&g.key), g)).collect();
    declared.iter().map(|key| by_key.get(&text(key)).map_or_else(|| plan.group(key.clone()), |g| (*g).clone())).collect()
}

/// The groups whose noisy number of units reaches τ.
fn passing(calibration: &Calibration, sums: &Sums) -> Result<Vec<GroupSums>, GateError> {
    let threshold = calibration.threshold.ok_or_else(|| GateError::Misfit("undeclared keys without a threshold".into()))?;
    let noise = noise::gaussian(threshold.scale)?;
    let mut kept = Vec::new();
    for group in &sums.groups {
        // A group nobody is in does not exist, whatever the worker sent.
        if group.units > 0 && group.units.saturating_add(noise.draw()?) >= threshold.tau {
            kept.push(group.clone());
        }
    }
    Ok(kept)
}

fn column_names(plan: &Plan) -> Vec<String> {
    let mut names = Vec::new();
    for column in &plan.shape.columns {
        match column.measure {
            Measure::Histogram { lo, hi, bins } => {
                let width = (hi - lo) / f64::from(bins);
                for bin in 0..bins {
                    let from = lo + width * f64::from(bin);
                    let end = if bin + 1 == bins { ']' } else { ')' };
                    names.push(format!("{} [{:.4}, {:.4}{end}", column.name, from, from + width));
                }
            }
            _ => names.push(column.name.clone()),
        }
    }
    names
}

fn cells(plan: &Plan, calibration: &Calibration, noised: &[i128]) -> Vec<Cell> {
    let mut cells = Vec::new();
    // A noised sum in the column's unit, and the half width of its interval: z standard deviations and half a step of rounding.
    let lane = |i: usize, z: f64| {
        let step = plan.lanes[i].step;
        (noised[i] as f64 * step, (calibration.scales[i] * z + 0.5) * step)
    };
    for (column, &first) in plan.shape.columns.iter().zip(&plan.first) {
        match column.measure {
            Measure::Units | Measure::Count | Measure::Sum { .. } => {
                let (value, half) = lane(first, Z95);
                cells.push(Cell { value, low: value - half, high: value + half });
            }
            Measure::Histogram { bins, .. } => {
                for bin in 0..bins as usize {
                    let (value, half) = lane(first + bin, Z95);
                    cells.push(Cell { value, low: value - half, high: value + half });
                }
            }
            Measure::Variance { lo, hi, sample, root } => {
                let count = match plan.shape.blocks {
                    Some(blocks) => (f64::from(blocks), 0.0),
                    None => lane(first + 2, Z95_OF_THREE),
                };
                let sums = (lane(first, Z95_OF_THREE), lane(first + 1, Z95_OF_THREE), count);
                cells.push(variance((hi - lo) / 2.0, sums, sample, root));
            }
            Measure::Mean { lo, hi } => {
                let middle = (lo + hi) / 2.0;
                cells.push(match plan.shape.blocks {
                    Some(blocks) => {
                        let (sum, half) = lane(first, Z95);
                        let at = |sum: f64| (middle + sum / f64::from(blocks)).clamp(lo, hi);
                        Cell { value: at(sum), low: at(sum - half), high: at(sum + half) }
                    }
                    None => ratio(middle, lo, hi, lane(first, Z95_OF_TWO), lane(first + 1, Z95_OF_TWO)),
                });
            }
        }
    }
    cells
}

/// Variance = E[c²] − E[c]² of centred values, from noised sums; `n` is public over blocks. Post-processing, free. The interval takes the worst of
/// the three intervals' ends, and of a mean of zero where that is among them.
fn variance(half: f64, (sum, square, count): Three, sample: bool, root: bool) -> Cell {
    let at = |sum: f64, square: f64, count: f64| {
        let n = count.max(1.0);
        let spread = (half * half / 2.0 + square / n - (sum / n).powi(2)).clamp(0.0, half * half);
        let spread = if sample && n > 1.0 { spread * n / (n - 1.0) } else { spread };
        if root { spread.sqrt() } else { spread }
    };
    let ends = |(value, half): (f64, f64)| [value - half, value + half, if half >= value.abs() { 0.0 } else { value }];
    let mut cell = Cell { value: at(sum.0, square.0, count.0), low: f64::INFINITY, high: f64::NEG_INFINITY };
    for sum in ends(sum) {
        for square in ends(square) {
            for count in ends(count) {
                let value = at(sum, square, count);
                (cell.low, cell.high) = (cell.low.min(value), cell.high.max(value));
            }
        }
    }
    cell
}

/// Three noised sums, each with the half width of its interval.
type Three = ((f64, f64), (f64, f64), (f64, f64));

/// Mean = middle + centred sum / count, both noised. Post-processing, free. The interval takes the worst corner of both.
fn ratio(middle: f64, lo: f64, hi: f64, sum: (f64, f64), count: (f64, f64)) -> Cell {
    let at = |sum: f64, count: f64| (middle + sum / count.max(1.0)).clamp(lo, hi);
    let corners = [
        at(sum.0 - sum.1, count.0 - count.1),
        at(sum.0 - sum.1, count.0 + count.1),
        at(sum.0 + sum.1, count.0 - count.1),
        at(sum.0 + sum.1, count.0 + count.1),
    ];
    Cell {
        value: at(sum.0, count.0),
        low: corners.iter().copied().fold(f64::INFINITY, f64::min),
        high: corners.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

fn compare_keys(a: &[Key], b: &[Key]) -> std::cmp::Ordering {
    let rank = |key: &Key| match key {
        Key::Null => 0,
        Key::Bool(_) => 1,
        Key::Int(_) | Key::Float(_) => 2,
        Key::Text(_) => 3,
    };
    let number = |key: &Key| match key {
        Key::Int(i) => *i as f64,
        Key::Float(f) => *f,
        Key::Bool(b) => f64::from(u8::from(*b)),
        _ => 0.0,
    };
    a.iter()
        .zip(b)
        .map(|(a, b)| match (a, b) {
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Int(a), Key::Int(b)) => a.cmp(b),
            _ => rank(a).cmp(&rank(b)).then(number(a).total_cmp(&number(b))),
        })
        .find(|o| o.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}
