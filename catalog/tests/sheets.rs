//! Workbooks of Excel: their cells are what text files' values are, and damaged ones are errors.

use std::{io::Write as _, path::Path};

use zip::{ZipWriter, write::SimpleFileOptions};

use crate::files::{laid_out, policy};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const MAIN: &str = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

/// A workbook of these sheets, by name, state and rows: of style 1 are dates, of style 2 times.
fn workbook(path: &Path, sheets: &[(&str, &str, &str)], shared: &str) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    let mut part = |name: &str, text: String| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(format!("{HEAD}{text}").as_bytes()).unwrap();
    };
    part(
        "_rels/.rels",
        format!(
            "<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"r\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    );
    let (mut list, mut links) = (String::new(), String::new());
    for (i, (name, state, rows)) in sheets.iter().enumerate() {
        list += &format!("<sheet name=\"{name}\" sheetId=\"{}\" state=\"{state}\" r:id=\"r{i}\"/>", i + 1);
        links += &format!("<Relationship Id=\"r{i}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{i}.xml\"/>");
        part(&format!("xl/worksheets/sheet{i}.xml"), format!("<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"));
    }
    links += &format!(
        "<Relationship Id=\"s\" Type=\"{OFFICE}/styles\" Target=\"styles.xml\"/><Relationship Id=\"t\" Type=\"{OFFICE}/sharedStrings\" \
         Target=\"sharedStrings.xml\"/>"
    );
    part("xl/workbook.xml", format!("<workbook {MAIN} xmlns:r=\"{OFFICE}\"><sheets>{list}</sheets></workbook>"));
    part("xl/_rels/workbook.xml.rels", format!("<Relationships xmlns=\"{PACKAGE}\">{links}</Relationships>"));
    part(
        "xl/styles.xml",
        format!(
            "<styleSheet {MAIN}><cellXfs count=\"3\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"22\"/></cellXfs></styleSheet>"
        ),
    );
    part("xl/sharedStrings.xml", shared.to_owned());
    zip.finish().unwrap();
}

const SHARED: &str = "<sst uniqueCount=\"2\"><si><t>person</t></si><si><t>x</t></si></sst>";

/// Rows of cells: a text, a number, `type=value`, or a formula without a value.
fn rows(rows: &[&[&str]]) -> String {
    let cell = |(column, text): (usize, &&str), row: usize| {
        let at = format!("r=\"{}{row}\"", char::from(b'A' + column as u8));
        match text.split_once('=') {
            _ if text.is_empty() => String::new(),
            Some(("s", style)) => {
                let (style, value) = style.split_once(':').unwrap();
                format!("<c {at} s=\"{style}\"><v>{value}</v></c>")
            }
            Some(("f", formula)) => format!("<c {at}><f>{formula}</f><v/></c>"),
            Some((kind, value)) => format!("<c {at} t=\"{kind}\"><v>{value}</v></c>"),
            None if text.parse::<f64>().is_ok() => format!("<c {at}><v>{text}</v></c>"),
            None => format!("<c {at} t=\"inlineStr\"><is><t>{text}</t></is></c>"),
        }
    };
    let row = |(i, cells): (usize, &&[&str])| {
        let cells: String = cells.iter().enumerate().map(|one| cell(one, i + 1)).collect();
        format!("<row r=\"{}\">{cells}</row>", i + 1)
    };
    rows.iter().enumerate().map(row).collect()
}

fn read(sheets: &[(&str, &str, &str)], more: &str) -> Result<(Vec<String>, String), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.xlsx");
    workbook(&path, sheets, SHARED);
    let (profile, rows) = laid_out(&[path], &policy(more))?;
    let x = rows.column_by_name("x").unwrap();
    let shown = |i| if x.is_null(i) { "NULL".into() } else { arrow::util::display::array_value_to_string(x, i).unwrap() };
    Ok((profile.notes, format!("{}: {}", x.data_type(), (0..x.len()).map(shown).collect::<Vec<_>>().join(" "))))
}

#[test]
fn cells_are_read_as_text_is() {
    let (free, bounded) = ("columns = { x = {} }", "columns = { x = { lo = 0, hi = 9 } }");
    for (cells, more, right) in [
        (&[&["s=0:1", "s=0:2"][..], &["s=0:3", ""], &["s=0:4", "s=0:7"]][..], free, "Int64: 2 NULL 7"),
        (&[&["1", "1.234"], &["2", "1e3"], &["3", "2.5"]], free, "Float64: 1.234 1000.0 2.5"),
        // A number has its own point, whatever the owner's texts have.
        (&[&["1", "1.234"], &["2", "2.5"]], "read = { decimal = ',' }\n        columns = { x = {} }", "Float64: 1.234 2.5"),
        (&[&["1", "1,5"], &["2", "2,25"]], "read = { decimal = ',' }\n        columns = { x = {} }", "Float64: 1.5 2.25"),
        (&[&["1", "b=1"], &["2", "b=0"]], free, "Boolean: true false"),
        (&[&["1", "s=1:44317"], &["2", "s=1:2958465"]], free, "Date32: 2021-05-01 9999-12-31"),
        (
            &[&["1", "s=2:44317.4375"], &["2", "s=1:44317"], &["3", "s=2:44317.4375"]],
            free,
            "Timestamp(µs): 2021-05-01T10:30:00 2021-05-01T00:00:00 2021-05-01T10:30:00",
        ),
        (&[&["1", "str=$5"], &["2", "e=#N/A"], &["3", "str=$6"]], bounded, "Int64: 5 NULL 6"),
        (&[&["1", "a, \"b\""], &["2", "two&#10;lines"]], free, "Utf8: a, \"b\" two\nlines"),
        (&[&["1", "007"], &["2", "str=007"], &["3", "word"]], free, "Utf8: 7 007 word"),
        (&[&["1", "1.5"], &["2", "word"], &["3", "words"]], free, "Utf8: 1.5 word words"),
        (
            &[&["1", "1.5"], &["2", "word"], &["3", "words"]],
            "read = { decimal = ',' }\n        columns = { x = {} }",
            "Utf8: 1.5 word words",
        ),
        (&[&["", ""], &["1", "5"], &["", ""]], free, "Int64: 5"),
    ] {
        let cells: Vec<&[&str]> = std::iter::once(&["person", "x"][..]).chain(cells.iter().copied()).collect();
        let found = read(&[("data", "visible", &rows(&cells))], more).map(|(_, found)| found);
        assert_eq!(found.as_deref(), Ok(right), "{cells:?}");
    }
}

#[test]
fn the_sheet_that_has_the_columns_is_read_and_said() {
    let (data, other) = (rows(&[&["Report"], &[], &["person", "x"], &["1", "5"]]), rows(&[&["name", "y"], &["1", "5"]]));
    let skip = "read = { skip = 2 }\n        columns = { x = {} }";
    let (notes, found) = read(&[("notes", "visible", &other), ("data", "visible", &data)], skip).unwrap();
    assert_eq!(found, "Int64: 5");
    assert!(notes.iter().any(|note| note == "a.xlsx: a workbook, sheet \"data\", chosen from 2 by its header"), "{notes:?}");
    for (sheets, words) in [
        (&[("data", "hidden", data.as_str())][..], &["a.xlsx", "no visible sheet"][..]),
        (
            &[("data", "visible", &rows(&[&["person", "x"], &["1", "5"], &["2", "two\nlines"], &[], &["3", "odd"]]))],
            &["`x`", "row 3"],
        ),
        (
            &[("data", "visible", &rows(&[&["person", "x", "t"], &["1", "5", "two&#10;lines"], &[], &["3", "odd"]]))],
            &["\"odd\" in row 4 of a.xlsx"],
        ),
        (&[("data", "visible", &rows(&[&["person", "x"], &["1", "e=#DIV/0!"]]))], &["`x`", "\"#DIV/0!\" in row 2"]),
        (&[("data", "visible", &rows(&[&["person", "x"], &["1", "5", "6"]]))], &["row 2 has 3 values, and the header has 2"]),
        (&[("data", "visible", "<row r=\"4294967295\"><c r=\"A4294967295\"><v>1</v></c></row>")], &["a.xlsx"]),
        (
            &[("data", "visible", "<row r=\"2\"><c r=\"B2\"><v>1</v></c><c r=\"A2\"><v>1</v></c></row>")],
            &["a.xlsx", "out of order"],
        ),
    ] {
        let said = read(sheets, "columns = { x = { lo = 0, hi = 9 } }").map(|(_, found)| found).unwrap_err();
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

/// A program that writes formulas without computing them leaves cells that look empty: their owner is told how many.
#[test]
fn formulas_without_a_value_are_told_to_the_owner() {
    let bounded = "columns = { x = { lo = 0, hi = 9 } }";
    let sheet = rows(&[&["person", "x", "y"], &["1", "f=1+1", "f=1"], &["2", "f=A3*2", "1"], &["3", "", "1"]]);
    let (notes, found) = read(&[("data", "visible", &sheet)], bounded).unwrap();
    assert_eq!(found, "Float64: NULL NULL NULL");
    let of_formulas: Vec<_> = notes.iter().filter(|note| note.contains("stored value")).collect();
    assert!(
        of_formulas.len() == 1 && of_formulas[0].starts_with("column x: 2 formulas have no stored value in a.xlsx"),
        "{notes:?}"
    );
    let (notes, found) = read(&[("data", "visible", &sheet.replace("<v/>", "<v>4</v>"))], bounded).unwrap();
    assert_eq!(found, "Int64: 4 4 NULL");
    assert!(!notes.iter().any(|note| note.contains("stored value")), "{notes:?}");
}

#[test]
fn what_claims_more_than_there_is_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.xlsx");
    let said = |path: &Path| laid_out(&[path.to_owned()], &policy("columns = { x = {} }")).map(|_| ()).unwrap_err();
    let sheet = rows(&[&["person", "x"], &["1", "5"]]);
    workbook(&path, &[("data", "visible", &sheet)], &SHARED.replace("\"2\"", "\"999999999999\""));
    assert!(said(&path).contains("more texts than it can have"), "{}", said(&path));
    // What is said of the size of a part, in the list at the end.
    workbook(&path, &[("data", "visible", &sheet)], SHARED);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    bytes[at + 24..at + 28].copy_from_slice(&(2u32 << 30).to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(said(&path).contains("more than 1 GiB"), "{}", said(&path));
}

/// Parts of a workbook with flipped bits, packed as if nothing were wrong with them.
#[test]
fn damaged_parts_are_errors_or_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.xlsx");
    let good =
        rows(&[&["person", "x"], &["1", "s=1:44317"], &["2", "b=1"], &["3", "word"], &["s=0:4", "e=#N/A"], &["5", "n=1.5"]]);
    let mut draw = 7u64;
    let mut next = |below: usize| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) as usize % below
    };
    for i in 0..600 {
        let (mut sheet, mut shared) = (good.clone().into_bytes(), SHARED.as_bytes().to_vec());
        let of = if i % 4 == 0 { &mut shared } else { &mut sheet };
        let at = next(of.len());
        of[at] = if i % 3 == 0 { b"0123456789<>/\"= "[next(16)] } else { of[at] ^ (1 << next(7)) };
        let (Ok(sheet), Ok(shared)) = (String::from_utf8(sheet), String::from_utf8(shared)) else { continue };
        workbook(&path, &[("data", "visible", &sheet)], &shared);
        if let Err(said) = laid_out(std::slice::from_ref(&path), &policy("columns = { x = {} }")) {
            assert!(said.contains("a.xlsx") || said.contains("column"), "{said}: {sheet}");
        }
    }
}
