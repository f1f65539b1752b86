//! Expansion of other engines' functions into standard expressions: `IF(c, a, b)`, `lpad(s, 5, '0')`, `rpad(s, 5)`.

use std::ops::{ControlFlow, RangeInclusive};

use datafusion::sql::{
    parser::DFParser,
    sqlparser::{
        ast::{
            CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, ValueWithSpan, VisitorMut,
            helpers::attached_token::AttachedToken,
        },
        dialect::GenericDialect,
    },
};

/// Allowed lengths of padded texts.
const LONG: RangeInclusive<usize> = 1..=256;

/// Visitor to expand these functions. Unknown forms stay, and are refused as functions that are not allowed.
pub(super) struct Spelled;

impl VisitorMut for Spelled {
    type Break = ();

    // Bottom-up, so that the arguments are already expanded.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(spelled) = spelled(function)
        {
            *expr = spelled;
        }
        ControlFlow::Continue(())
    }
}

fn spelled(function: &Function) -> Option<Expr> {
    let Function { name, args: FunctionArguments::List(list), filter: None, over: None, .. } = function else { return None };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let args = list.args.iter().map(plain).collect::<Option<Vec<Expr>>>()?;
    match (name.to_string().to_lowercase().as_str(), args.as_slice()) {
        ("if" | "iff", [condition, then, or]) => Some(Expr::Case {
            case_token: AttachedToken::empty(),
            end_token: AttachedToken::empty(),
            operand: None,
            conditions: vec![CaseWhen { condition: condition.clone(), result: then.clone() }],
            else_result: Some(Box::new(or.clone())),
        }),
        (name @ ("lpad" | "rpad"), [text, long, by @ ..]) => padded(name, text, long, by),
        _ => None,
    }
}

/// Pads or cuts a text to a literal length, padding with a single character, as PostgreSQL does.
fn padded(name: &str, text: &Expr, long: &Expr, by: &[Expr]) -> Option<Expr> {
    let by = match by {
        [] => ' ',
        [Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(by), .. })] => {
            let mut by = by.chars();
            by.next().filter(|_| by.next().is_none())?
        }
        _ => return None,
    };
    let Expr::Value(ValueWithSpan { value: Value::Number(long, _), .. }) = long else { return None };
    let long = long.to_string().parse().ok().filter(|long| LONG.contains(long))?;
    let fill = by.to_string().repeat(long).replace('\'', "''");
    let text = text.to_string();
    let spelled = match name {
        "rpad" => format!("left(({text}) || '{fill}', {long})"),
        // The expansion contains the text twice, so nested padding would repeat it exponentially often.
        _ if text.contains("greatest(character_length(") => return None,
        _ => format!("left(right('{fill}' || ({text}), CAST(greatest(character_length({text}), {long}) AS INT)), {long})"),
    };
    DFParser::parse_sql_into_expr_with_dialect(&spelled, &GenericDialect {}).ok().map(|parsed| parsed.expr)
}
