//! From text to an admitted query: planned by DataFusion over an empty table, then taken apart node by node.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, SchemaRef},
    common::DFSchema,
    datasource::empty::EmptyTable,
    execution::{SessionStateBuilder, context::SessionContext},
    logical_expr::{Aggregate, Expr, LogicalPlan, expr::AggregateFunction},
    prelude::SessionConfig,
};
use tidegate_gate::{Column, Keys, Measure, Shape};
use tidegate_protocol::{Refusal, job::Key, limits, policy::Policy};

use super::{
    expr::{bounds, refuse, total},
    text::{TABLE, canonical},
};

/// A filter and row expressions, all total.
#[derive(Debug, Clone)]
pub struct Select {
    /// Rows to keep.
    pub filter: Option<Expr>,
    /// Output expressions with their names.
    pub columns: Vec<(String, Expr)>,
    pub(crate) schema: Arc<DFSchema>,
    pub(crate) unit: String,
}

/// An admitted aggregate query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Filter, then key expressions, then aggregate arguments (one a column of the shape).
    pub select: Select,
    /// How many of the expressions are keys.
    pub keys: usize,
    /// What is released.
    pub shape: Shape,
    /// Declared keys, in the column's own types.
    pub declared: Option<Vec<Vec<Key>>>,
}

/// DataFusion with nothing in it but the empty table: no table functions, no catalog of information, no files.
fn context(schema: &SchemaRef) -> Result<SessionContext, Refusal> {
    let config = SessionConfig::new().with_information_schema(false).with_target_partitions(1);
    let state =
        SessionStateBuilder::new().with_config(config).with_default_features().with_table_functions(Default::default()).build();
    let context = SessionContext::new_with_state(state);
    context.register_table(TABLE, Arc::new(EmptyTable::new(schema.clone()))).map_err(|e| refuse(e.strip_backtrace()))?;
    Ok(context)
}

/// The schema a buyer sees: the unit column and the policy's columns.
fn visible(schema: &SchemaRef, policy: &Policy) -> Result<SchemaRef, Refusal> {
    let keep: Vec<usize> = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, f)| *f.name() == policy.unit.column || policy.columns.contains_key(f.name()))
        .map(|(i, _)| i)
        .collect();
    schema.project(&keep).map(Arc::new).map_err(refuse)
}

fn plan(sql: &str, schema: &SchemaRef, policy: &Policy) -> Result<(LogicalPlan, Arc<DFSchema>), Refusal> {
    let schema = visible(schema, policy)?;
    let context = context(&schema)?;
    let state = context.state();
    let text = canonical(&state, sql)?;
    let run = futures_block_on(state.create_logical_plan(&text));
    let plan = run.map_err(|e| {
        let message = e.strip_backtrace();
        // "Did you mean" and "Valid fields are" list columns; the listing shows them anyway, but only to those it was sent to.
        let message = message.split(". Did you mean").next().unwrap_or_default();
        refuse(message.split("Valid fields are").next().unwrap_or_default().trim().chars().take(300).collect::<String>())
    })?;
    let plan = state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
        .map_err(|e| refuse(e.strip_backtrace().chars().take(300).collect::<String>()))?;
    let df = DFSchema::try_from_qualified_schema(TABLE, &schema).map_err(refuse)?;
    Ok((plan, Arc::new(df)))
}

/// Planning one SELECT over a table in memory never waits for anything; a tiny executor is enough.
fn futures_block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

fn scan_and_filter(plan: &LogicalPlan) -> Result<Option<Expr>, Refusal> {
    match plan {
        LogicalPlan::TableScan(scan) if scan.table_name.table() == TABLE => Ok(None),
        LogicalPlan::Filter(filter) => match &*filter.input {
            LogicalPlan::TableScan(scan) if scan.table_name.table() == TABLE => Ok(Some(filter.predicate.clone())),
            other => Err(refuse(format!("{} is not supported", name(other)))),
        },
        other => Err(refuse(format!("{} is not supported", name(other)))),
    }
}

fn name(plan: &LogicalPlan) -> String {
    plan.display().to_string().split([':', ' ']).next().unwrap_or_default().to_owned()
}

/// An expression's name in the result: a column's own name, without the table's.
fn title(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        other => other.schema_name().to_string().replace("dataset.", ""),
    }
}

fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unalias(&alias.expr),
        other => other,
    }
}

/// Admits `SELECT expressions FROM dataset [WHERE …]`.
///
/// # Errors
/// A [`Refusal`] naming the construct.
pub fn admit_select(sql: &str, schema: &SchemaRef, policy: &Policy) -> Result<Select, Refusal> {
    let (plan, df) = plan(sql, schema, policy)?;
    let LogicalPlan::Projection(projection) = &plan else {
        return Err(refuse(format!("{} is not supported: select row expressions", name(&plan))));
    };
    let filter = scan_and_filter(&projection.input)?;
    let unit = &policy.unit.column;
    let columns = projection.expr.iter().map(|e| Ok((title(e), total(e.clone(), unit)?))).collect::<Result<Vec<_>, Refusal>>()?;
    if columns.len() > limits::COLUMNS {
        return Err(refuse(format!("more than {} columns", limits::COLUMNS)));
    }
    Ok(Select { filter: filter.map(|f| total(f, unit)).transpose()?, columns, schema: df, unit: unit.clone() })
}

/// Admits an aggregate query.
///
/// # Errors
/// A [`Refusal`] naming the construct.
pub fn admit_query(sql: &str, keys: Option<&[Vec<Key>]>, schema: &SchemaRef, policy: &Policy) -> Result<Query, Refusal> {
    let (plan, df) = plan(sql, schema, policy)?;
    let raw = || refuse("the query returns rows").fix("Only aggregates leave: use COUNT, SUM or AVG, with GROUP BY where wanted");
    let LogicalPlan::Projection(projection) = &plan else { return Err(raw()) };
    let LogicalPlan::Aggregate(aggregate) = &*projection.input else { return Err(raw()) };
    let filter = scan_and_filter(&aggregate.input)?;
    let unit = &policy.unit.column;
    let mut columns = Vec::new();
    let mut key_names = Vec::new();
    for expr in &aggregate.group_expr {
        key_names.push(title(expr));
        columns.push((title(expr), total(expr.clone(), unit)?));
    }
    let mut measures = Vec::new();
    for item in &projection.expr {
        match place(item, aggregate)? {
            Place::Key(i) => key_names[i] = title(item),
            Place::Measure(call) => {
                let (measure, argument) = measure(call, policy)?;
                let column = title(item);
                measures.push(Column { name: column.clone(), measure });
                columns.push((column, argument));
            }
        }
    }
    if measures.is_empty() {
        return Err(refuse("nothing is aggregated").fix("Add COUNT(*), COUNT(DISTINCT …), SUM or AVG"));
    }
    if measures.len() > limits::COLUMNS {
        return Err(refuse(format!("more than {} columns", limits::COLUMNS)));
    }
    let keys_len = aggregate.group_expr.len();
    let types = key_types(&columns[..keys_len], &df)?;
    let declared = keys.map(|keys| declare(keys, &types)).transpose()?;
    let mode = match (&declared, keys_len) {
        (None, 0) => Keys::None,
        (Some(_), 0) => return Err(refuse("keys are declared but there is no GROUP BY").at("program.keys")),
        (Some(keys), _) => Keys::Declared(keys.len() as u32),
        (None, _) => Keys::Undeclared { min_units: policy.min_units },
    };
    let shape = Shape {
        key_names,
        keys: mode,
        columns: measures,
        max_groups: policy.unit.max_groups,
        max_rows: policy.unit.max_rows,
        blocks: None,
    };
    let filter = filter.map(|f| total(f, unit)).transpose()?;
    Ok(Query { select: Select { filter, columns, schema: df, unit: unit.clone() }, keys: keys_len, shape, declared })
}

enum Place<'a> {
    Key(usize),
    Measure(&'a AggregateFunction),
}

/// Which key or aggregate a SELECT item is.
fn place<'a>(item: &Expr, aggregate: &'a Aggregate) -> Result<Place<'a>, Refusal> {
    let unsupported = || {
        refuse(format!("`{item}` is computed from aggregates"))
            .fix("Select the aggregates alone and compute with the released numbers")
    };
    let mut item = unalias(item);
    // COUNT comes as Int64 and is sometimes wrapped in a cast to itself by the analyzer.
    while let Expr::Cast(cast) = item {
        item = unalias(&cast.expr);
    }
    let Expr::Column(column) = item else { return Err(unsupported()) };
    let index = aggregate.schema.index_of_column(column).map_err(|_| unsupported())?;
    match index.checked_sub(aggregate.group_expr.len()) {
        None => Ok(Place::Key(index)),
        Some(i) => match aggregate.aggr_expr.get(i).map(unalias) {
            Some(Expr::AggregateFunction(call)) => Ok(Place::Measure(call)),
            _ => Err(unsupported()),
        },
    }
}

/// The gate's measure for one aggregate call, and the row expression it is over.
fn measure(call: &AggregateFunction, policy: &Policy) -> Result<(Measure, Expr), Refusal> {
    let name = call.func.name();
    let params = &call.params;
    if params.filter.is_some() || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Err(refuse(format!("{name} with FILTER, ORDER BY or NULLS is not supported")).fix("Use CASE or WHERE"));
    }
    let [argument] = params.args.as_slice() else { return Err(refuse(format!("{name} must have one argument"))) };
    let unit = &policy.unit.column;
    if params.distinct {
        return match unalias(argument) {
            Expr::Column(c) if name == "count" && c.name == *unit => {
                Ok((Measure::Units, Expr::Literal(datafusion::common::ScalarValue::Float64(Some(1.0)), None)))
            }
            _ => {
                Err(refuse(format!("{name}(DISTINCT …) is supported for the unit alone"))
                    .fix(format!("Use COUNT(DISTINCT {unit})")))
            }
        };
    }
    let argument = total(argument.clone(), unit)?;
    let bounded = || {
        bounds(&argument, &policy.columns).filter(|(lo, hi)| lo < hi).ok_or_else(|| {
            refuse(format!("{name}({argument}) has no public bounds"))
                .fix("Use columns that the policy bounds, with + - * and CASE over them")
        })
    };
    match name {
        "count" => Ok((Measure::Count, argument)),
        "sum" => bounded().map(|(lo, hi)| (Measure::Sum { lo, hi }, argument.clone())),
        "avg" => bounded().map(|(lo, hi)| (Measure::Mean { lo, hi }, argument.clone())),
        "var" | "var_samp" | "var_pop" | "stddev" | "stddev_samp" | "stddev_pop" => bounded().map(|(lo, hi)| {
            let (sample, root) = (!name.ends_with("_pop"), name.starts_with("stddev"));
            (Measure::Variance { lo, hi, sample, root }, argument.clone())
        }),
        "min" | "max" => {
            Err(refuse(format!("{name} shows one person's value")).fix("Use AVG, or a histogram by GROUP BY over ranges"))
        }
        other => {
            Err(refuse(format!("aggregate {other} is not supported"))
                .fix("Use COUNT, COUNT(DISTINCT unit), SUM, AVG, VAR or STDDEV"))
        }
    }
}

fn key_types(keys: &[(String, Expr)], schema: &DFSchema) -> Result<Vec<DataType>, Refusal> {
    use datafusion::logical_expr::ExprSchemable;
    keys.iter()
        .map(|(name, expr)| {
            let kind = expr.get_type(schema).map_err(|e| refuse(e.strip_backtrace()))?;
            let fine = kind.is_integer()
                || kind.is_floating() && kind != DataType::Float16
                || kind.is_string()
                || kind == DataType::Boolean;
            if !fine || kind == DataType::UInt64 {
                return Err(
                    refuse(format!("cannot group by {name} of type {kind}")).fix("Group by integers, text, booleans or floats")
                );
            }
            Ok(kind)
        })
        .collect()
}

fn declare(keys: &[Vec<Key>], types: &[DataType]) -> Result<Vec<Vec<Key>>, Refusal> {
    let bad = |row: usize, what: String| refuse(what).at(format!("program.keys[{row}]"));
    let mut seen = std::collections::HashSet::new();
    keys.iter()
        .enumerate()
        .map(|(row, key)| {
            if key.len() != types.len() {
                return Err(bad(row, format!("has {} values for {} keys", key.len(), types.len())));
            }
            let typed: Vec<Key> = key
                .iter()
                .zip(types)
                .map(|(key, kind)| match key {
                    Key::Int(i) if kind.is_floating() => Ok(Key::Float(*i as f64)),
                    // Zero has one form among the groups.
                    Key::Float(f) if kind.is_floating() && *f == 0.0 => Ok(Key::Float(0.0)),
                    Key::Text(t) if t.chars().count() > limits::KEY_CHARS => {
                        Err(bad(row, format!("has more than {} characters, which no group's key has", limits::KEY_CHARS)))
                    }
                    Key::Null => Ok(Key::Null),
                    Key::Int(_) if kind.is_integer() => Ok(key.clone()),
                    Key::Float(f) if kind.is_floating() && f.is_finite() => Ok(key.clone()),
                    Key::Text(_) if kind.is_string() => Ok(key.clone()),
                    Key::Bool(_) if *kind == DataType::Boolean => Ok(key.clone()),
                    _ => Err(bad(row, format!("{key:?} is not of type {kind}"))),
                })
                .collect::<Result<_, _>>()?;
            if !seen.insert(format!("{typed:?}")) {
                return Err(bad(row, "appears twice".into()));
            }
            Ok(typed)
        })
        .collect()
}
