//! Operators `+` and `-` of dates, times and intervals, before type coercion.

use datafusion::{
    arrow::datatypes::{DataType, IntervalMonthDayNano},
    common::{DFSchema, ScalarValue},
    error::Result,
    logical_expr::{
        Expr, ExprSchemable as _,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};
use tidegate_protocol::Refusal;

use super::{
    super::{literal::constant, refuse, written::written},
    calls::{self, call},
    what::{What, external},
};

/// Names of the arithmetic functions, which no SQL text can name.
pub(super) const DAYS: &str = "days between";
pub(super) const SPAN: &str = "time between";
pub(super) const ON: &str = "moved on";
pub(super) const BACK: &str = "moved back";
pub(super) const TIMES: &str = "so many times";

/// Planner for the arithmetic of dates and times.
#[derive(Debug)]
pub(in crate::sql) struct Arithmetic;

/// Kind of a value in this arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Time,
    Interval,
    Whole,
    Number,
    Other,
}

fn kind(kind: &DataType) -> Kind {
    match kind {
        DataType::Date32 => Kind::Date,
        DataType::Date64 | DataType::Timestamp(..) => Kind::Time,
        DataType::Interval(_) => Kind::Interval,
        kind if kind.is_integer() => Kind::Whole,
        kind if kind.is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

/// Returns the literal interval in an expression, which may be multiplied by a number.
fn interval(expr: &Expr) -> Option<IntervalMonthDayNano> {
    if let Expr::ScalarFunction(call) = expr
        && calls::of(&call.func) == Some(&What::Times)
    {
        return interval(call.args.first()?);
    }
    let value = constant(expr)?.cast_to(&DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano)).ok()?;
    if let ScalarValue::IntervalMonthDayNano(value) = value { value } else { None }
}

fn moved(what: What, time: Expr, of: Kind, by: Expr) -> std::result::Result<Expr, Refusal> {
    let shown = written(&time);
    let Some(value) = interval(&by) else {
        return Err(refuse(format!("{shown} is moved by an interval that is no literal"))
            .fix(format!("Write {shown} + INTERVAL '1 day' * n, where n is a whole number")));
    };
    if of == Kind::Date && value.nanoseconds != 0 {
        return Err(refuse(format!("{shown} is a DATE, which has no hours"))
            .fix(format!("Write CAST({shown} AS TIMESTAMP) beside the interval")));
    }
    let name = if what == What::On { ON } else { BACK };
    Ok(call(what, name, vec![time, by]))
}

impl ExprPlanner for Arithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let kinds = [&expr.left, &expr.right].map(|e| e.get_type(schema).map_or(Kind::Other, |found| kind(&found)));
        let RawBinaryExpr { op, left, right } = expr;
        use Kind::{Date, Interval, Number, Time, Whole};
        let made = match (&op, kinds) {
            (BinaryOperator::Minus, [Date, Date]) => Ok(call(What::Days, DAYS, vec![left, right])),
            (BinaryOperator::Minus, [Date | Time, Date | Time]) => Ok(call(What::Span, SPAN, vec![left, right])),
            (BinaryOperator::Plus, [of @ (Date | Time), Interval]) => moved(What::On, left, of, right),
            (BinaryOperator::Plus, [Interval, of @ (Date | Time)]) => moved(What::On, right, of, left),
            (BinaryOperator::Minus, [of @ (Date | Time), Interval]) => moved(What::Back, left, of, right),
            (BinaryOperator::Plus, [Date, Whole]) => Ok(call(What::On, ON, vec![left, right])),
            (BinaryOperator::Plus, [Whole, Date]) => Ok(call(What::On, ON, vec![right, left])),
            (BinaryOperator::Minus, [Date, Whole]) => Ok(call(What::Back, BACK, vec![left, right])),
            (BinaryOperator::Multiply, [Interval, Whole | Number]) => Ok(call(What::Times, TIMES, vec![left, right])),
            (BinaryOperator::Multiply, [Whole | Number, Interval]) => Ok(call(What::Times, TIMES, vec![right, left])),
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        };
        made.map(PlannerResult::Planned).map_err(external)
    }
}
