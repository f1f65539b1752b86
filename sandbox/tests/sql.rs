//! Governed SQL: what it computes, what it refuses, and that no row can make it fail.

use crate::common::{groups, policy, sql, sums, table};
use tidegate_protocol::job::Key;
use tidegate_sandbox::{RunError, admit};

fn text(s: &str) -> Vec<Key> {
    vec![Key::Text(s.into())]
}

#[test]
fn counts_sums_and_units_are_clipped_per_unit() {
    // Person 1 has five rows in a (three count), spend 1000 is clipped to 100; person 2 has one of each; a NULL person never counts.
    let t = table(&[
        (Some(1), Some(1000.0), 1, "a"),
        (Some(1), Some(1.0), 1, "a"),
        (Some(1), Some(1.0), 1, "a"),
        (Some(1), Some(1.0), 1, "a"),
        (Some(1), None, 1, "a"),
        (Some(2), Some(10.0), 2, "a"),
        (Some(2), Some(f64::NAN), 2, "b"),
        (None, Some(50.0), 9, "only-null"),
    ]);
    let got = groups(&t, "SELECT city, COUNT(*), COUNT(spend), SUM(spend), COUNT(DISTINCT person) FROM dataset GROUP BY city");
    let step = 2f64.powi(7 - 20);
    let steps = |v: f64| (v / step) as i128;
    assert_eq!(
        got,
        [
            (text("a"), 2, vec![4, 4, steps(103.0 + 10.0), 2]),
            // NaN is no number: NULL to COUNT as to SUM.
            (text("b"), 1, vec![1, 0, 0, 1]),
        ]
    );
}

#[test]
fn one_unit_counts_in_at_most_kappa_groups_whatever_its_rows() {
    let cities: Vec<String> = (0..500).map(|i| format!("c{i}")).collect();
    let rows: Vec<_> = cities.iter().map(|c| (Some(1), Some(1.0), 1, c.as_str())).collect();
    let got = groups(&table(&rows), "SELECT city, COUNT(*) FROM dataset GROUP BY city");
    assert_eq!(got.len(), 2, "κ = 2");
}

/// The choice of groups depends on unit and key alone: another person's rows, or the order of rows, change nothing.
#[test]
fn another_unit_does_not_change_which_groups_a_unit_counts_in() {
    let mine =
        [(Some(5), Some(1.0), 1, "a"), (Some(5), Some(1.0), 1, "b"), (Some(5), Some(1.0), 1, "c"), (Some(5), Some(1.0), 1, "d")];
    let query = "SELECT city, COUNT(*) FROM dataset GROUP BY city";
    let alone: Vec<_> = groups(&table(&mine), query).into_iter().map(|g| g.0).collect();
    let mut with_other = vec![(Some(1), Some(1.0), 1, "z"), (Some(1), Some(1.0), 1, "y")];
    with_other.extend(mine.iter().rev());
    let both: Vec<_> = groups(&table(&with_other), query).into_iter().map(|g| g.0).collect();
    assert!(alone.iter().all(|k| both.contains(k)) && both.len() == 4, "{alone:?} {both:?}");
}

#[test]
fn rows_not_ordered_by_unit_are_refused_at_run_time() {
    let t = table(&[(Some(1), None, 1, "a"), (Some(2), None, 1, "a"), (Some(1), None, 1, "a")]);
    assert!(matches!(sums(&t, "SELECT COUNT(*) FROM dataset", None).unwrap(), Err(RunError::Unordered)));
}

#[test]
fn declared_keys_are_the_only_groups_counted() {
    let t = table(&[(Some(1), None, 1, "a"), (Some(1), None, 1, "b"), (Some(2), None, 1, "c")]);
    let sums =
        sums(&t, "SELECT city, COUNT(*) FROM dataset GROUP BY city", Some(vec![text("b"), text("none")])).unwrap().unwrap();
    let counted: Vec<_> = sums.groups.into_iter().filter(|g| g.units > 0).map(|g| g.key).collect();
    assert_eq!(counted, [text("b")]);
}

/// Each name of variance and deviation is planned with the policy's bounds.
#[test]
fn variance_and_deviation_are_admitted_under_all_their_names() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    for (name, sample, root) in [
        ("VAR", true, false),
        ("VAR_SAMP", true, false),
        ("VAR_POP", false, false),
        ("STDDEV", true, true),
        ("STDDEV_SAMP", true, true),
        ("STDDEV_POP", false, true),
    ] {
        let admitted = admit(&sql(&format!("SELECT {name}(spend + 1) FROM dataset"), None), &policy(), &t.schema, None).unwrap();
        let measure = &admitted.plan().shape().columns[0].measure;
        assert_eq!(
            *measure,
            tidegate_gate::Measure::Variance(tidegate_gate::Variance { lo: 1.0, hi: 101.0, sample, root }),
            "{name}"
        );
    }
}

/// NaN has many bit patterns, and is NULL, and zero has two: were they groups of their own, one person's rows could make two groups of one
/// name, which the node takes for a faulty worker, and everybody's result would show it.
#[test]
fn one_value_is_one_group_whatever_its_bits() {
    let quiet = f64::from_bits(0x7ff8_0000_0000_0001);
    let t = table(&[
        (Some(1), Some(f64::NAN), 1, "a"),
        (Some(2), Some(-f64::NAN), 1, "a"),
        (Some(3), Some(quiet), 1, "a"),
        (Some(4), Some(0.0), 1, "a"),
        (Some(5), Some(-0.0), 1, "a"),
        (Some(6), Some(f64::NEG_INFINITY), 1, "a"),
    ]);
    for key in ["spend", "CAST(spend AS REAL)", "spend * -1"] {
        let got = groups(&t, &format!("SELECT {key} AS k, COUNT(DISTINCT person) FROM dataset GROUP BY {key}"));
        let units: Vec<_> = got.iter().map(|(key, units, _)| (format!("{:?}", key[0]), *units)).collect();
        let sign = if key.contains('*') { "" } else { "-" };
        let expected = [("Float(0.0)".to_owned(), 2), (format!("Text(\"{sign}inf\")"), 1), ("Null".to_owned(), 3)];
        assert!(expected.iter().all(|e| units.contains(e)) && units.len() == 3, "{key}: {units:?}");
    }
}

/// Text keys are shortened, in characters, and so is what `||` makes: a row of any length takes no more memory than a short one.
#[test]
fn texts_are_bounded_however_long_a_row_is() {
    let (long, longer) = ("\u{e9}".repeat(300), "\u{e9}".repeat(400));
    let t = table(&[(Some(1), None, 1, &long), (Some(2), None, 1, &longer), (Some(3), None, 1, "a")]);
    let got = groups(&t, "SELECT city, COUNT(*) FROM dataset GROUP BY city");
    let kept = Key::Text("\u{e9}".repeat(tidegate_protocol::limits::KEY_CHARS));
    assert_eq!(got.iter().map(|g| (&g.0[0], g.1)).collect::<Vec<_>>(), [(&Key::Text("a".into()), 1), (&kept, 2)]);
    // Three thousand characters without the bound.
    let repeated = (0..9).fold("city".to_owned(), |text, _| format!("{text} || city"));
    let query = format!("SELECT character_length({repeated}) AS n, COUNT(*) FROM dataset GROUP BY character_length({repeated})");
    let lengths: Vec<_> = groups(&t, &query).into_iter().map(|g| g.0[0].clone()).collect();
    assert!(lengths.contains(&Key::Int(10)) && lengths.contains(&Key::Int(1024)) && lengths.len() == 2, "{lengths:?}");
}

/// Keys that were not declared take no place among the κ, however many there are; declared ones count in any of their forms.
#[test]
fn undeclared_keys_do_not_crowd_out_declared_ones() {
    let cities: Vec<String> = (0..20_000).map(|i| format!("c{i}")).collect();
    let mut rows: Vec<_> = cities.iter().map(|c| (Some(1), Some(-0.0), 1, c.as_str())).collect();
    rows.push((Some(1), Some(0.0), 1, "wanted"));
    let t = table(&rows);
    let count =
        |query: &str, keys| sums(&t, query, Some(keys)).unwrap().unwrap().groups.into_iter().map(|g| (g.key, g.lanes)).collect();
    let got: Vec<_> = count("SELECT city, COUNT(*) FROM dataset GROUP BY city", vec![text("none"), text("wanted")]);
    assert_eq!(got, [(text("wanted"), vec![1])]);
    let got: Vec<_> =
        count("SELECT spend, COUNT(*) FROM dataset GROUP BY spend", vec![vec![Key::Float(-0.0)], vec![Key::Float(2.0)]]);
    assert_eq!(got, [(vec![Key::Float(0.0)], vec![3])]);
}

/// After admission no row raises an error: each of these would in plain SQL for some row below.
#[test]
fn no_row_can_cause_an_error() {
    let t = table(&[
        (Some(1), Some(0.0), 0, "x"),
        (Some(2), Some(f64::MAX), i64::MIN, ""),
        (Some(3), Some(f64::NEG_INFINITY), i64::MAX, "9999999999999999999"),
        (Some(4), None, -1, "\u{1F980}\u{0301}"),
    ]);
    for expr in [
        "1 / visits > 0",
        "visits / 0 = 1",
        "CAST(city AS BIGINT) > 1",
        "visits * visits * visits > 0",
        "abs(visits) > 0",
        "-visits > 0",
        "visits + 9223372036854775807 > 0",
        "CAST(spend AS INT) > 0",
        "CAST(city AS DATE) IS NULL",
        "round(spend) > 0",
        "exp(spend) > 0",
        "upper(city) = 'X'",
        "CASE WHEN visits = 0 THEN 1 / visits ELSE 0 END > 0",
        "nullif(CAST(city AS DOUBLE), spend) > 0",
        "city LIKE '%9%'",
        "sqrt(spend) > 1",
        "ln(visits) > 1",
        "power(spend, visits) > 1",
        "visits % 0 = 1",
        "substr(city, visits, visits) = 'x'",
        "left(city, visits) = 'x'",
        "split_part(city, 'x', visits) = 'x'",
        "strpos(city, city) > 1",
        "city ~ '^[0-9]+$'",
        "regexp_like(city, 'x.*y')",
        "concat(city, city, visits) = 'x'",
        "replace(city, '9', '9999') = 'x'",
        "date_part('year', CAST(city AS TIMESTAMP)) > 1",
        "date_trunc('month', CAST(visits AS TIMESTAMP)) IS NULL",
        "CAST(visits AS TIMESTAMP) > '2020-01-01'",
        "CAST(spend AS DECIMAL(5, 2)) * CAST(spend AS DECIMAL(5, 2)) > 1",
        "CAST(CAST(visits AS DECIMAL(38, 10)) AS DOUBLE) + spend > 1",
        "coalesce(CAST(city AS INT), visits, 1) > 1",
        "clamp(spend * 1e308, -1, 1) > 0",
        "character_length(initcap(reverse(city))) = ascii(city)",
    ] {
        let query = format!("SELECT COUNT(*) FROM dataset WHERE {expr}");
        match sums(&t, &query, None) {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => panic!("{expr}: failed on a row: {e}"),
            Err(refusal) => panic!("{expr}: {refusal}"),
        }
    }
}

/// Each way to one row, or around the bounds, is refused by schema alone.
#[test]
fn everything_else_is_refused_before_any_row_is_read() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    for (query, word) in [
        ("SELECT * FROM dataset", "rows"),
        ("SELECT spend FROM dataset", "rows"),
        ("SELECT city FROM dataset GROUP BY city", "aggregated"),
        ("SELECT MIN(spend) FROM dataset", "min"),
        ("SELECT MAX(spend) FROM dataset", "max"),
        ("SELECT person, COUNT(*) FROM dataset GROUP BY person", "privacy unit"),
        ("SELECT COUNT(*) FROM dataset GROUP BY person + 1", "privacy unit"),
        ("SELECT COUNT(*) FROM dataset WHERE person = 1", "privacy unit"),
        ("SELECT SUM(CASE WHEN person = 7 THEN spend ELSE 0 END) FROM dataset", "privacy unit"),
        ("SELECT AVG(person) FROM dataset", "privacy unit"),
        ("SELECT COUNT(DISTINCT city) FROM dataset", "unit alone"),
        ("SELECT COUNT(DISTINCT city) FROM dataset", "COUNT(DISTINCT x) AS n FROM … GROUP BY person"),
        ("SELECT SUM(city) FROM dataset", ""),
        ("SELECT SUM(spend / visits) FROM dataset", "bounds"),
        ("SELECT COUNT(secret) FROM dataset", "secret"),
        ("SELECT VAR(spend / visits) FROM dataset", "bounds"),
        ("SELECT array_agg(spend) FROM dataset", "array_agg"),
        ("SELECT string_agg(city, ',') FROM dataset", "string_agg"),
        ("SELECT city, COUNT(*) FROM dataset GROUP BY ROLLUP(city, person)", "privacy unit"),
        ("SELECT city, COUNT(*) FROM dataset GROUP BY GROUPING SETS ((city), (city))", "must differ"),
        ("SELECT SUM(n) FROM (SELECT person, city, COUNT(*) AS n FROM dataset GROUP BY person, city)", "aggregated again"),
        ("SELECT COUNT(*) FROM (SELECT city FROM dataset ORDER BY spend LIMIT 5)", "ORDER BY or LIMIT"),
        ("SELECT COUNT(*) FROM (SELECT DISTINCT city FROM dataset)", "DISTINCT"),
        ("SELECT MEDIAN(spend / visits) FROM dataset", "clamp"),
        ("SELECT APPROX_PERCENTILE_CONT(spend, visits) FROM dataset", ""),
        ("SELECT APPROX_PERCENTILE_CONT(spend, 2.0) FROM dataset", ""),
        ("SELECT CORR(spend, person) FROM dataset", "privacy unit"),
        ("SELECT COUNT(DISTINCT CASE WHEN spend > 1 THEN person ELSE 5 END) FROM dataset", "unit alone"),
        ("SELECT COUNT(*) FILTER (WHERE person = 7) FROM dataset", "privacy unit"),
        ("SELECT SUM(clamp(spend, visits, 3)) FROM dataset", "clamp"),
        ("SELECT SUM(clamp(spend, 3, 1)) FROM dataset", "clamp"),
        ("SELECT COUNT(n) FROM (SELECT person, array_agg(spend) AS n FROM dataset GROUP BY person)", "ARRAY_AGG"),
        ("SELECT AVG(n) FROM (SELECT person, COUNT(*) AS n FROM dataset GROUP BY person)", "clamp"),
        (
            "SELECT person, AVG(clamp(n, 0, 9)) FROM (SELECT person, COUNT(*) AS n FROM dataset GROUP BY person) GROUP BY person",
            "privacy unit",
        ),
        ("SELECT COUNT(*) OVER () FROM dataset", ""),
        ("SELECT COUNT(*) FROM dataset a JOIN dataset b ON true", "join"),
        ("SELECT COUNT(*) FROM dataset a, dataset b", "join"),
        ("WITH dataset AS (SELECT 1) SELECT COUNT(*) FROM dataset", "without the dataset"),
        ("SELECT COUNT(*) FROM dataset UNION ALL SELECT COUNT(spend) FROM dataset", "several aggregates"),
        ("SELECT COUNT(*) FROM dataset UNION SELECT COUNT(spend) FROM dataset", "several aggregates"),
        ("SELECT COUNT(*) FROM dataset TABLESAMPLE (1 ROWS)", ""),
        ("SELECT COUNT(*) FROM dataset FOR UPDATE", ""),
        ("SELECT COUNT(*) FROM generate_series(1, 10)", "table function"),
        ("SELECT COUNT(*) FROM '/etc/passwd'", "no table"),
        ("SELECT COUNT(*) FROM information_schema.tables", "no table"),
        ("SELECT COUNT(*) FROM dataset WHERE random() < 0.5", "random"),
        ("SELECT COUNT(*) FROM dataset WHERE now() > now()", "now"),
        ("SELECT COUNT(*) FROM dataset WHERE repeat(city, 1000000) = 'x'", "repeat"),
        ("SELECT COUNT(*) FROM dataset WHERE city ~ city", "literal"),
        ("SELECT COUNT(*) FROM dataset WHERE city ~ '('", ""),
        ("SELECT COUNT(*) FROM dataset WHERE replace(city, 'e', city) = 'x'", "four times"),
        ("SELECT COUNT(*) FROM dataset WHERE replace(city, '', 'x') = 'x'", "four times"),
        (
            "SELECT COUNT(*) FROM dataset GROUP BY city, visits, spend, spend+1, spend+2, spend+3, spend+4, spend+5, spend+6",
            "more than 8 keys",
        ),
        ("SELECT COUNT(*) FROM dataset WHERE city LIKE city", "literal pattern"),
        ("SELECT COUNT(*) FROM dataset WHERE spend IN (SELECT spend FROM dataset)", ""),
        ("SELECT COUNT(*) FROM dataset WHERE EXISTS (SELECT 1 FROM dataset)", ""),
        ("COPY dataset TO 'x.csv'", "only SELECT"),
        ("INSERT INTO dataset VALUES (1)", "only SELECT"),
        ("SET datafusion.execution.batch_size = 1", "only SELECT"),
        ("EXPLAIN ANALYZE SELECT 1", "only SELECT"),
        ("CREATE TABLE x AS SELECT * FROM dataset", "only SELECT"),
        ("SELECT 1; SELECT 2", ""),
        ("", ""),
    ] {
        let refusal = match admit(&sql(query, None), &policy(), &t.schema, None) {
            Err(refusal) => refusal.to_string(),
            Ok(_) => panic!("admitted: {query}"),
        };
        assert!(refusal.contains(word), "{query}\n  said: {refusal}\n  expected: {word}");
    }
}

/// Hostile text is turned away by size before any parser recurses.
#[test]
fn deep_and_long_text_is_refused() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    for query in [
        format!("SELECT COUNT(*) FROM dataset WHERE {}1{} = 1", "(".repeat(100), ")".repeat(100)),
        format!("SELECT COUNT(*) FROM dataset WHERE {}1 = 1", "1+".repeat(1000)),
        format!("SELECT COUNT(*) FROM dataset WHERE {}1 = 1", "1=1 and ".repeat(500)),
        format!("SELECT COUNT(*) FROM dataset WHERE {}true", "not ".repeat(1000)),
        format!("SELECT COUNT(*) FROM dataset WHERE city = '{}'", "x".repeat(20_000)),
    ] {
        assert!(admit(&sql(&query, None), &policy(), &t.schema, None).is_err());
    }
}

/// As many operators as a query may have, each within the last, are planned on a thread with little stack, as a buyer's are.
#[test]
fn a_query_of_many_operators_is_planned_and_run() {
    let sum = vec!["length(s)"; 380].join(" + ");
    let plan = move || {
        let texts = arrow::array::StringArray::from(vec!["ab", "c"]);
        let world = crate::values::world(vec![("s", std::sync::Arc::new(texts) as arrow::array::ArrayRef)]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let condition = format!("{sum} = 760");
        world.admitted(&format!("SELECT COUNT(*) FROM dataset WHERE {condition}"), None).unwrap();
        // As a worker runs it.
        tidegate_sandbox::deep(|| runtime.block_on(crate::values::counts(&world, &[(&condition, 1.0)])));
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(plan).unwrap().join().unwrap();
}

/// Whole numbers that are multiplied are decimals to the planner where one is unsigned, and then so are floats beside them: both parts have one column, and nothing of it is lost.
#[tokio::test]
async fn parts_put_together_keep_their_floats() {
    let n: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::UInt64Array::from(vec![4, 0]));
    let f: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Float64Array::from(vec![f64::INFINITY, 1e-20]));
    let d = arrow::array::Decimal128Array::from(vec![125, 250]).with_precision_and_scale(10, 2).unwrap();
    let world = crate::values::world(vec![("n", n), ("f", f), ("d", std::sync::Arc::new(d))]);
    for left in ["1 * n", "n / 2", "d", "d * d", "CASE WHEN n > 1 THEN n * 2 ELSE d * n END", "coalesce(d * n, 3)"] {
        for (test, expected) in [("y > 1e300", 1.0), ("y > 0 AND y < 1e-10", 1.0), ("y IS NOT NULL", 4.0)] {
            let parts = format!("SELECT person, {left} AS y FROM dataset UNION ALL SELECT person, f AS y FROM dataset");
            let query = format!("SELECT COUNT(*) FROM ({parts}) AS v WHERE {test}");
            assert_eq!(crate::values::number(&world, &query).await, expected, "{query}");
        }
    }
    // Of a whole number that no such decimal holds nothing is lost without a word.
    for what in ["COUNT(y)", "COUNT(*) FILTER (WHERE y IS NULL)"] {
        let parts = "SELECT person, n AS y FROM dataset UNION ALL SELECT person, CAST(d AS DECIMAL(38, 30)) AS y FROM dataset";
        let said = world.rows(&format!("SELECT {what} AS a FROM ({parts}) AS v")).await;
        assert!(said.as_ref().is_err_and(|said| said.contains("does not hold every value")), "{what}: {said:?}");
    }
}
