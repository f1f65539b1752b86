//! Parts of a call that would be ignored are refused: over rows, of a unit's rows, and over released numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};

use crate::{
    differential::World,
    values::{number, world},
};

fn people() -> World {
    let x = Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]);
    let flag = BooleanArray::from(vec![true, false, true, true]);
    let ward = StringArray::from(vec!["a", "a", "b", "b"]);
    world(vec![("x", Arc::new(x) as ArrayRef), ("flag", Arc::new(flag)), ("ward", Arc::new(ward))])
}

/// `COUNT(DISTINCT person, ward)` is no count of persons.
#[tokio::test]
async fn aggregates_with_more_arguments_than_they_take_are_refused() {
    let world = people();
    let groups = "(SELECT ward, COUNT(*) AS n FROM dataset GROUP BY ward)";
    for (query, says) in [
        ("SELECT COUNT(DISTINCT person, ward) FROM dataset".to_owned(), ["the unit alone", "COUNT(DISTINCT person)"]),
        ("SELECT COUNT(DISTINCT person, ward) FILTER (WHERE x > 1) FROM dataset".to_owned(), ["the unit alone", "GROUP BY"]),
        ("SELECT COUNT(DISTINCT ward, person) FROM dataset".to_owned(), ["the unit alone", "GROUP BY"]),
        (
            "SELECT SUM(clamp(n, 0, 9)) FROM (SELECT person, COUNT(DISTINCT x, ward) AS n FROM dataset GROUP BY person)"
                .to_owned(),
            ["takes one", "in a subquery"],
        ),
        (format!("SELECT COUNT(DISTINCT ward, n) FROM {groups}"), ["takes one", "GROUP BY"]),
        (format!("SELECT COUNT(DISTINCT ward, n) OVER () FROM {groups}"), ["takes one", "GROUP BY"]),
        ("SELECT COUNT(x, ward) FROM dataset".to_owned(), ["COUNT has 2 arguments", "IS NOT NULL"]),
        ("SELECT APPROX_PERCENTILE_CONT(x, 0.5, 100) FROM dataset".to_owned(), ["has 3 arguments", "WITHIN GROUP"]),
        ("SELECT APPROX_PERCENTILE_CONT(x, 0.5 ORDER BY person) FROM dataset".to_owned(), ["is of one value", "WITHIN GROUP"]),
    ] {
        let refused = world.rows(&query).await.unwrap_err();
        assert!(says.iter().all(|word| refused.contains(word)), "{query}: {refused}");
    }
    // What is written in their place.
    assert_eq!(number(&world, "SELECT COUNT(DISTINCT person) FROM dataset").await, 4.0);
    let own = "SELECT SUM(clamp(n, 0, 9)) FROM (SELECT person, COUNT(DISTINCT ward) AS n FROM dataset GROUP BY person)";
    assert!((number(&world, own).await - 4.0).abs() < 1e-3);
    assert!(world.admitted("SELECT APPROX_PERCENTILE_CONT(x, 0.5 ORDER BY x) FROM dataset", None).is_ok());
}

/// A condition in the wrong brackets is no condition that is left out.
#[tokio::test]
async fn functions_of_a_row_take_no_words_of_aggregates() {
    let world = people();
    let groups = "(SELECT ward, COUNT(*) AS n FROM dataset GROUP BY ward)";
    for (query, says) in [
        ("SELECT SUM(abs(x) FILTER (WHERE flag)) FROM dataset".to_owned(), "abs is no aggregate, and takes no FILTER"),
        ("SELECT SUM(abs(DISTINCT x)) FROM dataset".to_owned(), "takes no DISTINCT"),
        ("SELECT SUM(abs(x) OVER ()) FROM dataset".to_owned(), "takes no OVER"),
        (format!("SELECT ward, abs(n) OVER (ORDER BY n) AS a FROM {groups}"), "takes no OVER"),
        (format!("SELECT ward, LAG(n) FILTER (WHERE n > 1) OVER (ORDER BY n) AS a FROM {groups}"), "takes no FILTER"),
        ("SELECT COUNT(SELECT ward FROM dataset) FROM dataset".to_owned(), ""),
        ("SELECT SUM(x)(x) FROM dataset".to_owned(), ""),
    ] {
        let refused = world.rows(&query).await.unwrap_err();
        assert!(refused.contains(says), "{query}: {refused}");
    }
    let filtered = number(&world, "SELECT SUM(abs(x)) FILTER (WHERE flag) FROM dataset").await;
    assert!((filtered - 8.0).abs() < 1e-2, "{filtered}");
    for query in [
        format!("SELECT SUM(n) FILTER (WHERE n > 1) OVER () AS a FROM {groups}"),
        format!("SELECT COUNT(DISTINCT n) AS a FROM {groups}"),
        format!("SELECT FIRST_VALUE(n) OVER (ORDER BY n) AS a FROM {groups}"),
    ] {
        assert!(world.admitted(&query, None).is_ok(), "{query}");
    }
}
