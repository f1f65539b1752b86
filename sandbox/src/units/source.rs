//! Parquet files read by position: several readers share a descriptor without moving each other's cursor.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    basic::Encoding,
    column::page::{Page, PageReader as _},
    errors::ParquetError,
    file::{
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
};

use crate::RunError;

/// File with its footer, read once.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) file: Positioned,
    pub(super) footer: ArrowReaderMetadata,
    /// The same footer, with text and byte columns as views: values then stay in the file's pages, however often a text is
    /// repeated.
    pub(super) views: ArrowReaderMetadata,
}

impl Source {
    pub(super) fn open(file: &File) -> Result<Self, RunError> {
        let data = |e: io::Error| RunError::Data(e.to_string());
        let file = file.try_clone().map_err(data)?;
        // Moving the shared cursor does no harm, as all reads are by position. With some C libraries a worker's confinement
        // leaves no other way.
        let len = io::Seek::seek(&mut &file, io::SeekFrom::End(0)).map_err(data)?;
        let file = Positioned { file: Arc::new(file), len };
        let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
        let fields = footer
            .schema()
            .fields()
            .iter()
            .map(|field| Arc::new(field.as_ref().clone().with_data_type(viewed(field.data_type()))));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let views = ArrowReaderMetadata::try_new(footer.metadata().clone(), ArrowReaderOptions::new().with_schema(schema))?;
        Ok(Self { file, footer, views })
    }

    /// Returns how long the texts of a column in a row group may become, as far as its pages tell.
    pub(super) fn texts(&self, group: usize, root: usize) -> Result<Texts, RunError> {
        let metadata = self.footer.metadata();
        let columns = metadata.row_group(group).columns();
        let leaf = (0..columns.len()).find(|leaf| self.footer.parquet_schema().get_column_root_idx(*leaf) == root);
        let Some(chunk) = leaf.map(|leaf| &columns[leaf]) else { return Ok(Texts::default()) };
        let bytes = usize::try_from(chunk.uncompressed_size()).unwrap_or(usize::MAX);
        // With this encoding a page stores only the suffix of a text that shares a prefix with the previous one.
        if chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY) {
            return Ok(Texts { longest: bytes, bytes: usize::MAX });
        }
        let mut longest = 0;
        if chunk.dictionary_page_offset().is_some() {
            let rows = usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(usize::MAX);
            let mut pages = SerializedPageReader::new(Arc::new(self.file.clone()), chunk, rows, None)?;
            if let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? {
                let mut rest = &buf[..];
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let length = u32::from_le_bytes(*length) as usize;
                    longest = longest.max(length);
                    rest = after.get(length..).unwrap_or_default();
                }
            }
        }
        Ok(Texts { longest, bytes })
    }
}

/// Sizes of the texts in a row group's column.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Texts {
    /// Bytes of the longest text shareable by rows.
    pub(super) longest: usize,
    /// Uncompressed bytes of all pages; `usize::MAX` if texts share prefixes.
    pub(super) bytes: usize,
}

/// Returns the view type for a column's values.
fn viewed(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => viewed(value),
        kind => kind.clone(),
    }
}

/// Descriptor read with `pread`; a duplicated descriptor would share its cursor with the original.
#[derive(Clone)]
pub(super) struct Positioned {
    file: Arc<File>,
    len: u64,
}

/// Approximate length of a page header, in bytes.
const HEADER: usize = 512;

/// Sequential reader with a position of its own.
pub(super) struct Cursor {
    file: Arc<File>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(into, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> Result<BufReader<Cursor>, ParquetError> {
        // Page headers are read byte by byte.
        Ok(BufReader::with_capacity(HEADER, Cursor { file: self.file.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A footer may claim any length: nothing is allocated for bytes that are not there.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are beyond the end of the file")));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start).map_err(|e| ParquetError::External(Box::new(e)))?;
        Ok(bytes.into())
    }
}
