//! Bounds on jobs' input: pages and values of bounded size, so that a worker's memory for them follows from public numbers.
//!
//! A file with larger ones is copied, and texts are cut on the way ([`cut`]). Names of units cannot be cut, or two people would
//! become one: longer names are refused ([`named`]).

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, OffsetSizeTrait},
    buffer::OffsetBuffer,
    compute::{
        cast,
        kernels::substring::{substring, substring_by_char},
    },
    datatypes::{DataType, Field, SchemaRef},
    error::ArrowError,
};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    column::page::PageReader as _,
    errors::ParquetError,
    file::{
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
};
use tidegate_protocol::limits;

use super::{DataError, broken, unreadable};

/// Maximum number of bytes of a text of [`limits::TEXT_CHARS`] characters.
const TEXT_BYTES: usize = 4 * limits::TEXT_CHARS;

/// Returns whether no page of the columns `read` of a Parquet file exceeds [`limits::PAGE_BYTES`]. Reads only the pages' headers.
///
/// # Errors
/// Returns [`DataError::File`] if the file cannot be read.
pub(super) fn pages(path: &Path, read: &SchemaRef) -> Result<bool, DataError> {
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    let headers = Headers::of(file).map_err(|e| broken(path, e))?;
    headers.within(read, limits::PAGE_BYTES).map_err(|e| broken(path, e))
}

/// Returns whether no text or byte string of a column is longer than jobs see.
pub(super) fn short(column: &dyn Array) -> bool {
    let fits = |bytes: usize| bytes <= TEXT_BYTES;
    match column.data_type() {
        DataType::Dictionary(..) => column.as_any_dictionary_opt().is_none_or(|dictionary| short(dictionary.values())),
        _ => lengths(column).is_none_or(|mut lengths| lengths.all(fits)),
    }
}

/// Cuts a column's texts to [`limits::TEXT_CHARS`] characters, and its byte strings to the size of such a text at most. Its type
/// stays.
pub(super) fn cut(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    // A text of fewer bytes cannot have more characters.
    if lengths(column).is_some_and(|mut lengths| lengths.all(|bytes| bytes <= limits::TEXT_CHARS)) {
        return Ok(column.clone());
    }
    let (chars, bytes) = (Some(limits::TEXT_CHARS as u64), Some(TEXT_BYTES as u64));
    Ok(match column.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            dictionary.with_values(cut(dictionary.values())?)
        }
        DataType::Utf8 => Arc::new(substring_by_char(column.as_string::<i32>(), 0, chars)?),
        DataType::LargeUtf8 => Arc::new(substring_by_char(column.as_string::<i64>(), 0, chars)?),
        DataType::Binary | DataType::LargeBinary => substring(column, 0, bytes)?,
        DataType::Utf8View => cast(&cut(&cast(column, &DataType::LargeUtf8)?)?, &DataType::Utf8View)?,
        DataType::BinaryView => cast(&cut(&cast(column, &DataType::LargeBinary)?)?, &DataType::BinaryView)?,
        _ => column.clone(),
    })
}

/// Checks whether values of a type can be cut if longer than jobs see.
///
/// # Errors
/// Returns the problem and its fix.
pub(super) fn can_be_cut(field: &Field) -> Result<(), String> {
    match field.data_type() {
        DataType::FixedSizeBinary(bytes) if usize::try_from(*bytes).is_ok_and(|bytes| bytes > TEXT_BYTES) => {
            Err(format!("has {bytes} bytes in each row, and jobs see at most {TEXT_BYTES}. Split it into several columns"))
        }
        _ => Ok(()),
    }
}

/// Checks whether no unit's name is too long, in the rows after the first `before` of a file.
///
/// # Errors
/// Returns a description of the first row whose unit has a name of more than [`limits::UNIT_NAME_BYTES`], and the fix.
pub(super) fn named(unit: &dyn Array, before: u64) -> Result<(), String> {
    let long = lengths(unit).and_then(|lengths| (before + 1..).zip(lengths).find(|(_, bytes)| *bytes > limits::UNIT_NAME_BYTES));
    let Some((row, bytes)) = long else { return Ok(()) };
    Err(format!(
        "row {row}: the privacy unit's id has {bytes} bytes, and the maximum is {}. Identify privacy units by numbers, or by a hash of their ids",
        limits::UNIT_NAME_BYTES
    ))
}

/// Returns the number of bytes of each value, for types of variable length.
pub(super) fn lengths(column: &dyn Array) -> Option<Box<dyn Iterator<Item = usize> + '_>> {
    fn between<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> Box<dyn Iterator<Item = usize> + '_> {
        Box::new(offsets.windows(2).map(|ends| (ends[1] - ends[0]).as_usize()))
    }
    Some(match column.data_type() {
        DataType::Utf8 => between(column.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => between(column.as_string::<i64>().offsets()),
        DataType::Binary => between(column.as_binary::<i32>().offsets()),
        DataType::LargeBinary => between(column.as_binary::<i64>().offsets()),
        DataType::Utf8View => Box::new(column.as_string_view().lengths().map(|bytes| bytes as usize)),
        DataType::BinaryView => Box::new(column.as_binary_view().lengths().map(|bytes| bytes as usize)),
        _ => return None,
    })
}

/// Number of bytes at the start of a page's header, enough for its type and size.
const BEGIN: usize = 12;

/// A Parquet file whose page headers are read, noting their first bytes.
///
/// The reader itself does not reveal the page size stated in a header.
#[derive(Clone)]
struct Headers {
    file: Arc<File>,
    bytes: u64,
    begin: Arc<Mutex<Vec<u8>>>,
}

/// Reader of a file from an offset on, noting the first bytes read.
struct Noting {
    from: Headers,
    at: u64,
}

impl Headers {
    fn of(file: File) -> io::Result<Self> {
        Ok(Self { bytes: file.metadata()?.len(), file: Arc::new(file), begin: Arc::default() })
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.begin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn within(&self, read: &SchemaRef, most: usize) -> Result<bool, ParquetError> {
        let footer = ArrowReaderMetadata::load(self, ArrowReaderOptions::new())?;
        let (fields, metadata) = (footer.schema().fields(), footer.metadata());
        for group in metadata.row_groups() {
            let rows = usize::try_from(group.num_rows()).unwrap_or_default();
            for (leaf, column) in group.columns().iter().enumerate() {
                let root = fields.get(footer.parquet_schema().get_column_root_idx(leaf));
                // No job reads lists or structures.
                if root.is_none_or(|field| field.data_type().is_nested() || read.column_with_name(field.name()).is_none()) {
                    continue;
                }
                let mut pages = SerializedPageReader::new(Arc::new(self.clone()), column, rows, None)?;
                while pages.peek_next_page()?.is_some() {
                    if said(&self.noted()).is_none_or(|bytes| bytes > most as u64) {
                        return Ok(false);
                    }
                    pages.skip_next_page()?;
                }
            }
        }
        Ok(true)
    }
}

/// Returns the unpacked size stated in a page's header, in Thrift's compact protocol: the second field, after the type.
///
/// Returns `None` if the header begins otherwise, as no writer's does.
fn said(header: &[u8]) -> Option<u64> {
    let mut rest = header;
    let mut field = || {
        // Reads the next field, an integer of 32 bits.
        let (0x15, mut after) = rest.split_first().map(|(first, after)| (*first, after))? else { return None };
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let (byte, more) = after.split_first()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            (after, shift) = (more, shift + 7);
            if byte & 0x80 == 0 {
                rest = after;
                return Some(value);
            }
        }
    };
    let (_, size) = (field()?, field()?);
    // Zigzag: odd numbers are negative.
    (size % 2 == 0).then_some(size / 2)
}

impl Read for Noting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.file.read_at(into, self.at)?;
        self.at += read as u64;
        let mut begin = self.from.noted();
        let lacking = BEGIN.saturating_sub(begin.len()).min(read);
        begin.extend_from_slice(into.get(..lacking).unwrap_or_default());
        Ok(read)
    }
}

impl Length for Headers {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Headers {
    type T = BufReader<Noting>;

    fn get_read(&self, start: u64) -> Result<BufReader<Noting>, ParquetError> {
        self.noted().clear();
        Ok(BufReader::with_capacity(512, Noting { from: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.file.get_bytes(start, length)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{BinaryArray, DictionaryArray, Int64Array, RecordBatch, StringArray, StringViewArray},
        datatypes::Int32Type,
    };
    use parquet::{
        arrow::ArrowWriter,
        file::properties::{WriterProperties, WriterPropertiesBuilder},
    };
    use tidegate_protocol::{
        manifest::Layout,
        policy::{Policy, PolicyFile},
    };

    use super::*;
    use crate::dataset::{Profile, TableFiles, open, profile};

    fn policy() -> Policy {
        let text = r#"
            unit = { column = "Person", max_units = 1000000, max_rows = 3, max_groups = 2 }
            budget = { delta = 1e-9, rho = 1.0, per_buyer_rho = 1.0 }
            jobs = { kinds = ["sql"], min_units = 10, fuel = 1, memory_mib = 16, slot = "1s", tick = "1s" }
            access = { compute = "granted", replicate = "nobody" }
            columns = { note = {} }
        "#;
        PolicyFile::parse(text).unwrap().check(|e, _| Some(e)).unwrap()
    }

    fn texts(texts: impl Iterator<Item = String>) -> ArrayRef {
        Arc::new(texts.map(Some).collect::<StringArray>())
    }

    fn numbers(rows: usize) -> ArrayRef {
        Arc::new((0..rows as i64).collect::<Int64Array>())
    }

    fn published(
        unit: ArrayRef,
        note: ArrayRef,
        properties: WriterPropertiesBuilder,
    ) -> Result<(Profile, Vec<ArrayRef>), DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.parquet");
        // Nobody sees it, and it is of any size.
        let hidden = texts((0..note.len()).map(|i| "h".repeat(if i == 5 { 5000 } else { 1 })));
        let batch = RecordBatch::try_from_iter([("Person", unit), ("note", note), ("hidden", hidden)]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let tables = [TableFiles::of(&[path])];
        let profile = profile(&tables, &policy(), None, &dir.path().join("copy.parquet"), &mut |_, _| {})?;
        let schema = crate::dataset::schema(&tables, &policy())?;
        assert!(pages(&profile.compute[0], &schema).unwrap());
        let notes = open(&profile.compute[0]).unwrap().map(|batch| batch.unwrap().column_by_name("note").unwrap().clone());
        let notes = notes.collect();
        Ok((profile, notes))
    }

    fn one_page() -> WriterPropertiesBuilder {
        let all = usize::MAX / 4;
        let builder = WriterProperties::builder().set_data_page_size_limit(all).set_dictionary_page_size_limit(all);
        builder.set_data_page_row_count_limit(all).set_write_batch_size(1 << 20)
    }

    /// A file with a huge page, of data or of a dictionary, is copied, and the copy has none: readers unpack a page as a whole.
    #[test]
    fn files_with_large_pages_are_copied() {
        let rows = limits::PAGE_BYTES / 100 + 5000;
        let distinct = || texts((0..rows).map(|i| format!("{i:0100}")));
        let same = || texts((0..rows).map(|_| "a".repeat(100)));
        for (note, properties, layout) in [
            (distinct(), WriterProperties::builder(), Layout::AsPublished),
            (distinct(), one_page().set_dictionary_enabled(false), Layout::Clustered),
            (distinct(), one_page(), Layout::Clustered),
            // Well packed, and as large once it is unpacked.
            (
                same(),
                one_page().set_dictionary_enabled(false).set_compression(parquet::basic::Compression::SNAPPY),
                Layout::Clustered,
            ),
            (same(), one_page(), Layout::AsPublished),
        ] {
            let (profile, notes) = published(numbers(rows), note.clone(), properties).unwrap();
            assert_eq!(profile.layout, layout);
            let notes = arrow::compute::concat(&notes.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
            assert!(notes == note);
        }
    }

    /// Texts of every type are cut, in the copy, to what jobs see of them.
    #[test]
    fn files_with_long_texts_are_copied_and_cut() {
        let text = |i: usize| if i == 7 { "é".repeat(1 << 20) } else { format!("{i}") };
        let short = texts((0..20).map(|i| "é".repeat(i * 100)));
        let (profile, _) = published(numbers(20), short, WriterProperties::builder()).unwrap();
        assert_eq!(profile.layout, Layout::AsPublished);
        let plain = texts((0..20).map(text));
        let as_kind = |kind: &DataType| cast(&plain, kind).unwrap();
        let dictionary: DictionaryArray<Int32Type> =
            (0..20).map(text).collect::<Vec<_>>().iter().map(|t| Some(t.as_str())).collect();
        let views: StringViewArray = (0..20).map(|i| Some(text(i))).collect();
        let bytes: BinaryArray = (0..20).map(|i| Some(text(i).into_bytes())).collect();
        for note in [
            plain.clone(),
            as_kind(&DataType::LargeUtf8),
            Arc::new(dictionary),
            Arc::new(views),
            Arc::new(bytes),
            as_kind(&DataType::LargeBinary),
            as_kind(&DataType::BinaryView),
        ] {
            // Dictionaries are spelled out.
            let kind = crate::dataset::read::plain(note.data_type()).clone();
            let (profile, notes) = published(numbers(20), note, WriterProperties::builder()).unwrap();
            assert_eq!((profile.layout, notes[0].data_type()), (Layout::Clustered, &kind));
            let bytes = cast(&cast(&notes[0], &DataType::Utf8).unwrap(), &DataType::Binary).unwrap_or_else(|_| notes[0].clone());
            let longest = lengths(&cast(&bytes, &DataType::Binary).unwrap()).unwrap().max().unwrap();
            let most = if kind.is_binary() { TEXT_BYTES } else { 2 * limits::TEXT_CHARS };
            assert_eq!(longest, most, "{kind}");
        }
        let fixed = |bytes: i32| can_be_cut(&Field::new("note", DataType::FixedSizeBinary(bytes), true));
        assert!(fixed(4096).is_ok() && fixed(4097).unwrap_err().contains("4097 bytes"));
    }

    /// Names of units are not cut: who has a longer one is told which row it is in, whether or not the file would be copied.
    #[test]
    fn long_names_of_units_are_refused_with_their_row() {
        let named =
            |most: usize, long: usize| texts((0..20).map(move |i| if i == long { "z".repeat(most) } else { format!("b{i:02}") }));
        for (unit, problem) in [
            (named(limits::UNIT_NAME_BYTES, 19), None),
            (named(limits::UNIT_NAME_BYTES + 1, 19), Some("row 20: the privacy unit's id has 257 bytes")),
            (named(1 << 20, 3), Some("row 4:")),
            (cast(&named(1 << 20, 3), &DataType::Binary).unwrap(), Some("row 4:")),
        ] {
            // As it lies, and copied for its texts.
            for note in [texts((0..20).map(|i| i.to_string())), texts((0..20).map(|_| "x".repeat(5000)))] {
                let said = published(unit.clone(), note, WriterProperties::builder()).err().map(|e| e.to_string());
                assert_eq!(said.is_some(), problem.is_some(), "{said:?}");
                assert!(problem.is_none_or(|problem| said.is_some_and(|said| said.contains(problem))));
            }
        }
    }

    /// Whoever writes a page's header otherwise than all do gets a copy.
    #[test]
    fn a_header_that_begins_otherwise_says_nothing() {
        assert_eq!(said(&[0x15, 0, 0x15, 0x80, 0x80, 0x80, 8, 0x15, 0]), Some(8 << 20));
        assert_eq!(said(&[0x15, 0, 0x15, 14, 0x15]), Some(7));
        for header in [
            &[][..],
            &[0x15],
            &[0x15, 0],
            &[0x15, 0, 0x15],
            &[0x15, 0, 0x15, 0x80],
            &[0x15, 0, 0x15, 13],
            &[5, 2, 0, 0x15, 4],
            &[0x15, 0, 0x25, 4],
        ] {
            assert_eq!(said(header), None, "{header:?}");
        }
        assert_eq!(said(&[[0x15, 0, 0x15].as_slice(), &[0xff; 12]].concat()), None);
    }
}
