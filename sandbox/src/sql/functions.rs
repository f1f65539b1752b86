//! Allow-list of scalar functions for jobs, and the rewrites to make each of them total.
//!
//! A function is listed if its value depends on one row alone and not on the time of the call, its result is no longer than a
//! public number, and it takes time in proportion to its arguments. If it could raise an error on some row, the function or its
//! arguments are rewritten; as a last safeguard, `units/eval.rs` gives NULL to a row that raises one all the same.

use datafusion::{
    arrow::datatypes::DataType,
    common::{ScalarValue, utils::datafusion_strsim::levenshtein},
    functions::{core::nullif, math::trunc},
    logical_expr::{BinaryExpr, Case, Expr, Operator, expr::ScalarFunction, lit, try_cast},
};
use tidegate_protocol::Refusal;

use super::{
    casts::NAMED,
    clamp::CLAMP,
    literal::{bound, text_literal},
    matching::{MATCHES, Pattern},
    own::{FAR, LOWER, POWER, ROOT, calendar, length, lower, power, root, short, start},
    place,
    public::Lookup,
    refuse, times,
    wrap::float,
};

/// Numeric functions with their argument counts. Arguments become Float64: integer forms of `abs` and others fail on the minimum.
const NUMBERS: [(&str, std::ops::RangeInclusive<usize>); 30] = [
    ("abs", 1..=1),
    ("acos", 1..=1),
    ("asin", 1..=1),
    ("atan", 1..=1),
    ("atan2", 2..=2),
    ("cbrt", 1..=1),
    ("ceil", 1..=1),
    ("cos", 1..=1),
    ("cosh", 1..=1),
    ("cot", 1..=1),
    ("degrees", 1..=1),
    ("exp", 1..=1),
    ("floor", 1..=1),
    ("greatest", 1..=16),
    ("isnan", 1..=1),
    ("least", 1..=16),
    ("ln", 1..=1),
    ("log10", 1..=1),
    ("log2", 1..=1),
    ("nanvl", 2..=2),
    ("pi", 0..=0),
    ("power", 2..=2),
    ("radians", 1..=1),
    ("round", 1..=1),
    ("signum", 1..=1),
    ("sin", 1..=1),
    ("sinh", 1..=1),
    ("sqrt", 1..=1),
    ("tan", 1..=1),
    ("trunc", 1..=1),
];

/// Text functions with their argument counts. A result is a number, or no longer than the arguments.
const TEXTS: [(&str, std::ops::RangeInclusive<usize>); 15] = [
    ("ascii", 1..=1),
    ("btrim", 1..=2),
    ("character_length", 1..=1),
    ("contains", 2..=2),
    ("ends_with", 2..=2),
    ("left", 2..=2),
    ("ltrim", 1..=2),
    ("octet_length", 1..=1),
    ("reverse", 1..=1),
    ("right", 2..=2),
    ("rtrim", 1..=2),
    ("split_part", 3..=3),
    ("starts_with", 2..=2),
    ("strpos", 2..=2),
    ("substr", 2..=3),
];

/// Text functions whose result may grow: arguments and result are shortened. A letter's other case may be three letters.
const GROWING: [(&str, std::ops::RangeInclusive<usize>); 6] =
    [("concat", 1..=4), ("concat_ws", 2..=5), ("initcap", 1..=1), ("lower", 1..=1), ("replace", 3..=3), ("upper", 1..=1)];

/// Argument counts of a long `concat`: more than four texts are joined four at a time, lest a text outgrow a worker's memory.
const CONCAT: std::ops::RangeInclusive<usize> = 5..=16;

/// Decimal places accepted as second argument of `round` and `trunc`: their powers of ten are exact in Float64.
const PLACES: std::ops::RangeInclusive<i32> = -15..=15;

/// Maximum factor by which `replace` may grow its text before shortening: a batch of such texts must fit a worker's memory.
const GROWTH: usize = 4;

/// Functions with a literal as first argument, which says what is meant.
const NAMED_FIRST: [(&str, std::ops::RangeInclusive<usize>); 2] = [("date_part", 2..=2), ("date_trunc", 2..=2)];

/// Lists the allowed functions with their argument counts, except date functions.
#[cfg(test)]
pub(super) fn listed() -> impl Iterator<Item = (&'static str, std::ops::RangeInclusive<usize>)> {
    let others = [(CLAMP, 3..=3), ("nullif", 2..=2), ("coalesce", 1..=8), ("concat", CONCAT), ("round", 2..=2), ("trunc", 2..=2)];
    NUMBERS.into_iter().chain(TEXTS).chain(GROWING).chain(NAMED_FIRST).chain(others)
}

/// Makes `call` total, given its arguments, which are total already.
pub(super) fn total(mut call: ScalarFunction, args: Vec<Expr>) -> Result<Expr, Refusal> {
    let name = call.name().to_owned();
    if name == NAMED {
        return args.into_iter().next().ok_or_else(|| unlisted(&name, 0));
    }
    if let Some(what) = times::of(&call.func) {
        return times::total(what, &name, args);
    }
    let on = |list: &[(&str, std::ops::RangeInclusive<usize>)]| {
        list.iter().any(|(n, count)| *n == name && count.contains(&args.len()))
    };
    let literal = |i: usize| matches!(args.get(i), Some(Expr::Literal(v, _)) if !v.is_null());
    call.args = if on(&NUMBERS) {
        match name.as_str() {
            ROOT => call.func = std::sync::Arc::new(root()),
            POWER => call.func = std::sync::Arc::new(power()),
            _ => {}
        }
        args.into_iter().map(float).collect()
    } else if matches!(name.as_str(), "round" | "trunc") && args.len() == 2 {
        return to_places(&call, args);
    } else if name == "concat" && CONCAT.contains(&args.len()) {
        return Ok(concatenated(&call, args));
    } else if name == MATCHES && args.len() == 2 {
        let pattern = text_literal(&args[1]).ok_or_else(|| refuse("regexp_like needs a literal pattern"))?;
        return matching(args.into_iter().next(), &pattern, false);
    } else if on(&TEXTS) {
        // Numbers among the arguments are positions and lengths; arithmetic made them Float64.
        let texts = match name.as_str() {
            "substr" | "left" | "right" => 1,
            "split_part" => 2,
            _ => args.len(),
        };
        let position = |(i, e)| match (i < texts, name.as_str()) {
            (true, _) => e,
            // A negative length, an end beyond `i64` and part number zero would raise an error.
            (_, "substr") if i == 1 && !is_within(&e, -FAR..=FAR) => start(place(e)),
            (_, "substr") if i == 2 && !is_within(&e, 0..=FAR) => length(place(e)),
            (_, "split_part") => nullif().call(vec![place(e), lit(0i64)]),
            _ => place(e),
        };
        args.into_iter().enumerate().map(position).collect()
    } else if on(&GROWING) {
        if name == "replace" && !grows_little(&args[1], &args[2]) {
            return Err(refuse("replace needs two literals, the second at most four times as long as the first"));
        }
        if name == LOWER {
            call.func = std::sync::Arc::new(lower());
        }
        call.args = args.into_iter().map(short).collect();
        return Ok(short(Expr::ScalarFunction(call)));
    } else if on(&NAMED_FIRST) {
        if !literal(0) {
            return Err(refuse(format!("{name} needs a literal as its first argument")));
        }
        args.into_iter().enumerate().map(|(i, e)| if i == 0 { e } else { calendar(e) }).collect()
    } else if name == "nullif" && args.len() == 2 || call.func.inner().downcast_ref::<Lookup>().is_some() {
        args
    } else if matches!(name.as_str(), "coalesce" | "nvl") && (1..=8).contains(&args.len()) {
        // DataFusion's own implementation raises errors at run time.
        return Ok(first_that_is_there(args));
    } else if name == CLAMP {
        let Some((lo, hi)) = bound(&args, 1).zip(bound(&args, 2)) else {
            return Err(refuse("clamp needs two literal numbers").fix("Write clamp(x, 0, 100)"));
        };
        if lo >= hi {
            return Err(refuse(format!("clamp(x, {lo}, {hi}): the first bound must be below the second"))
                .fix("Write the lower bound first, and bounds that differ, as in clamp(x, 0, 100)"));
        }
        args
    } else {
        return Err(unlisted(&name, args.len()));
    };
    Ok(Expr::ScalarFunction(call))
}

/// Converts a number to a text position or length: quotients are truncated, as in engines with integer division.
fn place(number: Expr) -> Expr {
    let literal = bound(std::slice::from_ref(&number), 0).is_some();
    try_cast(if literal { number } else { trunc().call(vec![float(number)]) }, DataType::Int64)
}

/// Explains why a call is not admitted: for a listed function, by the accepted argument counts.
fn unlisted(name: &str, given: usize) -> Refusal {
    if matches!(name, "current_date" | "current_time" | "current_timestamp" | "now" | "today") {
        let refusal = refuse(format!("{name} is not supported: the same job asks the same question on every day"));
        return place::of_name(refusal, name)
            .fix("Write the day or time, as in DATE '2024-01-31' or TIMESTAMP '2024-01-31 10:30:00'");
    }
    let other = match name {
        MATCHES => Some(("takes a text and a pattern here, and no flags", "Write x ~* 'pattern' for letters in either case")),
        "lpad" | "rpad" => Some((
            "takes a literal length from 1 to 256 and a single character here, and no text that is padded itself",
            "Write it like lpad(x, 5, '0')",
        )),
        _ => None,
    };
    if let Some((what, fix)) = other {
        return place::of_call(refuse(format!("function {name} {what}")), name).fix(fix);
    }
    if matches!(name, "struct" | "named_struct") {
        return refuse("a list of values in brackets is not compared as one")
            .fix("Compare the columns one by one, as in a = 1 AND b = 2");
    }
    let counted = NUMBERS.iter().chain(&TEXTS).chain(&GROWING).chain(&NAMED_FIRST).find(|(known, _)| *known == name);
    let Some((_, counts)) = counted else {
        let refusal = refuse(format!("function {name} is there, and is not allowed in a query"));
        return place::of_call(refusal, name)
            .fix("docs/reference/sql.md lists the functions under \"Total functions\"; arithmetic, CASE, CAST and clamp go far");
    };
    let (least, most) = counts.clone().into_inner();
    let counts = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let fix = match name {
        "round" | "trunc" => format!("Write {name}(x), or {name}(x, 2) for two decimal places"),
        "concat" => format!("Write up to {} of them, or nest it", CONCAT.end()),
        "concat_ws" => "Use concat with the separator between the texts".to_owned(),
        "greatest" | "least" => format!("Nest it, as in {name}(…, {name}(…))"),
        _ => "docs/reference/sql.md lists the functions under \"Total functions\"".to_owned(),
    };
    let refusal =
        refuse(format!("function {name} takes {counts} argument{} here, and has {given}", if most == 1 { "" } else { "s" }));
    place::of_call(refusal, name).fix(fix)
}

/// Returns the names of the scalar functions allowed in queries, except the ones rewritten to CASE.
pub(super) fn names() -> impl Iterator<Item = String> {
    let lists = NUMBERS.iter().chain(&TEXTS).chain(&GROWING).chain(&NAMED_FIRST).map(|(name, _)| (*name).to_owned());
    lists.chain(times::named().iter().map(|f| f.name().to_owned()))
}

/// Finds the allowed function whose name is closest to `name`; `None` if none is close.
pub(super) fn like(name: &str) -> Option<String> {
    const OTHERS: [&str; 13] = [
        "avg",
        "clamp",
        "coalesce",
        "corr",
        "count",
        "covar_pop",
        "median",
        "nullif",
        "nvl",
        "regexp_like",
        "stddev",
        "sum",
        "var_pop",
    ];
    let asked = name.to_lowercase();
    let all = names().chain(OTHERS.map(str::to_owned));
    let far = |known: &String| levenshtein(known, &asked);
    all.min_by_key(far).filter(|known| far(known) <= asked.chars().count().min(9) / 3)
}

/// Builds `round` or `trunc` to a literal number of decimal places: scaled by a power of ten, in Float64 like all arithmetic.
fn to_places(call: &ScalarFunction, mut args: Vec<Expr>) -> Result<Expr, Refusal> {
    let name = call.name();
    let places = bound(&args, 1).filter(|n| n.fract() == 0.0).map(|n| n as i32).filter(|n| PLACES.contains(n));
    let Some(places) = places else {
        return Err(refuse(format!(
            "{name} takes a literal number of decimal places, from {} to {}",
            PLACES.start(),
            PLACES.end()
        ))
        .fix(format!("Write {name}(x, 2)")));
    };
    args.truncate(1);
    let number = args.pop().map(float).ok_or_else(|| unlisted(name, 0))?;
    let by = |left: Expr, op| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(lit(10f64.powi(places.abs())))));
    let (there, back) = if places >= 0 { (Operator::Multiply, Operator::Divide) } else { (Operator::Divide, Operator::Multiply) };
    let whole = Expr::ScalarFunction(ScalarFunction { args: vec![by(number, there)], ..call.clone() });
    Ok(by(whole, back))
}

/// Builds a `concat` of more texts than are joined at a time.
fn concatenated(call: &ScalarFunction, args: Vec<Expr>) -> Expr {
    let put = |args: Vec<Expr>| short(Expr::ScalarFunction(ScalarFunction { args, ..call.clone() }));
    let mut args = args.into_iter().map(short);
    let mut all = put(args.by_ref().take(4).collect());
    loop {
        let next: Vec<Expr> = args.by_ref().take(3).collect();
        if next.is_empty() {
            return all;
        }
        all = put(std::iter::once(all).chain(next).collect());
    }
}

/// Builds the match of a text against a regular expression; NULL if either is missing.
pub(super) fn matching(text: Option<Expr>, pattern: &Option<String>, insensitive: bool) -> Result<Expr, Refusal> {
    match (text, pattern) {
        (Some(text), Some(pattern)) => Ok(Pattern::regex(pattern, insensitive)?.matches(text)),
        _ => Ok(Expr::Literal(ScalarValue::Boolean(None), None)),
    }
}

fn grows_little(from: &Expr, to: &Expr) -> bool {
    let text = |e: &Expr| if let Expr::Literal(v, _) = e { v.try_as_str().flatten().map(str::len) } else { None };
    matches!((text(from), text(to)), (Some(from), Some(to)) if from > 0 && to <= GROWTH * from)
}

/// Returns whether a number is a literal within a range.
fn is_within(number: &Expr, range: std::ops::RangeInclusive<i64>) -> bool {
    bound(std::slice::from_ref(number), 0).is_some_and(|n| *range.start() as f64 <= n && n <= *range.end() as f64)
}

fn first_that_is_there(mut args: Vec<Expr>) -> Expr {
    let last = args.pop();
    let when = |e: Expr| (Box::new(Expr::IsNotNull(Box::new(e.clone()))), Box::new(e));
    match last {
        Some(last) if args.is_empty() => last,
        last => {
            Expr::Case(Case { expr: None, when_then_expr: args.into_iter().map(when).collect(), else_expr: last.map(Box::new) })
        }
    }
}
