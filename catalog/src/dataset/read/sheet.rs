//! Excel workbooks (.xlsx): the rows of a sheet become lines of text, read by the same rules as any text.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use calamine::{DataRef, ExcelDateTime, ExcelDateTimeType, Reader as _, SheetType, SheetVisible, Xlsx};
use tidegate_protocol::shown::plain;
use zip::ZipArchive;

use super::packed::ALWAYS;
use crate::dataset::{DataError, broken, unreadable};

/// First bytes of a ZIP archive.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";
/// Mark before a number with a fraction, which always has a decimal point. A text beginning with the mark gets another.
const NUMBER: char = '\u{1}';
/// Maximum numbers of rows and columns in Excel.
const ROWS: u32 = 1 << 20;
const COLUMNS: usize = 1 << 14;
/// Number of milliseconds of a day.
const DAY: f64 = 86_400_000.0;

/// Content of a ZIP archive.
pub(super) enum Zip {
    Workbook,
    /// An Excel workbook in an unsupported form.
    Binary,
    Other,
}

/// Determines the content of a ZIP archive.
pub(super) fn kind(path: &Path) -> Result<Zip, DataError> {
    let archive = archive(path)?;
    let has = |name: &str| archive.file_names().any(|one| one.is_ok_and(|one| one.eq_ignore_ascii_case(name)));
    Ok(match () {
        () if has("xl/workbook.xml") => Zip::Workbook,
        () if has("xl/workbook.bin") => Zip::Binary,
        () => Zip::Other,
    })
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>, DataError> {
    let file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    ZipArchive::new(BufReader::new(file))
        .map_err(|e| broken(path, format!("is not a complete Excel workbook (a ZIP archive): {e}")))
}

/// Test-unpacks a whole workbook, before it is unpacked into memory.
///
/// # Errors
/// Returns [`DataError::File`] if it is larger than [`ALWAYS`], or claims to have more texts than there is room for.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    let mut archive = archive(path)?;
    let mut left = ALWAYS;
    let too_much = || broken(path, format!("decompresses to more than {} GiB: save the sheet as CSV", ALWAYS >> 30));
    let mut buffer = vec![0; 1 << 16];
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| broken(path, e))?;
        if entry.size() > left {
            return Err(too_much());
        }
        let mut claim = Claim::default();
        let mut bytes = 0;
        loop {
            let read = entry.read(&mut buffer).map_err(|e| broken(path, e))?;
            if read == 0 {
                break;
            }
            left = left.checked_sub(read as u64).ok_or_else(too_much)?;
            bytes += read as u64;
            buffer.iter().take(read).for_each(|byte| claim.see(*byte));
        }
        // Each text has at least a tag.
        if claim.most > bytes {
            return Err(broken(path, "is damaged: it declares more texts than it can have"));
        }
    }
    Ok(())
}

/// Number of texts claimed by a part of a workbook, for which its reader allocates memory. Detected in any encoding.
#[derive(Default)]
struct Claim {
    matched: usize,
    digits: Option<u64>,
    most: u64,
}

impl Claim {
    fn see(&mut self, byte: u8) {
        const WORD: &[u8] = b"uniqueCount";
        match (byte, self.digits) {
            // Zero bytes of UTF-16.
            (0, _) => {}
            (b'0'..=b'9', Some(digits)) => {
                let digits = digits.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                (self.digits, self.most) = (Some(digits), self.most.max(digits));
            }
            (b'=' | b'"' | b'\'' | b' ' | b'\t' | b'\r' | b'\n', Some(0)) => {}
            _ => {
                self.digits = None;
                let expected = WORD.get(self.matched) == Some(&byte);
                self.matched = if expected { self.matched + 1 } else { usize::from(byte == b'u') };
                if self.matched == WORD.len() {
                    (self.matched, self.digits) = (0, Some(0));
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<Xlsx<BufReader<File>>, DataError> {
    let file = tidegate_files::open_given(path).map_err(|e| unreadable(path, e))?;
    Xlsx::new(BufReader::new(file)).map_err(|e| broken(path, e))
}

/// Lists the visible sheets, in their order.
pub(super) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let workbook = open(path)?;
    let seen = workbook.sheets_metadata().iter();
    let seen = seen.filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible);
    Ok(seen.map(|sheet| sheet.name.clone()).collect())
}

/// Converts a sheet to text: its rows from `skip` to `rows`, a line each.
///
/// The first nonempty row sets the minimum number of values of the others.
pub(super) fn lines(path: &Path, sheet: &str, skip: u32, rows: u32) -> Result<Vec<u8>, DataError> {
    let mut workbook = open(path)?;
    let wrong = |e: &dyn std::fmt::Display| broken(path, format!("sheet {}: {e}", plain(sheet)));
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(|e| wrong(&e))?;
    let mut lines = Lines { text: vec![], row: 0, values: vec![], skip, width: None };
    while let Some(cell) = cells.next_cell().map_err(|e| wrong(&e))? {
        let (row, column) = cell.get_position();
        if row >= rows {
            break;
        }
        let column = column as usize;
        if row >= ROWS || column >= COLUMNS || row < lines.row || (row == lines.row && column < lines.values.len()) {
            return Err(wrong(&"is damaged: its cells are out of order, or exceed Excel's limits"));
        }
        let Some(value) = text(cell.get_value()) else { continue };
        while lines.row < row {
            lines.end();
        }
        lines.values.resize(column, String::new());
        lines.values.push(value);
        if lines.text.len() as u64 > ALWAYS {
            return Err(wrong(&format!("has more than {} GiB of text: save it as CSV", ALWAYS >> 30)));
        }
    }
    lines.end();
    Ok(lines.text)
}

/// Counts the formulas without a stored value below the first row after `skip`, by column.
///
/// Counting ends where the sheet makes no sense: formulas play no part in its rows.
pub(super) fn unvalued(path: &Path, sheet: &str, skip: u32) -> Result<BTreeMap<usize, u64>, DataError> {
    let mut found: BTreeMap<usize, u64> = BTreeMap::new();
    let mut workbook = open(path)?;
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(|e| broken(path, e))?;
    while let Ok(Some(cell)) = cells.next_cell_with_formula_metadata() {
        let (row, column) = cell.pos;
        if row > skip && cell.formula.is_some() && matches!(cell.value, DataRef::Empty) {
            *found.entry(column as usize).or_default() += 1;
        }
    }
    Ok(found)
}

struct Lines {
    text: Vec<u8>,
    /// Row being built, from 0.
    row: u32,
    values: Vec<String>,
    skip: u32,
    /// Number of values of a row.
    width: Option<usize>,
}

impl Lines {
    fn end(&mut self) {
        self.row += 1;
        if self.row <= self.skip {
            return self.values.clear();
        }
        if !self.values.is_empty() {
            let width = *self.width.get_or_insert(self.values.len());
            let padded = self.values.len().max(width);
            self.values.resize(padded, String::new());
            for (i, value) in self.values.iter().enumerate() {
                if i > 0 {
                    self.text.push(b',');
                }
                if value.contains([',', '"', '\n', '\r']) {
                    self.text.extend_from_slice(format!("\"{}\"", value.replace('"', "\"\"")).as_bytes());
                } else {
                    self.text.extend_from_slice(value.as_bytes());
                }
            }
        }
        self.text.push(b'\n');
        self.values.clear();
    }
}

/// Formats a cell's value as in a text file; `None` if empty.
fn text(value: &DataRef<'_>) -> Option<String> {
    let as_text = |text: &str| match text.starts_with(NUMBER) {
        true => format!("{NUMBER}{text}"),
        false => text.to_owned(),
    };
    let text = match value {
        DataRef::Empty => return None,
        DataRef::Int(n) => n.to_string(),
        DataRef::Float(f) => number(*f),
        DataRef::String(text) => as_text(text),
        DataRef::SharedString(text) => as_text(text),
        DataRef::Bool(b) => b.to_string(),
        DataRef::DateTime(at) => time(at),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(e) => e.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

/// Strips the number mark from a value, and returns whether the mark was there.
pub(super) fn cell(value: &str) -> (&str, bool) {
    match value.strip_prefix(NUMBER) {
        Some(text) if text.starts_with(NUMBER) => (text, false),
        Some(number) => (number, true),
        None => (value, false),
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { format!("{NUMBER}{value}") }
}

/// Formats a date, a time of day, both, or a duration as hours, minutes and seconds.
fn time(at: &ExcelDateTime) -> String {
    let value = at.as_f64();
    let all = (value * DAY).round();
    // There are no days before 1900 or after 9999.
    if !(0.0..2_958_466.0 * DAY).contains(&all) {
        return number(value);
    }
    let of_day = |all: f64| {
        let (seconds, millis) = ((all / 1000.0).floor() as u64, all as u64 % 1000);
        let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
        format!("{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    };
    if at.is_duration() || all < DAY {
        return of_day(all);
    }
    let days = (all / DAY).floor();
    let date = ExcelDateTime::new(days, ExcelDateTimeType::DateTime, at_1904(at));
    let (year, month, day, ..) = date.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let rest = all - days * DAY;
    if rest == 0.0 { date } else { format!("{date} {}", of_day(rest)) }
}

/// Returns whether days are counted from 1904, which the type does not reveal directly.
fn at_1904(at: &ExcelDateTime) -> bool {
    let kind = if at.is_duration() { ExcelDateTimeType::TimeDelta } else { ExcelDateTimeType::DateTime };
    *at == ExcelDateTime::new(at.as_f64(), kind, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_excel_shows() {
        for (value, kind, is_1904, right) in [
            (45_943.0, ExcelDateTimeType::DateTime, false, "2025-10-13"),
            (45_943.541, ExcelDateTimeType::DateTime, false, "2025-10-13 12:59:02.400"),
            (44_481.0, ExcelDateTimeType::DateTime, true, "2025-10-13"),
            (1.0, ExcelDateTimeType::DateTime, false, "1900-01-01"),
            (61.0, ExcelDateTimeType::DateTime, false, "1900-03-01"),
            (2_958_465.0, ExcelDateTimeType::DateTime, false, "9999-12-31"),
            (0.4375, ExcelDateTimeType::DateTime, false, "10:30:00"),
            (45_943.999_999_999_9, ExcelDateTimeType::DateTime, false, "2025-10-14"),
            (1.5, ExcelDateTimeType::TimeDelta, false, "36:00:00"),
            (-1.5, ExcelDateTimeType::DateTime, false, "\u{1}-1.5"),
            (3e6, ExcelDateTimeType::DateTime, false, "3000000"),
        ] {
            assert_eq!(time(&ExcelDateTime::new(value, kind, is_1904)), right);
        }
    }

    #[test]
    fn room_that_is_claimed_is_seen_in_whichever_characters() {
        let most = |text: &[u8]| {
            let mut claim = Claim::default();
            text.iter().for_each(|byte| claim.see(*byte));
            claim.most
        };
        assert_eq!(most(b"<sst count=\"9999\" uniqueCount=\"120\">uniqueCount 7"), 120);
        assert_eq!(most(b"<sst uuniqueCount = '77777'>"), 77777);
        let wide: Vec<u8> = b"uniqueCount=\"8123\"".iter().flat_map(|byte| [*byte, 0]).collect();
        assert_eq!(most(&wide), 8123);
        assert_eq!(most(b"uniqueCount=\"99999999999999999999999\""), u64::MAX);
    }
}
