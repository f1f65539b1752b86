//! Detection of meaningless numbers, and of counts.
//!
//! Meaningless are an average, a spread or a percentile of so few rows that its interval is all that its bounds allow, and any number
//! divided by one that cannot be told from zero. This follows from released numbers and public bounds alone.

use tidegate_protocol::{
    receipt::{ColumnNote, Mechanism},
    result::{Cell, ResultDoc},
};

/// Note on a meaningless number.
pub const TOO_FEW: &str = "too few to say";
/// Note on a number computed from released ones.
pub const NO_INTERVAL: &str = "no interval";
/// Reducers that count.
const COUNTS: [&str; 2] = ["units", "count"];
/// Tolerance between floats of the same bounds, relative to their width.
const SLACK: f64 = 1e-9;

/// Ranges of a result's columns, by which meaningless numbers are recognized.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// For each column, the least and the largest value within its bounds.
    ///
    /// `None` for counts and sums, and if nothing is hidden by noise.
    ranges: Vec<Option<(f64, f64)>>,
    /// For each column, whether it counts units or rows.
    counts: Vec<bool>,
}

impl Telling {
    /// Returns the ranges of a result with this noise.
    pub fn of(mechanism: &Mechanism, result: &ResultDoc) -> Self {
        let hides = mechanism.noise != "none" && mechanism.blocks.is_none();
        let noted = noted(&mechanism.columns, &result.columns);
        let counts = noted.iter().map(|note| note.is_some_and(|note| COUNTS.contains(&note.reducer.as_str()))).collect();
        Self { ranges: noted.into_iter().map(|note| note.filter(|_| hides).and_then(range)).collect(), counts }
    }

    /// Returns whether a column's numbers are counts of units or rows.
    pub fn is_count(&self, column: usize) -> bool {
        self.counts.get(column).copied().unwrap_or(false)
    }

    /// Returns whether a column's numbers can rest on too few rows.
    pub(crate) fn can_be_untold(&self, column: usize) -> bool {
        self.ranges.get(column).is_some_and(Option::is_some)
    }

    /// Returns whether the interval of a number in this column is everything allowed by the column's bounds.
    pub fn is_too_few(&self, column: usize, cell: &Cell) -> bool {
        let Some((least, most)) = self.ranges.get(column).copied().flatten() else { return false };
        let slack = SLACK * (most - least);
        cell.low <= least + slack && cell.high >= most - slack
    }

    /// Returns the note on each cell of each row, if any.
    pub fn notes(&self, result: &ResultDoc) -> Vec<Vec<Option<&'static str>>> {
        let note = |(column, cell)| self.is_too_few(column, cell).then_some(TOO_FEW);
        result.rows.iter().map(|row| row.cells.iter().enumerate().map(note).collect()).collect()
    }
}

/// Finds the receipt's note on each of a result's columns.
///
/// Columns of one measure are adjacent. The first has the measure's name or a longer one; percentiles after it may have names of
/// their own.
fn noted<'n>(notes: &'n [ColumnNote], columns: &[String]) -> Vec<Option<&'n ColumnNote>> {
    let mut last: Option<&ColumnNote> = None;
    let mut of = |column: &String| {
        let longer = |note: &&ColumnNote| column.strip_prefix(&note.name).is_some_and(|rest| rest.starts_with(' '));
        let named = notes.iter().find(|note| note.name == *column).or_else(|| notes.iter().find(longer));
        last = named.or_else(|| last.filter(|note| note.reducer == "quantiles"));
        last
    };
    columns.iter().map(&mut of).collect()
}

/// Returns the range of an average or similar statistic of clipped values.
fn range(column: &ColumnNote) -> Option<(f64, f64)> {
    let half = (column.hi - column.lo) / 2.0;
    match column.reducer.as_str() {
        // For a covariance, the receipt has the bounds of the products.
        "mean" | "quantiles" | "covariance" => Some((column.lo, column.hi)),
        "variance" => Some((0.0, half * half)),
        "standard-deviation" => Some((0.0, half)),
        "correlation" => Some((-1.0, 1.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(reducer: &str, lo: f64, hi: f64) -> ColumnNote {
        ColumnNote {
            deviation: vec![],
            hi,
            lo,
            moves: vec![],
            name: "a".into(),
            noise_scale: vec![],
            reducer: reducer.into(),
            steps: vec![],
        }
    }

    #[test]
    fn percentiles_of_any_name_have_their_bounds() {
        let named = |name: &str, reducer| ColumnNote { name: name.into(), ..note(reducer, 0.0, 1.0) };
        let notes = [named("n", "count"), named("low", "quantiles"), named("m", "mean"), named("a b", "quantiles")];
        let columns = ["n", "low", "high", "m", "x", "a b p25", "a b p75"].map(String::from);
        let found: Vec<_> = noted(&notes, &columns).into_iter().map(|note| note.map(|note| note.name.as_str())).collect();
        assert_eq!(found, [Some("n"), Some("low"), Some("low"), Some("m"), None, Some("a b"), Some("a b")]);
    }

    #[test]
    fn what_is_anywhere_within_its_bounds_says_nothing() {
        let says = |reducer: &str, (lo, hi): (f64, f64), (low, high): (f64, f64)| {
            let telling = Telling { ranges: vec![range(&note(reducer, lo, hi))], ..Telling::default() };
            !telling.is_too_few(0, &Cell { value: low, low, high })
        };
        for (reducer, bounds, whole) in [
            ("mean", (10.0, 90.0), (10.0, 90.0)),
            ("quantiles", (10.0, 90.0), (10.0, 90.0)),
            ("variance", (0.0, 100.0), (0.0, 5000.0)),
            ("standard-deviation", (0.0, 100.0), (0.0, 70.7)),
            ("covariance", (-2500.0, 2500.0), (-2500.0, 2500.0)),
            ("correlation", (-2500.0, 2500.0), (-1.0, 1.0)),
        ] {
            assert!(!says(reducer, bounds, whole), "{reducer}");
            assert!(says(reducer, bounds, (whole.0, whole.1 / 10.0)), "{reducer}");
            assert!(says(reducer, bounds, (whole.0 + 0.1 * (whole.1 - whole.0), whole.1)), "{reducer}");
        }
        assert!(says("count", (0.0, 2.0), (-5.0, 5.0)) && says("sum", (0.0, 2.0), (-5.0, 5.0)));
    }
}
