//! 95 % intervals of numbers computed from released ones, by simulation of the stated noise.
//!
//! The query's part above the aggregate is computed again over draws: each released number less an error that has the spread of its
//! noise. An interval's ends are the draws' quantiles at 2.5 % and 97.5 %, each with the number itself inside.
//!
//! For sums and differences of Gaussian noise that is exact. Of a quotient W/D with D > 0, a draw is below θ exactly where W − θD
//! less its noise is below zero, so the quantiles are the roots of the same quadratic as those of the gate's own ratios (Fieller
//! 1954). If too many draws of a divisor have another sign, nothing can be said: the interval has no ends.
//!
//! Draws are seeded with the result's hash: who computes again has the same intervals.

use std::{
    f64::consts::{FRAC_1_SQRT_2, TAU},
    future::poll_fn,
    sync::Arc,
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Float64Array, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use datafusion::error::{DataFusionError, Result};
use tidegate_gate::Noise;
use tidegate_protocol::result::{ResultDoc, Row};

use super::{
    drawn::{Drawer, Prefix},
    view::{Answered, View, executed},
};
use crate::deep::deep;

/// Number of draws in one computation of the query's part.
const BATCH: usize = 50;
/// Number of computations.
const BATCHES: usize = 12;
/// Number of draws: of the order statistics of so many, the 15th has 2.5 % below it on average.
const DRAWS: usize = BATCH * BATCHES;
/// Rank of the draws that are the ends: the largest whole number not above 2.5 % of one more than there are draws.
const RANK: usize = (DRAWS + 1) * 25 / 1000;
/// Maximum number of rows, of the result and of the answer: others have no interval for computed numbers.
const ROWS: usize = 4096;
/// Tolerance between a number and the same number in another computation, relative to its size.
const SLACK: f64 = 1e-9;

/// Spread of a number without noise around the released one.
///
/// NaN says that nothing is known of the number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Standard deviation to the lower side.
    pub below: f64,
    /// Standard deviation to the upper side.
    pub above: f64,
}

/// Intervals of a column's computed numbers.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    /// For each row the ends, which are infinite if nothing can be said. `None` for values that are not computed from released
    /// numbers, or are not drawn.
    pub ends: Vec<Option<[f64; 2]>>,
    /// Whether ends of such a column can be infinite: it divides, multiplies or takes roots.
    pub partial: bool,
}

/// Source of errors, seeded with a result.
struct Errors {
    random: blake3::OutputReader,
    noise: Noise,
}

impl Errors {
    fn of(result: &ResultDoc, noise: Noise) -> Result<Self> {
        let bytes = serde_json::to_vec(result).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let mut seeded = blake3::Hasher::new_derive_key("tidegate 2026 draws of a result's noise");
        seeded.update(&bytes);
        Ok(Self { random: seeded.finalize_xof(), noise })
    }

    /// Draws a number between 0 and 1, neither of them.
    fn uniform(&mut self) -> f64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        ((u64::from_le_bytes(bytes) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Draws an error of standard deviation 1.
    fn unit(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        match self.noise {
            Noise::Gaussian => (-2.0 * u.ln()).sqrt() * (TAU * v).cos(),
            Noise::Laplace => u.ln() * if v < 0.5 { FRAC_1_SQRT_2 } else { -FRAC_1_SQRT_2 },
        }
    }

    /// Draws a batch of every number of a result: by column and draw, an array of its rows.
    fn batch(&mut self, result: &ResultDoc, spreads: &[Vec<Spread>]) -> Vec<Vec<ArrayRef>> {
        let one = |errors: &mut Self, place: usize| {
            let value = |(row, spreads): (&Row, &Vec<Spread>)| {
                let error = errors.unit();
                let (cell, spread) = (row.cells.get(place)?, spreads.get(place)?);
                Some(cell.value + error * if error < 0.0 { spread.below } else { spread.above })
            };
            Arc::new(result.rows.iter().zip(spreads).map(value).collect::<Float64Array>()) as ArrayRef
        };
        (0..result.columns.len()).map(|place| (0..BATCH).map(|_| one(self, place)).collect()).collect()
    }
}

/// Draws of a number so far.
#[derive(Debug, Clone, Default)]
struct Draws {
    finite: Vec<f64>,
    /// Number of draws that are NULL.
    nulls: usize,
}

impl Draws {
    fn add(&mut self, value: Option<f64>) {
        match value {
            None => self.nulls += 1,
            Some(value) if value.is_finite() => self.finite.push(value),
            Some(_) => {}
        }
    }

    /// Returns the ends of the interval of `value`; `None` if it was not drawn.
    fn ends(mut self, value: f64) -> Option<[f64; 2]> {
        if self.nulls == DRAWS {
            return None;
        }
        // Draws that say nothing may be beyond either end.
        let lost = DRAWS - self.finite.len().min(DRAWS);
        let rank = RANK.saturating_sub(lost);
        self.finite.sort_by(f64::total_cmp);
        let low = rank.checked_sub(1).and_then(|at| self.finite.get(at));
        let high = self.finite.len().checked_sub(rank).filter(|_| rank > 0).and_then(|at| self.finite.get(at));
        match (low, high) {
            (Some(low), Some(high)) => Some([low.min(value), high.max(value)]),
            _ => Some([f64::NEG_INFINITY, f64::INFINITY]),
        }
    }
}

/// Returns a column's numbers.
fn numbers(column: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// Returns whether two columns have the same values in the same rows.
fn is_same(a: &ArrayRef, b: &ArrayRef) -> Result<bool> {
    if !a.data_type().is_floating() || !b.data_type().is_floating() {
        return Ok(a == b);
    }
    let near = |(a, b): (Option<f64>, Option<f64>)| match (a, b) {
        (Some(a), Some(b)) => a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= SLACK * a.abs().max(b.abs()),
        (a, b) => a.is_none() && b.is_none(),
    };
    let (a, b) = (numbers(a)?, numbers(b)?);
    Ok(a.len() == b.len() && a.iter().zip(b.iter()).all(near))
}

impl View {
    /// Simulates the intervals of the numbers of an answer that are computed from `result`, whose cells have these spreads.
    ///
    /// Returns one for each of the answer's columns; `None` for columns that are not drawn, and for all if there are too many rows.
    ///
    /// # Errors
    /// Returns an error if `result` is not of this query, or if an expression over draws fails.
    pub async fn simulate(
        &self,
        result: &ResultDoc,
        answered: &Answered,
        noise: Noise,
        spreads: &[Vec<Spread>],
    ) -> Result<Vec<Option<Simulated>>> {
        let mut simulated = Box::pin(self.simulated(result, answered, noise, spreads));
        poll_fn(|context| deep(|| simulated.as_mut().poll(context))).await
    }

    async fn simulated(
        &self,
        result: &ResultDoc,
        answered: &Answered,
        noise: Noise,
        spreads: &[Vec<Spread>],
    ) -> Result<Vec<Option<Simulated>>> {
        let (rows, width) = (answered.table.num_rows(), answered.columns.len());
        let computed = answered.columns.iter().any(|column| column.computed.contains(&true));
        if !computed || rows.max(result.rows.len()) > ROWS {
            return Ok(vec![None; width]);
        }
        let mut errors = Errors::of(result, noise)?;
        let mut found: Vec<Option<(Vec<Draws>, bool)>> = vec![None; width];
        for _ in 0..BATCHES {
            let arrays = errors.batch(result, spreads);
            let (all, columns) = self.drawn(result, &arrays).await?;
            for ((column, (place, prefix)), found) in answered.table.columns().iter().zip(&columns).zip(&mut found) {
                // Otherwise a draw may be another row's.
                if !is_same(column, all.column(*place))? {
                    return Ok(vec![None; width]);
                }
                let Some(prefix) = prefix else { continue };
                let (draws, _) = found.get_or_insert_with(|| (vec![Draws::default(); rows], prefix.partial));
                for draw in 0..BATCH {
                    let drawn = all.column(all.schema_ref().index_of(&prefix.name(draw))?);
                    numbers(drawn)?.iter().zip(draws.iter_mut()).for_each(|(value, draws)| draws.add(value));
                }
            }
        }
        let mut simulated = Vec::with_capacity(width);
        for ((column, origins), found) in answered.table.columns().iter().zip(&answered.columns).zip(found) {
            let Some((draws, partial)) = found else {
                simulated.push(None);
                continue;
            };
            let computed = |row: usize| origins.computed.get(row).is_some_and(|computed| *computed);
            let values = numbers(column)?;
            let one = |(row, (value, draws)): (usize, (Option<f64>, Draws))| draws.ends(value.filter(|_| computed(row))?);
            let ends = values.iter().zip(draws).enumerate().map(one).collect();
            simulated.push(Some(Simulated { ends, partial }));
        }
        Ok(simulated)
    }

    /// Computes the query's part over a batch of draws.
    ///
    /// Returns the table, and the position of each of the query's own columns with the first part of its draws' names.
    async fn drawn(&self, result: &ResultDoc, arrays: &[Vec<ArrayRef>]) -> Result<(RecordBatch, Vec<(usize, Option<Prefix>)>)> {
        let (plan, columns) = {
            let released = |prefixes: &[Prefix]| {
                let mut more = Vec::with_capacity(prefixes.len() * BATCH);
                for (prefix, place) in prefixes.iter().zip(&self.places) {
                    let drawn = arrays.get(*place).into_iter().flatten();
                    more.extend(drawn.enumerate().map(|(draw, array)| (prefix.name(draw), array.clone())));
                }
                self.released(result, more)
            };
            let drawn = Drawer::new(self.keys(), self.places.len(), BATCH, released).trace(&self.plan)?;
            let columns = drawn.columns().map(|(place, prefix)| (place, prefix.cloned())).collect();
            (drawn.plan, columns)
        };
        Ok((executed(plan).await?, columns))
    }
}
