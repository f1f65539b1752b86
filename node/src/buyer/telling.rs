//! Detection of meaningless numbers and of counts, and the spread of each number's noise.
//!
//! Meaningless are an average, a spread or a percentile of so few rows that its interval is all that its bounds allow, and any number
//! divided by one that cannot be told from zero. This follows from released numbers and public bounds alone.

use tidegate_gate::Noise;
use tidegate_protocol::{
    receipt::{ColumnNote, Mechanism},
    result::{Cell, ResultDoc},
};
use tidegate_sandbox::sql::Spread;

/// Note on a meaningless number.
pub const TOO_FEW: &str = "too few to say";
/// Note on a number computed from released ones in a way that has no interval.
pub const NO_INTERVAL: &str = "no interval";
/// Reducers that count.
const COUNTS: [&str; 2] = ["units", "count"];
/// Reducers whose numbers have the noise of one lane, and nothing else.
const ADDED: [&str; 3] = ["units", "count", "sum"];
/// Number of standard deviations within which a normal variable lies with 95 %.
const NORMAL: f64 = 1.959_963_984_540_054;
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
    /// Kind of noise; `None` if nothing is hidden by noise.
    noise: Option<Noise>,
    /// For each column, the standard deviation of its noise, where the receipt has it for the number itself.
    deviations: Vec<Option<f64>>,
    /// For each column, the number of columns that are made of the same noised lanes, itself among them.
    together: Vec<usize>,
}

impl Telling {
    /// Returns the ranges of a result with this noise.
    pub fn of(mechanism: &Mechanism, result: &ResultDoc) -> Self {
        let hides = mechanism.noise != "none" && mechanism.blocks.is_none();
        let noted = noted(&mechanism.columns, &result.columns);
        let counts = noted.iter().map(|note| note.is_some_and(|note| COUNTS.contains(&note.reducer.as_str()))).collect();
        let added = |note: &&ColumnNote| ADDED.contains(&note.reducer.as_str());
        let deviations = noted.iter().map(|note| note.filter(added).and_then(|note| note.deviation.first().copied())).collect();
        let together = |note: &ColumnNote| noted.iter().flatten().filter(|other| std::ptr::eq(**other, note)).count();
        let together = noted.iter().map(|note| note.map_or(1, together)).collect();
        Self {
            ranges: noted.iter().map(|note| note.filter(|_| hides).and_then(range)).collect(),
            counts,
            noise: Noise::named(&mechanism.noise).filter(|_| hides),
            deviations,
            together,
        }
    }

    /// Returns the kind of noise; `None` if nothing is hidden by noise.
    pub(crate) fn noise(&self) -> Option<Noise> {
        self.noise
    }

    /// Returns the spread of each number without noise around the released one, by row and column.
    ///
    /// It is the one by which the cell's interval is as wide as it is, and no less than the receipt's. Numbers made of the same
    /// lanes are taken as independent later, so each is spread by the root of their number more: no sum of them varies more,
    /// however they depend on each other.
    pub(crate) fn spreads(&self, result: &ResultDoc) -> Vec<Vec<Spread>> {
        let within = match self.noise {
            // The interval's half is ln 20 times the scale, and the deviation √2 times it.
            Some(Noise::Laplace) => 20_f64.ln() / std::f64::consts::SQRT_2,
            _ => NORMAL,
        };
        let spread = |(column, cell): (usize, &Cell)| {
            if self.is_too_few(column, cell) {
                return Spread { below: f64::NAN, above: f64::NAN };
            }
            let least = self.deviations.get(column).copied().flatten().unwrap_or(0.0);
            let times = self.together.get(column).map_or(1.0, |together| (*together as f64).sqrt());
            let side = |width: f64| times * (width / within).max(least);
            Spread { below: side(cell.value - cell.low), above: side(cell.high - cell.value) }
        };
        result.rows.iter().map(|row| row.cells.iter().enumerate().map(spread).collect()).collect()
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
    fn numbers_are_spread_by_their_intervals_and_no_less_than_the_receipt_says() {
        let cell = |low: f64, high: f64| Cell { value: 10.0, low, high };
        let cells = vec![cell(8.0, 12.0), cell(9.0, 11.0), cell(6.0, 10.0), cell(0.0, 100.0)];
        let result = ResultDoc {
            version: 1,
            job: tidegate_protocol::ContentHash([0; 32]),
            cost: tidegate_protocol::Cost::default(),
            keys: vec![],
            columns: ["n", "m", "q p5", "q p95"].map(String::from).to_vec(),
            rows: vec![tidegate_protocol::result::Row { key: vec![], cells }],
            suppressed: vec![],
            remainder: None,
            left_out: 0,
        };
        let mut telling = Telling {
            ranges: vec![None, None, Some((0.0, 100.0)), Some((0.0, 100.0))],
            deviations: vec![Some(0.1), Some(3.0), None, None],
            together: vec![1, 1, 2, 2],
            noise: Some(Noise::Gaussian),
            ..Telling::default()
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let [n, m, low, high] = telling.spreads(&result)[0][..] else { panic!("four columns") };
        assert!(near(n.below, 2.0 / NORMAL) && n.below == n.above && m == Spread { below: 3.0, above: 3.0 });
        assert!(near(low.below, 2_f64.sqrt() * 4.0 / NORMAL) && low.above == 0.0);
        assert!(high.below.is_nan() && high.above.is_nan());
        // A Laplace variable of scale b is within b · ln 20 with 95 %.
        telling.noise = Some(Noise::Laplace);
        assert!(near(telling.spreads(&result)[0][0].below, 2_f64.sqrt() * 2.0 / 20_f64.ln()));
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
