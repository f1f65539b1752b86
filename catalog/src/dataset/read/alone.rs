//! Signs shown by a column's values, and the subset shown by a single unit's values alone: these would be missing without the
//! unit.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::value::clean;

/// Units whose values show a sign.
#[derive(Debug, Clone, Default)]
enum By<T> {
    #[default]
    Nobody,
    One(u64, T),
    Several,
}

/// Number of signs.
const SIGNS: usize = 16;

/// Set of signs, a bit each, with the units whose values show them; `T` is the place of the first occurrence.
#[derive(Debug, Clone)]
pub(crate) struct Signs<T> {
    by: [By<T>; SIGNS],
    there: u16,
    /// Signs shown by several units.
    sure: u16,
}

impl<T> Default for Signs<T> {
    fn default() -> Self {
        Self { by: Default::default(), there: 0, sure: 0 }
    }
}

impl<T: Clone> Signs<T> {
    /// Returns the signs present.
    pub(crate) fn there(&self) -> u16 {
        self.there
    }

    /// Returns the signs present whichever unit is missing.
    pub(crate) fn sure(&self) -> u16 {
        self.sure
    }

    /// Adds signs in a value of a unit; a row without a unit stays whichever unit is missing.
    pub(crate) fn see(&mut self, signs: u16, unit: impl Fn() -> Option<u64>, at: impl Fn() -> T) {
        let new = signs & !self.sure;
        if new == 0 {
            return;
        }
        let unit = unit();
        for (bit, by) in self.by.iter_mut().enumerate().filter(|(bit, _)| new & 1 << bit != 0) {
            match (&*by, unit) {
                (By::Nobody, Some(unit)) => *by = By::One(unit, at()),
                (By::One(before, _), Some(unit)) if *before == unit => {}
                _ => {
                    *by = By::Several;
                    self.sure |= 1 << bit;
                }
            }
            self.there |= 1 << bit;
        }
    }

    /// Adds the signs of other values.
    pub(crate) fn join(&mut self, other: &Self) {
        for (bit, (by, others)) in self.by.iter_mut().zip(&other.by).enumerate() {
            match (&*by, others) {
                (_, By::Nobody) => {}
                (By::Nobody, _) => by.clone_from(others),
                (By::One(one, _), By::One(two, _)) if one == two => {}
                _ => *by = By::Several,
            }
            self.sure |= u16::from(matches!(by, By::Several)) << bit;
        }
        self.there |= other.there;
    }

    /// Returns, for each unit alone in showing some signs, the signs present without the unit, and the place of its first own
    /// sign.
    pub(crate) fn without_one(&self) -> impl Iterator<Item = (u16, &T)> {
        let mut units: Vec<(u64, u16, &T)> = Vec::new();
        for (bit, by) in self.by.iter().enumerate() {
            let By::One(unit, at) = by else { continue };
            match units.iter_mut().find(|(known, ..)| known == unit) {
                Some((_, signs, _)) => *signs |= 1 << bit,
                None => units.push((*unit, 1 << bit, at)),
            }
        }
        units.into_iter().map(|(_, signs, at)| (self.there & !signs, at))
    }
}

/// Unit of the rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Each row names its unit by its own value.
    Rows,
    /// Every row belongs to the unit named by the file's folders; `None` if the folders name nobody.
    Folders(Option<u64>),
}

/// Hashes a unit's name, given as text.
///
/// Every spelling that is read as the same name gives the same hash, whatever the column's type and decimal mark turn out to be.
/// Some different names share a hash too: a sign shown only by two such units together is then refused unnecessarily.
pub(crate) fn unit_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let name = name.trim();
    match clean(name, '.').or_else(|| clean(name, ',')).and_then(|number| digits(&number)) {
        Some(digits) => digits.hash(&mut hasher),
        None => name.hash(&mut hasher),
    }
    hasher.finish()
}

/// Splits a number into its sign, its digits without zeros at either end, and the last digit's power of ten modulo 3.
///
/// The modulus is needed because 1.234 with a decimal comma is a thousand times its value with a decimal point.
fn digits(number: &str) -> Option<(bool, String, i64)> {
    let (negative, written) = match (number.parse::<i128>(), number.parse::<f64>()) {
        (Ok(whole), _) => (whole < 0, whole.to_string()),
        // Some spellings of the same number have more digits than it needs.
        (_, Ok(number)) if number.is_finite() => (number < 0.0, format!("{number:e}")),
        _ => return None,
    };
    let (mantissa, power) = written.split_once('e').unwrap_or((&written, "0"));
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction).len();
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = all.trim_end_matches('0');
    let power = power.parse::<i64>().ok()? - fraction as i64 + (all.len() - digits.len()) as i64;
    let digits = digits.trim_start_matches('0');
    Some((negative, digits.to_owned(), if digits.is_empty() { 0 } else { power.rem_euclid(3) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_unit_alone_shows_would_not_be_there_without_it() {
        let mut signs = Signs::default();
        let mut see = |bits: u16, unit: Option<&str>, at: u32| signs.see(bits, || unit.map(unit_of), || at);
        see(0b0001, Some("7"), 1);
        see(0b0011, Some("7.0"), 2);
        see(0b0100, Some("8"), 3);
        see(0b0100, Some("ann"), 4);
        see(0b1000, None, 5);
        assert_eq!((signs.there(), signs.sure()), (0b1111, 0b1100));
        assert_eq!(signs.without_one().collect::<Vec<_>>(), [(0b1100, &1)]);
        // In another file the same, or another unit.
        let mut other = Signs::default();
        for (one, two) in [
            ("1 234", "1234"),
            ("1,234", "1234"),
            ("1.234,50", "1234.5"),
            ("$7", "7"),
            ("7 €", "07.0"),
            ("7 USD", "EUR7"),
            ("+7", "GBP 7"),
            ("\u{2212}7", "-7"),
            ("1e3", "1000"),
            ("-0", "0.0"),
            ("7.00000000000000000001", "7"),
            ("1.234", "1234"),
            ("0.070", "7e-2"),
            ("9223372036854775807", "9223372036854775807 CHF"),
        ] {
            assert_eq!(unit_of(one), unit_of(two), "{one}");
        }
        for (one, two) in
            [("ann", "bob"), ("7", "-7"), ("7", "70"), ("9007199254740992", "9007199254740993"), ("E9", "9"), ("7", "7a")]
        {
            assert_ne!(unit_of(one), unit_of(two), "{one}");
        }
        other.see(0b0001, || Some(unit_of("07")), || 6);
        other.see(0b0010, || Some(unit_of("9")), || 7);
        signs.join(&other);
        assert_eq!((signs.there(), signs.sure()), (0b1111, 0b1110));
        assert_eq!(signs.without_one().collect::<Vec<_>>(), [(0b1110, &1)]);
    }
}
