//! Flow of the dataset's batches through aggregation by unit and joins on the unit, to the select whose rows are counted.
//!
//! Rows are ordered by unit, so once a batch has come, all units below its last row's are complete: no more than a batch and some
//! units' rows are buffered.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::common::DFSchema;
use tidegate_protocol::limits;

use super::{
    first::{Done, Taking},
    input::{First, Input, PerUnit, Source},
    per_unit::Folding,
    select::Select,
    unit_join::Joining,
};
use crate::{
    RunError,
    units::{Chunk, Of, Physical, Runs, Selected, Unit, UnitRef, on_the_way, shorten, width},
};

/// Maximum number of rows at a time, however narrow.
const MOST_ROWS: usize = 8192;

/// Consumer of rows.
type Sink<'s> = &'s mut dyn FnMut(Chunk) -> Result<(), RunError>;

/// State of an input on a thread.
pub(super) enum Flow<'a> {
    /// Leaf of this number.
    Leaf(usize),
    /// One row per unit.
    PerUnit { input: Box<Flow<'a>>, stage: &'a PerUnit, folding: Folding, over: Over },
    /// Each unit's first rows.
    First { input: Box<Flow<'a>>, first: &'a First, taking: Box<Taking>, over: Over },
    /// Two inputs' rows, joined.
    Join { inputs: Box<[Flow<'a>; 2]>, joining: Box<Joining<'a>>, over: Over },
}

/// Selection over a source's rows.
pub(super) struct Over {
    physical: Physical,
    /// Maximum number of rows at a time; public numbers bound the size of each.
    most: usize,
}

impl<'a> Flow<'a> {
    /// Starts the flow of an input. Selections over a source take at most `bytes` at a time, each text counted at its longest.
    ///
    /// # Errors
    /// Returns [`RunError::Engine`] for a failure that admission should have found.
    pub(super) fn new(input: &'a Input, bytes: usize) -> Result<Self, RunError> {
        Self::numbered(input, bytes, &mut 0)
    }

    fn numbered(input: &'a Input, bytes: usize, next: &mut usize) -> Result<Self, RunError> {
        Ok(match &input.source {
            Source::Rows => {
                *next += 1;
                Self::Leaf(*next - 1)
            }
            Source::PerUnit(stage) => Self::PerUnit {
                input: Box::new(Self::numbered(&stage.input, bytes, next)?),
                stage,
                folding: stage.begin()?,
                over: Over::new(&input.select, bytes)?,
            },
            Source::First(first) => Self::First {
                input: Box::new(Self::numbered(&first.input, bytes, next)?),
                first,
                taking: Box::new(first.begin()?),
                over: Over::new(&input.select, bytes)?,
            },
            Source::Join(join) => Self::Join {
                inputs: Box::new([Self::numbered(&join.first, bytes, next)?, Self::numbered(&join.second, bytes, next)?]),
                joining: Box::new(Joining::new(join)?),
                over: Over::new(&input.select, bytes)?,
            },
        })
    }

    /// Takes the leaves' selections from a batch, in their order, and hands on the rows made from these and from buffered rows.
    ///
    /// The batch's last row is of unit `at`. Without `at`, everything that is buffered is processed.
    ///
    /// # Errors
    /// Returns `sink`'s own errors, and [`RunError`] of the engine.
    pub(super) fn take(&mut self, leaves: &mut [Option<Chunk>], at: Option<UnitRef<'_>>, sink: Sink<'_>) -> Result<(), RunError> {
        match self {
            Self::Leaf(number) => match leaves.get_mut(*number).and_then(Option::take) {
                Some(chunk) if !chunk.runs.rows.is_empty() => sink(chunk),
                _ => Ok(()),
            },
            Self::PerUnit { input, stage, folding, over } => {
                input.take(leaves, at, &mut |Chunk { runs, columns }| {
                    let columns = columns.iter().map(|a| shorten(a, limits::TEXT_CHARS)).collect::<Result<Vec<_>, _>>()?;
                    let done = folding.batch(&runs, &columns)?;
                    units_done(&stage.schema, over, done, sink)
                })?;
                let done = folding.close(at)?;
                units_done(&stage.schema, over, done, sink)
            }
            Self::First { input, first, taking, over } => {
                input.take(leaves, at, &mut |Chunk { runs, columns }| {
                    let done = taking.batch(&runs, &columns)?;
                    units_done(&first.schema, over, done, sink)
                })?;
                let done = taking.close(at)?;
                units_done(&first.schema, over, done, sink)
            }
            Self::Join { inputs, joining, over } => {
                let schema = joining.schema.clone();
                let made = &mut |chunk| over.select(schema.clone(), chunk, sink);
                // The input that may make many rows of few is processed in pieces, once the other input's rows are present.
                let (streamed, other) = if inputs[1].joins() { (1, 0) } else { (0, 1) };
                inputs[other].take(leaves, at, &mut |chunk| joining.held[other].add(&chunk))?;
                inputs[streamed].take(leaves, at, &mut |chunk| {
                    joining.held[streamed].add(&chunk)?;
                    let last = chunk.runs.units().last();
                    if joining.held[streamed].len() > joining.many { joining.join(last, made) } else { Ok(()) }
                })?;
                joining.join(at, made)
            }
        }
    }

    fn joins(&self) -> bool {
        match self {
            Self::Leaf(_) => false,
            Self::PerUnit { input, .. } | Self::First { input, .. } => input.joins(),
            Self::Join { .. } => true,
        }
    }
}

/// Hands on the selection of `over` from completed units.
fn units_done(schema: &DFSchema, over: &Over, (units, columns): Done, sink: Sink<'_>) -> Result<(), RunError> {
    if units.is_empty() {
        return Ok(());
    }
    let field = |(f, c): (&Arc<Field>, &ArrayRef)| Field::new(f.name(), c.data_type().clone(), true);
    let schema = Schema::new(schema.fields().iter().zip(&columns).map(field).collect::<Vec<_>>());
    let (mut runs, mut rows): (Vec<Unit>, Vec<Range<usize>>) = (Vec::with_capacity(units.len()), Vec::with_capacity(units.len()));
    for (i, unit) in units.into_iter().enumerate() {
        match rows.last_mut().filter(|_| runs.last() == Some(&unit)) {
            Some(last) => last.end += 1,
            None => {
                runs.push(unit);
                rows.push(i..i + 1);
            }
        }
    }
    over.select(Arc::new(schema), Chunk { runs: Runs::of(runs, rows), columns }, sink)
}

impl Over {
    fn new(select: &Select, bytes: usize) -> Result<Self, RunError> {
        let physical = Physical::new(select)?;
        let row = width(&physical.kinds(select.schema.as_arrow())?) + on_the_way(select, &select.schema)?;
        Ok(Self { most: (bytes / (row * physical.branches().max(1))).clamp(1, MOST_ROWS), physical })
    }

    /// Hands on the selection from a source's rows.
    fn select(&self, schema: SchemaRef, Chunk { runs, columns }: Chunk, sink: Sink<'_>) -> Result<(), RunError> {
        let rows = runs.len();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        for from in (0..rows).step_by(self.most) {
            let some = self.most.min(rows - from);
            let Selected { of, columns } = self.physical.select(&batch.slice(from, some))?;
            let runs = runs.slice(from, some);
            let runs = match of {
                Of::All => runs,
                of => runs.chosen(&of.rows(some)),
            };
            if !runs.rows.is_empty() {
                sink(Chunk { runs, columns })?;
            }
        }
        Ok(())
    }
}
