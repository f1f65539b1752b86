//! What the numbers, dates and last lines of text files are taken for.

use tidegate_catalog::dataset::Profile;

use crate::files::read;

const COLUMNS: &str = "columns = { x = { lo = 0, hi = 9 } }";

fn said(profile: &Profile, words: &str) -> bool {
    profile.notes.iter().any(|note| note.contains(words))
}

/// Numbers have a point before their fractions unless the policy says that it is a comma: no value says it.
#[test]
fn decimal_marks_are_the_owners_word() {
    let comma = "read = { decimal = ',' }";
    let point = "read = { decimal = '.' }";
    for (text, more, right) in [
        ("person;x\n1;1,100\n2;2,250\n", comma, "Float64: 1.1 2.25"),
        ("person;x\n1;1.100\n2;2.250\n", comma, "Int64: 1100 2250"),
        ("person;x\n1;1.100,5\n2;2,25\n", comma, "Float64: 1100.5 2.25"),
        ("person;x\n1;1,100\n2;2,250\n", point, "Int64: 1100 2250"),
        ("person;x\n1;1.100\n2;2.250\n", point, "Float64: 1.1 2.25"),
        ("person;x\n1;1.5\n2;2.25\n", "", "Float64: 1.5 2.25"),
        ("person,x\n1,1.100\n2,2.250\n", "", "Float64: 1.1 2.25"),
        ("person\tx\n1\t1.100\n2\t2.250\n", "", "Float64: 1.1 2.25"),
        ("person;x\n1;1 100\n2;2 000\n3;$5\n", "", "Int64: 1100 2000 5"),
    ] {
        let (profile, found) = read(&[("a.csv", text)], &format!("{more}\n        {COLUMNS}")).unwrap();
        assert_eq!(found, right, "{text}: {:?}", profile.notes);
    }
    // By a comma nothing else is a number.
    let said = read(&[("a.csv", "person;x\n1;1.5\n2;2.25\n")], &format!("{comma}\n        {COLUMNS}"));
    assert!(said.map(|(_, found)| found).unwrap_err().contains("\"1.5\" in line 2 of a.csv"));
}

#[test]
fn a_number_whose_mark_nobody_says_is_refused() {
    for (files, words) in [
        (&[("a.csv", "person;x\n1;7\n2;1,100\n3;1,200\n")][..], &["\"1,100\" in line 3 of a.csv", "is ambiguous"][..]),
        (&[("a.csv", "person;x\n1;1.100\n2;1.200\n")], &["\"1.100\" in line 2 of a.csv"]),
        (&[("a.csv", "person\tx\n1\t1,100\n2\t1,100\n")], &["\"1,100\""]),
        (&[("a.csv", "person;x\n1;1,5\n2;2,25\n")], &["\"1,5\" in line 2 of a.csv has a decimal comma"]),
        (&[("a.csv", "person,x\n1,\"1,100.5\"\n2,\"2,000.5\"\n")], &["\"1,100.5\" in line 2", "[read]: decimal = \".\""]),
        (
            &[("a.csv", "person;x\n1;1,5\n4;2,5\n"), ("b.csv", "person;x\n2;1.5\n3;2.5\n")],
            &["\"1,5\" in line 2 of a.csv has a comma, and other numbers have a point"],
        ),
    ] {
        let said = read(files, COLUMNS).map(|(_, found)| found).unwrap_err();
        assert!(said.contains("`x`") && said.contains("add to the policy, under [read]: "), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

/// Types are the owner's word too, for texts and JSON alike.
#[test]
fn types_are_as_their_owner_says() {
    let columns = "columns = { x = {} }";
    for (file, text, kind, right) in [
        ("a.csv", "person,x\n1,5\n2,6\n", "DOUBLE", Ok("Float64: 5.0 6.0")),
        ("a.csv", "person,x\n1,5\n2,6\n", "TEXT", Ok("Utf8: 5 6")),
        ("a.csv", "person,x\n1,007\n2,NA\n", "BIGINT", Ok("Int64: 7 NULL")),
        ("a.csv", "person,x\n1,7\n2,\n", "DECIMAL", Ok("Decimal128(38, 0): 7 NULL")),
        (
            "a.csv",
            "person,x\n1,true\n2,word\n",
            "BOOLEAN",
            Err("\"word\" in line 3 of a.csv is not BOOLEAN, the type given under [read]"),
        ),
        ("a.csv", "person,x\n1,5\n2,5.5\n", "BIGINT", Err("\"5.5\" in line 3 of a.csv is not BIGINT")),
        ("a.csv", "person,x\n1,5\n2,\"5,5\"\n", "DOUBLE", Err("[read]: decimal")),
        ("a.csv", "person,x\n1,2024-01-01\n2,2024-01-01 10:30\n", "DATE", Err("\"2024-01-01 10:30\" in line 3")),
        (
            "a.csv",
            "person,x\n1,2024-01-01\n2,2024-01-01\n",
            "TIMESTAMP",
            Ok("Timestamp(µs): 2024-01-01T00:00:00 2024-01-01T00:00:00"),
        ),
        ("a.csv", "person,x\n1,2024-01-01 10:30:00.1234567\n2,\n", "TIMESTAMP", Err("not TIMESTAMP")),
        (
            "a.csv",
            "person,x\n1,2024-01-01 10:30:00.1234567\n2,\n",
            "TIMESTAMP(9)",
            Ok("Timestamp(ns): 2024-01-01T10:30:00.123456700 NULL"),
        ),
        ("a.json", "{\"person\": 1, \"x\": 5}\n{\"person\": 2, \"x\": 6.5}\n", "TEXT", Ok("Utf8: 5 6.5")),
        ("a.json", "{\"person\": 1, \"x\": 5}\n{\"person\": 2, \"x\": 6}\n", "DOUBLE", Ok("Float64: 5.0 6.0")),
        (
            "a.json",
            "{\"person\": 1, \"x\": \"2024-01-01\"}\n{\"person\": 2}\n{\"person\": 3, \"x\": \"2024-01-02\"}\n",
            "DATE",
            Ok("Date32: 2024-01-01 NULL 2024-01-02"),
        ),
        ("a.json", "{\"person\": 1, \"x\": 5}\n{\"person\": 2, \"x\": \"word\"}\n", "BIGINT", Err("a.json")),
    ] {
        let found =
            read(&[(file, text)], &format!("read = {{ types = {{ x = '{kind}' }} }}\n        {columns}")).map(|(_, found)| found);
        match right {
            Ok(right) => assert_eq!(found.as_deref(), Ok(right), "{text}"),
            Err(words) => assert!(found.as_ref().is_err_and(|said| said.contains(words)), "{text}: {found:?}"),
        }
    }
}

/// Lines are counted as an editor counts them.
#[test]
fn the_line_of_a_value_is_that_of_the_file() {
    for (text, line) in [
        ("person,x\r\n1,5\r\n2,6\r\n3,odd\r\n", 4),
        ("person,x,n\n1,5,\"a\nb\"\n2,6,\n3,odd,\n", 5),
        ("person,x,n\r\n1,5,\"a\r\nb\"\r\n\r\n2,6,\r\n3,odd,\r\n", 6),
        ("person,x\n1,5\n\n2,6\n\n\n3,odd\n", 7),
    ] {
        let said = read(&[("a.csv", text)], COLUMNS).map(|(_, found)| found).unwrap_err();
        assert!(said.contains(&format!("\"odd\" in line {line} of a.csv")), "{text:?}: {said}");
    }
    let more = format!("read = {{ skip = 1, comment = '#' }}\n        {COLUMNS}");
    let said = read(&[("a.csv", "title\nperson,x\n#n\n1,5\n# o\n2,odd\n")], &more).map(|(_, found)| found).unwrap_err();
    assert!(said.contains("in line 6 of a.csv"), "{said}");
    let said = read(&[("a.csv", "person,x\r\n1,5\r\n2,6,7\r\n")], COLUMNS).map(|(_, found)| found).unwrap_err();
    assert!(said.contains("a.csv: line 3 has 3 values, and the header has 2"), "{said}");
}

/// A last line that sums up the others is no person, and its owner is told so.
#[test]
fn a_last_row_that_looks_like_a_total_is_told_to_the_owner() {
    let words = "looks like a total";
    for (files, where_it_is) in [
        (&[("a.csv", "person,x\nann,5\nbob,6\nTOTAL:,11\n")][..], "\"TOTAL:\" in line 4 of a.csv"),
        (&[("a.csv", "person;x\nann;5\nbob;6\nGesamt;11\n;\n")], "\"Gesamt\" in line 4"),
        (&[("a.csv", "person,x\n1,5\nthe lot,5\n"), ("b.csv", "person,x\n2,5\nthe rest,5\n")], " and 1 more file)"),
    ] {
        let (profile, _) = read(files, COLUMNS).unwrap();
        assert!(said(&profile, words) && said(&profile, where_it_is), "{files:?}: {:?}", profile.notes);
    }
    // Where all others are numbers it alone makes them texts.
    let refused = read(&[("a.csv", "person,x\n1,5\n2,6\neverybody,11\n")], COLUMNS).map(|(_, found)| found).unwrap_err();
    assert!(refused.contains("`person`") && refused.contains("\"everybody\" in line 4 of a.csv"), "{refused}");
    for text in
        ["person,x\nann,5\nbob,6\n", "person,x\n1,5\n2,6\n", "person,x\n1,5\nann,5\n2,6\nbob,6\n", "person,x\ntotal,5\nbob,6\n"]
    {
        let (profile, _) = read(&[("a.csv", text)], COLUMNS).unwrap();
        assert!(!said(&profile, words), "{text}: {:?}", profile.notes);
    }
}

/// Dates that are no ISO dates are texts until their owner says how they are written, and the owner is told so.
#[test]
fn dates_are_read_as_their_owner_says() {
    let columns = "columns = { x = {} }";
    for (text, more, right, words) in [
        (
            "person,x\n1,31/12/2024\n2,1/2/2024\n",
            "",
            "Utf8: 31/12/2024 1/2/2024",
            "(\"31/12/2024\" in line 2 of a.csv) and is read as text. If they are dates, add to the policy, under [read]: dates = \"%d/%m/%Y\"",
        ),
        ("person,x\n1,01/02/2024\n", "", "Utf8: 01/02/2024", "dates = \"%d/%m/%Y\" or dates = \"%m/%d/%Y\""),
        ("person,x\n1,31.12.2024\n", "", "Utf8: 31.12.2024", "%d.%m.%Y"),
        ("person,x\n1,31/12/2024\n2,1/2/2024\n3,NA\n", "%d/%m/%Y", "Date32: 2024-12-31 2024-02-01 NULL", "read as missing"),
        ("person,x\n1,1/2/2024\n2,2024-03-04\n", "%m/%d/%Y", "Date32: 2024-01-02 2024-03-04", "text, a comma"),
        (
            "person,x\n1,2024-02-01 10:30\n2,2024-02-01\n3,2024-02-01 10:30\n",
            "",
            "Timestamp(µs): 2024-02-01T10:30:00 2024-02-01T00:00:00 2024-02-01T10:30:00",
            "text, a comma",
        ),
        ("person,x\n1,1.2.2024 10:30\n", "%d.%m.%Y", "Timestamp(µs): 2024-02-01T10:30:00", "text, a comma"),
        ("person,x\n1,31/12/2024\n", "%m/%d/%Y", "Utf8: 31/12/2024", "dates = \"%d/%m/%Y\""),
    ] {
        let more = if more.is_empty() { String::new() } else { format!("read = {{ dates = '{more}' }}\n        ") };
        let (profile, found) = read(&[("a.csv", text)], &format!("{more}{columns}")).unwrap();
        assert_eq!(found, right, "{text}");
        assert!(said(&profile, words), "{text}: {words}: {:?}", profile.notes);
    }
    let (profile, _) = read(&[("a.csv", "person,x\n1,31/12/2024\n2,soon\n")], columns).unwrap();
    assert!(!said(&profile, "dates"), "{:?}", profile.notes);
}

/// Of several files the one that is meant is named.
#[test]
fn the_file_that_is_wrong_is_named() {
    let odd = "{\"person\": 2, \"x\": [1]}\n{\"person\": 2, \"x\": {\"y\": 1}}\n";
    let said = read(&[("a.json", "{\"person\": 1, \"x\": 5}\n"), ("b.json", odd)], COLUMNS).map(|(_, found)| found).unwrap_err();
    assert!(said.contains("b.json") && !said.contains("a.json"), "{said}");
}

/// An owner of many columns is told of all that are wrong at once, and what columns there are.
#[test]
fn every_column_that_is_wrong_is_named() {
    let columns = "columns = { x = {}, y = {}, z = {} }";
    let csv = "person,x,y,z\n1,1,1,1\n2,2,2,2\n3,3.5,true,3\n";
    let json = "{\"person\":1,\"x\":1,\"y\":2,\"z\":3}\n{\"person\":2,\"x\":1,\"y\":2,\"z\":3}\n{\"person\":3,\"x\":1.5,\"y\":\"a\",\"z\":3}\n";
    for (file, text) in [("a.csv", csv), ("a.json", json)] {
        let said = read(&[(file, text)], columns).map(|(_, found)| found).unwrap_err();
        let lines: Vec<_> = said.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains("column `x`: ") && lines[1].contains("column `y`: "), "{said}");
    }
    let said = read(&[("a.csv", "person,x,other\n1,1,1\n2,2,2\n")], columns).map(|(_, found)| found).unwrap_err();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("column `y`: is in the policy but not in the files. They have other, person, x"), "{said}");
}

/// JSON has no type for days and times: a column of such texts is said to be one, and how to have it read as what it is.
#[test]
fn days_and_times_of_json_are_told_to_the_owner() {
    let columns = "columns = { x = {} }";
    for (first, second, told) in [
        ("\"2024-03-01\"", "\"2024-03-02\"", Some("[read]: types = { x = \"DATE\" }")),
        ("\"2024-03-01T10:20:00\"", "\"2024-03-02\"", Some("[read]: types = { x = \"TIMESTAMP\" }")),
        ("\"2024-03-01T10:20:00\"", "null", Some("(2024-03-01T10:20:00) and is read as text")),
        ("\"2024-03-01\"", "\"soon\"", None),
        ("\"5\"", "\"6\"", None),
        ("5", "6", None),
    ] {
        let json: String =
            (0..4).map(|i| format!("{{\"person\":{i},\"x\":{}}}\n", if i % 2 == 0 { first } else { second })).collect();
        let (profile, _) = read(&[("a.json", &json)], columns).unwrap();
        let looks = profile.notes.iter().find(|note| note.contains("looks like"));
        assert_eq!(looks.is_some(), told.is_some(), "{json}: {:?}", profile.notes);
        assert!(told.is_none_or(|told| said(&profile, told)), "{json}: {looks:?}");
    }
    let (profile, _) = read(
        &[("a.json", "{\"person\":1,\"x\":\"2024-03-01\"}\n{\"person\":2,\"x\":\"2024-03-01\"}")],
        &format!("read = {{ types = {{ x = \"DATE\" }} }}\n        {columns}"),
    )
    .unwrap();
    assert!(!said(&profile, "looks like"), "{:?}", profile.notes);
}

/// A time with an offset is kept in UTC, where its day may be another: its owner is told so.
#[test]
fn times_with_an_offset_are_told_to_the_owner() {
    let (free, ruled) = ("columns = { x = {} }", "read = { types = { x = 'TIMESTAMP' } }\n        columns = { x = {} }");
    let (first, second) = ("2024-03-01 00:00:00+01:00", "2024-03-02 00:00:00+01:00");
    let csv = format!("person,x\n1,{first}\n2,{second}\n");
    let json = format!("{{\"person\":1,\"x\":\"{first}\"}}\n{{\"person\":2,\"x\":\"{second}\"}}\n");
    let right = "Timestamp(µs): 2024-02-29T23:00:00 2024-03-01T23:00:00";
    for (file, text, more, seen) in [
        ("a.csv", &csv, free, "\"2024-03-01 00:00:00+01:00\" in line 2 of a.csv"),
        ("a.csv", &csv, ruled, "in line 2 of a.csv"),
        ("a.json", &json, ruled, "(2024-03-01 00:00:00+01:00)"),
    ] {
        let (profile, found) = read(&[(file, text)], more).unwrap();
        assert_eq!(found, right, "{file}");
        for words in ["column x has times with an offset from UTC", seen, "types = { x = \"TEXT\" }"] {
            assert!(said(&profile, words), "{words}: {:?}", profile.notes);
        }
    }
    for text in [csv.replace("+01:00", "Z"), csv.replace("+01:00", "")] {
        let (profile, _) = read(&[("a.csv", &text)], free).unwrap();
        assert!(!said(&profile, "offset"), "{:?}", profile.notes);
    }
}

/// What the names of folders are taken for, where it may surprise, is told to the owner.
#[test]
fn names_of_folders_that_are_texts_are_told_to_the_owner() {
    for (names, more, right, words) in [
        (
            ["02", "11"],
            "",
            "Utf8: 02 11",
            Some(
                "queries compare it with '02'. To read it as a number, add to the policy, under [read]: types = { x = \"BIGINT\" }",
            ),
        ),
        (["2024-01-08", "2024-01-09"], "", "Utf8: 2024-01-08 2024-01-09", Some("[read]: types = { x = \"DATE\" }")),
        (["2024-01-08", "2024-01-09"], "read = { types = { x = 'DATE' } }", "Date32: 2024-01-08 2024-01-09", None),
        (["2", "11"], "", "Int64: 2 11", None),
        (["north", "south"], "", "Utf8: north south", None),
    ] {
        let files: Vec<_> =
            names.iter().enumerate().map(|(i, name)| (format!("x={name}/a.csv"), format!("person,y\n{i},1\n"))).collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (profile, found) = read(&files, &format!("{more}\n        columns = {{ x = {{}}, y = {{}} }}")).unwrap();
        let mut found: Vec<_> = found.split(' ').collect();
        let mut right: Vec<_> = right.split(' ').collect();
        found.sort_unstable();
        right.sort_unstable();
        assert_eq!(found, right, "{names:?}");
        assert_eq!(said(&profile, "It is TEXT"), words.is_some(), "{names:?}: {:?}", profile.notes);
        assert!(words.is_none_or(|words| said(&profile, words)), "{names:?}: {:?}", profile.notes);
    }
    let files = [("x=02/a.csv", "person,y\n1,1\n"), ("x=11/a.csv", "person,y\n2,1\n")];
    let refused = read(&files, "columns = { x = { lo = 1, hi = 12 }, y = {} }").map(|(_, found)| found).unwrap_err();
    assert!(refused.contains("it is TEXT") && refused.contains("types = { x = \"BIGINT\" }"), "{refused}");
}
