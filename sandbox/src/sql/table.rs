//! Dense numbers of group keys: declared keys come first, and faster lookups find some keys.

use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::take,
    row::RowConverter,
};
use tidegate_protocol::job::Key;

use super::{
    direct::{Direct, UNKNOWN},
    groups::{Groups, converter},
    keys,
    short::Short,
};
use crate::RunError;

/// Maximum number of undeclared keys in the table before they are removed.
const STRAYS: usize = 1 << 16;

/// Numbering of keys: the first number is 0, and equal keys have equal numbers.
pub(super) struct Table {
    pub(super) groups: Groups,
    /// Faster lookup of known keys.
    direct: Direct,
    short: Short,
    /// Numbers of the last batch, row by row.
    pub(super) numbers: Vec<usize>,
    pub(super) encode: RowConverter,
    declared: Option<Vec<ArrayRef>>,
    /// Bound of the numbers of counted keys: all keys, or the declared ones.
    pub(super) counted: usize,
}

impl Table {
    pub(super) fn new(columns: &[ArrayRef], declared: Option<&[Vec<Key>]>) -> Result<Self, RunError> {
        let mut table = Self {
            groups: Groups::new(columns)?,
            direct: Direct::default(),
            short: Short::default(),
            numbers: Vec::new(),
            encode: converter(columns.iter().map(|column| column.data_type()))?,
            declared: declared.map(|keys| keys::declared(keys, columns)).transpose()?,
            counted: usize::MAX,
        };
        table.begin()?;
        Ok(table)
    }

    /// Numbers these keys, row by row.
    pub(super) fn number(&mut self, columns: &[ArrayRef]) -> Result<(), RunError> {
        match self.direct.find(columns, &mut self.numbers) {
            Some(0) => return Ok(()),
            Some(_) => return self.number_some(columns),
            None => {}
        }
        if !self.short.find(columns, &mut self.numbers) {
            self.groups.number(columns, &mut self.numbers)?;
            self.direct.learn(columns, &self.numbers);
            self.short.learn(&self.numbers);
        }
        Ok(())
    }

    /// Numbers the keys without a number so far.
    fn number_some(&mut self, columns: &[ArrayRef]) -> Result<(), RunError> {
        let rows = (0u64..).zip(&self.numbers).filter(|(_, number)| **number == UNKNOWN).map(|(row, _)| row);
        let rows = rows.collect::<UInt64Array>();
        let some = columns.iter().map(|column| Ok(take(column, &rows, None)?)).collect::<Result<Vec<_>, RunError>>()?;
        let mut numbers = vec![];
        self.groups.number(&some, &mut numbers)?;
        self.direct.learn(&some, &numbers);
        rows.values().iter().zip(numbers).for_each(|(row, number)| self.numbers[*row as usize] = number);
        Ok(())
    }

    /// Empties the table and gives declared keys the first numbers, in their order.
    fn begin(&mut self) -> Result<(), RunError> {
        (self.direct, self.short) = (Direct::default(), Short::default());
        if let Some(declared) = &self.declared {
            self.groups.clear();
            self.groups.number(declared, &mut self.numbers)?;
            if self.numbers.iter().enumerate().any(|(place, number)| place != *number) {
                return Err(RunError::Engine("two declared keys are one".into()));
            }
            self.counted = self.groups.len();
        }
        Ok(())
    }

    /// Returns the encoded keys of these rows.
    pub(super) fn encoded(&self, columns: &[ArrayRef], rows: &UInt64Array) -> Result<arrow::row::Rows, RunError> {
        let taken = columns.iter().map(|c| Ok(take(c, rows, None)?)).collect::<Result<Vec<_>, RunError>>()?;
        Ok(self.encode.convert_columns(&taken)?)
    }

    /// Removes the undeclared keys, once there are many.
    pub(super) fn tidy(&mut self) -> Result<(), RunError> {
        if self.groups.len() > self.counted.saturating_add(STRAYS) { self.begin() } else { Ok(()) }
    }
}
