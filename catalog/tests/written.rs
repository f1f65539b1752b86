//! One small table as others' tools write it (`fixtures/make_files.py`): whoever wrote it and however, its rows are the same.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array as _, ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, TimestampMicrosecondArray},
    compute::cast,
    datatypes::{DataType, Field, Schema, TimeUnit},
    util::display::array_value_to_string,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use parquet::{
    arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, arrow_writer::ArrowWriterOptions, encode_arrow_schema},
    file::{metadata::KeyValue, properties::WriterProperties},
};

use crate::files::{fixture, laid_out, policy};

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A column: as which type it is shown, and its values by person.
const RIGHT: [(&str, DataType, [&str; 6]); 7] = [
    ("n", DataType::Int64, ["1", "", "0", "3", "100", "-7"]),
    ("f", DataType::Float64, ["-1.25", "1e30", "0.5", "0.1", "3.0", ""]),
    ("t", DataType::Utf8, ["süd", "a,b", "north", "say \"hi\"", "\u{1f600}", ""]),
    ("flag", DataType::Boolean, ["false", "true", "true", "false", "true", ""]),
    ("day", DataType::Date32, ["9999-12-31", "1970-01-01", "2021-05-01", "2024-02-29", "1901-01-01", ""]),
    (
        "at",
        MICROS,
        [
            "1971-12-31T23:59:59",
            "2024-02-29T00:00:00",
            "2021-05-01T10:30:00.125",
            "2000-01-01T00:00:00",
            "2024-02-29T12:00:00",
            "",
        ],
    ),
    // Beyond what nanoseconds hold.
    (
        "far",
        MICROS,
        ["0001-01-01T00:00:00", "1677-01-01T00:00:00", "9999-12-31T23:59:59", "2024-02-29T00:00:00", "2262-12-31T00:00:00", ""],
    ),
];

/// Columns that a writer's form of the table lacks.
fn lacks(file: &str, column: &str) -> bool {
    let (writer, ending) = file.split_once('.').unwrap();
    match column {
        "far" => !["pyarrow", "polars", "duckdb", "spark"].iter().any(|one| writer.starts_with(one)) || ending == "csv.bz2",
        "at" => file == "spark.csv.bz2",
        "day" => writer == "fastparquet" || writer == "xlsxwriter",
        _ => false,
    }
}

fn shown(column: &ArrayRef, kind: &DataType) -> Vec<String> {
    // Of a zone, as the time of UTC that it is.
    let zone = match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => Some(DataType::Timestamp(*unit, None)),
        _ => None,
    };
    let column = zone.map_or_else(|| column.clone(), |plain| cast(column, &plain).unwrap());
    let column = cast(&column, kind).unwrap();
    (0..column.len())
        .map(|i| if column.is_null(i) { String::new() } else { array_value_to_string(&column, i).unwrap() })
        .collect()
}

fn rows(file: &str, columns: &str) -> RecordBatch {
    let read = laid_out(&[fixture(&format!("written/{file}"))], &policy(&format!("columns = {{ {columns} }}")));
    read.unwrap_or_else(|e| panic!("{file}: {e}")).1
}

#[test]
fn whoever_wrote_a_table_it_is_the_same() {
    let mut files: Vec<_> =
        std::fs::read_dir(fixture("written")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert!(files.len() > 35, "{files:?}");
    let mut wrong = Vec::new();
    for file in &files {
        let has: Vec<_> = RIGHT.iter().filter(|(name, ..)| !lacks(file, name)).collect();
        let rows = rows(file, &has.iter().map(|(name, ..)| format!("{name} = {{}}")).collect::<Vec<_>>().join(", "));
        assert_eq!(shown(rows.column(0), &DataType::Int64), ["1", "2", "3", "4", "5", "6"], "{file}");
        for (name, kind, right) in has {
            let found = shown(rows.column_by_name(name).unwrap(), kind);
            if found != *right {
                wrong.push(format!("{file}: {name}: {found:?} for {right:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The Arrow schema of a writer that has integers of 128 bits, as in the footer of its Parquet files.
fn with_wide_integers() -> String {
    let schema = |big: DataType| {
        let taken = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()));
        let of = [("person", DataType::Int64), ("taken", taken), ("big", big)];
        let fields: Vec<_> = of.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
        STANDARD.decode(encode_arrow_schema(&Schema::new(fields))).unwrap()
    };
    // The two differ in the number of bits alone.
    let (mut bytes, narrow) = (schema(DataType::Int64), schema(DataType::Int32));
    let bits = bytes.iter().zip(&narrow).position(|(wide, narrow)| wide != narrow).unwrap();
    assert_eq!((bytes.len(), bytes[bits], narrow[bits]), (narrow.len(), 64, 32));
    bytes[bits] = 128;
    STANDARD.encode(bytes)
}

/// A Parquet file with this Arrow schema in its footer.
fn told(path: &Path, schema: String) {
    let big = FixedSizeBinaryArray::try_from_iter([[1u8; 16], [2; 16]].into_iter()).unwrap();
    let taken = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 3] =
        [("person", Arc::new(Int64Array::from(vec![1, 2]))), ("taken", Arc::new(taken)), ("big", Arc::new(big))];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let told = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), schema);
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![told])).build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Beside a column of a type that is unknown here, the others have what their writer says, such as a time zone.
#[test]
fn a_column_of_an_unknown_type_changes_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.parquet");
    told(&file, with_wide_integers());
    let (profile, _) = laid_out(std::slice::from_ref(&file), &policy("columns = { taken = {} }")).unwrap();
    assert_eq!(profile.schema[1].arrow, "Timestamp(µs, \"Europe/Berlin\")");
    assert!(!profile.notes.iter().any(|note| note.contains("ARROW:schema")), "{:?}", profile.notes);
    let said = laid_out(&[file], &policy("columns = { taken = {}, big = {} }")).map(|_| ()).unwrap_err();
    assert!(said.contains("`big`") && said.contains("type Int128 in a.parquet"), "{said}");
}

/// Where nothing of what the writer says can be read, the owner is told which types the columns have.
#[test]
fn types_without_their_writers_word_are_told_to_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.parquet");
    told(&file, "broken".to_owned());
    let (profile, _) = laid_out(&[file], &policy("columns = { taken = {} }")).unwrap();
    assert_eq!(profile.schema[1].arrow, "Timestamp(µs, \"UTC\")");
    assert!(profile.notes.iter().any(|note| note.contains("a.parquet") && note.contains("in UTC")), "{:?}", profile.notes);
}

/// Times of several zones are kept in UTC, where their days may be others: their owner is told so.
#[test]
fn several_time_zones_are_told_to_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let zoned = |name: &str, zone: &str| {
        let taken = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone(zone);
        let columns: [(&str, ArrayRef); 2] = [("person", Arc::new(Int64Array::from(vec![1, 2]))), ("taken", Arc::new(taken))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let path = dir.path().join(name);
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    };
    let files = [zoned("a.parquet", "Europe/Berlin"), zoned("b.parquet", "UTC")];
    let notes = |files: &[std::path::PathBuf]| laid_out(files, &policy("columns = { taken = {} }")).unwrap().0.notes;
    let words =
        "column taken has times of several time zones (Europe/Berlin in a.parquet, UTC in b.parquet): they are converted to UTC";
    let said = notes(&files);
    assert!(said.iter().any(|note| note.contains(words)), "{said:?}");
    let said = notes(&files[..1]);
    assert!(!said.iter().any(|note| note.contains("time zone")), "{said:?}");
}
