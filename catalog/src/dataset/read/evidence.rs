//! Common properties of a text column's values over all files, which decide how the column is read; with notes for the owner.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use tidegate_protocol::{
    policy::{ColumnKind, Dates, ReadRules},
    shown::plain,
};

use super::{
    ADD,
    alone::Signs,
    kind::{self, Asked, NoMark},
    place::{Odd, Place},
    value::{
        ALL, BIG, CLEAR, COMMA, COMMA_WHOLE, DATE, FLOAT, INT, Kinds, MICROS, MISSING, NO_COMMA, NUMBER, POINT, POINT_WHOLE,
        TIME, UNPADDED, as_iso, dated, fraction_digits, has_offset, is_padded, look,
    },
};

/// Reading of a text column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Type of the column.
    pub(crate) kind: DataType,
    /// Decimal mark of its numbers; `None` if no number may have a comma.
    pub(crate) decimal: Option<char>,
    /// Whether its numbers are written as programs write them.
    pub(crate) bare: bool,
    /// Whether the owner states the type.
    pub(crate) said: bool,
}

/// Sign for the presence of a value. The other signs mark kinds excluded by some value.
const VALUE: Kinds = 1 << 14;

/// Evidence about a column.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    /// Presence of values, and the kinds excluded by some value.
    signs: Signs<Odd>,
    /// Number of values other than empty ones and words for missing values.
    values: u64,
    not_numbers: u64,
    first_not_number: Option<Odd>,
    /// Words for a missing value, with their counts.
    missing: BTreeMap<String, u64>,
    first: Option<Odd>,
    /// First number with a comma.
    comma: Option<Odd>,
    /// First number with different values for decimal comma and decimal point.
    ambiguous: Option<Odd>,
    padded: Option<Odd>,
    /// First time with an offset from UTC.
    offset: Option<Odd>,
    /// Formats in which all values may be dates, as in [`dated`].
    dated: u8,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            signs: Signs::default(),
            values: 0,
            not_numbers: 0,
            first_not_number: None,
            missing: BTreeMap::new(),
            first: None,
            comma: None,
            ambiguous: None,
            padded: None,
            offset: None,
            dated: u8::MAX,
        }
    }
}

/// Maximum number of counted non-numeric values.
const COUNTED: u64 = 1000;

/// Returns whether a value is missing by the owner's rules, or empty.
pub(super) fn is_missing(value: &str, rules: &ReadRules) -> bool {
    value.is_empty() || rules.nulls.iter().any(|word| word == value)
}

/// Returns whether a value stands for a missing value among numbers, dates or truth values.
pub(super) fn is_missing_word(value: &str) -> bool {
    MISSING.contains(&value)
}

/// Returns the kinds possible for values with these signs; `None` if there is no value.
fn can(signs: Kinds) -> Option<Kinds> {
    (signs & VALUE != 0).then_some(!signs & !VALUE)
}

impl Evidence {
    /// Adds a value of a unit, without surrounding spaces; `pointed` marks a number with a decimal point regardless of its look.
    pub(crate) fn see(&mut self, value: &str, pointed: bool, rules: &ReadRules, at: &Place, unit: impl Fn() -> Option<u64>) {
        if is_missing(value, rules) {
            return;
        }
        if is_missing_word(value) {
            match self.missing.get_mut(value) {
                Some(count) => *count += 1,
                None => drop(self.missing.insert(value.to_owned(), 1)),
            }
            return;
        }
        let odd = || Odd::new(value, at);
        let keep = |place: &mut Option<Odd>| {
            place.get_or_insert_with(odd);
        };
        self.values += 1;
        keep(&mut self.first);
        let open = ALL & !self.signs.sure();
        // Texts are examined up to this number, to report how many are not numbers.
        let counts = self.not_numbers <= COUNTED;
        let kinds = look(value, if counts { open | FLOAT | POINT | COMMA } else { open }, rules.dates);
        if self.dated != 0 {
            self.dated = dated(value, self.dated);
        }
        let other_mark = match rules.decimal {
            Some(',') => FLOAT | POINT | POINT_WHOLE,
            Some(_) => COMMA | COMMA_WHOLE,
            None => 0,
        };
        if counts && kinds & NUMBER & !other_mark == 0 {
            self.not_numbers += 1;
            keep(&mut self.first_not_number);
        }
        let mut not = open & !kinds;
        if open & (INT | BIG) != 0 && is_padded(value) {
            not |= UNPADDED;
            keep(&mut self.padded);
        }
        if kinds & (POINT | COMMA) != 0 && value.contains(',') && !pointed {
            not |= NO_COMMA;
            keep(&mut self.comma);
        }
        if kinds & POINT != 0 && kinds & COMMA != 0 && value.contains([',', '.']) && !pointed {
            not |= CLEAR;
            keep(&mut self.ambiguous);
        }
        if kinds & TIME != 0 && kinds & DATE == 0 {
            let time = as_iso(value, rules.dates);
            if fraction_digits(&time) > 6 {
                not |= MICROS;
            }
            if has_offset(&time) {
                keep(&mut self.offset);
            }
        }
        self.signs.see(VALUE | not, unit, odd);
    }

    /// Adds the evidence about the column from another file.
    pub(crate) fn join(&mut self, other: &Self) {
        self.signs.join(&other.signs);
        self.dated &= other.dated;
        self.values += other.values;
        self.not_numbers += other.not_numbers;
        for (word, count) in &other.missing {
            *self.missing.entry(word.clone()).or_default() += count;
        }
        for (own, others) in [
            (&mut self.first_not_number, &other.first_not_number),
            (&mut self.first, &other.first),
            (&mut self.comma, &other.comma),
            (&mut self.ambiguous, &other.ambiguous),
            (&mut self.padded, &other.padded),
            (&mut self.offset, &other.offset),
        ] {
            if own.is_none() {
                own.clone_from(others);
            }
        }
    }

    /// Returns the number of non-numeric values, up to a limit, and the first of them.
    pub(crate) fn not_numbers(&self) -> Option<(u64, &Odd)> {
        self.first_not_number.as_ref().map(|first| (self.not_numbers, first))
    }

    pub(crate) fn values(&self) -> u64 {
        self.values
    }

    /// Returns whether several units have a value.
    pub(crate) fn is_of_several(&self) -> bool {
        self.signs.sure() & VALUE != 0
    }

    fn has(&self, kind: Kinds) -> bool {
        can(self.signs.there()).is_some_and(|can| can & kind != 0)
    }

    /// Decides how the column is read in all files, given the evidence from all of them. Assumptions are reported to `say`.
    ///
    /// # Errors
    /// Fails for numbers that differ between decimal comma and decimal point, if the rules do not say which is meant, and for a
    /// type decided by the values of one unit alone.
    pub(crate) fn taken(&self, column: &str, asked: &Asked<'_>, say: &mut dyn FnMut(String)) -> Result<Taken, String> {
        let (name, rules) = (plain(column), asked.rules);
        let taken = |kind, bare, said| Taken { kind, decimal: rules.decimal, bare, said };
        if let Some(kind) = rules.kind_of(column) {
            let number = matches!(kind, ColumnKind::BigInt | ColumnKind::Decimal | ColumnKind::Double);
            if number && can(self.signs.there()).is_some_and(|can| asked.unclear(can)) {
                return Err(self.no_mark());
            }
            if kind != ColumnKind::Text {
                self.say_missing(&name, say);
            }
            if matches!(kind, ColumnKind::Timestamp | ColumnKind::TimestampNanos) {
                self.say_offset(column, say);
            }
            return Ok(taken(kind::said(kind), false, true));
        }
        let kind = asked.kind(can(self.signs.there())).map_err(|NoMark| self.no_mark())?;
        // A text with bounds in the policy is refused elsewhere with a message of its own.
        if asked.alone && !(asked.number && kind == DataType::Utf8) {
            self.decided_by_several(column, &kind, asked)?;
        }
        match &kind {
            DataType::Utf8 if self.has(INT) => {
                let odd = self.padded.as_ref().map(Odd::words).unwrap_or_default();
                say(format!(
                    "column {name} is read as text, because its numbers have leading zeros ({odd}), which would be lost"
                ));
            }
            DataType::Utf8 => self.say_nearly(&name, say),
            _ => self.say_missing(&name, say),
        }
        if let DataType::Timestamp(..) = kind {
            self.say_offset(column, say);
        }
        if let DataType::Decimal128(..) = kind {
            say(format!("column {name} has whole numbers beyond 64 bits, which are read as decimals of 38 digits"));
        }
        let bare = self.has(INT) || self.has(FLOAT) && rules.decimal != Some(',');
        if kind.is_numeric() && !bare && !matches!(kind, DataType::Decimal128(..)) {
            say(format!(
                "column {name} is read as numbers with a decimal {}: thousands separators, and a currency or % beside a number, are ignored (the first value is {})",
                if rules.decimal == Some(',') { "comma" } else { "point" },
                self.first.as_ref().map(Odd::words).unwrap_or_default()
            ));
        }
        Ok(taken(kind, bare, false))
    }

    /// Checks whether without any single unit's values the column would be read the same way.
    fn decided_by_several(&self, column: &str, kind: &DataType, asked: &Asked<'_>) -> Result<(), String> {
        // A column without values has the type given by its policy; but words for missing values are words in a text.
        let known = |kind: DataType| match kind {
            // If other files state their types, the column has theirs.
            DataType::Null if asked.beside => DataType::Null,
            DataType::Null if asked.number => DataType::Float64,
            DataType::Null if self.missing.is_empty() => DataType::Utf8,
            kind => kind,
        };
        for (signs, odd) in self.signs.without_one() {
            let without = asked.kind(can(signs));
            if without.clone().map(known) != Ok(known(kind.clone())) {
                return Err(kind::alone(column, kind, without.ok().as_ref(), &odd.words()));
            }
        }
        Ok(())
    }

    /// Describes the problem of an unknown decimal mark, with the fix.
    fn no_mark(&self) -> String {
        let (comma, point) = (self.has(COMMA), self.has(POINT));
        let odd = self.ambiguous.as_ref().filter(|_| comma && point).or(self.comma.as_ref()).or(self.first.as_ref());
        let seen = odd.map(Odd::words).unwrap_or_default();
        match (comma, point) {
            (true, false) => format!("{seen} has a decimal comma. To read it, {ADD}decimal = \",\""),
            (false, true) => {
                format!("{seen} has a comma, and the column's numbers have a decimal point. To read it, {ADD}decimal = \".\"")
            }
            _ => format!(
                "{seen} is ambiguous: its mark may be decimal or separate thousands. To choose, {ADD}decimal = \",\" (or decimal = \".\")"
            ),
        }
    }

    fn say_missing(&self, name: &str, say: &mut dyn FnMut(String)) {
        if !self.missing.is_empty() {
            let words = self.missing.iter().map(|(word, count)| match count {
                1 => format!("{word:?} once"),
                count => format!("{word:?} {count} times"),
            });
            let words: Vec<_> = words.collect();
            say(format!("column {name}: read as missing (NULL): {}", words.join(", ")));
        }
    }

    fn say_offset(&self, column: &str, say: &mut dyn FnMut(String)) {
        if let Some(first) = &self.offset {
            say(kind::in_utc(column, &first.words()));
        }
    }

    fn say_nearly(&self, name: &str, say: &mut dyn FnMut(String)) {
        let ways = Dates::ALL.iter().enumerate().filter(|(at, _)| self.dated & 1 << at != 0);
        let ways: Vec<_> = ways.map(|(_, way)| format!("dates = \"{}\"", way.pattern())).collect();
        if let (Some(first), false) = (&self.first, ways.is_empty()) {
            say(format!(
                "column {name} looks like dates ({}) and is read as text. If they are dates, {ADD}{}",
                first.words(),
                ways.join(" or ")
            ));
        }
        if let Some(nearly) = self.nearly_numeric().filter(|_| self.not_numbers <= COUNTED && self.not_numbers * 2 < self.values)
        {
            say(format!("column {name} is text: {nearly}"));
        }
        if self.missing.keys().any(|word| word.len() > 1) {
            let words: Vec<_> = self.missing.keys().map(|word| format!("{word:?}")).collect();
            say(format!(
                "column {name} is text, and has the words {}. If they mark missing values, {ADD}nulls = [{}]",
                words.join(", "),
                words.join(", ")
            ));
        }
    }

    /// Explains why the column is not numeric, if some of its values are numbers.
    pub(crate) fn nearly_numeric(&self) -> Option<String> {
        let Some(first) = &self.first_not_number else {
            let comma = self.comma.as_ref()?.words();
            return Some(format!(
                "{comma} has a comma, and other numbers have a point. Write all numbers with one decimal mark, and {ADD}decimal = that mark"
            ));
        };
        let not = match self.not_numbers {
            1 => "1 is not a number:".to_owned(),
            not @ ..=COUNTED => format!("{not} are not numbers, the first is"),
            _ => format!("more than {COUNTED} are not numbers, the first is"),
        };
        Some(format!(
            "of its {} values {not} {}. If it marks a missing value, {ADD}nulls = [{:?}]",
            self.values,
            first.words(),
            plain(first.value())
        ))
    }
}
