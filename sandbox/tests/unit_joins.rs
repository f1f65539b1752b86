//! Joins of the owner's tables on the unit: the same rows that DataFusion joins, where nothing is clipped, and what they refuse.

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch, StringArray, new_null_array},
    compute::{concat, lexsort_to_indices, take},
    datatypes::{Float64Type, Int64Type},
};
use datafusion::prelude::SessionContext;
use parquet::arrow::ArrowWriter;
use tidegate_gate::{Plan, Sums};
use tidegate_protocol::{
    Refusal,
    job::Key,
    policy::{Policy, PolicyFile},
};
use tidegate_sandbox::{sql, units};

mod first;
mod own;

const POLICY: &str = r#"
    unit = { column = "person", max_units = 1000, max_rows = 1000000, max_groups = 1000 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "600s", tick = "1s" }
    sql = { mops = 1e9 }
    access = { compute = "granted", replicate = "nobody" }
    [tables.patients]
    age = { lo = 0, hi = 1000 }
    town = {}
    [tables.visits]
    cost = { lo = 0, hi = 1000 }
    day = { lo = 0, hi = 1000 }
    ward = {}
"#;

fn policy() -> Policy {
    PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap()
}

fn ints(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// Persons with none, one or two rows; and with none to fifty.
fn patients() -> RecordBatch {
    let rows: Vec<i64> = (0..300).filter(|i| i % 7 != 2).map(|i| i * 11 % 150).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("person", ints(rows.iter().map(|p| Some(*p))), true),
        ("age", ints(rows.iter().map(|p| (p % 13 != 5).then_some(p * 7 % 90))), true),
        ("town", texts(rows.iter().map(|p| (p % 17 != 4).then(|| format!("t{}", p % 4)))), true),
    ])
    .unwrap()
}

fn visits() -> RecordBatch {
    let rows: Vec<(i64, i64)> = (20..170).flat_map(|p| (0..p * 13 % 51).map(move |i| (p, i))).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("person", ints(rows.iter().map(|(p, _)| Some(*p))), true),
        ("cost", ints(rows.iter().map(|(p, i)| (i % 9 != 3).then_some((p * 31 + i * 17) % 997))), true),
        ("day", ints(rows.iter().map(|(p, i)| (i % 11 != 3).then_some((p + i * 5) % 60))), true),
        ("ward", texts(rows.iter().map(|(p, i)| (i % 8 != 1).then(|| format!("t{}", (p * i) % 5)))), true),
    ])
    .unwrap()
}

/// As publication lays the rows out: ordered by unit, with the table's number, and NULL in the other tables' columns.
fn laid_out(tables: &[(&str, RecordBatch)], group: usize) -> File {
    let rows: Vec<usize> = tables.iter().map(|(_, batch)| batch.num_rows()).collect();
    let all = |column: &dyn Fn(usize) -> ArrayRef| {
        let pieces: Vec<ArrayRef> = (0..tables.len()).map(column).collect();
        concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap()
    };
    let mut columns = vec![
        ("person".to_owned(), all(&|t| tables[t].1.column(0).clone())),
        (".table".to_owned(), all(&|t| Arc::new(Int8Array::from(vec![t as i8; rows[t]])))),
    ];
    for (table, (name, batch)) in tables.iter().enumerate() {
        for (i, field) in batch.schema().fields().iter().enumerate().skip(1) {
            let of = |t: usize| {
                if t == table { batch.column(i).clone() } else { new_null_array(field.data_type(), rows[t]) }
            };
            columns.push((format!("{name}.{}", field.name()), all(&of)));
        }
    }
    let sort = |c: &ArrayRef| arrow::compute::SortColumn { values: c.clone(), options: None };
    let order = lexsort_to_indices(&[sort(&columns[0].1), sort(&columns[1].1)], None).unwrap();
    let sorted = columns.into_iter().map(|(name, c)| (name, take(&c, &order, None).unwrap(), true));
    let batch = RecordBatch::try_from_iter_with_nullable(sorted).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    for from in (0..batch.num_rows()).step_by(group) {
        writer.write(&batch.slice(from, group.min(batch.num_rows() - from))).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file
}

/// By key: rows, units, the value's sum.
type Groups = BTreeMap<String, (i64, i64, f64)>;

fn ours(query: &str, file: &File) -> Result<Groups, Refusal> {
    let query = sql::admit_query(&sql::Asked::new(query), &units::schema(file).unwrap(), &policy())?;
    let plan = Plan::new(query.shape.clone()).unwrap();
    let mut sums = Sums::default();
    sql::run_query(&query, &plan, &[file.try_clone().unwrap()], &[7; 32], sql::Room::default(), &mut |groups| {
        sums.groups.extend(groups);
        Ok(())
    })
    .unwrap();
    let group = |g: tidegate_gate::GroupSums| {
        let key = match &g.key[0] {
            Key::Null => "NULL".to_owned(),
            Key::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        (key, (g.lanes[0] as i64, g.lanes[1] as i64, g.lanes[2] as f64 * 2f64.powi(10 - 20)))
    };
    Ok(sums.groups.into_iter().filter(|g| g.units > 0).map(group).collect())
}

fn theirs(query: &str, tables: &[(&str, RecordBatch)]) -> Groups {
    let context = SessionContext::new();
    for (name, batch) in tables {
        context.register_batch(*name, batch.clone()).unwrap();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = runtime.block_on(async { context.sql(query).await.unwrap().collect().await.unwrap() });
    let mut groups = Groups::new();
    for batch in batches {
        let columns: Vec<ArrayRef> = [arrow::datatypes::DataType::Utf8, arrow::datatypes::DataType::Int64]
            .into_iter()
            .chain([arrow::datatypes::DataType::Int64, arrow::datatypes::DataType::Float64])
            .zip(batch.columns())
            .map(|(kind, c)| arrow::compute::cast(c, &kind).unwrap())
            .collect();
        for i in 0..batch.num_rows() {
            let key = if columns[0].is_null(i) { "NULL" } else { columns[0].as_string::<i32>().value(i) };
            let number = |c: usize| columns[c].as_primitive::<Int64Type>().value(i);
            let sum = if columns[3].is_null(i) { 0.0 } else { columns[3].as_primitive::<Float64Type>().value(i) };
            groups.insert(key.to_owned(), (number(1), number(2), sum));
        }
    }
    groups
}

/// (FROM …, unit, key, value)
const JOINS: [(&str, &str, &str, &str); 32] = [
    ("patients p JOIN visits v ON p.person = v.person", "v.person", "town", "cost"),
    ("visits v JOIN patients p USING (person)", "person", "town", "cost"),
    ("patients p LEFT JOIN visits v ON p.person = v.person", "v.person", "ward", "cost"),
    ("visits v RIGHT JOIN patients p ON v.person = p.person", "p.person", "ward", "cost"),
    ("patients p FULL JOIN visits v ON p.person = v.person", "v.person", "ward", "age"),
    ("patients p LEFT SEMI JOIN visits v ON p.person = v.person", "p.person", "town", "age"),
    ("patients p LEFT ANTI JOIN visits v ON p.person = v.person", "p.person", "town", "age"),
    ("visits v RIGHT SEMI JOIN patients p ON p.person = v.person AND cost > 500", "p.person", "town", "age"),
    // More keys, some of them NULL; conditions over both.
    ("patients p JOIN visits v ON p.person = v.person AND p.town = v.ward", "p.person", "town", "cost"),
    ("patients p LEFT JOIN visits v ON p.person = v.person AND p.town = v.ward AND age > day", "p.person", "town", "cost"),
    ("patients p FULL JOIN visits v ON p.person = v.person AND p.town = v.ward AND age > day", "p.person", "town", "cost"),
    ("patients p LEFT JOIN visits v ON p.person = v.person AND v.cost > 900", "p.person", "town", "day"),
    ("visits a JOIN visits b ON a.person = b.person AND a.day = b.day AND a.cost < b.cost", "b.person", "a.ward", "b.cost"),
    ("patients p JOIN visits v ON p.person = v.person AND age + 1 = day", "p.person", "town", "cost"),
    // Subqueries, row-wise and by unit; of what is missing, also what was computed.
    (
        "(SELECT person, town, age FROM patients WHERE age > 20) p JOIN \
         (SELECT person, cost * 2 / 2 AS c FROM visits WHERE ward = 't1') v ON p.person = v.person",
        "p.person",
        "town",
        "c",
    ),
    (
        "patients p LEFT JOIN (SELECT person, COALESCE(day, 7) AS one, ward FROM visits WHERE cost > 990) v ON p.person = v.person",
        "p.person",
        "ward",
        "one",
    ),
    (
        "patients p LEFT JOIN (SELECT person, MAX(day) AS last FROM visits JOIN patients USING (person) GROUP BY person) v \
         ON p.person = v.person",
        "p.person",
        "town",
        "last",
    ),
    (
        "patients p JOIN (SELECT person, MAX(cost) AS top FROM visits GROUP BY person) v ON p.person = v.person AND top > 500",
        "p.person",
        "town",
        "top",
    ),
    (
        "visits v JOIN (SELECT person, MAX(cost) AS top FROM visits GROUP BY person) t ON v.person = t.person AND v.cost = t.top",
        "v.person",
        "ward",
        "day",
    ),
    // Several.
    (
        "patients p JOIN visits v ON p.person = v.person LEFT JOIN visits w \
         ON v.person = w.person AND v.day = w.day AND w.cost > 800",
        "v.person",
        "p.town",
        "w.cost",
    ),
    (
        "(SELECT person, town AS k, age AS x FROM patients UNION ALL SELECT person, ward, cost FROM visits) u \
         JOIN patients p ON u.person = p.person",
        "p.person",
        "k",
        "x",
    ),
    // Without JOIN: conditions of both sides, of one, and of several tables.
    ("patients p, visits v WHERE p.person = v.person AND p.age > 20 AND cost > 500", "p.person", "town", "cost"),
    ("patients p CROSS JOIN visits v WHERE v.person = p.person AND town = ward AND age > day", "p.person", "town", "cost"),
    (
        "patients p, visits v, patients q WHERE p.person = v.person AND q.person = v.person AND p.town = v.ward AND q.age > 30",
        "p.person",
        "q.town",
        "cost",
    ),
    // Who has none.
    ("patients p LEFT JOIN visits v ON p.person = v.person WHERE v.person IS NULL", "p.person", "town", "age"),
    (
        "patients p LEFT JOIN visits v ON p.person = v.person AND cost > 900 WHERE v.person IS NULL AND age > 10",
        "p.person",
        "town",
        "age",
    ),
    ("patients p LEFT JOIN visits v ON p.person = v.person WHERE v.person IS NOT NULL", "p.person", "town", "cost"),
    // The latest, and the first, row of each.
    (
        "(SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY day DESC, cost DESC, ward) AS rn FROM visits) t WHERE rn = 1",
        "person",
        "ward",
        "cost",
    ),
    (
        "(SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY day NULLS FIRST, cost, ward) AS rn FROM visits WHERE cost > 100) t \
         WHERE rn <= 1 AND ward = 't1'",
        "person",
        "CASE WHEN cost > 300 THEN 'high' ELSE 'low' END",
        "cost",
    ),
    (
        "(SELECT DISTINCT ON (person) person, ward, cost * 2 / 2 AS c FROM visits ORDER BY person, day DESC, cost, ward) t",
        "person",
        "ward",
        "c",
    ),
    (
        "patients p LEFT JOIN (SELECT person, ward, day, ROW_NUMBER() OVER (PARTITION BY person ORDER BY day DESC NULLS LAST, cost, ward) AS rn \
         FROM visits) v ON p.person = v.person AND v.rn = 1",
        "p.person",
        "ward",
        "day",
    ),
    (
        "patients p LEFT JOIN (SELECT DISTINCT ON (person) person, ward, cost FROM visits ORDER BY person, cost DESC, ward) v ON p.person = v.person",
        "p.person",
        "ward",
        "cost",
    ),
];

/// Whatever batches the rows come in.
#[test]
fn rows_are_joined_as_datafusion_joins_them() {
    let tables = [("patients", patients()), ("visits", visits())];
    for (from, unit, key, value) in JOINS {
        let query =
            format!("SELECT {key} AS k, COUNT(*) AS n, COUNT(DISTINCT {unit}) AS u, SUM({value}) AS s FROM {from} GROUP BY 1");
        let expected = theirs(&query, &tables);
        assert!(expected.len() > 1, "{from}: {expected:?}");
        for group in [17, 100_000] {
            let got = ours(&query, &laid_out(&tables, group)).unwrap_or_else(|e| panic!("{from}: {e}"));
            assert_eq!(got, expected, "{from}: row groups of {group}");
        }
    }
}

/// One person's rows make so many pairs and no more, in their order, and the others' are as they were.
#[test]
fn a_unit_makes_a_public_number_of_pairs() {
    let many = |unit: i64, rows: i64| {
        RecordBatch::try_from_iter_with_nullable([
            ("person", ints((0..rows).map(|_| Some(unit))), true),
            ("cost", ints((0..rows).map(Some)), true),
            ("day", ints((0..rows).map(|i| Some(i / 2))), true),
            ("ward", texts((0..rows).map(|_| Some("w".into()))), true),
        ])
        .unwrap()
    };
    let both = |a: &RecordBatch, b: &RecordBatch| arrow::compute::concat_batches(&a.schema(), [a, b]).unwrap();
    let visits = both(&many(1, 1000), &many(2, 3));
    let file = laid_out(&[("patients", patients().slice(0, 0)), ("visits", visits)], 300);
    let ask = |join: &str, on: &str| {
        let from = format!("visits a {join} visits b ON a.person = b.person{on}");
        // Numbers are narrow: of texts there would be fewer.
        let key = "CASE WHEN a.cost >= 0 THEN 'w' END";
        let group =
            ours(&format!("SELECT {key} AS k, COUNT(*), COUNT(DISTINCT a.person), SUM(a.cost) FROM {from} GROUP BY 1"), &file);
        group.unwrap()["w"]
    };
    // 1000 × 1000 pairs: those of the first 65 rows, and a part of the next one's.
    assert_eq!(ask("JOIN", "").0, (1 << 16) + 9);
    // What lies beyond is not there, rather than there without a match.
    assert_eq!(ask("LEFT JOIN", " AND a.day + 2000 = b.cost").0, 1000 + 3);
    assert_eq!(ask("LEFT JOIN", " AND a.day > 5000").0, 66 + 3);
    assert_eq!(ask("LEFT ANTI JOIN", " AND a.day > 5000").0, 66 + 3);
    // Keys say which pairs are looked at.
    let (rows, units, sum) = ask("JOIN", " AND a.day = b.day");
    assert_eq!((rows, units, sum), (2000 + 5, 2, f64::from((0..1000).sum::<i32>() * 2 + 1 + 1 + 2)));
}

#[test]
fn joins_that_would_put_people_together_are_refused() {
    let file = laid_out(&[("patients", patients()), ("visits", visits())], 1000);
    for (from, says) in [
        ("patients p JOIN visits v ON p.town = v.ward", "not on the unit"),
        ("patients p JOIN visits v ON p.person < v.person", "not on the unit"),
        ("patients p JOIN visits v ON p.person = v.day", "not on the unit"),
        ("patients p JOIN visits v ON p.person = v.person AND p.person = v.day", "privacy unit"),
        ("patients p JOIN visits v ON p.person = v.person AND v.person > 7", "privacy unit"),
        ("patients p JOIN visits v ON p.person = v.person OR p.town = v.ward", "not on the unit"),
        ("patients p JOIN visits v ON p.person IS NOT DISTINCT FROM v.person", "not on the unit"),
        ("patients p CROSS JOIN visits v", "not on the unit"),
        ("patients p, visits v", "not on the unit"),
        ("patients p, visits v WHERE p.town = v.ward", "not on the unit"),
        ("patients p, visits v WHERE p.person = v.person OR p.age > 3", "not on the unit"),
        ("patients p, visits v, patients q WHERE p.person = v.person AND v.ward = q.town", "not on the unit"),
        // Where a row is missing, its unit is NULL: no way to read whose it is.
        ("patients p LEFT JOIN visits v ON p.person = v.person WHERE v.person = 7", "privacy unit"),
        ("patients p WHERE person IS NULL", "privacy unit"),
        // Whoever's rows come first in an order of all of them, it is somebody's.
        ("(SELECT *, ROW_NUMBER() OVER (ORDER BY cost) AS rn FROM visits) t WHERE rn = 1", "PARTITION BY person"),
        (
            "(SELECT *, ROW_NUMBER() OVER (PARTITION BY ward ORDER BY cost) AS rn FROM visits) t WHERE rn = 1",
            "PARTITION BY person",
        ),
        ("(SELECT *, ROW_NUMBER() OVER (PARTITION BY person) AS rn FROM visits) t WHERE rn = 1", "PARTITION BY person"),
        ("(SELECT *, RANK() OVER (PARTITION BY person ORDER BY cost) AS rn FROM visits) t WHERE rn = 1", "PARTITION BY person"),
        ("(SELECT *, SUM(cost) OVER (PARTITION BY ward) AS rn FROM visits) t WHERE rn = 1", "a window over rows"),
        (
            "(SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY cost) AS rn FROM visits) t WHERE rn = 1 OR cost > 3",
            "WHERE rn = 1",
        ),
        ("(SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY cost) AS rn FROM visits) t WHERE cost > 3", "WHERE rn = 1"),
        (
            "(SELECT rn + 1 AS x FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY person ORDER BY cost) AS rn FROM visits)) t WHERE x = 2",
            "WHERE rn = 1",
        ),
        ("(SELECT DISTINCT ON (ward) * FROM visits ORDER BY ward, cost) t", "the unit alone"),
        ("(SELECT DISTINCT ON (person) * FROM visits) t", "with an order"),
        ("(SELECT town FROM patients) p JOIN visits v ON p.town = v.ward", "not on the unit"),
        ("(SELECT MAX(person) AS person FROM patients GROUP BY town) p JOIN visits v ON p.person = v.person", "several units"),
        ("(SELECT day AS person, cost FROM visits) p JOIN visits v ON p.person = v.person", "not on the unit"),
        ("dataset d", "There are: patients, visits"),
        (
            "visits a JOIN visits b ON a.person = b.person JOIN visits c ON a.person = c.person \
             JOIN visits d ON a.person = d.person JOIN visits e ON a.person = e.person JOIN visits f ON a.person = f.person",
            "more than 4 joins",
        ),
        (
            "(SELECT p.person, v.day FROM patients p JOIN visits v USING (person)) a JOIN \
             (SELECT p.person, v.day FROM patients p JOIN visits v USING (person)) b ON a.person = b.person",
            "join of two joins",
        ),
        ("patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.ward = p.town)", "not on the unit"),
        ("patients p WHERE EXISTS (SELECT 1 FROM visits)", "not on the unit"),
        ("patients p WHERE town IN (SELECT ward FROM visits)", "not on the unit"),
        ("patients p WHERE town NOT IN (SELECT ward FROM visits)", "not on the unit"),
        ("patients p WHERE person IN (SELECT day FROM visits)", "not on the unit"),
        ("patients p WHERE age > (SELECT AVG(age) FROM patients)", "subquery"),
        ("patients p JOIN LATERAL (SELECT * FROM visits v WHERE v.person = p.person) w ON true", "."),
        ("patients UNION ALL SELECT COUNT(*) FROM visits", "several aggregates"),
    ] {
        match ours(&format!("SELECT COUNT(*) FROM {from}"), &file) {
            Err(refused) => assert!(refused.to_string().contains(says), "{from}: {refused}"),
            Ok(groups) => panic!("{from} is answered: {groups:?}"),
        }
    }
    // A program sees the rows of a table, or of several put together.
    let schema = units::schema(&file).unwrap();
    let select =
        |sql: &str| sql::admit_select(sql, tidegate_protocol::job::Split::Unit, &schema, &policy()).map_err(|e| e.to_string());
    assert_eq!(select("SELECT cost, day FROM visits WHERE ward = 't1'").unwrap().names, ["cost", "day"]);
    assert_eq!(select("SELECT age, NULL FROM patients UNION ALL SELECT NULL, cost FROM visits").unwrap().branches.len(), 2);
    assert!(select("SELECT age FROM patients JOIN visits USING (person)").unwrap_err().contains("UNION ALL"));
    // What rows of other tables hold here is nobody's.
    for query in ["SELECT COUNT(*) FROM visits WHERE age > 0", "SELECT COUNT(*) FROM visits WHERE \".table\" = 0"] {
        assert!(ours(query, &file).is_err(), "{query}");
    }
}
