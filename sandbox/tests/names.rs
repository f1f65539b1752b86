//! The name that a dataset was published under is its only table's, beside `dataset`: a query says the same by either.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{Schema, SchemaRef},
};
use tidegate_sandbox::sql::{Asked, Query, Tables, admit_query, admit_select, published};

use crate::common::{policy, table};

/// What a query by name comes to, in all that is released of it.
fn released(query: &Query) -> String {
    format!("{:?} {:?} {}", query.shape, query.declared, query.keys)
}

#[test]
fn either_name_says_the_same() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    for (name, written) in
        [("visits", "visits"), ("Visits 2024", "\"Visits 2024\""), ("a.b", "\"a.b\""), ("spend", "spend"), ("d", "d")]
    {
        let schema = published(&t.schema, name);
        for query in [
            "SELECT city, COUNT(*) AS n, SUM(spend) FROM § GROUP BY city",
            "SELECT §.city, SUM(§.spend * 2) FROM § WHERE §.visits > 1 GROUP BY §.city",
            "SELECT AVG(x.spend) FROM § AS x WHERE x.visits > 1",
            "SELECT SUM(clamp(n, 0, 9)) FROM (SELECT person, COUNT(*) AS n FROM § GROUP BY person)",
            "SELECT COUNT(y.spend) FROM § JOIN § y ON §.person = y.person",
            "WITH t AS (SELECT city, COUNT(*) AS n FROM § GROUP BY city) SELECT city, n / SUM(n) OVER () AS share FROM t WHERE n > (SELECT AVG(n) FROM t)",
            "SELECT COUNT(*) FROM (SELECT spend FROM § UNION ALL SELECT spend FROM §)",
            "SELECT COUNT(*) FROM § x WHERE person IN (SELECT person FROM § WHERE spend > 3)",
            // A query's own tables hide the owner's.
            "WITH § AS (SELECT clamp(spend, 0, 7) AS spend FROM §) SELECT SUM(§.spend) FROM §",
        ] {
            let ask = |table: &str| {
                let asked = query.replace('§', table);
                let query = admit_query(&Asked::new(&asked), &schema, &policy());
                query.map_or_else(|e| panic!("{asked}: {e}"), |query| released(&query))
            };
            assert_eq!(ask(written), ask("dataset"), "{query} of {name}");
        }
        admit_select(&format!("SELECT spend FROM {written}"), tidegate_protocol::job::Split::Unit, &schema, &policy()).unwrap();
        // Where nobody says a name, there is none.
        let refused = admit_query(&Asked::new(&format!("SELECT COUNT(*) FROM {written}")), &t.schema, &policy()).unwrap_err();
        assert!(refused.message.contains("there is no table"), "{refused}");
    }
}

#[test]
fn a_name_that_is_taken_is_refused_by_name() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let schema = published(&t.schema, "visits");
    let column: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let batch = RecordBatch::try_from_iter([("code", column)]).unwrap();
    let mut tables = Tables::default();
    tables.add("visits", &batch.schema(), &[batch]).unwrap();
    let asked = Asked { tables: &tables, ..Asked::new("SELECT COUNT(*) FROM dataset") };
    let refused = admit_query(&asked, &schema, &policy()).unwrap_err().to_string();
    assert!(refused.contains("program.tables.visits") && refused.contains("is the name of the dataset"), "{refused}");
    // The list of tables has it, as it is written.
    let odd = published(&t.schema, "Visits 2024");
    let refused = admit_query(&Asked::new("SELECT COUNT(*) FROM visit"), &odd, &policy()).unwrap_err().to_string();
    assert!(refused.contains("There are: dataset, \"Visits 2024\""), "{refused}");
    // `dataset` is `dataset`.
    admit_query(&Asked::new("SELECT COUNT(*) FROM dataset"), &published(&t.schema, "dataset"), &policy()).unwrap();
}

/// Columns of one value as another type have names of their own, as have those that the query does not name.
#[test]
fn casts_beside_what_they_are_of_have_names_of_their_own() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    for (query, names) in [
        ("SELECT AVG(spend) AS a, AVG(CAST(spend AS INT)) AS b FROM dataset", vec!["a", "b"]),
        (
            "SELECT SUM(spend), SUM(CAST(spend AS INT)), SUM(spend::BIGINT) FROM dataset",
            vec!["sum(spend)", "sum(CAST(spend AS INT))", "sum(CAST(spend AS BIGINT))"],
        ),
        ("SELECT MEDIAN(spend) AS a, MEDIAN(CAST(spend AS INT)) AS b FROM dataset", vec!["a", "b"]),
        ("SELECT COUNT(spend) AS a, COUNT(CAST(spend AS INT)) AS b FROM dataset", vec!["a", "b"]),
        (
            "SELECT city, AVG(spend) AS a FROM dataset GROUP BY city HAVING AVG(CAST(spend AS INT)) > 1",
            vec!["a", "avg(CAST(spend AS INT))"],
        ),
        ("SELECT AVG(spend) AS a FROM dataset ORDER BY AVG(CAST(spend AS INT))", vec!["a", "avg(CAST(spend AS INT))"]),
        ("SELECT COUNT(*), SUM(clamp(spend, 0, 5)) FROM dataset", vec!["count(*)", "sum(clamp(spend, 0, 5))"]),
        ("SELECT APPROX_PERCENTILE_CONT(spend, 0.5) FROM dataset", vec!["approx_percentile_cont(spend, 0.5)"]),
    ] {
        let admitted = admit_query(&Asked::new(query), &t.schema, &policy()).unwrap_or_else(|e| panic!("{query}: {e}"));
        let columns = &admitted.shape.columns;
        let found: Vec<&str> = columns.iter().map(|c| c.titles.first().unwrap_or(&c.name).as_str()).collect();
        assert_eq!(found, names, "{query}");
    }
    // One name for two columns is the query's own fault.
    let same = "SELECT SUM(spend) AS a, SUM(CAST(spend AS INT)) AS a FROM dataset";
    let refused = admit_query(&Asked::new(same), &t.schema, &policy()).unwrap_err().to_string();
    assert!(refused.contains("another name with AS"), "{refused}");
}

/// Whether jobs read the owner's files or a copy may follow from rows. Either has the columns in an order of its own, and may say that some have no NULL: a query by
/// places, as any, asks the same.
#[test]
fn the_order_of_a_files_columns_means_nothing() {
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let fields: Vec<_> = t.schema.fields().iter().cloned().collect();
    let turned = |by: usize, backwards: bool, nulls: bool| {
        let mut fields = fields.clone();
        fields.rotate_left(by);
        if backwards {
            fields.reverse();
        }
        let odd = [("ARROW:extension:name".to_owned(), "arrow.opaque".to_owned())];
        let fields = fields.iter().map(|field| field.as_ref().clone().with_nullable(nulls).with_metadata(odd.clone().into()));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    for query in [
        "SELECT SUM(b) FROM (SELECT * FROM dataset) AS v(p, a, b, c)",
        "SELECT SUM(a) FROM (SELECT * FROM dataset) AS v(p, a, b, c)",
        "SELECT SUM(c) FROM (SELECT * FROM dataset) AS v(p, a, b, c)",
        "SELECT COUNT(*) FROM (SELECT * FROM dataset) AS v(p, a, b, c) WHERE a = 'x'",
        "SELECT AVG(b) FROM (SELECT spend, city, visits FROM dataset UNION ALL SELECT v.b, v.a, v.c FROM (SELECT * FROM dataset) AS v(p, a, b, c)) AS t(b, x, y)",
        "SELECT COUNT(*) FROM dataset WHERE visits IS NULL",
    ] {
        let ask = |schema: &SchemaRef| {
            admit_query(&Asked::new(query), schema, &policy()).map(|query| released(&query)).map_err(|e| e.to_string())
        };
        let first = ask(&t.schema);
        for (by, backwards, nulls) in (0..fields.len()).flat_map(|by| [(by, false, true), (by, true, false)]) {
            assert_eq!(ask(&turned(by, backwards, nulls)), first, "{query}");
        }
    }
}
