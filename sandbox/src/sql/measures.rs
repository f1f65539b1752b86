//! Translation of aggregate calls to the gate's measures and their row expressions.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Aggregate, Case, Expr, expr::AggregateFunction, lit},
};
use tidegate_gate::{BRANCHES, Column, Covariance, Mean, Measure, Quantiles, Sum, Variance};
use tidegate_protocol::{Refusal, limits};

use super::{
    expr::{Bounded, bounds, total},
    kinds::of_time,
    literal::is_null,
    percentile::{is_percentile, percentile},
    place, refuse,
    rows::{PartOf, Rows},
    wrap::{conditional, unalias},
    written::written,
};

/// Measures of a query.
#[derive(Debug, Default)]
pub(super) struct Measures {
    /// Released columns.
    pub(super) columns: Vec<Column>,
    /// Row expressions of the columns, in each part of the rows: [`Measure::values`] of them per column, or one for counts.
    pub(super) arguments: Vec<Vec<Expr>>,
    /// For each aggregate call, its column in the result.
    pub(super) places: Vec<usize>,
    /// For each aggregate call, the index of its released column in `columns`.
    pub(super) of_calls: Vec<usize>,
}

/// Collects the measures of `aggregate`'s calls, called `titles`. `most` is the maximum number of groups, if public.
pub(super) fn collect(
    aggregate: &Aggregate,
    rows: &Rows,
    source: &Bounded<'_>,
    titles: &[String],
    most: Option<usize>,
) -> Result<Measures, Refusal> {
    let mut found = Measures { arguments: rows.parts().map(|_| vec![]).collect(), ..Measures::default() };
    // Quantiles of one argument share a tree: (column of the shape, argument in each part).
    let mut trees: Vec<(usize, Vec<Vec<Expr>>)> = Vec::new();
    // Location of each call: (column of the shape, cell within it).
    let mut cells: Vec<(usize, usize)> = Vec::new();
    for (call, title) in aggregate.aggr_expr.iter().zip(titles) {
        let Expr::AggregateFunction(call) = unalias(call) else {
            return Err(refuse(format!("{} is not an aggregate", written(call))));
        };
        let of_parts = rows.parts().map(|part| measure(call, part, source, most)).collect::<Result<Vec<_>, _>>()?;
        let (measures, arguments): (Vec<_>, Vec<_>) = of_parts.into_iter().unzip();
        let measure = measures.into_iter().reduce(hull).filter(is_bounded);
        let measure = measure.ok_or_else(|| unbounded(call.func.name(), call.params.args.first().unwrap_or(&lit(0))))?;
        if let Measure::Quantiles(new) = &measure
            && let Some((column, _)) = trees.iter().find(|(_, tree)| *tree == arguments)
            && let Column { measure: Measure::Quantiles(tree), titles, .. } = &mut found.columns[*column]
        {
            let at = tree.at.iter().position(|p| *p == new.at[0]).unwrap_or_else(|| {
                tree.at.push(new.at[0]);
                titles.push(title.clone());
                tree.at.len() - 1
            });
            cells.push((*column, at));
            continue;
        }
        if matches!(measure, Measure::Quantiles(_)) {
            trees.push((found.columns.len(), arguments.clone()));
        }
        cells.push((found.columns.len(), 0));
        let mut column = Column::new(title, measure);
        if let Measure::Quantiles(_) = column.measure {
            column.titles.push(title.clone());
        }
        found.columns.push(column);
        found.arguments.iter_mut().zip(arguments).for_each(|(all, mine)| all.extend(mine));
    }
    let width = |column: &Column| if let Measure::Quantiles(q) = &column.measure { q.at.len() } else { 1 };
    let before = |column: usize| found.columns[..column].iter().map(width).sum::<usize>();
    found.places = cells.iter().map(|(column, cell)| before(*column) + cell).collect();
    found.of_calls = cells.iter().map(|(column, _)| *column).collect();
    if found.columns.is_empty() {
        return Err(refuse("nothing is aggregated").fix("Add COUNT(*), COUNT(DISTINCT …), SUM or AVG"));
    }
    if found.columns.len() > limits::COLUMNS {
        return Err(refuse(format!("more than {} columns", limits::COLUMNS)));
    }
    Ok(found)
}

/// Returns the public bounds of an argument. NULL has none and needs none: NaN here, which gives way to bounds of other parts.
fn range(expr: &Expr, source: &Bounded<'_>) -> Option<(f64, f64)> {
    if is_null(expr) {
        return Some((f64::NAN, f64::NAN));
    }
    // An expression that is the same number wherever it is present, such as 1, lies between that number and 0.
    let wide = |(lo, hi): (f64, f64)| match lo == hi {
        true if lo == 0.0 => (0.0, 1.0),
        true => (lo.min(0.0), hi.max(0.0)),
        false => (lo, hi),
    };
    bounds(expr, source.columns).map(wide).filter(|(lo, hi)| lo < hi)
}

fn is_bounded(measure: &Measure) -> bool {
    match measure {
        Measure::Sum(Sum { lo, .. }) | Measure::Mean(Mean { lo, .. }) => !lo.is_nan(),
        Measure::Variance(variance) => !variance.lo.is_nan(),
        Measure::Quantiles(quantiles) => !quantiles.lo.is_nan(),
        Measure::Covariance(Covariance { x, y, .. }) => !x.0.is_nan() && !y.0.is_nan(),
        _ => true,
    }
}

/// Combines a call's measures over two parts of the rows, with bounds for both.
fn hull(a: Measure, b: Measure) -> Measure {
    match (a, b) {
        (Measure::Sum(a), Measure::Sum(b)) => Measure::Sum(Sum { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi) }),
        (Measure::Mean(a), Measure::Mean(b)) => Measure::Mean(Mean { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi) }),
        (Measure::Variance(a), Measure::Variance(b)) => {
            Measure::Variance(Variance { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi), ..a })
        }
        (Measure::Quantiles(a), Measure::Quantiles(b)) => {
            Measure::Quantiles(Quantiles { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi), ..a })
        }
        (Measure::Covariance(a), Measure::Covariance(b)) => {
            let both = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
            Measure::Covariance(Covariance { x: both(a.x, b.x), y: both(a.y, b.y), ..a })
        }
        // Counts have no bounds.
        (a, _) => a,
    }
}

/// Returns the gate's measure for an aggregate call, and its row expressions.
fn measure(
    call: &AggregateFunction,
    rows: PartOf<'_>,
    source: &Bounded<'_>,
    most: Option<usize>,
) -> Result<(Measure, Vec<Expr>), Refusal> {
    let name = call.func.name();
    let params = &call.params;
    if params.null_treatment.is_some() {
        return Err(refuse(format!("{name} with NULLS is not supported")).fix("NULL never counts; use COALESCE where it should"));
    }
    let quantile = is_percentile(name);
    if !params.order_by.is_empty() && !quantile {
        return Err(
            refuse(format!("{name} with ORDER BY is not supported")).fix("Remove it: the order of rows does not matter here")
        );
    }
    let filter = params.filter.as_deref();
    let argument = |i: usize| {
        let argument = params.args.get(i).ok_or_else(|| refuse(format!("{name} lacks an argument")))?;
        rows.resolve(&conditional(argument.clone(), filter))
    };
    let one = || {
        let expr = total(argument(0)?, source.unit)?;
        if rows.is_length(params.args.first()) {
            return Err(refuse(format!("{name} does not take a length of time, as {} is", written(&params.args[0]))).fix(
                "Take a number of it: clamp(date_diff('hour', b, a), 0, 240), or clamp(date_part('epoch', a - b) / 3600, 0, 240)",
            ));
        }
        let range = range(&expr, source).ok_or_else(|| unbounded(name, &params.args[0]))?;
        Ok::<_, Refusal>((expr, range))
    };
    if params.distinct {
        return distinct(name, rows, source, params.args.first(), filter);
    }
    match (name, params.args.len()) {
        // Only the presence of a value counts: texts need not be held.
        ("count", 1) => {
            let argument = total(argument(0)?, source.unit)?;
            if matches!(&argument, Expr::Literal(v, _) if !v.is_null()) {
                return Ok((Measure::Count, vec![argument]));
            }
            let there = Expr::IsNotNull(Box::new(argument));
            let yes = Expr::Literal(ScalarValue::Boolean(Some(true)), None);
            Ok((Measure::Count, vec![conditional(yes, Some(&there))]))
        }
        ("sum", 1) => one().map(|(e, (lo, hi))| (Measure::Sum(Sum { lo, hi }), vec![e])),
        ("avg", 1) => one().map(|(e, (lo, hi))| (Measure::Mean(Mean { lo, hi }), vec![e])),
        ("var" | "var_samp" | "var_pop" | "stddev" | "stddev_samp" | "stddev_pop", 1) => one().map(|(e, (lo, hi))| {
            let (sample, root) = (!name.ends_with("_pop"), name.starts_with("stddev"));
            (Measure::Variance(Variance { lo, hi, sample, root }), vec![e])
        }),
        ("covar" | "covar_samp" | "covar_pop" | "corr", 2) => {
            let (first, x) = one()?;
            let second = total(argument(1)?, source.unit)?;
            let y = range(&second, source).ok_or_else(|| unbounded(name, &params.args[1]))?;
            let (sample, correlation) = (!name.ends_with("_pop"), name == "corr");
            Ok((Measure::Covariance(Covariance { x, y, sample, correlation }), vec![first, second]))
        }
        _ if quantile => {
            let p = percentile(name, params)?;
            // More leaves than groups can afford would fill a worker's memory: 16 KiB or 1 KiB per group.
            let layers = if most.is_some_and(|most| most <= limits::FINE_GROUPS) { 3 } else { 2 };
            one()
                .map(|(e, (lo, hi))| (Measure::Quantiles(Quantiles { lo, hi, bins: BRANCHES.pow(layers), at: vec![p] }), vec![e]))
        }
        ("min" | "max", _) if rows.is_time(params.args.first()) => {
            let shown = params.args.first().map_or_else(|| "x".to_owned(), written);
            Err(place::of_call(refuse(format!("{name} shows one person's value")), name)
                .fix(of_time(&shown, if name == "min" { "0.05" } else { "0.95" })))
        }
        ("min" | "max", _) => Err(place::of_call(refuse(format!("{name} shows one person's value")), name)
            .fix("Use APPROX_PERCENTILE_CONT(x, 0.01) or (x, 0.99), or a histogram by GROUP BY over ranges")),
        ("bool_and" | "bool_or" | "first_value" | "last_value" | "any_value" | "nth_value", _) => {
            let refusal = refuse(format!("{name} shows one person's value")).fix("Use COUNT(*) FILTER (WHERE …)");
            Err(place::of_call(refusal, name))
        }
        ("approx_distinct", _) => Err(refuse("approx_distinct is not supported")
            .fix(format!("Use COUNT(DISTINCT {}); values of other columns can be counted by GROUP BY", source.unit))),
        ("grouping", _) => Err(refuse("GROUPING() is not supported").fix("Send one query for each grouping")),
        (other, n) => Err(place::of_call(refuse(format!("aggregate {other} with {n} arguments is not supported")), other)
            .fix("Use COUNT, COUNT(DISTINCT unit), SUM, AVG, VAR, STDDEV, COVAR, CORR, MEDIAN or APPROX_PERCENTILE_CONT")),
    }
}

/// Builds the measure of COUNT(DISTINCT unit), or of the unit where a condition holds.
fn distinct(
    name: &str,
    rows: PartOf<'_>,
    source: &Bounded<'_>,
    argument: Option<&Expr>,
    filter: Option<&Expr>,
) -> Result<(Measure, Vec<Expr>), Refusal> {
    let unit = source.unit;
    let other = || {
        refuse(format!("{name}(DISTINCT …) is supported for the unit alone")).fix(format!(
            "Use COUNT(DISTINCT {unit}). How many different values each unit has is counted in a subquery: SELECT {unit}, COUNT(DISTINCT x) AS n FROM \
             … GROUP BY {unit}"
        ))
    };
    let argument = rows.resolve(argument.ok_or_else(other)?)?;
    let filter = filter.map(|f| rows.resolve(f)).transpose()?;
    let here = || Expr::Literal(ScalarValue::Float64(Some(1.0)), None);
    let is_unit = |e: &Expr| matches!(unalias(e), Expr::Column(c) if c.name == unit);
    let present = match argument {
        ref e if name == "count" && is_unit(e) => here(),
        // COUNT(DISTINCT CASE WHEN … THEN unit END): the unit counts where a branch gives it.
        Expr::Case(case) if name == "count" && case.when_then_expr.iter().any(|(_, then)| is_unit(then)) => {
            let branch = |then: Box<Expr>| match *then {
                ref e if is_unit(e) => Ok(Box::new(here())),
                Expr::Literal(v, m) if v.is_null() => Ok(Box::new(Expr::Literal(v, m))),
                _ => Err(other()),
            };
            let when = |(when, then)| Ok((when, branch(then)?));
            Expr::Case(Case {
                expr: case.expr,
                when_then_expr: case.when_then_expr.into_iter().map(when).collect::<Result<_, Refusal>>()?,
                else_expr: case.else_expr.map(branch).transpose()?,
            })
        }
        _ => return Err(other()),
    };
    Ok((Measure::Units, vec![total(conditional(present, filter.as_ref()), unit)?]))
}

fn unbounded(name: &str, expr: &Expr) -> Refusal {
    refuse(format!("{name}({}) has no public bounds", written(expr)))
        .fix("Write clamp(x, lo, hi) around it, or use columns that the policy bounds")
}
