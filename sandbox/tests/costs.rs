//! What a query may take is known before it runs: costly forms are refused or bounded, honest ones are admitted, and no text outgrows its bound.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{WriterProperties, WriterPropertiesBuilder},
};
use tidegate_gate::{GroupSums, Plan};
use tidegate_protocol::{
    Refusal,
    job::Key,
    policy::{Policy, PolicyFile},
};
use tidegate_sandbox::{sql, units};

use crate::common::{neighbours::World, queries};

/// The policy of the attacks: a slot of three seconds for three thousand people.
pub(crate) const POLICY: &str = r#"
    unit = { column = "person", max_units = 3000, max_rows = 2, max_groups = 2 }
    budget = { delta = 1e-6, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["sql"], min_units = 5, fuel = 1000000, memory_mib = 16, slot = "3s", tick = "500ms" }
    access = { compute = "granted", replicate = "nobody" }
    [columns]
    age = { lo = 0, hi = 100 }
    income = { lo = 0, hi = 100000 }
    diag = {}
    note = {}
"#;

pub(crate) fn policy(text: &str) -> Policy {
    PolicyFile::parse(text).unwrap().check(|e, _| Some(e)).unwrap()
}

/// Rows of (person, note).
pub(crate) fn batch(rows: &[(i64, &str)]) -> RecordBatch {
    let texts =
        |of: &dyn Fn(&(i64, &str)) -> String| Arc::new(rows.iter().map(|r| Some(of(r))).collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()) as ArrayRef, true),
        ("age", Arc::new(rows.iter().map(|r| (r.0 % 100) as f64).collect::<Float64Array>()) as ArrayRef, true),
        ("income", Arc::new(rows.iter().map(|r| r.0 as f64).collect::<Float64Array>()) as ArrayRef, true),
        ("diag", texts(&|_| "usual".to_owned()), true),
        ("note", texts(&|r| r.1.to_owned()), true),
    ])
    .unwrap()
}

pub(crate) fn write(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    file
}

pub(crate) fn schema() -> SchemaRef {
    batch(&[(1, "")]).schema()
}

fn admit(query: &str, policy: &Policy) -> Result<sql::Query, Refusal> {
    sql::admit_query(&sql::Asked::new(query), &schema(), policy)
}

fn groups(query: &str, policy: &Policy, file: &File) -> Vec<(Vec<Key>, i64)> {
    let admitted = admit(query, policy).unwrap();
    let plan = Plan::new(admitted.shape.clone()).unwrap();
    let mut groups = Vec::new();
    let sink = &mut |some: Vec<GroupSums>| {
        groups.extend(some.into_iter().filter(|g| g.units > 0).map(|g| (g.key, g.units)));
        Ok(())
    };
    sql::run_query(&admitted, &plan, &[file.try_clone().unwrap()], &[7; 32], sql::Room::default(), sink).unwrap();
    groups.sort_by_key(|g| format!("{g:?}"));
    groups
}

/// What takes one row seconds is refused, with the part that does.
#[test]
fn costly_forms_are_refused_by_public_numbers() {
    let policy = policy(POLICY);
    let long = "a".repeat(1000);
    for (condition, part) in [
        (
            format!(
                "CASE WHEN diag = 'rare' AND age = 42 THEN concat('{long}', note) ~ '(?:[a-c]{{0,200}}){{0,400}}[0-9]$' ELSE true END"
            ),
            "regular expression",
        ),
        ("note ~ '([a-c]{0,50}){0,50}$'".into(), "costliest part is note ~|regular expression"),
        ("note ~ '[ab]*a[ab]{14}c'".into(), "costliest part is note ~|regular expression"),
        (r"note ~ '(\w+\s?){30}$'".into(), "costliest part is note ~|regular expression"),
        (r"note ~* '(\bword\b.*){4}'".into(), "costliest part is note ~|regular expression"),
        ("note LIKE '%a_________________________b%c%'".into(), "LIKE"),
        ("strpos(note || note, note) > 3".into(), "strpos"),
        ("btrim(note, diag) = 'a'".into(), "btrim"),
        ("CAST(note AS DECIMAL(38, 10)) > 1".into(), "CAST(note AS DECIMAL(38, 10))"),
        ("initcap(note) = 'a' OR initcap(diag) = 'b'".into(), "initcap"),
        (["lower(note) = 'q'"; 20].join(" OR "), "lower"),
        (["replace(note, 'a', 'bbbb') = 'q'"; 8].join(" OR "), "replace"),
        (vec!["concat(note, note, note, note) <> diag"; 60].join(" AND ").to_string(), "concat"),
        ("note ~ note".into(), "literal"),
        ("repeat(note, 1000000) = ''".into(), "repeat"),
    ] {
        let refused = admit(&format!("SELECT COUNT(*) AS n FROM dataset WHERE {condition}"), &policy);
        let message = refused.err().map(|e| format!("{e}")).unwrap_or_default();
        assert!(
            part.split('|').any(|part| message.contains(part)),
            "{}: {message}",
            condition.chars().take(90).collect::<String>()
        );
    }
}

/// The column that says which table a row is of is nobody's words: what is named as costly is a part that the query has, or the reading of rows.
#[test]
fn the_costliest_part_is_one_that_the_query_has() {
    let (head, _) = POLICY.split_once("[columns]").unwrap();
    let tables = "[tables.patients]\nage = { lo = 0, hi = 100 }\n[tables.visits]\ncost = { lo = 0, hi = 100 }\n";
    let head = head.replace("max_units = 3000", "max_units = 100000000").replace("1e-6", "1e-9");
    let policy = policy(&format!("{head}{tables}"));
    let kinds = [DataType::Int64, DataType::Int8, DataType::Float64, DataType::Float64];
    let names = ["person", ".table", "patients.age", "visits.cost"];
    let schema =
        Arc::new(Schema::new(names.into_iter().zip(kinds).map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>()));
    for (query, part) in [
        ("SELECT COUNT(*) AS n FROM visits", "reading and grouping the rows"),
        ("SELECT COUNT(*) AS n FROM visits WHERE cost > 3", "the costliest part is visits.cost > 3"),
        ("SELECT COUNT(*) AS n FROM patients p JOIN visits v ON p.person = v.person WHERE v.cost > 3", "the costliest part is"),
    ] {
        let said = sql::admit_query(&sql::Asked::new(query), &schema, &policy).unwrap_err().to_string();
        assert!(said.contains(part) && !said.contains(".table"), "{query}: {said}");
    }
}

/// Columns of text are named where their length costs, and nothing is said of texts where the query reads none.
#[test]
fn texts_are_named_where_their_length_costs() {
    let many = policy(&POLICY.replace("max_units = 3000", "max_units = 100000000").replace("1e-6", "1e-9"));
    let said = |query: &str| admit(query, &many).unwrap_err().to_string();
    let numbers = said("SELECT COUNT(*) AS n, AVG(age) AS a FROM dataset");
    assert!(numbers.contains(": 200000000 rows (2 of each of 100000000 units) × "), "{numbers}");
    assert!(numbers.contains("the owner for a longer") && !numbers.contains("left(") && !numbers.contains("chars"), "{numbers}");
    let texts = said("SELECT diag, COUNT(*) AS n FROM dataset GROUP BY diag");
    assert!(texts.contains("a text may have") && texts.contains("(diag)") && texts.contains("`chars` of diag"), "{texts}");
}

/// What people ask is not: of three thousand people in three seconds, and of ten million rows in two minutes.
#[test]
fn honest_queries_are_admitted_at_the_rate_that_nobody_states() {
    let large = POLICY
        .replace("max_units = 3000, max_rows = 2, max_groups = 2", "max_units = 1000000, max_rows = 20, max_groups = 4")
        .replace("slot = \"3s\"", "slot = \"120s\"")
        .replace("diag = {}", "diag = { chars = 16 }")
        .replace("note = {}", "note = { chars = 64 }")
        + "[sql]\nrows = 10000000\n";
    for query in [
        "SELECT diag, COUNT(DISTINCT person) AS people, COUNT(*) AS n, SUM(income) AS s, AVG(income) AS a FROM dataset GROUP BY diag",
        "SELECT COUNT(*) AS n, AVG(clamp(income * 1.2, 0, 5000)) AS a FROM dataset WHERE age BETWEEN 18 AND 65 AND diag IN ('a', 'b')",
        "SELECT MEDIAN(income) AS m, APPROX_PERCENTILE_CONT(income, 0.9) AS p FROM dataset WHERE diag LIKE 'a%'",
        "SELECT floor(age / 10) AS decade, diag, COUNT(*) AS n, STDDEV(income) AS s FROM dataset GROUP BY 1, 2",
        "SELECT CASE WHEN lower(diag) = 'rare' THEN 1 ELSE 0 END AS k, COUNT(*) AS n FROM dataset GROUP BY 1",
        "SELECT n, COUNT(*) AS people FROM (SELECT person, COUNT(*) AS n FROM dataset GROUP BY person) GROUP BY n",
        "SELECT AVG(clamp(d, 0, 20)) AS d, AVG(m) AS m FROM (SELECT person, COUNT(DISTINCT diag) AS d, MEDIAN(income) AS m FROM dataset GROUP BY person)",
        "SELECT COUNT(*) AS n FROM dataset WHERE note ~ '^[A-Z][0-9]{2}' OR left(note, 8) ILIKE '%abc%'",
        "SELECT COUNT(*) AS n FROM dataset WHERE regexp_like(left(note, 32), '(a?){80}a{80}')",
        "SELECT COUNT(*) AS n FROM dataset WHERE age > 1 AND (DATE '2024-01-01' < DATE '2024-04-01' OR DATE '2024-05-01' < DATE '2024-06-01')",
        "SELECT SUM(CASE WHEN age > 40 THEN clamp(income % 1000, 0, 1000) ELSE clamp(ln(income + 1), 0, 12) END) AS s FROM dataset",
    ] {
        for text in [POLICY, &large] {
            admit(query, &policy(text)).unwrap_or_else(|e| panic!("{query}: {e}"));
        }
    }
    // Without bounds on texts, texts of any length are counted: what searches them is told so.
    let refused = admit(
        "SELECT COUNT(*) AS n FROM dataset WHERE note ~ '^[A-Z][0-9]{2}'",
        &policy(&large.replace("note = { chars = 64 }", "note = {}")),
    );
    assert!(refused.unwrap_err().to_string().contains("left(x, 32)"));
}

/// Whoever has a unit's values sorted, told from one another or hashed pays for it, for each row and each such aggregate.
#[test]
fn aggregates_that_hold_a_units_values_are_counted() {
    let policy = policy(POLICY);
    // The slowest machine on which the query is admitted, in operations a millisecond.
    let needs = |calls: &str| {
        let query = format!("SELECT COUNT(*) FROM (SELECT person, {calls} FROM dataset GROUP BY person)");
        let fits = |work_per_ms| {
            let sql = tidegate_protocol::policy::QueryRules { work_per_ms, rows: None };
            admit(&query, &Policy { sql, ..policy.clone() }).is_ok()
        };
        let (mut low, mut high) = (0u64, 1 << 30);
        assert!(fits(high), "{query}");
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { high = middle } else { low = middle }
        }
        high
    };
    // Of 3000 people two rows each are looked at: so many more operations a row.
    let a_row = |more: &str, less: &str| {
        (needs(more) - needs(less)) as f64 * policy.query_work() as f64 / policy.sql.work_per_ms as f64 / 6000.0
    };
    for (more, less, least) in [
        ("COUNT(DISTINCT income) AS a", "COUNT(income) AS a", 150.0),
        // A text of 1024 characters, of up to four bytes each.
        ("COUNT(DISTINCT note) AS a", "COUNT(note) AS a", 4096.0),
        ("MEDIAN(income) AS a", "AVG(income) AS a", 20.0),
        ("MEDIAN(income) AS a, PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY income) AS b", "MEDIAN(income) AS a", 40.0),
        ("COUNT(DISTINCT income) AS a, COUNT(DISTINCT age) AS b", "COUNT(DISTINCT income) AS a", 200.0),
    ] {
        let worth = a_row(more, less);
        assert!(worth >= least, "{more} costs {worth} operations a row more than {less}");
    }
}

/// A MiB in each of one person's rows, which a file holds once, or well packed: read as its first characters, and no more of it is ever there.
#[test]
fn long_texts_are_cut_before_any_expression() {
    let long = "Q".repeat(1 << 20);
    let mut rows = vec![(1, "q"), (2, "other")];
    rows.extend((0..600).map(|_| (3, long.as_str())));
    let batch = batch(&rows);
    let zstd = || WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let once = write(&batch, zstd().set_dictionary_page_size_limit(4 << 20));
    assert!(once.metadata().unwrap().len() < 1 << 20);
    let packed = write(&batch.slice(0, 40), zstd().set_dictionary_enabled(false));
    let policy = policy(POLICY);
    let of = |query: &str, file: &File| groups(query, &policy, file).iter().map(|g| g.1).sum::<i64>();
    for file in [&once, &packed] {
        assert_eq!(of("SELECT COUNT(*) AS n FROM dataset WHERE lower(note) <> 'q'", file), 2);
        // In filters, keys, subqueries and joins it is the same text.
        for query in [
            "SELECT COUNT(*) AS n FROM dataset WHERE character_length(note) = 1024",
            "SELECT COUNT(*) AS n FROM dataset WHERE octet_length(concat(note, note)) = 1024",
            "SELECT COUNT(*) AS n FROM (SELECT person, MAX(character_length(note)) AS c FROM dataset GROUP BY person) WHERE c = 1024",
            "SELECT COUNT(*) AS n FROM dataset a JOIN dataset b ON a.person = b.person AND a.note = b.note WHERE character_length(a.note) = 1024",
        ] {
            assert_eq!(of(query, file), 1, "{query}");
        }
        let keys = groups("SELECT character_length(note) AS k, COUNT(*) AS n FROM dataset GROUP BY 1", &policy, file);
        assert_eq!(keys.len(), 3, "{keys:?}");
    }
    // Of a column that the policy says is shorter, less.
    let shorter = self::policy(&POLICY.replace("note = {}", "note = { chars = 5 }"));
    let keys = groups("SELECT note AS k, COUNT(*) AS n FROM dataset GROUP BY 1", &shorter, &once);
    let keys: Vec<_> = keys.into_iter().map(|g| g.0).collect();
    assert_eq!(keys, ["QQQQQ", "other", "q"].map(|t| vec![Key::Text(t.into())]));
}

/// Texts that are stored as what they add to the one before are read as the others.
#[test]
fn texts_stored_as_differences_are_cut_too() {
    let long = "Q".repeat(1 << 20);
    let rows: Vec<_> = (0..300).map(|i| (i / 100, long.as_str())).collect();
    let properties =
        WriterProperties::builder().set_dictionary_enabled(false).set_column_encoding("note".into(), Encoding::DELTA_BYTE_ARRAY);
    let file = write(&batch(&rows), properties);
    assert!(file.metadata().unwrap().len() < 4 << 20);
    let counted = groups("SELECT COUNT(*) AS n FROM dataset WHERE character_length(note) = 1024", &policy(POLICY), &file);
    assert_eq!(counted.iter().map(|g| g.1).sum::<i64>(), 3);
}

/// Where public numbers allow so many rows a unit, those after them are as if they were not there, whoever else is.
#[test]
fn rows_beyond_public_numbers_are_not_looked_at() {
    let slow = policy(&POLICY.replace("slot = \"3s\"", "slot = \"100ms\""));
    let query = "SELECT n, COUNT(*) AS people FROM (SELECT person, COUNT(*) AS n FROM dataset GROUP BY person) GROUP BY n";
    let seen = |rows: &[(i64, &str)], policy: &Policy| {
        let file = write(&batch(rows), WriterProperties::builder().set_max_row_group_row_count(Some(5000)));
        let one = |key: &Key| match key {
            Key::Int(n) => *n,
            other => panic!("{other:?}"),
        };
        groups(query, policy, &file).iter().map(|(key, units)| (one(&key[0]), *units)).collect::<Vec<_>>()
    };
    let few = [(1, "a"), (2, "b"), (2, "b"), (9, "c")];
    let mut many: Vec<_> = few[..3].to_vec();
    many.extend((0..20_000).map(|_| (5, "flood")));
    many.push(few[3]);
    let all = seen(&many, &slow);
    let most = all.iter().map(|(n, _)| *n).max().unwrap();
    assert!((2..20_000).contains(&most), "{all:?}");
    assert_eq!(all.iter().filter(|(n, _)| *n != most).collect::<Vec<_>>(), seen(&few, &slow).iter().collect::<Vec<_>>());
    // Where the owner bounds the rows of all, all are looked at.
    let bounded = policy(&(POLICY.to_owned() + "[sql]\nrows = 30000\n"));
    assert!(seen(&many, &bounded).contains(&(20_000, 1)));
}

/// Of expressions by the hundred, no text is longer than the bound says on any row, and none costs more than what it is a part of.
#[test]
fn no_text_outgrows_its_bound_and_no_part_costs_more_than_the_whole() {
    let world = World::new();
    let file = world.file();
    let generous =
        Policy { sql: tidegate_protocol::policy::QueryRules { work_per_ms: 1 << 40, rows: None }, ..world.policy.clone() };
    let admitted = |expr: &str| {
        sql::admit_select(
            &format!("SELECT {expr} AS e FROM dataset"),
            tidegate_protocol::job::Split::Unit,
            &world.schema,
            &generous,
        )
    };
    let mut checked = 0;
    for seed in 0..120u32 {
        let mut bytes = [0; 128];
        blake3::Hasher::new().update(b"costs").update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        let expr = queries::expression(&mut queries::Choices::new(&bytes));
        let Ok(select) = admitted(&expr) else { continue };
        let worst = sql::worst(&select, &generous).unwrap()[0];
        let longest = std::cell::Cell::new(0);
        units::each_unit(&[file.try_clone().unwrap()], &select, |_, rows| {
            let texts = rows.column(0).clone();
            let texts = if texts.data_type().is_string() {
                arrow::compute::cast(&texts, &arrow::datatypes::DataType::LargeUtf8)?
            } else {
                return Ok(());
            };
            longest.set(texts.as_string::<i64>().iter().flatten().map(str::len).max().unwrap_or(0).max(longest.get()));
            Ok(())
        })
        .unwrap();
        assert!(longest.get() as u64 <= worst.bytes, "{expr}: {} bytes, at most {} were said", longest.get(), worst.bytes);
        for whole in [
            format!("({expr}) IS NULL"),
            format!("CASE WHEN flag THEN {expr} END"),
            format!("CASE WHEN flag THEN NULL ELSE {expr} END"),
            format!("nullif({expr}, {expr})"),
            format!("CAST({expr} AS TEXT)"),
            format!("concat(CAST({expr} AS TEXT), city)"),
            format!("upper(CAST({expr} AS TEXT))"),
            format!("CAST({expr} AS TEXT) ~ 'a'"),
        ] {
            if let Ok(select) = admitted(&whole) {
                let of_whole = sql::worst(&select, &generous).unwrap()[0];
                assert!(of_whole.work >= worst.work, "{whole} costs less than its part");
                checked += 1;
            }
        }
    }
    assert!(checked > 150, "{checked}");
}

/// What every expression takes over every kind of value, beside what it is counted as. For eyes: a loaded machine would make it fail for nothing.
///
/// `cargo test --release -p tidegate-sandbox --test sandbox costs::table -- --ignored --nocapture`
#[test]
#[ignore = "prints a table"]
fn table() {
    let mut all = sql::measure(8192, 5).unwrap();
    all.sort_by(|a, b| a.mops().total_cmp(&b.mops()));
    for one in all {
        println!(
            "{:8.0} Mops  {:12.1} ns a row  {:9} counted  {:24} {}",
            one.mops(),
            one.nanoseconds,
            one.counted,
            one.values,
            one.expression
        );
    }
}
