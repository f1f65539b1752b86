//! Results as tables for other tools: Arrow IPC, Parquet, CSV or JSON.

use std::{fs::File, path::Path, sync::Arc};

pub use arrow::array::RecordBatch;
use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Float64Array, StringArray},
    datatypes::{DataType, Field, Float64Type, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use tidegate_protocol::{
    job::Key,
    result::{Cell, ResultDoc},
};

use crate::{
    NodeError, bad_path,
    buyer::{
        answer::Answer,
        telling::{TOO_FEW, Telling},
    },
    error::Cause,
    file_error, unwritable,
};

/// Selector of a number of a cell.
type Part = fn(&Cell) -> f64;

/// Converts a result to a batch, and says of each of its columns whether its numbers are counts.
///
/// Keys are text. Each column has its value, the ends of the noise's 95 % interval, and a note if it may rest on too few rows.
fn batch(result: &ResultDoc, telling: &Telling) -> Result<(RecordBatch, Vec<bool>), arrow::error::ArrowError> {
    let (mut fields, mut columns, mut counts): (Vec<Field>, Vec<ArrayRef>, Vec<bool>) = (vec![], vec![], vec![]);
    for (i, name) in result.keys.iter().enumerate() {
        let text = |key: &Key| match key {
            Key::Null => None,
            Key::Bool(b) => Some(b.to_string()),
            Key::Int(i) => Some(i.to_string()),
            Key::Float(f) => Some(f.to_string()),
            Key::Text(t) => Some(t.clone()),
        };
        fields.push(Field::new(name, DataType::Utf8, true));
        columns.push(Arc::new(result.rows.iter().map(|r| r.key.get(i).and_then(text)).collect::<StringArray>()));
        counts.push(false);
    }
    for (i, name) in result.columns.iter().enumerate() {
        let parts: [(&str, Part); 3] = [("", |c| c.value), ("_low", |c| c.low), ("_high", |c| c.high)];
        for (suffix, part) in parts {
            fields.push(Field::new(format!("{name}{suffix}"), DataType::Float64, true));
            columns.push(Arc::new(result.rows.iter().map(|r| r.cells.get(i).map(part)).collect::<Float64Array>()));
            counts.push(telling.is_count(i));
        }
        if telling.can_be_untold(i) {
            let note = |cell: &Cell| telling.is_too_few(i, cell).then_some(TOO_FEW);
            fields.push(Field::new(format!("{name}_note"), DataType::Utf8, true));
            columns.push(Arc::new(result.rows.iter().map(|r| r.cells.get(i).and_then(note)).collect::<StringArray>()));
            counts.push(false);
        }
    }
    Ok((RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?, counts))
}

/// Endings of the tables that can be written.
const ENDINGS: [&str; 4] = ["csv", "arrow", "parquet", "json"];

/// Returns whether `path` names a table rather than a folder, judging by the extension. A name with a slash at its end is a folder's.
pub fn is_table(path: &Path) -> bool {
    !ends_with_slash(path) && path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e == *known))
}

fn ends_with_slash(path: &Path) -> bool {
    path.to_string_lossy().ends_with(std::path::is_separator)
}

/// Checks that `path` is named as a folder: without an ending, or with a slash at its end. A folder that is there may have any name.
///
/// # Errors
/// [`NodeError::BadPath`], naming the endings of tables.
pub(crate) fn is_folder(path: &Path) -> Result<(), NodeError> {
    if ends_with_slash(path) || path.is_dir() {
        return Ok(());
    }
    let Some(ending) = path.extension() else { return Ok(()) };
    let folder = "a folder's name has no file name extension, or ends with a slash";
    Err(bad_path(
        path,
        match is_table(path) {
            true => format!("has the name of a table, and must be a folder: {folder}"),
            false => format!(
                ".{} is not a supported file name extension of a table. Use .{}; {folder}",
                ending.display(),
                ENDINGS.join(", .")
            ),
        },
    ))
}

/// Writes a result, or the answer computed from it, to `path` in the format of the extension.
///
/// # Errors
/// [`NodeError::Io`].
pub fn write(result: &ResultDoc, telling: &Telling, answer: Option<&Answer>, path: &Path) -> Result<(), NodeError> {
    if path.extension().is_some_and(|e| e == "json") {
        let bytes = match answer {
            Some(answer) => serde_json::to_vec_pretty(&json(answer, telling)),
            None => serde_json::to_vec_pretty(result),
        };
        return std::fs::write(path, bytes.map_err(|e| unwritable(path, e))?).map_err(|e| file_error(path, e));
    }
    let batch = answer.map_or_else(|| batch(result, telling), |answer| answer.batch(telling));
    let (batch, counts) = batch.map_err(|e| unwritable(path, e))?;
    put(&[batch], &counts, path)
}

/// Converts an answer to JSON.
///
/// It has column names, rows of values, rows of intervals (null unless the value is a released one) and rows of notes (null if
/// there is none).
pub fn json(answer: &Answer, telling: &Telling) -> serde_json::Value {
    serde_json::json!({ "columns": answer.columns(), "rows": answer.rows(), "intervals": answer.intervals(), "notes": answer.notes(telling) })
}

/// Formats a line of CSV: NULL is nothing, and an empty text is `""`.
fn line(fields: impl Iterator<Item = Option<String>>) -> String {
    let quoted = |text: &str| text.is_empty() || text.contains([',', '"', '\n', '\r']) || text.trim() != text;
    let field = |text: Option<String>| match text {
        None => String::new(),
        Some(text) if quoted(&text) => format!("\"{}\"", text.replace('"', "\"\"")),
        Some(text) => text,
    };
    fields.map(field).collect::<Vec<_>>().join(",") + "\n"
}

/// Bound below which every whole number is a double of its own.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Returns a whole number of a column of doubles.
fn whole(column: &ArrayRef, row: usize) -> Option<i64> {
    let value = column.as_primitive_opt::<Float64Type>()?.value(row);
    (value.fract() == 0.0 && value.abs() < WHOLE).then_some(value as i64)
}

/// Formats batches as CSV with a header. `counts` says which columns have counts, which are written without decimal places.
fn csv(batches: &[RecordBatch], schema: &Schema, counts: &[bool]) -> Result<String, arrow::error::ArrowError> {
    let mut text = line(schema.fields().iter().map(|field| Some(field.name().clone())));
    let options = FormatOptions::default();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| Ok((column, ArrayFormatter::try_new(column, &options)?)));
        let columns = columns.collect::<Result<Vec<_>, arrow::error::ArrowError>>()?;
        for row in 0..batch.num_rows() {
            text += &line(columns.iter().enumerate().map(|(at, (column, shown))| {
                let count = counts.get(at).is_some_and(|is_count| *is_count).then(|| whole(column, row)).flatten();
                column.is_valid(row).then(|| count.map_or_else(|| shown.value(row).to_string(), |count| count.to_string()))
            }));
        }
    }
    Ok(text)
}

/// Writes batches of a common schema to `path` in the format of the extension.
///
/// # Errors
/// [`NodeError::Io`].
pub fn write_batches(batches: &[RecordBatch], path: &Path) -> Result<(), NodeError> {
    put(batches, &[], path)
}

fn put(batches: &[RecordBatch], counts: &[bool], path: &Path) -> Result<(), NodeError> {
    let written = || -> Result<(), Cause> {
        let schema = batches.first().ok_or("there is nothing to write")?.schema();
        match path.extension().and_then(|e| e.to_str()) {
            Some("arrow") => {
                let mut writer = arrow::ipc::writer::FileWriter::try_new(File::create(path)?, &schema)?;
                batches.iter().try_for_each(|batch| writer.write(batch))?;
                writer.finish()?;
            }
            Some("parquet") => {
                let mut writer = parquet::arrow::ArrowWriter::try_new(File::create(path)?, schema, None)?;
                batches.iter().try_for_each(|batch| writer.write(batch))?;
                writer.close()?;
            }
            Some("csv") => {
                std::fs::write(path, csv(batches, &schema, counts)?)?;
            }
            Some("json") => {
                let mut writer = arrow::json::LineDelimitedWriter::new(File::create(path)?);
                batches.iter().try_for_each(|batch| writer.write(batch))?;
                writer.finish()?;
            }
            _ => return Err("name a file that ends in .arrow, .parquet, .csv or .json".into()),
        }
        Ok(())
    };
    written().map_err(|e| match e.downcast::<std::io::Error>() {
        Ok(e) => file_error(path, *e),
        Err(e) => unwritable(path, e),
    })
}

/// Formats batches as lines of JSON, an object per row without its NULLs, as in files that end in `.json`.
///
/// # Errors
/// [`NodeError::Table`].
pub fn json_lines(batches: &[RecordBatch]) -> Result<String, NodeError> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    batches.iter().try_for_each(|batch| writer.write(batch)).and_then(|()| writer.finish()).map_err(NodeError::Table)?;
    String::from_utf8(writer.into_inner()).map_err(|e| NodeError::Table(arrow::error::ArrowError::ExternalError(e.into())))
}

/// Formats batches as text, a list of values per row: for people. Numbers have no noughts at the end of their decimal places.
///
/// # Errors
/// [`NodeError::Io`].
pub fn texts(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, NodeError> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(NodeError::Table)?;
        let numbers: Vec<_> = batch.columns().iter().map(|column| column.data_type().is_numeric()).collect();
        let text = |(column, is_number): (&ArrayFormatter<'_>, &bool), row| {
            let text = column.value(row).to_string();
            if *is_number { without_noughts(&text).to_owned() } else { text }
        };
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().zip(&numbers).map(|both| text(both, row)).collect()));
    }
    Ok(rows)
}

/// Returns a number's text without noughts at the end of its decimal places.
fn without_noughts(text: &str) -> &str {
    if !text.contains('.') || text.contains(['e', 'E']) {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_an_empty_text_differ_in_csv() {
        let texts = [Some(""), None, Some("a,b"), Some("say \"x\""), Some("NULL"), Some(" b")];
        let numbers = [Some(1.5), None, Some(-0.25), Some(1e300), Some(3.0), Some(f64::INFINITY)];
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("town", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef, true),
            ("n", Arc::new(Float64Array::from(numbers.to_vec())) as ArrayRef, true),
        ])
        .unwrap();
        let text = csv(std::slice::from_ref(&batch), &batch.schema(), &[]).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..5], ["town,n", "\"\",1.5", ",", "\"a,b\",-0.25", "\"say \"\"x\"\"\",1e300"]);
        assert_eq!(lines[5..], ["NULL,3.0", "\" b\",inf"]);
    }

    #[test]
    fn counts_have_no_decimal_places_in_csv() {
        let numbers = [Some(600.0), None, Some(-3.0), Some(0.5), Some(-0.0), Some(1e300)];
        let column = || Arc::new(Float64Array::from(numbers.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([("n", column(), true), ("s", column(), true)]).unwrap();
        let text = csv(std::slice::from_ref(&batch), &batch.schema(), &[true, false]).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, ["n,s", "600,600.0", ",", "-3,-3.0", "0.5,0.5", "0,-0.0", "1e300,1e300"]);
    }

    /// One form for whole numbers of any type; files keep what they have.
    #[test]
    fn numbers_for_people_have_no_noughts_at_their_end() {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(arrow::array::Int64Array::from(vec![1986, 7])) as ArrayRef, true),
            ("x", Arc::new(Float64Array::from(vec![Some(701.0), None])) as ArrayRef, true),
            ("y", Arc::new(Float64Array::from(vec![0.25, 1e300])) as ArrayRef, true),
            ("t", Arc::new(StringArray::from(vec!["1.0", "x."])) as ArrayRef, true),
        ])
        .unwrap();
        assert_eq!(texts(&[batch]).unwrap(), [["1986", "701", "0.25", "1.0"], ["7", "NULL", "1e300", "x."]]);
    }

    #[test]
    fn a_name_is_a_table_s_or_a_folder_s_or_refused() {
        for (name, table, folder) in [
            ("there.csv", true, false),
            ("there.csv/", false, true),
            ("results", false, true),
            ("a.b/results", false, true),
            ("there.xlsx", false, false),
            ("there.CSV", false, false),
            ("there.xlsx/", false, true),
        ] {
            let path = Path::new(name);
            assert_eq!((is_table(path), is_folder(path).is_ok()), (table, folder), "{name}");
        }
        let said = is_folder(Path::new("there.txt")).unwrap_err().to_string();
        assert!(said.contains("there.txt") && said.contains(".csv, .arrow, .parquet, .json"), "{said}");
    }
}
