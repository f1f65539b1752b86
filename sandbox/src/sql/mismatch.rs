//! Refusal of comparisons no row can meet as intended: literals invalid for the column's type, and texts beside dates or numbers.
//!
//! The engine would reconcile the types by a cast that gives NULL, and the answer would be zero. The check runs on the plan as
//! written, before type coercion.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{
    common::{DFSchema, DataFusionError, ScalarValue, tree_node::TreeNode as _, tree_node::TreeNodeRecursion},
    logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan, Operator},
};
use tidegate_protocol::{Refusal, job::Key};

use super::{exact::has_zone, keys, kinds, place, refuse, said::engine, wrap::unalias, written::written};

/// Checks every comparison of a plan.
///
/// # Errors
/// Returns a [`Refusal`] with the column's type and an example of a valid comparison.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut refused = None;
    let looked = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        node.inputs().into_iter().for_each(|input| schema.merge(input.schema()));
        let mut look = |found: Result<(), Refusal>| match found {
            Ok(()) => Ok(TreeNodeRecursion::Continue),
            Err(refusal) => {
                refused = Some(refusal);
                Err(DataFusionError::Plan(String::new()))
            }
        };
        if let LogicalPlan::Join(join) = node {
            for (a, b) in &join.on {
                look(pair(a, b, &schema, &format!("{A} = {B}")))?;
            }
        }
        node.apply_expressions(|expr| expr.apply(|e| look(one(e, &schema).map_err(|refusal| place::of_expr(refusal, e)))))
    });
    looked.map(|_| ()).map_err(|e| refused.unwrap_or_else(|| engine(&e)))
}

fn one(expr: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom),
            right,
        }) => pair(left, right, schema, &format!("{A} {op} {B}")),
        Expr::Between(between) => {
            let not = if between.negated { "NOT " } else { "" };
            let shape = format!("{A} {not}BETWEEN {B} AND {B}");
            pair(&between.expr, &between.low, schema, &shape)?;
            pair(&between.expr, &between.high, schema, &shape)
        }
        Expr::InList(list) => {
            let shape = format!("{A} {}IN ({B})", if list.negated { "NOT " } else { "" });
            list.list.iter().try_for_each(|item| pair(&list.expr, item, schema, &shape))
        }
        Expr::Case(case) => {
            let operand = case.expr.iter();
            operand
                .flat_map(|e| case.when_then_expr.iter().map(move |(when, _)| (e, when)))
                .try_for_each(|(e, w)| pair(e, w, schema, &format!("CASE {A} WHEN {B} THEN …")))
        }
        Expr::ScalarFunction(call) if call.name() == "nullif" => match call.args.as_slice() {
            [a, b] => pair(a, b, schema, &format!("nullif({A}, {B})")),
            _ => Ok(()),
        },
        // `DATE '…'` is planned as a cast like any other.
        Expr::Cast(cast) => match text(&cast.expr) {
            Some(text) if cast.field.data_type().is_temporal() && read(text, cast.field.data_type(), false).is_none() => {
                let kind = cast.field.data_type();
                Err(refuse(format!("'{text}' is no {}", kinds::kind(kind))).fix(format!("Write {}", example(kind).0)))
            }
            Some(text) => no_zone(text, cast.field.data_type()),
            _ => Ok(()),
        },
        // A text that is no such value gives NULL, but a text that loses its zone does not.
        Expr::TryCast(cast) => text(&cast.expr).map_or(Ok(()), |text| no_zone(text, cast.field.data_type())),
        _ => Ok(()),
    }
}

/// Refuses a text with a zone as a time without a zone, or as a date.
fn no_zone(text: &str, kind: &DataType) -> Result<(), Refusal> {
    let of_none = matches!(kind, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64);
    if !of_none || !has_zone(text) {
        return Ok(());
    }
    Err(refuse(format!("'{text}' says its zone, and a {} has none", kinds::kind(kind))).fix(format!(
        "Write TIMESTAMPTZ '{text}', or leave the zone out: beside a column with a zone, it is read in the column's"
    )))
}

/// Placeholders for two expressions in a comparison's text.
const A: &str = "\u{1}";
const B: &str = "\u{2}";

/// Checks two expressions compared as in `shape`.
fn pair(a: &Expr, b: &Expr, schema: &DFSchema, shape: &str) -> Result<(), Refusal> {
    let (Ok(x), Ok(y)) = (a.get_type(schema), b.get_type(schema)) else { return Ok(()) };
    let (x, y) = (plain(x), plain(y));
    if x.is_null() || y.is_null() {
        return Ok(());
    }
    for (column, kind, other, of, [mine, theirs]) in [(a, &x, b, &y, [A, B]), (b, &y, a, &x, [B, A])] {
        let name = written(unalias(column));
        let with = |value: &str| shape.replace(mine, &name).replace(theirs, value);
        let (literal, note) = example(kind);
        let says = format!("{name} is a {}", kinds::kind(kind));
        if let (Some(text), false) = (text(other), is_text(kind)) {
            if read(text, kind, true).is_none() {
                return Err(refuse(format!("{says}, and '{text}' is none")).fix(format!("Write {}{note}", with(literal))));
            }
            if matches!(kind, DataType::Timestamp(_, None)) && has_zone(text) {
                return Err(refuse(format!("{says} without a zone, and '{text}' says its own")).fix("Leave the zone out"));
            }
            return Ok(());
        }
        if is_text(kind) && text(column).is_none() && !is_text(of) {
            let fix = match unalias(other) {
                Expr::Literal(value, _) if of.is_numeric() => {
                    format!("Write it in quotes, as in {}", with(&format!("'{value}'")))
                }
                _ if matches!(of, DataType::Timestamp(..)) => {
                    format!("CAST({name} AS TIMESTAMP) reads texts such as 2024-01-31T10:20:00, and is NULL for others")
                }
                _ if is_of_day(of) => "Compare a time of day with a literal, as in x > '08:00:00'".to_owned(),
                _ if of.is_temporal() => {
                    format!("CAST({name} AS DATE) reads texts such as 2024-01-31, and is NULL for others")
                }
                _ if *of == DataType::Boolean => {
                    format!("CAST({name} AS BOOLEAN) reads texts such as true and false, and is NULL for others")
                }
                _ if of.is_numeric() => format!("CAST({name} AS DOUBLE) reads texts that are numbers, and is NULL for others"),
                _ => format!("Compare {name} with texts"),
            };
            return Err(refuse(format!("{name} is text, and is compared with a {}", kinds::kind(of))).fix(fix));
        }
        if kind.is_temporal() && of.is_numeric() {
            let part = if is_of_day(kind) { "hour" } else { "year" };
            return Err(refuse(format!("{says}, and {} is a number", written(unalias(other))))
                .fix(format!("Write {}, or compare date_part('{part}', {name})", with(literal))));
        }
        if *kind == DataType::Boolean && of.is_numeric() {
            let no = matches!(unalias(other), Expr::Literal(value, _) if value.to_string() == "0");
            let fix = if no { format!("Write NOT {name}, or {name} = false") } else { format!("Write {name}, or {name} = true") };
            return Err(refuse(format!("{says}, and {} is a number", written(unalias(other)))).fix(fix));
        }
    }
    Ok(())
}

/// Refuses quotients of integers as keys, and keys computed from these: fractions here, but integers in other engines.
///
/// # Errors
/// Returns a [`Refusal`] for such a key.
pub(super) fn no_quotient(key: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    if !key.get_type(schema).is_ok_and(|kind| kind.is_integer()) {
        return Ok(());
    }
    match key {
        Expr::Alias(alias) => no_quotient(&alias.expr, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let whole = |e: &Expr| e.get_type(schema).is_ok_and(|kind| kind.is_integer());
            match op {
                Operator::Divide if whole(left) && whole(right) => {
                    let (shown, left, right) = (written(key), written(left), written(right));
                    Err(refuse(format!("{shown} is a fraction here (2.1, 2.2, …), each of which would be a group, where other engines divide whole numbers"))
                        .fix(format!("Write floor({shown}) for whole numbers, or CAST({left} AS DOUBLE) / {right} for fractions")))
                }
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                    no_quotient(left, schema)?;
                    no_quotient(right, schema)
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn plain(kind: DataType) -> DataType {
    if let DataType::Dictionary(_, value) = kind { *value } else { kind }
}

fn is_of_day(kind: &DataType) -> bool {
    matches!(kind, DataType::Time32(_) | DataType::Time64(_))
}

fn is_text(kind: &DataType) -> bool {
    kind.is_string() || kind.is_binary()
}

/// Returns the text of a literal.
fn text(expr: &Expr) -> Option<&str> {
    match unalias(expr) {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// Reads a text as a value of a type; beside a column (`whole`), the conversion must lose nothing.
fn read(text: &str, kind: &DataType, whole: bool) -> Option<()> {
    let kind = match kind {
        // Nanoseconds cover only few years.
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        kind => kind.clone(),
    };
    let exact = kind == DataType::Date32 || whole && (kind.is_integer() || kind.is_decimal());
    if exact && whole {
        return keys::exact(&Key::Text(text.to_owned()), &kind).map(|_| ());
    }
    let value = ScalarValue::Utf8(Some(text.to_owned())).cast_to(&kind).ok()?;
    (!value.is_null()).then_some(())
}

/// Returns an example literal of a type, with a note on its form.
fn example(kind: &DataType) -> (&'static str, &'static str) {
    match kind {
        DataType::Date32 | DataType::Date64 => ("DATE '2024-01-31'", ""),
        DataType::Timestamp(..) => ("TIMESTAMP '2024-01-31 10:30:00'", ""),
        DataType::Time32(_) | DataType::Time64(_) => ("'08:00:00'", ""),
        DataType::Boolean => ("true", ""),
        kind if kind.is_integer() => ("50", ", without quotes"),
        kind if kind.is_numeric() => ("12.5", ", without quotes"),
        DataType::Interval(_) => ("INTERVAL '30 days'", ""),
        _ => ("a literal of that type", ""),
    }
}
