//! Integer known except for the number of a row.

/// `row` times the number of the row in its run, plus `plus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) row: i64,
    pub(crate) plus: i64,
}

/// Maximum factor of a row's number, and maximum summand: nothing wraps around for any number of rows.
const LARGEST: i64 = 1 << 24;

impl Spot {
    pub(crate) const ROW: Self = Self { row: 1, plus: 0 };

    pub(super) fn fits(self) -> Option<Self> {
        (self.row.abs() <= LARGEST && self.plus.abs() <= LARGEST).then_some(self)
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        Self { row: self.row + other.row, plus: self.plus + other.plus }.fits()
    }

    pub(super) fn sub(self, other: Self) -> Option<Self> {
        Self { row: self.row - other.row, plus: self.plus - other.plus }.fits()
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        let (by, of) = if self.row == 0 { (self.plus, other) } else { (other.plus, self) };
        if self.row != 0 && other.row != 0 {
            return None;
        }
        Self { row: by * of.row, plus: by * of.plus }.fits()
    }
}
