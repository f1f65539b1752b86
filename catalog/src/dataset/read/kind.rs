//! Type of a text column, as a function of public rules and of properties of all values together.

use arrow::datatypes::{DataType, TimeUnit};
use tidegate_protocol::{
    policy::{ColumnKind, ReadRules},
    shown::plain,
};

use super::value::{
    BIG, BOOL, CLEAR, COMMA, COMMA_WHOLE, DATE, FLOAT, INT, Kinds, MICROS, NO_COMMA, POINT, POINT_WHOLE, TIME, UNPADDED,
};

/// Error for numbers with an unknown decimal mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMark;

/// Knowledge about a column before its values are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) rules: &'a ReadRules,
    /// Whether the policy has bounds for the column.
    pub(crate) number: bool,
    /// Delimiter of each of its files.
    pub(crate) delimiters: &'a [u8],
    /// Whether to refuse a type decided by a single unit's values.
    pub(crate) alone: bool,
    /// Whether files of other formats state the column's type too.
    pub(crate) beside: bool,
}

impl Asked<'_> {
    /// Returns the type of values with the possible kinds `can`; `Null` if there is no value.
    pub(super) fn kind(&self, can: Option<Kinds>) -> Result<DataType, NoMark> {
        let Some(can) = can else { return Ok(DataType::Null) };
        let has = |kind: Kinds| can & kind != 0;
        if has(INT | BIG) && !has(UNPADDED) && !self.number {
            return Ok(DataType::Utf8);
        }
        let formatted = |whole| if has(whole) { DataType::Int64 } else { DataType::Float64 };
        Ok(if has(INT) {
            DataType::Int64
        } else if has(BIG) {
            DataType::Decimal128(38, 0)
        } else if has(BOOL) {
            DataType::Boolean
        } else if has(DATE) {
            DataType::Date32
        } else if has(TIME) {
            DataType::Timestamp(if has(MICROS) { TimeUnit::Microsecond } else { TimeUnit::Nanosecond }, None)
        } else {
            match self.rules.decimal {
                Some(',') if has(COMMA) => formatted(COMMA_WHOLE),
                Some(',') => DataType::Utf8,
                None if !has(POINT | COMMA) => DataType::Utf8,
                None if !has(POINT) || !has(NO_COMMA) || self.unclear(can) => return Err(NoMark),
                _ if has(FLOAT) => DataType::Float64,
                _ if has(POINT) => formatted(POINT_WHOLE),
                _ => DataType::Utf8,
            }
        })
    }

    /// Returns whether numbers without a comma may come from a writer of decimal commas.
    ///
    /// This is possible if a semicolon is the delimiter, or if the numbers are not written as programs write them and the
    /// delimiter is not a comma.
    pub(super) fn unclear(&self, can: Kinds) -> bool {
        let stands = |f: &dyn Fn(u8) -> bool| self.delimiters.iter().any(|delimiter| f(*delimiter));
        self.rules.decimal.is_none()
            && can & COMMA != 0
            && can & CLEAR == 0
            && (stands(&|d| d == b';') || stands(&|d| d != b',') && can & FLOAT == 0)
    }
}

/// Returns the data type of a type stated by the owner.
pub(crate) fn said(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::BigInt => DataType::Int64,
        ColumnKind::Decimal => DataType::Decimal128(38, 0),
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::Date => DataType::Date32,
        ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnKind::TimestampNanos => DataType::Timestamp(TimeUnit::Nanosecond, None),
    }
}

/// Returns the name of a type in policies.
pub(crate) fn name(kind: &DataType) -> &'static str {
    match kind {
        DataType::Null => "NULL",
        DataType::Int64 => ColumnKind::BigInt.name(),
        DataType::Decimal128(..) => ColumnKind::Decimal.name(),
        DataType::Float64 => ColumnKind::Double.name(),
        DataType::Boolean => ColumnKind::Boolean.name(),
        DataType::Date32 => ColumnKind::Date.name(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => ColumnKind::TimestampNanos.name(),
        DataType::Timestamp(..) => ColumnKind::Timestamp.name(),
        _ => ColumnKind::Text.name(),
    }
}

/// Formats a column's name as a TOML key.
pub(crate) fn key(column: &str) -> String {
    let bare = !column.is_empty() && column.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { column.to_owned() } else { format!("{column:?}") }
}

/// Formats the note for the owner about a column of times with offsets from UTC, of which one is `seen`.
pub(super) fn in_utc(column: &str, seen: &str) -> String {
    format!(
        "column {} has times with an offset from UTC ({seen}): they are converted to UTC, and so are their days and hours. To keep local days and \
         hours, write the times without an offset; to read the column as text, {}types = {{ {} = \"TEXT\" }}",
        plain(column),
        super::ADD,
        key(column)
    )
}

/// Formats the message for the owner about a column whose type a single unit's values decide.
pub(super) fn alone(column: &str, kind: &DataType, without: Option<&DataType>, seen: &str) -> String {
    let key = key(column);
    let (without, add) = match without {
        Some(DataType::Null) => ("it has no values".to_owned(), None),
        Some(without) => (format!("it is {}", name(without)), None),
        None => ("the decimal mark of its numbers is unknown".to_owned(), Some("decimal = \".\"".to_owned())),
    };
    format!(
        "only the values of one privacy unit make it {} ({seen}): without them {without}, so that its type would disclose that privacy unit. Correct \
         the file, or {}{}",
        name(kind),
        super::ADD,
        add.unwrap_or_else(|| format!("types = {{ {key} = \"{}\" }}", name(kind)))
    )
}
