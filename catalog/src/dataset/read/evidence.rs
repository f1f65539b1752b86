//! What the values of a text column have in common, over all files: from which follows how it is read, in words for its owner.

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
        TIME, UNPADDED, as_iso, dated, fraction_digits, is_padded, look,
    },
};

/// How a text column is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// As what.
    pub(crate) kind: DataType,
    /// What stands before its numbers' fractions; none where no number may have a comma.
    pub(crate) decimal: Option<char>,
    /// Whether its numbers are written as programs do.
    pub(crate) bare: bool,
    /// Whether the owner says so.
    pub(crate) said: bool,
}

/// A value is there. The other signs say what not all values are.
const VALUE: Kinds = 1 << 14;

/// What was seen of a column.
#[derive(Debug, Clone)]
pub(crate) struct Evidence {
    /// Whether there are values, and which kinds they are not.
    signs: Signs<Odd>,
    /// Values that are neither empty nor a word for a missing one.
    values: u64,
    not_numbers: u64,
    first_not_number: Option<Odd>,
    /// Words for a missing value, and how many there are.
    missing: BTreeMap<String, u64>,
    first: Option<Odd>,
    /// A number with a comma.
    comma: Option<Odd>,
    /// A number that is another one by a decimal comma than by a decimal point.
    ambiguous: Option<Odd>,
    padded: Option<Odd>,
    /// Ways in which all values may be dates, as [`dated`] has them.
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
            dated: u8::MAX,
        }
    }
}

/// So many values that are no numbers are counted.
const COUNTED: u64 = 1000;

/// Whether a value stands for a missing one by the owner's word, or for want of any letter.
pub(super) fn is_missing(value: &str, rules: &ReadRules) -> bool {
    value.is_empty() || rules.nulls.iter().any(|word| word == value)
}

/// Whether a value stands for a missing one where the others are numbers, dates or truth values.
pub(super) fn is_missing_word(value: &str) -> bool {
    MISSING.contains(&value)
}

/// What values can be whose signs are these; none where there is none.
fn can(signs: Kinds) -> Option<Kinds> {
    (signs & VALUE != 0).then_some(!signs & !VALUE)
}

impl Evidence {
    /// Sees a value of a unit, without the spaces around it; `pointed` says whether it is a number with a point whatever it looks like.
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
        // Of texts so many are looked at, to say how many are no numbers.
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
        if kinds & TIME != 0 && kinds & DATE == 0 && fraction_digits(&as_iso(value, rules.dates)) > 6 {
            not |= MICROS;
        }
        self.signs.see(VALUE | not, unit, odd);
    }

    /// Adds what was seen of the column in another file.
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

    /// Whether more than one unit has a value.
    pub(crate) fn is_of_several(&self) -> bool {
        self.signs.sure() & VALUE != 0
    }

    fn has(&self, kind: Kinds) -> bool {
        can(self.signs.there()).is_some_and(|can| can & kind != 0)
    }

    /// How the column is to be read in all files, of which this is what was seen together. What was assumed goes to `say`.
    ///
    /// # Errors
    /// Numbers that are others by a decimal comma than by a decimal point, where the rules do not say which is meant; a type that the values of one unit alone decide.
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
            return Ok(taken(kind::said(kind), false, true));
        }
        let kind = asked.kind(can(self.signs.there())).map_err(|NoMark| self.no_mark())?;
        // Where the policy has bounds for a text it is refused in words of its own.
        if asked.alone && !(asked.number && kind == DataType::Utf8) {
            self.decided_by_several(column, &kind, asked)?;
        }
        match &kind {
            DataType::Utf8 if self.has(INT) => {
                let odd = self.padded.as_ref().map(Odd::words).unwrap_or_default();
                say(format!("column {name} is text: its numbers have zeros before them ({odd}), and would lose them"));
            }
            DataType::Utf8 => self.say_nearly(&name, say),
            _ => self.say_missing(&name, say),
        }
        if let DataType::Decimal128(..) = kind {
            say(format!("column {name} has whole numbers beyond 64 bits: they are decimals of 38 digits"));
        }
        let bare = self.has(INT) || self.has(FLOAT) && rules.decimal != Some(',');
        if kind.is_numeric() && !bare && !matches!(kind, DataType::Decimal128(..)) {
            say(format!(
                "column {name} has numbers with a decimal {}, thousands apart, or a currency or % beside them, which are left away (the first: {})",
                if rules.decimal == Some(',') { "comma" } else { "point" },
                self.first.as_ref().map(Odd::words).unwrap_or_default()
            ));
        }
        Ok(taken(kind, bare, false))
    }

    /// Checks that without any one unit's values the column is read as it is with them.
    fn decided_by_several(&self, column: &str, kind: &DataType, asked: &Asked<'_>) -> Result<(), String> {
        // Of a column without values the type is that of its policy; but words for missing values are words in a text.
        let known = |kind: DataType| match kind {
            // Of files that say their types, it is theirs.
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

    /// What is wrong where nothing says which decimal mark numbers have, and what to write.
    fn no_mark(&self) -> String {
        let (comma, point) = (self.has(COMMA), self.has(POINT));
        let odd = self.ambiguous.as_ref().filter(|_| comma && point).or(self.comma.as_ref()).or(self.first.as_ref());
        let seen = odd.map(Odd::words).unwrap_or_default();
        match (comma, point) {
            (true, false) => format!("{seen} has a decimal comma. For that, {ADD}decimal = \",\""),
            (false, true) => {
                format!("{seen} has a comma, and the numbers of the column a decimal point. For that, {ADD}decimal = \".\"")
            }
            _ => format!(
                "{seen} is one number by a decimal comma, and another, a thousand times as large or as small, by a decimal point. To say which is meant, {ADD}decimal = \",\" (or decimal = \".\")"
            ),
        }
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
                "column {name} looks like dates ({}) and is read as text. Where they are dates, {ADD}{}",
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
                "column {name} is text, and {} are words in it. Where they stand for a missing value, {ADD}nulls = [{}]",
                words.join(", "),
                words.join(", ")
            ));
        }
    }

    /// Why the column is not numeric, where some of its values are numbers.
    pub(crate) fn nearly_numeric(&self) -> Option<String> {
        let Some(first) = &self.first_not_number else {
            let comma = self.comma.as_ref()?.words();
            return Some(format!(
                "{comma} has a comma, and other numbers have a point. Write all with one mark, and {ADD}decimal = that mark"
            ));
        };
        Some(format!(
            "of its {} values {}{} are no numbers, the first is {}. Where it stands for a missing value, {ADD}nulls = [{:?}]",
            self.values,
            if self.not_numbers > COUNTED { "more than " } else { "" },
            self.not_numbers.min(COUNTED),
            first.words(),
            plain(first.value())
        ))
    }
}
