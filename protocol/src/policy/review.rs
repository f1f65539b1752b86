//! `[reviewed]`: conditions for exact results, and the programs exempt from a separate approval.
//!
//! The rules are those of statistics offices (Hundepool et al. 2012, *Statistical Disclosure Control*, chapter 4). They are not
//! differential privacy, and receipts say so.

use serde::{Deserialize, Serialize};

use super::{BadPolicy, bad};
use crate::{ContentHash, PeerId};

/// (n, k) dominance rule: a cell is not shown if its n largest units hold more than k percent of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dominance {
    /// n, 1 to [`ReviewRules::LARGEST`].
    pub units: u32,
    /// k, 1 to 100.
    pub percent: u32,
}

/// A program with standing approval for a buyer's exact results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Buyer.
    pub buyer: PeerId,
    /// Program, including query and declared keys ([`Job::bound`](crate::Job::bound)), as printed by `tidegate pending --json`
    /// and `tidegate check --json`.
    ///
    /// With other keys other groups would be withheld, and two tables would disclose what each hides.
    pub program: ContentHash,
}

/// Rules for exact results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewRules {
    /// Maximum number of exact results in all.
    pub jobs: u32,
    /// Minimum number of units in a shown group.
    pub min_units: u32,
    /// (n, k) rule.
    pub dominance: Dominance,
    /// p% rule: a cell is not shown if the total less its two largest units is below p percent of the largest: the second could
    /// estimate the first.
    pub p_percent: u32,
    /// Rounding base of counts and sums.
    pub round_to: u32,
    /// Programs exempt from a separate approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<Standing>,
}

impl ReviewRules {
    /// Number of known largest contributions of a cell.
    pub const LARGEST: usize = 3;

    /// Checks every rule.
    pub(super) fn check(&self) -> Result<(), BadPolicy> {
        let range = |field: &str, value: u32, from: u32, to: u32, why: &str| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            Err(bad(format!("reviewed.{field}"), format!("is {value}; it must be {from} to {to}"), why))
        };
        range("jobs", self.jobs, 1, 1_000_000, "Write the maximum number of exact results")?;
        range(
            "min_units",
            self.min_units,
            3,
            1_000_000,
            "Write 3 or more: in a group of two, each member learns the other's value",
        )?;
        range("dominance.units", self.dominance.units, 1, Self::LARGEST as u32, "Usual is 1 or 2")?;
        range("dominance.percent", self.dominance.percent, 1, 100, "Usual is 75 to 90")?;
        range("p_percent", self.p_percent, 1, 100, "Usual is 5 to 20")?;
        range("round_to", self.round_to, 1, 1_000_000_000, "Usual is 3, 5 or 10")
    }

    /// Returns whether `buyer` may run `program` without a separate approval.
    pub fn stands(&self, buyer: &PeerId, program: &ContentHash) -> bool {
        self.standing.iter().any(|s| s.buyer == *buyer && s.program == *program)
    }
}
