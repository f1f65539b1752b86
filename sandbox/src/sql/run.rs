//! A query over the dataset's files: batches → (rows a unit → one) → keys in canonical form and values on the grid → one [`Fold`] a thread → sums.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Schema},
};
use tidegate_gate::{GroupSums, Plan};
use tidegate_protocol::limits;

use super::{
    Query, Select,
    fold::{Fold, Parts, Spill},
    keys::canonical,
    per_unit::{Done, Folding, PerUnit},
    sets::Set,
};
use crate::{
    RunError, Sink,
    units::{Physical, Runs, Scan, Selected, shorten},
};

/// Most folds at a time, over all threads and sets: each has a part of the room.
const MOST_FOLDS: usize = 64;
/// Most bytes of the numbers of groups whose keys are declared, over all threads.
const FOLDS_BYTES: usize = 512 << 20;

/// What becomes of groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room<'a> {
    /// Takes those that do not fit in memory; without it they all stay there.
    pub spill: Option<&'a Spill>,
    /// Those of fewer units are not handed on.
    pub least_units: i64,
}

/// Runs an admitted query over files ordered by unit, and hands the sums of each group to `sink`, some groups at a time. `prf` chooses groups where a unit
/// is in more than κ: never by value.
///
/// # Errors
/// [`RunError`]; the caller then releases noise over nothing, whatever it was handed before.
pub fn run_query(
    query: &Query,
    plan: &Plan,
    files: &[File],
    prf: &[u8; 32],
    room: Room<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
    // Each row may be a group of its own, in each set.
    let scan = Scan::open(files, &query.select, Fold::group_bytes(plan) * query.sets.len())?;
    let declared = Fold::group_bytes(plan) * query.declared.as_ref().map_or(1, Vec::len).max(1);
    let most = (MOST_FOLDS / query.sets.len()).min(FOLDS_BYTES / declared).max(1);
    run_over(scan.ways().min(most), &scan, query, plan, prf, room, sink)
}

/// [`run_query`] over at most `ways` threads. The sums do not depend on their number.
fn run_over(
    ways: usize,
    scan: &Scan<'_>,
    query: &Query,
    plan: &Plan,
    prf: &[u8; 32],
    room: Room<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), RunError> {
    let stage = match &query.per_unit {
        Some((stage, over)) => Some((&**stage, over, Physical::new(over)?)),
        None => None,
    };
    let fields = plan.fields().len();
    let parts: Vec<Option<Parts<'_>>> = query.sets.iter().map(|_| room.spill.map(|spill| Parts::new(spill, prf))).collect();
    let share = room.spill.map_or(usize::MAX, |spill| spill.share(ways * query.sets.len()));
    let fold = |(set, parts)| {
        let fold = Fold::new(plan, prf, set, query.reviewed);
        if let Some(parts) = parts { fold.within(parts, share) } else { fold }
    };
    let start = || Thread {
        plan,
        sets: &query.sets,
        keys: query.keys,
        folds: query.sets.iter().zip(parts.iter().map(Option::as_ref)).map(fold).collect(),
        laid: vec![Vec::new(); fields],
        units: None,
    };
    let threads = scan.run_split(ways, start, |thread, runs, columns| match &stage {
        None => thread.batch(runs, columns),
        Some(stage) => thread.rows_of_units(stage, runs, columns),
    })?;
    // By set, then by thread.
    let mut all: Vec<Vec<Fold<'_>>> = query.sets.iter().map(|_| Vec::new()).collect();
    for mut thread in threads {
        if let Some(stage) = &stage {
            thread.last_unit(stage)?;
        }
        all.iter_mut().zip(thread.folds).for_each(|(of_set, fold)| of_set.push(fold));
    }
    for ((set, parts), folds) in query.sets.iter().zip(&parts).zip(all) {
        let sink = &mut |mut groups: Vec<GroupSums>| {
            groups.iter_mut().for_each(|group| group.key = set.key(std::mem::take(&mut group.key)));
            sink(groups)
        };
        let mut folds = folds.into_iter();
        match parts.as_ref().filter(|parts| !parts.is_empty()) {
            None => {
                let Some(mut sum) = folds.next() else { continue };
                folds.try_for_each(|fold| sum.merge(fold))?;
                sum.hand_on(room.least_units, sink)?;
            }
            Some(parts) => {
                folds.try_for_each(|mut fold| {
                    fold.finish();
                    fold.write_down()
                })?;
                parts.add_up(|| Fold::new(plan, prf, set, query.reviewed), |sum| sum.hand_on(room.least_units, sink))?;
            }
        }
    }
    Ok(())
}

/// Aggregation by unit, and what is selected of its results.
type Stage<'a> = (&'a PerUnit, &'a Select, Physical);

struct Thread<'a> {
    plan: &'a Plan,
    sets: &'a [Set],
    /// How many of the columns are keys.
    keys: usize,
    /// One a grouping set.
    folds: Vec<Fold<'a>>,
    /// The batch's values on the grid, field by field.
    laid: Vec<Vec<i32>>,
    units: Option<Folding>,
}

impl Thread<'_> {
    /// Rows of the dataset, which become rows of units.
    fn rows_of_units(&mut self, stage: &Stage<'_>, runs: &Runs, arguments: &[ArrayRef]) -> Result<(), RunError> {
        let arguments = arguments.iter().map(|a| shorten(a, limits::TEXT_CHARS)).collect::<Result<Vec<_>, _>>()?;
        let folding = match &mut self.units {
            Some(folding) => folding,
            none => none.insert(stage.0.begin()?),
        };
        let done = folding.batch(runs, &arguments)?;
        self.units_done(stage, done)
    }

    fn last_unit(&mut self, stage: &Stage<'_>) -> Result<(), RunError> {
        let Some(mut folding) = self.units.take() else { return Ok(()) };
        self.units_done(stage, folding.finish()?)
    }

    /// Units that are done, each a row now.
    fn units_done(&mut self, (_, over, physical): &Stage<'_>, (mut units, columns): Done) -> Result<(), RunError> {
        if units.is_empty() {
            return Ok(());
        }
        let field = |(f, c): (&Arc<Field>, &ArrayRef)| Field::new(f.name(), c.data_type().clone(), true);
        let schema = Schema::new(over.schema.fields().iter().zip(&columns).map(field).collect::<Vec<_>>());
        let options = RecordBatchOptions::new().with_row_count(Some(units.len()));
        let batch = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?;
        let Selected { of, columns } = physical.select(&batch)?;
        if let Some(of) = of {
            units = of.values().iter().map(|i| units[*i as usize].clone()).collect();
        }
        if units.is_empty() { Ok(()) } else { self.batch(&Runs::of(&units), &columns) }
    }

    fn batch(&mut self, runs: &Runs, columns: &[ArrayRef]) -> Result<(), RunError> {
        let (keys, mut arguments) = columns.split_at(self.keys);
        let keys = keys.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
        let rows = runs.rows.last().map_or(0, |last| last.end);
        let mut fields = self.laid.as_mut_slice();
        for (column, shape) in self.plan.shape().columns.iter().enumerate() {
            // What counts has an argument too: whether it is there.
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
