//! Answers of queries computed from released numbers: HAVING, ORDER BY, LIMIT, arithmetic, windows.
//!
//! They are computed here, on the buyer's machine. Only the released table left the owner, and the receipt is for that table.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, RecordBatchOptions, StringArray},
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, UInt64Type},
    error::ArrowError,
    util::display::array_value_to_string,
};
use serde_json::Value;
use tidegate_protocol::{
    job::Key,
    policy::Policy,
    result::{Cell, ResultDoc},
};
use tidegate_sandbox::sql::{Answered, Origins, Simulated};

use crate::{
    NodeError,
    buyer::{
        job_file::JobFile,
        telling::{NO_INTERVAL, TOO_FEW, Telling},
    },
    error::Unverified,
};

/// A table computed from a result.
#[derive(Debug)]
pub struct Answer {
    table: RecordBatch,
    columns: Vec<Column>,
}

/// Origins of a column's values.
#[derive(Debug)]
struct Column {
    /// Indices of the result's columns whose cells this column can show unchanged.
    places: Vec<usize>,
    /// For each row, the released cell shown unchanged, and the index of the cell's column in the result.
    cells: Vec<Option<(usize, Cell)>>,
    /// For each row, whether the value is computed from released cells.
    computed: Vec<bool>,
    /// Whether released cells can be divisors in this column.
    divides: bool,
    /// For each row, the cells used as divisors.
    divisors: Vec<Vec<Cell>>,
    /// Intervals of the computed values; `None` if the column has none.
    simulated: Option<Simulated>,
}

impl Column {
    fn of(origins: Origins, simulated: Option<Simulated>, result: &ResultDoc) -> Self {
        let cell = |(row, place): (usize, usize)| result.rows.get(row)?.cells.get(place).map(|cell| (place, *cell));
        let divisors = |places: Vec<_>| places.into_iter().filter_map(cell).map(|(_, cell)| cell).collect();
        Self {
            places: origins.places,
            cells: origins.cells.into_iter().map(|place| place.and_then(cell)).collect(),
            computed: origins.computed,
            divides: origins.divides > 0,
            divisors: origins.divisors.into_iter().map(divisors).collect(),
            simulated,
        }
    }

    /// Returns the simulated interval of a row's value, whose ends may be infinite.
    fn simulated(&self, row: usize) -> Option<[f64; 2]> {
        self.simulated.as_ref()?.ends.get(row).copied().flatten()
    }

    /// Returns the interval of a row's value: the released cell's, or a simulated one that says something.
    fn interval(&self, row: usize) -> Option<[f64; 2]> {
        let released = self.cells.get(row).and_then(|cell| cell.as_ref()).map(|(_, cell)| [cell.low, cell.high]);
        let zero = |cell: &Cell| cell.low <= 0.0 && cell.high >= 0.0;
        let by_zero = self.divisors.get(row).is_some_and(|cells| cells.iter().any(zero));
        released.or_else(|| self.simulated(row).filter(|ends| !by_zero && ends.iter().all(|end| end.is_finite())))
    }
}

impl Answer {
    /// Computes the answer of `file`'s query from `result`; `None` if the query only names released columns.
    ///
    /// Computed numbers get intervals by simulation of the noise, as `telling` has it. Where that fails they have none, which is
    /// logged.
    ///
    /// # Errors
    /// [`NodeError::Unverified`] if the result is not of this query.
    pub async fn of(
        file: &JobFile,
        policy: &Policy,
        schema: &SchemaRef,
        result: &ResultDoc,
        telling: &Telling,
    ) -> Result<Option<Self>, NodeError> {
        let Some(Ok(query)) = file.query(policy, schema) else { return Ok(None) };
        let Some(view) = query.view else { return Ok(None) };
        let answered = view.answer(result).await.map_err(|e| NodeError::Unverified(Unverified::Answer(e.into())))?;
        let mut simulated = Vec::new();
        if let Some(noise) = telling.noise() {
            let found = view.simulate(result, &answered, noise, &telling.spreads(result)).await;
            simulated = found.unwrap_or_else(|e| {
                tracing::warn!("cannot compute intervals of computed numbers: {e}");
                Vec::new()
            });
        }
        let Answered { table, columns } = answered;
        simulated.resize(columns.len(), None);
        let column = |(origins, simulated)| Column::of(origins, simulated, result);
        Ok(Some(Self { columns: columns.into_iter().zip(simulated).map(column).collect(), table }))
    }

    /// Returns whether the answer shows every released row and number unchanged and nothing else; order and names may differ.
    pub fn is_released(&self, result: &ResultDoc) -> bool {
        let shown = |place: usize| {
            self.columns.iter().any(|column| column.places.contains(&place) && column.cells.iter().all(Option::is_some))
        };
        self.table.num_rows() == result.rows.len()
            && result.remainder.is_none()
            && self.columns.len() == result.keys.len() + result.columns.len()
            && (0..result.columns.len()).all(shown)
            && self.columns.iter().all(|column| !column.computed.contains(&true))
    }

    /// Converts the answer to an Arrow batch, and says of each of its columns whether its numbers are released counts.
    ///
    /// A column of numbers with intervals is followed by their ends, and a column that may rest on too few rows by a note.
    ///
    /// # Errors
    /// Returns Arrow's error if the columns do not form a batch.
    pub fn batch(&self, telling: &Telling) -> Result<(RecordBatch, Vec<bool>), ArrowError> {
        let (mut fields, mut columns, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (field, column)) in self.table.schema().fields().iter().zip(self.table.columns()).enumerate() {
            fields.push(field.clone());
            columns.push(column.clone());
            let is_count = self.is_count(telling, at);
            counts.push(is_count);
            if let Some(of) = self.columns.get(at).filter(|column| !column.places.is_empty() || column.simulated.is_some()) {
                let rows = 0..self.table.num_rows();
                let of = |end: usize| rows.clone().map(|row| of.interval(row).map(|ends| ends[end])).collect::<Vec<_>>();
                for (end, values) in [("low", of(0)), ("high", of(1))] {
                    fields.push(Arc::new(Field::new(format!("{}_{end}", field.name()), DataType::Float64, true)));
                    columns.push(Arc::new(Float64Array::from(values)) as ArrayRef);
                    counts.push(is_count);
                }
            }
            let notes: Vec<_> = (0..self.table.num_rows()).map(|row| self.note(telling, at, row)).collect();
            if self.can_be_untold(telling, at) || notes.iter().any(Option::is_some) {
                fields.push(Arc::new(Field::new(format!("{}_note", field.name()), DataType::Utf8, true)));
                columns.push(Arc::new(StringArray::from(notes)));
                counts.push(false);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.table.num_rows()));
        Ok((RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?, counts))
    }

    /// Returns the column names.
    pub fn columns(&self) -> Vec<String> {
        self.table.schema().fields().iter().map(|f| f.name().clone()).collect()
    }

    /// Returns the rows as JSON values.
    pub fn rows(&self) -> Vec<Vec<Value>> {
        (0..self.table.num_rows()).map(|row| self.table.columns().iter().map(|column| value(column, row)).collect()).collect()
    }

    /// Returns whether a column's released numbers are counts of units or rows.
    pub fn is_count(&self, telling: &Telling, column: usize) -> bool {
        let released = self.columns.get(column).map(|column| column.places.as_slice()).unwrap_or_default();
        !released.is_empty() && released.iter().all(|place| telling.is_count(*place))
    }

    /// Returns whether a column's values are numbers, also where JSON has them as text.
    pub fn is_number(&self, column: usize) -> bool {
        self.table.schema().fields().get(column).is_some_and(|field| field.data_type().is_numeric())
    }

    /// Returns the released cell shown unchanged by a value, if any.
    pub fn cell(&self, column: usize, row: usize) -> Option<&Cell> {
        self.placed(column, row).map(|(_, cell)| cell)
    }

    /// Like [`Answer::cell`], with the index of the cell's column in the result.
    fn placed(&self, column: usize, row: usize) -> Option<&(usize, Cell)> {
        self.columns.get(column)?.cells.get(row)?.as_ref()
    }

    /// Returns a value's interval: the one of the released cell that it shows, or the one of a computed number.
    pub fn interval(&self, column: usize, row: usize) -> Option<[f64; 2]> {
        self.columns.get(column)?.interval(row)
    }

    /// Returns whether values of a column can rest on too few rows.
    fn can_be_untold(&self, telling: &Telling, column: usize) -> bool {
        let can = |column: &Column| {
            let endless = |ends: &[f64; 2]| ends.iter().any(|end| end.is_infinite());
            let partial = column
                .simulated
                .as_ref()
                .is_some_and(|simulated| simulated.partial || simulated.ends.iter().flatten().any(endless));
            column.divides || partial || column.places.iter().any(|place| telling.can_be_untold(*place))
        };
        self.columns.get(column).is_some_and(can)
    }

    /// Returns whether a value is meaningless: released from too few rows, computed from such, or divided by a number not
    /// distinguishable from zero.
    fn is_too_few(&self, telling: &Telling, column: usize, row: usize) -> bool {
        if self.placed(column, row).is_some_and(|(place, cell)| telling.is_too_few(*place, cell)) {
            return true;
        }
        let ends = self.columns.get(column).and_then(|column| column.simulated(row));
        if ends.is_some_and(|ends| ends.iter().any(|end| end.is_infinite())) {
            return true;
        }
        let divisors = self.columns.get(column).and_then(|column| column.divisors.get(row));
        divisors.is_some_and(|cells| cells.iter().any(|cell| cell.low <= 0.0 && cell.high >= 0.0))
    }

    /// Returns the note on a value, if there is one: meaningless, or computed from released cells in a way that has no interval.
    pub fn note(&self, telling: &Telling, column: usize, row: usize) -> Option<&'static str> {
        if self.is_too_few(telling, column, row) {
            return Some(TOO_FEW);
        }
        let computed = self.columns.get(column).and_then(|column| column.computed.get(row));
        let bare = computed.is_some_and(|computed| *computed) && self.interval(column, row).is_none();
        bare.then_some(NO_INTERVAL)
    }

    /// Returns the notes of all rows.
    pub fn notes(&self, telling: &Telling) -> Vec<Vec<Option<&'static str>>> {
        let row = |row| (0..self.table.num_columns()).map(|column| self.note(telling, column, row)).collect();
        (0..self.table.num_rows()).map(row).collect()
    }

    /// Returns the intervals of all rows, `None` for values without one.
    pub fn intervals(&self) -> Vec<Vec<Option<[f64; 2]>>> {
        let row = |row| (0..self.columns.len()).map(|column| self.interval(column, row)).collect();
        (0..self.table.num_rows()).map(row).collect()
    }
}

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let one = array.slice(row, 1);
    let kind = array.data_type();
    let number = |to: &DataType| cast(&one, to).ok();
    let integer = |key: Key| serde_json::to_value(key).unwrap_or_default();
    let text = || array_value_to_string(array, row).map_or(Value::Null, Value::from);
    match kind {
        DataType::Boolean => Value::from(one.as_boolean().value(0)),
        // As for keys: text beyond what a double holds exactly.
        DataType::UInt64 => integer(Key::integer(one.as_primitive::<UInt64Type>().value(0))),
        kind if kind.is_integer() => {
            number(&DataType::Int64).map_or_else(text, |n| integer(Key::integer(n.as_primitive::<Int64Type>().value(0))))
        }
        kind if kind.is_floating() => {
            let float = number(&DataType::Float64).map(|n| n.as_primitive::<Float64Type>().value(0));
            // JSON has no NaN and no infinity.
            float.and_then(serde_json::Number::from_f64).map_or_else(text, Value::Number)
        }
        _ => text(),
    }
}
