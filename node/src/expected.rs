//! The noise that a job's columns will have, with names for its parts: from public numbers, before anything is sent.

use serde::Serialize;
use tidegate_protocol::receipt::Mechanism;

/// A normal variable lies within so many standard deviations with 95 %.
const NORMAL: f64 = 1.959_963_984_540_054;
/// A Laplace variable does: ln 20 / √2.
const LAPLACE: f64 = 2.118_302_605_249_420_3;

/// The noise on one number that is released, or that a released one is computed from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartNoise {
    /// The number.
    pub of: &'static str,
    /// In the column's unit.
    pub standard_deviation: f64,
    /// The noise is no further from zero than this with 95 %, to each side; results state it to within a step of their grid.
    pub half_width_95: f64,
}

/// The noise on a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnNoise {
    /// Its name in the result.
    pub name: String,
    /// What is measured, as receipts call it.
    pub reducer: String,
    /// Of a column that is one noised number, that; of others, what they are computed from.
    pub parts: Vec<PartNoise>,
}

/// What the parts of a reducer are, in their order; over blocks their number is public, and the last is not there.
fn names(reducer: &str) -> &'static [&'static str] {
    match reducer {
        "units" => &["number of units"],
        "count" => &["number of rows"],
        "sum" => &["sum"],
        "mean" => &["sum of the values, less the middle of their bounds", "number of values"],
        "variance" | "standard-deviation" => {
            &["sum of the values, less the middle of their bounds", "sum of their squares", "number of values"]
        }
        "covariance" => &["sum of the first values", "sum of the second", "sum of their products", "number of pairs"],
        "correlation" => &[
            "sum of the first values",
            "sum of the second",
            "sum of their products",
            "sum of the first's squares",
            "sum of the second's squares",
            "number of pairs",
        ],
        "quantiles" => &["each number in the tree of counts"],
        "vector-sum" => &["each number"],
        "histogram" | "confusion" | "scores" | "calibration" => &["each count"],
        _ => &[],
    }
}

/// The expected noise of each column; none where the result is exact.
pub fn noise(mechanism: &Mechanism) -> Vec<ColumnNoise> {
    let times = match mechanism.noise.as_str() {
        "discrete-gaussian" => NORMAL,
        "discrete-laplace" => LAPLACE,
        _ => return vec![],
    };
    let column = |column: &tidegate_protocol::receipt::ColumnNote| {
        let names = names(&column.reducer);
        let part = |(i, deviation): (usize, &f64)| PartNoise {
            of: names.get(i).copied().unwrap_or("a number that it is computed from"),
            standard_deviation: *deviation,
            half_width_95: times * deviation,
        };
        let parts = column.noise_scale.iter().enumerate().map(part).collect();
        ColumnNoise { name: column.name.clone(), reducer: column.reducer.clone(), parts }
    };
    mechanism.columns.iter().map(column).collect()
}

/// What is easily taken for something else in a result of these columns, in words.
pub fn notes(mechanism: &Mechanism) -> Vec<String> {
    let has = |reducer: &str| mechanism.columns.iter().any(|column| column.reducer == reducer);
    let mut notes = Vec::new();
    if mechanism.blocks.is_none() && has("sum") && has("count") {
        let (most, rows) = (mechanism.max_rows, if mechanism.max_rows == 1 { "row" } else { "rows" });
        notes.push(format!(
            "of a unit with more than {most} {rows} in a group a count takes {most}, and a sum what {most} {rows} can add: of such units \
             SUM(x) / COUNT(*) is not AVG(x), which is over all their rows, with the weight of {most}"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each constant is where its distribution leaves 5 % outside.
    #[test]
    fn the_half_widths_leave_five_percent_outside() {
        // P[|X| > t] of Laplace with scale b is e^(−t/b), and its standard deviation is b √2.
        assert!(((-LAPLACE * std::f64::consts::SQRT_2).exp() - 0.05).abs() < 1e-9);
        // The density's integral from 0 to NORMAL, by Simpson's rule.
        let (n, density) = (1000, |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt());
        let h = NORMAL / f64::from(n);
        let weight = |i: i32| {
            if i == 0 || i == n {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            }
        };
        let inside: f64 = (0..=n).map(|i| weight(i) * density(f64::from(i) * h)).sum::<f64>() * h / 3.0;
        assert!((2.0 * inside - 0.95).abs() < 1e-9, "{inside}");
    }
}
