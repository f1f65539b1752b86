//! A result as a table that other tools read: Arrow IPC, Parquet, CSV or JSON.

use std::{fs::File, path::Path, sync::Arc};

pub use arrow::array::RecordBatch;
use arrow::{
    array::{ArrayRef, Float64Array, StringArray},
    datatypes::{DataType, Field, Schema},
    util::display::{ArrayFormatter, FormatOptions},
};
use tidegate_protocol::{
    job::Key,
    result::{Cell, ResultDoc},
};

use crate::{NodeError, answer::Answer, file_error};

/// One number of a cell.
type Part = fn(&Cell) -> f64;

/// Keys as text, and for each column its value with the ends of the noise's 95 % interval.
fn batch(result: &ResultDoc) -> Result<RecordBatch, arrow::error::ArrowError> {
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (vec![], vec![]);
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
    }
    for (i, name) in result.columns.iter().enumerate() {
        let parts: [(&str, Part); 3] = [("", |c| c.value), ("_low", |c| c.low), ("_high", |c| c.high)];
        for (suffix, part) in parts {
            fields.push(Field::new(format!("{name}{suffix}"), DataType::Float64, true));
            columns.push(Arc::new(result.rows.iter().map(|r| r.cells.get(i).map(part)).collect::<Float64Array>()));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Whether `path` names a table rather than a folder: by its ending.
pub fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["arrow", "parquet", "csv", "json"].iter().any(|known| e == *known))
}

/// Writes a result, or the answer computed from it, to `path` in the format its ending names.
///
/// # Errors
/// [`NodeError::File`].
pub fn write(result: &ResultDoc, answer: Option<&Answer>, path: &Path) -> Result<(), NodeError> {
    if path.extension().is_some_and(|e| e == "json") {
        let bytes = serde_json::to_vec_pretty(result).map_err(|e| file_error(path, e))?;
        return std::fs::write(path, bytes).map_err(|e| file_error(path, e));
    }
    let batch = answer.map_or_else(|| batch(result), |answer| Ok(answer.batch().clone()));
    write_batches(&[batch.map_err(|e| file_error(path, e))?], path)
}

/// Writes batches of one schema to `path` in the format its ending names.
///
/// # Errors
/// [`NodeError::File`].
pub fn write_batches(batches: &[RecordBatch], path: &Path) -> Result<(), NodeError> {
    let put = || -> Result<(), Box<dyn std::error::Error>> {
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
                let mut writer = arrow::csv::Writer::new(File::create(path)?);
                batches.iter().try_for_each(|batch| writer.write(batch))?;
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
    put().map_err(|e| file_error(path, e))
}

/// Batches as texts, a row a line: for people.
///
/// # Errors
/// [`NodeError::File`].
pub fn texts(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, NodeError> {
    let failed = |e: arrow::error::ArrowError| NodeError::File(e.to_string());
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()));
    }
    Ok(rows)
}
