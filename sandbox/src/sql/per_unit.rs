//! Aggregation of each privacy unit's own rows, in a subquery with GROUP BY unit, to a row per unit.
//!
//! Rows are ordered by unit, so a unit is complete when the next begins: the state is one batch's units, whatever the data, and a
//! public number of one unit's values ([`values`]).

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow::{
    array::ArrayRef,
    compute::{SortOptions, cast},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    common::DFSchema,
    functions_aggregate::bool_and_or::{bool_and_udaf, bool_or_udaf},
    logical_expr::{Aggregate, EmitTo, Expr, ExprSchemable as _, GroupsAccumulator, cast as cast_expr, lit},
    physical_expr::{aggregate::AggregateExprBuilder, expressions::Column as PhysicalColumn},
};
use tidegate_protocol::{
    Refusal,
    policy::{ColumnRule, Policy},
};

use self::values::{Held, most};
use super::{
    exact::number,
    expr::total,
    first::{Done, Taken, Taking},
    input::{Call, Input, PerUnit},
    percentile::{is_percentile, percentile},
    planner::Planned,
    refuse,
    rows::Rows,
    said::{engine, engine_words},
    select::Select,
    titles::readable,
    wrap::{conditional, float, named_where, unalias},
};
use crate::{
    RunError,
    units::{Runs, Unit, UnitRef},
};

mod values;

/// Aggregates whose state for one unit is a few numbers, whatever the unit's rows.
const ALLOWED: [&str; 12] =
    ["count", "sum", "avg", "min", "max", "var", "var_pop", "stddev", "stddev_pop", "bool_and", "bool_or", "var_samp"];
/// Aggregates for values of a unit's first and last row in an order.
const FIRST: &str = "first_value";
const LAST: &str = "last_value";

impl Call {
    /// Replaces MIN and MAX of truth values, which the engine does not aggregate by group, by BOOL_AND and BOOL_OR, which are the same.
    fn of_truth_values(&mut self, kind: &DataType) {
        let Self::All(function) = self else { return };
        match function.name() {
            "min" if *kind == DataType::Boolean => *function = bool_and_udaf(),
            "max" if *kind == DataType::Boolean => *function = bool_or_udaf(),
            _ => {}
        }
    }
}

/// Admits the aggregates, and returns an expression over their results for each.
pub(super) fn admit(
    aggregate: &Aggregate,
    rows: Rows,
    planned: &Planned,
    policy: &Policy,
) -> Result<(PerUnit, Vec<Expr>), Refusal> {
    let unit = &policy.unit.column;
    let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
    // One list for each part of the rows.
    let mut arguments: Vec<Vec<Expr>> = rows.parts().map(|_| vec![]).collect();
    let mut orders = arguments.clone();
    let source = rows.source.schema(planned);
    // Whether an argument that the planner takes for an integer is an integer here too.
    let mut whole = Vec::with_capacity(aggregate.aggr_expr.len());
    for call in &aggregate.aggr_expr {
        let Expr::AggregateFunction(call) = unalias(call) else {
            return Err(refuse(format!("{} is not an aggregate", readable(&call.to_string()))));
        };
        let name = call.func.name();
        let params = &call.params;
        let first = matches!(name, FIRST | LAST);
        let (distinct, part) = (params.distinct && name == "count", is_percentile(name));
        let ordered = first || part;
        let plain = (!params.distinct || distinct) && params.null_treatment.is_none() && (ordered || params.order_by.is_empty());
        let argument = match params.args.as_slice() {
            [argument] => argument,
            [argument, _] if part => argument,
            _ => return Err(refuse(format!("{name} of a unit's rows takes one value of each"))),
        };
        if first && (!plain || params.order_by.is_empty() || params.filter.is_some()) {
            let name = name.to_uppercase();
            return Err(refuse(format!("{name} of a unit's rows takes an order of them, and nothing else"))
                .fix(format!("Write {name}(x ORDER BY day), and which rows are looked at in WHERE")));
        }
        if !plain || !ordered && !ALLOWED.contains(&name) {
            let shown = if params.distinct { format!("{}(DISTINCT …)", name.to_uppercase()) } else { name.to_uppercase() };
            return Err(refuse(format!("{shown} of a unit's rows is not supported")).fix(format!(
                "In a subquery use {}, COUNT(DISTINCT x), median, percentile_cont, {FIRST}, {LAST}",
                ALLOWED[..11].join(", ")
            )));
        }
        let of_parts = rows.resolve(&conditional(argument.clone(), params.filter.as_deref()))?.into_iter();
        let of_parts = of_parts.map(|e| total(if distinct { counted(e, unit) } else { e }, unit));
        let of_parts = of_parts.collect::<Result<Vec<_>, _>>()?;
        whole.push(of_parts.iter().all(|e| e.get_type(&*source).is_ok_and(|kind| kind.is_integer() || kind.is_null())));
        for (all, argument) in arguments.iter_mut().zip(of_parts) {
            all.push(number(if is_numeric(name) || part { float(argument) } else { argument }, &source));
        }
        calls.push(if first {
            let keys = aggregate.aggr_expr.len() + orders.first().map_or(0, Vec::len);
            let mut order = Vec::with_capacity(params.order_by.len());
            for by in &params.order_by {
                for (all, key) in orders.iter_mut().zip(rows.resolve(&by.expr)?) {
                    all.push(number(total(key, unit)?, &source));
                }
                // The last row is the first in the reverse order.
                let turned = name == LAST;
                order.push(SortOptions { descending: by.asc == turned, nulls_first: by.nulls_first != turned });
            }
            Call::First { keys, order }
        } else if part {
            Call::Percentile(percentile(name, params)?)
        } else if distinct {
            Call::Distinct
        } else {
            Call::All(call.func.clone())
        });
    }
    // These names cannot clash with a dataset's columns: the unit's table is separate.
    let mut names: Vec<String> = (0..calls.len()).map(|i| format!("unit {i}")).collect();
    let titles = names.clone();
    names.extend((0..orders.first().map_or(0, Vec::len)).map(|i| format!("order {i}")));
    arguments.iter_mut().zip(orders).for_each(|(all, keys)| all.extend(keys));
    // Maximum number of rows of a unit, if it is public.
    let rows_a_unit = rows.source.most_a_unit().map(|most| f64::from(most) * arguments.len() as f64);
    let branches = rows.filters().zip(arguments).collect();
    let select = Select::new(names, branches, source, unit)?;
    let input = Input::new(select, rows.source)?;
    let kind = |e: &Expr| e.get_type(&*input.select.schema).map_err(|e| engine(&e));
    let kinds = input.select.branches[0].columns.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    calls.iter_mut().zip(&kinds).for_each(|(call, kind)| call.of_truth_values(kind));
    let (mut fields, mut rules, mut columns) = (vec![], BTreeMap::new(), vec![]);
    for (i, (call, title)) in calls.iter().zip(titles).enumerate() {
        let kind = kinds[i].clone();
        let limits = input.column_bounds(i, policy).bounds();
        let (result, rule) = match call {
            Call::All(call) => (call.return_type(&[kind]).map_err(|e| engine(&e))?, rule(call.name(), limits, rows_a_unit)),
            Call::First { .. } => (kind, limits),
            Call::Percentile(_) => (DataType::Float64, limits),
            // There are two truth values.
            Call::Distinct if kind == DataType::Boolean => (DataType::Int64, Some((0.0, rows_a_unit.unwrap_or(2.0).min(2.0)))),
            Call::Distinct => (DataType::Int64, rows_a_unit.map(|most| (0.0, most))),
        };
        rules.insert(title.clone(), ColumnRule { lo: rule.map(|r| r.0), hi: rule.map(|r| r.1), chars: None });
        let wanted = aggregate.schema.field(aggregate.group_expr.len() + i).data_type().clone();
        let column = Rows::column(title.clone());
        // A percentile between two integers is a fraction.
        let whole = whole[i] && !matches!(call, Call::Percentile(_));
        columns.push(if wanted != result && wanted.is_integer() && whole { cast_expr(column, wanted) } else { column });
        fields.push(Field::new(&title, result, true));
    }
    let schema = Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(refuse)?);
    let stage = PerUnit { calls, kinds, input, schema, bounds: rules };
    stage.begin().map_err(|e| engine_words(&e.to_string()).fix("Aggregate numbers or texts"))?;
    Ok((stage, columns))
}

fn is_numeric(name: &str) -> bool {
    matches!(name, "sum" | "avg") || name.starts_with("var") || name.starts_with("stddev")
}

/// Replaces the unit in COUNT(DISTINCT …) by a single value wherever present; other expressions stay.
fn counted(expr: Expr, unit: &str) -> Expr {
    match unalias(&expr) {
        Expr::Column(column) if column.name == unit => lit(true),
        bare => match named_where(bare, unit) {
            Some(there) => conditional(lit(true), Some(&there.clone())),
            None => expr,
        },
    }
}

/// Derives public bounds of an aggregate's result from its argument's bounds and the number of rows of a unit.
fn rule(name: &str, limits: Option<(f64, f64)>, rows: Option<f64>) -> Option<(f64, f64)> {
    match name {
        "avg" | "min" | "max" => limits,
        "count" => rows.map(|most| (0.0, most)),
        "bool_and" | "bool_or" => Some((0.0, 1.0)),
        _ if is_numeric(name) && name != "sum" => limits.map(|(lo, hi)| {
            let half = (hi - lo) / 2.0;
            // The sample variance of two values is twice their population variance.
            if name.starts_with("var") { (0.0, 2.0 * half * half) } else { (0.0, half * 2f64.sqrt()) }
        }),
        _ => None,
    }
}

/// Aggregation state of a thread.
pub(super) struct Folding {
    states: Vec<State>,
    kinds: Vec<DataType>,
    /// Unit with which the last batch ended.
    open: Option<Unit>,
}

/// State of an aggregate.
enum State {
    All(Box<dyn GroupsAccumulator>),
    /// First row, with the columns by which rows are ordered.
    First(Box<Taking>, Range<usize>),
    Held(Box<Held>),
}

impl PerUnit {
    /// Returns whether any aggregate takes values of first or last rows.
    pub(super) fn takes_rows(&self) -> bool {
        self.calls.iter().any(|call| matches!(call, Call::First { .. }))
    }

    /// Returns the input columns of aggregates holding a unit's values, and whether the aggregate distinguishes values.
    pub(super) fn holds(&self) -> impl Iterator<Item = (&str, bool)> {
        let named = self.calls.iter().zip(self.input.select.names.iter().map(String::as_str));
        named.filter_map(|(call, name)| match call {
            Call::Distinct => Some((name, true)),
            Call::Percentile(_) => Some((name, false)),
            _ => None,
        })
    }

    /// Starts an aggregation.
    ///
    /// # Errors
    /// Returns [`RunError::Engine`] if a type cannot be aggregated, which admission detects.
    pub(super) fn begin(&self) -> Result<Folding, RunError> {
        let fields = self.input.select.names.iter().zip(&self.kinds).map(|(name, kind)| Field::new(name, kind.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let most = most(self.holds().count());
        let state = |(i, (call, name)): (usize, (&Call, &String))| {
            let call = match call {
                Call::All(call) => call,
                Call::Distinct => return Ok(State::Held(Box::new(Held::distinct(&self.kinds[i], most)?))),
                Call::Percentile(at) => return Ok(State::Held(Box::new(Held::percentile(*at, most)))),
                Call::First { keys, order } => {
                    let keys = *keys..*keys + order.len();
                    let kinds = std::iter::once(&self.kinds[i]).chain(&self.kinds[keys.clone()]).cloned().collect();
                    return Ok(State::First(Box::new(Taking::new(kinds, order, Taken::ONE, false)?), keys));
                }
            };
            let argument = Arc::new(PhysicalColumn::new(name, i));
            let call = AggregateExprBuilder::new(call.clone(), vec![argument]).schema(schema.clone()).alias(name).build()?;
            if !call.groups_accumulator_supported() {
                return Err(RunError::Engine(format!("{} of {} is not supported", call.fun().name(), self.kinds[i])));
            }
            Ok(State::All(call.create_groups_accumulator()?))
        };
        let states = self.calls.iter().zip(&self.input.select.names).enumerate().map(state).collect::<Result<_, RunError>>()?;
        Ok(Folding { states, kinds: self.kinds.clone(), open: None })
    }
}

impl Folding {
    /// Adds a batch, and returns the units completed by the batch.
    pub(super) fn batch(&mut self, runs: &Runs, arguments: &[ArrayRef]) -> Result<Done, RunError> {
        let mut units: Vec<Unit> = self.open.take().into_iter().collect();
        let mut groups = Vec::with_capacity(arguments.first().map_or(0, |a| a.len()));
        for (i, rows) in runs.rows.iter().enumerate() {
            if units.last().map(Unit::as_ref) != Some(runs.unit(i)) {
                units.push(runs.unit(i).to_owned());
            }
            groups.extend(std::iter::repeat_n(units.len() - 1, rows.len()));
        }
        let mut taken = Vec::new();
        for ((state, kind), argument) in self.states.iter_mut().zip(&self.kinds).zip(arguments) {
            let typed = || Ok::<_, RunError>(if argument.data_type() == kind { argument.clone() } else { cast(argument, kind)? });
            match state {
                State::All(state) => state.update_batch(&[typed()?], &groups, None, units.len())?,
                State::Held(held) => held.add(&typed()?, &groups)?,
                State::First(taking, keys) => {
                    let columns: Vec<ArrayRef> = std::iter::once(argument).chain(&arguments[keys.clone()]).cloned().collect();
                    taken.extend(taking.batch(runs, &columns)?.1);
                }
            }
        }
        self.open = units.pop();
        self.emit(units, taken)
    }

    /// Returns the last unit if below `at`, or if there are no more rows.
    pub(super) fn close(&mut self, at: Option<UnitRef<'_>>) -> Result<Done, RunError> {
        let done = self.open.take_if(|open| at.is_none_or(|at| open.as_ref() < at));
        let mut taken = Vec::new();
        for state in &mut self.states {
            if let State::First(taking, _) = state {
                taken.extend(taking.close(at)?.1);
            }
        }
        self.emit(done.into_iter().collect(), taken)
    }

    /// Emits completed units; `taken` has the columns of first rows in their order.
    fn emit(&mut self, units: Vec<Unit>, taken: Vec<ArrayRef>) -> Result<Done, RunError> {
        if units.is_empty() {
            return Ok((units, vec![]));
        }
        let mut taken = taken.into_iter();
        let column = |state: &mut State| match state {
            State::All(state) => Ok(state.evaluate(EmitTo::First(units.len()))?),
            State::Held(held) => Ok(held.done(units.len())),
            // There is one first row for each of the same units.
            State::First(..) => taken.next().ok_or_else(|| RunError::Engine("a unit has no first row".into())),
        };
        let columns = self.states.iter_mut().map(column).collect::<Result<_, RunError>>()?;
        Ok((units, columns))
    }
}
