//! Limits on a release's work, from public numbers, to draw all noise within the time budget whoever is in the groups.
//!
//! With declared keys the work is known. Undeclared keys may be as many as all units' groups together: noise is drawn for the
//! sizes of the groups that may appear, and for the numbers of the groups that do. Both are bounded: groups of fewer than a given
//! number of units never appear, and of the groups that pass their threshold only a given number, those with the largest noised
//! sizes, are given numbers.

use tidegate_protocol::policy::Policy;

use crate::{Column, Keys, Plan, reduce::Reduce as _};

/// Operations to draw the noise of an integer. An operation takes a machine about a nanosecond.
const DRAW: u64 = 16_000;
/// Operations to receive a group: reading, committing, telling groups apart.
const COMES: u64 = 4000;
/// Operations for a row apart from its noise: comparing, writing, sorting.
const ROW: u64 = 10_000;

/// Operations for the interval of a nonlinear function of sums: some hundreds of evaluations.
const BENT: u64 = 40_000;

/// A query's operations are divided by this to give the share kept for groups with undeclared keys.
const PART: u64 = 4;

/// Limits on groups whose keys were not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Afforded {
    /// Minimum number of units for a group to appear.
    pub least: i64,
    /// Maximum number of rows.
    pub most: u64,
}

impl Afforded {
    /// No limits.
    pub const ALL: Self = Self { least: 1, most: u64::MAX };
}

impl Plan {
    /// Returns how many integers of a group are noised, apart from its number of units.
    pub fn draws(&self) -> u64 {
        let of_column = |(i, column): (usize, &Column)| {
            let parts = self.parts[self.parts_of(i)].iter();
            parts.map(|part| column.measure.expand(&vec![0; part.lanes]).len() as u64).sum::<u64>()
        };
        self.shape.columns.iter().enumerate().map(of_column).sum()
    }

    /// Returns the operations for drawing a row's numbers.
    fn row_work(&self) -> u64 {
        let bent = self.shape.columns.iter().filter(|column| column.measure.is_per_row()).count() as u64;
        ROW.saturating_add(DRAW.saturating_mul(self.draws())).saturating_add(BENT.saturating_mul(bent))
    }

    /// Returns the operations of a release under `policy`, which count toward a query's limit.
    pub fn release_work(&self, policy: &Policy) -> u64 {
        let row = self.row_work();
        match self.shape.keys {
            Keys::None => row,
            Keys::Declared(groups) => row.saturating_add(COMES).saturating_mul(groups.into()),
            Keys::Undeclared { remainder, .. } => {
                // With a remainder row, all groups come in, since the small ones are added up.
                let all = if remainder { self.most_groups(policy).saturating_mul(COMES).saturating_add(row) } else { 0 };
                (policy.query_work() / PART).saturating_add(all)
            }
        }
    }

    /// Returns the limits under `policy`: half of the operations go to sizes, half to rows.
    pub fn afforded(&self, policy: &Policy) -> Afforded {
        let half = (policy.query_work() / PART / 2).max(1);
        let least = self.most_groups(policy).saturating_mul(COMES + DRAW).div_ceil(half);
        let row = self.row_work();
        Afforded { least: i64::try_from(least).unwrap_or(i64::MAX), most: (half / row).max(1) }
    }

    /// Returns the maximum number of nonempty groups.
    fn most_groups(&self, policy: &Policy) -> u64 {
        policy.unit.max_units.saturating_mul(self.kappa().into())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::policy::PolicyFile;

    use super::*;
    use crate::{Measure, Quantiles, Shape};

    fn policy(max_units: u64, slot: &str) -> Policy {
        let text = format!(
            r#"
            unit = {{ column = "p", max_units = {max_units}, max_rows = 1, max_groups = 4 }}
            budget = {{ delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }}
            jobs = {{ kinds = ["sql"], min_units = 5, fuel = 1000000, memory_mib = 16, slot = "{slot}", tick = "500ms" }}
            access = {{ compute = "granted", replicate = "nobody" }}
            columns = {{ a = {{}} }}
        "#
        );
        PolicyFile::parse(&text).unwrap().check(|e, _| Some(e)).unwrap()
    }

    fn plan(keys: Keys, columns: Vec<Column>) -> Plan {
        let key_names = if keys == Keys::None { vec![] } else { vec!["k".into()] };
        Plan::new(Shape { key_names, keys, columns, max_groups: 4, max_rows: 1, blocks: None }).unwrap()
    }

    /// As many groups as units can be in, of the fewest units that appear, and as many rows as are given numbers: their noise fits what is kept for it.
    #[test]
    fn the_noise_of_as_many_groups_as_there_can_be_is_afforded() {
        let median = || Column::new("m", Measure::Quantiles(Quantiles { lo: 0.0, hi: 1.0, bins: BINS, at: vec![0.5] }));
        const BINS: u32 = crate::BRANCHES.pow(2);
        for columns in [vec![Column::new("n", Measure::Count)], vec![median(), Column::new("n", Measure::Units)]] {
            for (units, slot) in [(100, "1s"), (3000, "3s"), (1_000_000, "3s"), (1_000_000, "60s"), (300_000_000, "600s")] {
                let policy = policy(units, slot);
                let plan = plan(Keys::Undeclared { min_units: 5, remainder: false }, columns.clone());
                let Afforded { least, most } = plan.afforded(&policy);
                let groups = units * 4 / least as u64;
                let row = ROW + DRAW * plan.draws();
                let work = groups * (COMES + DRAW) + most.min(groups) * row;
                let kept = plan.release_work(&policy);
                assert!(work <= kept && kept <= policy.query_work() / PART, "{units} {slot}: {work} of {kept}");
                // And no more is given away than need be.
                assert!(least == 1 || units * 4 / (least as u64 - 1) * (COMES + DRAW) > kept / 2, "{units} {slot}: {least}");
                let all = plan_with_remainder(&columns).release_work(&policy);
                assert!(all >= kept + units * 4 * COMES);
            }
        }
        assert_eq!(plan(Keys::None, vec![median()]).draws(), u64::from(BINS + crate::BRANCHES + 1));
        let of = |n| plan(Keys::Declared(n), vec![median()]).release_work(&policy(100, "1s"));
        assert!(of(100) > 99 * of(1) && of(1) > DRAW * u64::from(BINS));
    }

    fn plan_with_remainder(columns: &[Column]) -> Plan {
        plan(Keys::Undeclared { min_units: 5, remainder: true }, columns.to_vec())
    }
}
