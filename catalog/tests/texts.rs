//! What the numbers, dates and last lines of text files are taken for.

use tidegate_catalog::dataset::Profile;

use crate::files::read;

const COLUMNS: &str = "columns = { x = { lo = 0, hi = 9 } }";

fn said(profile: &Profile, words: &str) -> bool {
    profile.notes.iter().any(|note| note.contains(words))
}

/// Columns that the policy leaves out say how a file's numbers are written, and each file says it for itself.
#[test]
fn decimal_marks_are_known_by_all_columns_of_a_file() {
    for (files, more, right) in [
        (&[("a.csv", "person;x;y\n1;1,100;1,5\n2;2,250;3,25\n")][..], "", "Float64: 1.1 2.25"),
        (&[("a.csv", "person;x;y\n1;1,100;1.5\n2;2,250;3.25\n")], "", "Int64: 1100 2250"),
        // What programs write is written otherwise where a comma is before fractions.
        (&[("a.csv", "person;x;y\n1;1.100;1,5\n2;2.250;3,25\n")], "", "Int64: 1100 2250"),
        (&[("a.csv", "person;x\n1;0,125\n2;2,250\n")], "", "Float64: 0.125 2.25"),
        (&[("a.csv", "person;x\n1;0.125\n2;2.250\n")], "", "Float64: 0.125 2.25"),
        (&[("a.csv", "person;x\n1;1,100\n2;2,250\n")], "read = { decimal = ',' }", "Float64: 1.1 2.25"),
        (&[("a.csv", "person;x\n1;1,100\n2;2,250\n")], "read = { decimal = '.' }", "Int64: 1100 2250"),
        (&[("a.csv", "person,x\n1,1.100\n2,2.250\n")], "", "Float64: 1.1 2.25"),
        (&[("a.csv", "person;x\n1;1 100\n2;$5\n")], "", "Int64: 1100 5"),
        (
            &[("de.csv", "person;x;y\n1;1.100;1,5\n2;1,5;2\n"), ("en.csv", "person;x;y\n3;1,100;1.5\n4;1.5;2\n")],
            "",
            "Float64: 1100.0 1.5 1100.0 1.5",
        ),
        (&[("a.csv", "person;x;y\n1;1,100;1,5\n"), ("b.csv", "person;x\n2;2,250\n")], "", "Float64: 1.1 2.25"),
    ] {
        let (profile, found) = read(files, &format!("{more}\n        {COLUMNS}")).unwrap();
        assert_eq!(found, right, "{files:?}: {:?}", profile.notes);
    }
}

#[test]
fn a_number_that_may_be_a_thousand_times_another_is_refused() {
    for (files, words) in [
        (&[("a.csv", "person;x\n1;7\n2;1,100\n")][..], &["\"1,100\" in line 3 of a.csv", "nothing else in the file"][..]),
        (&[("a.csv", "person;x\n1;1.100\n")], &["\"1.100\" in line 2 of a.csv"]),
        (&[("a.csv", "person\tx\n1\t1,100\n")], &["\"1,100\""]),
        (&[("a.csv", "person;x;y;z\n1;1,100;1,5;1.5\n")], &["\"1,100\"", "other columns"]),
        (
            &[("a.csv", "person;x;y\n1;1,5;1,5\n"), ("b.csv", "person;x;y\n2;1.5;1.5\n"), ("c.csv", "person;x\n3;1,100\n")],
            &["\"1,100\" in line 2 of c.csv", "other files"],
        ),
    ] {
        let said = read(files, COLUMNS).map(|(_, found)| found).unwrap_err();
        assert!(said.contains("`x`") && said.contains("decimal = \",\""), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
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
        (&[("a.csv", "person;x\n1;5\n2;6\nGesamt;11\n;\n")], "\"Gesamt\" in line 4"),
        (&[("a.csv", "person,x\n1,5\n2,6\neverybody,11\n")], "\"everybody\" in line 4"),
        (&[("a.csv", "person,x\n1,5\nthe lot,5\n"), ("b.csv", "person,x\n2,5\nthe lot,5\n")], "1 more files"),
    ] {
        let (profile, _) = read(files, COLUMNS).unwrap();
        assert!(said(&profile, words) && said(&profile, where_it_is), "{files:?}: {:?}", profile.notes);
    }
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
            "(\"31/12/2024\" in line 2 of a.csv) and is read as text. Where they are dates, write dates = \"%d/%m/%Y\" below",
        ),
        ("person,x\n1,01/02/2024\n", "", "Utf8: 01/02/2024", "dates = \"%d/%m/%Y\" or dates = \"%m/%d/%Y\""),
        ("person,x\n1,31.12.2024\n", "", "Utf8: 31.12.2024", "%d.%m.%Y"),
        ("person,x\n1,31/12/2024\n2,1/2/2024\n3,NA\n", "%d/%m/%Y", "Date32: 2024-12-31 2024-02-01 NULL", "taken as missing"),
        ("person,x\n1,1/2/2024\n2,2024-03-04\n", "%m/%d/%Y", "Date32: 2024-01-02 2024-03-04", "text, a comma"),
        (
            "person,x\n1,2024-02-01 10:30\n2,2024-02-01\n",
            "",
            "Timestamp(s): 2024-02-01T10:30:00 2024-02-01T00:00:00",
            "text, a comma",
        ),
        ("person,x\n1,1.2.2024 10:30\n", "%d.%m.%Y", "Timestamp(s): 2024-02-01T10:30:00", "text, a comma"),
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
