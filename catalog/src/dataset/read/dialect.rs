//! Dialect of a text file: its encoding, its delimiter, and its header.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Cursor, Read},
    path::Path,
};

use encoding_rs::{Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};
use tidegate_protocol::{
    policy::{Encoding, ReadRules},
    shown::plain,
};

use super::{
    ADD,
    packed::unpacked,
    quotes::{Marks, Quotes},
    records::Records,
    sheet::{self, ZIP},
};
use crate::dataset::{DataError, broken};

/// Number of bytes examined to detect the delimiter.
const SAMPLE: usize = 1 << 18;
/// Number of lines examined in a sheet.
const LINES: usize = 200;
/// Possible delimiters, the likeliest first.
const DELIMITERS: [(u8, &str); 4] = [(b',', "a comma"), (b';', "a semicolon"), (b'\t', "a tab"), (b'|', "a bar")];

/// Dialect of a text file.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    quote: u8,
    skip: u32,
    comment: Option<u8>,
    /// Whether line breaks in quotes may be followed by text resembling a record.
    multiline: bool,
    /// UTF-16, whose bytes are not ASCII.
    wide: Option<Wide>,
    /// Whether its encoding is Windows-1252.
    pub(crate) western: bool,
    /// Compression format of the file.
    pub(crate) packed: Option<&'static str>,
    /// For a workbook, the name of the chosen sheet, and the number of sheets.
    pub(crate) sheet: Option<(String, usize)>,
    /// Names of the columns.
    pub(crate) header: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Wide {
    little: bool,
}

impl Dialect {
    /// Returns the delimiter in words.
    pub(crate) fn delimiter_word(&self) -> String {
        let known = DELIMITERS.iter().find(|(byte, _)| *byte == self.delimiter);
        known.map_or_else(|| format!("{:?}", char::from(self.delimiter)), |(_, word)| (*word).to_owned())
    }

    /// Returns the chosen sheet of a workbook in words.
    pub(crate) fn sheet_words(&self) -> String {
        match &self.sheet {
            Some((name, 1)) => format!("a workbook, sheet {:?}", plain(name)),
            Some((name, all)) => format!("a workbook, sheet {:?}, chosen from {all} by its header", plain(name)),
            None => String::new(),
        }
    }

    /// Counts the formulas without a stored value in a workbook's columns, by name.
    pub(crate) fn unvalued(&self, path: &Path) -> Result<BTreeMap<String, u64>, DataError> {
        let Some((sheet, _)) = &self.sheet else { return Ok(BTreeMap::new()) };
        let found = sheet::unvalued(path, sheet, self.skip)?;
        Ok(found.into_iter().filter_map(|(column, count)| Some((self.header.get(column)?.clone(), count))).collect())
    }

    /// Returns the word for a record's place.
    pub(crate) fn row_word(&self) -> &'static str {
        if self.sheet.is_some() { "row" } else { "line" }
    }

    /// Returns whether the file's characters take two bytes each.
    pub(crate) fn is_wide(&self) -> bool {
        self.wide.is_some()
    }

    /// Detects the dialect of a file: by the rules if stated there, else by the reading whose header has most of the columns
    /// `wanted`, and most columns.
    ///
    /// Rows play no part: one person's row could change how all others are read.
    pub(crate) fn of(path: &Path, rules: &ReadRules, wanted: &[String]) -> Result<Self, DataError> {
        let packed = unpacked(path)?.by;
        let begin = head(&mut unpacked(path)?.bytes, SAMPLE).map_err(|e| broken(path, e))?;
        let quote = rules.quote.map_or(b'"', |c| c as u8);
        let comment = rules.comment.map(|c| c as u8);
        let mut found = Self {
            delimiter: b',',
            quote,
            skip: rules.skip,
            comment,
            multiline: rules.multiline,
            wide: wide(&begin, rules.encoding).map_err(|problem| broken(path, problem))?,
            western: rules.encoding == Some(Encoding::Latin1),
            packed,
            sheet: None,
            header: vec![],
        };
        if begin.starts_with(ZIP) {
            return found.of_sheet(path, wanted);
        }
        let sample = head(&mut found.bytes(path)?, SAMPLE).map_err(|e| broken(path, e))?;
        let candidates: Vec<u8> = match rules.delimiter {
            Some(c) => vec![c as u8],
            None => DELIMITERS.iter().map(|(byte, _)| *byte).collect(),
        };
        let mut best: Option<((usize, usize), u8)> = None;
        for delimiter in candidates {
            let names = found.names(&sample, delimiter);
            let has = wanted.iter().filter(|name| names.iter().any(|n| n == *name)).count();
            let score = (has, names.len());
            if best.is_none_or(|(before, _)| score > before) {
                best = Some((score, delimiter));
                found.header = names;
            }
        }
        found.delimiter = best.map_or(b',', |(_, delimiter)| delimiter);
        Ok(found)
    }

    /// Chooses the sheet of a workbook whose header has most of the columns `wanted`.
    fn of_sheet(mut self, path: &Path, wanted: &[String]) -> Result<Self, DataError> {
        sheet::check(path)?;
        (self.delimiter, self.quote, self.wide, self.western, self.packed) = (b',', b'"', None, false, None);
        let names = sheet::names(path)?;
        let mut best: Option<usize> = None;
        for name in &names {
            let sample = sheet::lines(path, name, self.skip, self.skip.saturating_add(LINES as u32))?;
            let header: Vec<_> = self.names(&sample, b',').iter().map(|name| sheet::cell(name).0.to_owned()).collect();
            let has = wanted.iter().filter(|name| header.contains(name)).count();
            if best.is_none_or(|before| has > before) {
                best = Some(has);
                (self.sheet, self.header) = (Some((name.clone(), names.len())), header);
            }
        }
        if best.is_none() { Err(broken(path, "has no visible sheet with rows")) } else { Ok(self) }
    }

    /// Returns the names in the first line.
    fn names(&self, sample: &[u8], delimiter: u8) -> Vec<String> {
        let mut reader = self.csv(delimiter).flexible(true).from_reader(sample);
        let mut first = csv::ByteRecord::new();
        let _ = reader.read_byte_record(&mut first);
        first.iter().map(|name| self.decoded(name).trim().to_owned()).collect()
    }

    /// Decodes a text of the header, in an ASCII-compatible encoding: UTF-8 if valid, else Windows-1252.
    fn decoded<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        let western = || WINDOWS_1252.decode_without_bom_handling(bytes).0;
        if self.western { western() } else { std::str::from_utf8(bytes).map_or_else(|_| western(), Into::into) }
    }

    /// Decodes a value; also returns whether the value is a number with a decimal point regardless of its look. `None` if the
    /// bytes are not valid characters.
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> Option<(Cow<'a, str>, bool)> {
        if self.western && !bytes.is_ascii() {
            return Some((WINDOWS_1252.decode_without_bom_handling(bytes).0, false));
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let (text, pointed) = if self.sheet.is_some() { sheet::cell(text) } else { (text, false) };
        Some((text.into(), pointed))
    }

    fn csv(&self, delimiter: u8) -> csv::ReaderBuilder {
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(delimiter).quote(self.quote).comment(self.comment).has_headers(false);
        builder
    }

    /// Opens the file's bytes: unpacked, from the header on, in an ASCII-compatible encoding.
    fn bytes(&self, path: &Path) -> Result<Box<dyn Read + Send>, DataError> {
        if let Some((name, _)) = &self.sheet {
            return Ok(Box::new(Cursor::new(sheet::lines(path, name, self.skip, u32::MAX)?)));
        }
        let bytes = unpacked(path)?.bytes;
        let bytes: Box<dyn Read + Send> = match self.wide {
            Some(Wide { little }) => {
                let decoder = if little { UTF_16LE } else { UTF_16BE }.new_decoder_with_bom_removal();
                Box::new(Narrow { from: bytes, decoder, ready: Vec::new(), at: 0, done: false })
            }
            None => bytes,
        };
        let mut lines = BufReader::with_capacity(1 << 16, bytes);
        let marked = lines.fill_buf().map_err(|e| broken(path, e))?.starts_with(b"\xef\xbb\xbf");
        if marked {
            lines.consume(3);
        }
        for _ in 0..self.skip {
            lines.skip_until(b'\n').map_err(|e| broken(path, e))?;
        }
        Ok(Box::new(lines))
    }

    /// Opens the file's records after the header.
    pub(crate) fn records(&self, path: &Path) -> Result<Records, DataError> {
        let marks = Marks { delimiter: self.delimiter, quote: self.quote, comment: self.comment, multiline: self.multiline };
        // The lines of a sheet are made here, with well-formed quotes.
        let quotes = self.sheet.is_none().then(|| Quotes::new(marks, self.header.clone(), 1 + u64::from(self.skip)));
        let mut records = Records::new(&self.csv(self.delimiter), self.bytes(path)?, quotes);
        records.read(&mut csv::ByteRecord::new()).map_err(|e| broken(path, e))?;
        Ok(records)
    }

    /// Returns the line of the file, or the row of the sheet, in which the record at this byte begins. Reads the file up to
    /// there.
    ///
    /// The reader's own count is where the previous record ended: a line too early after line breaks of two characters, empty
    /// lines and comments.
    pub(crate) fn line(&self, path: &Path, byte: u64) -> Result<u64, DataError> {
        let mut bytes = BufReader::new(self.bytes(path)?);
        let (mut line, mut left, mut text, mut quoted) = (1 + u64::from(self.skip), byte, Vec::new(), false);
        while left > 0 {
            text.clear();
            let read = (&mut bytes).take(left).read_until(b'\n', &mut text).map_err(|e| broken(path, e))? as u64;
            if read == 0 {
                break;
            }
            left -= read;
            // A sheet's row is a single row even if a value has line breaks.
            quoted ^= self.sheet.is_some() && text.iter().filter(|byte| **byte == self.quote).count() % 2 == 1;
            line += u64::from(text.ends_with(b"\n") && !quoted);
        }
        loop {
            text.clear();
            bytes.read_until(b'\n', &mut text).map_err(|e| broken(path, e))?;
            let is_comment = self.comment.is_some_and(|mark| text.first() == Some(&mark));
            let is_empty = text.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            if text.is_empty() || !(is_comment || is_empty) {
                return Ok(line);
            }
            line += 1;
        }
    }

    /// Describes an error in the file's lines.
    pub(crate) fn broken(&self, path: &Path, e: csv::Error) -> DataError {
        match e.kind() {
            csv::ErrorKind::UnequalLengths { pos: Some(pos), expected_len, len } => match self.line(path, pos.byte()) {
                Ok(line) => {
                    broken(path, format!("{} {line} has {len} values, and the header has {expected_len}", self.row_word()))
                }
                Err(e) => e,
            },
            _ => broken(path, e),
        }
    }
}

fn head(from: &mut dyn Read, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Detects UTF-16, by its byte order mark or the owner's word.
///
/// # Errors
/// Fails if every other of the first bytes is zero: UTF-16 without a mark, and nobody says so.
fn wide(begin: &[u8], told: Option<Encoding>) -> Result<Option<Wide>, String> {
    let big = begin.starts_with(&[0xfe, 0xff]);
    match told {
        // The header's first character is ASCII.
        Some(Encoding::Utf16) => return Ok(Some(Wide { little: !big && begin.first() != Some(&0) })),
        Some(Encoding::Utf8 | Encoding::Latin1) => return Ok(None),
        None => {}
    }
    if big || begin.starts_with(&[0xff, 0xfe]) {
        return Ok(Some(Wide { little: !big }));
    }
    let some = begin.get(..64.min(begin.len())).unwrap_or_default();
    let zeros = |odd: usize| some.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let looks_wide = some.len() >= 4 && even.max(odd) * 4 >= some.len() / 2 * 3 && even.min(odd) == 0;
    match looks_wide {
        true => Err(format!("looks like UTF-16, and has no byte order mark. If it is UTF-16, {ADD}encoding = \"utf16\"")),
        false => Ok(None),
    }
}

/// Reader converting UTF-16 to UTF-8.
struct Narrow {
    from: Box<dyn Read + Send>,
    decoder: Decoder,
    ready: Vec<u8>,
    at: usize,
    done: bool,
}

impl Read for Narrow {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.ready.len() && !self.done {
            let mut wide = [0; 1 << 14];
            let read = self.from.read(&mut wide)?;
            self.done = read == 0;
            let room = self.decoder.max_utf8_buffer_length(read).unwrap_or(1 << 17);
            self.ready.resize(room, 0);
            self.at = 0;
            let bytes = wide.get(..read).unwrap_or_default();
            let (_, _, written, wrong) = self.decoder.decode_to_utf8(bytes, &mut self.ready, self.done);
            self.ready.truncate(written);
            if wrong {
                return Err(std::io::Error::other("has bytes that are not UTF-16: it is damaged, or in another encoding"));
            }
        }
        let ready = self.ready.get(self.at..).unwrap_or_default();
        let some = ready.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..some), ready.get(..some)) {
            to.copy_from_slice(from);
        }
        self.at += some;
        Ok(some)
    }
}
