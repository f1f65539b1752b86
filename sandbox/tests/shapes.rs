//! What a query may be made of: quantiles, covariances, conditions, subqueries, a unit's own aggregates, and the bounds that follow.

use crate::common;
use crate::common::{groups, policy, sql, table};
use tidegate_protocol::{
    Cost,
    job::{Key, Mode},
};
use tidegate_sandbox::{Help, admit, run};

fn text(s: &str) -> Vec<Key> {
    vec![Key::Text(s.into())]
}

/// A group: key, units, and the lanes that are not zero.
type Sparse = (Vec<Key>, i64, Vec<(usize, i128)>);

fn sparse(t: &common::Table, query: &str) -> Vec<Sparse> {
    let lanes = |lanes: Vec<i128>| lanes.into_iter().enumerate().filter(|(_, v)| *v != 0).collect();
    groups(t, query).into_iter().map(|(key, units, all)| (key, units, lanes(all))).collect()
}

/// Each of a unit's rows is in one bin, and no more of them count than max_rows; several quantiles of one value share a tree.
#[test]
fn quantiles_count_each_units_first_rows_in_bins() {
    let t = table(&[
        (Some(1), Some(0.0), 1, "a"),
        (Some(1), Some(99.9), 1, "a"),
        (Some(1), None, 1, "a"),
        (Some(1), Some(1000.0), 1, "a"),
        (Some(1), Some(50.0), 1, "a"),
        (Some(2), Some(50.0), 1, "b"),
    ]);
    let query = "SELECT MEDIAN(spend) AS m, APPROX_PERCENTILE_CONT(spend, 0.9) AS p, PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY spend) AS q";
    let got = sparse(&t, &format!("{query} FROM dataset"));
    // Of person 1: 0, 99.9, and 1000 clipped to the last bin. The NULL takes no place, the fourth value is one too many.
    let last = ((99.9f64 / 100.0) * 4096.0) as usize;
    assert_eq!(got, [(vec![], 2, vec![(0, 1), (2048, 1), (last, 1), (4095, 1)])]);
    let by_city = sparse(&t, &format!("{query}, city FROM dataset GROUP BY city"));
    assert_eq!(by_city[1], (text("b"), 1, vec![(128, 1)]));
}

/// Public numbers say how much memory groups take: no data has to come for that to be too much.
#[test]
fn more_percentiles_than_memory_holds_are_refused() {
    let t = table(&[(Some(1), Some(0.0), 1, "a")]);
    let many = |n: usize| (0..n).map(|i| format!("MEDIAN(spend + {i})")).collect::<Vec<_>>().join(", ");
    // There is time for their noise.
    let mut policy = policy();
    policy.limits.slot_ms = 600_000;
    let ask =
        |n: usize, by: &str, keys| admit(&sql(&format!("SELECT {} FROM dataset{by}", many(n)), keys), &policy, &t.schema, None);
    assert!(ask(8, " GROUP BY city", None).is_ok());
    let refused = ask(40, " GROUP BY city", None).unwrap_err();
    assert!(refused.message.contains("do not fit in memory"), "{refused}");
    let declared = |n: usize| Some((0..n).map(|i| text(&i.to_string())).collect::<Vec<_>>());
    assert!(ask(40, " GROUP BY city", declared(100)).is_ok());
    let refused = ask(40, " GROUP BY city", declared(1000)).unwrap_err();
    assert!(refused.message.contains("do not fit in memory"), "{refused}");
    assert!(ask(40, "", None).is_ok());
}

/// Two values a row: rows in which either is missing count in none of the sums.
#[test]
fn covariance_takes_rows_that_have_both_values() {
    let t = table(&[(Some(1), Some(75.0), 10, "a"), (Some(2), None, 4, "a"), (Some(3), Some(f64::NAN), 4, "a")]);
    let got = groups(&t, "SELECT COVAR_POP(spend, visits) FROM dataset");
    let step = |bound: f64| 2f64.powi(bound.log2().ceil() as i32 - 20);
    let at = |v: f64, bound: f64| (v / step(bound)) as i128;
    assert_eq!(got, [(vec![], 3, vec![at(25.0, 50.0), at(5.0, 5.0), at(125.0, 250.0), 1])]);
}

/// COUNT(DISTINCT unit) where a condition holds, in each of its forms, and FILTER for the others.
#[test]
fn conditions_count_where_they_hold() {
    let t = table(&[
        (Some(1), Some(1.0), 1, "a"),
        (Some(1), Some(60.0), 1, "a"),
        (Some(1), Some(70.0), 1, "a"),
        (Some(2), Some(2.0), 1, "a"),
        (Some(3), Some(80.0), 1, "b"),
    ]);
    for units in ["COUNT(DISTINCT person) FILTER (WHERE spend > 50)", "COUNT(DISTINCT CASE WHEN spend > 50 THEN person END)"] {
        let got = groups(&t, &format!("SELECT {units}, COUNT(*) FILTER (WHERE spend > 50), COUNT(*) FROM dataset"));
        assert_eq!(got, [(vec![], 3, vec![2, 3, 5])], "{units}");
        let keyed = groups(&t, &format!("SELECT city, {units} FROM dataset GROUP BY city"));
        assert_eq!(keyed, [(text("a"), 2, vec![1]), (text("b"), 1, vec![1])], "{units}");
    }
}

/// Subqueries and CTEs that stay row-wise are folded into one pass.
#[test]
fn row_wise_subqueries_say_the_same_as_one_query() {
    let t = table(&[(Some(1), Some(1.0), 1, "a"), (Some(2), Some(60.0), 5, "b"), (Some(3), Some(99.0), 9, "b")]);
    let plain = groups(
        &t,
        "SELECT upper(city), COUNT(*), SUM(spend * 2 + 1) FROM dataset WHERE visits > 2 AND spend < 90 GROUP BY upper(city)",
    );
    for query in [
        "SELECT c, COUNT(*), SUM(d) FROM (SELECT upper(city) AS c, spend * 2 + 1 AS d, spend FROM dataset WHERE visits > 2) WHERE spend < 90 GROUP BY c",
        "WITH v AS (SELECT * FROM dataset WHERE visits > 2), w AS (SELECT upper(city) AS c, v.spend AS s FROM v WHERE spend < 90) \
         SELECT w.c, COUNT(*), SUM(s * 2 + 1) FROM w GROUP BY w.c",
        "SELECT c, COUNT(*), SUM(s * 2 + 1) FROM (SELECT x.c, x.s FROM (SELECT upper(d.city) AS c, d.spend AS s, d.visits AS v FROM dataset AS d) x \
         WHERE x.v > 2 AND x.s < 90) y GROUP BY c",
    ] {
        assert_eq!(groups(&t, query), plain, "{query}");
    }
}

/// Each unit's own rows aggregated first: one row a unit goes on, so κ and max_rows are one whatever the policy says.
#[test]
fn a_units_own_rows_may_be_aggregated_first() {
    let mut rows: Vec<(Option<i64>, Option<f64>, i64, &str)> = Vec::new();
    for person in 0..30_000i64 {
        for i in 0..=person % 7 {
            rows.push((Some(person), Some((person % 11) as f64), i, if person % 2 == 0 { "even" } else { "odd" }));
        }
    }
    let t = table(&rows);
    let got = groups(&t, "SELECT n, COUNT(*) FROM (SELECT person, COUNT(*) AS n FROM dataset GROUP BY person) GROUP BY n");
    let expected: Vec<_> = (0..7i64)
        .map(|k| {
            let units = (0..30_000i64).filter(|p| p % 7 == k).count() as i64;
            (vec![Key::Int(k + 1)], units, vec![i128::from(units)])
        })
        .collect();
    assert_eq!(got, expected);
    let query = "SELECT AVG(clamp(total, 0, 60)) AS a, COUNT(*) AS n, COUNT(DISTINCT person) AS u FROM \
        (SELECT person, SUM(spend) AS total, MAX(city) AS c FROM dataset WHERE visits < 5 GROUP BY person HAVING COUNT(*) > 2) WHERE c = 'odd'";
    let admitted = admit(&sql(query, None), &policy(), &t.schema, None).unwrap();
    assert_eq!((admitted.plan().shape().max_rows, admitted.plan().kappa()), (1, 1));
    let kept = (0..30_000i64).filter(|p| p % 2 == 1 && (p % 7 + 1).min(5) > 2);
    let total: f64 = kept.clone().map(|p| ((p % 11) * (p % 7 + 1).min(5)) as f64 - 30.0).sum();
    let n = kept.count() as i128;
    let got = groups(&t, query);
    assert_eq!(got, [(vec![], n as i64, vec![(total / 2f64.powi(5 - 20)) as i128, n, n, n])]);
}

/// What the bounds of an expression come to: its sum's clip.
#[test]
fn bounds_follow_through_expressions() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    for (expr, lo, hi) in [
        ("spend * 1.2", 0.0, 120.0),
        ("clamp(spend / visits, 0, 7)", 0.0, 7.0),
        ("clamp(spend, -5, 1000)", 0.0, 100.0),
        ("spend / 4 - 1", -1.0, 24.0),
        ("sqrt(spend) + abs(visits - 10)", 0.0, 20.0),
        ("CASE WHEN city = 'a' THEN spend ELSE -visits END", -10.0, 100.0),
        ("CAST(spend > 3 AS INT)", 0.0, 1.0),
        ("CAST(visits AS DOUBLE)", 0.0, 10.0),
        ("coalesce(visits, 12)", 0.0, 12.0),
        ("greatest(spend, 50)", 0.0, 100.0),
        ("ln(spend + 1)", 0.0, 101f64.ln()),
        ("round(spend * 0.3)", 0.0, 30.0),
        ("nullif(spend, 0)", 0.0, 100.0),
        ("nullif(visits - 5, spend)", -5.0, 5.0),
    ] {
        let admitted = admit(&sql(&format!("SELECT SUM({expr}) FROM dataset"), None), &policy(), &t.schema, None)
            .unwrap_or_else(|e| panic!("{expr}: {e}"));
        let tidegate_gate::Measure::Sum(sum) = admitted.plan().shape().columns[0].measure else { panic!("{expr}") };
        assert!((sum.lo - lo).abs() < 1e-9 && (sum.hi - hi).abs() < 1e-9, "{expr}: {sum:?}");
    }
}

/// Each grouping set is a grouping of its own, whose groups say which: a unit is in κ groups of each, and the noise is for all of them.
#[test]
fn grouping_sets_are_groupings_side_by_side() {
    let t = table(&[
        (Some(1), Some(1.0), 1, "a"),
        (Some(1), Some(2.0), 2, "a"),
        (Some(1), Some(4.0), 3, "a"),
        (Some(2), Some(8.0), 1, "b"),
        (Some(3), Some(16.0), 1, "b"),
    ]);
    let query = "SELECT city, visits, COUNT(*) AS n FROM dataset GROUP BY ROLLUP(city, visits)";
    let admitted = admit(&sql(query, None), &policy(), &t.schema, None).unwrap();
    assert_eq!(admitted.plan().kappa(), 2 + 2 + 1, "κ of (city, visits), of (city), and one total");
    assert_eq!(admitted.plan().shape().key_names, ["city", "visits", "grouping"]);
    let got = groups(&t, query);
    let of = |id: i64| got.iter().filter(|g| g.0[2] == Key::Int(id)).map(|g| (&g.0[..2], g.1, g.2[0])).collect::<Vec<_>>();
    let (a, b) = (Key::Text("a".into()), Key::Text("b".into()));
    assert_eq!(of(3), [(&[Key::Null, Key::Null][..], 3, 5)]);
    assert_eq!(of(1), [(&[a, Key::Null][..], 1, 3), (&[b.clone(), Key::Null][..], 2, 2)]);
    assert_eq!(of(0).len(), 3, "person 1 counts in two of its three: {got:?}");
    assert!(of(0).contains(&(&[b, Key::Int(1)][..], 2, 2)));
    // Declared keys make those of every set.
    let keys = vec![vec![Key::Text("a".into()), Key::Int(1)], vec![Key::Text("b".into()), Key::Int(1)]];
    let admitted = admit(&sql(query, Some(keys)), &policy(), &t.schema, None).unwrap();
    assert_eq!(admitted.declared().len(), 2 + 2 + 1);
    assert_eq!(admitted.plan().kappa(), 5);
}

/// Nobody, nobody who passes, one alone, and only rows without a unit: the same columns and no error.
#[test]
fn tables_with_hardly_anybody_say_as_little() {
    let queries = [
        "SELECT COUNT(*), SUM(spend), AVG(spend), MEDIAN(spend), CORR(spend, visits), COUNT(DISTINCT person) FROM dataset WHERE visits < 5",
        "SELECT city, COUNT(*), STDDEV(spend) FROM dataset WHERE visits < 5 GROUP BY ROLLUP(city)",
        "SELECT n, COUNT(*) FROM (SELECT person, COUNT(*) AS n FROM dataset WHERE visits < 5 GROUP BY person) GROUP BY n",
    ];
    for (rows, units) in [
        (vec![], 0),
        (vec![(Some(1), Some(1.0), 9, "a")], 0),
        (vec![(None, Some(1.0), 1, "a")], 0),
        (vec![(Some(1), Some(1.0), 1, "a")], 1),
        (vec![(Some(1), None, 1, "a")], 1),
    ] {
        let t = table(&rows);
        for query in queries {
            let got = groups(&t, query);
            assert!(got.iter().all(|g| g.1 == units) && (got.is_empty() == (units == 0)), "{rows:?} {query}: {got:?}");
        }
    }
}

/// One column under two names is released, and paid for, once; the names are the asker's own affair.
#[test]
fn one_column_under_two_names_is_paid_for_once() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let query = "SELECT COUNT(*) AS a, COUNT(*) AS b, SUM(spend) / COUNT(*) AS m FROM dataset";
    for (query, columns) in [(query, 2), ("SELECT COUNT(*) AS a, COUNT(*) AS b FROM dataset", 1)] {
        let admitted = admit(&sql(query, None), &policy(), &t.schema, None).unwrap();
        assert_eq!(admitted.plan().shape().columns.len(), columns, "{query}");
        assert!(admitted.view().is_some(), "{query}");
    }
}

/// For an exact result all groups of a unit count, however many: more than the sums' small form may be closed for at a time.
#[test]
fn a_unit_in_thousands_of_groups_counts_in_all_of_them_exactly() {
    let cities: Vec<String> = (0..3000).map(|i| format!("c{i}")).collect();
    let rows: Vec<_> = (1..4).flat_map(|p| cities.iter().map(move |c| (Some(p), Some(100.0), 1, c.as_str()))).collect();
    let t = table(&rows);
    let mut job = sql("SELECT city, SUM(spend) AS s FROM dataset GROUP BY city", None);
    (job.mode, job.cost) = (Mode::Reviewed, Cost::REVIEWED);
    let admitted = admit(&job, &policy(), &t.schema, None).unwrap();
    let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], Help::default()).unwrap();
    let steps = (300.0 / 2f64.powi(7 - 20)) as i128;
    assert_eq!(sums.groups.len(), 3000);
    assert!(sums.groups.iter().all(|g| g.units == 3 && g.lanes == [steps] && g.kinds != tidegate_gate::Kinds::default()));
}

/// A row of the dataset may make several: a unit's clip is over all of them, bounds hold in all parts, and NULL in one part has none.
#[test]
fn union_all_puts_row_wise_parts_together() {
    let t = table(&[(Some(1), Some(10.0), 3, "a"), (Some(1), Some(20.0), 4, "b"), (Some(2), Some(30.0), 5, "a")]);
    let query = "SELECT kind, COUNT(*), COUNT(DISTINCT person), SUM(x) FROM (
        SELECT person, 'spend' AS kind, spend AS x FROM dataset
        UNION ALL SELECT person, 'visits', visits + 1 FROM dataset WHERE visits > 3
        UNION ALL SELECT person, 'visits', NULL FROM dataset WHERE visits = 5) WHERE kind <> 'b' GROUP BY kind";
    let step = 2f64.powi(7 - 20);
    let got: Vec<_> = groups(&t, query)
        .into_iter()
        .map(|(key, units, lanes)| (key, units, lanes[0], lanes[1], lanes[2] as f64 * step))
        .collect();
    assert_eq!(got, [(text("spend"), 2, 3, 2, 60.0), (text("visits"), 2, 3, 2, 11.0)]);
    // One unit's rows over all parts are clipped together: max_rows is 3.
    let four = format!("SELECT COUNT(*) FROM ({})", ["SELECT person FROM dataset"; 4].join(" UNION ALL "));
    assert_eq!(groups(&t, &four), [(vec![], 2, vec![6])]);
    // Each unit's own rows, put together first.
    let own = "SELECT SUM(clamp(s, 0, 100)) FROM (SELECT person, SUM(x) AS s FROM (
        SELECT person, spend AS x FROM dataset UNION ALL SELECT person, visits FROM dataset) GROUP BY person)";
    let got = groups(&t, own);
    assert_eq!(got[0].2[0] as f64 * step, 72.0);
    for (wrong, says) in [
        ("SELECT COUNT(*) FROM (SELECT city FROM dataset UNION SELECT city FROM dataset)", "DISTINCT"),
        (
            "SELECT COUNT(*) FROM (SELECT person FROM dataset GROUP BY person UNION ALL SELECT person FROM dataset)",
            "UNION ALL of aggregates",
        ),
        (
            "SELECT SUM(x) FROM (SELECT CAST(NULL AS DOUBLE) AS x FROM dataset UNION ALL SELECT NULL FROM dataset)",
            "no public bounds",
        ),
        ("SELECT COUNT(*) FROM dataset UNION ALL SELECT COUNT(spend) FROM dataset", "several aggregates"),
        (&format!("SELECT COUNT(*) FROM ({})", ["SELECT person FROM dataset"; 17].join(" UNION ALL ")), "more than 16"),
    ] {
        let refused = admit(&sql(wrong, None), &policy(), &t.schema, None).unwrap_err();
        assert!(refused.message.contains(says), "{wrong}: {refused}");
    }
}

/// What a buyer brings is a stranger's bytes: cut off or changed anywhere they are refused or read as some other table, and nothing panics.
#[test]
fn broken_public_tables_are_refused() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
    use tidegate_sandbox::sql::{Asked, Tables, admit_query};

    let rows = |n: i64| {
        let codes = Arc::new((0..n).collect::<Int64Array>()) as ArrayRef;
        let names = Arc::new((0..n).map(|i| Some(format!("name {i}"))).collect::<StringArray>()) as ArrayRef;
        RecordBatch::try_from_iter([("code", codes), ("name", names)]).unwrap()
    };
    let mut tables = Tables::default();
    tables.add("codes", &rows(9).schema(), &[rows(9)]).unwrap();
    tables.add("others", &rows(3).schema(), &[rows(3)]).unwrap();
    let bytes = tables.write().unwrap();
    assert!(Tables::read(&bytes).is_ok());
    // Few bytes that would be many: one text for a million rows.
    let places = arrow::array::Int32Array::from(vec![0; 1 << 20]);
    let long = Arc::new(StringArray::from(vec!["x".repeat(1024)]));
    let column = Arc::new(arrow::array::DictionaryArray::new(places, long)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("name", column)]).unwrap();
    let named = std::collections::HashMap::from([("tidegate.table".to_owned(), "names".to_owned())]);
    let schema = arrow::datatypes::Schema::new_with_metadata(batch.schema().fields().clone(), named);
    let mut packed = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut packed, &schema).unwrap();
    writer.write(&batch.with_schema(Arc::new(schema.clone())).unwrap()).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let refusal = Tables::read(&packed).unwrap_err();
    assert!(refusal.to_string().contains("travel as plain columns"), "{refusal}");
    let mut refused = 0;
    std::panic::set_hook(Box::new(|_| {}));
    for i in 0..bytes.len() {
        refused += u32::from(Tables::read(&bytes[..i]).is_err());
        let mut changed = bytes.clone();
        changed[i] ^= 0x41;
        refused += u32::from(Tables::read(&changed).is_err());
    }
    let _ = std::panic::take_hook();
    assert!(refused > 200, "{refused}");
    for (name, batch) in [
        ("dataset", rows(1)),
        ("codes", rows(1)),
        ("Codes", rows(1)),
        ("", rows(1)),
        ("bytes", RecordBatch::try_from_iter([("b", Arc::new(BinaryArray::from(vec![&b"x"[..]])) as ArrayRef)]).unwrap()),
        ("long", RecordBatch::try_from_iter([("t", Arc::new(StringArray::from(vec!["x".repeat(5000)])) as ArrayRef)]).unwrap()),
        ("many", rows((1 << 20) + 1)),
    ] {
        assert!(tables.add(name, &batch.schema(), &[batch]).is_err(), "{name}");
    }
    // Each join holds the table's keys in memory.
    tables.add("big", &rows(600_000).schema(), &[rows(600_000)]).unwrap();
    let t = table(&[(Some(1), Some(0.0), 1, "a")]);
    let ask = |query: &str| admit_query(&Asked { tables: &tables, ..Asked::new(query) }, &t.schema, &policy());
    assert!(ask("SELECT COUNT(*) FROM dataset JOIN big ON visits = code").is_ok());
    let twice = ask("SELECT COUNT(*) FROM dataset JOIN big a ON visits = a.code JOIN big b ON visits = b.code").unwrap_err();
    assert!(twice.message.contains("rows of public tables"), "{twice}");
}
