//! 95 % intervals of numbers computed from released ones, by simulation of the stated noise.
//!
//! The query's part above the aggregate is computed again over draws ([`super::drawn`]): each released number and an error that
//! has the spread of its noise. An interval's ends are the draws' quantiles at 2.5 % and 97.5 %, each with the number itself inside.
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
    array::{Array as _, ArrayRef, AsArray as _, Float64Array},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    logical_expr::LogicalPlan,
};
use tidegate_gate::Noise;
use tidegate_protocol::result::{ResultDoc, Row};

use super::{
    drawn::{Carried, Drawer, column, draws},
    view::{Answered, View, executed},
};
use crate::deep::deep;

/// Number of draws.
const DRAWS: usize = 1000;
/// Rank of the draws that are the ends, from either side: of a thousand the 25th has 2.5 % beyond it on average.
const RANK: usize = (DRAWS + 1) * 25 / 1000;
/// Maximum number of rows, of the answer and of all that it is computed from: others have no interval for computed numbers.
const ROWS: usize = 4096;
/// Tolerance between a number and the same number in another computation, relative to its size.
const SLACK: f64 = 1e-9;

/// Positions of a query's own columns, each with the column of its draws if it has draws.
type Places = Vec<(usize, Option<Carried>)>;

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

    /// Draws the numbers of a column of a result.
    fn column(&mut self, result: &ResultDoc, place: usize, spreads: &[Vec<Spread>]) -> Result<ArrayRef> {
        let row = |(row, spreads): (&Row, &Vec<Spread>)| {
            let (cell, spread) = (row.cells.get(place)?, spreads.get(place)?);
            let one = |error: f64| cell.value + error * if error < 0.0 { spread.below } else { spread.above };
            Some((0..DRAWS).map(|_| one(self.unit())).collect())
        };
        Ok(Arc::new(column(result.rows.iter().zip(spreads).map(row))?))
    }
}

/// Returns the ends of the interval of `value`.
fn ends(value: f64, draws: &[f64]) -> [f64; 2] {
    let mut draws: Vec<f64> = draws.iter().copied().filter(|draw| draw.is_finite()).collect();
    draws.sort_by(f64::total_cmp);
    // Draws that say nothing may be beyond either end.
    let rank = RANK.saturating_sub(DRAWS.saturating_sub(draws.len()));
    match (rank.checked_sub(1), draws.len().checked_sub(rank)) {
        (Some(low), Some(high)) => match (draws.get(low), draws.get(high)) {
            (Some(low), Some(high)) => [low.min(value), high.max(value)],
            _ => [f64::NEG_INFINITY, f64::INFINITY],
        },
        _ => [f64::NEG_INFINITY, f64::INFINITY],
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

    /// Returns the maximum number of rows in any part of the query over this many released ones.
    ///
    /// Each row of each part has its draws. Only joins have more rows than what they read, and a subquery of an expression is
    /// joined.
    fn most(&self, released: usize) -> Result<usize> {
        let (mut reads, mut joins) = (0, false);
        self.plan.apply_with_subqueries(|node| {
            joins |= matches!(node, LogicalPlan::Join(_));
            reads += u32::from(matches!(node, LogicalPlan::TableScan(_)));
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if joins { released.saturating_pow(reads) } else { released.saturating_mul(reads as usize) })
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
        if !computed || rows.max(self.most(result.rows.len())?) > ROWS {
            return Ok(vec![None; width]);
        }
        let (plan, columns) = self.over_draws(result, noise, spreads)?;
        let all = executed(plan).await?;
        let mut simulated = Vec::with_capacity(width);
        for ((column, origins), (place, carried)) in answered.table.columns().iter().zip(&answered.columns).zip(&columns) {
            // Otherwise a draw may be another row's.
            if !is_same(column, all.column(*place))? {
                return Ok(vec![None; width]);
            }
            let Some(carried) = carried else {
                simulated.push(None);
                continue;
            };
            let drawn = all.column(all.schema_ref().index_of(&carried.name())?);
            let drawn = drawn.as_list_opt::<i32>().ok_or_else(|| DataFusionError::Internal("no column of draws".into()))?;
            let values = numbers(column)?;
            let one = |row: usize| {
                let computed = origins.computed.get(row).is_some_and(|computed| *computed);
                let is_number = computed && values.is_valid(row);
                Some(ends(values.value(row), &draws(drawn, row).filter(|_| is_number)?))
            };
            simulated.push(Some(Simulated { ends: (0..rows).map(one).collect(), partial: carried.partial }));
        }
        Ok(simulated)
    }

    /// Builds the plan of the query's part over draws.
    ///
    /// Returns the position of each of the query's own columns too, with the column of its draws.
    fn over_draws(&self, result: &ResultDoc, noise: Noise, spreads: &[Vec<Spread>]) -> Result<(LogicalPlan, Places)> {
        let mut errors = Errors::of(result, noise)?;
        let drawn = (0..result.columns.len()).map(|place| errors.column(result, place, spreads)).collect::<Result<Vec<_>>>()?;
        let released = |carried: &[Carried]| {
            let of = carried.iter().zip(&self.places);
            let of = of.filter_map(|(carried, place)| Some((carried.name(), drawn.get(*place)?.clone())));
            self.released(result, of.collect())
        };
        let drawn = Drawer::new(self.keys(), self.places.len(), released).trace(&self.plan)?;
        let columns = drawn.columns().map(|(place, carried)| (place, carried.cloned())).collect();
        Ok((drawn.plan, columns))
    }
}
