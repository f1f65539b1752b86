//! The type of a text column, by what its values can be: a function of public rules and of what is known of all values together.

use arrow::datatypes::{DataType, TimeUnit};
use tidegate_protocol::policy::{ColumnKind, ReadRules};

use super::value::{
    BIG, BOOL, CLEAR, COMMA, COMMA_WHOLE, DATE, FLOAT, INT, Kinds, MICROS, NO_COMMA, POINT, POINT_WHOLE, TIME, UNPADDED,
};

/// Numbers whose decimal mark nothing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMark;

/// What is known of a column before its values are seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) rules: &'a ReadRules,
    /// Whether the policy has bounds for it.
    pub(crate) number: bool,
    /// What stands between values in each of its files.
    pub(crate) delimiters: &'a [u8],
    /// Whether a type that the values of one unit alone decide is refused.
    pub(crate) alone: bool,
    /// Whether files of other formats say what the column is too.
    pub(crate) beside: bool,
}

impl Asked<'_> {
    /// The type of values that can be all of `can`; none where there is no value.
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

    /// Whether numbers without a comma may have been written by who writes a comma before fractions: where a semicolon stands between values, or where they are
    /// not as programs write them and no comma does.
    pub(super) fn unclear(&self, can: Kinds) -> bool {
        let stands = |f: &dyn Fn(u8) -> bool| self.delimiters.iter().any(|delimiter| f(*delimiter));
        self.rules.decimal.is_none()
            && can & COMMA != 0
            && can & CLEAR == 0
            && (stands(&|d| d == b';') || stands(&|d| d != b',') && can & FLOAT == 0)
    }
}

/// The type that the owner says.
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

/// A type as an owner writes it.
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

/// A column's name as a key of TOML.
pub(crate) fn key(column: &str) -> String {
    let bare = !column.is_empty() && column.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { column.to_owned() } else { format!("{column:?}") }
}

/// What an owner is told of a column whose type one unit's values alone decide.
pub(super) fn alone(column: &str, kind: &DataType, without: Option<&DataType>, seen: &str) -> String {
    let key = key(column);
    let (without, add) = match without {
        Some(DataType::Null) => ("it has no values".to_owned(), None),
        Some(without) => (format!("it is {}", name(without)), None),
        None => ("nothing says which decimal mark its numbers have".to_owned(), Some("decimal = \".\"".to_owned())),
    };
    format!(
        "the values of one unit alone make it {} ({seen}): without them {without}, so how the others' are read tells that the unit is there. Correct the file, or {}{}",
        name(kind),
        super::ADD,
        add.unwrap_or_else(|| format!("types = {{ {key} = \"{}\" }}", name(kind)))
    )
}
