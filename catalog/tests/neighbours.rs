//! Datasets with and without one person: the others' rows are read alike, or those with the person are refused, with what to add to the policy.

use std::path::Path;

use arrow::{
    array::{Array as _, RecordBatch},
    util::display::array_value_to_string,
};

use tidegate_catalog::dataset;

use crate::files::{laid_out, policy};

/// Types of the columns, and the rows of all but one person, in order.
pub(crate) type Read = (Vec<(String, String)>, Vec<String>);

fn of_others(rows: &RecordBatch, who: &str) -> Vec<String> {
    let row = |row: usize| -> Vec<String> {
        let value = |column| {
            if rows.column(column).is_null(row) {
                "NULL".into()
            } else {
                array_value_to_string(rows.column(column), row).unwrap()
            }
        };
        (0..rows.num_columns()).map(value).collect()
    };
    let mut others: Vec<_> = (0..rows.num_rows()).map(row).filter(|row| row[0] != who).map(|row| row.join("|")).collect();
    others.sort();
    others
}

/// Reads files of which person 9 has some rows.
pub(crate) fn read(files: &[(&str, &[u8])], more: &str) -> Result<Read, String> {
    read_but(files, more, "9")
}

/// Reads files of which a person has some rows: what there is but of that person.
pub(crate) fn read_but(files: &[(&str, &[u8])], more: &str, who: &str) -> Result<Read, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let given = if let [(name, _)] = files { dir.path().join(Path::new(name)) } else { dir.path().to_owned() };
    let (profile, rows) = laid_out(&[given], &policy(more))?;
    Ok((profile.schema.into_iter().map(|column| (column.name, column.arrow)).collect(), of_others(&rows, who)))
}

/// A file's text with person 9's rows, which are marked by `@` at their beginning, and without.
pub(crate) fn both(text: &str) -> (String, String) {
    let without: String = text.split_inclusive('\n').filter(|line| !line.starts_with('@')).collect();
    (text.replace('@', ""), without)
}

pub(crate) const FREE: &str = "columns = { x = {} }";

/// What one person's value decided before: now it is refused, with the very line that says how it is meant.
#[test]
fn what_one_person_would_decide_is_refused_with_what_to_add() {
    let bounded = "columns = { x = { lo = 0, hi = 9 } }";
    let mut wrong = Vec::new();
    for (text, more, words) in [
        // The decimal mark of all others' numbers.
        ("person;x\n1;1.100\n2;2.250\n@9;1,5\n", FREE, &["line 4", "[read]: decimal = \",\""][..]),
        ("person;x;y\n1;1,100;7\n2;2,250;7\n@9;3,000;1,5\n", FREE, &["line 2", "[read]: decimal = \",\" (or decimal = \".\")"]),
        ("person;x\n1;1.100\n2;2.250\n@9;1.5\n", FREE, &["\"1.5\" in line 4", "of one privacy unit", "[read]: decimal = \".\""]),
        (
            "person,x\n1,\"1,100\"\n2,\"2,250\"\n@9,\"1,100.5\"\n",
            FREE,
            &["\"1,100\" in line 2", "a decimal point", "[read]: decimal = \".\""],
        ),
        // Types.
        ("person,x\n1,1\n2,2\n@9,1.5\n", FREE, &["\"1.5\" in line 4", "it is BIGINT", "[read]: types = { x = \"DOUBLE\" }"]),
        ("person,x\n1,1\n2,2\n@9,1.5\n", bounded, &["it is BIGINT", "[read]: types = { x = \"DOUBLE\" }"]),
        ("person,x\n1,1\n2,2\n@9,word\n", FREE, &["it is BIGINT", "[read]: types = { x = \"TEXT\" }"]),
        ("person,x\n1,1\n2,2\n@9,word\n", bounded, &["\"word\" in line 4", "[read]: nulls = [\"word\"]"]),
        ("person,x\n1,1\n2,2\n@9,99999999999999999999\n", FREE, &["[read]: types = { x = \"DECIMAL\" }"]),
        ("person,x\n1,1\n2,NA\n@9,007\n", FREE, &["\"007\" in line 4", "it is BIGINT", "[read]: types = { x = \"TEXT\" }"]),
        ("person,x\n1,true\n2,false\n@9,0\n", FREE, &["it is BOOLEAN", "[read]: types = { x = \"TEXT\" }"]),
        ("person,x\n1,2024-01-01\n2,2024-01-02\n@9,2024-01-02 10:30\n", FREE, &["it is DATE", "types = { x = \"TIMESTAMP\" }"]),
        ("person,x\n1,2024-01-01\n2,2024-01-02\n@9,soon\n", FREE, &["it is DATE", "[read]: types = { x = \"TEXT\" }"]),
        (
            "person,x\n1,2024-01-01 10:30\n2,2024-01-02 10:30\n@9,2024-01-02 10:30:00.1234567\n",
            FREE,
            &["it is TIMESTAMP, ", "[read]: types = { x = \"TIMESTAMP(9)\" }"],
        ),
        // Where nobody else has a value, others' words for missing ones would be words.
        ("person,x\n1,-\n2,-\n@9,word\n", FREE, &["it has no values", "[read]: types = { x = \"TEXT\" }"]),
        ("person,x\n1,\n2,\n@9,5\n", FREE, &["it has no values", "[read]: types = { x = \"BIGINT\" }"]),
        // Two rows of one person are still one person's.
        ("person,x\n1,1\n2,2\n@9,1.5\n@9,2.5\n@9,3.5\n", FREE, &["types = { x = \"DOUBLE\" }"]),
        // Quotes.
        ("person,t,x\n1,a,1\n@9,\"b,2\n2,c,2\n3,d,3\n", FREE, &["line 3, column t", "[read]: multiline = true"]),
        ("person,t,x\n1,a,1\n@9,\"b,2\n2,,2\n@9,c\",3\n", FREE, &["line 3, column t", "[read]: multiline = true"]),
        ("person,t,x\n1,a,1\n@9,\"b,2\n2,\"c\",2\n3,\"d\",3\n", FREE, &["line 4, column t", "text after a closing quote"]),
        ("person,t,x\n1,5'11\",1\n@9,\"tall,1\n2,6'1\",2\n", FREE, &["line 2, column t", "a quote within an unquoted value"]),
        ("person,x,t\n1,1,a\n2,2,b\n@9,3,\"c\n", FREE, &["line 4, column t", "never closed", "[read]: quote"]),
        ("person,t,x\n1,a,1\n@9,\"b\"b,2\n2,c,2\n", FREE, &["line 3, column t", "text after a closing quote"]),
    ] {
        let (with, without) = both(text);
        let of = |text: &str, more: &str| read(&[("a.csv", text.as_bytes())], more);
        let said = of(&with, more).err().unwrap_or_default();
        if !words.iter().all(|word| said.contains(word)) {
            wrong.push(format!("{text}: {said:?}"));
        }
        // By what is said to add both are read alike.
        if let Some(types) = said.split("[read]: ").nth(1).filter(|add| add.starts_with("types")) {
            let ruled = format!("read = {{ {} }}\n        {more}", types.replace('"', "'"));
            let (with, without) = (of(&with, &ruled), of(&without, &ruled));
            if with.is_err() || with != without {
                wrong.push(format!("{text} with {types}: {with:?} for {without:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Over several files, formats and spellings, the others' rows are read alike with one person and without, or not at all with.
#[test]
fn one_person_decides_nothing_over_several_files() {
    let many = "{\"person\": 1, \"x\": 1}\n{\"person\": 2, \"x\": 2}\n";
    let bounded = "columns = { x = { lo = 0, hi = 9 } }";
    let read_as = "read = { comment = '#' }\n        columns = { x = {} }";
    let pairs: [(&[(&str, &str)], &str); 7] = [
        (&[("a.csv", "person,x\n@9,99999999999999999991\n1,99999999999999999992\n2,0071\n3,0072\n4,5\n5,6\n")], FREE),
        (&[("a.ndjson", many), ("b.csv", "person,x\n@9,1.5\n")], FREE),
        (
            &[("a.csv", "person,x\n1,1\n2,2\n"), ("b.ndjson", "{\"person\": null, \"x\": 3}\n@{\"person\": 9, \"x\": 1.5}\n")],
            FREE,
        ),
        (&[("a.ndjson", many), ("b.csv", "person,x\n5,\n6,\n@9,1.5\n")], bounded),
        (
            &[("a.ndjson", "{\"person\": \"a\", \"x\": 1}\n{\"person\": \"b\", \"x\": 2}\n@{\"person\": true, \"x\": 1.5}\n")],
            FREE,
        ),
        (&[("a.csv", "person,x\n$1,1\n$2,2\n3,3\n@9,1.5\n@$9,1.5\n")], FREE),
        (&[("a.csv", "person,x,t\n1,1,a\n@# \r\"\n@9,1,\",1\n2,2,b\n3,3,c\n@9,\",1\n@# \r\"\n4,4,d\n")], read_as),
    ];
    for (files, more) in pairs {
        let of = |without: bool| {
            let text = |text: &str| if without { both(text).1 } else { both(text).0 };
            let texts: Vec<_> = files.iter().map(|(name, of)| (*name, text(of))).collect();
            read(&texts.iter().map(|(name, text)| (*name, text.as_bytes())).collect::<Vec<_>>(), more)
        };
        let (with, without) = (of(false), of(true));
        assert!(without.is_ok(), "{files:?}: {without:?}");
        assert!(with.is_err() || with == without, "{files:?}: {with:?} for {without:?}");
    }
}

/// Texts of JSON that its owner says are numbers are read as they are in a text file.
#[test]
fn objects_have_words_for_missing_values_too() {
    let text = "{\"person\": 1, \"x\": \"NA\"}\n{\"person\": 2, \"x\": 1.5}\n{\"person\": 3, \"x\": \"-\"}\n{\"person\": 4, \"x\": \"2\"}\n";
    let bounded = "columns = { x = { lo = 0, hi = 9 } }";
    let of = |text: &str, more: &str| read(&[("a.ndjson", text.as_bytes())], more);
    let said = of(text, bounded).unwrap_err();
    assert!(said.contains("under [read]: types = { \"x\" = \"DOUBLE\" }"), "{said}");
    let ruled = format!("read = {{ types = {{ \"x\" = \"DOUBLE\" }} }}\n        {bounded}");
    let (types, rows) = of(text, &ruled).unwrap();
    assert_eq!((types[1].1.as_str(), rows), ("Float64", ["1|NULL", "2|1.5", "3|NULL", "4|2.0"].map(str::to_owned).to_vec()));
    let said = of(&text.replace("NA", "soon"), &ruled).unwrap_err();
    assert!(said.contains("\"soon\" in a.ndjson is not DOUBLE") && said.contains("nulls = [\"soon\"]"), "{said}");
    assert!(of(&text.replace("\"2\"", "\"2,5\""), &ruled).is_err());
}

/// A byte that is not UTF-8 says nothing of the others' characters.
#[test]
fn characters_are_not_known_by_one_persons() {
    let read = |bytes: &[u8], more: &str| read(&[("a.csv", bytes)], more);
    let (with, without) = (b"person,x\n1,caf\xc3\xa9\n2,b\n9,caf\xe9\n".as_slice(), b"person,x\n1,caf\xc3\xa9\n2,b\n".as_slice());
    let said = read(with, FREE).unwrap_err();
    for words in ["line 4, column x", "0xE9", "add to the policy, under [read]: encoding = \"windows-1252\""] {
        assert!(said.contains(words), "{said}");
    }
    let western = format!("read = {{ encoding = 'windows-1252' }}\n        {FREE}");
    let found = read(with, &western).unwrap();
    assert_eq!(found, read(without, &western).unwrap());
    assert!(found.1.contains(&"1|cafÃ©".to_owned()), "{found:?}");
    // Nor what nobody reads.
    assert!(read(b"person,t,x\n1,caf\xe9,1\n2,b,2\n", FREE).is_ok());
    // UTF-16 says what it is by its mark, or its owner does.
    let wide = |mark: bool| {
        mark.then_some(0xfeff)
            .into_iter()
            .chain("person,x\n1,caf\u{e9}\n2,b\n".encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>()
    };
    assert!(read(&wide(true), FREE).is_ok());
    assert!(read(&wide(false), FREE).unwrap_err().contains("add to the policy, under [read]: encoding = \"utf16\""));
    let mut odd = wide(true);
    odd.extend([0x39, 0, b',', 0, 0x00, 0xd8, b'\n', 0]);
    assert!(read(&odd, FREE).unwrap_err().contains("UTF-16"));
}

/// What stands between values follows from the header.
#[test]
fn rows_do_not_say_what_stands_between_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let columns = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let schema = dataset::open(&path).map_err(|e| e.to_string())?.schema();
        Ok::<_, String>(schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>())
    };
    // By its rows it would be a comma without the last of them, and a semicolon with it.
    assert_eq!(columns("a,b;c\n1,1;1\n2,2;2\n").unwrap(), ["a", "b;c"]);
    assert!(columns("a,b;c\n1,1;1\n2,2;2\n3,4,5;6\n").unwrap_err().contains("line 4 has 3 values, and the header has 2"));
}

#[test]
fn objects_of_one_person_do_not_say_types() {
    let rest = "{\"person\": 1, \"x\": 1}\n{\"person\": 2, \"x\": 2}\n";
    for (odd, words) in [("1.5", "DOUBLE"), ("\"word\"", "TEXT"), ("true", "TEXT")] {
        let with = format!("{rest}{{\"person\": 9, \"x\": {odd}}}\n{{\"person\": 9, \"x\": {odd}}}\n");
        let said = read(&[("a.json", with.as_bytes())], FREE).unwrap_err();
        let words = format!(
            "it is BIGINT, so that its type would disclose that privacy unit. Correct the file, or add to the policy, under [read]: types = {{ x = \"{words}\" }}"
        );
        assert!(said.contains(&words) && said.contains("a.json"), "{said}");
    }
    let one_by_one = [("a.json", rest.as_bytes()), ("b.json", b"{\"person\": 9, \"x\": 1.5}\n".as_slice())];
    assert!(read(&one_by_one, FREE).unwrap_err().contains("1.5 in b.json"));
}

/// A draw of chance that is the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    pub(crate) fn of<'a, T: ?Sized>(&mut self, some: &[&'a T]) -> &'a T {
        some[self.below(some.len())]
    }

    fn value(&mut self, kind: &str) -> String {
        if self.below(8) == 0 {
            return String::new();
        }
        match kind {
            "whole" => self.below(1000).to_string(),
            "number" => format!("{}.{:02}", self.below(1000), self.below(100)),
            "day" => format!("20{:02}-{:02}-{:02}", self.below(30), 1 + self.below(12), 1 + self.below(28)),
            "time" => {
                format!("2024-{:02}-{:02} {:02}:30:{:02}", 1 + self.below(12), 1 + self.below(28), self.below(24), self.below(60))
            }
            "flag" => self.of(&["true", "false"]).to_owned(),
            _ => self.of(&["north", "a, b", "say \"hi\"", "two\nlines, or more", "süd", "x;y|z", "NA", "1 and 2"]).to_owned(),
        }
    }
}

const KINDS: [&str; 6] = ["whole", "number", "day", "time", "flag", "text"];
const ODD: [&str; 18] = [
    "1,5",
    "1.5",
    "1.234",
    "007",
    "word",
    "\"",
    "\"word",
    "wo\"rd",
    "\"a\"b",
    "2024-01-01 10:30:00.1234567",
    "NA",
    "-",
    "true",
    "99999999999999999999",
    "\u{e9}",
    "$5",
    "1e999",
    "a\rb",
];

struct Written {
    delimiter: char,
    line: &'static str,
    wide: bool,
}

impl Written {
    fn value(&self, value: &str) -> String {
        let quoted = value.contains([self.delimiter, '"', '\n']);
        if quoted { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.to_owned() }
    }

    /// A file of lines, where each says whose it is; `odd` stands as it is in place of a value of person 9.
    fn file(&self, rows: &[(usize, Vec<String>)], without: bool, odd: Option<(usize, &str)>) -> Vec<u8> {
        let names = std::iter::once("person").chain(KINDS);
        let mut text = names.collect::<Vec<_>>().join(&self.delimiter.to_string()) + self.line;
        for (person, values) in rows.iter().filter(|(person, _)| !(without && *person == 9)) {
            text += &person.to_string();
            for (at, value) in values.iter().enumerate() {
                text.push(self.delimiter);
                match odd {
                    Some((column, odd)) if *person == 9 && column == at => text += odd,
                    _ => text += &self.value(value),
                }
            }
            text += self.line;
        }
        match self.wide {
            true => std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            false => text.into_bytes(),
        }
    }
}

/// Tidy files need no word of their owner, and are read alike whoever is in them; what is odd of one person is refused, or is read and changes no other's.
#[test]
fn whoever_is_in_a_file_the_others_are_read_alike() {
    let columns: Vec<_> = KINDS.iter().map(|kind| format!("{kind} = {{}}")).collect();
    let more = format!("columns = {{ {} }}", columns.join(", "));
    let mut dice = Dice(31);
    let (mut refused, mut taken) = (0, 0);
    for round in 0..150 {
        let written =
            Written { delimiter: [',', ';', '\t', '|'][dice.below(4)], line: dice.of(&["\n", "\r\n"]), wide: dice.below(4) == 0 };
        let people = 20 + dice.below(30);
        let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
        for person in 1..=people {
            for _ in 0..1 + dice.below(3) {
                rows.push((person, KINDS.iter().map(|kind| dice.value(kind)).collect()));
            }
        }
        let read = |bytes: &[u8]| read(&[("a.csv", bytes)], &more);
        let without = read(&written.file(&rows, true, None)).unwrap_or_else(|said| panic!("round {round}: {said}"));
        let with = read(&written.file(&rows, false, None)).unwrap_or_else(|said| panic!("round {round}: {said}"));
        assert_eq!(with, without, "round {round}");
        let odd = (dice.below(KINDS.len()), ODD[dice.below(ODD.len())]);
        match read(&written.file(&rows, false, Some(odd))) {
            Err(_) => refused += 1,
            Ok(found) => {
                assert_eq!(found, without, "round {round}: {odd:?}");
                taken += 1;
            }
        }
    }
    assert!(refused > 40 && taken > 20, "{refused} were refused, {taken} taken");
}
