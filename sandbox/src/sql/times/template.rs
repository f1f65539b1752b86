//! Formats of dates and times: PostgreSQL's (`YYYY-MM-DD`), or strftime's (`%Y-%m-%d`) if there is a `%`.

use tidegate_protocol::Refusal;

use self::{
    patterns::{directives, patterns},
    piece::{Field, Letters, Name, Piece},
};
use super::{
    super::refuse,
    calendar::{A_DAY, A_SECOND, civil, day_of, days_in, iso_week, of_year, weekday},
};

mod patterns;
mod piece;

/// Maximum number of characters of a format.
const CHARS: usize = 64;

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
/// Names of the days, from Monday.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A parsed format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Template {
    pieces: Vec<Piece>,
    /// Format as written.
    pub(in crate::sql) text: String,
}

impl Template {
    /// Parses a format's text.
    ///
    /// # Errors
    /// Returns a [`Refusal`] for an unknown pattern or a bad length.
    pub(super) fn new(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.chars().count() > CHARS {
            return Err(refuse(format!("a format of a date has from 1 to {CHARS} characters")).fix("Write 'YYYY-MM-DD'"));
        }
        let pieces = if text.contains('%') { directives(text)? } else { patterns(text)? };
        Ok(Self { pieces, text: text.to_owned() })
    }

    /// Checks that dates can be read by the format.
    ///
    /// # Errors
    /// Returns a [`Refusal`] that names the format.
    pub(super) fn reads(self) -> Result<Self, Refusal> {
        let bad = |what: &str| {
            refuse(format!("the format '{}' does not describe a date: {what}", self.text))
                .fix("Write 'YYYY-MM-DD', or the format of the texts")
        };
        let has = |wanted: &dyn Fn(&Piece) -> bool| self.pieces.iter().filter(|p| wanted(p)).count();
        let field = |of: Field| has(&|p| matches!(p, Piece::Number { of: f, .. } if *f == of));
        for piece in &self.pieces {
            let fine = match piece {
                Piece::Number { of, .. } => {
                    use Field::{Day, Half, Hour, Micros, Millis, Minute, Month, OfCentury, OfYear, Second, Year};
                    matches!(of, Year | OfCentury { .. } | Month | Day | OfYear | Hour | Half | Minute | Second | Millis | Micros)
                }
                Piece::Name { of, .. } => *of != Name::Day,
                Piece::Text(_) => true,
            };
            if !fine {
                return Err(bad("it has weeks, quarters or days of the week"));
            }
        }
        let years = has(&|p| matches!(p, Piece::Number { of: Field::Year | Field::OfCentury { .. }, .. }));
        let months = field(Field::Month) + has(&|p| matches!(p, Piece::Name { of: Name::Month, .. }));
        let (days, of_year) = (field(Field::Day), field(Field::OfYear));
        let noon = has(&|p| matches!(p, Piece::Name { of: Name::Noon, .. }));
        let hours = field(Field::Hour) + field(Field::Half);
        if years != 1 || months > 1 || days > months || of_year > 1 || of_year + months > 1 {
            return Err(bad("it needs one year, and a month where it has a day"));
        }
        if hours > 1 || noon > 1 || noon != field(Field::Half) || [Field::Minute, Field::Second].iter().any(|f| field(*f) > 1) {
            return Err(bad("it needs one hour, of twelve with AM, at most"));
        }
        Ok(self)
    }

    /// Returns the bytes of the longest text written by the format.
    pub(in crate::sql) fn bytes(&self) -> u64 {
        let longest = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Number { digits, .. } => digits + 1,
            Piece::Name { .. } => 9,
        };
        self.pieces.iter().map(longest).sum::<usize>() as u64
    }

    /// Returns the number of pieces.
    pub(in crate::sql) fn pieces(&self) -> u64 {
        self.pieces.len() as u64
    }

    /// Writes a time, in microseconds, to `to`.
    pub(super) fn write(&self, micros: i64, to: &mut String) {
        let (day, of_day) = (micros.div_euclid(A_DAY), micros.rem_euclid(A_DAY));
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Number { of, padded, digits } => {
                    let (number, width) = (of.value(day, of_day), if *padded { *digits } else { 0 });
                    to.push_str(&format!("{number:0width$}"));
                }
                Piece::Name { of, letters, short, padded } => {
                    let name = match of {
                        Name::Month => MONTHS[(civil(day).1 - 1) as usize],
                        Name::Day => DAYS[(weekday(day) - 1) as usize],
                        Name::Noon if of_day < A_DAY / 2 => "AM",
                        Name::Noon => "PM",
                    };
                    let name = if *short { &name[..name.len().min(3)] } else { name };
                    match letters {
                        Letters::Upper => to.push_str(&name.to_ascii_uppercase()),
                        Letters::Lower => to.push_str(&name.to_ascii_lowercase()),
                        Letters::Both => to.push_str(name),
                    }
                    if *padded {
                        to.extend(std::iter::repeat_n(' ', 9 - name.len()));
                    }
                }
            }
        }
    }

    /// Reads a time, in microseconds, from a text; `None` if the text does not match the format completely.
    pub(super) fn read(&self, text: &str) -> Option<i64> {
        let (mut year, mut month, mut day, mut of_year) = (None, 1, 1, None);
        let (mut hour, mut minute, mut second, mut part, mut noon) = (0, 0, 0, 0, None);
        let mut rest = text;
        for (i, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Piece::Number { of, digits, .. } => {
                    let there = rest.bytes().take(*digits).take_while(u8::is_ascii_digit).count();
                    let beside = matches!(self.pieces.get(i + 1), Some(Piece::Number { .. }));
                    if there == 0 || beside && there < *digits {
                        return None;
                    }
                    let (number, after) = rest.split_at(there);
                    rest = after;
                    let value: i64 = number.parse().ok()?;
                    match of {
                        Field::Year => year = Some(value),
                        Field::OfCentury { from } => year = Some(if value < *from { 2000 + value } else { 1900 + value }),
                        Field::Month => month = value,
                        Field::Day => day = value,
                        Field::OfYear => of_year = Some(value),
                        Field::Hour if value < 24 => hour = value,
                        Field::Half if (1..=12).contains(&value) => hour = value % 12,
                        Field::Minute if value < 60 => minute = value,
                        Field::Second if value < 60 => second = value,
                        // Digits after the decimal point.
                        Field::Millis | Field::Micros => part = value * 10i64.pow(6 - there as u32),
                        _ => return None,
                    }
                }
                Piece::Name { of: Name::Noon, .. } => {
                    let after_noon = *rest.as_bytes().first()? | 32 == b'p';
                    let known = rest.get(..2)?;
                    if !known.eq_ignore_ascii_case("am") && !known.eq_ignore_ascii_case("pm") {
                        return None;
                    }
                    (noon, rest) = (Some(after_noon), &rest[2..]);
                }
                Piece::Name { of, short, .. } => {
                    let names: &[&str] = if *of == Name::Month { &MONTHS } else { &DAYS };
                    let name = |name: &&str| if *short { 3 } else { name.len() };
                    let at =
                        names.iter().position(|n| rest.get(..name(n)).is_some_and(|t| t.eq_ignore_ascii_case(&n[..name(n)])))?;
                    (month, rest) = (at as i64 + 1, &rest[name(&names[at])..]);
                }
            }
        }
        let year = year.filter(|year| (1..=9999).contains(year) && rest.is_empty())?;
        let day = match of_year {
            Some(of_year) => {
                let day = day_of(year, 1, 1) + of_year - 1;
                (of_year > 0 && civil(day).0 == year).then_some(day)?
            }
            None => {
                let fine = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
                fine.then(|| day_of(year, month, day))?
            }
        };
        let hour = hour + if noon == Some(true) { 12 } else { 0 };
        Some(day * A_DAY + ((hour * 60 + minute) * 60 + second) * A_SECOND + part)
    }
}

impl Field {
    fn value(self, day: i64, of_day: i64) -> i64 {
        let (year, month, of_month) = civil(day);
        let hour = of_day / (3600 * A_SECOND);
        match self {
            Self::Year => year,
            Self::OfCentury { .. } => year.rem_euclid(100),
            Self::IsoYear => iso_week(day).0,
            Self::Quarter => (month - 1) / 3 + 1,
            Self::Month => month,
            Self::Day => of_month,
            Self::OfYear => of_year(day),
            Self::FromSunday => weekday(day) % 7 + 1,
            Self::FromZero => weekday(day) % 7,
            Self::FromMonday => weekday(day),
            Self::IsoWeek => iso_week(day).1,
            Self::Week => (of_year(day) - 1) / 7 + 1,
            Self::OfMonth => (of_month - 1) / 7 + 1,
            Self::Hour => hour,
            Self::Half => (hour + 11) % 12 + 1,
            Self::Minute => of_day / (60 * A_SECOND) % 60,
            Self::Second => of_day / A_SECOND % 60,
            Self::Millis => of_day % A_SECOND / 1000,
            Self::Micros => of_day % A_SECOND,
        }
    }
}
