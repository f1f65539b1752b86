//! What a unit's own values come to: how many different ones there are, and percentiles.

use super::*;

/// (FROM …, unit, key, value).
const CASES: [(&str, &str, &str, &str); 12] = [
    (
        "(SELECT person, COUNT(DISTINCT ward) AS d, MEDIAN(cost) AS m FROM visits GROUP BY person) t",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    (
        "(SELECT person, COUNT(DISTINCT cost) AS d, COUNT(*) AS n, MEDIAN(day) AS m FROM visits WHERE cost > 400 GROUP BY person) t WHERE n > 2",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    (
        "(SELECT person, COUNT(DISTINCT day) FILTER (WHERE cost > 500) AS d, MEDIAN(cost) FILTER (WHERE day > 20) AS m FROM visits GROUP BY person) t",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    (
        "(SELECT person, COUNT(DISTINCT cost % 7) AS d, PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY cost DESC) AS m FROM visits GROUP BY person) t",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    // Of fractions, of truth values, of times, and of a number that is always there.
    (
        "(SELECT person, COUNT(DISTINCT cost / 8.0) AS d, COUNT(DISTINCT cost > 300) AS e, COUNT(DISTINCT 1) AS f, MEDIAN(cost * 0.5 + day * 0.5) AS m \
         FROM visits GROUP BY person) t",
        "person",
        "CAST(d * 100 + e * 10 + f AS BIGINT)::TEXT",
        "m",
    ),
    (
        "(SELECT person, COUNT(DISTINCT CAST(day AS TIMESTAMP)) AS e, PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY cost) AS m \
         FROM visits GROUP BY person) t WHERE e > 1",
        "person",
        "CAST(e AS TEXT)",
        "m",
    ),
    // Rows that are put together, the first ones, and joined ones.
    (
        "(SELECT person, COUNT(DISTINCT ward) AS d, MEDIAN(cost) AS m FROM (SELECT person, ward, cost FROM visits UNION ALL SELECT person, town AS ward, age AS cost FROM patients) \
         GROUP BY person) t",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    (
        "(SELECT person, COUNT(DISTINCT ward) AS d, MEDIAN(cost) AS m FROM \
         (SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY day DESC, cost, ward) AS rn FROM visits) WHERE rn <= 6 GROUP BY person) t",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    (
        "(SELECT p.person, COUNT(DISTINCT v.ward) AS d, MEDIAN(v.cost) AS m FROM patients p JOIN visits v ON p.person = v.person GROUP BY p.person) t",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    // The unit is one value, where it is there.
    (
        "(SELECT p.person, COUNT(DISTINCT v.person) AS d, COUNT(DISTINCT p.person) AS e, MEDIAN(p.age) AS m \
         FROM patients p LEFT JOIN visits v ON p.person = v.person GROUP BY p.person) t WHERE e = 1",
        "person",
        "CAST(d AS TEXT)",
        "m",
    ),
    (
        "patients p LEFT JOIN (SELECT person, COUNT(DISTINCT ward) AS d, MEDIAN(cost) AS m FROM visits GROUP BY person) v ON p.person = v.person",
        "p.person",
        "CAST(v.d AS TEXT)",
        "v.m",
    ),
    (
        "(SELECT person, MEDIAN(cost) AS m, MAX(cost) AS top FROM visits GROUP BY person HAVING COUNT(DISTINCT ward) > 2 AND MEDIAN(day) > 20) t",
        "person",
        "CASE WHEN m > 400.25 THEN 'dear' ELSE 'cheap' END",
        "top",
    ),
];

/// Whatever batches the rows come in.
#[test]
fn a_units_values_come_to_what_datafusion_says() {
    let tables = [("patients", patients()), ("visits", visits())];
    for (from, unit, key, value) in CASES {
        let query =
            format!("SELECT {key} AS k, COUNT(*) AS n, COUNT(DISTINCT {unit}) AS u, SUM({value}) AS s FROM {from} GROUP BY 1");
        let expected = theirs(&query, &tables);
        assert!(expected.len() > 1, "{from}: {expected:?}");
        for group in [3, 17, 100_000] {
            let got = ours(&query, &laid_out(&tables, group)).unwrap_or_else(|e| panic!("{from}: {e}"));
            assert_eq!(got, expected, "{from}: row groups of {group}");
        }
    }
}

/// A percentile has the bounds of its values; a count those that public numbers give it, and none where there are none.
#[test]
fn what_a_units_values_come_to_has_public_bounds() {
    let file = laid_out(&[("patients", patients()), ("visits", visits())], 1000);
    let mean = |what: &str, rows: &str| {
        let query = format!("SELECT AVG(y) FROM (SELECT person, {what} AS y FROM {rows} GROUP BY person) t");
        let query = sql::admit_query(&sql::Asked::new(&query), &units::schema(&file).unwrap(), &policy());
        query.map_err(|e| e.to_string()).map(|query| {
            let tidegate_gate::Measure::Mean(mean) = &query.shape.columns[0].measure else { panic!("{:?}", query.shape) };
            (mean.lo, mean.hi)
        })
    };
    let first = "(SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY day) AS rn FROM visits) WHERE rn <= 5";
    for (what, rows, bounds) in [
        ("MEDIAN(cost)", "visits", (0.0, 1000.0)),
        ("MEDIAN(cost * 2 - 1)", "visits", (-1.0, 1999.0)),
        ("PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY day)", "visits", (0.0, 1000.0)),
        ("APPROX_PERCENTILE_CONT(clamp(cost, 5, 50), 0.9)", "visits", (5.0, 50.0)),
        ("COUNT(DISTINCT cost > 3)", "visits", (0.0, 2.0)),
        ("COUNT(DISTINCT ward)", first, (0.0, 5.0)),
        ("COUNT(*)", first, (0.0, 5.0)),
        ("COUNT(DISTINCT cost > 3)", first, (0.0, 2.0)),
    ] {
        assert_eq!(mean(what, rows), Ok(bounds), "{what} of {rows}");
    }
    for (what, says) in [
        ("COUNT(DISTINCT ward)", "Write clamp(x, lo, hi)"),
        ("COUNT(DISTINCT cost)", "Write clamp(x, lo, hi)"),
        ("MEDIAN(ln(cost))", "no public bounds"),
        ("MEDIAN(DISTINCT cost)", "MEDIAN(DISTINCT …) of a unit's rows is not supported"),
        ("SUM(DISTINCT cost)", "SUM(DISTINCT …) of a unit's rows is not supported"),
        ("COUNT(DISTINCT person + 1)", "privacy unit"),
        ("COUNT(DISTINCT cost, day)", "takes one"),
        ("PERCENTILE_CONT(1.5) WITHIN GROUP (ORDER BY cost)", "between 0 and 1"),
        ("approx_distinct(cost)", "COUNT(DISTINCT x), median"),
    ] {
        let refused = mean(what, "visits").unwrap_err();
        assert!(refused.contains(says), "{what}: {refused}");
    }
}
