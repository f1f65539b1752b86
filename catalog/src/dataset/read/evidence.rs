//! What the values of a text column have in common, over all files: from which follows how it is read, in words for its owner.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, TimeUnit};
use tidegate_protocol::{
    policy::{Dates, ReadRules},
    shown::plain,
};

use super::{
    dialect::Dialect,
    marks::InFile,
    value::{
        ALL, BIG, BOOL, COMMA, COMMA_WHOLE, DATE, FLOAT, INT, Kinds, MISSING, NUMBER, POINT, POINT_WHOLE, TIME, as_iso, dated,
        fraction_digits, is_padded, look,
    },
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
    at: Place,
    value: String,
}

impl Odd {
    pub(crate) fn new(value: &str, at: &Place) -> Self {
        Self { at: at.clone(), value: value.chars().take(SHOWN).collect() }
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// The value, and where it is.
    pub(crate) fn words(&self) -> String {
        let file = self.at.path.file_name().unwrap_or_default().to_string_lossy();
        let word = self.at.dialect.row_word();
        let line =
            self.at.dialect.line(&self.at.path, self.at.byte).map_or_else(|_| format!("a {word}"), |at| format!("{word} {at}"));
        format!("{:?} in {line} of {}", plain(&self.value), plain(&file))
    }
}

/// Where a record begins.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) dialect: Arc<Dialect>,
    /// Bytes before it.
    pub(crate) byte: u64,
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
    /// A number that is another one by a decimal comma than by a decimal point.
    ambiguous: Option<Odd>,
    /// Ways in which all values may be dates, as [`dated`] has them.
    dated: u8,
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
            ambiguous: None,
            dated: u8::MAX,
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
    /// Sees a value, without the spaces around it; `pointed` says whether it is a number with a point whatever it looks like.
    pub(crate) fn see(&mut self, value: &str, pointed: bool, rules: &ReadRules, at: &Place) {
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
        self.values += 1;
        if self.first.is_none() {
            self.first = Some(odd());
        }
        // Of texts so many are looked at, to say how many are no numbers.
        let counts = self.not_numbers <= COUNTED;
        let mut kinds = look(value, if counts { self.can | FLOAT | POINT | COMMA } else { self.can }, rules.dates);
        if pointed {
            kinds &= !(COMMA | COMMA_WHOLE);
        }
        if self.dated != 0 {
            self.dated = dated(value, self.dated);
        }
        if counts && kinds & NUMBER == 0 {
            self.not_numbers += 1;
            if self.first_not_number.is_none() {
                self.first_not_number = Some(odd());
            }
        }
        if self.can & INT != 0 && self.padded.is_none() && is_padded(value) {
            self.padded = Some(odd());
        }
        if self.ambiguous.is_none() && kinds & POINT != 0 && kinds & COMMA != 0 && value.contains([',', '.']) {
            self.ambiguous = Some(odd());
        }
        self.can &= kinds;
        if self.can & TIME != 0 {
            self.fraction = self.fraction.max(fraction_digits(&as_iso(value, rules.dates)));
        }
    }

    /// Adds what was seen of the column in another file.
    pub(crate) fn join(&mut self, other: &Self) {
        self.can &= other.can;
        self.dated &= other.dated;
        self.values += other.values;
        self.not_numbers += other.not_numbers;
        self.fraction = self.fraction.max(other.fraction);
        for (word, count) in &other.missing {
            *self.missing.entry(word.clone()).or_default() += count;
        }
        for (own, others) in [
            (&mut self.first_not_number, &other.first_not_number),
            (&mut self.padded, &other.padded),
            (&mut self.first, &other.first),
            (&mut self.ambiguous, &other.ambiguous),
        ] {
            if own.is_none() {
                own.clone_from(others);
            }
        }
    }

    /// Number of values that are no numbers, up to some, and the first.
    pub(crate) fn not_numbers(&self) -> Option<(u64, &Odd)> {
        self.first_not_number.as_ref().map(|first| (self.not_numbers, first))
    }

    pub(crate) fn values(&self) -> u64 {
        self.values
    }

    /// The mark before fractions, where the values are numbers by that one alone.
    pub(super) fn mark(&self) -> Option<char> {
        match (self.values, self.has(COMMA), self.has(POINT)) {
            (1.., true, false) => Some(','),
            (1.., false, true) => Some('.'),
            _ => None,
        }
    }

    /// A number that is another one by the other mark.
    pub(super) fn ambiguous(&self) -> Option<&Odd> {
        self.ambiguous.as_ref().filter(|_| self.has(COMMA) && self.has(POINT))
    }

    /// Whether the values are numbers as programs write them.
    pub(super) fn is_bare(&self) -> bool {
        self.has(FLOAT)
    }

    pub(super) fn has(&self, kind: Kinds) -> bool {
        self.can & kind != 0
    }

    /// How the column is to be read in each of the `files`, of which this is what was seen together. `number` says whether the policy has bounds for it. What
    /// was assumed goes to `say`.
    ///
    /// # Errors
    /// Numbers that are others by a decimal comma than by a decimal point, where nothing says which is meant.
    pub(crate) fn taken(
        &self,
        name: &str,
        rules: &ReadRules,
        files: &[InFile<'_>],
        number: bool,
        say: &mut dyn FnMut(String),
    ) -> Result<Vec<Taken>, String> {
        let as_is = |kind: DataType| Ok(files.iter().map(|_| Taken { kind: kind.clone(), comma: false, bare: true }).collect());
        let name = plain(name);
        if rules.is_text(&name) {
            return as_is(DataType::Utf8);
        }
        if self.values == 0 {
            self.say_missing(&name, say);
            return as_is(DataType::Null);
        }
        let padded = self.padded.as_ref().filter(|_| !number);
        let taken = if let (Some(odd), true) = (padded, self.has(INT | BIG)) {
            say(format!("column {name} is text: its numbers have zeros before them ({}), and would lose them", odd.words()));
            return as_is(DataType::Utf8);
        } else if self.has(INT) {
            as_is(DataType::Int64)
        } else if self.has(BIG) {
            say(format!("column {name} has whole numbers beyond 64 bits: they are decimals of 38 digits"));
            as_is(DataType::Decimal128(38, 0))
        } else if self.has(BOOL) {
            as_is(DataType::Boolean)
        } else if self.has(DATE) {
            as_is(DataType::Date32)
        } else if self.has(TIME) {
            as_is(DataType::Timestamp(
                match self.fraction {
                    0 => TimeUnit::Second,
                    1..=3 => TimeUnit::Millisecond,
                    4..=6 => TimeUnit::Microsecond,
                    _ => TimeUnit::Nanosecond,
                },
                None,
            ))
        } else if files.iter().all(|file| file.evidence.has(POINT | COMMA)) {
            self.formatted(&name, rules, files, say)
        } else {
            self.say_nearly(&name, say);
            return as_is(DataType::Utf8);
        };
        self.say_missing(&name, say);
        taken
    }

    /// Numbers that are perhaps not written as programs do.
    fn formatted(
        &self,
        name: &str,
        rules: &ReadRules,
        files: &[InFile<'_>],
        say: &mut dyn FnMut(String),
    ) -> Result<Vec<Taken>, String> {
        let marks = files.iter().map(|file| file.mark(rules)).collect::<Result<Vec<_>, _>>()?;
        let all = || files.iter().zip(&marks);
        let is_whole =
            |(file, mark): (&InFile<'_>, &char)| file.evidence.has(if *mark == ',' { COMMA_WHOLE } else { POINT_WHOLE });
        let as_programs = |(file, mark): &(&InFile<'_>, &char)| **mark == '.' && file.evidence.has(FLOAT);
        let whole = all().all(is_whole) && !all().all(|file| as_programs(&file));
        let kind = if whole { DataType::Int64 } else { DataType::Float64 };
        for (mark, word) in [(',', "comma"), ('.', "point")] {
            let mut of_mark = all()
                .filter(|file| *file.1 == mark && !as_programs(file) && !file.0.evidence.has(INT))
                .map(|(file, _)| file.evidence);
            let Some(first) = of_mark.next() else { continue };
            let guessed =
                rules.decimal.is_none() && (first.ambiguous().is_some() || of_mark.any(|file| file.ambiguous().is_some()));
            say(format!(
                "column {name} has numbers with a decimal {word}, thousands apart, or a currency or % beside them, which are left away (the first: {}){}",
                first.first.as_ref().map(Odd::words).unwrap_or_default(),
                if guessed { ". Where the other mark is meant, write decimal below [read]" } else { "" }
            ));
        }
        Ok(all()
            .map(|file| Taken { kind: kind.clone(), comma: *file.1 == ',', bare: as_programs(&file) || file.0.evidence.has(INT) })
            .collect())
    }

    fn say_missing(&self, name: &str, say: &mut dyn FnMut(String)) {
        if !self.missing.is_empty() {
            let words: Vec<_> = self.missing.iter().map(|(word, count)| format!("{word:?} {count} times")).collect();
            say(format!("column {name}: taken as missing (NULL): {}", words.join(", ")));
        }
    }

    fn say_nearly(&self, name: &str, say: &mut dyn FnMut(String)) {
        let ways = Dates::ALL.iter().enumerate().filter(|(at, _)| self.dated & 1 << at != 0);
        let ways: Vec<_> = ways.map(|(_, way)| format!("dates = \"{}\"", way.pattern())).collect();
        if let (Some(first), false) = (&self.first, ways.is_empty()) {
            say(format!(
                "column {name} looks like dates ({}) and is read as text. Where they are dates, write {} below [read] in the policy",
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
