//! Truth values that are added up: TRUE is 1, FALSE is 0, and NULL is NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};

use crate::{
    differential::World,
    values::{number, world},
};

/// Six people with a row each.
fn people() -> World {
    let flag = BooleanArray::from(vec![Some(true), Some(true), Some(false), None, Some(true), None]);
    let x = Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), Some(4.0), None, Some(f64::NAN)]);
    let s = StringArray::from(vec![Some("ab"), Some("b"), Some("ac"), None, Some("b"), Some("a")]);
    world(vec![("flag", Arc::new(flag) as ArrayRef), ("x", Arc::new(x)), ("s", Arc::new(s))])
}

#[tokio::test]
async fn sums_and_means_of_truth_values_are_counts_and_shares() {
    let world = people();
    for (query, right) in [
        ("SELECT SUM(flag) FROM dataset", 3.0),
        ("SELECT AVG(flag) FROM dataset", 0.75),
        ("SELECT AVG(NOT flag) FROM dataset", 0.25),
        ("SELECT VAR_POP(flag) FROM dataset", 0.1875),
        ("SELECT VAR(flag) FROM dataset", 0.25),
        ("SELECT STDDEV(flag) FROM dataset", 0.5),
        ("SELECT COVAR_POP(flag, x) FROM dataset", -1.0 / 3.0),
        ("SELECT SUM(x > 1) FROM dataset", 3.0),
        ("SELECT AVG(x > 1) FROM dataset", 0.75),
        ("SELECT SUM(x IS NULL) FROM dataset", 2.0),
        ("SELECT AVG(s LIKE 'a%') FROM dataset", 0.6),
        ("SELECT AVG(starts_with(s, 'a')) FROM dataset", 0.6),
        ("SELECT SUM(s ~ '^a.$') FROM dataset", 2.0),
        ("SELECT SUM(coalesce(flag, false)) FROM dataset", 3.0),
        ("SELECT AVG(coalesce(flag, true)) FROM dataset", 5.0 / 6.0),
        ("SELECT SUM(CASE WHEN x > 2 THEN flag ELSE true END) FROM dataset", 4.0),
        ("SELECT AVG(flag) FILTER (WHERE x > 1) FROM dataset", 0.5),
        ("SELECT SUM(isnan(x)) FROM dataset", 1.0),
        ("SELECT SUM(s IN ('b', 'ac')) FROM dataset", 3.0),
        // As it was, by a cast.
        ("SELECT SUM(CAST(flag AS INT)) FROM dataset", 3.0),
        // Of released keys.
        ("WITH t AS (SELECT flag, COUNT(*) AS n FROM dataset GROUP BY flag) SELECT SUM(flag) FROM t", 1.0),
        ("WITH t AS (SELECT x > 1 AS many, COUNT(*) AS n FROM dataset GROUP BY 1) SELECT AVG(n > 1) FROM t", 2.0 / 3.0),
        // Other aggregates are what they were.
        ("SELECT SUM(x) FROM dataset", 10.0),
        ("SELECT AVG(x) FROM dataset", 2.5),
    ] {
        let said = number(&world, query).await;
        assert!((said - right).abs() < 1e-3, "{query}: {said} for {right}");
    }
}

#[tokio::test]
async fn truth_values_of_a_unit_are_added_up_alike() {
    let world = people();
    let of = |what: &str| format!("(SELECT person, {what} AS y FROM dataset GROUP BY person)");
    for (what, outer, right) in [
        ("AVG(flag)", "AVG(y)", 0.75),
        ("SUM(flag)", "SUM(clamp(y, 0, 9))", 3.0),
        ("SUM(flag)", "COUNT(y)", 4.0),
        ("SUM(flag)", "COUNT(*) FILTER (WHERE y = 1)", 3.0),
        ("AVG(x > 1)", "SUM(y)", 3.0),
        ("VAR_POP(flag)", "SUM(y)", 0.0),
        // What they come to is a truth value again, or two of them.
        ("BOOL_OR(flag)", "AVG(y)", 0.75),
        ("BOOL_AND(x > 1)", "SUM(y)", 3.0),
        ("MIN(flag)", "AVG(y)", 0.75),
        ("MAX(x > 1)", "SUM(y)", 3.0),
        ("FIRST_VALUE(flag ORDER BY x)", "SUM(y)", 3.0),
        ("COUNT(DISTINCT flag)", "SUM(y)", 4.0),
    ] {
        let query = format!("SELECT {outer} FROM {}", of(what));
        let said = number(&world, &query).await;
        assert!((said - right).abs() < 1e-3, "{query}: {said} for {right}");
    }
}

/// Noise is made for 0 and 1, whatever the policy says of the column.
#[test]
fn truth_values_lie_between_0_and_1() {
    let world = people();
    for what in ["flag", "x > 1", "starts_with(s, 'a')", "NOT flag", "coalesce(flag, x > 3)"] {
        for name in ["SUM", "AVG", "VAR"] {
            let query = world.admitted(&format!("SELECT {name}({what}) FROM dataset"), None).unwrap();
            let bounds = match &query.shape.columns[0].measure {
                tidegate_gate::Measure::Sum(sum) => (sum.lo, sum.hi),
                tidegate_gate::Measure::Mean(mean) => (mean.lo, mean.hi),
                tidegate_gate::Measure::Variance(variance) => (variance.lo, variance.hi),
                other => panic!("{other:?}"),
            };
            assert_eq!(bounds, (0.0, 1.0), "{name}({what})");
        }
    }
    // No other value is taken for a number.
    for what in ["s", "DATE '2024-01-01'"] {
        for name in ["SUM", "AVG", "VAR", "STDDEV_POP"] {
            let refused = world.admitted(&format!("SELECT {name}({what}) FROM dataset"), None).unwrap_err();
            assert!(refused.contains(&name.to_lowercase()), "{refused}");
        }
    }
}
