//! Files as people have them, against what DuckDB or Polars read in them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    compute::{cast, concat_batches, sum},
    datatypes::{DataType, Float64Type},
};
use tidegate_catalog::dataset::{self, Profile};
use tidegate_protocol::policy::{Policy, PolicyFile};

pub(crate) fn policy(more: &str) -> Policy {
    let text = format!(
        r#"
        unit = {{ column = "person", max_units = 100000, max_rows = 3, max_groups = 2 }}
        budget = {{ delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }}
        jobs = {{ kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }}
        access = {{ compute = "granted", replicate = "nobody" }}
        {more}
        "#
    );
    PolicyFile::parse(&text).unwrap().check(|e, _| Some(e)).unwrap()
}

pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/files")).join(path)
}

/// What is laid out of files, and the rows that jobs read.
pub(crate) fn laid_out(given: &[PathBuf], policy: &Policy) -> Result<(Profile, RecordBatch), String> {
    let dir = tempfile::tempdir().unwrap();
    let tables = dataset::tables(given, policy).map_err(|e| e.to_string())?;
    let laid = dataset::profile(&tables, policy, None, &dir.path().join("copy.parquet"), &mut |_, _| {});
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.ends_with("copy.parquet")), "left behind: {left:?}");
    let profile = laid.map_err(|e| e.to_string())?;
    let batches: Vec<_> = profile.compute.iter().flat_map(|file| dataset::open(file).unwrap().map(Result::unwrap)).collect();
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    Ok((profile, rows))
}

/// Rows, people, values of `x` and their sum.
fn numbers(given: &str) -> (usize, usize, usize, f64) {
    let (_, rows) = laid_out(&[fixture(given)], &policy("columns = { x = { lo = 0, hi = 100 } }")).unwrap();
    let units = rows.column_by_name("person").unwrap();
    let mut names: Vec<_> = (0..units.len()).map(|i| arrow::util::display::array_value_to_string(units, i).unwrap()).collect();
    names.sort();
    names.dedup();
    let x = cast(rows.column_by_name("x").unwrap(), &DataType::Float64).unwrap();
    let x = x.as_primitive::<Float64Type>();
    (rows.num_rows(), names.len(), x.len() - x.null_count(), sum(x).unwrap_or_default())
}

/// Of the folders' rows some have no person: those are nobody's, and are not in the copy.
#[test]
fn folders_whose_files_differ_are_one_table() {
    for (folder, right) in [
        ("float", (100, 50, 100, 2475.0)),
        ("empty", (100, 100, 50, 1225.0)),
        ("extra", (100, 100, 100, 2450.0)),
        ("order", (100, 100, 100, 2800.0)),
        ("notnull", (100, 50, 100, 2450.0)),
        ("meta", (97, 49, 97, 2449.0)),
        ("int", (93, 47, 93, 2441.0)),
    ] {
        assert_eq!(numbers(&format!("folders/{folder}")), right, "{folder}");
    }
}

#[test]
fn people_are_named_by_whatever_their_owner_has() {
    for name in ["uuid", "number", "category", "float"] {
        assert_eq!(numbers(&format!("ids/{name}.parquet")), (50, 50, 50, 1225.0), "{name}");
    }
}

/// The same person is the same in tables whose makers wrote its number in other widths.
#[test]
fn people_are_the_same_in_tables_of_other_widths() {
    let tables = policy("tables = { a = { x = { lo = 0, hi = 100 } }, b = { x = { lo = 0, hi = 100 } } }");
    let given = |a: &str, b: &str| [format!("a={}", fixture(a).display()).into(), format!("b={}", fixture(b).display()).into()];
    let (profile, rows) = laid_out(&given("ids/number.parquet", "ids/float.parquet"), &tables).unwrap();
    assert_eq!(profile.schema[0].arrow, "Decimal128(38, 0)");
    let units = rows.column_by_name("person").unwrap();
    let mut people: Vec<_> = (0..100).map(|i| arrow::util::display::array_value_to_string(units, i).unwrap()).collect();
    people.dedup();
    assert_eq!((rows.num_rows(), people.len()), (100, 50), "each person's rows of both tables lie together");
    let said = laid_out(&given("ids/number.parquet", "ids/category.parquet"), &tables).map(|_| ()).unwrap_err();
    assert!(said.contains("`person`") && said.contains("write one type"), "{said}");
}

#[test]
fn files_are_read_by_what_is_in_them() {
    for name in ["a.tsv", "a.csv.gz", "A.CSV", "a.parq", "semi.csv", "stream.arrow", "latin1.csv", "hive", "withreadme"] {
        let (rows, people, values, total) = numbers(&format!("names/{name}"));
        assert_eq!((rows, people, values, total), (50, 50, 50, 1225.0), "{name}");
    }
    let hive = policy("columns = { x = { lo = 0, hi = 100 }, year = { lo = 2000, hi = 2100 } }");
    let (profile, rows) = laid_out(&[fixture("names/hive")], &hive).unwrap();
    assert!(
        cast(rows.column_by_name("year").unwrap(), &DataType::Int64)
            .unwrap()
            .as_primitive::<arrow::datatypes::Int64Type>()
            .iter()
            .all(|y| y == Some(2021))
    );
    assert!(profile.notes.iter().any(|note| note.contains("year")), "{:?}", profile.notes);
    let said = laid_out(&[fixture("names/latin1.csv")], &policy("columns = { town = {} }")).map(|_| ()).unwrap_err();
    assert!(
        said.contains("line 2, column town: a byte (0xFC)") && said.contains("[read]: encoding = \"windows-1252\""),
        "{said}"
    );
    let town = policy("read = { encoding = 'windows-1252' }\n        columns = { town = {} }");
    let (profile, rows) = laid_out(&[fixture("names/latin1.csv")], &town).unwrap();
    assert!(rows.column_by_name("town").unwrap().as_string::<i32>().iter().all(|town| town == Some("Zürich")));
    assert!(profile.notes.iter().any(|note| note.contains("Latin-1")), "{:?}", profile.notes);
    let (profile, _) = laid_out(&[fixture("names/withreadme")], &policy("columns = { x = {} }")).unwrap();
    assert!(profile.notes.iter().any(|note| note.contains("README.md")), "{:?}", profile.notes);
}

/// NA is missing, and is said to be.
#[test]
fn words_for_missing_numbers_are_missing() {
    let (profile, rows) = laid_out(&[fixture("odd/missing.csv")], &policy("columns = { x = { lo = 0, hi = 100 } }")).unwrap();
    let x = rows.column_by_name("x").unwrap();
    assert_eq!((x.len(), x.null_count(), x.data_type()), (50, 5, &DataType::Int64));
    assert!(profile.notes.iter().any(|note| note.contains("\"NA\" 5 times")), "{:?}", profile.notes);
}

#[test]
fn a_type_that_is_not_read_is_named_and_others_are_usable() {
    let file = fixture("odd/int128.parquet");
    let (_, rows) = laid_out(std::slice::from_ref(&file), &policy("columns = { x = {} }")).unwrap();
    assert_eq!(rows.num_rows(), 50);
    let schema = dataset::open(&file).unwrap().schema();
    let odd = schema.fields().iter().map(|f| f.name()).find(|name| !["person", "x"].contains(&name.as_str())).unwrap();
    let said = laid_out(&[file], &policy(&format!("columns = {{ {odd} = {{}} }}"))).unwrap_err();
    assert!(said.contains(&format!("`{odd}`")) && said.contains("Int128"), "{said}");
}

/// A period of pandas is a number of months to everybody else: its owner is told so.
#[test]
fn columns_of_types_of_somebodys_own_are_told_to_the_owner() {
    use arrow::{array::Int64Array, datatypes::Field};
    let dir = tempfile::tempdir().unwrap();
    let of_own = |name: &str| [("ARROW:extension:name".to_owned(), name.to_owned())].into();
    let month = Field::new("month", DataType::Int64, true).with_metadata(of_own("pandas.period"));
    let schema = arrow::datatypes::Schema::new(vec![Field::new("person", DataType::Int64, false), month]);
    let columns = [vec![1, 2, 3], vec![616, 617, 616]].map(|values| std::sync::Arc::new(Int64Array::from(values)) as _);
    let batch = RecordBatch::try_new(schema.into(), columns.into()).unwrap();
    let file = dir.path().join("a.arrow");
    let mut writer = arrow::ipc::writer::FileWriter::try_new(std::fs::File::create(&file).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let (profile, _) = laid_out(&[file], &policy("columns = { month = {} }")).unwrap();
    assert!(profile.notes.iter().any(|note| note.contains("column month: its type pandas.period")), "{:?}", profile.notes);
}

#[test]
fn categories_are_the_texts_that_they_stand_for() {
    let (profile, rows) = laid_out(&[fixture("odd/categorical.arrow")], &policy("columns = { k = {} }")).unwrap();
    assert!(!profile.schema[1].arrow.contains("Dictionary"), "{:?}", profile.schema);
    let k = cast(rows.column_by_name("k").unwrap(), &DataType::Utf8).unwrap();
    let count = |town| k.as_string::<i32>().iter().filter(|k| *k == Some(town)).count();
    assert_eq!((count("north"), count("south")), (25, 25));
}

/// Rows without a person are counted for the owner, whether the files are copied or read as they lie.
#[test]
fn rows_without_a_unit_are_told_to_the_owner() {
    let columns = "columns = { x = { lo = 0, hi = 9 } }";
    let said = |profile: &Profile, words: &str| profile.notes.iter().any(|note| note.contains(words));
    let (profile, _) = read(&[("a.csv", "person,x\n1,5\n,6\n2,7\n,8\n")], columns).unwrap();
    assert!(said(&profile, "2 of 4 rows have no privacy unit (column person is empty"), "{:?}", profile.notes);
    assert_eq!(profile.dropped, [2]);
    let (profile, _) = read(&[("a.csv", "person,x\n1,5\n2,7\n")], columns).unwrap();
    assert!(!said(&profile, "no privacy unit"), "{:?}", profile.notes);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.parquet");
    let units: arrow::array::StringArray = [None, Some(""), Some("a"), Some("b")].into_iter().collect();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("person", std::sync::Arc::new(units) as arrow::array::ArrayRef, true),
        ("x", std::sync::Arc::new(arrow::array::Int64Array::from(vec![1; 4])), true),
    ])
    .unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (profile, _) = laid_out(&[file], &policy(columns)).unwrap();
    assert_eq!(profile.layout, tidegate_protocol::manifest::Layout::AsPublished);
    assert!(
        said(&profile, "1 of 4 rows has no privacy unit") && said(&profile, "1 of 4 rows has an empty text"),
        "{:?}",
        profile.notes
    );
    let tables = "tables = { a = { x = { lo = 0, hi = 9 } }, b = { x = { lo = 0, hi = 9 } } }";
    let given = ["a", "b"].map(|table| {
        let path = dir.path().join(format!("{table}.csv"));
        std::fs::write(&path, format!("person,x\n1,5\n2,5\n{}", if table == "b" { ",6\n" } else { "" })).unwrap();
        PathBuf::from(format!("{table}={}", path.display()))
    });
    let (profile, _) = laid_out(&given, &policy(tables)).unwrap();
    assert!(said(&profile, "table b: 1 of 3 rows has no privacy unit") && !said(&profile, "table a: "), "{:?}", profile.notes);
    assert_eq!(profile.dropped, [0, 1]);
}

fn written(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
    for (name, text) in files {
        std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
    }
    dir.to_owned()
}

pub(crate) fn read(files: &[(&str, &str)], more: &str) -> Result<(Profile, String), String> {
    let dir = tempfile::tempdir().unwrap();
    let folder = written(dir.path(), files);
    let (profile, rows) = laid_out(&[folder], &policy(more))?;
    let x = rows.column_by_name("x").unwrap();
    let shown = |i| if x.is_null(i) { "NULL".into() } else { arrow::util::display::array_value_to_string(x, i).unwrap() };
    Ok((profile, format!("{}: {}", x.data_type(), (0..x.len()).map(shown).collect::<Vec<_>>().join(" "))))
}

#[test]
fn numbers_are_read_as_they_are_written_and_said_how() {
    for (text, more, right, said) in [
        ("person;x\n1;1,5\n2;2,25\n", "read = { decimal = ',' }", "Float64: 1.5 2.25", "decimal comma"),
        ("person;x\n1;1e+05\n2;2,5e-01\n3;7\n", "read = { decimal = ',' }", "Float64: 100000.0 0.25 7.0", "decimal comma"),
        ("person;x\n1;1e+05\n2;7\n3;2e+05\n", "read = { decimal = ',' }", "Float64: 100000.0 7.0 200000.0", "text"),
        ("person,x\n1,\"1,234\"\n2,\"12,000\"\n3,7\n", "read = { decimal = '.' }", "Int64: 1234 12000 7", "decimal point"),
        ("person,x\n1,\"1,234\"\n2,\"12,000\"\n", "read = { decimal = ',' }", "Float64: 1.234 12.0", "decimal comma"),
        ("person,x\n1,$5\n2, 7 %\n3,-$1.50\n4,$2.50\n", "", "Float64: 5.0 7.0 -1.5 2.5", "currency"),
        ("person,x\n1, 5\n2, 7 \n3,\\N\n", "", "Int64: 5 7 NULL", "\\\\N"),
        ("person,x\n1,5\n2,.\n3,-\n4,6\n", "", "Int64: 5 NULL NULL 6", "\"-\" once"),
        ("person,x\n1,007\n2,010\n", "", "Utf8: 007 010", "leading zeros"),
        ("person,x\n1,007\n2,010\n", "columns = { x = { lo = 0, hi = 9 } }", "Int64: 7 10", "text"),
        ("person,x\n1,5\n2,unknown\n3,6\n", "read = { nulls = ['unknown'] }", "Int64: 5 NULL 6", "text"),
        ("# by hand\n\nperson|x\n1|5\n", "read = { skip = 2 }", "Int64: 5", "a bar"),
        ("person,x\n#1,2\n1,5\n", "read = { comment = '#' }", "Int64: 5", "text"),
        ("person,x\n1,5\n2,6\n", "read = { text = ['x'] }", "Utf8: 5 6", "text"),
        ("person,x\n1,NA\n2,DE\n3,FR\n", "", "Utf8: NA DE FR", "has the words"),
        (
            "person,x\n1,99999999999999999999\n2,1\n3,99999999999999999998\n",
            "",
            "Decimal128(38, 0): 99999999999999999999 1 99999999999999999998",
            "64 bits",
        ),
        ("person,x\n1,2021-05-01\n2,9999-12-31\n", "", "Date32: 2021-05-01 9999-12-31", "text"),
        (
            "person,x\n1,2021-05-01 10:30\n2,2021-05-01 10:30\n3,\n",
            "",
            "Timestamp(µs): 2021-05-01T10:30:00 2021-05-01T10:30:00 NULL",
            "text",
        ),
        ("person,x\n1,true\n2,False\n3,NA\n", "", "Boolean: true false NULL", "text"),
    ] {
        let more = if more.contains("columns") { more.to_owned() } else { format!("{more}\n        columns = {{ x = {{}} }}") };
        let (profile, found) = read(&[("a.csv", text)], &more).unwrap();
        assert_eq!(found, right, "{text}");
        assert!(profile.notes.iter().any(|note| note.contains(said)), "{text}: {:?}", profile.notes);
    }
}

#[test]
fn what_cannot_be_one_column_is_named_with_both_types() {
    let bounded = "columns = { x = { lo = 0, hi = 9 } }";
    for (files, more, words) in [
        (&[("a.csv", "person,x\n1,5\n2,6\n3,unknown\n")][..], bounded, &["`x`", "\"unknown\" in line 4 of a.csv", "nulls"][..]),
        (&[("a.csv", "person,x\n1,5\n2,5\n"), ("b.csv", "name,x\n1,5\n2,5\n")], bounded, &["`person`", "b.csv"]),
        (&[("a.csv", "person,x,x\n1,5,6\n")], bounded, &["`x`", "twice in a.csv"]),
        (&[("a.csv", "person,x\n1,5\n2,6,7\n")], bounded, &["a.csv"]),
        (&[("a.csv", "person,x\n1.5,5\n")], bounded, &["`person`", "1.5", "must be an integer, a text"]),
        (
            &[
                ("a.csv", "person,x\n1,5\n2,5\n"),
                ("b.json", "{\"person\": 2, \"x\": \"much\"}\n{\"person\": 3, \"x\": \"much\"}"),
            ],
            bounded,
            &["`x`", "BIGINT in a.csv", "TEXT in b.json"],
        ),
        (
            &[("a.json", "{\"person\": 1.0, \"x\": 1}\n{\"person\": \"2\", \"x\": 1}")],
            bounded,
            &["a.json", "person", "both texts and numbers as ids"],
        ),
        (&[("a.json", "[{\"person\": 1, \"x\": [1, 2]}]")], "columns = { x = {} }", &["`x`", "is a list"]),
        (&[("a.xlsx", "PK\u{3}\u{4}rest")], bounded, &["a.xlsx", "Excel"]),
        (&[("a.parquet", "nothing of the kind")], bounded, &["a.parquet"]),
        (&[("a.parquet", "PAR1\u{15}\u{0}junkjunkPAR1")], bounded, &["a.parquet: is not a complete Parquet file"]),
    ] {
        let said = read(files, more).map(|(_, found)| found).unwrap_err();
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

#[test]
fn files_of_different_kinds_are_one_table() {
    let files = [
        ("2021/a.csv", "x;person\n1;1\n"),
        ("2022/a.tsv", "person\tx\tmore\n2\t2.5\ty\n5\t2.5\ty\n"),
        ("2023/a.json", "[{\"person\": 3, \"x\": 3},\n{\"person\": 4}, {\"person\": 4, \"x\": 4}]"),
        ("2024/empty.csv", ""),
        ("2024/header.csv", "person,x\n"),
        ("_SUCCESS", ""),
    ];
    let (profile, found) = read(&files, "columns = { x = {} }").unwrap();
    assert_eq!(found, "Float64: 1.0 2.5 3.0 NULL 4.0 2.5");
    assert!(profile.notes.iter().any(|note| note.contains("empty.csv")), "{:?}", profile.notes);
}

#[test]
fn thousands_of_files_are_one_table() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10_000 {
        std::fs::write(dir.path().join(format!("{i:05}.csv")), format!("person,x\n{i},{}\n", i % 7)).unwrap();
    }
    let (profile, rows) = laid_out(&[dir.path().to_owned()], &policy("columns = { x = { lo = 0, hi = 9 } }")).unwrap();
    assert_eq!((rows.num_rows(), profile.compute.len()), (10_000, 1));
}

/// Letters that other formats begin with begin headers too.
#[test]
fn headers_are_no_marks_of_other_formats() {
    for name in ["ORCID", "PARENT", "PARENTÉ", "PAR1", "FEA1"] {
        let file = format!("{name},person,x\n7,1,5\n8,2,6\n");
        let (_, shown) = read(&[("a.csv", &file)], "columns = { x = { lo = 0, hi = 9 } }").unwrap();
        assert_eq!(shown, "Int64: 5 6", "{name}");
    }
}

/// What statistics programs and others write for themselves alone is refused by its name, with what to do; packed or not, whatever it is called.
#[test]
fn other_programs_own_files_are_refused_by_name() {
    let pack = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let object = b"X\n\0\0\0\x03\0\x04\x02\x02\0\x03\x05\0\0\0\0\x05UTF-8";
    for (name, bytes, words) in [
        ("x.rds", pack(object), ["an R ", "write.csv"]),
        ("x.csv.gz", pack(object), ["an R ", "write.csv"]),
        ("plain.rds", object.to_vec(), ["an R ", "write.csv"]),
        ("text.rds", b"A\n3\n262146\n197888\n".to_vec(), ["an R ", "write.csv"]),
        ("x.RData", pack(b"RDX3\nX\n\0\0\0\x03"), ["an R ", "write.csv"]),
        ("x.dta", b"<stata_dta><header><release>118".to_vec(), ["Stata", "CSV"]),
        ("old.dta", b"s\x02\x01\0\x0c\0\0\0".to_vec(), ["Stata", "CSV"]),
        ("x.sav", b"$FL2@(#) SPSS DATA FILE".to_vec(), ["SPSS", "CSV"]),
        ("x.sas7bdat", [&[0; 12][..], b"\xc2\xea\x81\x60\xb3\x14"].concat(), ["SAS", "CSV"]),
        ("x.xpt", b"HEADER RECORD*******LIBRARY HEADER RECORD".to_vec(), ["SAS", "CSV"]),
        ("x.h5", b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), ["HDF5", "Parquet"]),
        ("x.npy", b"\x93NUMPY\x01\0".to_vec(), ["NumPy", "Parquet"]),
        ("x.orc", b"ORC\x0a\x06\x12\x04\x08\x01".to_vec(), ["ORC", "Parquet"]),
        ("x.csv", b"Obj\x01\x04\x14avro.codec\x08null".to_vec(), ["Avro", "Parquet"]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let said = laid_out(&[path], &policy("columns = { x = {} }")).map(|_| ()).unwrap_err();
        assert!(said.contains(name) && words.iter().all(|word| said.contains(word)), "{name}: {said}");
    }
}

/// Arrow 0.17 (and R's arrow of that time) packed Feather files in a way that later readers take for values.
#[test]
fn arrow_files_that_were_packed_early_are_refused() {
    for name in ["odd/packed-as-0.17.arrow", "odd/packed-as-0.17.arrows"] {
        let said = laid_out(&[fixture(name)], &policy("columns = { x = {} }")).map(|_| ()).unwrap_err();
        assert!(said.contains("packed-as-0.17") && said.contains("write it again"), "{said}");
    }
}
