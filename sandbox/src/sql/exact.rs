//! Exact values: no comparison changes or loses a value by a change of type, and equal numbers are equal whatever their bits.
//!
//! The planner coerces types by casts: dates become nanoseconds, which end in 2262, and integers become floats, which end at
//! 2^53. Where values are compared, these casts are taken off again: a literal becomes a value of the column's type
//! ([`literal`]), and columns of different types are compared by value ([`order`]). Elsewhere times have microseconds, which
//! every calendar fits.
//!
//! A float that is no number is NULL, and a zero has no sign, wherever an expression or the plan above looks at it
//! ([`SETTLED`](super::own::SETTLED)). Functions that pass both on are listed ([`PASSES`]); anything else that takes a float
//! looks at it.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{DFSchema, DataFusionError, ScalarValue, tree_node::Transformed, tree_node::TreeNode as _},
    logical_expr::{Between, BinaryExpr, Case, Cast, Expr, ExprSchemable as _, Operator, TryCast, expr::InList},
};
use tidegate_protocol::Refusal;

use self::{
    cast::{carried, converted, is_lossy, strip},
    guessed::guessed,
    literal::{Placed, placed},
    order::ordered,
};
use super::{
    clamp::CLAMP,
    kinds,
    own::{NEAREST, REMAINDER, SETTLED, settled},
    place, refuse, times,
    written::written,
};

mod case;
mod cast;
mod guessed;
mod literal;
mod order;
mod trunc;
pub(super) mod whole;
mod zone;

pub(super) use cast::{checked, is_written, mark};
use guessed::float_again;
pub(super) use guessed::one_number;
pub(super) use literal::ticks;
pub(super) use order::ORDER;
pub(super) use trunc::is_cut;
pub(super) use zone::{CLOCK, INSTANT, UNZONED, clock, has_zone, instant};

/// Functions with the value NaN for NaN, and for both zeros the same number or a zero.
const PASSES: [&str; 27] = [
    "abs", "acos", "asin", "atan", "cbrt", "ceil", CLAMP, "cos", "cosh", "degrees", "exp", "floor", "isnan", "ln", "log10",
    "log2", NEAREST, "nanvl", "pi", "radians", REMAINDER, "round", "signum", "sin", "sinh", "sqrt", SETTLED,
];

/// Makes `expr`, which is total, exact over a source of this schema.
///
/// # Errors
/// Returns a [`Refusal`] for values that no type holds together.
pub(super) fn exact(expr: Expr, schema: &DFSchema) -> Result<Expr, Refusal> {
    let mut refused = None;
    let expr = whole::texts(expr, schema).map_err(|e| super::engine(&e))?;
    let made = expr.transform_up(|e| match node(e, schema) {
        Ok(made) => Ok(Transformed::yes(made)),
        Err(refusal) => {
            refused = Some(refusal);
            Err(DataFusionError::Plan(String::new()))
        }
    });
    made.map(|made| made.data).map_err(|e| refused.unwrap_or_else(|| super::engine(&e)))
}

/// Returns whether numbers of a type have NaN and two zeros.
fn is_float(kind: &DataType) -> bool {
    kind.is_floating()
}

/// Settles a float: a single zero, and NULL in place of NaN; other expressions stay.
pub(super) fn number(expr: Expr, schema: &DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(kind) if is_float(&kind) && !is_settled(&expr, schema) => settled(expr),
        _ => expr,
    }
}

fn is_settled(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::ScalarFunction(call) => call.name() == SETTLED,
        // Other numbers have neither NaN nor two zeros.
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            expr.get_type(schema).is_ok_and(|kind| kind.is_integer() || kind.is_decimal()) || is_settled(expr, schema)
        }
        _ => false,
    }
}

/// Returns an expression's compared operands, without the casts taken off there, and its values for a common column.
///
/// The planner has coerced the types of both.
fn beside_others<'e>(expr: &'e Expr, schema: &DFSchema) -> Vec<&'e Expr> {
    let bare = |exprs: Vec<&'e Expr>| exprs.into_iter().map(|e| strip(e, schema)).collect();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => bare(vec![left, right]),
        Expr::Between(Between { expr, low, high, .. }) => bare(vec![expr, low, high]),
        Expr::InList(list) => bare(std::iter::once(&*list.expr).chain(&list.list).collect()),
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let whens = when_then_expr.iter().filter(|_| expr.is_some()).map(|(when, _)| &**when);
            let mut all: Vec<&Expr> = bare(expr.as_deref().into_iter().chain(whens).collect());
            all.extend(when_then_expr.iter().map(|(_, then)| &**then).chain(else_expr.as_deref()));
            all
        }
        // For parts of a union: whether a value is present must not follow from a type that the planner gave both.
        Expr::IsNull(expr) | Expr::IsNotNull(expr) => vec![expr],
        _ => vec![],
    }
}

fn boxed(mut expr: Box<Expr>, schema: &DFSchema) -> Box<Expr> {
    *expr = number(std::mem::take(&mut *expr), schema);
    expr
}

/// Refuses a cast added by the planner if some numbers become NULL.
///
/// # Errors
/// Returns a [`Refusal`] that names the cast.
pub(super) fn lossless(expr: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    if is_lossy(expr, schema) { Err(cast::loses(expr, schema)) } else { Ok(()) }
}

fn node(expr: Expr, schema: &DFSchema) -> Result<Expr, Refusal> {
    beside_others(&expr, schema).into_iter().try_for_each(|e| lossless(e, schema))?;
    Ok(match float_again(expr, schema) {
        Expr::Literal(ScalarValue::Float64(Some(v)), m) => {
            Expr::Literal(ScalarValue::Float64(Some(v + 0.0).filter(|v| !v.is_nan())), m)
        }
        Expr::Literal(ScalarValue::Float32(Some(v)), m) => {
            Expr::Literal(ScalarValue::Float32(Some(v + 0.0).filter(|v| !v.is_nan())), m)
        }
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            cast::check_scale(&expr, field.data_type(), schema)?;
            carried(converted(*expr, field.data_type(), schema), &field)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => compared(*left, op, *right, schema)?,
        Expr::Between(Between { expr, negated, low, high }) if !differ(&expr, &low, schema) && !differ(&expr, &high, schema) => {
            let [expr, low, high] = [expr, low, high].map(|e| boxed(e, schema));
            Expr::Between(Between { expr, negated, low, high })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let within = compared((*expr).clone(), Operator::GtEq, *low, schema)?;
            let within = within.and(compared(*expr, Operator::LtEq, *high, schema)?);
            if negated { Expr::Not(Box::new(within)) } else { within }
        }
        Expr::InList(list) => among(list, schema)?,
        Expr::Case(case) => case::branched(case, schema)?,
        Expr::IsNull(e) => Expr::IsNull(boxed(e, schema)),
        Expr::IsNotNull(e) => Expr::IsNotNull(boxed(e, schema)),
        Expr::ScalarFunction(mut call) => {
            if matches!(call.name(), "greatest" | "least") {
                call.args.iter().try_for_each(|arg| no_time(call.name(), arg, schema))?;
            }
            if !PASSES.contains(&call.name()) {
                call.args = call.args.into_iter().map(|e| number(e, schema)).collect();
            }
            match call.args.as_slice() {
                [Expr::Literal(part, _), time] if call.name() == "date_trunc" => {
                    let part = part.try_as_str().flatten().map(str::to_lowercase).unwrap_or_default();
                    let kind = time.get_type(schema).map_err(|e| super::engine(&e))?;
                    trunc::cut(&part, time.clone(), &kind).unwrap_or(Expr::ScalarFunction(call))
                }
                [Expr::Literal(part, _), span] if call.name() == "date_part" && is_span(span, schema) => {
                    times::of_span(part.try_as_str().flatten().unwrap_or_default(), span.clone())?
                }
                [time] if times::of(&call.func) == Some(&times::What::Time) && !is_number_of(time, schema) => {
                    converted(time.clone(), &DataType::Timestamp(TimeUnit::Microsecond, None), schema)
                }
                [a, b] if call.name() == "nullif" && differ(a, b, schema) => {
                    let same = compared(a.clone(), Operator::Eq, b.clone(), schema)?;
                    let none = Expr::Literal(ScalarValue::Null, None);
                    let when_then_expr = vec![(Box::new(same), Box::new(none))];
                    let value = if guessed(a, schema) { strip(a, schema) } else { a };
                    Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(Box::new(value.clone())) })
                }
                _ => Expr::ScalarFunction(call),
            }
        }
        other => other,
    })
}

/// Refuses a date or time as an argument of a function of numbers, of which the planner would make a number.
fn no_time(function: &str, arg: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    let (Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. })) = arg else { return Ok(()) };
    match expr.get_type(schema) {
        Ok(kind) if kind.is_temporal() => {
            let what = format!("{function} takes numbers, and {} is a {}", written(expr), kinds::kind(&kind));
            Err(place::of_call(refuse(what), function).fix("Write CASE WHEN a > b THEN a ELSE b END"))
        }
        _ => Ok(()),
    }
}

fn is_number_of(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| kind.is_numeric())
}

fn is_span(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_)))
}

fn differ(a: &Expr, b: &Expr, schema: &DFSchema) -> bool {
    match (strip(a, schema).get_type(schema), strip(b, schema).get_type(schema)) {
        (Ok(a), Ok(b)) => a != b && !a.is_null() && !b.is_null(),
        _ => false,
    }
}

/// Builds a comparison of values, whatever their types.
fn compared(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<Expr, Refusal> {
    let plain = |left: &Expr, right: &Expr| {
        let sides = [left, right].map(|e| Box::new(number(e.clone(), schema)));
        let [left, right] = sides;
        Expr::BinaryExpr(BinaryExpr::new(left, op, right))
    };
    let (a, b) = (strip(&left, schema), strip(&right, schema));
    let kinds = (a.get_type(schema), b.get_type(schema));
    let (Ok(x), Ok(y)) = kinds else { return Ok(plain(&left, &right)) };
    if x == y {
        return Ok(plain(a, b));
    }
    let both = |of: fn(&DataType) -> bool| of(&x) && of(&y);
    let lengths = both(|kind| matches!(kind, DataType::Duration(_) | DataType::Interval(_)));
    if !both(is_time) && !both(is_number) && !lengths {
        return Ok(plain(&left, &right));
    }
    // A literal becomes a value of the other operand's type.
    for (column, kind, value, op) in [(a, &x, b, Some(op)), (b, &y, a, op.swap())] {
        if let (Expr::Literal(value, _), Some(op)) = (value, op)
            && !value.is_null()
            && !matches!(column, Expr::Literal(..))
            && zone(&x) == zone(&y)
            && let Some(placed) = placed(value, kind)
        {
            return Ok(beside(number(column.clone(), schema), op, placed));
        }
    }
    if lengths {
        return Err(refuse("what lies between two times is compared with an interval that is no literal")
            .fix("Write a - b > INTERVAL '3 days', or compare date_diff('hour', b, a) with numbers"));
    }
    // Casts take care of zones.
    if both(is_time) && zone(&x) != zone(&y) {
        let (Ok(x), Ok(y)) = (left.get_type(schema), right.get_type(schema)) else { return Ok(plain(&left, &right)) };
        return if x == y || zone(&x) != zone(&y) { Ok(plain(&left, &right)) } else { Ok(by_order(&left, op, &right)) };
    }
    let alike = |a: &DataType, b: &DataType| is_float(a) && (is_float(b) || b.is_decimal() || fits_float(b));
    if alike(&x, &y) || alike(&y, &x) {
        return Ok(plain(&super::wrap::float(a.clone()), &super::wrap::float(b.clone())));
    }
    if both(DataType::is_signed_integer) || both(DataType::is_unsigned_integer) || !ordered(&x) || !ordered(&y) {
        return Ok(plain(&left, &right));
    }
    Ok(by_order(&number(a.clone(), schema), op, &number(b.clone(), schema)))
}

/// Builds a comparison by [`ORDER`].
fn by_order(a: &Expr, op: Operator, b: &Expr) -> Expr {
    let zero = Expr::Literal(ScalarValue::Int8(Some(0)), None);
    let order = order::order(a.clone(), b.clone());
    let by = |op| Expr::BinaryExpr(BinaryExpr::new(Box::new(order.clone()), op, Box::new(zero.clone())));
    let none = |e: &Expr| Expr::IsNull(Box::new(e.clone()));
    let same = || by(Operator::Eq).is_true().or(none(a).and(none(b)));
    match op {
        Operator::IsNotDistinctFrom => same(),
        Operator::IsDistinctFrom => Expr::Not(Box::new(same())),
        op => by(op),
    }
}

/// Builds `column op value` for a value placed among the values of the column's type.
fn beside(column: Expr, op: Operator, placed: Placed) -> Expr {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    let make = |op, value: ScalarValue| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(column.clone()), op, Box::new(Expr::Literal(value, None))))
    };
    // True or false for every value, NULL for NULL.
    let always = |yes: bool| {
        let op = if yes { Eq } else { NotEq };
        Expr::BinaryExpr(BinaryExpr::new(Box::new(column.clone()), op, Box::new(column.clone())))
    };
    let plainly = |yes: bool| Expr::Literal(ScalarValue::Boolean(Some(yes)), None);
    match (placed, op) {
        (Placed::At(value), op) => make(op, value),
        (_, IsDistinctFrom) => plainly(true),
        (_, IsNotDistinctFrom) => plainly(false),
        (_, Eq) => always(false),
        (_, NotEq) => always(true),
        (Placed::After(value), Gt | GtEq) => make(Gt, value),
        (Placed::After(value), _) => make(LtEq, value),
        (Placed::Above, op) => always(matches!(op, Lt | LtEq)),
        (Placed::Below, op) => always(matches!(op, Gt | GtEq)),
    }
}

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

fn zone(kind: &DataType) -> Option<&str> {
    if let DataType::Timestamp(_, Some(zone)) = kind { Some(zone) } else { None }
}

/// Returns whether a float can hold every value of a type.
fn fits_float(kind: &DataType) -> bool {
    kind.is_integer() && kind.primitive_width().is_some_and(|bytes| bytes < 8)
}

/// Builds IN without items outside the column's possible values.
fn among(list: InList, schema: &DFSchema) -> Result<Expr, Refusal> {
    if !list.list.iter().any(|item| differ(&list.expr, item, schema)) {
        let expr = boxed(list.expr, schema);
        return Ok(Expr::InList(InList { expr, list: list.list.into_iter().map(|e| number(e, schema)).collect(), ..list }));
    }
    let column = strip(&list.expr, schema).clone();
    let kind = column.get_type(schema).map_err(|e| super::engine(&e))?;
    let (mut values, mut others, mut never) = (vec![], vec![], None);
    for item in list.list {
        match strip(&item, schema) {
            Expr::Literal(value, m) => match (value.is_null(), placed(value, &kind)) {
                (true, _) => values.push(Expr::Literal(ScalarValue::try_from(&kind).unwrap_or(ScalarValue::Null), m.clone())),
                (_, Some(Placed::At(value))) => values.push(Expr::Literal(value, None)),
                (_, Some(out)) => never = Some(out),
                (_, None) => others.push(compared((*list.expr).clone(), Operator::Eq, item, schema)?),
            },
            _ => others.push(compared((*list.expr).clone(), Operator::Eq, item, schema)?),
        }
    }
    let column = number(column, schema);
    let listed =
        (!values.is_empty()).then(|| Expr::InList(InList { expr: Box::new(column.clone()), list: values, negated: false }));
    let never = never.map(|out| beside(column, Operator::Eq, out)).filter(|_| listed.is_none());
    let any = listed.into_iter().chain(never).chain(others).reduce(Expr::or);
    let any = any.unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(false)), None));
    Ok(if list.negated { Expr::Not(Box::new(any)) } else { any })
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}
