//! Arrow IPC, files and streams (<https://arrow.apache.org/docs/format/Columnar.html>).
//!
//! Sizes stated in a file are checked against its actual size before arrow's reader allocates memory for them.

use std::{
    fs::File,
    io::{BufReader, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::Path,
};

use arrow::{
    array::RecordBatchReader,
    ipc::{
        Block, DictionaryBatch, Field, Message, RecordBatch as Batch, Schema,
        reader::{FileReader, StreamReader, read_footer_length},
        root_as_footer, root_as_message,
    },
};
use tidegate_protocol::shown::plain;

use super::Format;
use crate::dataset::{DataError, broken, unreadable};

/// Maximum number of unpacked bytes of a buffer, and of rows in a batch.
const MOST: i64 = 1 << 31;
/// Metadata key with which Arrow 0.17 marks a message with packed buffers.
const PACKED_EARLY: &str = "ARROW:experimental_compression";
/// Maximum number of bytes of a message without its body.
const MESSAGE: u64 = 64 << 20;

/// Opens an Arrow file or stream after checking its stated sizes.
///
/// # Errors
/// Returns [`DataError::File`] if it is cut off or its metadata is impossible, and for columns of unsupported types, by name.
pub(crate) fn open(path: &Path, format: Format) -> Result<Box<dyn RecordBatchReader + Send>, DataError> {
    let mut file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    let size = file.metadata().map_err(|e| unreadable(path, e))?.len();
    let checked = Checked { file: &file, size };
    let found = if format == Format::ArrowFile { checked.footer() } else { checked.messages() };
    found.map_err(|problem| broken(path, problem))?;
    file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(path, e))?;
    let bytes = BufReader::with_capacity(1 << 16, file);
    Ok(if format == Format::ArrowFile {
        Box::new(FileReader::try_new(bytes, None).map_err(|e| broken(path, e))?)
    } else {
        Box::new(StreamReader::try_new(bytes, None).map_err(|e| broken(path, e))?)
    })
}

const CUT: &str = "is damaged or truncated: it refers to bytes beyond its end";
const WRONG: &str = "is damaged: its description of the rows is invalid";

struct Checked<'a> {
    file: &'a File,
    size: u64,
}

impl Checked<'_> {
    fn bytes(&self, at: u64, length: u64) -> Result<Vec<u8>, String> {
        if at.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(CUT.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| CUT)?];
        self.file.read_exact_at(&mut bytes, at).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn footer(&self) -> Result<(), String> {
        const END: u64 = 10;
        let end = self.size.checked_sub(END).ok_or(CUT)?;
        let trailer: [u8; END as usize] = self.bytes(end, END)?.try_into().map_err(|_| CUT)?;
        let length = read_footer_length(trailer).map_err(|e| e.to_string())? as u64;
        let footer = self.bytes(end.checked_sub(length).ok_or(CUT)?, length)?;
        let footer = root_as_footer(&footer).map_err(|e| format!("is damaged: {e}"))?;
        types(footer.schema().ok_or(WRONG)?)?;
        let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
        blocks.into_iter().try_for_each(|block| self.block(block))
    }

    fn block(&self, block: &Block) -> Result<(), String> {
        let number = |n: i64| u64::try_from(n).map_err(|_| WRONG);
        let (at, head, body) = (number(block.offset())?, number(block.metaDataLength().into())?, number(block.bodyLength())?);
        let after = at.checked_add(head).ok_or(CUT)?;
        if head < 8 || after.checked_add(body).is_none_or(|end| end > self.size) {
            return Err(CUT.into());
        }
        let bytes = self.bytes(at, head)?;
        let message = if bytes.starts_with(&[0xff; 4]) { bytes.get(8..) } else { bytes.get(4..) };
        let message = root_as_message(message.ok_or(WRONG)?).map_err(|e| format!("is damaged: {e}"))?;
        self.message(message, after, body)
    }

    /// Checks the messages of a stream.
    fn messages(&self) -> Result<(), String> {
        let mut at = 0;
        while at < self.size {
            let mut length = self.word(&mut at)?;
            if length == u32::MAX {
                length = self.word(&mut at)?;
            }
            if length == 0 {
                return Ok(());
            }
            if u64::from(length) > MESSAGE {
                return Err(WRONG.into());
            }
            let bytes = self.bytes(at, length.into())?;
            let message = root_as_message(&bytes).map_err(|e| format!("is damaged: {e}"))?;
            at += u64::from(length);
            let body = u64::try_from(message.bodyLength()).map_err(|_| WRONG)?;
            if at.checked_add(body).is_none_or(|end| end > self.size) {
                return Err(CUT.into());
            }
            if let Some(schema) = message.header_as_schema() {
                types(schema)?;
            }
            self.message(message, at, body)?;
            at += body;
        }
        Ok(())
    }

    fn word(&self, at: &mut u64) -> Result<u32, String> {
        let bytes = self.bytes(*at, 4)?;
        *at += 4;
        Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| CUT)?))
    }

    fn message(&self, message: Message<'_>, body_at: u64, body: u64) -> Result<(), String> {
        // Arrow 0.17 packed buffers before the format had a field for it: readers unaware of it take packed bytes for values.
        if message.custom_metadata().into_iter().flatten().any(|pair| pair.key() == Some(PACKED_EARLY)) {
            return Err(
                "is compressed in the way of Arrow 0.17, which is not supported: write it again with a later Arrow version, or uncompressed".into()
            );
        }
        let batch = message.header_as_record_batch();
        let batch = batch.or_else(|| message.header_as_dictionary_batch().and_then(|d: DictionaryBatch<'_>| d.data()));
        batch.map_or(Ok(()), |batch| self.batch(batch, body_at, body))
    }

    /// Checks whether buffers lie in the body, and unpack to acceptable sizes.
    fn batch(&self, batch: Batch<'_>, body_at: u64, body: u64) -> Result<(), String> {
        let rows = batch.length();
        if !(0..MOST).contains(&rows) {
            return Err(WRONG.into());
        }
        for node in batch.nodes().into_iter().flatten() {
            if !(0..MOST).contains(&node.length()) || !(0..=node.length()).contains(&node.null_count()) {
                return Err(WRONG.into());
            }
        }
        for buffer in batch.buffers().into_iter().flatten() {
            let (at, length) =
                (u64::try_from(buffer.offset()).map_err(|_| WRONG)?, u64::try_from(buffer.length()).map_err(|_| WRONG)?);
            if at.checked_add(length).is_none_or(|end| end > body) {
                return Err(CUT.into());
            }
            if batch.compression().is_some() && length >= 8 {
                let unpacked = i64::from_le_bytes(self.bytes(body_at + at, 8)?.try_into().map_err(|_| CUT)?);
                if !(-1..MOST).contains(&unpacked) {
                    return Err(WRONG.into());
                }
            }
        }
        Ok(())
    }
}

/// Refuses integers of widths for which arrow has no type: its reader fails on them.
pub(super) fn types(schema: Schema<'_>) -> Result<(), String> {
    let odd = |field: Field<'_>| Some((field.name().unwrap_or_default().to_owned(), integer(field)?));
    match schema.fields().into_iter().flatten().find_map(odd) {
        Some((name, kind)) => Err(format!(
            "column `{}` has type {kind}, and no Arrow file with such a column can be read: write the column as Int64 or as a decimal, or remove it from the file",
            plain(&name)
        )),
        None => Ok(()),
    }
}

/// Returns the name of such an integer's type, of a column or within it.
fn integer(field: Field<'_>) -> Option<String> {
    match field.type_as_int().filter(|int| !matches!(int.bitWidth(), 8 | 16 | 32 | 64)) {
        Some(int) => Some(format!("{}Int{}", if int.is_signed() { "" } else { "U" }, int.bitWidth())),
        None => field.children().into_iter().flatten().find_map(integer),
    }
}

/// Describes a type unknown to arrow.
pub(super) fn words(field: Field<'_>) -> String {
    integer(field).map_or_else(|| "an unknown type".to_owned(), |kind| format!("type {kind}"))
}
