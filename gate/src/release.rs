//! The node's half: noise, threshold, intervals. The only constructor of [`Released`].

use tidegate_protocol::{
    ContentHash,
    job::Key,
    result::{Cell, ResultDoc, Row},
};

use crate::{
    Calibration, GateError, GroupSums, Keys, Plan, Sums,
    noise::{self, Noise},
    noised::Noised,
    reduce::Reduce as _,
};

/// A released result: noised, and the only thing that can be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Released(ResultDoc);

impl Released {
    pub(crate) fn new(document: ResultDoc) -> Self {
        Self(document)
    }

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
    let noises = noises(&calibration.scales)?;
    let empty = |key: &[Key]| plan.group(key.to_vec());
    let find = |key: &[Key]| sums.groups.iter().find(|g| g.key == key).cloned().unwrap_or_else(|| empty(key));
    let mut remainder = None;
    let groups: Vec<GroupSums> = match plan.shape.keys {
        Keys::None => vec![find(&[])],
        Keys::Declared(_) => declared_groups(plan, declared, sums),
        Keys::Undeclared { remainder: wanted, .. } => {
            let (kept, rest) = passing(plan, calibration, sums)?;
            if wanted {
                let noises = self::noises(&calibration.remainder)?;
                remainder = Some(cells(plan, &calibration.remainder, &noises, &rest)?);
            }
            kept
        }
    };
    let mut rows = Vec::with_capacity(groups.len());
    for group in groups {
        let cells = cells(plan, &calibration.scales, &noises, &group)?;
        rows.push(Row { key: group.key, cells });
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
        columns: plan.result_names(),
        rows,
        suppressed: vec![],
        remainder,
    }))
}

fn noises(scales: &[f64]) -> Result<Vec<Noise>, GateError> {
    scales.iter().map(|s| noise::gaussian(*s)).collect()
}

pub(crate) fn declared_groups(plan: &Plan, declared: &[Vec<Key>], sums: &Sums) -> Vec<GroupSums> {
    // Key has no total order or hash (floats): its JSON text is its identity.
    let text = |key: &[Key]| serde_json::to_string(key).unwrap_or_default();
    let by_key: std::collections::HashMap<String, &GroupSums> = sums.groups.iter().map(|g| (text(&g.key), g)).collect();
    declared.iter().map(|key| by_key.get(&text(key)).map_or_else(|| plan.group(key.clone()), |g| (*g).clone())).collect()
}

/// The groups whose noisy number of units reaches τ, and all others added up.
fn passing(plan: &Plan, calibration: &Calibration, sums: &Sums) -> Result<(Vec<GroupSums>, GroupSums), GateError> {
    let threshold = calibration.threshold.ok_or_else(|| GateError::Misfit("undeclared keys without a threshold".into()))?;
    let noise = noise::gaussian(threshold.scale)?;
    let (mut kept, mut rest) = (Vec::new(), plan.group(vec![]));
    // A group nobody is in does not exist, whatever the worker sent.
    for group in sums.groups.iter().filter(|g| g.units > 0) {
        if group.units.saturating_add(noise.draw()?) >= threshold.tau {
            kept.push(group.clone());
        } else {
            rest.lanes.iter_mut().zip(&group.lanes).for_each(|(all, one)| *all += one);
        }
    }
    Ok((kept, rest))
}

/// Noise on every integer of a group, then what its columns make of them.
fn cells(plan: &Plan, scales: &[f64], noises: &[Noise], group: &GroupSums) -> Result<Vec<Cell>, GateError> {
    let mut cells = Vec::new();
    for (i, column) in plan.shape.columns.iter().enumerate() {
        let noised = plan
            .parts_of(i)
            .map(|p| {
                let part = &plan.parts[p];
                let exact = column.measure.expand(&group.lanes[part.range()]);
                let values = exact
                    .into_iter()
                    .map(|sum| Ok((sum + i128::from(noises[p].draw()?)) as f64 * part.step))
                    .collect::<Result<_, GateError>>()?;
                // Counts are exact on their grid: only noise moves them.
                let step = if part.step == 1.0 { 0.0 } else { part.step };
                Ok(Noised { values, sigma: scales[p] * part.step, step })
            })
            .collect::<Result<Vec<_>, GateError>>()?;
        cells.extend(column.measure.cells(&noised, plan.shape.blocks));
    }
    Ok(cells)
}

pub(crate) fn compare_keys(a: &[Key], b: &[Key]) -> std::cmp::Ordering {
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
