//! `[read]`: rules for reading text files, as far as the files do not describe themselves. They are part of the signed policy, so
//! that everyone with the published files makes the same rows from them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};
use crate::limits;

/// Maximum number of words for a missing value.
const WORDS: usize = 64;
/// Maximum number of columns with given types.
const TYPES: usize = 1000;

/// Rules for reading an owner's text files.
///
/// If a rule is not given, the values of one person never decide it: where these alone would decide, publication is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadRules {
    /// Separator between two values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Quotation mark around a value, which may then contain the delimiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<char>,
    /// Words for a missing value, in every column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nulls: Vec<String>,
    /// Decimal mark: `.` or `,`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// Format of days, if not `2024-12-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<Dates>,
    /// Character encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Number of lines left out before the header.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
    /// Character at the beginning of lines to be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<char>,
    /// Text columns, whatever their values look like.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub text: BTreeSet<String>,
    /// Types of columns of text, of JSON and in folder names, whatever their values look like, and of columns whose types in two
    /// Parquet or Arrow files do not join.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnKind>,
    /// Whether quoted values may have line breaks followed by row-like text.
    #[serde(default, skip_serializing_if = "is_false")]
    pub multiline: bool,
}

/// Type of a column, by SQL's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnKind {
    /// Text.
    #[serde(rename = "TEXT", alias = "text")]
    Text,
    /// Whole numbers of 64 bits.
    #[serde(rename = "BIGINT", alias = "bigint")]
    BigInt,
    /// Whole numbers of at most 38 digits.
    #[serde(rename = "DECIMAL", alias = "decimal")]
    Decimal,
    /// Numbers.
    #[serde(rename = "DOUBLE", alias = "double")]
    Double,
    /// `true` and `false`.
    #[serde(rename = "BOOLEAN", alias = "boolean")]
    Boolean,
    /// Days.
    #[serde(rename = "DATE", alias = "date")]
    Date,
    /// Times, to the microsecond.
    #[serde(rename = "TIMESTAMP", alias = "timestamp")]
    Timestamp,
    /// Times, to the nanosecond.
    #[serde(rename = "TIMESTAMP(9)", alias = "timestamp(9)")]
    TimestampNanos,
}

impl ColumnKind {
    /// Returns the name used in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::BigInt => "BIGINT",
            Self::Decimal => "DECIMAL",
            Self::Double => "DOUBLE",
            Self::Boolean => "BOOLEAN",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::TimestampNanos => "TIMESTAMP(9)",
        }
    }
}

/// Format of days: `%d`, `%m` and `%Y` as in `strftime`; day and month may have a single digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dates {
    /// `31/12/2024`
    #[serde(rename = "%d/%m/%Y")]
    DayMonthSlash,
    /// `12/31/2024`
    #[serde(rename = "%m/%d/%Y")]
    MonthDaySlash,
    /// `31.12.2024`
    #[serde(rename = "%d.%m.%Y")]
    DayMonthPoint,
    /// `31-12-2024`
    #[serde(rename = "%d-%m-%Y")]
    DayMonthDash,
    /// `12-31-2024`
    #[serde(rename = "%m-%d-%Y")]
    MonthDayDash,
    /// `2024/12/31`
    #[serde(rename = "%Y/%m/%d")]
    YearSlash,
    /// `2024.12.31`
    #[serde(rename = "%Y.%m.%d")]
    YearPoint,
}

impl Dates {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::DayMonthSlash,
        Self::MonthDaySlash,
        Self::DayMonthPoint,
        Self::DayMonthDash,
        Self::MonthDayDash,
        Self::YearSlash,
        Self::YearPoint,
    ];

    /// Returns the pattern used in policies.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::DayMonthSlash => "%d/%m/%Y",
            Self::MonthDaySlash => "%m/%d/%Y",
            Self::DayMonthPoint => "%d.%m.%Y",
            Self::DayMonthDash => "%d-%m-%Y",
            Self::MonthDayDash => "%m-%d-%Y",
            Self::YearSlash => "%Y/%m/%d",
            Self::YearPoint => "%Y.%m.%d",
        }
    }
}

/// Character encoding of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, with a byte order mark or without (then as the header begins).
    Utf16,
    /// Windows-1252, which includes the letters of Latin-1.
    #[serde(alias = "windows-1252")]
    Latin1,
}

fn is_zero(lines: &u32) -> bool {
    *lines == 0
}

fn is_false(said: &bool) -> bool {
    !said
}

impl ReadRules {
    /// Returns whether all rules have their defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the owner declared a column to be text.
    pub fn is_text(&self, column: &str) -> bool {
        self.kind_of(column) == Some(ColumnKind::Text)
    }

    /// Returns a column's type as declared by the owner.
    pub fn kind_of(&self, column: &str) -> Option<ColumnKind> {
        if self.text.contains(column) { Some(ColumnKind::Text) } else { self.types.get(column).copied() }
    }

    /// Checks the rules for ambiguity.
    ///
    /// # Errors
    /// Returns [`BadPolicy`] with the bad field.
    pub fn check(self) -> Result<Self, BadPolicy> {
        if let Some(column) = self.text.iter().find(|name| self.types.get(*name).is_some_and(|kind| *kind != ColumnKind::Text)) {
            return Err(bad(
                format!("read.types.{column}"),
                "has a type other than text, and read.text also lists the column",
                "Remove one of the two",
            ));
        }
        if self.types.len() > TYPES || self.types.keys().any(|name| name.len() > limits::NAME_BYTES) {
            return Err(bad(
                "read.types",
                "has too many columns, or names that are too long",
                format!("Write at most {TYPES} columns"),
            ));
        }
        for (field, given) in [("delimiter", self.delimiter), ("quote", self.quote), ("comment", self.comment)] {
            if given.is_some_and(|c| !c.is_ascii() || matches!(c, '\n' | '\r' | '\0')) {
                return Err(bad(
                    format!("read.{field}"),
                    "is not a single printable ASCII character",
                    "Write one ASCII character, such as \";\"",
                ));
            }
        }
        let marks = [self.delimiter, self.quote, self.comment];
        if (0..marks.len()).any(|i| marks.iter().skip(i + 1).any(|other| other.is_some() && marks.get(i) == Some(other))) {
            return Err(bad(
                "read",
                "uses one character for two purposes",
                "Use different characters for delimiter, quote and comment",
            ));
        }
        if self.decimal.is_some_and(|mark| mark != '.' && mark != ',') {
            return Err(bad("read.decimal", "is neither \".\" nor \",\"", "Write decimal = \",\", or remove it"));
        }
        if self.nulls.len() > WORDS || self.nulls.iter().any(|word| word.len() > limits::NAME_BYTES) {
            return Err(bad(
                "read.nulls",
                "has too many words, or words that are too long",
                format!("Write at most {WORDS} short words"),
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mean_two_things_is_refused() {
        let read = |text: &str| toml::from_str::<ReadRules>(text).unwrap().check();
        for good in [
            "",
            "delimiter = ';'",
            "delimiter = \"\\t\"\ndecimal = ','\nskip = 2",
            "encoding = 'latin1'",
            "quote = \"'\"",
            "dates = '%d/%m/%Y'",
            "multiline = true",
            "types = { x = 'DOUBLE', y = 'timestamp(9)', z = 'text' }\ntext = ['z']",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        assert_eq!(read("encoding = 'windows-1252'").unwrap().encoding, Some(Encoding::Latin1));
        for (bad, field) in [
            ("delimiter = \"\\n\"", "read.delimiter"),
            ("delimiter = 'é'", "read.delimiter"),
            ("delimiter = ';'\nquote = ';'", "read"),
            ("comment = ';'\ndelimiter = ';'", "read"),
            ("decimal = '_'", "read.decimal"),
            ("types = { x = 'DOUBLE' }\ntext = ['x']", "read.types.x"),
        ] {
            assert_eq!(read(bad).unwrap_err().field, field, "{bad}");
        }
        assert!(toml::from_str::<ReadRules>("delimiter = 'ab'").is_err());
        assert!(toml::from_str::<ReadRules>("dates = '%d/%m/%y'").unwrap_err().message().contains("%d/%m/%Y"));
        for dates in Dates::ALL {
            assert_eq!(serde_json::to_string(&dates).unwrap(), format!("{:?}", dates.pattern()));
        }
        assert!(toml::from_str::<ReadRules>("seperator = ';'").is_err());
        assert!(toml::from_str::<ReadRules>("types = { x = 'INT' }").unwrap_err().message().contains("BIGINT"));
    }
}
