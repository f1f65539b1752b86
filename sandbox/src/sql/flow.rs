//! Batches of the dataset's rows on their way through aggregation by unit and joins on the unit, to the select whose rows are counted.
//!
//! Rows are ordered by unit, so once a batch has come, all units below its last row's are whole: no more than a batch and some units' rows wait.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};
use tidegate_protocol::limits;

use super::{
    input::{Input, Source},
    per_unit::{Done, Folding, PerUnit},
    unit_join::Joining,
};
use crate::{
    RunError,
    units::{Chunk, Of, Physical, Runs, Selected, UnitRef, shorten},
};

/// Takes rows.
type Sink<'s> = &'s mut dyn FnMut(Chunk) -> Result<(), RunError>;

/// An input, on one thread.
pub(super) enum Flow<'a> {
    /// The leaf of this number.
    Leaf(usize),
    /// One row a unit.
    PerUnit { input: Box<Flow<'a>>, stage: &'a PerUnit, folding: Folding, over: Physical },
    /// Two inputs' rows, joined.
    Join { inputs: Box<[Flow<'a>; 2]>, joining: Box<Joining<'a>>, over: Physical },
}

impl<'a> Flow<'a> {
    /// Begins.
    ///
    /// # Errors
    /// [`RunError::Engine`] for what admission should have found.
    pub(super) fn new(input: &'a Input) -> Result<Self, RunError> {
        Self::numbered(input, &mut 0)
    }

    fn numbered(input: &'a Input, next: &mut usize) -> Result<Self, RunError> {
        Ok(match &input.source {
            Source::Rows => {
                *next += 1;
                Self::Leaf(*next - 1)
            }
            Source::PerUnit(stage) => Self::PerUnit {
                input: Box::new(Self::numbered(&stage.input, next)?),
                stage,
                folding: stage.begin()?,
                over: Physical::new(&input.select)?,
            },
            Source::Join(join) => Self::Join {
                inputs: Box::new([Self::numbered(&join.first, next)?, Self::numbered(&join.second, next)?]),
                joining: Box::new(Joining::new(join)?),
                over: Physical::new(&input.select)?,
            },
        })
    }

    /// Takes what the leaves select of a batch, in their order, whose last row is of unit `at`, and hands on the rows that are made of it and of what
    /// waited. Without `at`, of all that waits.
    ///
    /// # Errors
    /// `sink`'s own; [`RunError`] of the engine.
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
                    units_done(stage, over, done, sink)
                })?;
                let done = folding.close(at)?;
                units_done(stage, over, done, sink)
            }
            Self::Join { inputs, joining, over } => {
                let schema = joining.schema.clone();
                let made = &mut |chunk| selected(over, schema.clone(), chunk, sink);
                // The one that may make many rows of few goes through in pieces, once the other's rows are here.
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
            Self::PerUnit { input, .. } => input.joins(),
            Self::Join { .. } => true,
        }
    }
}

/// Hands on what `over` selects of units that are done.
fn units_done(stage: &PerUnit, over: &Physical, (units, columns): Done, sink: Sink<'_>) -> Result<(), RunError> {
    if units.is_empty() {
        return Ok(());
    }
    let field = |(f, c): (&Arc<Field>, &ArrayRef)| Field::new(f.name(), c.data_type().clone(), true);
    let schema = Schema::new(stage.schema.fields().iter().zip(&columns).map(field).collect::<Vec<_>>());
    let rows = (0..units.len()).map(|i| i..i + 1).collect();
    selected(over, Arc::new(schema), Chunk { runs: Runs::of(units, rows), columns }, sink)
}

/// Hands on what `over` selects of a source's rows.
fn selected(over: &Physical, schema: SchemaRef, chunk: Chunk, sink: Sink<'_>) -> Result<(), RunError> {
    let options = RecordBatchOptions::new().with_row_count(Some(chunk.runs.len()));
    let batch = RecordBatch::try_new_with_options(schema, chunk.columns, &options)?;
    let Selected { of, columns } = over.select(&batch)?;
    let runs = match of {
        Of::All => chunk.runs,
        some => chunk.runs.chosen(&some.rows(chunk.runs.len())),
    };
    if runs.rows.is_empty() { Ok(()) } else { sink(Chunk { runs, columns }) }
}
