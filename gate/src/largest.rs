//! The largest contributions to a sum, for dominance rules.

use serde::{Deserialize, Serialize};
use tidegate_protocol::policy::ReviewRules;

/// The largest contributions of units to a lane, by size, and the sum of all sizes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Largest {
    /// Largest sizes, in descending order.
    pub top: [i64; ReviewRules::LARGEST],
    /// Sum of all sizes.
    pub sum: i128,
}

impl Largest {
    /// Adds a unit's contribution.
    pub fn add(&mut self, contribution: i64) {
        let mut size = contribution.saturating_abs();
        self.sum += i128::from(size);
        for place in &mut self.top {
            if size > *place {
                std::mem::swap(place, &mut size);
            }
        }
    }

    /// Returns the contributions of `units` units, each adding `contribution`.
    pub fn of_equal(contribution: i64, units: i64) -> Self {
        let size = contribution.saturating_abs();
        let mut top = [0; ReviewRules::LARGEST];
        let few = usize::try_from(units).unwrap_or(0).min(top.len());
        top[..few].fill(size);
        Self { top, sum: i128::from(size) * i128::from(units) }
    }

    /// Adds the contributions of other units.
    pub fn merge(&mut self, other: &Self) {
        let sum = self.sum + other.sum;
        other.top.iter().for_each(|size| self.add(*size));
        self.sum = sum;
    }
}
