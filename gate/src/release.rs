//! The node's half of the gate: noise, threshold, intervals. The only constructor of [`Released`].

use std::collections::HashMap;

use tidegate_protocol::{
    ContentHash,
    job::Key,
    result::{Cell, ResultDoc, Row},
};

use crate::{
    Calibration, GateError, GroupSums, Keys, Left, Noise, Plan, Sums, Threshold,
    noise::{Noisy, Source},
    noised::Noised,
    passed::Passed,
    reduce::Reduce as _,
};

/// Released result: noised, or exact after review. Nothing else can be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    document: ResultDoc,
    left: Option<Left>,
}

impl Released {
    /// Wraps an exact result and its record.
    pub(crate) fn exact(document: ResultDoc, left: Left) -> Self {
        Self { document, left: Some(left) }
    }

    /// Returns the result document.
    pub fn document(&self) -> &ResultDoc {
        &self.document
    }

    /// Returns the node's record of an exact result, used to compare later ones: exact, secret, never sent.
    pub fn left(&self) -> Option<&Left> {
        self.left.as_ref()
    }
}

/// Noises `sums` by `calibration`, all at once. See [`Releasing`].
///
/// # Errors
/// As for [`Releasing`].
pub fn release(
    plan: &Plan,
    calibration: &Calibration,
    declared: &[Vec<Key>],
    sums: &Sums,
    job: ContentHash,
) -> Result<Released, GateError> {
    let mut releasing = Releasing::new(plan, calibration, declared)?;
    releasing.add(&sums.groups)?;
    releasing.finish(job)
}

/// Release in progress: groups come in pieces, in any order; of groups with undeclared keys only the released ones are held.
///
/// A group that does not come (nobody is in it, or the worker failed) is released as zeros plus noise if it must appear.
pub struct Releasing<'a> {
    plan: &'a Plan,
    calibration: &'a Calibration,
    sources: Vec<Source>,
    /// Groups appearing whatever their size, with the keys declared by the job. Arriving groups are looked up here; any other is
    /// ignored.
    held: Vec<GroupSums>,
    /// Index of each of them by its key's JSON text: [`Key`] has no hash (floats).
    places: HashMap<String, usize>,
    undeclared: Option<Undeclared>,
}

/// Minimum number of groups per thread.
const GROUPS_A_THREAD: usize = 256;

/// Groups appearing if their noisy number of units reaches τ, and the sum of all others.
struct Undeclared {
    threshold: Threshold,
    passed: Passed<GroupSums>,
    rest: GroupSums,
    /// Whether the rest is released too.
    remainder: bool,
}

impl<'a> Releasing<'a> {
    /// Begins a release. `declared` are the declared keys, in their order; empty for the other key modes.
    ///
    /// # Errors
    /// Returns [`GateError::Noise`] if the noise cannot be made.
    pub fn new(plan: &'a Plan, calibration: &'a Calibration, declared: &'a [Vec<Key>]) -> Result<Self, GateError> {
        let mut held = Vec::new();
        let undeclared = match plan.shape.keys {
            Keys::None => {
                held.push(plan.group(vec![]));
                None
            }
            Keys::Declared(n) => {
                if declared.len() != n as usize {
                    return Err(GateError::Misfit(format!("{} declared keys for {n}", declared.len())));
                }
                held.extend(declared.iter().map(|key| plan.group(key.clone())));
                None
            }
            Keys::Undeclared { remainder, .. } => {
                let threshold =
                    calibration.threshold.ok_or_else(|| GateError::Misfit("undeclared keys without a threshold".into()))?;
                Some(Undeclared { threshold, passed: Passed::at_most(threshold.most), rest: plan.group(vec![]), remainder })
            }
        };
        let places = held.iter().enumerate().map(|(place, group)| (text(&group.key), place)).collect();
        Ok(Self { plan, calibration, sources: sources(calibration.noise, &calibration.scales)?, held, places, undeclared })
    }

    /// Adds whole groups: none may come twice.
    ///
    /// # Errors
    /// Returns [`GateError::Misfit`] if they do not fit the plan; [`GateError::Noise`] without entropy.
    pub fn add(&mut self, groups: &[GroupSums]) -> Result<(), GateError> {
        self.plan.check_groups(groups)?;
        let Some(undeclared) = &mut self.undeclared else {
            for group in groups {
                if let Some(place) = self.places.get(&text(&group.key)) {
                    self.held[*place].clone_from(group);
                }
            }
            return Ok(());
        };
        let Undeclared { threshold, passed, rest, .. } = undeclared;
        let (large, small): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.units >= threshold.least);
        let mut left = |group: &GroupSums| rest.lanes.iter_mut().zip(&group.lanes).for_each(|(all, one)| *all += one);
        small.into_iter().for_each(&mut left);
        let (calibration, threshold) = (self.calibration, *threshold);
        let drawn = in_threads(&large, |groups| sizes(calibration, threshold, groups))?;
        for (group, size) in large.into_iter().zip(drawn) {
            match size {
                Some(noisy) => passed.add(noisy, group.key.clone(), text(&group.key).len(), group.clone()),
                None => left(group),
            }
        }
        Ok(())
    }

    /// Noises all remaining sums and returns the result.
    ///
    /// # Errors
    /// As for [`Releasing::add`].
    pub fn finish(self, job: ContentHash) -> Result<Released, GateError> {
        let Self { plan, calibration, sources, held, undeclared, .. } = self;
        let (mut remainder, mut left_out) = (None, 0);
        let rows = match undeclared {
            Some(Undeclared { passed, rest, remainder: wanted, .. }) => {
                if wanted {
                    let sources = self::sources(calibration.noise, &calibration.remainder)?;
                    remainder = Some(cells(plan, &sources, &rest)?);
                }
                left_out = passed.left_out();
                let passed = passed.into_held();
                let drawn = in_threads(&passed, |groups| {
                    let sources = self::sources(calibration.noise, &calibration.scales)?;
                    groups.iter().map(|(_, _, group)| cells(plan, &sources, group)).collect()
                })?;
                let mut rows = Passed::at_most(u64::MAX);
                for ((noisy, key, _), cells) in passed.into_iter().zip(drawn) {
                    rows.add_row(noisy, Row { key, cells });
                }
                left_out += rows.left_out();
                rows.into_rows()?
            }
            None => {
                let row = |group: GroupSums| Ok(Row { cells: cells(plan, &sources, &group)?, key: group.key });
                held.into_iter().map(row).collect::<Result<_, GateError>>()?
            }
        };
        let document = ResultDoc {
            version: 1,
            job,
            cost: calibration.cost,
            keys: plan.shape.key_names.clone(),
            columns: plan.result_names(),
            rows,
            suppressed: vec![],
            remainder,
            left_out,
        };
        Ok(Released { document, left: None })
    }
}

/// Applies `draw` to `some` in several threads: drawing exact noise is the slowest part of a release.
fn in_threads<T: Sync, D: Send>(
    some: &[T],
    draw: impl Fn(&[T]) -> Result<Vec<D>, GateError> + Sync,
) -> Result<Vec<D>, GateError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(some.len().div_ceil(GROUPS_A_THREAD));
    let draw = &draw;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            some.chunks(some.len().div_ceil(threads.max(1)).max(1)).map(|some| scope.spawn(move || draw(some))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<D>, GateError>>| {
            thread.join().map_err(|_| GateError::Noise("a thread panicked".into())).flatten()
        };
        let drawn = threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()?;
        Ok(drawn.into_iter().flatten().collect())
    })
}

/// Draws the noisy number of units of each group; returns `None` below the threshold.
fn sizes(calibration: &Calibration, threshold: Threshold, groups: &[&GroupSums]) -> Result<Vec<Option<Noisy>>, GateError> {
    let sizes = calibration.noise.source(threshold.scale)?;
    let one = |group: &&GroupSums| {
        let noisy = sizes.noise_one(i128::from(group.units))?;
        Ok(noisy.reaches(threshold.tau).then_some(noisy))
    };
    groups.iter().map(one).collect()
}

fn sources(noise: Noise, scales: &[f64]) -> Result<Vec<Source>, GateError> {
    scales.iter().map(|s| noise.source(*s)).collect()
}

fn text(key: &[Key]) -> String {
    serde_json::to_string(key).unwrap_or_default()
}

pub(crate) fn declared_groups(plan: &Plan, declared: &[Vec<Key>], groups: &[GroupSums]) -> Vec<GroupSums> {
    let by_key: HashMap<String, &GroupSums> = groups.iter().map(|g| (text(&g.key), g)).collect();
    declared.iter().map(|key| by_key.get(&text(key)).map_or_else(|| plan.group(key.clone()), |g| (*g).clone())).collect()
}

/// Noises every integer of a group and computes the cells of its columns.
fn cells(plan: &Plan, sources: &[Source], group: &GroupSums) -> Result<Vec<Cell>, GateError> {
    let mut cells = Vec::new();
    for (i, column) in plan.shape.columns.iter().enumerate() {
        let noised = plan
            .parts_of(i)
            .map(|p| {
                let (part, source) = (&plan.parts[p], &sources[p]);
                let noisy = source.noise(&column.measure.expand(&group.lanes[part.range()]))?;
                Ok(Noised::of(&noisy, source, part.step))
            })
            .collect::<Result<Vec<_>, GateError>>()?;
        cells.extend(column.measure.cells(&noised, plan.shape.frame().blocks));
    }
    Ok(cells)
}
