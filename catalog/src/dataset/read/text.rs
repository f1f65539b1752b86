//! Text with delimiters: what its columns are, and its rows as batches.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, new_null_array,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use encoding_rs::WINDOWS_1252;
use tidegate_protocol::policy::{Dates, Encoding, ReadRules};

use super::{
    BATCH,
    dialect::Dialect,
    evidence::{Evidence, Odd, Place, Taken, is_missing, is_missing_word},
    marks::{Beside, Marks},
    records::Records,
    sheet::cell,
    value::{as_iso, clean, time},
};
use crate::dataset::{DataError, broken};

/// A text file, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub(crate) dialect: Arc<Dialect>,
    /// Whether its characters are those of Windows-1252.
    pub(crate) western: bool,
}

/// What a text file says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Learnt {
    pub(crate) file: TextFile,
    /// What was seen of each wanted column.
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) marks: Marks,
    /// The last value of the first wanted column.
    pub(crate) last: Option<Odd>,
}

/// Reads a text file once, and says what is known of the columns `wanted`.
pub(crate) fn learn(path: &Path, rules: &ReadRules, wanted: &[String]) -> Result<Learnt, DataError> {
    let dialect = Arc::new(Dialect::of(path, rules, wanted)?);
    let places: Vec<_> = wanted.iter().map(|name| dialect.header.iter().position(|n| n == name)).collect();
    let mut evidence = vec![Evidence::default(); wanted.len()];
    let mut beside: Vec<_> = (0..dialect.header.len())
        .filter(|place| !places.contains(&Some(*place)))
        .map(|place| (place, Beside::default()))
        .collect();
    let mut records = dialect.records(path)?;
    let is_sheet = dialect.sheet.is_some();
    let mut western = !is_sheet && rules.encoding == Some(Encoding::Latin1);
    let mut record = csv::ByteRecord::new();
    let mut at = Place { path: Arc::new(path.to_owned()), dialect: dialect.clone(), byte: 0 };
    let mut last: Option<(u64, String)> = None;
    while records.read(&mut record).map_err(|e| dialect.broken(path, e))? {
        at.byte = record.position().map_or(0, csv::Position::byte);
        for (column, (place, evidence)) in places.iter().zip(&mut evidence).enumerate() {
            let Some(bytes) = place.and_then(|place| record.get(place)) else { continue };
            let value = match std::str::from_utf8(bytes) {
                Ok(value) => value.into(),
                Err(_) if rules.encoding.is_none() || western => {
                    western = true;
                    WINDOWS_1252.decode_without_bom_handling(bytes).0
                }
                Err(_) => {
                    let line = dialect.line(path, at.byte)?;
                    return Err(broken(
                        path,
                        format!("line {line} is not UTF-8. Write encoding = \"latin1\" below [read] where it is that"),
                    ));
                }
            };
            let (value, pointed) = if is_sheet { cell(&value) } else { (&*value, false) };
            let value = value.trim();
            evidence.see(value, pointed, rules, &at);
            if column == 0 && !is_missing(value, rules) {
                let (byte, text) = last.get_or_insert_default();
                *byte = at.byte;
                text.clear();
                text.push_str(value);
            }
        }
        for (place, column) in &mut beside {
            column.see(record.get(*place).unwrap_or_default(), is_sheet, rules);
        }
    }
    let mut marks = Marks::default();
    evidence.iter().for_each(|column| marks.see(column.mark()));
    beside.iter().for_each(|(_, column)| marks.see(column.mark()));
    let last = last.map(|(byte, value)| Odd::new(&value, &Place { byte, ..at }));
    Ok(Learnt { file: TextFile { dialect, western }, evidence, marks, last })
}

/// A column as it is read: its place in the file's lines, where they have it, and how its values are taken.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    place: Option<usize>,
    taken: Taken,
}

/// A text file's rows.
pub(crate) struct Rows {
    path: std::path::PathBuf,
    file: TextFile,
    records: Records,
    columns: Vec<Column>,
    rules: ReadRules,
    pub(crate) schema: SchemaRef,
    record: csv::ByteRecord,
}

impl Rows {
    /// Opens the columns `wanted` of a file.
    pub(crate) fn open(path: &Path, file: &TextFile, rules: &ReadRules, wanted: &[(String, Taken)]) -> Result<Self, DataError> {
        let columns = wanted.iter().map(|(name, taken)| Column {
            name: name.clone(),
            place: file.dialect.header.iter().position(|n| n == name),
            taken: taken.clone(),
        });
        let columns: Vec<_> = columns.collect();
        let fields = columns.iter().map(|column| Field::new(&column.name, column.taken.kind.clone(), true));
        Ok(Self {
            path: path.to_owned(),
            records: file.dialect.records(path)?,
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            file: file.clone(),
            columns,
            rules: rules.clone(),
            record: csv::ByteRecord::new(),
        })
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, DataError> {
        let mut texts: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(BATCH); self.columns.len()];
        let mut begins = Vec::with_capacity(BATCH);
        let dialect = &self.file.dialect;
        while begins.len() < BATCH && self.records.read(&mut self.record).map_err(|e| dialect.broken(&self.path, e))? {
            begins.push(self.record.position().map_or(0, csv::Position::byte));
            for (column, texts) in self.columns.iter().zip(&mut texts) {
                let bytes = column.place.and_then(|place| self.record.get(place)).unwrap_or_default();
                let value = if self.file.western && !bytes.is_ascii() {
                    WINDOWS_1252.decode_without_bom_handling(bytes).0
                } else {
                    String::from_utf8_lossy(bytes)
                };
                let value = if dialect.sheet.is_some() { cell(&value).0 } else { &value };
                let trimmed = value.trim();
                let missing = is_missing(trimmed, &self.rules)
                    || column.taken.kind != DataType::Utf8 && is_missing_word(trimmed)
                    || column.taken.kind == DataType::Null;
                // Spaces around a number are nothing, and around a text may be part of it.
                let kept = if column.taken.kind == DataType::Utf8 { value } else { trimmed };
                texts.push((!missing).then(|| kept.to_owned()));
            }
        }
        if begins.is_empty() {
            return Ok(None);
        }
        let columns = self.columns.iter().zip(texts).map(|(column, texts)| {
            typed(&column.taken, self.rules.dates, texts).map_err(|(row, value)| {
                let at = Place {
                    path: Arc::new(self.path.clone()),
                    dialect: self.file.dialect.clone(),
                    byte: begins.get(row).copied().unwrap_or_default(),
                };
                let words = Odd::new(&value, &at).words();
                let problem = format!("{words} is no {} as the others are", column.taken.kind);
                DataError::Column { column: column.name.clone(), problem }
            })
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| broken(&self.path, e))?))
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// Texts as values of a type; the first that is none is the error, with its row.
fn typed(taken: &Taken, dates: Option<Dates>, texts: Vec<Option<String>>) -> Result<ArrayRef, (usize, String)> {
    fn each<T>(texts: Vec<Option<String>>, read: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>, (usize, String)> {
        let read = |(row, text): (usize, Option<String>)| text.map(|text| read(&text).ok_or((row, text))).transpose();
        texts.into_iter().enumerate().map(read).collect()
    }
    let number = |text: &str| if taken.bare { Some(text.to_owned()) } else { clean(text, if taken.comma { ',' } else { '.' }) };
    let at = |unit: i64, text: &str| {
        let (seconds, nanoseconds) = time(&as_iso(text, dates))?;
        seconds.checked_mul(unit)?.checked_add(i64::from(nanoseconds) / (1_000_000_000 / unit))
    };
    Ok(match &taken.kind {
        DataType::Null => new_null_array(&DataType::Null, texts.len()),
        DataType::Boolean => Arc::new(BooleanArray::from(each(texts, |text| Some(text.eq_ignore_ascii_case("true")))?)),
        DataType::Int64 => Arc::new(Int64Array::from(each(texts, |text| number(text)?.parse().ok())?)),
        DataType::Float64 => Arc::new(Float64Array::from(each(texts, |text| number(text)?.parse::<f64>().ok())?)),
        DataType::Decimal128(38, 0) => {
            let decimals = Decimal128Array::from(each(texts, |text| text.parse::<i128>().ok())?);
            Arc::new(decimals.with_precision_and_scale(38, 0).map_err(|e| (0, e.to_string()))?)
        }
        DataType::Date32 => Arc::new(Date32Array::from(each(texts, |text| {
            i32::try_from(time(&as_iso(text, dates))?.0.div_euclid(24 * 3600)).ok()
        })?)),
        DataType::Timestamp(TimeUnit::Second, _) => Arc::new(TimestampSecondArray::from(each(texts, |text| at(1, text))?)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(TimestampMillisecondArray::from(each(texts, |text| at(1000, text))?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(TimestampMicrosecondArray::from(each(texts, |text| at(1_000_000, text))?))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(TimestampNanosecondArray::from(each(texts, |text| at(1_000_000_000, text))?))
        }
        _ => Arc::new(StringArray::from(texts)),
    })
}
