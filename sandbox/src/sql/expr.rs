//! The allow-list of row expressions, each made total: no row can raise an error. And public bounds by interval arithmetic.

use std::collections::BTreeMap;

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Case, Cast, Expr, Operator, TryCast},
};
use tidegate_protocol::{Code, Refusal, limits, policy::ColumnRule};

/// Scalar functions that can raise no error on any argument of the types DataFusion gives them after coercion. Their arguments that are
/// numbers are taken as Float64 first: integer forms of abs raise on the smallest value.
const NUMERIC_FUNCTIONS: [&str; 5] = ["abs", "floor", "ceil", "round", "exp"];
const TEXT_FUNCTIONS: [&str; 5] = ["lower", "upper", "btrim", "ltrim", "rtrim"];
const OTHER_FUNCTIONS: [&str; 2] = ["nullif", "character_length"];

pub(super) fn refuse(what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::Program, what.to_string()).at("program.query")
}

fn float(expr: Expr) -> Expr {
    Expr::TryCast(TryCast::new(Box::new(expr), DataType::Float64))
}

/// Rewrites `expr` so that it is total, or names the construct that is not allowed. `unit` may not be read.
pub(super) fn total(expr: Expr, unit: &str) -> Result<Expr, Refusal> {
    let each = |e: Box<Expr>| Ok::<_, Refusal>(Box::new(total(*e, unit)?));
    Ok(match expr {
        Expr::Column(ref column) if column.name == unit => {
            return Err(refuse(format!(
                "`{unit}` is the privacy unit: it can be counted, as COUNT(DISTINCT {unit}), never read"
            )));
        }
        Expr::Column(_) | Expr::Literal(..) => expr,
        Expr::Alias(alias) => total(*alias.expr, unit)?,
        Expr::Not(e) => Expr::Not(each(e)?),
        Expr::IsNull(e) => Expr::IsNull(each(e)?),
        Expr::IsNotNull(e) => Expr::IsNotNull(each(e)?),
        Expr::IsTrue(e) => Expr::IsTrue(each(e)?),
        Expr::IsFalse(e) => Expr::IsFalse(each(e)?),
        Expr::IsNotTrue(e) => Expr::IsNotTrue(each(e)?),
        Expr::IsNotFalse(e) => Expr::IsNotFalse(each(e)?),
        Expr::Negative(e) => Expr::Negative(Box::new(float(*each(e)?))),
        // A cast that fails gives NULL.
        Expr::Cast(Cast { expr, field }) => Expr::TryCast(TryCast::new(each(expr)?, field.data_type().clone())),
        Expr::TryCast(TryCast { expr, field }) => Expr::TryCast(TryCast::new(each(expr)?, field.data_type().clone())),
        Expr::Between(mut b) => {
            (b.expr, b.low, b.high) = (each(b.expr)?, each(b.low)?, each(b.high)?);
            Expr::Between(b)
        }
        Expr::InList(mut list) => {
            list.expr = each(list.expr)?;
            list.list = list.list.into_iter().map(|e| total(e, unit)).collect::<Result<_, _>>()?;
            Expr::InList(list)
        }
        Expr::Like(mut like) => {
            (like.expr, like.pattern) = (each(like.expr)?, each(like.pattern)?);
            if !matches!(*like.pattern, Expr::Literal(..)) {
                return Err(refuse("LIKE needs a literal pattern"));
            }
            Expr::Like(like)
        }
        Expr::Case(case) => Expr::Case(Case {
            expr: case.expr.map(each).transpose()?,
            when_then_expr: case
                .when_then_expr
                .into_iter()
                .map(|(w, t)| Ok((each(w)?, each(t)?)))
                .collect::<Result<_, Refusal>>()?,
            else_expr: case.else_expr.map(each).transpose()?,
        }),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (each(left)?, each(right)?);
            binary(*left, op, *right)?
        }
        Expr::ScalarFunction(mut call) => {
            let name = call.name().to_owned();
            let args = std::mem::take(&mut call.args);
            let args = args.into_iter().map(|e| total(e, unit)).collect::<Result<Vec<_>, _>>()?;
            call.args = if NUMERIC_FUNCTIONS.contains(&name.as_str()) && args.len() == 1 {
                args.into_iter().map(float).collect()
            } else if TEXT_FUNCTIONS.contains(&name.as_str()) && args.len() == 1 || OTHER_FUNCTIONS.contains(&name.as_str()) {
                args
            } else {
                return Err(refuse(format!(
                    "function {name} with {} arguments is not on the list of total functions",
                    args.len()
                )));
            };
            Expr::ScalarFunction(call)
        }
        other => return Err(refuse(format!("{} is not supported in a row expression", other.variant_name()))),
    })
}

fn binary(left: Expr, op: Operator, right: Expr) -> Result<Expr, Refusal> {
    use Operator::{
        And, Divide, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, Minus, Multiply, NotEq, Or, Plus, StringConcat,
    };
    let make = |left, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    match op {
        And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom => Ok(make(left, right)),
        // Text that grew with every `||` would let one row outgrow the worker's memory: a crash that says the row is there.
        StringConcat => Ok(short(make(short(left), short(right)))),
        // Floating-point arithmetic neither overflows into an error nor wraps.
        Plus | Minus | Multiply => Ok(make(float(left), float(right))),
        Divide => {
            let zero = Expr::Literal(ScalarValue::Float64(Some(0.0)), None);
            Ok(make(float(left), datafusion::functions::core::nullif().call(vec![float(right), zero])))
        }
        other => Err(refuse(format!("operator {other} is not supported"))),
    }
}

/// At most [`limits::TEXT_CHARS`] characters of a text.
fn short(text: Expr) -> Expr {
    let number = |n: usize| Expr::Literal(ScalarValue::Int64(Some(n as i64)), None);
    datafusion::functions::unicode::substr().call(vec![text, number(1), number(limits::TEXT_CHARS)])
}

/// Public bounds of a numeric expression from the policy's column bounds; `None` where nothing bounds it.
pub(super) fn bounds(expr: &Expr, columns: &BTreeMap<String, ColumnRule>) -> Option<(f64, f64)> {
    let of = |e: &Expr| bounds(e, columns);
    match expr {
        Expr::Column(column) => columns.get(&column.name)?.bounds(),
        Expr::Literal(value, _) => {
            let ScalarValue::Float64(Some(v)) = value.cast_to(&DataType::Float64).ok()? else { return None };
            v.is_finite().then_some((v, v))
        }
        Expr::Cast(c) => of(&c.expr),
        Expr::TryCast(c) => of(&c.expr),
        Expr::Alias(a) => of(&a.expr),
        Expr::Negative(e) => of(e).map(|(lo, hi)| (-hi, -lo)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let ((a, b), (c, d)) = (of(left)?, of(right)?);
            match op {
                Operator::Plus => Some((a + c, b + d)),
                Operator::Minus => Some((a - d, b - c)),
                Operator::Multiply => {
                    let products = [a * c, a * d, b * c, b * d];
                    Some((
                        products.iter().copied().fold(f64::INFINITY, f64::min),
                        products.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    ))
                }
                _ => None,
            }
        }
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| &**then).chain(case.else_expr.as_deref());
            branches
                // A NULL branch adds nothing.
                .filter(|e| !matches!(e, Expr::Literal(v, _) if v.is_null()))
                .map(of)
                .reduce(|a, b| Some((a?.0.min(b?.0), a?.1.max(b?.1))))?
        }
        _ => None,
    }
    .filter(|(lo, hi)| lo.is_finite() && hi.is_finite())
}
