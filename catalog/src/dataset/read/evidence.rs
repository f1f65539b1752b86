//! What the values of a text column have in common, over all files: from which follows how it is read, in words for its owner.

use std::{collections::BTreeMap, path::Path};

use arrow::datatypes::{DataType, TimeUnit};
use tidegate_protocol::{policy::ReadRules, shown::plain};

use super::value::{
    ALL, BIG, BOOL, COMMA, COMMA_WHOLE, DATE, FLOAT, INT, Kinds, MISSING, NUMBER, POINT, POINT_WHOLE, TIME, fraction_digits,
    is_padded, look,
};

/// How a text column is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// As what.
    pub(crate) kind: DataType,
    /// Whether its numbers have a decimal comma.
    pub(crate) comma: bool,
    /// Whether its numbers are written as programs do.
    pub(crate) bare: bool,
}

/// A value that is not what the others are, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Odd {
    file: String,
    line: u64,
    value: String,
}

impl Odd {
    fn words(&self) -> String {
        format!("{:?} in line {} of {}", plain(&self.value), self.line, self.file)
    }
}

/// What was seen of a column.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    can: Kinds,
    /// Values that are neither empty nor a word for a missing one.
    values: u64,
    not_numbers: u64,
    first_not_number: Option<Odd>,
    /// Words for a missing value, and how many there are.
    missing: BTreeMap<String, u64>,
    padded: Option<Odd>,
    fraction: usize,
    first: Option<Odd>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            can: ALL,
            values: 0,
            not_numbers: 0,
            first_not_number: None,
            missing: BTreeMap::new(),
            padded: None,
            fraction: 0,
            first: None,
        }
    }
}

/// So many values that are no numbers are counted.
const COUNTED: u64 = 1000;

/// Most characters of a value that are shown.
const SHOWN: usize = 40;

/// Whether a value stands for a missing one by the owner's word, or for want of any letter.
pub(super) fn is_missing(value: &str, rules: &ReadRules) -> bool {
    value.is_empty() || rules.nulls.iter().any(|word| word == value)
}

/// Whether a value stands for a missing one where the others are numbers, dates or truth values.
pub(super) fn is_missing_word(value: &str) -> bool {
    MISSING.contains(&value)
}

impl Evidence {
    /// Sees a value, without the spaces around it.
    pub(crate) fn see(&mut self, value: &str, rules: &ReadRules, at: (&Path, u64)) {
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
        let odd = || Odd {
            file: plain(&at.0.file_name().unwrap_or_default().to_string_lossy()).into_owned(),
            line: at.1,
            value: value.chars().take(SHOWN).collect(),
        };
        self.values += 1;
        if self.first.is_none() {
            self.first = Some(odd());
        }
        // Of texts so many are looked at, to say how many are no numbers.
        let counts = self.not_numbers <= COUNTED;
        let kinds = look(value, if counts { self.can | FLOAT | POINT | COMMA } else { self.can });
        if counts && kinds & NUMBER == 0 {
            self.not_numbers += 1;
            if self.first_not_number.is_none() {
                self.first_not_number = Some(odd());
            }
        }
        if self.can & INT != 0 && self.padded.is_none() && is_padded(value) {
            self.padded = Some(odd());
        }
        self.can &= kinds;
        if self.can & TIME != 0 {
            self.fraction = self.fraction.max(fraction_digits(value));
        }
    }

    /// Whether the numbers can be such with a decimal comma alone.
    pub(crate) fn needs_comma(&self) -> bool {
        self.values > 0 && self.can & COMMA != 0 && self.can & POINT == 0
    }

    /// How the column is to be read. `comma` says whether other columns have decimal commas; `number` whether the policy has bounds for it. What was assumed
    /// goes to `say`.
    pub(crate) fn taken(&self, name: &str, rules: &ReadRules, comma: bool, number: bool, say: &mut dyn FnMut(String)) -> Taken {
        let as_is = |kind| Taken { kind, comma: false, bare: true };
        let name = plain(name);
        if rules.is_text(&name) {
            return as_is(DataType::Utf8);
        }
        if self.values == 0 {
            self.say_missing(&name, say);
            return as_is(DataType::Null);
        }
        let has = |kind: Kinds| self.can & kind != 0;
        let padded = self.padded.as_ref().filter(|_| !number);
        let taken = if let (Some(odd), true) = (padded, has(INT | BIG)) {
            say(format!("column {name} is text: its numbers have zeros before them ({}), and would lose them", odd.words()));
            return as_is(DataType::Utf8);
        } else if has(INT) {
            as_is(DataType::Int64)
        } else if has(BIG) {
            say(format!("column {name} has whole numbers beyond 64 bits: they are decimals of 38 digits"));
            as_is(DataType::Decimal128(38, 0))
        } else if has(BOOL) {
            as_is(DataType::Boolean)
        } else if has(DATE) {
            as_is(DataType::Date32)
        } else if has(TIME) {
            as_is(DataType::Timestamp(
                match self.fraction {
                    0 => TimeUnit::Second,
                    1..=3 => TimeUnit::Millisecond,
                    4..=6 => TimeUnit::Microsecond,
                    _ => TimeUnit::Nanosecond,
                },
                None,
            ))
        } else if has(FLOAT) && !(rules.decimal == Some(',') && has(COMMA)) {
            as_is(DataType::Float64)
        } else if has(POINT | COMMA) {
            self.formatted(&name, rules, comma, say)
        } else {
            self.say_nearly(&name, say);
            return as_is(DataType::Utf8);
        };
        self.say_missing(&name, say);
        taken
    }

    /// Numbers that are not written as programs do.
    fn formatted(&self, name: &str, rules: &ReadRules, others: bool, say: &mut dyn FnMut(String)) -> Taken {
        let has = |kind: Kinds| self.can & kind != 0;
        let comma = match rules.decimal {
            Some(mark) => mark == ',' && has(COMMA),
            None => has(COMMA) && (!has(POINT) || others),
        };
        let whole = has(if comma { COMMA_WHOLE } else { POINT_WHOLE });
        let kind = if whole { DataType::Int64 } else { DataType::Float64 };
        let mark = if comma { "comma" } else { "point" };
        let first = self.first.as_ref().map(Odd::words).unwrap_or_default();
        say(format!(
            "column {name} has numbers with a decimal {mark}, thousands apart, or a currency or % beside them, which are left away (the first: {first}){}",
            if rules.decimal.is_none() && has(COMMA) && has(POINT) {
                ". Where the other mark is meant, write decimal below [read]"
            } else {
                ""
            }
        ));
        Taken { kind, comma, bare: false }
    }

    fn say_missing(&self, name: &str, say: &mut dyn FnMut(String)) {
        if !self.missing.is_empty() {
            let words: Vec<_> = self.missing.iter().map(|(word, count)| format!("{word:?} {count} times")).collect();
            say(format!("column {name}: taken as missing (NULL): {}", words.join(", ")));
        }
    }

    fn say_nearly(&self, name: &str, say: &mut dyn FnMut(String)) {
        if let Some(nearly) = self.nearly_numeric().filter(|_| self.not_numbers <= COUNTED && self.not_numbers * 2 < self.values)
        {
            say(format!("column {name} is text: {nearly}"));
        }
        if self.missing.keys().any(|word| word.len() > 1) {
            let words: Vec<_> = self.missing.keys().map(|word| format!("{word:?}")).collect();
            say(format!(
                "column {name} is text, and {} are words in it. Where they stand for a missing value, write them as nulls below [read]",
                words.join(", ")
            ));
        }
    }

    /// Why the column is not numeric, where some of its values are numbers.
    pub(crate) fn nearly_numeric(&self) -> Option<String> {
        let first = self.first_not_number.as_ref()?;
        Some(format!(
            "of its {} values {}{} are no numbers, the first is {}. Where it stands for a missing value, write nulls = [{:?}] below [read] in the policy",
            self.values,
            if self.not_numbers > COUNTED { "more than " } else { "" },
            self.not_numbers.min(COUNTED),
            first.words(),
            plain(&first.value)
        ))
    }
}
