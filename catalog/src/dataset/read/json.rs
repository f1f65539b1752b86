//! JSON: objects in sequence (on separate lines, or not), or in a single array.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    json::{ReaderBuilder, reader::ValueIter, reader::infer_json_schema_from_iterator},
};

use serde_json::{Map, Value};
use tidegate_protocol::{
    policy::{ColumnKind, ReadRules},
    shown::plain,
};

use super::{
    ADD, BATCH,
    alone::{Signs, Whose, unit_of},
    evidence::is_missing,
    kind,
    packed::unpacked,
    records::{RECORD, endless},
    text::said_values,
    value::{DATE, Kinds, TIME, as_iso, has_offset, look},
};
use crate::dataset::{DataError, broken, of_columns};

/// Maximum number of characters shown of a value.
const SHOWN: usize = 40;

/// A table's requirements for its JSON files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    /// Names of the wanted columns.
    pub(crate) wanted: &'a [String],
    /// Name of the unit column among them.
    pub(crate) unit: &'a str,
    pub(crate) rules: &'a ReadRules,
    /// Whether to refuse a type decided by a single unit's values.
    pub(crate) alone: bool,
    /// Whether there is no other file: without its only unit there is nothing to publish.
    pub(crate) only: bool,
    /// Columns found in files of other formats, whichever units are in them.
    pub(crate) elsewhere: &'a BTreeSet<&'a str>,
}

/// Signs of the values in a column, a bit each.
const WHOLE: u16 = 1;
const NUMBER: u16 = 1 << 1;
const BOOL: u16 = 1 << 2;
const TEXT: u16 = 1 << 3;
const NESTED: u16 = 1 << 4;
/// Sign for objects with the column's key, possibly as null.
const KEY: u16 = 1 << 5;

fn sign(value: &Value) -> u16 {
    let kind = match value {
        Value::Null => 0,
        Value::Bool(_) => BOOL,
        Value::Number(number) if number.is_i64() => WHOLE,
        Value::Number(_) => NUMBER,
        Value::String(_) => TEXT,
        Value::Array(_) | Value::Object(_) => NESTED,
    };
    kind | KEY
}

/// Returns the type of a column with these values, as inferred by the reader. No job reads nested values.
fn type_of(signs: u16) -> DataType {
    match signs & !KEY {
        0 => DataType::Null,
        WHOLE => DataType::Int64,
        NUMBER => DataType::Float64,
        BOOL => DataType::Boolean,
        both if both == WHOLE | NUMBER => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// Evidence about a column.
struct Seen {
    signs: Signs<String>,
    /// Possible kinds of all texts: days, or times.
    times: Kinds,
    text: Option<String>,
    /// First time with an offset from UTC, in a column of times by the rules.
    offset: Option<String>,
    /// Whether an object lacks the key.
    lacks: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self { signs: Signs::default(), times: DATE | TIME, text: None, offset: None, lacks: false }
    }
}

impl Seen {
    /// Notes a column of texts that seems to hold days or times, for which JSON has no type.
    fn say(&self, name: &str, said: &mut Vec<String>) {
        if let (Some(text), true) = (&self.text, self.times != 0 && self.signs.there() == TEXT | KEY) {
            let kind = if self.times & DATE != 0 { ColumnKind::Date } else { ColumnKind::Timestamp };
            said.push(format!(
                "column {} looks like dates or times ({}) and is read as text. To read it as such, {ADD}types = {{ {} = \"{}\" }}",
                plain(name),
                plain(text),
                kind::key(name),
                kind.name()
            ));
        }
    }
}

/// Records the signs of a value, and its unit.
fn shows(seen: &mut Seen, name: &str, object: &Map<String, Value>, of: &Of<'_>, (path, whose): (&Path, Whose)) {
    let Some(value) = object.get(name) else {
        seen.lacks = true;
        return;
    };
    if let (Value::String(text), true) = (value, seen.times != 0)
        && !is_missing(text.trim(), of.rules)
    {
        seen.times &= look(text.trim(), DATE | TIME, None);
        seen.text.get_or_insert_with(|| text.chars().take(SHOWN).collect());
    }
    if let (Value::String(text), Some(ColumnKind::Timestamp | ColumnKind::TimestampNanos)) = (value, of.rules.kind_of(name))
        && has_offset(&as_iso(text.trim(), of.rules.dates))
    {
        seen.offset.get_or_insert_with(|| text.chars().take(SHOWN).collect());
    }
    let of_object = || match object.get(of.unit)? {
        Value::String(name) => Some(unit_of(name)),
        Value::Number(number) => Some(unit_of(&number.to_string())),
        Value::Bool(is) => Some(unit_of(&is.to_string())),
        _ => None,
    };
    let unit = || match whose {
        Whose::Rows => of_object(),
        Whose::Folders(unit) => unit,
    };
    let at = || {
        let value: String = value.to_string().chars().take(SHOWN).collect();
        format!("{} in {}", plain(&value), plain(&path.file_name().unwrap_or_default().to_string_lossy()))
    };
    seen.signs.see(sign(value), unit, at);
}

/// Checks whether without any single unit's objects each column would still exist, with the same type.
fn decided_by_several(of: &Of<'_>, columns: &[Seen]) -> Result<(), DataError> {
    let named = || of.wanted.iter().zip(columns);
    let units = named().find(|(name, _)| *name == of.unit).map(|(_, seen)| &seen.signs);
    if !of.alone || of.only && units.is_none_or(|signs| signs.sure() & !KEY == 0 && signs.without_one().count() < 2) {
        return Ok(());
    }
    // A file with none of the policy's columns is refused.
    let belongs = named().any(|(name, seen)| name != of.unit && seen.signs.sure() & KEY != 0);
    of_columns(named().map(|(name, seen)| {
        let signs = &seen.signs;
        // If all objects name their unit, the remaining ones do.
        let stays = if name == of.unit { !seen.lacks } else { belongs && of.elsewhere.contains(name.as_str()) };
        if let (Some((_, at)), false) = (signs.without_one().find(|(without, _)| without & KEY == 0), stays) {
            let problem = format!(
                "only the objects of one privacy unit have it ({at}), so its presence would disclose that privacy unit. Write the key in all objects, \
                 with null for a missing value, or remove it from the policy"
            );
            return Err(DataError::Column { column: name.clone(), problem });
        }
        if of.rules.kind_of(name).is_some() {
            return Ok(());
        }
        let all = type_of(signs.there());
        let found = signs.without_one().map(|(without, at)| (type_of(without), at)).find(|(without, _)| *without != all);
        found.map_or(Ok(()), |(without, at)| {
            let problem = kind::alone(name, &all, Some(&without), at);
            Err(DataError::Column { column: name.clone(), problem })
        })
    }))
    .map(drop)
}

/// Infers the columns of all of the files' objects, or of the columns wanted by a table; also returns notes for the owner.
///
/// Objects must name the unit all by texts or all by numbers: beside texts a number would keep its spelling, and 1 and 1.0 would
/// be two units.
pub(crate) fn learn(files: &[(&Path, Whose)], of: Option<&Of<'_>>) -> Result<(SchemaRef, Vec<String>), DataError> {
    let (mut failed, mut by_text, mut by_number) = (None, false, false);
    let mut columns: Vec<Seen> = of.iter().flat_map(|of| of.wanted).map(|_| Seen::default()).collect();
    let values = files.iter().flat_map(|file| match objects(file.0) {
        Ok(text) => Values::Of(ValueIter::new(text, None), *file),
        Err(e) => Values::Broken(Some(e)),
    });
    let values = values.map_while(|value| value.map_err(|e| failed = Some(e)).ok());
    // Unwanted columns may be anything.
    let values = values.map(|(mut value, file)| {
        if let (Some(of), Some(fields)) = (of, value.as_object_mut()) {
            fields.retain(|name, _| of.wanted.contains(name));
            of.wanted.iter().zip(&mut columns).for_each(|(name, signs)| shows(signs, name, fields, of, file));
            let unit = fields.get(of.unit);
            by_text |= unit.is_some_and(|unit| unit.is_string() || unit.is_boolean());
            by_number |= unit.is_some_and(Value::is_number);
        }
        Ok::<_, ArrowError>(value)
    });
    let schema = infer_json_schema_from_iterator(values);
    if let Some(e) = failed {
        return Err(e);
    }
    let first = files.first().map_or(Path::new(""), |file| file.0);
    if let (Some(of), true, true) = (of, by_text, by_number) {
        let unit = of.unit;
        return Err(broken(
            first,
            format!("column {unit} has both texts and numbers as ids of privacy units: write all of them as one type"),
        ));
    }
    let schema = schema.map_err(|e| match files {
        [_] => broken(first, e),
        // Finds the file that is bad by itself; or states how many are bad only together.
        _ => files
            .iter()
            .find_map(|file| learn(&[*file], of.map(|of| Of { alone: false, ..*of }).as_ref()).err())
            .unwrap_or_else(|| broken(first, format!("all {} JSON files together: {e}", files.len()))),
    })?;
    let Some(of) = of else { return Ok((Arc::new(schema), vec![])) };
    decided_by_several(of, &columns)?;
    let mut said = Vec::new();
    let unsaid = of.wanted.iter().zip(&columns).filter(|(name, _)| of.rules.kind_of(name).is_none() && *name != of.unit);
    unsaid.for_each(|(name, seen)| seen.say(name, &mut said));
    for (name, seen) in of.wanted.iter().zip(&columns) {
        said.extend(seen.offset.iter().map(|text| kind::in_utc(name, &plain(text))));
    }
    let fields = schema.fields().iter().map(|field| match of.rules.kind_of(field.name()) {
        Some(said) => Arc::new(field.as_ref().clone().with_data_type(kind::said(said))),
        None => field.clone(),
    });
    Ok((Arc::new(Schema::new(fields.collect::<Vec<_>>())), said))
}

enum Values<'a, R: BufRead> {
    Of(ValueIter<R>, (&'a Path, Whose)),
    Broken(Option<DataError>),
}

impl<'a, R: BufRead> Iterator for Values<'a, R> {
    type Item = Result<(Value, (&'a Path, Whose)), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Of(values, file) => values.next().map(|value| value.map(|value| (value, *file)).map_err(|e| broken(file.0, e))),
            Self::Broken(e) => e.take().map(Err),
        }
    }
}

/// Opens the columns of `schema` of a file's objects.
///
/// Columns whose type the owner states are read like text: words for a missing value become NULL.
pub(crate) fn open(
    path: &Path,
    schema: &SchemaRef,
    rules: &ReadRules,
) -> Result<Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>, DataError> {
    let is_said = |field: &Field| rules.kind_of(field.name()).is_some() && *field.data_type() != DataType::Utf8;
    let said: Vec<usize> = schema.fields().iter().enumerate().filter(|(_, field)| is_said(field)).map(|(at, _)| at).collect();
    let fields = schema.fields().iter().map(|field| match is_said(field) {
        true => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        false => field.clone(),
    });
    let texts = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let builder = ReaderBuilder::new(texts).with_batch_size(BATCH).with_coerce_primitive(true);
    let read = builder.build(objects(path)?).map_err(|e| broken(path, e))?;
    let (schema, rules, path) = (schema.clone(), rules.clone(), path.to_owned());
    Ok(Box::new(read.map(move |batch| {
        let batch = batch?;
        let mut columns = batch.columns().to_vec();
        for &at in &said {
            let (field, texts) = (schema.field(at), columns[at].as_string::<i32>());
            columns[at] = said_values(field.data_type(), &rules, texts.iter()).map_err(|value| {
                let value: String = value.chars().take(SHOWN).collect();
                let (name, value) = (plain(field.name()), plain(&value));
                let kind = kind::name(field.data_type());
                let problem = format!(
                    "column {name}: {value:?} in {} is not {kind}, the type given under [read]. Correct the file or the type; if the value marks a \
                     missing value, {ADD}nulls = [{value:?}]",
                    plain(&path.file_name().unwrap_or_default().to_string_lossy())
                );
                ArrowError::JsonError(problem)
            })?;
        }
        RecordBatch::try_new(schema.clone(), columns)
    })))
}

fn objects(path: &Path) -> Result<BufReader<Lines>, DataError> {
    Ok(BufReader::new(Lines {
        from: unpacked(path)?.bytes,
        depth: 0,
        in_text: false,
        escaped: false,
        array: false,
        begun: false,
        length: 0,
    }))
}

/// Reader putting each object on a line of its own: an array's brackets and commas, and line breaks within an object, are
/// dropped.
struct Lines {
    from: Box<dyn Read + Send>,
    depth: u32,
    in_text: bool,
    escaped: bool,
    array: bool,
    begun: bool,
    /// Length in bytes of the object around this position.
    length: u64,
}

impl Lines {
    fn step(&mut self, byte: u8) -> u8 {
        if self.in_text {
            (self.escaped, self.in_text) = (!self.escaped && byte == b'\\', self.escaped || byte != b'"');
            return byte;
        }
        let top = u32::from(self.array);
        match byte {
            b'"' => self.in_text = true,
            b'[' if !self.begun => {
                (self.array, self.begun, self.depth) = (true, true, 1);
                return b' ';
            }
            b'{' | b'[' => (self.begun, self.depth) = (true, self.depth + 1),
            b']' if self.array && self.depth == 1 => {
                self.depth = 0;
                return b'\n';
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' if self.array && self.depth == top => return b'\n',
            b'\n' | b'\r' if self.depth > top => return b' ',
            // A UTF-8 byte order mark at the beginning.
            0xef | 0xbb | 0xbf if !self.begun => return b' ',
            _ => {}
        }
        byte
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        if read == 0 && !into.is_empty() && (self.depth > 0 || self.in_text) {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it ends within an array or object"));
        }
        for byte in into.iter_mut().take(read) {
            *byte = self.step(*byte);
            self.length = if *byte == b'\n' { 0 } else { self.length + 1 };
        }
        if self.length > RECORD { Err(endless("")) } else { Ok(read) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_lines_are_the_same_objects() {
        let dir = tempfile::tempdir().unwrap();
        let rows = |text: &str| {
            let path = dir.path().join("a.json");
            std::fs::write(&path, text).unwrap();
            let (schema, _) = learn(&[(path.as_path(), Whose::Rows)], None)?;
            let batches =
                open(&path, &schema, &ReadRules::default())?.collect::<Result<Vec<_>, _>>().map_err(|e| broken(&path, e))?;
            Ok::<_, DataError>(arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string())
        };
        let lines = rows("{\"a\":1,\"b\":\"x,]}[\\\"{\"}\n{\"a\":2.5,\"b\":null}\n").unwrap();
        for same in [
            "[{\"a\":1,\"b\":\"x,]}[\\\"{\"},{\"a\":2.5,\"b\":null}]",
            "\u{feff}[\n {\n  \"a\": 1,\n  \"b\": \"x,]}[\\\"{\"\n },\n {\"a\": 2.5, \"b\": null}\n]\n",
            "{\"a\":1,\n\"b\":\"x,]}[\\\"{\"}\n\n{\"a\":2.5}",
        ] {
            assert_eq!(rows(same).unwrap(), lines, "{same}");
        }
        for bad in ["[{\"a\":1},", "{\"a\":", "[1,2]", "{\"a\":1}]x"] {
            let said = rows(bad).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains("a.json"), "{bad}: {said}");
        }
    }
}
