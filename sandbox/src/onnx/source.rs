//! Mapping of the select's columns to the inputs of a model.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, UInt8Type},
};
use datafusion::logical_expr::ExprSchemable as _;
use tidegate_protocol::{Refusal, Shorten as _};

use super::{
    graph::{Input, refuse},
    inference::{Inference, Values},
    lower::Words,
    prove::tensor::Elem,
};
use crate::{RunError, sql::Select};

/// Source of an input's values.
#[derive(Debug, Clone)]
struct Part {
    elem: Elem,
    /// Number of values in a row.
    width: usize,
    /// Texts named by the model, if the input takes texts.
    words: Option<Arc<Words>>,
    /// Whether a single column of bytes holds a row's values, little-endian, rather than a column for each value.
    bytes: bool,
    columns: Vec<usize>,
}

/// Columns of the select, by input.
#[derive(Debug, Clone)]
pub(super) struct Source {
    inputs: Vec<Part>,
    label: Option<usize>,
}

/// Column converted to a model's type.
pub(super) struct Made {
    input: usize,
    elem: Elem,
    array: ArrayRef,
    flags: Vec<u8>,
}

/// Columns of some rows, converted to a model's types.
pub(super) struct Rows {
    /// Columns by input, in the order of a row's values.
    columns: Vec<Made>,
    /// Rows with all values present; the model's numbers for other rows do not count.
    ///
    /// A missing float is not absent, but NaN.
    pub(super) whole: Option<NullBuffer>,
    pub(super) label: Option<Vec<f64>>,
}

impl Source {
    /// Assigns columns to inputs, in order: a single column of bytes, or as many columns as a row has values.
    pub(super) fn of(select: &Select, inputs: &[Input], label: Option<&str>) -> Result<Self, Refusal> {
        let bad = |message: String| refuse(message).at("program.select");
        let branch = select.branches.first().ok_or_else(|| bad("nothing is selected".into()))?;
        let kinds = branch.columns.iter().map(|e| e.get_type(&*select.schema)).collect::<Result<Vec<_>, _>>();
        let kinds = kinds.map_err(|e| bad(e.strip_backtrace()))?;
        let label = label.map(|label| {
            let found = select.names.iter().position(|name| name == label);
            let columns = || select.names.iter().take(16).map(|name| name.shorten()).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| {
                refuse(format!("names no column of the query: {:?}", label.shorten()))
                    .at("program.label")
                    .fix(format!("Columns: {}", columns()))
            })
        });
        let label = label.transpose()?;
        let mut columns = (0..kinds.len()).filter(|i| Some(*i) != label).peekable();
        let features = kinds.len() - usize::from(label.is_some());
        let mut parts = Vec::new();
        for input in inputs {
            let width = input.width() as usize;
            // A truth value or text is not accepted as bytes.
            let bytes = input.elem != Elem::Bool && input.words.is_none() && columns.peek().is_some_and(|i| is_bytes(&kinds[*i]));
            let mine: Vec<usize> = columns.by_ref().take(if bytes { 1 } else { width }).collect();
            if mine.len() < if bytes { 1 } else { width } {
                let wanted: u64 = inputs.iter().map(Input::width).sum();
                return Err(bad(format!("the input takes {wanted} features, the query selects {features}")));
            }
            let texts = input.words.is_some();
            let fits = |kind: &DataType| if texts { is_text(kind) } else { bytes || kind.is_numeric() || is_flag(kind) };
            if let Some(other) = mine.iter().find(|i| !fits(&kinds[**i])) {
                let (name, given) = (select.names[*other].shorten(), input.name.shorten());
                let takes = if texts { "texts" } else { "numbers" };
                let refusal = bad(format!("column {name:?} is {}, input {given:?} takes {takes}", kinds[*other]));
                return Err(if texts { refusal.fix(format!("CAST({name} AS TEXT)")) } else { refusal });
            }
            parts.push(Part { elem: input.elem, width, words: input.words.clone(), bytes, columns: mine });
        }
        if columns.next().is_some() {
            let wanted: u64 = inputs.iter().map(Input::width).sum();
            return Err(bad(format!("the input takes {wanted} features, the query selects {features}")));
        }
        Ok(Self { inputs: parts, label })
    }

    /// Converts the selected columns of some rows for the model.
    pub(super) fn rows(&self, selected: &[ArrayRef]) -> Result<Rows, RunError> {
        let mut rows = Rows { columns: vec![], whole: None, label: None };
        for (number, input) in self.inputs.iter().enumerate() {
            for column in &input.columns {
                let (made, whole) = make(input, &selected[*column])?;
                rows.whole = NullBuffer::union(rows.whole.as_ref(), whole.as_ref());
                rows.columns.push(Made { input: number, ..made });
            }
        }
        if let Some(label) = self.label {
            let label = cast(&selected[label], &DataType::Float64)?;
            rows.label = Some(label.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN)).collect());
        }
        Ok(rows)
    }
}

fn is_flag(kind: &DataType) -> bool {
    matches!(kind, DataType::Boolean | DataType::Null)
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, value) => is_text(value),
        kind => kind.is_string() || *kind == DataType::Null,
    }
}

fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// Converts a column to the type of `input`; also returns the validity of its values.
fn make(input: &Part, column: &ArrayRef) -> Result<(Made, Option<NullBuffer>), RunError> {
    let made = |array: ArrayRef, flags: Vec<u8>| Made { input: 0, elem: input.elem, array, flags };
    if input.bytes {
        let array = cast(column, &DataType::Binary)?;
        let size = input.width * input.elem.bytes() as usize;
        let binary = array.as_binary::<i32>();
        let whole: NullBuffer =
            (0..binary.len()).map(|i| binary.is_valid(i) && binary.value(i).len() == size).collect::<Vec<_>>().into();
        return Ok((made(array, vec![]), (whole.null_count() > 0).then_some(whole)));
    }
    if let Some(words) = &input.words {
        let texts = cast(column, &DataType::LargeUtf8)?;
        let missing = texts.logical_nulls().filter(|n| n.null_count() > 0);
        let numbers = texts.as_string::<i64>().iter().map(|text| text.map_or(0, |text| words.number(text.as_bytes())));
        return Ok((made(Arc::new(Int64Array::from_iter_values(numbers)), vec![]), missing));
    }
    let kind = match input.elem {
        Elem::F32 => DataType::Float32,
        Elem::F64 => DataType::Float64,
        Elem::I32 => DataType::Int32,
        Elem::I64 => DataType::Int64,
        Elem::U8 => DataType::UInt8,
        Elem::Bool => DataType::Boolean,
        other => return Err(RunError::Engine(format!("no column is {other:?}"))),
    };
    // A value that does not fit the type becomes a missing value.
    let array = if *column.data_type() == kind { column.clone() } else { cast(column, &kind)? };
    let missing = array.logical_nulls().filter(|n| n.null_count() > 0);
    let array: ArrayRef = match (input.elem, &missing) {
        (_, None) => array,
        (Elem::F32, Some(_)) => {
            let values = array.as_primitive::<Float32Type>().iter().map(|v| v.unwrap_or(f32::NAN));
            return Ok((made(Arc::new(values.collect::<arrow::array::Float32Array>()), vec![]), None));
        }
        (Elem::F64, Some(_)) => {
            let values = array.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN));
            return Ok((made(Arc::new(values.collect::<arrow::array::Float64Array>()), vec![]), None));
        }
        _ => array,
    };
    let flags = match input.elem {
        Elem::Bool => array.as_boolean().values().iter().map(u8::from).collect(),
        _ => vec![],
    };
    Ok((made(array, flags), missing))
}

impl Rows {
    /// Writes the rows, starting with row `from`, to their places.
    pub(super) fn write(&self, inference: &dyn Inference, places: &[u32], from: usize) {
        for input in self.columns.chunk_by(|a, b| a.input == b.input) {
            let columns: Vec<Values<'_>> = input.iter().map(|column| column.values().from(from)).collect();
            inference.write(input[0].input, places, &columns);
        }
    }
}

impl Made {
    /// Returns the values.
    fn values(&self) -> Values<'_> {
        if let Some(rows) = self.array.as_binary_opt::<i32>() {
            return Values::Rows(rows, 0);
        }
        match self.elem {
            Elem::F64 => Values::F64(self.array.as_primitive::<Float64Type>().values()),
            Elem::I32 => Values::I32(self.array.as_primitive::<Int32Type>().values()),
            Elem::I64 => Values::I64(self.array.as_primitive::<Int64Type>().values()),
            Elem::U8 => Values::U8(self.array.as_primitive::<UInt8Type>().values()),
            Elem::Bool => Values::U8(&self.flags),
            _ => Values::F32(self.array.as_primitive::<Float32Type>().values()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Float32Array, Int64Array};

    use super::*;

    /// Columns of the model's own types are handed on where they lie: what is written to a runner's tensors is their only copy.
    #[test]
    fn columns_of_the_right_type_are_not_copied() {
        let floats = Float32Array::from(vec![1.0, 2.0]);
        let words = Int64Array::from(vec![1, 2]);
        let bytes = BinaryArray::from(vec![&[1u8, 2][..], &[3, 4]]);
        let part = |elem, width, bytes, column| Part { elem, width, words: None, bytes, columns: vec![column] };
        let source = Source {
            inputs: vec![part(Elem::F32, 1, false, 0), part(Elem::I64, 1, false, 1), part(Elem::U8, 2, true, 2)],
            label: None,
        };
        let columns: [ArrayRef; 3] = [Arc::new(floats.clone()), Arc::new(words.clone()), Arc::new(bytes.clone())];
        let rows = source.rows(&columns).unwrap();
        for made in &rows.columns {
            let same = match made.values() {
                Values::F32(values) => values.as_ptr() == floats.values().as_ptr(),
                Values::I64(values) => values.as_ptr() == words.values().as_ptr(),
                Values::Rows(values, 0) => values.values().as_ptr() == bytes.values().as_ptr(),
                other => panic!("{other:?}"),
            };
            assert!(same, "{:?} was copied", made.elem);
        }
        // A value that is missing takes one more: there is no tensor with holes.
        let holes: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.0), None]));
        let rows = source.rows(&[holes, columns[1].clone(), columns[2].clone()]).unwrap();
        let Values::F32(values) = rows.columns[0].values() else { panic!("no floats") };
        assert!(values[0] == 1.0 && values[1].is_nan() && rows.whole.is_none());
    }

    /// A value that does not fit, or is missing where there is no such number, fails its own row.
    #[test]
    fn a_row_with_a_value_missing_is_no_whole_row() {
        let source =
            |elem, width, bytes| Source { inputs: vec![Part { elem, width, words: None, bytes, columns: vec![0] }], label: None };
        let whole =
            |source: Source, column: ArrayRef| source.rows(&[column]).unwrap().whole.map(|w| w.iter().collect::<Vec<_>>());
        let floats: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.0), None, Some(1e30)]));
        assert_eq!(whole(source(Elem::I64, 1, false), floats.clone()), Some(vec![true, false, false]));
        assert_eq!(whole(source(Elem::F64, 1, false), floats), None);
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&[1u8, 2][..]), Some(&[3]), None, Some(&[4, 5, 6])]));
        assert_eq!(whole(source(Elem::U8, 2, true), bytes), Some(vec![true, false, false, false]));
    }
}
