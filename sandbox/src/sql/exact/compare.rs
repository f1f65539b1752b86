//! Comparisons of values, whatever their types.

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue},
    logical_expr::{BinaryExpr, Expr, ExprSchemable as _, Operator, expr::InList},
};
use tidegate_protocol::Refusal;

use super::{
    cast::strip,
    floats::{fits_float, is_float, number},
    literal::{Placed, placed},
    order::{self, ordered},
};
use crate::sql::{refuse, said::engine, wrap::float};

pub(super) fn boxed(mut expr: Box<Expr>, schema: &DFSchema) -> Box<Expr> {
    *expr = number(std::mem::take(&mut *expr), schema);
    expr
}

pub(super) fn differ(a: &Expr, b: &Expr, schema: &DFSchema) -> bool {
    match (strip(a, schema).get_type(schema), strip(b, schema).get_type(schema)) {
        (Ok(a), Ok(b)) => a != b && !a.is_null() && !b.is_null(),
        _ => false,
    }
}

/// Builds a comparison of values, whatever their types.
pub(super) fn compared(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<Expr, Refusal> {
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
        return Ok(plain(&float(a.clone()), &float(b.clone())));
    }
    if both(DataType::is_signed_integer) || both(DataType::is_unsigned_integer) || !ordered(&x) || !ordered(&y) {
        return Ok(plain(&left, &right));
    }
    Ok(by_order(&number(a.clone(), schema), op, &number(b.clone(), schema)))
}

/// Builds a comparison by [`order::ORDER`].
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

/// Builds IN without items outside the column's possible values.
pub(super) fn among(list: InList, schema: &DFSchema) -> Result<Expr, Refusal> {
    if !list.list.iter().any(|item| differ(&list.expr, item, schema)) {
        let expr = boxed(list.expr, schema);
        return Ok(Expr::InList(InList { expr, list: list.list.into_iter().map(|e| number(e, schema)).collect(), ..list }));
    }
    let column = strip(&list.expr, schema).clone();
    let kind = column.get_type(schema).map_err(|e| engine(&e))?;
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

pub(super) fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}
