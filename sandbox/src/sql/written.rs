//! Expressions as a buyer writes them, without the functions and casts added to make them total.

use datafusion::{
    arrow::datatypes::DataType,
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::ScalarFunction},
};

use super::{
    casts::NAMED,
    exact::{CLOCK, INSTANT, UNZONED},
    matching,
    own::{CALENDAR, LENGTH, NEAREST, REMAINDER, SETTLED, SHORT, START},
    public::Lookup,
    times::{What, of as operation},
    titles::readable,
};

/// Maximum number of characters of an expression in a refusal.
const CHARS: usize = 120;

/// Returns an expression as written, or nearly so; a long text ends with `…` after a whole word.
pub(super) fn written(expr: &Expr) -> String {
    shortened(&sql(expr))
}

/// Returns whether a column of a subquery or a join is named by its position, as no text names it.
pub(super) fn is_inner(name: &str) -> bool {
    let numbered =
        |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()));
    name.starts_with("unit ") || numbered("first ") || numbered("second ")
}

/// Returns the first words of a text, as many as fit, with `…` if there are more.
fn shortened(text: &str) -> String {
    if text.chars().count() <= CHARS {
        return text.to_owned();
    }
    let cut: String = text.chars().take(CHARS).collect();
    let end = cut.rfind([' ', ',', '(']).filter(|end| *end > 0).unwrap_or(cut.len());
    format!("{} …", cut[..end].trim_end_matches([' ', ',']))
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(sql).collect::<Vec<_>>().join(", ")
}

/// Returns an operand, in brackets if the operand has operators of its own.
fn operand(expr: &Expr) -> String {
    let text = sql(expr);
    match text.contains(' ') && !text.ends_with([')', '\'']) {
        true => format!("({text})"),
        false => text,
    }
}

fn sql(expr: &Expr) -> String {
    let not = |negated: bool| if negated { "NOT " } else { "" };
    match expr {
        // Columns of subqueries are named by their positions.
        Expr::Column(column) if is_inner(&column.name) => "a column of the subquery".to_owned(),
        Expr::Column(column) => column.name.clone(),
        Expr::Literal(value, _) => literal(value),
        Expr::Alias(alias) => sql(&alias.expr),
        Expr::Not(e) => format!("NOT {}", operand(e)),
        Expr::IsNull(e) => format!("{} IS NULL", operand(e)),
        Expr::IsNotNull(e) => format!("{} IS NOT NULL", operand(e)),
        Expr::IsTrue(e) => format!("{} IS TRUE", operand(e)),
        Expr::IsFalse(e) => format!("{} IS FALSE", operand(e)),
        Expr::IsNotTrue(e) => format!("{} IS NOT TRUE", operand(e)),
        Expr::IsNotFalse(e) => format!("{} IS NOT FALSE", operand(e)),
        Expr::Negative(e) => format!("-{}", operand(e)),
        Expr::Cast(cast) => converted(&cast.expr, cast.field.data_type()),
        Expr::TryCast(cast) => converted(&cast.expr, cast.field.data_type()),
        Expr::Between(b) => {
            format!("{} {}BETWEEN {} AND {}", operand(&b.expr), not(b.negated), operand(&b.low), operand(&b.high))
        }
        Expr::InList(in_list) => format!("{} {}IN ({})", operand(&in_list.expr), not(in_list.negated), list(&in_list.list)),
        Expr::Like(like) => {
            let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
            format!("{} {}{word} {}", operand(&like.expr), not(like.negated), sql(&like.pattern))
        }
        Expr::Case(case) => {
            let of = case.expr.iter().map(|e| format!(" {}", sql(e)));
            let when = case.when_then_expr.iter().map(|(when, then)| format!(" WHEN {} THEN {}", sql(when), sql(then)));
            let other = case.else_expr.iter().map(|e| format!(" ELSE {}", sql(e)));
            format!("CASE{} END", of.chain(when).chain(other).collect::<String>())
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (op, &**right) {
            // The divisor is written without the function that removes its zeros.
            (Operator::Divide, Expr::ScalarFunction(call)) if matches!(call.args.as_slice(), [_, zero] if is_zero(zero)) => {
                format!("{} / {}", operand(left), operand(&call.args[0]))
            }
            _ => format!("{} {op} {}", operand(left), operand(right)),
        },
        Expr::ScalarFunction(call) => function(call),
        other => readable(&other.to_string().replace("dataset.", "")),
    }
}

fn function(call: &ScalarFunction) -> String {
    if let (Some(pattern), [text]) = (matching::pattern(&call.func), call.args.as_slice()) {
        return format!("{} {}", operand(text), pattern.written);
    }
    if call.func.inner().downcast_ref::<Lookup>().is_some() {
        return format!("a public table's column by {}", list(&call.args));
    }
    match (operation(&call.func), call.args.as_slice()) {
        (Some(What::Days | What::Span | What::Back), [a, b]) => return format!("{} - {}", operand(a), operand(b)),
        (Some(What::On), [a, b]) => return format!("{} + {}", operand(a), operand(b)),
        (Some(What::Times), [a, b]) => return format!("{} * {}", operand(a), operand(b)),
        (Some(What::Written(template) | What::Read(template, _)), [x]) => {
            return format!("{}({}, '{}')", call.name(), sql(x), template.text);
        }
        (Some(What::OfSpan(part)), [x]) => return format!("date_part('{}', {})", part.name(), sql(x)),
        _ => {}
    }
    match (call.name(), call.args.as_slice()) {
        (SHORT | START | CALENDAR | LENGTH | NEAREST | SETTLED | CLOCK | UNZONED, [inner])
        | (INSTANT, [_, inner])
        | (NAMED, [inner, _]) => sql(inner),
        (REMAINDER, [a, b]) => format!("{} % {}", operand(a), operand(b)),
        (name, args) => format!("{name}({})", list(args)),
    }
}

/// Returns a cast; most casts to numbers and texts are not the buyer's.
fn converted(expr: &Expr, to: &DataType) -> String {
    let own = to.is_floating() || to.is_integer() || to.is_string() || matches!(expr, Expr::Literal(..));
    let to = match to {
        _ if own => return sql(expr),
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => format!("DECIMAL({digits}, {scale})"),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMP".to_owned(),
        other => other.to_string().to_uppercase(),
    };
    format!("CAST({} AS {to})", sql(expr))
}

fn is_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Float64(Some(zero)), _) if *zero == 0.0)
}

fn literal(value: &ScalarValue) -> String {
    match value.try_as_str() {
        _ if matches!(value, ScalarValue::IntervalMonthDayNano(Some(_))) => format!("INTERVAL '{value}'"),
        Some(Some(text)) => format!("'{}'", text.replace('\'', "''")),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_text_ends_with_a_whole_word() {
        assert_eq!(shortened("left(note, 32)"), "left(note, 32)");
        let long = format!("upper({}) || city", "words, ".repeat(40));
        let shown = shortened(&long);
        assert!(shown.ends_with("words …") && shown.chars().count() <= 122, "{shown}");
        let one = "é".repeat(300);
        assert_eq!(shortened(&one), format!("{} …", "é".repeat(120)));
    }
}
