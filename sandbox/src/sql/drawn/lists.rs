//! Arithmetic over draws: a value of a column is the list of a number's draws, all as long as each other.
//!
//! A list is NULL where the number is, and a draw is NaN where it says nothing.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array, ListArray},
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
};
use datafusion::{
    common::ScalarValue,
    error::{DataFusionError, Result},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

/// Returns the type of a column of draws.
pub(in crate::sql) fn kind() -> DataType {
    DataType::List(item())
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float64, true))
}

/// Builds a column of draws.
///
/// # Errors
/// Returns Arrow's error if there are more than fit in a column.
pub(in crate::sql) fn column(rows: impl IntoIterator<Item = Option<Vec<f64>>>) -> Result<ListArray> {
    let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        valid.push(row.is_some());
        lengths.push(row.as_ref().map_or(0, Vec::len));
        values.extend(row.unwrap_or_default());
    }
    if values.len() > i32::MAX as usize {
        return Err(DataFusionError::Execution("too many draws for a column".into()));
    }
    let values = Arc::new(Float64Array::from(values)) as ArrayRef;
    Ok(ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), values, Some(NullBuffer::from(valid)))?)
}

/// Returns the draws of a row; `None` for NULL.
pub(in crate::sql) fn draws(column: &ListArray, row: usize) -> Option<ScalarBuffer<f64>> {
    column.is_valid(row).then(|| column.value(row).as_primitive::<Float64Type>().values().clone())
}

/// Operation over draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// The first number itself.
    Lifted,
    Negated,
    Plus,
    Minus,
    /// Product. If the released factors follow, a draw in which both have another sign is NaN.
    Times,
    /// Quotient. If the released divisor follows, a draw of another sign is NaN.
    Over,
    /// Nearest whole number, and the even one of two.
    Whole,
    /// Nearest and next number towards zero of so many decimal places, if they follow.
    Round,
    Trunc,
    /// First number within the second and the third.
    Clamp,
    Cbrt,
    Ceil,
    Exp,
    Floor,
    Ln,
    Log10,
    Log2,
    Sqrt,
}

impl Op {
    /// Returns the operation of a function that grows or falls throughout.
    pub(super) fn named(function: &str) -> Option<Self> {
        Some(match function {
            "round" => Self::Round,
            "trunc" => Self::Trunc,
            "clamp" => Self::Clamp,
            "cbrt" => Self::Cbrt,
            "ceil" => Self::Ceil,
            "exp" => Self::Exp,
            "floor" => Self::Floor,
            "ln" => Self::Ln,
            "log10" => Self::Log10,
            "log2" => Self::Log2,
            "sqrt" => Self::Sqrt,
            _ => return None,
        })
    }

    /// Returns whether the operation has no value of some numbers.
    pub(super) fn is_partial(self) -> bool {
        matches!(self, Self::Ln | Self::Log10 | Self::Log2 | Self::Sqrt)
    }

    /// Builds the operation's call.
    pub(super) fn of(self, args: Vec<Expr>) -> Expr {
        ScalarUDF::new_from_impl(Lists { op: self, signature: Signature::variadic_any(Volatility::Immutable) }).call(args)
    }

    /// Computes one draw.
    fn apply(self, values: &[f64]) -> f64 {
        let digits = |of: fn(f64) -> f64, a: f64, places: f64| {
            let scale = 10_f64.powf(places);
            if scale.is_finite() && scale > 0.0 { of(a * scale) / scale } else { a }
        };
        match (self, values) {
            (Self::Lifted, [a, ..]) => *a,
            (Self::Negated, [a, ..]) => -a,
            (Self::Plus, [a, b, ..]) => a + b,
            (Self::Minus, [a, b, ..]) => a - b,
            (Self::Times, [a, b, seen, other]) if seen * a <= 0.0 && other * b <= 0.0 => f64::NAN,
            (Self::Times, [a, b, ..]) => a * b,
            (Self::Over, [_, b, seen]) if seen * b <= 0.0 => f64::NAN,
            (Self::Over, [a, b, ..]) => a / b,
            (Self::Whole, [a, ..]) => a.round_ties_even(),
            (Self::Round, [a, places]) => digits(f64::round, *a, *places),
            (Self::Round, [a, ..]) => a.round(),
            (Self::Trunc, [a, places]) => digits(f64::trunc, *a, *places),
            (Self::Trunc, [a, ..]) => a.trunc(),
            (Self::Clamp, [a, low, high]) if a.is_finite() => a.max(*low).min(*high),
            (Self::Cbrt, [a, ..]) => a.cbrt(),
            (Self::Ceil, [a, ..]) => a.ceil(),
            (Self::Exp, [a, ..]) => a.exp(),
            (Self::Floor, [a, ..]) => a.floor(),
            (Self::Ln, [a, ..]) => a.ln(),
            (Self::Log10, [a, ..]) => a.log10(),
            (Self::Log2, [a, ..]) => a.log2(),
            (Self::Sqrt, [a, ..]) => a.sqrt(),
            _ => f64::NAN,
        }
    }
}

/// Operation over draws as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Lists {
    op: Op,
    signature: Signature,
}

/// An argument: draws of each row, or a number that is the same in all.
enum Operand {
    Draws(ListArray),
    Number(Float64Array),
}

/// An argument's value in a row.
enum InRow {
    Draws(ScalarBuffer<f64>),
    Number(f64),
}

impl Operand {
    fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.as_list_opt::<i32>() {
            Some(draws) => Self::Draws(draws.clone()),
            None => Self::Number(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
        })
    }

    fn row(&self, row: usize) -> Option<InRow> {
        match self {
            Self::Draws(column) => draws(column, row).map(InRow::Draws),
            Self::Number(column) => column.is_valid(row).then(|| InRow::Number(column.value(row))),
        }
    }
}

impl InRow {
    fn draw(&self, draw: usize) -> f64 {
        match self {
            Self::Draws(draws) => draws.get(draw).copied().unwrap_or(f64::NAN),
            Self::Number(number) => *number,
        }
    }
}

impl ScalarUDFImpl for Lists {
    fn name(&self) -> &str {
        "over_draws"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(kind())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let operands = args.args.iter().map(|a| Operand::of(&a.to_array(args.number_rows)?)).collect::<Result<Vec<_>>>()?;
        let mut values = vec![0.0; operands.len()];
        let row = |row: usize| {
            let operands = operands.iter().map(|operand| operand.row(row)).collect::<Option<Vec<_>>>()?;
            let length = |operand: &InRow| if let InRow::Draws(draws) = operand { draws.len() } else { 0 };
            let length = operands.iter().map(length).max().filter(|length| *length > 0).unwrap_or(1);
            let one = |draw: usize| {
                values.iter_mut().zip(&operands).for_each(|(value, operand)| *value = operand.draw(draw));
                self.op.apply(&values)
            };
            Some((0..length).map(one).collect())
        };
        Ok(ColumnarValue::Array(Arc::new(column((0..args.number_rows).map(row))?)))
    }
}

/// Returns SUM or AVG of draws.
pub(super) fn summed(average: bool) -> Arc<AggregateUDF> {
    static BOTH: LazyLock<[Arc<AggregateUDF>; 2]> = LazyLock::new(|| {
        [false, true].map(|average| {
            Arc::new(AggregateUDF::new_from_impl(Summed { average, signature: Signature::any(1, Volatility::Immutable) }))
        })
    });
    BOTH[usize::from(average)].clone()
}

/// SUM or AVG of draws.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Summed {
    average: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Summed {
    fn name(&self) -> &str {
        if self.average { "avg_of_draws" } else { "sum_of_draws" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(kind())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Sums { average: self.average, sums: vec![], rows: 0 }))
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new("sums", kind(), true)), Arc::new(Field::new("rows", DataType::Int64, true))])
    }
}

/// Sums of draws so far.
#[derive(Debug)]
struct Sums {
    average: bool,
    sums: Vec<f64>,
    /// Number of rows that are not NULL.
    rows: i64,
}

impl Sums {
    fn add(&mut self, draws: &[f64], times: f64) {
        if self.sums.len() < draws.len() {
            self.sums.resize(draws.len(), 0.0);
        }
        self.sums.iter_mut().zip(draws).for_each(|(sum, draw)| *sum += times * draw);
    }

    fn all(&mut self, values: &[ArrayRef], times: i64) -> Result<()> {
        let column = values.first().and_then(|column| column.as_list_opt::<i32>()).ok_or_else(no_draws)?;
        for draws in (0..column.len()).filter_map(|row| draws(column, row)) {
            self.add(&draws, times as f64);
            self.rows += times;
        }
        Ok(())
    }

    fn list(&self, times: f64) -> Result<ScalarValue> {
        let sums = (self.rows > 0).then(|| self.sums.iter().map(|sum| sum * times).collect());
        Ok(ScalarValue::List(Arc::new(column([sums])?)))
    }
}

fn no_draws() -> DataFusionError {
    DataFusionError::Internal("no column of draws".into())
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.all(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.all(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.list(if self.average { 1.0 / self.rows as f64 } else { 1.0 })
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.list(1.0)?, ScalarValue::Int64(Some(self.rows))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [sums, rows] = states else { return Err(no_draws()) };
        let sums = sums.as_list_opt::<i32>().ok_or_else(no_draws)?;
        let rows: &Int64Array = rows.as_primitive_opt::<Int64Type>().ok_or_else(no_draws)?;
        for row in 0..sums.len() {
            let Some(draws) = draws(sums, row) else { continue };
            self.add(&draws, 1.0);
            self.rows += rows.value(row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(rows: &[Option<&[f64]>]) -> ArrayRef {
        Arc::new(column(rows.iter().map(|row| row.map(<[f64]>::to_vec))).unwrap())
    }

    #[test]
    fn draws_of_another_sign_say_nothing() {
        assert_eq!(Op::Over.apply(&[6.0, 2.0, 5.0]), 3.0);
        assert!(Op::Over.apply(&[6.0, -2.0, 5.0]).is_nan() && Op::Over.apply(&[6.0, 2.0, 0.0]).is_nan());
        assert_eq!(Op::Over.apply(&[6.0, -2.0]), -3.0);
        assert_eq!(Op::Times.apply(&[-3.0, 2.0, 1.0, 1.0]), -6.0);
        assert!(Op::Times.apply(&[-3.0, -2.0, 1.0, 1.0]).is_nan());
        assert_eq!(Op::Times.apply(&[-3.0, -2.0]), 6.0);
        assert_eq!(Op::Round.apply(&[1.2345, 2.0]), 1.23);
        assert_eq!((Op::Clamp.apply(&[7.0, 0.0, 5.0]), Op::Whole.apply(&[2.5])), (5.0, 2.0));
        assert!(Op::Sqrt.apply(&[-1.0]).is_nan() && Op::Sqrt.is_partial() && Op::named("abs").is_none());
    }

    #[test]
    fn sums_add_up_each_draw_and_take_rows_back() {
        let sums = |average: bool| Sums { average, sums: vec![], rows: 0 };
        let said = |sums: &mut Sums| match sums.evaluate().unwrap() {
            ScalarValue::List(list) => draws(&list, 0).map(|draws| draws.to_vec()),
            other => panic!("{other}"),
        };
        let mut both = [sums(false), sums(true)];
        assert_eq!(both.each_mut().map(said), [None, None], "of no rows");
        both.iter_mut().for_each(|sums| sums.update_batch(&[lists(&[Some(&[1.0, 2.0]), None, Some(&[3.0, 6.0])])]).unwrap());
        assert_eq!(both.each_mut().map(said), [Some(vec![4.0, 8.0]), Some(vec![2.0, 4.0])]);
        both.iter_mut().for_each(|sums| sums.retract_batch(&[lists(&[Some(&[1.0, 2.0]), None])]).unwrap());
        assert_eq!(both.each_mut().map(said), [Some(vec![3.0, 6.0]), Some(vec![3.0, 6.0])]);
        // What was added elsewhere.
        let states: Vec<ArrayRef> = both[0].state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
        both.iter_mut().for_each(|sums| sums.merge_batch(&states).unwrap());
        assert_eq!(both.each_mut().map(said), [Some(vec![6.0, 12.0]), Some(vec![3.0, 6.0])]);
    }
}
