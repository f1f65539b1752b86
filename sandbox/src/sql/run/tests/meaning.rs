//! What forms mean that are made of others, and where values are clipped.

use super::*;

/// A file of these people's spending, all in cell `a`.
fn spending(rows: &[(i64, i64)]) -> File {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("person", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()) as ArrayRef, true),
        ("cell", Arc::new(rows.iter().map(|_| Some("a")).collect::<StringArray>()) as ArrayRef, true),
        ("spend", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()) as ArrayRef, true),
    ])
    .unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

/// Of forms that are made of others.
#[test]
fn what_is_rewritten_means_what_it_says() {
    let file = spending(&[(1, 10), (2, 10), (3, 10)]);
    for (condition, rows) in [
        ("abs(round(spend / 3.0, 2) - 3.33) < 1e-9", 3),
        ("abs(round(spend / 3.0, 2) - 3.3) < 1e-9", 0),
        ("round(spend * 1.55, -1) = 20", 3),
        ("trunc(spend * 1.55, -1) = 10", 3),
        ("abs(trunc(0 - spend / 3.0, 1) + 3.3) < 1e-9", 3),
        ("round(spend / 4.0, 0) = 3", 3),
        ("concat(cell, '1', cell, '2', NULL, '3', cell, '4', cell) = 'a1a23a4a'", 3),
        ("DATE '2024-03-31' - INTERVAL '1 month' = DATE '2024-02-29'", 3),
        ("TIMESTAMP '2024-02-28T23:30:00' + INTERVAL '90 minutes' = TIMESTAMP '2024-02-29T01:00:00'", 3),
    ] {
        let query = format!("SELECT COUNT(*) AS n FROM dataset WHERE {condition}");
        let counted = sums(1, &query, &[file.try_clone().unwrap()]).unwrap();
        assert_eq!(counted.groups.first().map_or(0, |group| group.lanes[0]), rows, "{condition}");
    }
}

/// What `docs/reference/sql.md` says of bounds: in a subquery by the unit no row is clipped, what leaves it is.
#[test]
fn a_subquery_by_the_unit_clips_what_leaves_it_and_no_row() {
    let file = spending(&[(1, 1_000_000), (1, 0), (2, 10)]);
    // The policy bounds a row's value by 1000.
    for (inner, outer, hi, sum) in [
        ("SUM(spend)", "clamp(s, 0, 5000)", 5000.0f64, 5010.0),
        ("SUM(clamp(spend, 0, 1000))", "clamp(s, 0, 5000)", 5000.0, 1010.0),
        ("AVG(spend)", "s", 1000.0, 1010.0),
        ("MAX(spend)", "s", 1000.0, 1010.0),
    ] {
        let query = format!("SELECT SUM({outer}) AS x FROM (SELECT person, {inner} AS s FROM dataset GROUP BY person) t");
        let sums = sums(1, &query, &[file.try_clone().unwrap()]).unwrap();
        let step = 2f64.powi(hi.log2().ceil() as i32 - 20);
        assert_eq!(sums.groups[0].lanes[0] as f64 * step, sum, "{query}");
    }
    let unclipped = "SELECT SUM(s) FROM (SELECT person, SUM(spend) AS s FROM dataset GROUP BY person) t";
    let policy = PolicyFile::parse(POLICY).unwrap().check(|e, _| Some(e)).unwrap();
    let said = admit_query(&Asked::new(unclipped), &crate::units::schema(&file).unwrap(), &policy).unwrap_err();
    assert!(said.message.contains("no public bounds"), "{said}");
}
