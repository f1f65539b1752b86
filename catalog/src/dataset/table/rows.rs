//! Rows of a table, file by file.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, new_null_array},
    datatypes::{DataType, Field, SchemaRef},
};
use tidegate_protocol::{
    policy::{ColumnKind, ReadRules},
    shown::plain as shown,
};

use super::{HIVE_NULL, Source, Table, file_name, wrong};
use crate::dataset::{
    DataError, broken,
    read::{self, Format, Reader, Taken, in_sql},
    types::convert,
};

impl Table {
    /// Opens a file: its rows in the table's columns.
    pub(in crate::dataset) fn open(&self, file: usize) -> Result<Rows, DataError> {
        let source = self.sources.get(file).ok_or(DataError::NoFile)?;
        let reader = match (&source.text, source.format, &self.json) {
            (Some(text), ..) => {
                let has = |(name, _): &&(String, Taken)| source.has.contains_key(name);
                let taken: Vec<_> = source.taken.iter().filter(has).cloned().collect();
                Some(read::open_text(&source.path, text, &self.policy.read, &taken)?)
            }
            (None, Format::Json, Some(json)) => Some(read::open_json(&source.path, json.clone(), &self.policy.read)?),
            (None, Format::Empty, _) => None,
            (None, format, _) => Some(read::open_written(&source.path, format, Some(&self.wanted))?),
        };
        Ok(Rows {
            source: source.clone(),
            reader,
            schema: self.schema.clone(),
            unit: self.unit.clone(),
            rules: self.policy.read.clone(),
            done: 0,
        })
    }
}

/// Reader of a file's rows, in the table's columns.
pub(in crate::dataset) struct Rows {
    source: Source,
    reader: Option<Reader>,
    schema: SchemaRef,
    unit: String,
    rules: ReadRules,
    /// Number of rows read so far.
    done: u64,
}

impl Rows {
    fn column(&self, field: &Field, batch: &RecordBatch) -> Result<ArrayRef, DataError> {
        let (name, rows) = (field.name().as_str(), batch.num_rows());
        let failed = |from: &DataType, problem: String| {
            wrong(
                name,
                format!(
                    "is {} in {} and {} in the dataset, and {} (among the {rows} rows after row {})",
                    in_sql(from),
                    file_name(&self.source.path),
                    in_sql(field.data_type()),
                    shown(&problem),
                    self.done
                ),
            )
        };
        if let Some(said) = self.source.says.get(name) {
            let value = (said != HIVE_NULL).then_some(said.as_str());
            let values: ArrayRef = match self.rules.kind_of(name).filter(|kind| *kind != ColumnKind::Text) {
                Some(kind) => {
                    read::said_values(&read::said(kind), &self.rules, std::iter::repeat_n(value, rows)).map_err(|value| {
                        wrong(
                            name,
                            format!(
                                "{:?} in the name of a folder of {} is not {}, the type given under [read]",
                                shown(&value),
                                file_name(&self.source.path),
                                kind.name()
                            ),
                        )
                    })?
                }
                None => Arc::new(StringArray::from(vec![value; rows])),
            };
            return convert(&values, field.data_type(), name == self.unit).map_err(|problem| failed(values.data_type(), problem));
        }
        match batch.column_by_name(name) {
            Some(column) => {
                convert(column, field.data_type(), name == self.unit).map_err(|problem| failed(column.data_type(), problem))
            }
            None => Ok(new_null_array(field.data_type(), rows)),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.as_mut()?.next()? {
            Ok(batch) => batch,
            Err(e) => return Some(Err(e)),
        };
        let made = read::guarded(&self.source.path, || {
            let columns = self.schema.fields().iter().map(|field| self.column(field, &batch)).collect::<Result<Vec<_>, _>>()?;
            RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| broken(&self.source.path, e))
        });
        self.done += batch.num_rows() as u64;
        Some(made)
    }
}
