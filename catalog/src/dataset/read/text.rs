//! Text with delimiters: evidence about its columns, and its rows as batches.

use std::{borrow::Cow, path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, TimestampNanosecondArray, new_null_array,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use tidegate_protocol::{
    policy::{Dates, ReadRules},
    shown::plain,
};

use super::{
    ADD, BATCH,
    alone::{Whose, unit_of},
    dialect::Dialect,
    evidence::{Evidence, Taken, is_missing, is_missing_word},
    kind,
    place::{Odd, Place},
    records::Records,
    value::{as_iso, clean, time},
};
use crate::dataset::{DataError, broken};

/// Number of seconds of a day.
const DAY: i64 = 24 * 3600;

/// Rewrites a number with a fixed decimal point to the decimal mark of the owner's texts.
fn with_mark<'a>(value: Cow<'a, str>, pointed: bool, rules: &ReadRules) -> Cow<'a, str> {
    if pointed && rules.decimal == Some(',') { value.replace('.', ",").into() } else { value }
}

/// A text file with its dialect.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub(crate) dialect: Arc<Dialect>,
}

/// Facts learnt from a text file.
#[derive(Debug, Clone)]
pub(crate) struct Learnt {
    pub(crate) file: TextFile,
    /// Evidence about each wanted column.
    pub(crate) evidence: Vec<Evidence>,
    /// Last value of the first wanted column.
    pub(crate) last: Option<Odd>,
}

/// Reads a text file once and collects evidence about the columns `wanted`, of which the first names units unless `whose` does.
pub(crate) fn learn(path: &Path, rules: &ReadRules, wanted: &[String], whose: Whose) -> Result<Learnt, DataError> {
    let dialect = Arc::new(Dialect::of(path, rules, wanted)?);
    let places: Vec<_> = wanted.iter().map(|name| dialect.header.iter().position(|n| n == name)).collect();
    let mut evidence = vec![Evidence::default(); wanted.len()];
    let mut records = dialect.records(path)?;
    let mut record = csv::ByteRecord::new();
    let mut at = Place { path: Arc::new(path.to_owned()), dialect: dialect.clone(), byte: 0 };
    let mut last: Option<(u64, String)> = None;
    while records.read(&mut record).map_err(|e| dialect.broken(path, e))? {
        at.byte = record.position().map_or(0, csv::Position::byte);
        let of_place = |place: &Option<usize>| place.and_then(|place| record.get(place));
        let unit = || {
            if let Whose::Folders(unit) = whose {
                return unit;
            }
            let value = dialect.value(of_place(places.first()?)?)?.0;
            let value = value.trim();
            (!is_missing(value, rules)).then(|| unit_of(value))
        };
        for (column, (place, evidence)) in places.iter().zip(&mut evidence).enumerate() {
            let Some(bytes) = of_place(place) else { continue };
            let Some((value, pointed)) = dialect.value(bytes) else {
                return Err(at.not_utf8(wanted.get(column), bytes));
            };
            let value = with_mark(value, pointed, rules);
            let value = value.trim();
            evidence.see(value, pointed, rules, &at, unit);
            if column == 0 && !is_missing(value, rules) {
                let (byte, text) = last.get_or_insert_default();
                *byte = at.byte;
                text.clear();
                text.push_str(value);
            }
        }
    }
    let last = last.map(|(byte, value)| Odd::new(&value, &Place { byte, ..at }));
    Ok(Learnt { file: TextFile { dialect }, evidence, last })
}

/// Column to read: its place in the file's lines, if there, and the reading of its values.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    place: Option<usize>,
    taken: Taken,
}

/// Reader of a text file's rows.
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
                let Some((value, pointed)) = dialect.value(bytes) else {
                    let at = Place {
                        path: Arc::new(self.path.clone()),
                        dialect: dialect.clone(),
                        byte: begins.last().copied().unwrap_or_default(),
                    };
                    return Err(at.not_utf8(Some(&column.name), bytes));
                };
                let is_text = column.taken.kind == DataType::Utf8;
                let value = if is_text { value } else { with_mark(value, pointed, &self.rules) };
                let trimmed = value.trim();
                let missing = is_missing(trimmed, &self.rules)
                    || !is_text && is_missing_word(trimmed)
                    || column.taken.kind == DataType::Null;
                // Spaces around a number mean nothing, but around a text may be part of it.
                let kept = if is_text { &*value } else { trimmed };
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
                let kind = kind::name(&column.taken.kind);
                let problem = match column.taken.said {
                    true if value.contains(',') && column.taken.decimal.is_none() => {
                        format!("{words} has a comma, and the decimal mark of the numbers is unknown. To choose, {ADD}decimal = \",\" (or decimal = \".\")")
                    }
                    true => format!("{words} is not {kind}, the type given under [read]. Correct the file or the type; if the value marks a missing \
                     value, {ADD}nulls = [{value:?}]", value = plain(&value)),
                    false => format!("{words} is not a {kind} like the others"),
                };
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

/// Converts values to a type stated by the owner, whatever their spelling: words for a missing value become NULL.
///
/// The first value that is not of the type is the error.
pub(crate) fn said_values<'a>(
    kind: &DataType,
    rules: &ReadRules,
    texts: impl Iterator<Item = Option<&'a str>>,
) -> Result<ArrayRef, String> {
    // Numbers have decimal points here, and a text with a comma may be of either kind.
    let taken = Taken { kind: kind.clone(), decimal: None, bare: false, said: true };
    let there = |text: &str| !is_missing(text, rules) && !is_missing_word(text);
    let texts = texts.map(|text| text.map(str::trim).filter(|text| there(text)).map(str::to_owned)).collect();
    typed(&taken, rules.dates, texts).map_err(|(_, value)| value)
}

/// Converts texts to values of a type; the first unsuitable text is the error, with its row.
fn typed(taken: &Taken, dates: Option<Dates>, texts: Vec<Option<String>>) -> Result<ArrayRef, (usize, String)> {
    fn each<T>(texts: Vec<Option<String>>, read: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>, (usize, String)> {
        let read = |(row, text): (usize, Option<String>)| text.map(|text| read(&text).ok_or((row, text))).transpose();
        texts.into_iter().enumerate().map(read).collect()
    }
    let number = |text: &str| match taken.decimal {
        _ if taken.bare => Some(text.to_owned()),
        None if text.contains(',') => None,
        mark => clean(text, mark.unwrap_or('.')),
    };
    let at = |unit: i64, text: &str| {
        let ((seconds, nanoseconds), part) = (time(&as_iso(text, dates))?, 1_000_000_000 / unit);
        // Nothing is silently truncated.
        let parts = (i64::from(nanoseconds) % part == 0).then_some(i64::from(nanoseconds) / part)?;
        seconds.checked_mul(unit)?.checked_add(parts)
    };
    Ok(match &taken.kind {
        DataType::Null => new_null_array(&DataType::Null, texts.len()),
        DataType::Boolean => Arc::new(BooleanArray::from(each(texts, |text| {
            let is = |word| text.eq_ignore_ascii_case(word);
            (is("true") || is("false")).then(|| is("true"))
        })?)),
        DataType::Int64 => Arc::new(Int64Array::from(each(texts, |text| number(text)?.parse().ok())?)),
        DataType::Float64 => Arc::new(Float64Array::from(each(texts, |text| number(text)?.parse::<f64>().ok())?)),
        DataType::Decimal128(38, 0) => {
            let decimals = Decimal128Array::from(each(texts, |text| number(text)?.parse::<i128>().ok())?);
            Arc::new(decimals.with_precision_and_scale(38, 0).map_err(|e| (0, e.to_string()))?)
        }
        DataType::Date32 => Arc::new(Date32Array::from(each(texts, |text| {
            let (seconds, nanoseconds) = time(&as_iso(text, dates))?;
            let is_day = nanoseconds == 0 && seconds.rem_euclid(DAY) == 0;
            i32::try_from(is_day.then_some(seconds.div_euclid(DAY))?).ok()
        })?)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Arc::new(TimestampMicrosecondArray::from(each(texts, |text| at(1_000_000, text))?))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(TimestampNanosecondArray::from(each(texts, |text| at(1_000_000_000, text))?))
        }
        _ => Arc::new(StringArray::from(texts)),
    })
}
