//! Which numbers say nothing: an average, a spread or a percentile of so few rows that its interval is all that its bounds allow, and what is divided by a number
//! that is not told from zero. It follows from released numbers and public bounds alone.

use tidegate_protocol::{
    receipt::{ColumnNote, Mechanism},
    result::{Cell, ResultDoc},
};

/// The word for what says nothing.
pub const TOO_FEW: &str = "too few to say";
/// The word for a number that was computed from released ones.
pub const NO_INTERVAL: &str = "no interval";
/// Floats of the same bounds differ by so much of their width.
const SLACK: f64 = 1e-9;

/// What is known of a result's columns.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// Of each column the least and the largest value that its bounds allow; `None` of counts and sums, and where nothing is hidden by noise.
    ranges: Vec<Option<(f64, f64)>>,
}

impl Telling {
    /// Of a result with this noise.
    pub fn of(mechanism: &Mechanism, result: &ResultDoc) -> Self {
        let hides = mechanism.noise != "none" && mechanism.blocks.is_none();
        let noted = noted(&mechanism.columns, &result.columns);
        Self { ranges: noted.into_iter().map(|note| note.filter(|_| hides).and_then(range)).collect() }
    }

    /// Whether a column's numbers can be of too few rows.
    pub(crate) fn can_be_untold(&self, column: usize) -> bool {
        self.ranges.get(column).is_some_and(Option::is_some)
    }

    /// Whether the interval of a number in this column of the result is all that its bounds allow.
    pub fn is_too_few(&self, column: usize, cell: &Cell) -> bool {
        let Some((least, most)) = self.ranges.get(column).copied().flatten() else { return false };
        let slack = SLACK * (most - least);
        cell.low <= least + slack && cell.high >= most - slack
    }

    /// Of each cell of each row the word for it, where there is one.
    pub fn notes(&self, result: &ResultDoc) -> Vec<Vec<Option<&'static str>>> {
        let note = |(column, cell)| self.is_too_few(column, cell).then_some(TOO_FEW);
        result.rows.iter().map(|row| row.cells.iter().enumerate().map(note).collect()).collect()
    }
}

/// What the receipt says of each of a result's columns. Columns of one measure stand together, the first under its name or a longer one; percentiles after it may
/// have names of their own.
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

/// All that an average or the like of clipped values can be.
fn range(column: &ColumnNote) -> Option<(f64, f64)> {
    let half = (column.hi - column.lo) / 2.0;
    match column.reducer.as_str() {
        // Of a covariance the receipt has the bounds of the products.
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
            let telling = Telling { ranges: vec![range(&note(reducer, lo, hi))] };
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
