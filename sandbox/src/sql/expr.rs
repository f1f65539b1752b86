//! Allow-list of row expressions, each made total (no row can raise an error), and public bounds by interval arithmetic.

use std::collections::BTreeMap;

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Case, Cast, Expr, Operator, TryCast},
};
use tidegate_protocol::{Refusal, policy::ColumnRule};

use super::{
    clamp::CLAMP,
    functions,
    literal::{bound, constant, text_literal, whole_literal},
    matching::Pattern,
    own::{CALENDAR, LENGTH, SETTLED, SHORT, remainder, short},
    public::Lookup,
    refuse,
    rows::{NUMBER, numbered_otherwise},
    times,
    wrap::{float, named_where},
};

/// Public facts about the rows below expressions.
pub(super) struct Bounded<'a> {
    /// Name of the unit's column.
    pub(super) unit: &'a str,
    /// Bounds by column.
    pub(super) columns: &'a BTreeMap<String, ColumnRule>,
}

/// Makes `expr` total, or refuses it by naming the construct that is not allowed. `unit` may not be read.
pub(super) fn total(expr: Expr, unit: &str) -> Result<Expr, Refusal> {
    let each = |e: Box<Expr>| Ok::<_, Refusal>(Box::new(total(*e, unit)?));
    Ok(match expr {
        Expr::Column(ref column) if column.name == unit => {
            return Err(refuse(format!(
                "`{unit}` is the privacy unit: it can be counted, as COUNT(DISTINCT {unit}), never read"
            )));
        }
        Expr::Column(ref column) if column.name == NUMBER => return Err(numbered_otherwise(unit)),
        Expr::Column(_) | Expr::Literal(..) => expr,
        Expr::Alias(alias) => total(*alias.expr, unit)?,
        Expr::Not(e) => Expr::Not(each(e)?),
        // From an outer join: whether there is a row, not whose row it is.
        Expr::IsNull(e) if named_where(&e, unit).is_some() => found(*e, unit, false)?,
        Expr::IsNotNull(e) if named_where(&e, unit).is_some() => found(*e, unit, true)?,
        Expr::IsNull(e) => Expr::IsNull(each(e)?),
        Expr::IsNotNull(e) => Expr::IsNotNull(each(e)?),
        Expr::IsTrue(e) => Expr::IsTrue(each(e)?),
        Expr::IsFalse(e) => Expr::IsFalse(each(e)?),
        Expr::IsNotTrue(e) => Expr::IsNotTrue(each(e)?),
        Expr::IsNotFalse(e) => Expr::IsNotFalse(each(e)?),
        Expr::IsUnknown(e) => Expr::IsNull(each(e)?),
        Expr::IsNotUnknown(e) => Expr::IsNotNull(each(e)?),
        Expr::Negative(e) => Expr::Negative(Box::new(float(*each(e)?))),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            if let Some(whole) = whole_literal(&expr, field.data_type()) {
                return Ok(whole);
            }
            // A cast that fails gives NULL.
            let cast = Expr::TryCast(TryCast::new_from_field(each(expr)?, field));
            // Constants are evaluated once, as `DATE '2024-01-01'` is, unless a number would change.
            let changed = |value: &ScalarValue| match &cast {
                Expr::TryCast(TryCast { expr, .. }) => constant(expr).is_some_and(|was| {
                    was.data_type().is_numeric() && value.cast_to(&was.data_type()).ok().as_ref() != Some(&was)
                }),
                _ => false,
            };
            match constant(&cast) {
                Some(value) if !changed(&value) => Expr::Literal(value, None),
                _ => cast,
            }
        }
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
            let pattern = text_literal(&like.pattern).ok_or_else(|| refuse("LIKE needs a literal pattern"))?;
            match pattern {
                Some(pattern) if matches!(like.escape_char, None | Some('\\')) => {
                    if !like.case_insensitive && Pattern::is_simple(&pattern) {
                        return Ok(Expr::Like(like));
                    }
                    negated(Pattern::like(&pattern, like.case_insensitive)?.matches(*like.expr), like.negated)
                }
                _ => Expr::Like(like),
            }
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
            let args = std::mem::take(&mut call.args);
            let args = args.into_iter().map(|e| total(e, unit)).collect::<Result<Vec<_>, _>>()?;
            functions::total(call, args)?
        }
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => {
            return Err(refuse("a subquery within an expression is not supported").fix(format!(
                "Join on the unit: LEFT SEMI JOIN … ON a.{unit} = b.{unit} is EXISTS, LEFT ANTI JOIN is NOT EXISTS"
            )));
        }
        other => return Err(no_row(&other)),
    })
}

/// Refuses an expression that has no value for a row, or none that is supported.
fn no_row(expr: &Expr) -> Refusal {
    let (what, fix) = match expr {
        Expr::SimilarTo(_) => ("SIMILAR TO", "Write x ~ '^(pattern)$', a regular expression"),
        Expr::Placeholder(_) => ("a placeholder, as $1,", "Write the value in its place"),
        Expr::AggregateFunction(_) | Expr::WindowFunction(_) => {
            ("an aggregate or a call with OVER", "Compute from released numbers in a query around the one that aggregates")
        }
        _ => ("this form of SQL", "Compare it with docs/reference/sql.md"),
    };
    refuse(format!("{what} is not supported in a row's expression")).fix(fix)
}

/// Builds the test whether such an expression names the unit, or does not if `there` is false.
fn found(expr: Expr, unit: &str, there: bool) -> Result<Expr, Refusal> {
    let condition = named_where(&expr, unit).cloned().map(|condition| total(condition, unit)).transpose()?;
    let condition = condition.unwrap_or(Expr::Literal(ScalarValue::Boolean(None), None));
    Ok(if there { condition.is_true() } else { condition.is_not_true() })
}

fn binary(left: Expr, op: Operator, right: Expr) -> Result<Expr, Refusal> {
    use Operator::{
        And, Divide, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Or, Plus,
        RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch, StringConcat,
    };
    let make = |left, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    match op {
        And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom => Ok(make(left, right)),
        // Text that grew with every `||` would let one row outgrow the worker's memory: a crash that shows that the row exists.
        StringConcat => Ok(short(make(short(left), short(right)))),
        // Floating-point arithmetic neither overflows into an error nor wraps.
        Plus | Minus | Multiply => Ok(make(float(left), float(right))),
        Divide => {
            let zero = Expr::Literal(ScalarValue::Float64(Some(0.0)), None);
            Ok(make(float(left), datafusion::functions::core::nullif().call(vec![float(right), zero])))
        }
        // Not the machine's own remainder, whose duration shows what the values are.
        Modulo => Ok(remainder(float(left), float(right))),
        RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch => {
            let pattern = text_literal(&right).ok_or_else(|| refuse("a regular expression must be a literal"))?;
            let found = functions::matching(Some(left), &pattern, matches!(op, RegexIMatch | RegexNotIMatch))?;
            Ok(negated(found, matches!(op, RegexNotMatch | RegexNotIMatch)))
        }
        other => Err(refuse(format!("operator {other} is not supported"))),
    }
}

fn negated(truth: Expr, not: bool) -> Expr {
    if not { Expr::Not(Box::new(truth)) } else { truth }
}

/// Computes public bounds of a numeric expression from the policy's column bounds; `None` if unbounded.
pub(super) fn bounds(expr: &Expr, columns: &BTreeMap<String, ColumnRule>) -> Option<(f64, f64)> {
    let of = |e: &Expr| bounds(e, columns);
    match expr {
        Expr::Column(column) => columns.get(&column.name)?.bounds(),
        Expr::Literal(value, _) => {
            let ScalarValue::Float64(Some(v)) = value.cast_to(&DataType::Float64).ok()? else { return None };
            v.is_finite().then_some((v, v))
        }
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let bounds = of(expr);
            // Rounding to integers may move the bounds by a half.
            if field.data_type().is_integer() { bounds.map(|(lo, hi)| ((lo - 0.5).ceil(), (hi + 0.5).floor())) } else { bounds }
        }
        Expr::Alias(a) => of(&a.expr),
        Expr::Negative(e) => of(e).map(|(lo, hi)| (-hi, -lo)),
        // Booleans as numbers.
        e if is_truth(e) => Some((0.0, 1.0)),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus | Operator::Multiply), right }) => {
            let ((a, b), (c, d)) = (of(left)?, of(right)?);
            match op {
                Operator::Plus => Some((a + c, b + d)),
                Operator::Minus => Some((a - d, b - c)),
                _ => Some(hull(&[a * c, a * d, b * c, b * d])),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide, right }) => divided(of(left)?, of(right)?),
        Expr::ScalarFunction(call) => match (call.func.inner().downcast_ref::<Lookup>(), times::of(&call.func)) {
            (Some(lookup), _) => lookup.bounds,
            (_, Some(what)) => times::bounds(what),
            _ => function(call.name(), &call.args, &of),
        },
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

/// Returns the least and the greatest of some numbers.
fn hull(values: &[f64]) -> (f64, f64) {
    (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// Bounds quotients, if the divisor is never near zero.
fn divided((a, b): (f64, f64), (c, d): (f64, f64)) -> Option<(f64, f64)> {
    (c > 0.0 || d < 0.0).then(|| hull(&[a / c, a / d, b / c, b / d]))
}

/// Returns whether an expression is always true, false or NULL.
fn is_truth(expr: &Expr) -> bool {
    use Expr::{Between, Exists, InList, IsFalse, IsNotFalse, IsNotNull, IsNotTrue, IsNull, IsTrue, Like, Not};
    match expr {
        Not(_) | IsNull(_) | IsNotNull(_) | IsTrue(_) | IsFalse(_) | IsNotTrue(_) | IsNotFalse(_) | Between(_) | InList(_)
        | Like(_) => true,
        Exists(_) => false,
        Expr::BinaryExpr(binary) => binary.op.supports_propagation() || binary.op.is_logic_operator(),
        _ => false,
    }
}

/// Bounds a function's value by its arguments' bounds. Clipping enforces the bounds in any case: the noise is calibrated to them.
fn function(name: &str, args: &[Expr], of: &impl Fn(&Expr) -> Option<(f64, f64)>) -> Option<(f64, f64)> {
    let first = || of(args.first()?);
    // For functions that never decrease.
    let rising = |f: fn(f64) -> f64| first().map(|(lo, hi)| (f(lo), f(hi)));
    match name {
        CLAMP => {
            let (lo, hi) = (bound(args, 1)?, bound(args, 2)?);
            // Narrower bounds of the policy stay.
            let inner = first().unwrap_or((lo, hi));
            Some((inner.0.clamp(lo, hi), inner.1.clamp(lo, hi)))
        }
        "abs" => first().map(|(lo, hi)| if lo >= 0.0 { (lo, hi) } else { (0.0, hi.max(-lo)) }),
        "floor" => rising(f64::floor),
        "ceil" => rising(f64::ceil),
        "round" => rising(f64::round),
        "trunc" => rising(f64::trunc),
        "exp" => rising(f64::exp),
        "cbrt" => rising(f64::cbrt),
        "atan" => Some((-std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_2)),
        "sqrt" => first().map(|(lo, hi)| (lo.max(0.0).sqrt(), hi.max(0.0).sqrt())),
        // There is no logarithm below zero, and none bounded near zero: the argument must stay above it.
        "ln" => first().filter(|r| r.0 > 0.0).map(|(lo, hi)| (lo.ln(), hi.ln())),
        "log10" => first().filter(|r| r.0 > 0.0).map(|(lo, hi)| (lo.log10(), hi.log10())),
        "log2" => first().filter(|r| r.0 > 0.0).map(|(lo, hi)| (lo.log2(), hi.log2())),
        "sin" | "cos" | "signum" => Some((-1.0, 1.0)),
        "degrees" => rising(f64::to_degrees),
        "radians" => rising(f64::to_radians),
        "nullif" | SHORT | CALENDAR | LENGTH | SETTLED => first(),
        "greatest" => fold(args, of, f64::max),
        "least" => fold(args, of, f64::min),
        "date_part" => match args.first() {
            Some(Expr::Literal(part, _)) => match part.to_string().to_ascii_lowercase().as_str() {
                "month" => Some((1.0, 12.0)),
                "quarter" => Some((1.0, 4.0)),
                "week" => Some((1.0, 53.0)),
                "day" => Some((1.0, 31.0)),
                "hour" => Some((0.0, 23.0)),
                "minute" | "second" => Some((0.0, 60.0)),
                "dow" | "isodow" => Some((0.0, 7.0)),
                "doy" => Some((1.0, 366.0)),
                _ => None,
            },
            _ => None,
        },
        "isnan" | "contains" | "starts_with" | "ends_with" | "regexp_like" => Some((0.0, 1.0)),
        _ => None,
    }
}

/// Bounds the greatest or least of arguments: NULL is passed over, so any argument may be the result.
fn fold(args: &[Expr], of: &impl Fn(&Expr) -> Option<(f64, f64)>, with: fn(f64, f64) -> f64) -> Option<(f64, f64)> {
    let ranges = args.iter().map(of).collect::<Option<Vec<_>>>()?;
    let all = ranges.iter().copied().reduce(|a, b| (with(a.0, b.0), with(a.1, b.1)))?;
    let lo = ranges.iter().map(|r| r.0).fold(all.0, f64::min);
    let hi = ranges.iter().map(|r| r.1).fold(all.1, f64::max);
    Some((lo, hi))
}
