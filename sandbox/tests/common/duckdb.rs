//! A query as DuckDB takes it: what the two call otherwise is called by names that `interop/differential.py` gives a meaning to.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{BinaryOperator, Expr, visit_expressions_mut},
    dialect::GenericDialect,
    parser::Parser,
};

/// Functions that both have with one meaning: aggregates, and what only chooses among values.
const SAME: [&str; 20] = [
    "count",
    "sum",
    "avg",
    "var",
    "stddev",
    "stddev_pop",
    "covar_pop",
    "corr",
    "median",
    "percentile_cont",
    "var_pop",
    "min",
    "max",
    "bool_or",
    "bool_and",
    "coalesce",
    "nullif",
    "grouping",
    "quantile_cont",
    "nvl",
];

/// `query`, in which what docs/reference/sql.md says is written out, for DuckDB.
pub(crate) fn for_duckdb(query: &str) -> String {
    let mut statements = Parser::parse_sql(&GenericDialect {}, query).unwrap();
    let _ = visit_expressions_mut(&mut statements, |expr| {
        let text = match expr {
            Expr::Function(call) => {
                let (name, rest) = (call.name.to_string().to_lowercase(), call.to_string());
                // A unit's own row, where it stands without a window.
                if let Some(name) =
                    name.strip_suffix("_value").filter(|name| ["first", "last"].contains(name) && call.over.is_none())
                {
                    let text = format!("{name}{}", &rest[name.len() + "_value".len()..]);
                    *expr = Parser::new(&GenericDialect {}).try_with_sql(&text).unwrap().parse_expr().unwrap();
                    return ControlFlow::Continue(());
                }
                // It sums truth values alone.
                let text = match name.as_str() {
                    "counted" => Some(format!("TRY_CAST({} AS DOUBLE)", &rest[name.len()..])),
                    "percentile_cont" if call.within_group.is_empty() => Some(format!("quantile_cont{}", &rest[name.len()..])),
                    _ => None,
                };
                if let Some(text) = text {
                    *expr = Parser::new(&GenericDialect {}).try_with_sql(&text).unwrap().parse_expr().unwrap();
                    return ControlFlow::Continue(());
                }
                // Windows mean the same.
                if call.over.is_some()
                    || SAME.contains(&name.as_str())
                    || ["first", "last"].contains(&name.as_str())
                    || name.starts_with("d_")
                {
                    return ControlFlow::<()>::Continue(());
                }
                format!("d_{name}{}", &rest[name.len()..])
            }
            Expr::BinaryOp { left, op, right } => {
                let (not, flags) = match op {
                    BinaryOperator::PGRegexMatch => ("", "c"),
                    BinaryOperator::PGRegexIMatch => ("", "i"),
                    BinaryOperator::PGRegexNotMatch => ("NOT ", "c"),
                    BinaryOperator::PGRegexNotIMatch => ("NOT ", "i"),
                    BinaryOperator::StringConcat => ("", "||"),
                    _ => return ControlFlow::Continue(()),
                };
                match flags {
                    "||" => format!("d_concatenated({left}, {right})"),
                    flags => format!("({not}d_matches({left}, {right}, '{flags}'))"),
                }
            }
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => match substring_for {
                Some(count) => format!("d_substr({expr}, {from}, {count})"),
                None => format!("d_substr({expr}, {from}, 9223372036854775807)"),
            },
            // Beyond its range a REAL is infinite.
            Expr::Cast { expr: inner, data_type, .. } if data_type.to_string() == "REAL" => format!("d_real({inner})"),
            Expr::Cast { expr: inner, data_type, .. } if data_type.to_string() == "TEXT" => format!("d_text({inner})"),
            Expr::Cast { expr: inner, data_type, .. } if data_type.to_string() == "TINYINT UNSIGNED" => {
                format!("TRY_CAST({inner} AS UTINYINT)")
            }
            Expr::Cast { expr: inner, data_type, .. }
                if data_type.to_string() == "BIGINT" && inner.to_string().ends_with("AS TIMESTAMP(6))") =>
            {
                format!("d_micros({inner})")
            }
            // A position or length: cut, where a cast rounds.
            Expr::Cast { expr: inner, data_type, .. } if data_type.to_string() == "BIGINT" => {
                let text = inner.to_string();
                if text.starts_with("d_nearest(") || ["INT)", "UTINYINT)", "BIGINT)"].iter().any(|end| text.ends_with(end)) {
                    return ControlFlow::Continue(());
                }
                format!("d_cut({text})")
            }
            Expr::Ceil { expr, .. } => format!("d_ceil({expr})"),
            Expr::Floor { expr, .. } => format!("d_floor({expr})"),
            Expr::Extract { field, expr, .. } => format!("d_date_part('{field}', {expr})"),
            Expr::Position { expr, r#in } => format!("d_strpos({in}, {expr})", in = r#in),
            _ => return ControlFlow::Continue(()),
        };
        *expr = Parser::new(&GenericDialect {}).try_with_sql(&text).unwrap().parse_expr().unwrap();
        ControlFlow::Continue(())
    });
    let text = statements[0].to_string();
    text.replace("LEFT SEMI JOIN", "SEMI JOIN").replace("LEFT ANTI JOIN", "ANTI JOIN")
}
