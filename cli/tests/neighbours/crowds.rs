//! A person of far more rows, or far longer texts, than all others together.

use super::{
    Neighbours, ONCE, PROGRAMS, Rows, Town,
    jobs::{Case, sql},
};

/// At which three hundred people are far from none.
const PRICE: &str = "rho = 0.01";

/// What looks at every row, or byte, that the one person has.
pub(super) fn all() -> Vec<Case> {
    let count = |name: &str, filter: &str| sql(name, PRICE, &format!("SELECT COUNT(*) AS n FROM dataset WHERE {filter}"));
    let mut cases = vec![
        count("lower-of-all", "lower(note) <> 'q'"),
        count("pattern-over-all", "note ~ '^[a-m]+$' OR age > 0"),
        count("wildcards-over-all", "note LIKE '%a%b%' OR age > 0"),
        count("lengths-of-all", "length(note) > 0"),
        count("remainders-of-all", "(income * 1e300) - 7e-5 * trunc((income * 1e300) / 7e-5) >= 0 OR age > 0"),
        sql("median-of-all", PRICE, "SELECT COUNT(*) AS n, MEDIAN(income) AS m FROM dataset"),
        sql("sums-of-all", PRICE, "SELECT COUNT(*) AS n, SUM(income) AS s, AVG(age) AS a FROM dataset"),
        sql("groups-of-all", "rho = 1.0", "SELECT diag, COUNT(*) AS n FROM dataset GROUP BY diag"),
        sql(
            "sums-by-person",
            PRICE,
            "SELECT COUNT(*) AS n, SUM(m) AS s FROM (SELECT person, MAX(age) AS m FROM dataset GROUP BY person)",
        ),
    ];
    // Jobs read a copy of the rows, because of the one person's: in whatever order it has its columns, and whatever it says of them, a query means the same.
    let places = "FROM (SELECT * FROM dataset) AS v(p, a, b, c, d, e, f, g)";
    cases.push(sql("columns-by-place", PRICE, &format!("SELECT COUNT(*) AS n {places} WHERE d = 'true'")));
    cases.push(Case { answers: Some(false), ..sql("text-by-place", PRICE, &format!("SELECT AVG(b) AS a {places}")) });
    cases.push(sql("missing-by-place", PRICE, &format!("SELECT COUNT(*) AS n {places} WHERE e IS NOT NULL AND b IS NOT NULL")));
    let outputs = "outputs = [\n{ name = \"mean\", lo = 0, hi = 100, reducer = \"sum\", default = 100 },\n\
                   { name = \"heavy\", lo = 0, hi = 1, reducer = \"sum\", default = 1 },\n]\n";
    for (name, select, split) in [
        ("guest-for-each", "SELECT age FROM dataset", ""),
        ("guest-for-each-with-texts", "SELECT age, note FROM dataset", ""),
        ("guest-for-blocks", "SELECT age FROM dataset", "split = { blocks = 60 }\n"),
    ] {
        let job = format!("rho = 0.1\n[wasm]\nmodule = \"PROGRAM\"\nselect = \"{select}\"\n{split}{outputs}");
        let program = Some(tidegate_fixtures::guest("heavy").unwrap());
        cases.push(Case { name: name.into(), job, program, answers: Some(true) });
    }
    cases
}

/// Hundreds of texts of a mebibyte each.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_long_texts_tells_nothing() {
    let (neighbours, nodes) = Neighbours::start(&Town::of(Rows::Long(200, 1 << 20), "6s", 3).small()).await;
    neighbours.hold(all(), ONCE, nodes).await;
}

/// Tens of thousands of rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_many_rows_tells_nothing() {
    let (neighbours, nodes) = Neighbours::start(&Town::of(Rows::Long(20_000, 4), "6s", PROGRAMS).small()).await;
    neighbours.hold(all(), ONCE, nodes).await;
}

/// A row of two hundred long texts.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_a_wide_row_tells_nothing() {
    let (neighbours, nodes) = Neighbours::start(&Town::of(Rows::Wide(200, 1 << 10), "12s", 3).small()).await;
    neighbours.hold(wide(200), ONCE, nodes).await;
}

/// What looks at columns from the first to the last.
fn wide(columns: usize) -> Vec<Case> {
    let each = |of: &dyn Fn(usize) -> String, between: &str| (0..columns).step_by(4).map(of).collect::<Vec<_>>().join(between);
    let count = |name: &str, filter: &str| sql(name, PRICE, &format!("SELECT COUNT(*) AS n FROM dataset WHERE {filter}"));
    let lengths = each(&|i| format!("length(w{i})"), " + ");
    vec![
        count("any-of-all-columns", &each(&|i| format!("w{i} = 'n'"), " OR ")),
        count("lengths-of-all-columns", &format!("{lengths} > 0")),
        count("cases-of-all-columns", &format!("CASE {} ELSE true END", each(&|i| format!("WHEN w{i} = 'q' THEN false"), " "))),
        count("upper-of-many-columns", &(0..20).map(|i| format!("upper(w{i}) <> 'Q'")).collect::<Vec<_>>().join(" AND ")),
        sql(
            "counts-of-many-columns",
            PRICE,
            &format!("SELECT {} FROM dataset", (0..40).map(|i| format!("COUNT(w{i}) AS c{i}")).collect::<Vec<_>>().join(", ")),
        ),
        sql("sum-of-all-lengths", PRICE, &format!("SELECT COUNT(*) AS n, SUM(clamp({lengths}, 0, 300)) AS s FROM dataset")),
    ]
}

/// As many as there were when this was a fault.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes in a development build: gigabytes of texts are written, ordered and read, on both sides"]
async fn a_person_of_very_long_texts_or_very_many_rows_tells_nothing() {
    for (rows, slot) in [(Rows::Long(200_000, 4), "12s"), (Rows::Long(1400, 1 << 20), "60s")] {
        let (neighbours, nodes) = Neighbours::start(&Town::of(rows, slot, 3).small()).await;
        neighbours.hold(all(), ONCE, nodes).await;
    }
}
