//! Pieces of a format.

/// Numeric field of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Year,
    /// Two-digit year: in PostgreSQL 70 to 99 belong to 1900, in strftime 69 to 99.
    OfCentury {
        from: i64,
    },
    IsoYear,
    Quarter,
    Month,
    Day,
    OfYear,
    /// Day of the week from Sunday, which is 1.
    FromSunday,
    /// Day of the week from Sunday, which is 0.
    FromZero,
    /// Day of the week from Monday, which is 1.
    FromMonday,
    IsoWeek,
    /// Week of seven days from the first of the year.
    Week,
    /// Week of seven days from the first of the month.
    OfMonth,
    Hour,
    /// Hour as 12 and 1 to 11.
    Half,
    Minute,
    Second,
    Millis,
    Micros,
}

/// Name within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Month,
    Day,
    /// AM or PM.
    Noon,
}

/// Case of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Letters {
    Upper,
    Lower,
    Both,
}

/// Piece of a format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    Text(String),
    /// Number with at least `digits` digits and leading zeros if `padded`; at most `digits` are read.
    Number {
        of: Field,
        padded: bool,
        digits: usize,
    },
    Name {
        of: Name,
        letters: Letters,
        short: bool,
        padded: bool,
    },
}
