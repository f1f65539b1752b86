//! Records of a text file, of bounded length and with well-formed quotes.

use std::{
    io::{Error, ErrorKind, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::quotes::Quotes;

/// Maximum number of bytes of a record.
pub(super) const RECORD: u64 = 64 << 20;

/// Returns the error for an overlong record.
pub(super) fn endless(more: &str) -> Error {
    Error::other(format!("has a record of more than {} MiB{more}", RECORD >> 20))
}

/// Reader of records of values.
pub(crate) struct Records {
    reader: csv::Reader<Metered>,
    since: Arc<AtomicU64>,
}

impl Records {
    /// Builds a reader of records; `quotes` are tracked if given.
    pub(super) fn new(builder: &csv::ReaderBuilder, from: Box<dyn Read + Send>, quotes: Option<Quotes>) -> Self {
        let since = Arc::new(AtomicU64::new(0));
        Self { reader: builder.from_reader(Metered { from, since: since.clone(), quotes }), since }
    }

    /// Reads the next record; returns false at the end.
    pub(crate) fn read(&mut self, record: &mut csv::ByteRecord) -> csv::Result<bool> {
        self.since.store(0, Relaxed);
        self.reader.read_byte_record(record)
    }
}

/// Byte reader with the number of bytes read since the last complete record.
struct Metered {
    from: Box<dyn Read + Send>,
    since: Arc<AtomicU64>,
    quotes: Option<Quotes>,
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        if let Some(quotes) = &mut self.quotes {
            let seen =
                if read == 0 && !into.is_empty() { quotes.end() } else { quotes.see(into.get(..read).unwrap_or_default()) };
            seen.map_err(|problem| Error::new(ErrorKind::InvalidData, problem))?;
        }
        if self.since.fetch_add(read as u64, Relaxed) > RECORD {
            return Err(match &self.quotes {
                Some(quotes) => endless(&format!(" ({})", quotes.unclosed())),
                None => endless(""),
            });
        }
        Ok(read)
    }
}
