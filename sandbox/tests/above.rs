//! What a query does with released numbers: windows, subqueries, joins of a table with itself and parts put together say what a plain engine says of the released
//! table, over its numbers with their noise; one aggregate is released, whatever reads it; and nothing of it reads rows.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use tidegate_gate::Keys;
use tidegate_protocol::{job::Key, result::ResultDoc};
use tidegate_sandbox::sql::{Answered, Origins};

use crate::{
    common::{
        plain::{answer, engine, value},
        queries::Choices,
        tables::{self, Dice},
    },
    differential::World,
};

mod rest;

/// What all of these read.
const TABLE: &str = "SELECT city, grade, COUNT(*) AS n, SUM(spend) AS s FROM dataset GROUP BY city, grade";

fn world(seed: u32) -> World {
    World::new(tables::table(seed), tables::COLUMNS)
}

/// What is released of [`TABLE`], with noise: no number is a whole one, and no two are alike.
fn released(world: &World) -> ResultDoc {
    let (mut document, _) = world.released(&world.admitted(TABLE, None).unwrap(), TABLE);
    let mut dice = Dice::new("noise", document.rows.len() as u32);
    for cell in document.rows.iter_mut().flat_map(|row| &mut row.cells) {
        cell.value += f64::from(u32::from_le_bytes(dice.bytes())) / f64::from(u32::MAX) * 4.0 - 2.0;
        (cell.low, cell.high) = (cell.value - 3.0, cell.value + 3.0);
    }
    document
}

/// A released table, as `t` of a plain engine.
fn plain(document: &ResultDoc) -> datafusion::prelude::SessionContext {
    let text = |i: usize| {
        let texts = document.rows.iter().map(|row| if let Key::Text(text) = &row.key[i] { Some(text.clone()) } else { None });
        Arc::new(texts.collect::<StringArray>()) as ArrayRef
    };
    let number = |i: usize| Arc::new(document.rows.iter().map(|row| row.cells[i].value).collect::<Float64Array>()) as ArrayRef;
    let columns = [("city", text(0), true), ("grade", text(1), true), ("n", number(0), true), ("s", number(1), true)];
    engine(&[("t", &RecordBatch::try_from_iter_with_nullable(columns).unwrap())])
}

/// What the rest of a query that reads [`TABLE`] as `t` makes of a released table.
async fn view(world: &World, document: &ResultDoc, rest: &str) -> Result<Answered, String> {
    let admitted = world.admitted(&over(rest), None)?;
    let view = admitted.view.unwrap_or_else(|| panic!("{rest} is no more than the released table"));
    view.answer(document).await.map_err(|e| format!("no answer: {e}"))
}

/// A query of which `rest` reads [`TABLE`] as `t`.
fn over(rest: &str) -> String {
    match rest.strip_prefix("WITH ") {
        Some(more) => format!("WITH t AS ({TABLE}), {more}"),
        None => format!("WITH t AS ({TABLE}) {rest}"),
    }
}

/// Rows as texts, in an order of their own where the query gives none; numbers to nine digits.
fn rows(batch: &RecordBatch, ordered: bool) -> Vec<String> {
    let number = |v: f64| format!("{:.8e}", if v.abs() < 1e-9 { 0.0 } else { v });
    let one = |column: &ArrayRef, row| match value(column, row) {
        Key::Int(i) => number(i as f64),
        Key::Float(f) => number(f),
        // The plain engine makes decimals of ranks beside counts.
        Key::Text(text) if column.data_type().is_decimal() => number(text.parse().unwrap()),
        key => format!("{key:?}"),
    };
    let row = |row| batch.columns().iter().map(|column| one(column, row)).collect::<Vec<_>>().join(", ");
    let mut rows: Vec<String> = (0..batch.num_rows()).map(row).collect();
    if !ordered {
        rows.sort();
    }
    rows
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// Whatever is said to be a released cell is one.
fn cells_hold(answered: &Answered, document: &ResultDoc, what: &str) -> usize {
    let mut held = 0;
    for (column, origins) in answered.table.columns().iter().zip(&answered.columns) {
        assert_eq!(
            (origins.cells.len(), origins.computed.len(), origins.divisors.len()),
            (column.len(), column.len(), column.len()),
            "{what}"
        );
        for (row, cell) in origins.cells.iter().enumerate() {
            let Some((at, place)) = *cell else { continue };
            assert!(origins.places.contains(&place) && !origins.computed[row], "{what}: {origins:?}");
            let shown = cast(column, &DataType::Float64).unwrap();
            let shown = arrow::array::AsArray::as_primitive::<Float64Type>(&*shown).value(row);
            assert_eq!(shown, document.rows[at].cells[place].value, "{what}");
            held += 1;
        }
    }
    held
}

/// Compares a query's rest with the plain engine; how many values are released cells as they are.
async fn compared(world: &World, document: &ResultDoc, rest: &str) -> Result<usize, String> {
    let ours = view(world, document, rest).await?;
    let theirs = answer(&plain(document), rest).await.map_err(|e| format!("plain: {e}"))?;
    let ordered = rest.contains(") ORDER BY ") || rest.contains(" t ORDER BY ");
    assert_eq!(names(&ours.table), names(&theirs), "{rest}");
    assert_eq!(rows(&ours.table, ordered), rows(&theirs, ordered), "{rest}");
    Ok(cells_hold(&ours, document, rest))
}

#[tokio::test]
async fn analysts_words_say_what_a_plain_engine_says_of_the_released_table() {
    for seed in 0..2 {
        let world = world(seed);
        let document = released(&world);
        assert!(document.rows.len() > 5, "{}", document.rows.len());
        for rest in [
            "SELECT city, grade, 100.0 * n / SUM(n) OVER () AS share FROM t",
            "SELECT city, n, RANK() OVER (ORDER BY n DESC) AS a, DENSE_RANK() OVER (PARTITION BY city ORDER BY n) AS b FROM t",
            "SELECT n, ROW_NUMBER() OVER (ORDER BY n) AS r, NTILE(4) OVER (ORDER BY s) AS q, CUME_DIST() OVER (ORDER BY n) AS c, \
             PERCENT_RANK() OVER (ORDER BY s) AS p FROM t",
            "SELECT city, grade, SUM(n) OVER (PARTITION BY city ORDER BY n) AS so_far, n - LAG(n) OVER (PARTITION BY city ORDER BY n) AS more FROM t",
            "SELECT LAG(n) OVER (ORDER BY n) AS a, LEAD(s, 2, 0) OVER (ORDER BY n) AS b, FIRST_VALUE(n) OVER (PARTITION BY city ORDER BY s) AS c, \
             LAST_VALUE(s) OVER (ORDER BY n ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) AS d, NTH_VALUE(n, 2) OVER (ORDER BY n) AS e FROM t",
            "SELECT LAG(n) OVER (ORDER BY s / n, n) AS a, LEAD(n) OVER (ORDER BY s / n, n) AS b FROM t",
            "SELECT n, AVG(s) OVER (ORDER BY n ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS smooth FROM t",
            "SELECT n, SUM(s) FILTER (WHERE n > 2) OVER (ORDER BY n) AS some, COUNT(*) OVER (PARTITION BY grade) AS groups FROM t",
            "SELECT n, COUNT(*) OVER (ORDER BY n RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS near FROM t",
            "SELECT n * ROW_NUMBER() OVER (ORDER BY n) AS x, n / 2 AS half, n % 2 AS odd, round(n / SUM(n) OVER (), 3) AS share FROM t",
            "SELECT CASE WHEN n > 2 THEN n ELSE 0 END AS kept, coalesce(LAG(n) OVER (ORDER BY n), 0) AS before FROM t",
            "SELECT RANK() OVER (ORDER BY n) - 1 AS r, NTILE(3) OVER (ORDER BY n) * 2 AS q FROM t UNION ALL SELECT 7, COUNT(*) FROM t",
            "SELECT city, n FROM t QUALIFY RANK() OVER (PARTITION BY city ORDER BY n DESC) = 1",
            "SELECT city, n, SUM(n) OVER w AS so_far FROM t WINDOW w AS (PARTITION BY city ORDER BY n)",
            "SELECT city, n FROM (SELECT city, n, RANK() OVER (ORDER BY n DESC) AS r FROM t) WHERE r <= 3 ORDER BY n DESC LIMIT 2",
            "SELECT city, n / (SELECT SUM(n) FROM t) AS share FROM t",
            "SELECT city, n FROM t WHERE n > (SELECT AVG(n) FROM t) AND s < (SELECT MAX(s) FROM t)",
            "SELECT (SELECT MAX(n) FROM t) - (SELECT MIN(n) FROM t) AS range, MAX(n) AS most FROM t",
            "SELECT city, n / (SELECT SUM(u.n) FROM t u WHERE u.city = t.city) AS share FROM t WHERE city IS NOT NULL",
            "SELECT city, n FROM t WHERE city IN (SELECT city FROM t WHERE n > 3)",
            "SELECT city, n FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.city = t.city AND u.grade = 'odd')",
            "SELECT a.city, a.grade, a.n, b.total FROM t a JOIN (SELECT city, SUM(n) AS total FROM t GROUP BY city) b ON a.city = b.city",
            "SELECT t.city, t.n / u.total AS share, t.n AS n FROM t, (SELECT SUM(n) AS total FROM t) u",
            "SELECT a.city, a.n AS first, b.n AS second FROM t a LEFT JOIN t b ON a.city = b.city AND a.grade < b.grade",
            "SELECT city, grade, n FROM t UNION ALL SELECT 'all', NULL, SUM(n) FROM t",
            "SELECT city, n, n / SUM(n) OVER () AS share FROM t UNION ALL SELECT 'all', SUM(n), 1 FROM t",
            "SELECT 'n' AS what, city, n AS x FROM t UNION ALL SELECT 's', city, s FROM t UNION ALL SELECT 'm', city, s / n FROM t",
            "WITH u AS (SELECT city, SUM(n) AS n FROM t GROUP BY city) SELECT city, n FROM u UNION ALL SELECT 'all', SUM(n) FROM u",
            "SELECT city, MAX(n) AS most, COUNT(*) AS groups FROM t GROUP BY city HAVING MAX(n) > 2",
            "SELECT grade, AVG(n) AS mean, STDDEV(n) AS spread FROM t GROUP BY ROLLUP (grade)",
            "SELECT COUNT(*) AS groups, SUM(n) AS n FROM t",
            "SELECT DISTINCT city FROM t",
            "SELECT DISTINCT grade, n > 3 AS many FROM t WHERE s IS NOT NULL",
            "SELECT COUNT(*) AS cities, MAX(city) AS last FROM (SELECT DISTINCT city FROM t)",
            "SELECT city FROM t UNION SELECT grade FROM t",
            "SELECT city, n FROM t UNION SELECT city, n FROM t WHERE n > 2 UNION SELECT 'all', SUM(n) FROM t",
            "SELECT city FROM t WHERE n > 2 INTERSECT SELECT city FROM t WHERE grade = 'odd'",
            "SELECT city FROM t EXCEPT SELECT city FROM t WHERE n > 3",
        ] {
            compared(&world, &document, rest).await.unwrap_or_else(|e| panic!("{rest}: {e}"));
        }
    }
}

/// Without a CTE, over rows: where there is no noise, a plain engine says the same of the rows.
#[tokio::test]
async fn without_noise_it_is_what_a_plain_engine_says_of_the_rows() {
    for (seed, query) in [
        "SELECT city, 100.0 * COUNT(*) / SUM(COUNT(*)) OVER () AS share FROM dataset GROUP BY city",
        "SELECT city, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS r FROM dataset GROUP BY city",
        "SELECT city, grade, SUM(COUNT(*)) OVER (PARTITION BY city) AS n FROM dataset WHERE visits > 2 GROUP BY city, grade",
        "SELECT city, COUNT(*) - LAG(COUNT(*)) OVER (ORDER BY city) AS more FROM dataset GROUP BY city",
        "SELECT visits, SUM(COUNT(*)) OVER (ORDER BY visits) AS n FROM dataset GROUP BY visits HAVING COUNT(*) > 1",
        "SELECT k, AVG(n) OVER () AS a FROM (SELECT visits % 3 AS k, SUM(clamp(m, 0, 50)) AS n FROM (SELECT person, MAX(visits) AS visits, COUNT(*) AS m \
         FROM dataset GROUP BY person) GROUP BY visits % 3)",
        "SELECT COUNT(*) AS n FROM dataset UNION ALL SELECT COUNT(*) FROM dataset",
        "SELECT SUM(n) AS n FROM (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city)",
    ]
    .into_iter()
    .enumerate()
    {
        let world = world(seed as u32);
        let admitted = world.admitted(query, None).unwrap_or_else(|e| panic!("{query}: {e}"));
        let (document, _) = world.released(&admitted, query);
        let ours = admitted.view.unwrap().answer(&document).await.unwrap();
        let theirs = answer(&world.plain, query).await.unwrap();
        assert_eq!(rows(&ours.table, false), rows(&theirs, false), "{query}");
        cells_hold(&ours, &document, query);
    }
}

/// Rests of queries at random. `TIDEGATE_QUERIES` sets how many.
#[tokio::test]
async fn generated_ones_say_what_a_plain_engine_says_of_the_released_table() {
    let count: u32 = std::env::var("TIDEGATE_QUERIES").map_or(120, |n| n.parse().unwrap());
    let worlds: Vec<_> = (0..4).map(|seed| world(seed + 10)).map(|world| (released(&world), world)).collect();
    let (mut said, mut cells) = (0, 0);
    for seed in 0..count {
        let bytes: [u8; 128] = Dice::new("above", seed).bytes();
        let rest = rest::of(&mut Choices::new(&bytes));
        let (document, world) = &worlds[seed as usize % worlds.len()];
        match compared(world, document, &rest).await {
            Ok(held) => (said, cells) = (said + 1, cells + held),
            // What the plain engine does not take, ours does not either.
            Err(e) => assert!(answer(&plain(document), &rest).await.is_err(), "{rest}: {e}"),
        }
    }
    assert!(said > count * 2 / 3 && cells > 100, "{said} of {count}, {cells} cells");
}

/// Which released cell a value is goes with it wherever it is moved, and what is made of several has none.
#[tokio::test]
async fn a_value_that_is_moved_keeps_its_interval() {
    let world = world(1);
    let document = released(&world);
    let of = async |rest: &str| view(&world, &document, rest).await.unwrap_or_else(|e| panic!("{rest}: {e}"));
    let cells = |origins: &Origins| origins.cells.iter().flatten().count();
    let all = document.rows.len();
    let answered = of("SELECT city, n, LAG(n) OVER (ORDER BY n) AS before, n - LAG(n) OVER (ORDER BY n) AS more, SUM(n) OVER () AS total, \
                       s / n AS mean, s / LAG(n) OVER (ORDER BY n) AS odd, n / SUM(n) OVER () AS share, LEAD(n, 1, 0.5) OVER (ORDER BY n) AS next FROM t")
    .await;
    let [city, n, before, more, total, mean, odd, share, next] = answered.columns.as_slice() else { panic!("{answered:?}") };
    cells_hold(&answered, &document, "moved");
    assert_eq!([city, n, before, more, total, mean, odd, share, next].map(cells), [0, all, all - 1, 0, 0, 0, 0, 0, all - 1]);
    let computed = |origins: &Origins| origins.computed.iter().filter(|computed| **computed).count();
    assert_eq!([city, n, more, total, mean, share].map(computed), [0, 0, all, all, all, all]);
    // Divided by the row's own number, by another row's, and by what is made of all.
    assert_eq!([mean, odd, share, n].map(|origins| origins.divides), [1, 1, 0, 0]);
    for row in 0..all {
        assert_eq!(mean.divisors[row], [n.cells[row].unwrap()]);
        assert_eq!(odd.divisors[row], before.cells[row].into_iter().collect::<Vec<_>>());
    }
    // Ranks are whole numbers, beside others too.
    let ranked = of("SELECT n, RANK() OVER (ORDER BY n) - 1 AS r, ROW_NUMBER() OVER (ORDER BY n) AS q FROM t UNION ALL SELECT SUM(n), COUNT(*), 0 FROM t").await;
    assert_eq!(ranked.table.schema().fields()[1..].iter().map(|f| f.data_type()).collect::<Vec<_>>(), [&DataType::Int64; 2]);
    // Parts that are put together: in each row as in its part.
    let answered =
        of("SELECT city, n, s / n AS x FROM t UNION ALL SELECT 'all', SUM(n), 0 FROM t UNION ALL SELECT city, s, n FROM t").await;
    let [city, n, x] = answered.columns.as_slice() else { panic!("{answered:?}") };
    cells_hold(&answered, &document, "together");
    assert_eq!(([city, n, x].map(cells), n.places.as_slice(), x.places.as_slice()), ([0, 2 * all, all], &[0, 1][..], &[0][..]));
    assert_eq!([city, n, x].map(computed), [0, 1, all], "a literal is none");
    assert_eq!(x.divisors.iter().flatten().count(), all);
    // One cell in every row.
    let answered = of(
        "SELECT city, n / (SELECT n FROM t ORDER BY n LIMIT 1) AS index, (SELECT n FROM t ORDER BY n LIMIT 1) AS least FROM t",
    )
    .await;
    let [_, index, least] = answered.columns.as_slice() else { panic!("{answered:?}") };
    cells_hold(&answered, &document, "one");
    assert_eq!((cells(index), cells(least)), (0, all));
    assert!(index.divisors.iter().zip(&least.cells).all(|(over, cell)| *over == [cell.unwrap()]), "{index:?}");
    // A table beside itself.
    let answered = of("SELECT a.n, b.s, b.s / a.n AS x FROM t a JOIN t b ON a.n > b.n").await;
    let [n, s, x] = answered.columns.as_slice() else { panic!("{answered:?}") };
    cells_hold(&answered, &document, "beside");
    assert!(n.cells.iter().zip(&s.cells).all(|(a, b)| a.unwrap().0 != b.unwrap().0) && !n.cells.is_empty());
    assert!(x.divisors.iter().zip(&n.cells).all(|(over, cell)| *over == [cell.unwrap()]));
}

/// A total that is written below the groups is below them, every time, whichever part ends first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_put_together_come_in_their_order() {
    let world = world(1);
    let document = released(&world);
    let rest =
        "SELECT city, SUM(n) OVER (PARTITION BY city ORDER BY n) AS n, n AS m FROM t UNION ALL SELECT 'all', SUM(n), 0 FROM t";
    for _ in 0..20 {
        let answered = view(&world, &document, rest).await.unwrap();
        let cells = &answered.columns[2].cells;
        assert!(cells[..cells.len() - 1].iter().all(Option::is_some) && cells[cells.len() - 1].is_none(), "{cells:?}");
    }
}

/// However often it is read, the aggregate is released, and paid for, once: what leaves is the same as without what is computed from it.
#[test]
fn one_aggregate_is_released_however_often_it_is_read() {
    let world = world(0);
    let one = world.admitted(TABLE, None).unwrap();
    for rest in [
        "SELECT n / SUM(n) OVER () AS share FROM t",
        "SELECT city, n, n / (SELECT SUM(n) FROM t) AS share FROM t WHERE n > (SELECT AVG(n) FROM t)",
        "SELECT city, n FROM t UNION ALL SELECT 'all', SUM(n) FROM t",
        "SELECT a.n, b.n AS m FROM t a JOIN t b ON a.city = b.city",
    ] {
        let asked = world.admitted(&over(rest), None).unwrap_or_else(|e| panic!("{rest}: {e}"));
        let names = |query: &tidegate_sandbox::sql::Query| query.shape.columns.len();
        assert_eq!((asked.shape.keys, names(&asked), asked.keys), (one.shape.keys, names(&one), one.keys), "{rest}");
        assert!(matches!(asked.shape.keys, Keys::Undeclared { .. }));
        for (a, b) in asked.shape.columns.iter().zip(&one.shape.columns) {
            assert_eq!((&a.measure, a.weight), (&b.measure, b.weight), "{rest}");
        }
        let ((ours, _), (theirs, _)) = (world.released(&asked, rest), world.released(&one, TABLE));
        assert_eq!(ours.rows, theirs.rows, "{rest}");
    }
    // Its text need not be written once.
    let twice = "SELECT city, COUNT(*) * 1.0 / (SELECT SUM(n) FROM (SELECT COUNT(*) AS n FROM dataset WHERE spend > 1 GROUP BY city)) AS share \
                 FROM dataset WHERE spend > 1 GROUP BY city";
    assert_eq!(world.admitted(twice, None).unwrap().shape.columns.len(), 1);
}

#[test]
fn several_aggregates_are_refused_and_windows_over_rows_are_as_they_were() {
    let world = world(0);
    let refused = |query: &str| match world.admitted(query, None) {
        Err(refused) => refused,
        Ok(_) => panic!("{query} is admitted"),
    };
    for query in [
        "SELECT city, COUNT(*) * 1.0 / (SELECT COUNT(*) FROM dataset) AS share FROM dataset GROUP BY city",
        "SELECT city, COUNT(*) AS n FROM dataset GROUP BY city UNION ALL SELECT 'all', COUNT(*) FROM dataset",
        "WITH t AS (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city), u AS (SELECT city, COUNT(*) AS n FROM dataset WHERE spend > 1 GROUP BY city) \
         SELECT t.city, t.n / u.n AS x FROM t JOIN u ON t.city = u.city",
        "SELECT city, COUNT(*) AS n FROM dataset GROUP BY city HAVING COUNT(*) > (SELECT AVG(spend) FROM dataset)",
        "SELECT city, COUNT(*) AS n FROM dataset GROUP BY city HAVING city IN (SELECT grade FROM (SELECT grade, COUNT(*) AS n FROM dataset GROUP BY grade))",
    ] {
        let refused = refused(query);
        assert!(
            refused.contains("several aggregates") && refused.contains("WITH t AS") && refused.contains("a job for each"),
            "{query}: {refused}"
        );
    }
    for (query, word) in [
        ("SELECT person, RANK() OVER (ORDER BY spend) AS r FROM dataset", "window over rows"),
        ("SELECT spend FROM dataset QUALIFY RANK() OVER (ORDER BY spend) = 1", "window over rows"),
        ("SELECT COUNT(*) FROM (SELECT RANK() OVER (ORDER BY spend) AS r FROM dataset) WHERE r < 3", "window over rows"),
        (
            "SELECT COUNT(*) FROM (SELECT LAG(spend) OVER (PARTITION BY person ORDER BY at) AS x FROM dataset) WHERE x > 3",
            "window over rows",
        ),
        (
            "SELECT SUM(clamp(r, 0, 9)) FROM (SELECT person, RANK() OVER (ORDER BY COUNT(*)) AS r FROM dataset GROUP BY person)",
            "window over rows",
        ),
        ("SELECT SUM(SUM(spend) OVER ()) FROM dataset", ""),
        (
            "SELECT city, COUNT(*) AS n FROM (SELECT city, SUM(spend) OVER (PARTITION BY city) AS s FROM dataset) WHERE s > 3 GROUP BY city",
            "window over rows",
        ),
        (
            "SELECT n / (SELECT spend FROM dataset LIMIT 1) AS x FROM (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city)",
            "rows",
        ),
        (
            "SELECT city, COUNT(*) AS n FROM dataset GROUP BY city UNION ALL SELECT city, spend FROM dataset",
            "UNION ALL of released numbers with rows",
        ),
        (
            "SELECT COUNT(*) FROM dataset WHERE city IN (SELECT city FROM (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city) WHERE n > 3)",
            "",
        ),
        (
            "SELECT d.spend, t.n FROM dataset d JOIN (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city) t ON d.city = t.city",
            "a join of released numbers with rows",
        ),
        (
            "SELECT t.n, place.weight FROM place JOIN (SELECT city, COUNT(*) AS n FROM dataset GROUP BY city) t ON t.city = place.town",
            "a join of released numbers with rows",
        ),
        ("SELECT person, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*)) AS r FROM dataset GROUP BY person", "window over rows"),
        (
            "SELECT DISTINCT ON (city) city, n FROM (SELECT city, grade, COUNT(*) AS n FROM dataset GROUP BY city, grade) ORDER BY city, n",
            "ROW_NUMBER() OVER",
        ),
        ("SELECT DISTINCT city FROM dataset", "DISTINCT over rows"),
        ("SELECT city, COUNT(*) AS n FROM dataset GROUP BY city UNION SELECT city, spend FROM dataset", ""),
    ] {
        let refused = refused(query);
        assert!(refused.contains(word), "{query}: {refused}");
    }
    let many = format!(
        "SELECT 1 AS x, {} FROM t",
        (0..40).map(|i| format!("(SELECT SUM(n) FROM t) + {i} AS c{i}")).collect::<Vec<_>>().join(", ")
    );
    assert!(refused(&over(&many)).contains("in more than"));
    let mut doubled = "SELECT l0.n FROM t l0".to_owned();
    for i in 1..12 {
        doubled = format!("SELECT a{i}.n FROM ({doubled}) a{i}, ({}) b{i}", "SELECT n FROM t");
    }
    assert!(world.admitted(&over(&doubled), None).is_ok(), "a chain is no tree");
}
