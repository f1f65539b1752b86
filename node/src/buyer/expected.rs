//! Expected noise of a job's columns, with names for its parts: from public numbers, before anything is sent.

use serde::Serialize;
use tidegate_gate::Noise;
use tidegate_protocol::receipt::Mechanism;

/// Noise on a number that is released, or from which a released number is computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartNoise {
    /// Name of the number.
    pub of: &'static str,
    /// Standard deviation, in the column's unit.
    pub standard_deviation: f64,
    /// Half width of the 95 % interval of the noise around zero; results add half a step of their grid.
    pub half_width_95: f64,
}

/// Noise of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnNoise {
    /// Name of the column in the result.
    pub name: String,
    /// Reducer of the column, as receipts name it.
    pub reducer: String,
    /// Parts of the noise: on the column itself if it is one noised number, else on the numbers from which it is computed.
    pub parts: Vec<PartNoise>,
}

/// Returns the names of a reducer's parts, in order. Over blocks, whose number is public, the last part is absent.
fn names(reducer: &str) -> &'static [&'static str] {
    match reducer {
        "units" => &["number of units"],
        "count" => &["number of rows"],
        "sum" => &["sum"],
        "mean" => &["sum of the values minus the midpoint of their bounds", "number of values"],
        "variance" | "standard-deviation" => {
            &["sum of the values minus the midpoint of their bounds", "sum of their squares", "number of values"]
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

/// Returns the expected noise of each column; empty if the result is exact.
pub fn noise(mechanism: &Mechanism) -> Vec<ColumnNoise> {
    let Some(noise) = Noise::named(&mechanism.noise) else { return vec![] };
    let column = |column: &tidegate_protocol::receipt::ColumnNote| {
        let names = names(&column.reducer);
        let part = |(i, ((scale, deviation), step)): (usize, ((&f64, &f64), &f64))| PartNoise {
            of: names.get(i).copied().unwrap_or("a number that it is computed from"),
            standard_deviation: *deviation,
            half_width_95: noise.half(scale / step) * step,
        };
        let parts = column.noise_scale.iter().zip(&column.deviation).zip(&column.steps).enumerate().map(part).collect();
        ColumnNoise { name: column.name.clone(), reducer: column.reducer.clone(), parts }
    };
    mechanism.columns.iter().map(column).collect()
}

/// Returns notes on easily misread properties of a result with these columns.
pub fn notes(mechanism: &Mechanism) -> Vec<String> {
    let mut notes: Vec<String> = of_ratios(mechanism).into_iter().chain(of_reading(mechanism)).collect();
    if mechanism.threshold.is_some() || mechanism.least_units.is_some() {
        notes.push(
            "groups that are not released are missing from the sum of the groups shown: declare `keys`, or query the total in a job without GROUP BY"
                .to_owned(),
        );
    }
    notes
}

/// Number of rows of a privacy unit from which nobody is told how many are read: few units have more, and the receipt has it.
const MANY: u64 = 10_000;

/// Returns a note on the rows that are not read, where units may well have them.
pub fn of_reading(mechanism: &Mechanism) -> Option<String> {
    let read = mechanism.rows_read.filter(|read| *read < MANY)?;
    let rows = if read == 1 { "row" } else { "rows" };
    Some(format!(
        "only the first {read} {rows} of each privacy unit are read, since more might not fit the time budget (jobs.slot): what further rows have is in no \
         number. Ask for less in one query, or the data owner for `sql.rows`"
    ))
}

/// Returns a note on ratios of sums and counts, of which each is cut to a unit's `max_rows` by itself.
pub fn of_ratios(mechanism: &Mechanism) -> Option<String> {
    let number = |reducer: &str| mechanism.columns.iter().filter(|column| column.reducer == reducer).count();
    let (sums, counts) = (number("sum"), number("count"));
    if mechanism.blocks.is_some() || counts == 0 || sums + counts < 2 {
        return None;
    }
    let (most, rows) = (mechanism.max_rows, if mechanism.max_rows == 1 { "row" } else { "rows" });
    Some(format!(
        "for a privacy unit with more than {most} {rows} in a group, a count adds {most}, and a sum adds at most as much as {most} {rows} can. For such units \
         SUM(x) / COUNT(*) differs from AVG(x), and COUNT(*) FILTER (WHERE c) / COUNT(*) from AVG(c): averages are over all their rows, with the weight of {most}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said beforehand is the half width of the interval that a result has, of noise in whole steps.
    #[test]
    fn the_half_width_is_that_of_the_results_interval() {
        use tidegate_gate::{Column, Keys, Measure, Plan, Shape, Sums, release};
        use tidegate_protocol::{ContentHash, Cost, MicroRho, cost::FemtoDelta};

        let columns = vec![Column::new("n", Measure::Units)];
        let shape = Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 1, blocks: None };
        let plan = Plan::new(shape).unwrap();
        for micro in [5, 5_000, 500_000, 5_000_000] {
            for cost in [
                Cost::dp(MicroRho(micro), FemtoDelta(0)),
                Cost::pure(tidegate_protocol::cost::MicroEpsilon(micro), FemtoDelta(0)),
            ] {
                let calibration = plan.calibrate(cost).unwrap();
                let said = &noise(&plan.mechanism(&calibration))[0].parts[0];
                let result = release(&plan, &calibration, &[], &Sums::default(), ContentHash([0; 32])).unwrap();
                let cell = result.document().rows[0].cells[0];
                assert_eq!(cell.high - cell.value, said.half_width_95, "{cost}: {said:?}");
            }
        }
    }
}
