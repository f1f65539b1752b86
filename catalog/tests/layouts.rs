//! Of how rows lie, which follows from them, nothing is told by what the manifest says.

use std::{fs::File, path::PathBuf, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use tidegate_catalog::dataset::{self, Profile};
use tidegate_protocol::manifest::Layout;

use crate::files::policy;

/// Units with a text each.
type Rows = Vec<(Option<i64>, String)>;

/// Lays out these files.
fn laid(files: &[(String, Rows)], more: &str) -> Result<Profile, String> {
    let dir = tempfile::tempdir().unwrap();
    let write = |(name, rows): &(String, Rows)| -> PathBuf {
        let path = dir.path().join(name);
        let person: ArrayRef = Arc::new(rows.iter().map(|(unit, _)| *unit).collect::<Int64Array>());
        let note: ArrayRef = Arc::new(rows.iter().map(|(_, note)| Some(note.as_str())).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("person", person), ("note", note)]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    };
    let paths: Vec<_> = files.iter().map(write).collect();
    let policy = policy(&format!("columns = {{ note = {{}} }}\n        {more}"));
    let tables = dataset::tables(&paths, &policy).map_err(|e| e.to_string())?;
    dataset::profile(&tables, &policy, None, &dir.path().join("copy.parquet"), &mut |_, _| {}).map_err(|e| e.to_string())
}

/// Files whose names a manifest has no room for are put together, whether jobs could read them as they lie or not: how many files are named tells nothing of rows.
#[test]
fn files_beyond_a_manifest_are_one_whatever_their_rows() {
    let many = |long: usize| -> Vec<_> {
        let name = |i: usize| format!("{i:04}-{}.parquet", "n".repeat(115));
        (0..140).map(|i| (name(i), vec![(Some(i as i64), "x".repeat(if i == 9 { long } else { 1 }))])).collect()
    };
    let few: Vec<_> = many(1).into_iter().take(20).collect();
    assert_eq!(laid(&few, "").unwrap().layout, Layout::AsPublished);
    for long in [1, 5000] {
        let profile = laid(&many(long), "").unwrap();
        assert_eq!((profile.layout, profile.compute.len()), (Layout::Clustered, 1), "{long}");
    }
}

/// The public bound on rows is on those of units, whether jobs read the files or a copy.
#[test]
fn rows_of_nobody_are_in_no_bound() {
    let rows = |long: usize, others: i64| {
        let of_units = (0..others).map(|i| (Some(i), "x".repeat(if i == 1 { long } else { 1 })));
        let of_nobody = (0..7).map(|_| (None, "y".to_owned()));
        vec![("a.parquet".to_owned(), of_units.collect::<Vec<_>>()), ("b.parquet".to_owned(), of_nobody.collect())]
    };
    for long in [1, 5000] {
        laid(&rows(long, 8), "sql = { rows = 8 }").unwrap();
        let refused = laid(&rows(long, 9), "sql = { rows = 8 }").unwrap_err();
        assert!(refused.contains("more rows than sql.rows = 8"), "{refused}");
    }
}
