//! Which mark a file's numbers have before their fractions: by all of its columns, so that no number is a thousand times another.

use tidegate_protocol::policy::ReadRules;

use super::{
    dialect::decoded,
    evidence::{Evidence, Odd, is_missing, is_missing_word},
    sheet::cell,
    text::Learnt,
    value::{COMMA, COMMA_WHOLE, Kinds, NUMBER, POINT, look},
};

/// The marks that the columns of a file have which can be read by one of them alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    comma: bool,
    point: bool,
}

impl Marks {
    pub(crate) fn see(&mut self, mark: Option<char>) {
        self.comma |= mark == Some(',');
        self.point |= mark == Some('.');
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.comma |= other.comma;
        self.point |= other.point;
    }

    fn only(self) -> Option<char> {
        match (self.comma, self.point) {
            (true, false) => Some(','),
            (false, true) => Some('.'),
            _ => None,
        }
    }

    fn is_mixed(self) -> bool {
        self.comma && self.point
    }
}

/// A column that nobody reads, as far as it says how the file's numbers are written.
#[derive(Debug)]
pub(super) struct Beside {
    can: Kinds,
    seen: bool,
}

impl Default for Beside {
    fn default() -> Self {
        Self { can: NUMBER, seen: false }
    }
}

impl Beside {
    pub(super) fn see(&mut self, bytes: &[u8], is_sheet: bool, rules: &ReadRules) {
        if self.can & (POINT | COMMA) == 0 {
            return;
        }
        let value = decoded(bytes);
        let (value, pointed) = if is_sheet { cell(&value) } else { (&*value, false) };
        let value = value.trim();
        if !is_missing(value, rules) && !is_missing_word(value) {
            self.seen = true;
            self.can &= look(value, self.can, None) & if pointed { !(COMMA | COMMA_WHOLE) } else { Kinds::MAX };
        }
    }

    pub(super) fn mark(&self) -> Option<char> {
        match (self.seen, self.can & COMMA != 0, self.can & POINT != 0) {
            (true, true, false) => Some(','),
            (true, false, true) => Some('.'),
            _ => None,
        }
    }
}

/// A column in one of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFile<'a> {
    /// What was seen of it there.
    pub(crate) evidence: &'a Evidence,
    /// The marks of the file.
    pub(crate) own: Marks,
    /// The marks of all files.
    pub(crate) all: Marks,
    /// What stands between the file's values.
    pub(crate) delimiter: u8,
}

impl<'a> InFile<'a> {
    /// The column of this number among those that were wanted.
    pub(crate) fn of(file: &'a Learnt, column: usize, all: Marks) -> Option<Self> {
        let evidence = file.evidence.get(column)?;
        Some(Self { evidence, own: file.marks, all, delimiter: file.file.dialect.delimiter })
    }

    /// The mark before the fractions of the column's numbers: that by which alone they can be read; else the owner's; else the file's; else that of the files
    /// beside it; else a point, where a comma stands between values, or where they are written as programs write and no semicolon does.
    ///
    /// # Errors
    /// Where nothing says it, or two things do.
    pub(super) fn mark(&self, rules: &ReadRules) -> Result<char, String> {
        let Some(odd) = self.evidence.ambiguous() else { return Ok(self.evidence.mark().unwrap_or('.')) };
        if let Some(mark) = rules.decimal.or_else(|| self.own.only()) {
            return Ok(mark);
        }
        if self.own.is_mixed() {
            return Err(either(odd, "its other columns have decimal commas as well as decimal points"));
        }
        if let Some(mark) = self.all.only() {
            return Ok(mark);
        }
        if self.all.is_mixed() {
            return Err(either(
                odd,
                "other files have decimal commas as well as decimal points, and nothing in this one says which it has",
            ));
        }
        if self.delimiter == b',' || self.delimiter != b';' && self.evidence.is_bare() {
            return Ok('.');
        }
        Err(either(odd, "nothing else in the file says which is meant"))
    }
}

fn either(odd: &Odd, why: &str) -> String {
    format!(
        "{} is one number by a decimal comma, and another, a thousand times as large or as small, by a decimal point: {why}. Write decimal = \",\" or decimal = \".\" below [read] in the policy",
        odd.words()
    )
}
