//! JSON: objects one after the other (a line each, or not), or in one array.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use arrow::{
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    json::{ReaderBuilder, reader::ValueIter, reader::infer_json_schema_from_iterator},
};

use super::{
    BATCH,
    packed::unpacked,
    records::{RECORD, endless},
};
use crate::dataset::{DataError, broken};

/// The columns of all of the files' objects, or of them those that are `wanted`. Objects name the `unit` all by texts or all by numbers: beside texts a number would keep
/// its spelling, and 1 and 1.0 would be two units.
pub(crate) fn learn(paths: &[&Path], wanted: Option<&[String]>, unit: Option<&str>) -> Result<SchemaRef, DataError> {
    let (mut failed, mut by_text, mut by_number) = (None, false, false);
    let values = paths.iter().flat_map(|path| match objects(path) {
        Ok(text) => Values::Of(ValueIter::new(text, None), path),
        Err(e) => Values::Broken(Some(e)),
    });
    let values = values.map_while(|value| value.map_err(|e| failed = Some(e)).ok());
    // What nobody asks for may be anything.
    let values = values.map(|mut value| {
        if let (Some(wanted), Some(fields)) = (wanted, value.as_object_mut()) {
            fields.retain(|name, _| wanted.contains(name));
        }
        let named = unit.and_then(|unit| value.get(unit));
        by_text |= named.is_some_and(serde_json::Value::is_string);
        by_number |= named.is_some_and(serde_json::Value::is_number);
        Ok::<_, ArrowError>(value)
    });
    let schema = infer_json_schema_from_iterator(values);
    if let Some(e) = failed {
        return Err(e);
    }
    let first = paths.first().copied().unwrap_or(Path::new(""));
    if let (Some(unit), true, true) = (unit, by_text, by_number) {
        return Err(broken(
            first,
            format!("column {unit} names units by texts here and by numbers there: write all of them one way"),
        ));
    }
    Ok(Arc::new(schema.map_err(|e| match paths {
        [_] => broken(first, e),
        // Which of them it is that is no such file for itself; or how many are none together.
        _ => {
            paths.iter().find_map(|path| learn(&[path], wanted, unit).err()).unwrap_or_else(|| {
                broken(first, format!("of this and {} more files of JSON: {e}", paths.len().saturating_sub(1)))
            })
        }
    })?))
}

enum Values<'a, R: BufRead> {
    Of(ValueIter<R>, &'a Path),
    Broken(Option<DataError>),
}

impl<R: BufRead> Iterator for Values<'_, R> {
    type Item = Result<serde_json::Value, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Of(values, path) => values.next().map(|value| value.map_err(|e| broken(path, e))),
            Self::Broken(e) => e.take().map(Err),
        }
    }
}

/// The columns of `schema` of a file's objects.
pub(crate) fn open(
    path: &Path,
    schema: &Schema,
) -> Result<Box<dyn Iterator<Item = Result<arrow::array::RecordBatch, ArrowError>> + Send>, DataError> {
    let builder = ReaderBuilder::new(Arc::new(schema.clone())).with_batch_size(BATCH).with_coerce_primitive(true);
    Ok(Box::new(builder.build(objects(path)?).map_err(|e| broken(path, e))?))
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

/// Objects, each on a line of its own: an array's brackets and commas, and line breaks within an object, are left away.
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
            // A mark of UTF-8 before all.
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
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it ends in the midst of an array or object"));
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
            let schema = learn(&[&path], None, None)?;
            let batches = open(&path, &schema)?.collect::<Result<Vec<_>, _>>().map_err(|e| broken(&path, e))?;
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
