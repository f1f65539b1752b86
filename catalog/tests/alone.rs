//! What one person's rows alone would decide of a dataset's public form, and no text file's values do: folders that name people, names that are one, types that
//! are written, folders' names, keys of objects. `neighbours.rs` has the rest.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int32Array, Int64Array, NullArray, RecordBatch, StringArray, TimestampSecondArray},
    datatypes::Schema,
};
use parquet::arrow::ArrowWriter;

use crate::neighbours::{FREE, Read, read};

fn read_texts(files: &[(&str, &str)], more: &str) -> Result<Read, String> {
    read(&files.iter().map(|(name, text)| (*name, text.as_bytes())).collect::<Vec<_>>(), more)
}

/// Files with another of person 9.
fn and<'a>(rest: &[(&'a str, &'a str)], name: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    rest.iter().copied().chain([(name, text)]).collect()
}

/// Where folders say whose rows are, one person's values decide as little as where rows do.
#[test]
fn one_person_whom_a_folder_names_decides_no_type() {
    let texts = [("person=1/a.csv", "x\n1\n3\n"), ("person=2/a.csv", "x\n2\n")];
    let objects = [("person=1/a.json", "{\"x\":1}\n{\"x\":3}\n"), ("person=2/a.json", "{\"x\":2}\n")];
    let nobody = "person=__HIVE_DEFAULT_PARTITION__/a.csv";
    for (rest, name, odd, kind) in [
        (texts, "person=9/a.csv", "x\n1.5\n2.5\n", "DOUBLE"),
        (texts, "person=9/a.csv", "x\nword\n", "TEXT"),
        (objects, "person=9/a.json", "{\"x\":1.5}\n{\"x\":2.5}\n", "DOUBLE"),
        (objects, "person=9/a.json", "{\"x\":\"word\"}\n", "TEXT"),
    ] {
        let with = and(&rest, name, odd);
        let said = read_texts(&with, FREE).unwrap_err();
        let words = ["of one privacy unit", &format!("[read]: types = {{ x = \"{kind}\" }}")];
        assert!(words.iter().all(|word| said.contains(word)), "{with:?}: {said}");
        let ruled = format!("read = {{ types = {{ x = '{kind}' }} }}\n        {FREE}");
        assert_eq!(read_texts(&with, &ruled).unwrap(), read_texts(&rest, &ruled).unwrap(), "{with:?}");
    }
    // Nobody's rows stay, whoever goes.
    let rest = and(&texts, nobody, "x\n1.5\n");
    let with = and(&rest, "person=9/a.csv", "x\n1.5\n");
    assert_eq!(read_texts(&with, FREE).unwrap(), read_texts(&rest, FREE).unwrap());
}

/// However a person's name is spelled, what is read as one name is one person's.
#[test]
fn one_person_of_many_spellings_is_one() {
    for (one, other) in [
        ("9", "9 USD"),
        ("9", "EUR9"),
        ("9", "GBP 9"),
        ("9", "9CHF"),
        ("9", "JPY9"),
        ("9", "$9"),
        ("9", "+9"),
        ("9", "009"),
        ("9", "9.0"),
        ("9", "9e0"),
        ("0", "-0"),
        ("-9", "$ -9"),
        ("1234", "\"1,234\""),
        ("1234", "1 234"),
        ("1234", "1 234.00 EUR"),
    ] {
        let more = format!("read = {{ decimal = '.', types = {{ person = 'BIGINT' }} }}\n        {FREE}");
        let text = format!("person,x\n1,1\n2,2\n{one},1.5\n{other},2.5\n");
        let said = read(&[("a.csv", text.as_bytes())], &more).unwrap_err();
        assert!(said.contains("column `x`") && said.contains("of one privacy unit"), "{one}, {other}: {said}");
        let name = |name: &str| name.replace('"', "");
        let of = |person: &str, x: &str| format!("{{\"person\": \"{person}\", \"x\": {x}}}\n");
        let text = [of("1", "1"), of("2", "2"), of(&name(one), "1.5"), of(&name(other), "2.5")].concat();
        let said = read(&[("a.json", text.as_bytes())], &more).unwrap_err();
        assert!(said.contains("column `x`") && said.contains("of one privacy unit"), "{one}, {other}: {said}");
    }
    // Others are not.
    for (one, other) in [("8", "9"), ("9", "-9"), ("ann", "bob"), ("9007199254740992", "9007199254740993")] {
        let text = format!("person,x\n1,1\n2,2\n{one},1.5\n{other},2.5\n{one} ,2\n{other} ,2\nann,2\nbob,2\n");
        let (types, _) = read(&[("a.csv", text.as_bytes())], FREE).unwrap();
        assert_eq!(types[1].1, "Float64", "{one}, {other}");
    }
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let fields = columns.iter().map(|(name, array)| arrow::datatypes::Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect()).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn people(names: &[i64]) -> (&'static str, ArrayRef) {
    ("person", Arc::new(Int64Array::from(names.to_vec())))
}

fn whole(names: &[i64], x: &[Option<i64>]) -> Vec<u8> {
    parquet(vec![people(names), ("x", Arc::new(Int64Array::from(x.to_vec())))])
}

fn words(names: &[i64], x: &[Option<&str>]) -> Vec<u8> {
    parquet(vec![people(names), ("x", Arc::new(StringArray::from(x.to_vec())))])
}

fn read_files(files: &[(&str, &Vec<u8>)], more: &str) -> Result<Read, String> {
    read(&files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>(), more)
}

/// A column's type follows from the types that are written and from the policy, never from which values are there.
#[test]
fn no_type_follows_from_values_that_are_missing() {
    let ruled = |kind: &str| format!("read = {{ types = {{ x = '{kind}' }} }}\n        {FREE}");
    let (void, some) = (whole(&[1, 2], &[None; 2]), whole(&[3, 4], &[Some(5), Some(6)]));
    let (with, without) = (words(&[5, 9], &[None, Some("w")]), words(&[5], &[None]));
    let three = |last, more: &str| read_files(&[("a.parquet", &void), ("b.parquet", &some), ("c.parquet", last)], more);
    for last in [&with, &without] {
        let said = three(last, FREE).unwrap_err();
        for word in ["BIGINT in a.parquet", "TEXT in c.parquet", "[read]: types = { x = \"BIGINT\" } (or \"TEXT\")"] {
            assert!(said.contains(word), "{said}");
        }
        let said = three(last, &ruled("TEXT")).unwrap_err();
        assert!(said.contains("BIGINT in b.parquet") && said.contains("TEXT"), "{said}");
    }
    assert_eq!(three(&without, &ruled("BIGINT")).unwrap().0[1].1, "Int64");
    let said = three(&with, &ruled("BIGINT")).unwrap_err();
    assert!(said.contains("TEXT in c.parquet") && said.contains("BIGINT"), "{said}");
    let two = |last, more: &str| read_files(&[("a.parquet", &void), ("c.parquet", last)], more);
    assert!(two(&with, FREE).is_err() && two(&without, FREE).is_err());
    assert_eq!(two(&with, &ruled("TEXT")).unwrap(), two(&without, &ruled("TEXT")).unwrap());
    // What joins what is said has its type, whatever stands beside it.
    let narrow = parquet(vec![people(&[1, 2]), ("x", Arc::new(Int32Array::from(vec![5, 6])))]);
    let times = TimestampSecondArray::from(vec![None; 2]).with_timezone("UTC");
    let times = parquet(vec![people(&[3, 4]), ("x", Arc::new(times))]);
    let both = [("a.parquet", &narrow), ("b.parquet", &times)];
    assert!(read_files(&both, FREE).unwrap_err().contains("types = { x = \"BIGINT\" }"));
    let (types, rows) = read_files(&both, &ruled("BIGINT")).unwrap();
    assert_eq!((types[1].1.as_str(), rows), ("Int64", ["1|5", "2|6", "3|NULL", "4|NULL"].map(str::to_owned).to_vec()));
}

/// A file without rows has the types that it had with one person's.
#[test]
fn files_without_rows_keep_their_types() {
    let numbers = |names: &[i64], x: &[f64]| parquet(vec![people(names), ("x", Arc::new(Float64Array::from(x.to_vec())))]);
    let some = whole(&[1, 2], &[Some(5), Some(6)]);
    let of = |last: &Vec<u8>| read_files(&[("a.parquet", &some), ("b.parquet", last)], FREE);
    let (with, without) = (of(&numbers(&[9], &[1.5])).unwrap(), of(&numbers(&[], &[])).unwrap());
    assert_eq!((with.0[1].1.as_str(), &with), ("Float64", &without));
    let text = "person,y\n1,1\n2,2\n".as_bytes().to_vec();
    let columns = "columns = { x = { lo = 0, hi = 5 }, y = {} }";
    let of = |names: &[i64], one: &[Option<i64>]| {
        let one: ArrayRef = Arc::new(Int64Array::from(one.to_vec()));
        let last = parquet(vec![people(names), ("x", one.clone()), ("y", one)]);
        read_files(&[("a.csv", &text), ("v.parquet", &last)], columns)
    };
    assert_eq!(of(&[9], &[Some(1)]).unwrap(), of(&[], &[]).unwrap());
    // What an empty frame has no type for is of any.
    let untyped = parquet(vec![("person", Arc::new(NullArray::new(0))), ("x", Arc::new(NullArray::new(0)))]);
    let texts = words(&[1, 2], &[Some("a"), None]);
    for (first, kind) in [(&some, "Int64"), (&texts, "Utf8")] {
        let (types, rows) = read_files(&[("a.parquet", first), ("b.parquet", &untyped)], FREE).unwrap();
        assert_eq!((types[1].1.as_str(), rows.len()), (kind, 2));
    }
}

/// Of more folders than are named in a manifest the owner says which type their names have: one of them may be one person's.
#[test]
fn folders_that_are_not_named_say_no_type() {
    let folders = |column: &str, count: usize, odd: bool| {
        let (head, tail) = if column == "person" { ("x", "") } else { ("person,x", ",5") };
        let text = |person: usize| if tail.is_empty() { format!("{head}\n5\n") } else { format!("{head}\n{person}{tail}\n") };
        let mut files: Vec<_> = (0..count).map(|i| (format!("{column}={i}/a.csv"), text(1000 + i))).collect();
        if odd {
            files.push((format!("{column}=Zug/a.csv"), text(9)));
        }
        files
    };
    let read = |files: &[(String, String)], more: &str| {
        read_texts(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>(), more)
    };
    for column in ["town", "person"] {
        let columns = if column == "town" { "columns = { x = {}, town = {} }" } else { FREE };
        let ruled = format!("read = {{ types = {{ {column} = 'TEXT' }} }}\n        {columns}");
        let (with, without) = (folders(column, 205, true), folders(column, 205, false));
        for files in [&with, &without] {
            let said = read(files, columns).unwrap_err();
            let words = format!("[read]: types = {{ {column} = \"TEXT\" }} (or \"BIGINT\"");
            assert!(said.contains(&format!("column `{column}`")) && said.contains(&words), "{said}");
        }
        let (mut found, right) = (read(&with, &ruled).unwrap(), read(&without, &ruled).unwrap());
        found.1.retain(|row| !row.starts_with("Zug"));
        assert_eq!(found, right, "{column}");
        // Those that are named are public.
        assert!(read(&folders(column, 3, true), columns).is_ok());
    }
    let whole = "read = { types = { town = 'BIGINT' } }\n        columns = { x = {}, town = {} }";
    assert_eq!(read(&folders("town", 205, false), whole).unwrap().0.last().unwrap().1, "Int64");
    assert!(read(&folders("town", 205, true), whole).unwrap_err().contains("town"));
}

/// Whether there is a column is no one person's to say either.
#[test]
fn a_key_that_one_persons_objects_alone_have_is_refused() {
    let ruled = "read = { types = { x = 'DOUBLE' } }\n        columns = { x = {} }";
    let bounded = "columns = { x = { lo = 0, hi = 1 } }";
    let rest = "{\"person\":1}\n{\"person\":2}\n";
    for value in ["1.5", "null"] {
        for more in [FREE, ruled, bounded] {
            let with = format!("{rest}{{\"person\":9,\"x\":{value}}}\n{{\"person\":9,\"x\":{value}}}\n");
            let said = read_texts(&[("a.json", &with)], more).unwrap_err();
            assert!(said.contains(&format!("{value} in a.json")) && said.contains("Write the key in all objects"), "{said}");
            assert!(read_texts(&[("a.json", rest)], more).is_err());
        }
    }
    // Another file's header has the column whoever is in it.
    let text = ("a.csv", "person,x,y\n1,1.5,1\n2,2.5,1\n");
    let rest = "{\"person\":3,\"y\":1}\n{\"person\":4,\"y\":1}\n";
    let with = format!("{rest}{{\"person\":9,\"x\":null}}\n");
    let of = |objects: &str, more: &str| read_texts(&[text, ("b.json", objects)], more);
    let both = "columns = { x = {}, y = {} }";
    assert_eq!(of(&with, both).unwrap(), of(rest, both).unwrap());
    // But one with none of the policy's columns is no file of the table.
    assert!(of(&with, FREE).is_err() && of(rest, FREE).is_err());
    // Without the one who is named, nobody would be, and the file would be refused.
    let with = [text, ("b.json", "{\"x\":1.5}\n{\"person\":9,\"x\":1.5}\n")];
    assert!(read_texts(&with, ruled).is_err() && read_texts(&[text, ("b.json", "{\"x\":1.5}\n")], ruled).is_err());
}
