//! The first of each unit's rows, in an order that is theirs alone: what ROW_NUMBER() OVER (PARTITION BY unit ORDER BY …) = 1 and DISTINCT ON (unit) say.
//!
//! Rows are ordered by unit, so one row waits: the best so far of the unit that a batch ends with. Of rows that the order holds for alike the one that comes first is taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::{SortOptions, cast, interleave, take},
    datatypes::{DataType, Field, Schema},
    row::{RowConverter, SortField},
};
use datafusion::{common::DFSchema, logical_expr::ExprSchemable as _};
use tidegate_protocol::{Refusal, limits, policy::ColumnRule};

use super::{input::Input, per_unit::Done, refuse, said::engine, select::Branch};
use crate::{
    RunError,
    units::{Runs, Unit, UnitRef, shorten},
};

/// An admitted choice of each unit's first row.
#[derive(Debug, Clone)]
pub(super) struct First {
    /// Columns, and then what they are ordered by.
    pub(super) input: Input,
    order: Vec<SortOptions>,
    /// The columns.
    pub(super) schema: Arc<DFSchema>,
    pub(super) bounds: BTreeMap<String, ColumnRule>,
}

impl First {
    /// Of an input whose last columns are to be ordered by.
    pub(super) fn new(input: Input, order: Vec<SortOptions>, bounds: BTreeMap<String, ColumnRule>) -> Result<Self, Refusal> {
        let schema = schema_of(&input, order.len())?;
        let first = Self { input, order, schema, bounds };
        first.begin().map_err(|e| refuse(e).fix("Order by numbers, texts or dates"))?;
        Ok(first)
    }

    /// Leaves out all columns but these.
    pub(super) fn keep(&mut self, read: &BTreeSet<String>) -> Result<(), Refusal> {
        let select = &mut self.input.select;
        let keys = select.names.len() - self.order.len();
        let kept: Vec<usize> = (0..select.names.len()).filter(|i| *i >= keys || read.contains(&select.names[*i])).collect();
        let columns = |b: &Branch| kept.iter().map(|i| b.columns[*i].clone()).collect();
        select.branches = select.branches.iter().map(|b| Branch { filter: b.filter.clone(), columns: columns(b) }).collect();
        select.names = kept.iter().map(|i| select.names[*i].clone()).collect();
        self.input.prune()?;
        self.schema = schema_of(&self.input, self.order.len())?;
        Ok(())
    }

    /// Begins.
    ///
    /// # Errors
    /// [`RunError`] where a type has no order: found at admission.
    pub(super) fn begin(&self) -> Result<Taking, RunError> {
        let kinds = kinds(&self.input).map_err(|e| RunError::Engine(e.to_string()))?;
        let keys = kinds[kinds.len() - self.order.len()..].iter().zip(&self.order);
        let fields = keys.map(|(kind, order)| SortField::new_with_options(kind.clone(), *order)).collect();
        Ok(Taking { encode: RowConverter::new(fields)?, columns: kinds.len() - self.order.len(), kinds, open: None })
    }
}

fn kinds(input: &Input) -> Result<Vec<DataType>, Refusal> {
    let schema = &input.select.schema;
    input.select.branches[0].columns.iter().map(|e| e.get_type(&**schema).map_err(|e| engine(&e))).collect()
}

fn schema_of(input: &Input, keys: usize) -> Result<Arc<DFSchema>, Refusal> {
    let named = input.select.names.iter().zip(kinds(input)?).take(input.select.names.len() - keys);
    let fields: Vec<Field> = named.map(|(name, kind)| Field::new(name, kind, true)).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(refuse)?))
}

/// One thread's choice.
pub(super) struct Taking {
    encode: RowConverter,
    kinds: Vec<DataType>,
    columns: usize,
    open: Option<Open>,
}

/// The best row so far of the unit that the last batch ended with.
struct Open {
    unit: Unit,
    key: Vec<u8>,
    row: Vec<ArrayRef>,
}

impl Taking {
    /// Adds a batch; gives the units that are done with it.
    pub(super) fn batch(&mut self, runs: &Runs, columns: &[ArrayRef]) -> Result<Done, RunError> {
        let column = |(column, kind): (&ArrayRef, &DataType)| {
            let column = shorten(column, limits::TEXT_CHARS)?;
            Ok(if column.data_type() == kind { column } else { cast(&column, kind)? })
        };
        let columns = columns.iter().zip(&self.kinds).map(column).collect::<Result<Vec<_>, RunError>>()?;
        let (columns, keys) = columns.split_at(self.columns);
        let keys = self.encode.convert_columns(keys)?;
        // Rows of this batch, or the one that waited.
        let mut best: Vec<(Unit, Option<usize>)> = self.open.iter().map(|open| (open.unit.clone(), None)).collect();
        for (i, rows) in runs.rows.iter().enumerate() {
            let Some(row) = rows.clone().min_by(|a, b| keys.row(*a).cmp(&keys.row(*b))) else { continue };
            match best.last_mut().filter(|(unit, _)| unit.as_ref() == runs.unit(i)) {
                Some((_, was)) => {
                    let sooner = match (*was, &self.open) {
                        (Some(was), _) => keys.row(row) < keys.row(was),
                        (None, Some(open)) => keys.row(row).data() < open.key.as_slice(),
                        (None, None) => true,
                    };
                    if sooner {
                        *was = Some(row);
                    }
                }
                None => best.push((runs.unit(i).to_owned(), Some(row))),
            }
        }
        let waited = self.open.take();
        let Some((unit, last)) = best.pop() else { return Ok((vec![], vec![])) };
        let open = match (last, &waited) {
            (Some(row), _) => {
                let one = UInt64Array::from(vec![row as u64]);
                let row_of = columns.iter().map(|c| take(c, &one, None)).collect::<Result<_, _>>()?;
                Some(Open { unit, key: keys.row(row).data().to_vec(), row: row_of })
            }
            (None, _) => None,
        };
        let places: Vec<(usize, usize)> = best.iter().map(|(_, row)| row.map_or((1, 0), |row| (0, row))).collect();
        let done = |i: usize| {
            let of: Vec<&dyn arrow::array::Array> =
                std::iter::once(&columns[i]).chain(waited.iter().map(|open| &open.row[i])).map(AsRef::as_ref).collect();
            interleave(&of, &places)
        };
        let made = if best.is_empty() { vec![] } else { (0..self.columns).map(done).collect::<Result<_, _>>()? };
        self.open = open.or(waited);
        Ok((best.into_iter().map(|(unit, _)| unit).collect(), made))
    }

    /// The last unit, where it is below `at`, or there are no more.
    pub(super) fn close(&mut self, at: Option<UnitRef<'_>>) -> Done {
        let done = self.open.take_if(|open| at.is_none_or(|at| open.unit.as_ref() < at));
        done.map_or_else(Default::default, |open| (vec![open.unit], open.row))
    }
}
