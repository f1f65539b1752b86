//! Patterns of formats.

use tidegate_protocol::Refusal;

use super::piece::{Field, Letters, Name, Piece};
use crate::sql::refuse;

/// PostgreSQL's numeric patterns with their digits, the longest first. They are written in upper or lower case.
const NUMBERS: [(&str, Field, usize); 19] = [
    ("YYYY", Field::Year, 4),
    ("IYYY", Field::IsoYear, 4),
    ("HH24", Field::Hour, 2),
    ("HH12", Field::Half, 2),
    ("DDD", Field::OfYear, 3),
    ("YY", Field::OfCentury { from: 70 }, 2),
    ("MM", Field::Month, 2),
    ("DD", Field::Day, 2),
    ("HH", Field::Half, 2),
    ("MI", Field::Minute, 2),
    ("SS", Field::Second, 2),
    ("MS", Field::Millis, 3),
    ("US", Field::Micros, 6),
    ("IW", Field::IsoWeek, 2),
    ("WW", Field::Week, 2),
    ("ID", Field::FromMonday, 1),
    ("D", Field::FromSunday, 1),
    ("Q", Field::Quarter, 1),
    ("W", Field::OfMonth, 1),
];

/// PostgreSQL's patterns of names.
const NAMES: [(&str, Name, bool); 6] = [
    ("MONTH", Name::Month, false),
    ("MON", Name::Month, true),
    ("DAY", Name::Day, false),
    ("DY", Name::Day, true),
    ("AM", Name::Noon, true),
    ("PM", Name::Noon, true),
];

/// Numeric patterns of strftime.
const DIRECTIVES: [(char, Field, usize); 13] = [
    ('Y', Field::Year, 4),
    ('y', Field::OfCentury { from: 69 }, 2),
    ('G', Field::IsoYear, 4),
    ('m', Field::Month, 2),
    ('d', Field::Day, 2),
    ('j', Field::OfYear, 3),
    ('H', Field::Hour, 2),
    ('I', Field::Half, 2),
    ('M', Field::Minute, 2),
    ('S', Field::Second, 2),
    ('u', Field::FromMonday, 1),
    ('w', Field::FromZero, 1),
    ('V', Field::IsoWeek, 2),
];

fn unknown(format: &str, at: &str) -> Refusal {
    let at: String = at.chars().take(8).collect();
    refuse(format!("the format '{format}' has {at}, which is no pattern here"))
        .fix("Write YYYY, MM, DD, Mon, HH24, MI, SS and others of PostgreSQL's, and letters that are none in double quotes; or %Y, %m, %d as strftime has them")
}

/// Adds a character that stands for itself.
fn literal(pieces: &mut Vec<Piece>, c: char) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => pieces.push(Piece::Text(c.into())),
    }
}

/// Parses a format of PostgreSQL's patterns.
pub(super) fn patterns(format: &str) -> Result<Vec<Piece>, Refusal> {
    let (mut pieces, mut rest, mut padded) = (Vec::new(), format, true);
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let (text, after) = rest[1..].split_once('"').ok_or_else(|| unknown(format, "a quotation mark without another"))?;
            text.chars().for_each(|c| literal(&mut pieces, c));
            rest = after;
            continue;
        }
        if !c.is_alphabetic() {
            literal(&mut pieces, c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            (padded, rest) = (false, after);
            continue;
        }
        let starts = |pattern: &str| {
            let written = rest.get(..pattern.len()).filter(|text| text.eq_ignore_ascii_case(pattern))?;
            let letters = if written == pattern {
                Letters::Upper
            } else if written == pattern.to_ascii_lowercase() {
                Letters::Lower
            } else {
                Letters::Both
            };
            Some(letters)
        };
        let name = NAMES.iter().find_map(|name| starts(name.0).map(|letters| (name, letters)));
        let number = NUMBERS.iter().find(|number| starts(number.0).is_some_and(|letters| letters != Letters::Both));
        let length = match (name, number) {
            (Some(((pattern, of, short), letters)), _)
                if letters != Letters::Both || rest[1..pattern.len()] == pattern[1..].to_ascii_lowercase() =>
            {
                pieces.push(Piece::Name { of: *of, letters, short: *short, padded: padded && !short });
                pattern.len()
            }
            (_, Some((pattern, of, digits))) => {
                pieces.push(Piece::Number { of: *of, padded, digits: *digits });
                pattern.len()
            }
            _ => return Err(unknown(format, rest)),
        };
        (rest, padded) = (&rest[length..], true);
        // DDth is 31st in PostgreSQL, and nobody means that by DDTHH24.
        if matches!(pieces.last(), Some(Piece::Number { .. })) && rest.get(..2).is_some_and(|th| th.eq_ignore_ascii_case("th")) {
            return Err(unknown(format, rest));
        }
    }
    Ok(pieces)
}

/// Parses a format of strftime's patterns.
pub(super) fn directives(format: &str) -> Result<Vec<Piece>, Refusal> {
    let mut pieces = Vec::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            literal(&mut pieces, c);
            continue;
        }
        let (mut directive, mut padded) = (chars.next(), true);
        if directive == Some('-') {
            (directive, padded) = (chars.next(), false);
        }
        let name = |of, short| Piece::Name { of, letters: Letters::Both, short, padded: false };
        let number = |c: char| {
            let found = DIRECTIVES.iter().find(|(known, ..)| *known == c);
            found.map(|(_, of, digits)| Piece::Number { of: *of, padded, digits: *digits })
        };
        match directive {
            Some('%') if padded => literal(&mut pieces, '%'),
            Some('b' | 'h') if padded => pieces.push(name(Name::Month, true)),
            Some('B') if padded => pieces.push(name(Name::Month, false)),
            Some('a') if padded => pieces.push(name(Name::Day, true)),
            Some('A') if padded => pieces.push(name(Name::Day, false)),
            Some('p') if padded => pieces.push(name(Name::Noon, true)),
            Some('F') if padded => pieces.extend(directives("%Y-%m-%d")?),
            Some('T') if padded => pieces.extend(directives("%H:%M:%S")?),
            Some('R') if padded => pieces.extend(directives("%H:%M")?),
            Some(c) => pieces.push(number(c).ok_or_else(|| unknown(format, &format!("%{c}")))?),
            None => return Err(unknown(format, "a % at its end")),
        }
    }
    Ok(pieces)
}
