//! Quantiles of a value in [lo, hi], by a tree of counts.
//!
//! The leaves are equal bins over [lo, hi]; a node counts the leaves below it, with [`BRANCHES`] children per node; all nodes are
//! noised (Hay, Rastogi, Miklau and Suciu 2010). In each layer a unit's rows are in nodes as in a histogram, so the sensitivity
//! is that of [`Part::bins`], once for each layer.
//!
//! Post-processing: OpenDP makes the tree consistent (every node the sum of its children, by least squares), the running sums of
//! its leaves are made monotone (isotonic regression), and a quantile is where they pass its rank. One tree answers any number of
//! quantiles at no further cost.

use serde::{Deserialize, Serialize};
use tidegate_protocol::result::Cell;

use super::{Reduce, bin, histogram};
use crate::{
    noised::Noised,
    part::{Frame, Laid, Part},
};

/// Number of children of a node.
pub const BRANCHES: u32 = 16;

/// Quantiles of a value in [lo, hi].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Lower edge.
    pub lo: f64,
    /// Upper edge.
    pub hi: f64,
    /// Number of leaves: a power of [`BRANCHES`]. The released quantile is exact to a leaf, at best.
    pub bins: u32,
    /// Quantiles to compute, each in [0, 1].
    pub at: Vec<f64>,
}

impl Quantiles {
    /// Returns the number of layers of the tree, including the root's.
    fn layers(&self) -> u32 {
        self.bins.ilog(BRANCHES) + 1
    }

    /// Returns where the running sums pass `rank`, interpolated within a leaf.
    fn value(&self, sums: &[f64], rank: f64) -> f64 {
        let width = (self.hi - self.lo) / f64::from(self.bins);
        let leaf = sums.partition_point(|sum| *sum < rank).min(sums.len() - 1);
        let below = leaf.checked_sub(1).map_or(0.0, |i| sums[i]);
        let inside = if sums[leaf] > below { ((rank - below) / (sums[leaf] - below)).clamp(0.0, 1.0) } else { 0.5 };
        self.lo + width * (leaf as f64 + inside)
    }
}

impl Reduce for Quantiles {
    fn parts(&self, frame: Frame) -> Result<Vec<Part>, String> {
        histogram::check(self.lo, self.hi, self.bins)?;
        if self.bins < BRANCHES || BRANCHES.pow(self.bins.ilog(BRANCHES)) != self.bins {
            return Err(format!("the number of bins must be a power of {BRANCHES}"));
        }
        if self.at.is_empty() || self.at.iter().any(|p| !(0.0..=1.0).contains(p)) {
            return Err("quantiles must be between 0 and 1".into());
        }
        let part = Part::bins(self.bins as usize, frame);
        Ok(vec![Part { times: part.times * self.layers(), ..part }])
    }
    fn lay(&self, _: usize, values: &[&[f64]], _: &[Part], fields: &mut [Laid<'_>]) {
        let of = |v: &f64| if v.is_nan() { -1 } else { bin(*v, self.lo, self.hi, self.bins) };
        fields[0].numbers(values[0].iter().map(of));
    }
    /// Builds the tree from its leaves, root first, layer by layer.
    fn expand(&self, lanes: &[i128]) -> Vec<i128> {
        let mut layers = vec![lanes.to_vec()];
        while let Some(last) = layers.last().filter(|l| l.len() > 1) {
            let above = last.chunks(BRANCHES as usize).map(|c| c.iter().sum()).collect();
            layers.push(above);
        }
        layers.into_iter().rev().flatten().collect()
    }
    fn names(&self, column: &str) -> Vec<String> {
        match self.at.as_slice() {
            [_] => vec![column.to_owned()],
            many => many.iter().map(|p| format!("{column} p{}", p * 100.0)).collect(),
        }
    }
    fn cells(&self, noised: &[Noised], _: Option<u32>) -> Vec<Cell> {
        let tree: Vec<i64> = noised[0].values.iter().map(|v| *v as i64).collect();
        let consistent = opendp::transformations::make_consistent_b_ary_tree::<i64, f64>(BRANCHES).and_then(|f| f.eval(&tree));
        // If it cannot be made consistent, the noised leaves themselves are an answer, if a poorer one.
        let leaves = consistent.unwrap_or_else(|_| noised[0].values[noised[0].values.len() - self.bins as usize..].to_vec());
        let running = leaves.iter().scan(0.0, |sum, leaf| {
            *sum += leaf;
            Some(*sum)
        });
        let sums = monotone(running);
        let total = sums.last().copied().unwrap_or(0.0).max(0.0);
        // In each layer below the root, a running sum adds at most half of a node's children, or subtracts the others from their
        // parent.
        let layers = f64::from(self.layers() - 1);
        let half = noised[0].reach * (layers * f64::from(BRANCHES) / 2.0).sqrt();
        let width = (self.hi - self.lo) / f64::from(self.bins);
        let one = |p: &f64| {
            let rank = p * total;
            let value = self.value(&sums, rank);
            let low = (self.value(&sums, rank - half) - width).clamp(self.lo, value);
            let high = (self.value(&sums, rank + half) + width).clamp(value, self.hi);
            let (low, high) = (if rank <= half { self.lo } else { low }, if rank + half >= total { self.hi } else { high });
            Cell { value, low, high }
        };
        self.at.iter().map(one).collect()
    }
    fn note(&self, _: Frame) -> (&'static str, f64, f64) {
        ("quantiles", self.lo, self.hi)
    }
}

/// Returns the nearest non-decreasing sequence (pool adjacent violators), none below 0.
fn monotone(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in values {
        let mut pool = (value, 1usize);
        while let Some((mean, count)) = pools.pop_if(|(mean, _)| *mean > pool.0) {
            let all = pool.1 + count;
            pool = ((pool.0 * pool.1 as f64 + mean * count as f64) / all as f64, all);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean.max(0.0), count)).collect()
}
