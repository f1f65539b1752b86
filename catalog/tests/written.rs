//! One small table as others' tools write it (`fixtures/make_files.py`): whoever wrote it and however, its rows are the same.

use arrow::{
    array::{Array as _, ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, TimeUnit},
    util::display::array_value_to_string,
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
