//! Several first rows of each unit, by their numbers, and values of the first and last one.

use super::*;

const ORDER: &str = "PARTITION BY person ORDER BY day DESC, cost DESC, ward";

/// (FROM …, unit, key, value), where `{rn}` is a row's number.
const CASES: [(&str, &str, &str, &str); 12] = [
    ("(SELECT *, {rn} AS rn FROM visits) t WHERE rn <= 3", "person", "ward", "cost"),
    ("(SELECT *, {rn} AS rn FROM visits) t WHERE 3 > rn AND ward = 't1'", "person", "ward", "cost"),
    ("(SELECT *, {rn} AS rn FROM visits) t WHERE rn = 2", "person", "ward", "cost"),
    ("(SELECT *, {rn} AS rn FROM visits) t WHERE rn BETWEEN 2 AND 30", "person", "ward", "cost"),
    // Its number is a value of a row.
    (
        "(SELECT *, {rn} AS rn FROM visits WHERE cost > 100) t WHERE rn > 1 AND rn <= 7 AND rn >= 2 AND (rn <> 4 OR cost > 500)",
        "person",
        "CASE WHEN rn > 5 THEN 'late' WHEN rn = 2 THEN 'second' ELSE ward END",
        "cost",
    ),
    (
        "(SELECT *, {rn} AS rn FROM (SELECT * FROM visits WHERE cost > 300 UNION ALL SELECT person, cost + 1, day + 1, ward FROM visits)) t WHERE rn <= 4",
        "person",
        "ward",
        "cost",
    ),
    (
        "patients p LEFT JOIN (SELECT person, ward, cost, {rn} AS rn FROM visits) v ON p.person = v.person AND v.rn <= 2 AND v.rn > 0",
        "p.person",
        "ward",
        "cost",
    ),
    // The first of the first, and what is put together of them.
    (
        "(SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY cost, day, ward) AS low FROM (SELECT *, {rn} AS rn FROM visits) WHERE rn <= 9) t WHERE low <= 2",
        "person",
        "ward",
        "cost",
    ),
    (
        "(SELECT person, MAX(cost) AS top, MIN(ward) AS w FROM (SELECT *, {rn} AS rn FROM visits) WHERE rn <= 3 GROUP BY person) t",
        "person",
        "w",
        "top",
    ),
    (
        "(SELECT person, FIRST_VALUE(cost ORDER BY day, cost, ward) AS f, LAST_VALUE(ward ORDER BY day, cost, ward) AS w, MAX(cost) AS m \
         FROM visits GROUP BY person) t",
        "person",
        "w",
        "f",
    ),
    (
        "(SELECT person, LAST_VALUE(cost ORDER BY day DESC NULLS LAST, cost, ward NULLS FIRST) AS l, FIRST_VALUE(ward ORDER BY day DESC, cost, ward) AS w, \
         COUNT(*) AS n FROM visits WHERE cost > 50 GROUP BY person) t WHERE n > 2",
        "person",
        "w",
        "l",
    ),
    (
        "patients p JOIN (SELECT person, LAST_VALUE(CASE WHEN cost > 500 THEN 'high' ELSE ward END ORDER BY day, cost, ward) AS w, \
         FIRST_VALUE(day ORDER BY cost, day, ward) AS d FROM visits GROUP BY person) v ON p.person = v.person",
        "p.person",
        "w",
        "d",
    ),
];

/// Whatever batches the rows come in.
#[test]
fn first_rows_are_those_that_datafusion_numbers_so() {
    let tables = [("patients", patients()), ("visits", visits())];
    for (from, unit, key, value) in CASES {
        let from = from.replace("{rn}", &format!("ROW_NUMBER() OVER ({ORDER})"));
        let query =
            format!("SELECT {key} AS k, COUNT(*) AS n, COUNT(DISTINCT {unit}) AS u, SUM({value}) AS s FROM {from} GROUP BY 1");
        let expected = theirs(&query, &tables);
        assert!(expected.len() > 1 || from.contains("'t1'"), "{from}: {expected:?}");
        for group in [3, 17, 100_000] {
            let got = ours(&query, &laid_out(&tables, group)).unwrap_or_else(|e| panic!("{from}: {e}"));
            assert_eq!(got, expected, "{from}: row groups of {group}");
        }
    }
}

/// A unit counts with as many rows as are taken, and in as many groups, and its rows' numbers lie between the first's and the last's.
#[test]
fn a_unit_counts_with_as_many_rows_as_are_taken() {
    let file = laid_out(&[("patients", patients()), ("visits", visits())], 1000);
    let policy = PolicyFile::parse(&POLICY.replace("max_rows = 1000000, max_groups = 1000", "max_rows = 6, max_groups = 4"));
    let policy = policy.unwrap().check(|e, _| Some(e)).unwrap();
    let shape = |condition: &str| {
        let query = format!(
            "SELECT ward, SUM(rn) AS s FROM (SELECT *, ROW_NUMBER() OVER ({ORDER}) AS rn FROM visits) t WHERE {condition} GROUP BY ward"
        );
        sql::admit_query(&sql::Asked::new(&query), &units::schema(&file).unwrap(), &policy)
            .map(|query| query.shape)
            .map_err(|e| e.to_string())
    };
    for (condition, rows, groups, bounds) in [
        ("rn = 1", 1, 1, (0.0, 1.0)),
        ("rn = 5", 1, 1, (0.0, 5.0)),
        ("rn <= 2", 2, 2, (1.0, 2.0)),
        ("rn <= 6", 6, 4, (1.0, 6.0)),
        ("rn BETWEEN 3 AND 5", 3, 3, (3.0, 5.0)),
    ] {
        let shape = shape(condition).unwrap_or_else(|e| panic!("{condition}: {e}"));
        assert_eq!((shape.max_rows, shape.max_groups), (rows, groups), "{condition}");
        let tidegate_gate::Measure::Sum(sum) = &shape.columns[0].measure else { panic!("{shape:?}") };
        assert!(bounds.0 <= sum.hi.min(sum.lo.max(bounds.0)) && sum.hi <= bounds.1, "{condition}: {sum:?}");
    }
    for (condition, says) in [
        ("rn <= 7", "the policy lets 6 of them count"),
        ("rn < 4000000000000", "rn <= 6"),
        ("rn = 0", "they begin at 1"),
        ("rn <= 0", "they begin at 1"),
        ("rn > 3 AND rn < 3", "they begin at 1"),
        ("rn <= 2.5", "WHERE rn = 1"),
        ("rn > 1", "WHERE rn = 1"),
        ("rn <= cost", "WHERE rn = 1"),
        ("rn <= 2 OR cost > 3", "WHERE rn = 1"),
    ] {
        let refused = shape(condition).unwrap_err();
        assert!(refused.contains(says), "{condition}: {refused}");
    }
    let query = |from: &str| {
        sql::admit_query(
            &sql::Asked::new(&format!("SELECT COUNT(*) FROM {from}")),
            &units::schema(&file).unwrap(),
            &self::policy(),
        )
        .map_err(|e| e.to_string())
    };
    for (from, says) in [
        (
            format!("(SELECT *, ROW_NUMBER() OVER ({ORDER}) AS rn FROM visits) t WHERE rn <= 100000 AND ward = 'w'"),
            "do not fit in memory",
        ),
        ("(SELECT person, FIRST_VALUE(cost) AS c FROM visits GROUP BY person) t".to_owned(), "FIRST_VALUE(x ORDER BY day)"),
        (
            "(SELECT person, LAST_VALUE(cost ORDER BY day) FILTER (WHERE cost > 3) AS c FROM visits GROUP BY person) t"
                .to_owned(),
            "LAST_VALUE(x ORDER BY day)",
        ),
        (
            "(SELECT person, LAST_VALUE(person ORDER BY day) AS c FROM visits GROUP BY person) t WHERE c > 3".to_owned(),
            "privacy unit",
        ),
        ("(SELECT person, LAST_VALUE(cost ORDER BY person) AS c FROM visits GROUP BY person) t".to_owned(), "privacy unit"),
    ] {
        let refused = query(&from).map(|_| ()).unwrap_err();
        assert!(refused.contains(says), "{from}: {refused}");
    }
}
