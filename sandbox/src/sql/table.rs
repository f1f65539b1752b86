//! Group keys as dense numbers, by DataFusion's own group table.

use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::take,
    datatypes::{Field, Schema},
    row::{RowConverter, SortField},
};
use datafusion::physical_plan::aggregates::{
    group_values::{GroupValues, new_group_values},
    order::GroupOrdering,
};
use tidegate_protocol::job::Key;

use super::{direct::Direct, keys, short::Short};
use crate::RunError;

/// Keys beside the declared ones that the table may hold before it is emptied of them.
const STRAYS: usize = 1 << 16;

/// Numbers for keys: the first is 0, and equal keys have equal numbers.
pub(super) struct Table {
    pub(super) values: Box<dyn GroupValues>,
    /// What it knows of, where that is faster.
    direct: Direct,
    short: Short,
    /// The last batch's numbers, row by row.
    pub(super) numbers: Vec<usize>,
    pub(super) encode: RowConverter,
    declared: Option<Vec<ArrayRef>>,
    /// Keys with smaller numbers count: all, or the declared ones.
    pub(super) counted: usize,
}

impl Table {
    pub(super) fn new(columns: &[ArrayRef], declared: Option<&[Vec<Key>]>) -> Result<Self, RunError> {
        let field = |(i, c): (usize, &ArrayRef)| Field::new(i.to_string(), c.data_type().clone(), true);
        let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
        let mut table = Self {
            values: new_group_values(schema.into(), &GroupOrdering::None)?,
            direct: Direct::default(),
            short: Short::default(),
            numbers: Vec::new(),
            encode: RowConverter::new(columns.iter().map(|c| SortField::new(c.data_type().clone())).collect())?,
            declared: declared.map(|keys| keys::declared(keys, columns)).transpose()?,
            counted: usize::MAX,
        };
        table.begin()?;
        Ok(table)
    }

    /// Numbers these keys, row by row.
    pub(super) fn number(&mut self, columns: &[ArrayRef]) -> Result<(), RunError> {
        if !self.direct.find(columns, &mut self.numbers) && !self.short.find(columns, &mut self.numbers) {
            self.values.intern(columns, &mut self.numbers)?;
            self.direct.learn(columns, &self.numbers);
            self.short.learn(&self.numbers);
        }
        Ok(())
    }

    /// Declared keys have the first numbers, in their order.
    fn begin(&mut self) -> Result<(), RunError> {
        (self.direct, self.short) = (Direct::default(), Short::default());
        if let Some(declared) = &self.declared {
            self.values.clear_shrink(0);
            self.values.intern(declared, &mut self.numbers)?;
            if self.numbers.iter().enumerate().any(|(place, number)| place != *number) {
                return Err(RunError::Engine("two declared keys are one".into()));
            }
            self.counted = self.values.len();
        }
        Ok(())
    }

    /// The encoded keys of these rows.
    pub(super) fn encoded(&self, columns: &[ArrayRef], rows: &UInt64Array) -> Result<arrow::row::Rows, RunError> {
        let taken = columns.iter().map(|c| Ok(take(c, rows, None)?)).collect::<Result<Vec<_>, RunError>>()?;
        Ok(self.encode.convert_columns(&taken)?)
    }

    /// Forgets the keys that were not declared, once they are many.
    pub(super) fn tidy(&mut self) -> Result<(), RunError> {
        if self.values.len() > self.counted.saturating_add(STRAYS) { self.begin() } else { Ok(()) }
    }
}
