//! Execution of a query over the dataset's files.
//!
//! Batches → (rows per unit → one row) → keys in canonical form and values on the grid → one [`Fold`] per thread → sums.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use tidegate_gate::{GroupSums, Plan};

use super::{
    Query,
    flow::Flow,
    fold::{Fold, Parts, Spill, Written},
    keys::canonical,
    sets::Set,
};
use crate::{
    Extent, RunError, Sink,
    units::{Chunk, Runs, Scan},
};

/// Maximum number of folds at a time, over all threads and sets: each has a share of the memory.
const MOST_FOLDS: usize = 64;
/// Maximum bytes of the numbers of declared groups, over all threads.
const FOLDS_BYTES: usize = 512 << 20;

/// Maximum number of joining threads; fewer if each joins more than once.
const MOST_JOINS: usize = 8;
/// Maximum bytes selected from aggregated or joined rows, on all threads.
const SELECTED_BYTES: usize = 256 << 20;
/// Maximum bytes of rows counted together, as groups, on a thread.
const CHUNK_BYTES: usize = 64 << 20;

/// Destination of groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room<'a> {
    /// Destination of groups beyond the memory limit; without a spill, all stay in memory.
    pub spill: Option<&'a Spill>,
    /// Minimum number of units for a group to be handed on.
    pub least_units: i64,
}

/// Runs an admitted query over files ordered by unit, and hands the sums of each group to `sink`, some groups at a time.
///
/// `prf` chooses groups for a unit in more than κ: never by value.
///
/// # Errors
/// Returns [`RunError`]; the caller then releases noise over nothing, whatever it was handed before.
pub fn run_query<'f>(
    query: &Query,
    plan: &Plan,
    files: impl Into<Extent<'f>>,
    prf: &[u8; 32],
    room: Room<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
    let leaves = query.input.leaves();
    let scan = Scan::open(files, &leaves, row_bytes(query, plan))?;
    run_over(most_ways(query, plan, &scan), &scan, query, plan, prf, room, sink)
}

/// Runs [`run_query`] over a piece.
///
/// Groups of undeclared keys are written to `spill`, and [`add_up`] hands them on; of the others, `sink` gets the piece's sums.
///
/// # Errors
/// As for [`run_query`].
pub fn run_piece<'f>(
    query: &Query,
    plan: &Plan,
    files: impl Into<Extent<'f>>,
    prf: &[u8; 32],
    spill: &Spill,
    sink: &mut Sink<'_>,
) -> Result<Written, RunError> {
    let leaves = query.input.leaves();
    let scan = Scan::open(files, &leaves, row_bytes(query, plan))?;
    let parts: Vec<_> = query.sets.iter().map(|_| Some(Parts::new(spill, prf))).collect();
    let all = fold_all(most_ways(query, plan, &scan), &scan, query, plan, prf, (&parts, Some(spill)))?;
    for (set, folds) in query.sets.iter().zip(all) {
        let stays = set.keys.is_empty() || set.declared.is_some() || query.reviewed;
        if stays {
            hand_on(set, folds, 1, sink)?;
        } else {
            folds.into_iter().try_for_each(write_down)?;
        }
    }
    Ok(Written(parts.iter().map(|parts| parts.as_ref().map(Parts::written).unwrap_or_default()).collect()))
}

/// Hands on the groups that pieces wrote to `spill`, each once, if they have at least `least_units` units.
///
/// # Errors
/// Returns [`RunError::Engine`] if the file does not hold what was written.
pub fn add_up(
    query: &Query,
    plan: &Plan,
    prf: &[u8; 32],
    (spill, written): (&Spill, &[Written]),
    least_units: i64,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
    for (i, set) in query.sets.iter().enumerate() {
        let segments = written.iter().filter_map(|one| one.0.get(i)).flatten().copied();
        let parts = Parts::new(spill, prf).with(segments);
        let sink = &mut |groups| sink(named(set, groups));
        parts.add_up(|| Fold::new(plan, prf, set, query.reviewed), |sum| sum.hand_on(least_units, sink))?;
    }
    Ok(())
}

/// Returns the maximum number of threads worth using for a query, by public numbers.
fn most_ways(query: &Query, plan: &Plan, scan: &Scan<'_>) -> usize {
    let declared = Fold::group_bytes(plan) * query.declared.as_ref().map_or(1, Vec::len).max(1);
    let most = (MOST_FOLDS / query.sets.len()).min(FOLDS_BYTES / declared).max(1);
    // A join holds rows of its own.
    scan.ways().min(most).min(MOST_JOINS / query.input.source.unit_joins().max(1))
}

/// Returns the maximum bytes of memory for a counted row, which may be a group of its own in each set.
fn row_bytes(query: &Query, plan: &Plan) -> usize {
    Fold::group_bytes(plan) * query.sets.len()
}

/// Runs [`run_query`] on at most `ways` threads. The sums do not depend on their number.
fn run_over(
    ways: usize,
    scan: &Scan<'_>,
    query: &Query,
    plan: &Plan,
    prf: &[u8; 32],
    room: Room<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
    let parts: Vec<Option<Parts<'_>>> = query.sets.iter().map(|_| room.spill.map(|spill| Parts::new(spill, prf))).collect();
    let all = fold_all(ways, scan, query, plan, prf, (&parts, room.spill))?;
    for ((set, parts), folds) in query.sets.iter().zip(&parts).zip(all) {
        match parts.as_ref().filter(|parts| !parts.is_empty()) {
            None => hand_on(set, folds, room.least_units, sink)?,
            Some(parts) => {
                folds.into_iter().try_for_each(write_down)?;
                let sink = &mut |groups| sink(named(set, groups));
                parts.add_up(|| Fold::new(plan, prf, set, query.reviewed), |sum| sum.hand_on(room.least_units, sink))?;
            }
        }
    }
    Ok(())
}

/// Gives a set's groups their full keys.
fn named(set: &Set, mut groups: Vec<GroupSums>) -> Vec<GroupSums> {
    groups.iter_mut().for_each(|group| group.key = set.key(std::mem::take(&mut group.key)));
    groups
}

/// Hands on the sum of a set's folds.
fn hand_on(set: &Set, folds: Vec<Fold<'_>>, least: i64, sink: &mut Sink<'_>) -> Result<(), RunError> {
    let mut folds = folds.into_iter();
    let Some(mut sum) = folds.next() else { return Ok(()) };
    folds.try_for_each(|fold| sum.merge(fold))?;
    sum.hand_on(least, &mut |groups| sink(named(set, groups)))
}

fn write_down(mut fold: Fold<'_>) -> Result<(), RunError> {
    fold.finish();
    fold.write_down()
}

/// Folds all rows on at most `ways` threads: for each set, a fold per thread. Groups that do not fit go to the set's parts.
fn fold_all<'f>(
    ways: usize,
    scan: &Scan<'_>,
    query: &'f Query,
    plan: &'f Plan,
    prf: &'f [u8; 32],
    (parts, spill): (&'f [Option<Parts<'f>>], Option<&Spill>),
) -> Result<Vec<Vec<Fold<'f>>>, RunError> {
    let fields = plan.fields().len();
    let share = spill.map_or(usize::MAX, |spill| spill.share(ways * query.sets.len()));
    let fold = |(set, parts)| {
        let fold = Fold::new(plan, prf, set, query.reviewed);
        if let Some(parts) = parts { fold.within(parts, share) } else { fold }
    };
    let start = || {
        let thread = Thread {
            plan,
            sets: &query.sets,
            keys: query.keys,
            folds: query.sets.iter().zip(parts.iter().map(Option::as_ref)).map(fold).collect(),
            laid: vec![Vec::new(); fields],
            most: (CHUNK_BYTES / row_bytes(query, plan)).max(1),
        };
        Ok((thread, Flow::new(&query.input, SELECTED_BYTES / ways)?))
    };
    let threads = scan.run_split(ways, start, |(thread, flow), chunks, at| {
        let mut leaves: Vec<_> = chunks.into_iter().map(Some).collect();
        flow.take(&mut leaves, Some(at), &mut |chunk| thread.chunk(chunk))
    })?;
    // By set, then by thread.
    let mut all: Vec<Vec<Fold<'_>>> = query.sets.iter().map(|_| Vec::new()).collect();
    for (mut thread, mut flow) in threads {
        flow.take(&mut [], None, &mut |chunk| thread.chunk(chunk))?;
        all.iter_mut().zip(thread.folds).for_each(|(of_set, fold)| of_set.push(fold));
    }
    Ok(all)
}

struct Thread<'a> {
    plan: &'a Plan,
    sets: &'a [Set],
    /// Number of key columns.
    keys: usize,
    /// A fold per grouping set.
    folds: Vec<Fold<'a>>,
    /// The batch's values on the grid, field by field.
    laid: Vec<Vec<i32>>,
    /// Maximum number of rows counted together.
    most: usize,
}

impl Thread<'_> {
    /// Counts rows, some at a time if a join made many of few.
    fn chunk(&mut self, Chunk { runs, columns }: Chunk) -> Result<(), RunError> {
        let rows = runs.len();
        if rows <= self.most {
            return self.batch(&runs, &columns);
        }
        (0..rows).step_by(self.most).try_for_each(|from| {
            let some = self.most.min(rows - from);
            let columns: Vec<_> = columns.iter().map(|c| c.slice(from, some)).collect();
            self.batch(&runs.slice(from, some), &columns)
        })
    }

    fn batch(&mut self, runs: &Runs, columns: &[ArrayRef]) -> Result<(), RunError> {
        let (keys, mut arguments) = columns.split_at(self.keys);
        let keys = keys.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        let rows = runs.rows.last().map_or(0, |last| last.end);
        let mut fields = self.laid.as_mut_slice();
        for (column, shape) in self.plan.shape().columns.iter().enumerate() {
            // Counts have an argument too: whether a value is present.
            let (mine, others) = arguments.split_at(shape.measure.values().max(1));
            let (laid, rest) = fields.split_at_mut(self.plan.fields_of(column));
            let valid = mine.iter().fold(None, |all, a| NullBuffer::union(all.as_ref(), a.logical_nulls().as_ref()));
            let valid = valid.filter(|n| n.null_count() > 0).map(|n| n.iter().collect::<Vec<_>>());
            let values = &mine[..shape.measure.values()];
            let values = values.iter().map(|a| Ok(cast(a, &DataType::Float64)?)).collect::<Result<Vec<_>, RunError>>()?;
            let values: Vec<&[f64]> = values.iter().map(|a| &a.as_primitive::<Float64Type>().values()[..]).collect();
            self.plan.lay(column, rows, &values, valid.as_deref(), laid);
            (arguments, fields) = (others, rest);
        }
        for (set, fold) in self.sets.iter().zip(&mut self.folds) {
            let keys: Vec<ArrayRef> = set.keys.iter().map(|i| keys[*i].clone()).collect();
            fold.batch(runs, &keys, &self.laid)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
