//! Kinds of a value in a text file: a number in any common notation, a date, a time, true or false.

use std::borrow::Cow;

use arrow::{array::timezone::Tz, compute::kernels::cast_utils::string_to_datetime};
use tidegate_protocol::policy::{ColumnKind, Dates};

/// Kinds of a value, a bit each.
pub(super) type Kinds = u16;
/// A whole number of 64 bits.
pub(super) const INT: Kinds = 1;
/// A whole number of at most 38 digits.
pub(super) const BIG: Kinds = 1 << 1;
/// A number in programs' notation.
pub(super) const FLOAT: Kinds = 1 << 2;
/// A number with a decimal point, possibly with thousands separators.
pub(super) const POINT: Kinds = 1 << 3;
/// Like [`POINT`], without a fraction.
pub(super) const POINT_WHOLE: Kinds = 1 << 4;
/// A number with a decimal comma, possibly with thousands separators.
pub(super) const COMMA: Kinds = 1 << 5;
/// Like [`COMMA`], without a fraction.
pub(super) const COMMA_WHOLE: Kinds = 1 << 6;
/// `true` or `false`.
pub(super) const BOOL: Kinds = 1 << 7;
/// `2021-05-01`.
pub(super) const DATE: Kinds = 1 << 8;
/// `2021-05-01 10:30:00`, possibly with a fraction and an offset.
pub(super) const TIME: Kinds = 1 << 9;
/// All kinds above.
pub(super) const ALL: Kinds = (1 << 10) - 1;
/// Not a whole number with leading zeros.
pub(super) const UNPADDED: Kinds = 1 << 10;
/// Not a time with more than six digits after the second.
pub(super) const MICROS: Kinds = 1 << 11;
/// Not a number with a comma.
pub(super) const NO_COMMA: Kinds = 1 << 12;
/// Not a number with another value by the other decimal mark.
pub(super) const CLEAR: Kinds = 1 << 13;
/// All kinds of numbers.
pub(super) const NUMBER: Kinds = INT | BIG | FLOAT | POINT | POINT_WHOLE | COMMA | COMMA_WHOLE;

/// Words for a missing value, in columns whose other values are numbers, dates or truth values. In texts they are words: NA is
/// Namibia.
pub(super) const MISSING: [&str; 18] =
    ["NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NULL", "null", "Null", "\\N", "NaN", "nan", "NAN", "None", "nil", "-", "--", "."];

/// Currencies and signs beside a number, without meaning for its value.
const MARKS: [&str; 11] = ["$", "€", "£", "¥", "₹", "%", "USD", "EUR", "GBP", "CHF", "JPY"];

/// Returns the possible kinds of a value, out of the kinds possible for earlier values: 0 for plain text.
pub(super) fn look(value: &str, candidates: Kinds, dates: Option<Dates>) -> Kinds {
    let mut kinds = 0;
    if candidates & NUMBER != 0 {
        kinds |= number(value, candidates);
    }
    if candidates & BOOL != 0 && (value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")) {
        kinds |= BOOL;
    }
    let value = if candidates & (DATE | TIME) == 0 { Cow::Borrowed(value) } else { as_iso(value, dates) };
    let value = value.as_ref();
    if candidates & (DATE | TIME) != 0 && value.len() == 10 && is_dated(value) && time(value).is_some() {
        // A day stands for its beginning where other values are times.
        kinds |= DATE | TIME;
    } else if candidates & TIME != 0 && value.len() >= 16 && is_dated(value) && time(value).is_some() {
        kinds |= TIME;
    }
    kinds & candidates
}

/// Returns whether a value is a number, in any notation.
pub(in crate::dataset) fn is_number(value: &str) -> bool {
    number(value, NUMBER) != 0
}

fn number(value: &str, candidates: Kinds) -> Kinds {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let big = if digits.len() <= 38 { BIG } else { 0 };
        let int = if value.parse::<i64>().is_ok() { INT } else { 0 };
        return int | big | NUMBER & !(INT | BIG);
    }
    let mut kinds = 0;
    if is_float(digits) {
        kinds |= FLOAT | POINT;
    }
    for (mark, any, whole) in [(',', COMMA, COMMA_WHOLE), ('.', POINT, POINT_WHOLE)] {
        if candidates & any != 0
            && kinds & any == 0
            && let Some(clean) = clean(value, mark)
        {
            kinds |= any | if clean.contains(['.', 'e']) { 0 } else { whole };
        }
    }
    kinds
}

/// Returns whether text without a sign is a number in programs' notation, with a fraction or an exponent.
fn is_float(digits: &str) -> bool {
    let of = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    digits.bytes().all(of) && digits.bytes().any(|byte| byte.is_ascii_digit()) && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Normalises a number with this decimal mark to programs' notation, without currencies and thousands separators.
///
/// Returns `None` if it is not such a number.
pub(super) fn clean(value: &str, decimal: char) -> Option<String> {
    let mut rest = value.trim();
    let mut sign = "";
    // The sign may come before or after the currency.
    for _ in 0..3 {
        if let Some(after) = rest.strip_prefix('-').or_else(|| rest.strip_prefix('−'))
            && sign.is_empty()
        {
            (sign, rest) = ("-", after.trim_start());
        } else if let Some(after) = MARKS.iter().find_map(|mark| rest.strip_prefix(mark)) {
            rest = after.trim_start();
        } else if let Some(before) = MARKS.iter().find_map(|mark| rest.strip_suffix(mark)) {
            rest = before.trim_end();
        }
    }
    rest = if sign.is_empty() { rest.strip_prefix('+').unwrap_or(rest) } else { rest };
    if decimal != '.' && rest.contains(['e', 'E']) {
        // R's notation for large or small numbers with a decimal comma: 1e+05, 1,5e-07.
        let pointed = rest.replacen(decimal, ".", 1).to_ascii_lowercase();
        return (!rest.contains('.') && is_float(&pointed)).then(|| format!("{sign}{pointed}"));
    }
    let (whole, fraction) = match rest.split_once(decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (rest, None),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = match fraction {
        None => None,
        Some(fraction) if is_digits(fraction) && !(fraction.is_empty() && whole.is_empty()) => Some(fraction),
        Some(fraction) if decimal == '.' && is_float(rest) => return Some(format!("{sign}{whole}.{fraction}")),
        Some(_) => return None,
    };
    if !rest.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let apart = |c: char| c != decimal && matches!(c, ',' | '.' | ' ' | '\'' | '’' | '\u{a0}' | '\u{202f}');
    let mut clean = sign.to_owned();
    match whole.find(apart) {
        None if is_digits(whole) => clean.push_str(if whole.is_empty() { "0" } else { whole }),
        None => return (decimal == '.' && is_float(rest)).then(|| format!("{sign}{rest}")),
        Some(at) => {
            let mark = whole[at..].chars().next()?;
            // Thousands never begin with a zero: 0.125 has a fraction.
            if whole.starts_with('0') {
                return None;
            }
            for (i, group) in whole.split(mark).enumerate() {
                let fits = if i == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
                if !fits || !is_digits(group) {
                    return None;
                }
                clean.push_str(group);
            }
        }
    }
    if let Some(fraction) = fraction.filter(|fraction| !fraction.is_empty()) {
        clean.push('.');
        clean.push_str(fraction);
    }
    Some(clean)
}

fn is_dated(value: &str) -> bool {
    matches!(value.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _, ..])
}

/// Returns the type of a day or a time in ISO's notation; `None` for other values.
pub(in crate::dataset) fn day_or_time(value: &str) -> Option<ColumnKind> {
    match look(value, DATE | TIME, None) {
        0 => None,
        kinds if kinds & DATE != 0 => Some(ColumnKind::Date),
        _ => Some(ColumnKind::Timestamp),
    }
}

/// Rewrites a date in this format, with any time that follows, to `2021-05-01`; returns other values unchanged.
pub(super) fn as_iso(value: &str, dates: Option<Dates>) -> Cow<'_, str> {
    dates.and_then(|dates| iso(value, dates)).map_or(Cow::Borrowed(value), Cow::Owned)
}

fn iso(value: &str, dates: Dates) -> Option<String> {
    let (day, time) = value.split_at(value.find([' ', 'T']).unwrap_or(value.len()));
    let is_mark = |c: char| matches!(c, '/' | '.' | '-');
    let (pattern, mark) = (dates.pattern(), dates.pattern().chars().find(|c| is_mark(*c))?);
    let (mut year, mut month, mut of_month) = (0, 0, 0);
    let mut parts = day.split(mark);
    for part in pattern.split(mark) {
        let digits = parts.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let (into, length) = match part {
            "%Y" => (&mut year, 4..=4),
            "%m" => (&mut month, 1..=2),
            _ => (&mut of_month, 1..=2),
        };
        *into = digits.parse::<u32>().ok().filter(|_| length.contains(&digits.len()))?;
    }
    let iso = parts.next().is_none().then(|| format!("{year:04}-{month:02}-{of_month:02}"))?;
    self::time(&iso).map(|_| format!("{iso}{time}"))
}

/// Returns the formats in which a value may be a date, a bit for each of [`Dates::ALL`], out of the formats possible for earlier
/// values.
pub(super) fn dated(value: &str, candidates: u8) -> u8 {
    if !value.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    let ways = Dates::ALL.iter().enumerate().filter(|(at, way)| candidates & 1 << at != 0 && iso(value, **way).is_some());
    ways.fold(0, |all, (at, _)| all | 1 << at)
}

/// Length of `2021-05-01 10:30`.
const MINUTE: usize = 16;

/// Parses a time to seconds since 1970 and nanoseconds after them, in UTC.
pub(super) fn time(value: &str) -> Option<(i64, u32)> {
    let utc: Tz = "+00:00".parse().ok()?;
    // Seconds are often omitted at the beginning of a minute.
    let minute = (value.len() == MINUTE).then(|| format!("{value}:00"));
    let found = string_to_datetime(&utc, minute.as_deref().unwrap_or(value)).ok()?;
    Some((found.timestamp(), found.timestamp_subsec_nanos()))
}

/// Returns whether a time has an offset from UTC, or a time zone other than UTC.
pub(super) fn has_offset(value: &str) -> bool {
    let after = value.get(MINUTE..).unwrap_or_default();
    let zone = after.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '.')).trim_start();
    let is_zero = zone.chars().all(|c| matches!(c, '+' | '-' | ':' | '0'));
    !is_zero && !zone.eq_ignore_ascii_case("Z") && !zone.eq_ignore_ascii_case("UTC")
}

/// Returns the number of digits after the second in a time.
pub(super) fn fraction_digits(value: &str) -> usize {
    value.split_once('.').map_or(0, |(_, after)| after.bytes().take_while(u8::is_ascii_digit).count())
}

/// Returns whether a whole number has a leading zero, which is insignificant in a number but significant in a name.
pub(super) fn is_padded(value: &str) -> bool {
    value.len() > 1 && value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, point, comma) in [
            ("1", Some("1"), Some("1")),
            ("-1.5", Some("-1.5"), None),
            ("1.5e3", Some("1.5e3"), None),
            ("1,5e-07", None, Some("1.5e-07")),
            ("-1E5", Some("-1E5"), Some("-1e5")),
            ("1e+05", Some("1e+05"), Some("1e+05")),
            ("1,2,3e4", None, None),
            ("1,2e3.4", None, None),
            ("1e400", None, None),
            ("1,234", Some("1234"), Some("1.234")),
            ("1.234", Some("1.234"), Some("1234")),
            ("1,234.5", Some("1234.5"), None),
            ("1.234,5", None, Some("1234.5")),
            ("12,5", None, Some("12.5")),
            ("1 234 567", Some("1234567"), Some("1234567")),
            ("1'234.50", Some("1234.50"), None),
            ("$1,200", Some("1200"), Some("1.200")),
            ("-$5", Some("-5"), Some("-5")),
            ("$ -5", Some("-5"), Some("-5")),
            ("12,50 €", None, Some("12.50")),
            ("50%", Some("50"), Some("50")),
            ("1,23,456", None, None),
            ("1,2.3", None, None),
            ("0.125", Some("0.125"), None),
            ("0,125", None, Some("0.125")),
            ("1,2345", None, Some("1.2345")),
            ("unknown", None, None),
            ("", None, None),
            ("inf", None, None),
            ("1-2", None, None),
            ("$", None, None),
            (".", None, None),
            (",5", None, Some("0.5")),
        ] {
            assert_eq!(clean(text, '.').as_deref(), point, "{text}");
            assert_eq!(clean(text, ',').as_deref(), comma, "{text}");
        }
    }

    #[test]
    fn a_value_is_all_that_it_can_be() {
        for (text, kinds) in [
            ("7", NUMBER),
            ("99999999999999999999", NUMBER & !INT),
            ("1.5", FLOAT | POINT),
            ("1e+05", FLOAT | POINT | COMMA),
            ("1,5E3", COMMA),
            ("true", BOOL),
            ("FALSE", BOOL),
            ("2021-05-01", DATE | TIME),
            ("9999-12-31", DATE | TIME),
            ("2021-05-01 10:30", TIME),
            ("2021-05-01T10:30:00.125Z", TIME),
            ("2021-13-01", 0),
            ("01/05/2021", 0),
            ("yes", 0),
            ("NaN", 0),
        ] {
            assert_eq!(look(text, ALL, None), kinds, "{text}");
        }
        for (text, dates, kinds) in [
            ("31/12/2024", Dates::DayMonthSlash, DATE | TIME),
            ("1/2/2024 10:30", Dates::DayMonthSlash, TIME),
            ("31/12/2024", Dates::MonthDaySlash, 0),
            ("31/02/2024", Dates::DayMonthSlash, 0),
            ("31/12/24", Dates::DayMonthSlash, 0),
            ("2024-12-31", Dates::DayMonthDash, DATE | TIME),
            ("31.12.2024", Dates::DayMonthPoint, DATE | TIME),
        ] {
            assert_eq!(look(text, ALL, Some(dates)), kinds, "{text} {dates:?}");
        }
        // Whichever comes first.
        let values = ["7", "-7", "1.5", "1,5", "1,234", "1.234", "$5", "1e3", "true", "2021-05-01", "2021-05-01 10:30", "word"];
        for (a, b) in values.iter().flat_map(|a| values.iter().map(move |b| (a, b))) {
            assert_eq!(look(a, look(b, ALL, None), None), look(a, ALL, None) & look(b, ALL, None), "{a} after {b}");
        }
        assert_eq!(time(&as_iso("1/2/2024", Some(Dates::DayMonthSlash))), time("2024-02-01"));
        assert_eq!(time(&as_iso("1/2/2024", Some(Dates::MonthDaySlash))), time("2024-01-02"));
        for (text, is) in [
            ("2024-03-01 00:00:00+01:00", true),
            ("2024-03-01T00:00:00.125-0330", true),
            ("2024-03-01 00:00:00 Europe/Berlin", true),
            ("2024-03-01 00:00:00+00:00", false),
            ("2024-03-01T00:00:00Z", false),
            ("2024-03-01 10:30", false),
            ("2024-03-01", false),
        ] {
            assert_eq!(has_offset(text), is, "{text}");
        }
        assert!(is_padded("007") && !is_padded("0") && !is_padded("0.5"));
    }
}
