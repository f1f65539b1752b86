//! A plain engine's answer: DataFusion without the gate, over a query in which what docs/reference/sql.md says of row expressions
//! is written out.

use std::{ops::ControlFlow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{cast, concat_batches, nullif},
    datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, UInt64Type},
};
use datafusion::{
    common::ScalarValue,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf},
    prelude::{SessionConfig, SessionContext},
    sql::sqlparser::{
        ast::{
            BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
            visit_expressions_mut,
        },
        dialect::GenericDialect,
        parser::Parser,
    },
};
use tidegate_protocol::job::Key;

/// Functions of numbers, which are taken as DOUBLE.
const NUMBERS: [&str; 25] = [
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "clamp", "cos", "cot", "degrees", "exp", "floor", "greatest",
    "least", "ln", "log10", "log2", "power", "radians", "round", "signum", "sin", "sqrt", "trunc",
];

/// A number that is one: NULL in place of NaN, and one zero.
fn settled(array: &ArrayRef) -> ArrayRef {
    let floats = cast(array, &DataType::Float64).unwrap();
    let floats = floats.as_primitive::<Float64Type>();
    let none = floats.iter().map(|v| Some(v.is_some_and(f64::is_nan))).collect();
    nullif(&floats.unary::<_, Float64Type>(|v| v + 0.0), &none).unwrap()
}

/// A function of floats that gives NULL where an argument is.
fn floats(name: &str, arguments: usize, of: fn(&[f64]) -> f64) -> ScalarUDF {
    let compute = move |args: &[ColumnarValue]| {
        let rows = args.iter().find_map(|a| if let ColumnarValue::Array(a) = a { Some(a.len()) } else { None });
        let arrays: Vec<ArrayRef> = args.iter().map(|a| a.to_array(rows.unwrap_or(1)).unwrap()).collect();
        let floats: Vec<_> = arrays.iter().map(|a| a.as_primitive::<Float64Type>()).collect();
        let one = |i: usize| {
            let there = floats.iter().all(|a| a.is_valid(i));
            there.then(|| of(&floats.iter().map(|a| a.value(i)).collect::<Vec<_>>()))
        };
        let made: arrow::array::Float64Array = (0..rows.unwrap_or(1)).map(one).collect();
        Ok(match rows {
            Some(_) => ColumnarValue::Array(Arc::new(made)),
            None => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
        })
    };
    create_udf(name, vec![DataType::Float64; arguments], DataType::Float64, Volatility::Immutable, Arc::new(compute))
}

/// Numbers at their nearest whole ones, of their own type: of floats the even one of two, of decimals the one further from zero. The plain engine cuts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Nearest(Signature);

impl ScalarUDFImpl for Nearest {
    fn name(&self) -> &str {
        "nearest"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, arguments: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(arguments[0].clone())
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion::error::Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let made: ArrayRef = match array.data_type() {
            DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even)),
            DataType::Float32 => Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even)),
            DataType::Decimal128(precision, scale) => {
                let one = 10i128.pow(u32::try_from(*scale).unwrap());
                let round = |v: i128| (v.abs().saturating_add(one / 2)) / one * one * v.signum();
                let made = array.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(round);
                Arc::new(made.with_precision_and_scale(*precision, *scale)?)
            }
            _ => array,
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// Aggregates of numbers, which take truth values too.
const SUMS: [&str; 9] = ["sum", "avg", "var", "var_pop", "stddev", "stddev_pop", "covar_samp", "covar_pop", "corr"];

/// Truth values as 1 and 0; anything else as it is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Counted(Signature);

impl ScalarUDFImpl for Counted {
    fn name(&self) -> &str {
        "counted"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, arguments: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(if arguments[0] == DataType::Boolean { DataType::Int64 } else { arguments[0].clone() })
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion::error::Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(if *array.data_type() == DataType::Boolean { cast(&array, &DataType::Int64)? } else { array }))
    }
}

/// The text of a number: without a point where its second argument is a whole number, as the planner takes it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsText(Signature);

impl ScalarUDFImpl for AsText {
    fn name(&self) -> &str {
        "as_text"
    }
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn return_type(&self, _: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> datafusion::error::Result<ColumnarValue> {
        let (array, kind) = (args.args[0].to_array(args.number_rows)?, args.args[1].data_type());
        let whole = kind.is_integer() || kind.is_null() || matches!(kind, DataType::Decimal128(_, 0));
        let array = if whole { cast(&array, &DataType::Int64)? } else { array };
        Ok(ColumnarValue::Array(cast(&array, &DataType::Utf8)?))
    }
}

/// Functions of numbers that are whole where all of their arguments are.
const KEEP: [&str; 4] = ["abs", "greatest", "least", "left_over"];

fn arguments(call: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &call.args else { return vec![] };
    let exprs = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    exprs.collect()
}

/// What arithmetic, as it is written out, is made of, and so of which types: whole numbers give whole ones, but for quotients.
fn made_of(expr: &Expr, all: &mut Vec<String>) {
    let operand = |expr: &Expr, all: &mut Vec<String>| match expr {
        Expr::Cast { expr, data_type, .. } if data_type.to_string() == "DOUBLE" => made_of(expr, all),
        other => made_of(other, all),
    };
    match expr {
        Expr::Nested(e) => made_of(e, all),
        Expr::Case { conditions, else_result, .. } => {
            conditions.iter().map(|when| &when.result).chain(else_result.as_deref()).for_each(|e| made_of(e, all));
        }
        Expr::Function(call) => match (call.name.to_string().to_lowercase().as_str(), arguments(call).as_slice()) {
            ("nullif" | "coalesce", args) => args.iter().for_each(|e| made_of(e, all)),
            ("date_part", [part, _]) if part.to_string() != "'epoch'" => all.push("1".to_owned()),
            ("settled", [Expr::UnaryOp { op: UnaryOperator::Minus, expr }]) => operand(expr, all),
            (
                "settled",
                [Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply, right }],
            ) => {
                operand(left, all);
                operand(right, all);
            }
            ("settled", [Expr::Function(of)]) if KEEP.contains(&of.name.to_string().as_str()) => {
                arguments(of).into_iter().for_each(|e| operand(e, all));
            }
            _ => all.push(expr.to_string()),
        },
        _ => all.push(expr.to_string()),
    }
}

/// The text of what may be a whole number; `None` for anything else.
fn text(expr: &Expr) -> Option<String> {
    let mut all = vec![];
    made_of(expr, &mut all);
    let computed = all != [expr.to_string()] && expr.to_string().contains("settled(");
    computed.then(|| format!("as_text({expr}, coalesce({}))", all.join(", ")))
}

/// An engine with these tables.
pub(crate) fn engine(tables: &[(&str, &RecordBatch)]) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let array = |value: &ColumnarValue, rows| value.to_array(rows).unwrap();
    let number = create_udf(
        "settled",
        vec![DataType::Float64],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(move |args| {
            let rows = args.iter().find_map(|a| if let ColumnarValue::Array(a) = a { Some(a.len()) } else { None });
            let made = settled(&array(&args[0], rows.unwrap_or(1)));
            Ok(match rows {
                Some(_) => ColumnarValue::Array(made),
                None => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
            })
        }),
    );
    let clamp = floats("clamp", 3, |v| v[0].max(v[1]).min(v[2]));
    let left_over = floats("left_over", 2, |v| {
        // As it is documented.
        let (a, b) = (v[0], v[1]);
        let quotient = (a / b).trunc();
        let left = a - b * quotient;
        let left = if left != 0.0 && (left < 0.0) != (a < 0.0) { left + b.abs().copysign(a) } else { left };
        match () {
            () if a.is_infinite() || b == 0.0 => f64::NAN,
            () if b.is_infinite() => a,
            () if quotient.abs() >= 9_007_199_254_740_992.0 || left.abs() >= b.abs() => 0.0,
            () => left,
        }
    });
    // What the optimizer does not look through: of 0.25, CAST(x AS INT) IN (0) is not x IN (0).
    let whole = create_udf(
        "whole",
        vec![DataType::Int64],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(|args: &[ColumnarValue]| Ok(args[0].clone())),
    );
    context.register_udf(left_over);
    context.register_udf(ScalarUDF::new_from_impl(Nearest(Signature::any(1, Volatility::Immutable))));
    context.register_udf(ScalarUDF::new_from_impl(Counted(Signature::any(1, Volatility::Immutable))));
    context.register_udf(ScalarUDF::new_from_impl(AsText(Signature::any(2, Volatility::Immutable))));
    context.register_udf(whole);
    context.register_udf(number);
    context.register_udf(clamp);
    for (name, rows) in tables {
        context.register_batch(*name, (*rows).clone()).unwrap();
    }
    context
}

/// `query` with arithmetic in DOUBLE, casts that give NULL where they fail, division by zero that is NULL, and NULL for what is no number.
pub(crate) fn documented(query: &str) -> String {
    // What it has of that name is an estimate.
    let query = query.replace("APPROX_PERCENTILE_CONT", "percentile_cont");
    let mut statements = Parser::parse_sql(&GenericDialect {}, &query).unwrap();
    let double = |e: &dyn std::fmt::Display| format!("TRY_CAST(({e}) AS DOUBLE)");
    let _ = visit_expressions_mut(&mut statements, |expr| {
        let text = match expr {
            // Not a number's.
            Expr::BinaryOp { right, .. } if matches!(**right, Expr::Interval(_)) => return ControlFlow::<()>::Continue(()),
            Expr::BinaryOp { right, .. } if right.to_string().starts_with("TIMESTAMP") => return ControlFlow::<()>::Continue(()),
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::Modulo => format!("settled(left_over({}, {}))", double(left), double(right)),
                BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply => {
                    format!("settled({} {op} {})", double(left), double(right))
                }
                BinaryOperator::Divide => format!("settled({} / nullif({}, 0e0))", double(left), double(right)),
                _ => return ControlFlow::<()>::Continue(()),
            },
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if !matches!(**expr, Expr::Value(_)) => {
                format!("settled(-{})", double(expr))
            }
            Expr::Cast { kind, data_type, expr: inner, .. } => {
                *kind = CastKind::TryCast;
                let written = matches!(**inner, Expr::Value(_));
                let text = text(inner).filter(|_| data_type.to_string() == "TEXT");
                let (inner, data_type) = (inner.to_string(), data_type.clone());
                let float = ["DOUBLE", "REAL"].contains(&data_type.to_string().as_str());
                let whole = ["INT", "BIGINT", "TINYINT UNSIGNED"].contains(&data_type.to_string().as_str());
                match (float, whole) {
                    (true, _) => format!("settled({expr})"),
                    // A number that is written rounds as a decimal does.
                    (_, true) if written => format!("whole(TRY_CAST(TRY_CAST(round({inner}) AS {data_type}) AS BIGINT))"),
                    (_, true) => format!("whole(TRY_CAST(TRY_CAST(nearest({inner}) AS {data_type}) AS BIGINT))"),
                    _ => text.unwrap_or_else(|| expr.to_string()),
                }
            }
            Expr::Ceil { expr, .. } => format!("settled(ceil({}))", double(expr)),
            Expr::Floor { expr, .. } => format!("settled(floor({}))", double(expr)),
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                let count = substring_for.as_ref().map_or(String::new(), |n| format!(", TRY_CAST({n} AS BIGINT)"));
                format!("substr({expr}, TRY_CAST({from} AS BIGINT){count})")
            }
            Expr::Function(call) if SUMS.contains(&call.name.to_string().to_lowercase().as_str()) => {
                let FunctionArguments::List(args) = &mut call.args else { return ControlFlow::Continue(()) };
                for arg in &mut args.args {
                    let counted = format!("counted({arg})");
                    let counted = Parser::new(&GenericDialect {}).try_with_sql(&counted).unwrap().parse_expr().unwrap();
                    *arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(counted));
                }
                return ControlFlow::Continue(());
            }
            Expr::Function(call) => {
                let name = call.name.to_string().to_lowercase();
                let FunctionArguments::List(args) = &call.args else { return ControlFlow::Continue(()) };
                let texts = arguments(call).into_iter().map(|e| text(e).unwrap_or_else(|| e.to_string())).collect::<Vec<_>>();
                let args: Vec<String> = args.args.iter().map(ToString::to_string).collect();
                let whole = |from: usize| {
                    let arg = |(i, a): (usize, &String)| if i < from { a.clone() } else { format!("TRY_CAST({a} AS BIGINT)") };
                    format!("{name}({})", args.iter().enumerate().map(arg).collect::<Vec<_>>().join(", "))
                };
                match name.as_str() {
                    name if NUMBERS.contains(&name) => {
                        format!("settled({name}({}))", args.iter().map(|a| double(a)).collect::<Vec<_>>().join(", "))
                    }
                    "year" | "month" | "day" | "hour" => format!("date_part('{name}', {})", args[0]),
                    "dayofyear" => format!("date_part('doy', {})", args[0]),
                    "date_diff" if args[0] == "'day'" => {
                        format!("(TRY_CAST({} AS DATE) - TRY_CAST({} AS DATE))", args[2], args[1])
                    }
                    "date_diff" => {
                        let months = |of: &str| format!("date_part('year', {of}) * 12 + date_part('month', {of})");
                        format!("TRY_CAST(({} - ({})) AS BIGINT)", months(&args[2]), months(&args[1]))
                    }
                    // What lies between two times, in seconds.
                    "date_part" if args[0] == "'epoch'" && args[1].contains(" - TIMESTAMP") => {
                        let (time, other) = args[1].split_once(" - ").unwrap();
                        let micros = |of: &str| format!("TRY_CAST(TRY_CAST({of} AS TIMESTAMP(6)) AS BIGINT)");
                        format!("(({} - {}) / 1000000e0)", micros(time), micros(other))
                    }
                    "substr" | "left" | "right" => whole(1),
                    "split_part" => whole(2),
                    "concat" => format!("concat({})", texts.join(", ")),
                    _ => return ControlFlow::Continue(()),
                }
            }
            _ => return ControlFlow::Continue(()),
        };
        *expr = Parser::new(&GenericDialect {}).try_with_sql(&text).unwrap().parse_expr().unwrap();
        ControlFlow::Continue(())
    });
    statements[0].to_string()
}

/// The answer, all of its rows in one batch.
pub(crate) async fn answer(context: &SessionContext, query: &str) -> Result<RecordBatch, String> {
    let words = |e: datafusion::error::DataFusionError| e.to_string();
    let frame = context.sql(query).await.map_err(words)?;
    let schema = frame.schema().inner().clone();
    let batches = frame.collect().await.map_err(words)?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    concat_batches(&schema, &batches).map_err(|e| e.to_string())
}

/// A value as results have it.
pub(crate) fn value(array: &ArrayRef, row: usize) -> Key {
    if array.is_null(row) {
        return Key::Null;
    }
    let one = array.slice(row, 1);
    let float = |v: f64| if v.is_finite() { Key::Float(v + 0.0) } else { Key::Text(v.to_string()) };
    match array.data_type() {
        DataType::UInt64 => Key::integer(one.as_primitive::<UInt64Type>().value(0)),
        kind if kind.is_integer() => Key::integer(cast(&one, &DataType::Int64).unwrap().as_primitive::<Int64Type>().value(0)),
        DataType::Float32 => float(one.as_primitive::<Float32Type>().value(0).to_string().parse().unwrap()),
        DataType::Float64 => float(one.as_primitive::<Float64Type>().value(0)),
        DataType::Boolean => Key::Bool(one.as_boolean().value(0)),
        _ => Key::Text(cast(&one, &DataType::Utf8).unwrap().as_string::<i32>().value(0).to_owned()),
    }
}
