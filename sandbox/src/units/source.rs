//! Parquet files read by position: several readers share one descriptor without moving each other's cursor.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use crate::RunError;

/// A file and its footer, read once.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) file: Positioned,
    pub(super) footer: ArrowReaderMetadata,
}

impl Source {
    pub(super) fn open(file: &File) -> Result<Self, RunError> {
        let data = |e: io::Error| RunError::Data(e.to_string());
        let file = file.try_clone().map_err(data)?;
        // Whose cursor this moves does not matter: all reading is by position. A worker's walls leave no other way on every C library.
        let len = io::Seek::seek(&mut &file, io::SeekFrom::End(0)).map_err(data)?;
        let file = Positioned { file: Arc::new(file), len };
        let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
        Ok(Self { file, footer })
    }
}

/// A descriptor read with `pread`: a duplicated descriptor would share its cursor with the original.
#[derive(Clone)]
pub(super) struct Positioned {
    file: Arc<File>,
    len: u64,
}

/// About as long as a page's header is.
const HEADER: usize = 512;

/// A sequential read from a position of its own.
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
        // A footer may claim any length: nothing is set aside for bytes that are not there.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are beyond the end of the file")));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start).map_err(|e| ParquetError::External(Box::new(e)))?;
        Ok(bytes.into())
    }
}
