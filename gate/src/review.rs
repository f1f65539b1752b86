//! Exact results, for a job whose every byte the owner has approved: small and dominated groups are kept back, with as many others as it takes that no
//! margin gives them away, and what is shown is rounded.
//!
//! No differential privacy: the rules are those of statistics offices (Hundepool et al. 2012, *Statistical Disclosure Control*, chapter 4).
//!
//! # What is promised of one table
//! - A group of fewer than `min_units` units is not shown, and what else is shown is the same whether it has one unit, several, or none.
//! - No column, no difference of columns and no combination of several is about fewer than `min_units` units of a group: of each kind of its units, by what is
//!   nought, one, a bound or the same in two columns, there are as many, or they count as if they were of another ([`crate::kinds`]). So a condition that fewer
//!   meet shows 0, as one that nobody meets does; one that all but a few meet shows what no condition does. No number is off by `min_units` units or more.
//! - No sum of a column, and no difference of two columns where they are not the same, is dominated by a few units.
//! - Who knows the margins of declared groups does not learn what is kept back.
//! - There is one grouping, and each row counts in one group of it: what has subtotals, or makes several rows of one, is refused when it is planned.
//!
//! # What is not
//! - Two tables of the same people may differ by one person: the node shows the owner what has left already, and answers another table where the owner has named
//!   those.
//! - A sum whose values were made to tell people apart by more than two constants is caught where few have them, and not where a value is each one's own:
//!   `SUM(CASE WHEN … THEN income * 1000 ELSE income END)`. Whoever approves reads the query for that.
//! - Two groups that share people (months, of people who have rows in many) may differ by few of them.

use tidegate_protocol::{
    ContentHash, Cost,
    job::Key,
    policy::ReviewRules,
    receipt::{ColumnNote, Mechanism},
    result::{Cell, ResultDoc, Row},
};

use crate::{
    Codes, GateError, GroupSums, Keys, Kind as PartKind, Largest, Measure, Plan, Sums,
    kinds::Kind,
    margins::{self, Fate},
    reduce::Reduce as _,
    release::{Released, compare_keys, declared_groups},
};

impl Plan {
    /// Checks that every column has an exact form: counts and sums. Others follow from them.
    ///
    /// # Errors
    /// [`GateError::Shape`] naming the first that has none.
    pub fn check_reviewable(&self) -> Result<(), GateError> {
        let sums = |m: &Measure| matches!(m, Measure::Units | Measure::Count | Measure::Sum(_));
        match self.shape.columns.iter().find(|c| !sums(&c.measure)) {
            None => Ok(()),
            Some(column) => Err(GateError::Shape {
                column: column.name.clone(),
                problem: "an exact result has counts and sums alone; write a mean as SUM(x) / COUNT(x)".into(),
            }),
        }
    }

    /// What a receipt says of an exact result.
    pub fn mechanism_of_review(&self, rules: &ReviewRules) -> Mechanism {
        let note = |column: &crate::Column| {
            let (reducer, lo, hi) = column.measure.note(self.shape.frame());
            let hi = if column.measure == Measure::Count { f64::MAX } else { hi };
            ColumnNote { name: column.name.clone(), reducer: reducer.into(), lo, hi, noise_scale: vec![], moves: vec![] }
        };
        Mechanism {
            noise: "none".into(),
            adjacency: "none".into(),
            max_groups: self.kappa(),
            max_rows: self.shape.max_rows,
            blocks: None,
            resample: None,
            least_units: None,
            threshold: Some(i64::from(rules.min_units)),
            threshold_noise: None,
            columns: self.shape.columns.iter().map(note).collect(),
        }
    }
}

/// Releases `sums` exactly, to the rounding of `rules`, without the groups that they keep back.
///
/// # Errors
/// [`GateError::Misfit`] when the sums do not fit the plan, or lack what the rules look at.
pub fn review(
    plan: &Plan,
    rules: &ReviewRules,
    declared: &[Vec<Key>],
    sums: &Sums,
    job: ContentHash,
) -> Result<Released, GateError> {
    plan.check(sums)?;
    plan.check_reviewable()?;
    let mut groups = match plan.shape.keys {
        Keys::Declared(_) => declared_groups(plan, declared, &sums.groups),
        _ => sums.groups.clone(),
    };
    groups.sort_by(|a, b| compare_keys(&a.key, &b.key));
    let codes = plan.codes();
    let shown = groups.iter().map(|g| may_be_shown(plan, &codes, rules, g)).collect::<Result<Vec<_>, _>>()?;
    let fate = |(group, shown): (&GroupSums, &Option<Vec<i128>>)| match shown {
        _ if group.units < i64::from(rules.min_units) => Fate::Small,
        None => Fate::Hidden,
        Some(_) => Fate::Shown,
    };
    let mut fates: Vec<Fate> = groups.iter().zip(&shown).map(fate).collect();
    // That a group is there at all is known of declared ones alone.
    let named = matches!(plan.shape.keys, Keys::Declared(_));
    let (keys, units): (Vec<&[Key]>, Vec<i64>) = groups.iter().map(|g| (g.key.as_slice(), g.units)).unzip();
    margins::protect(&keys, &units, &mut fates, !named);
    let all = || groups.iter().zip(&shown).zip(&fates);
    let shown = |((group, lanes), fate): ((&GroupSums, &Option<Vec<i128>>), &Fate)| {
        let lanes = lanes.as_ref().filter(|_| *fate == Fate::Shown)?;
        Some(Row { key: group.key.clone(), cells: cells(plan, rules, lanes) })
    };
    let suppressed = all().filter(|(_, fate)| named && **fate != Fate::Shown).map(|((group, _), _)| group.key.clone());
    Ok(Released::new(ResultDoc {
        version: 1,
        job,
        cost: Cost::REVIEWED,
        keys: plan.shape.key_names.clone(),
        columns: plan.result_names(),
        rows: all().filter_map(shown).collect(),
        suppressed: suppressed.collect(),
        remainder: None,
        left_out: 0,
    }))
}

/// The sums of a group that no rule keeps back, without what few of its units tell: of every kind of its units there are `min_units` or none
/// ([`Codes::join_small`]); no sum, and no difference of two, is dominated by a few units ((n, k) and p%).
fn may_be_shown(plan: &Plan, codes: &Codes, rules: &ReviewRules, group: &GroupSums) -> Result<Option<Vec<i128>>, GateError> {
    let k = i64::from(rules.min_units);
    if group.units > 0 && !group.kinds.add_up_to(group) {
        return Err(GateError::Misfit("the kinds of a group's units are not known".into()));
    }
    if group.units < k || group.kinds.many {
        return Ok(None);
    }
    let Some((kinds, changed)) = codes.join_small(&group.kinds, k) else { return Ok(None) };
    if changed.iter().any(|units| *units >= k) {
        return Ok(None);
    }
    let largest = |lane: usize, of: &dyn Fn(&Kind) -> bool| {
        let mut all = Largest::default();
        kinds.iter().filter(|kind| of(kind)).for_each(|kind| all.merge(&kind.largest[lane]));
        all
    };
    let summed: Vec<usize> = plan.parts.iter().filter(|p| p.kind == PartKind::Sum).flat_map(|p| p.range()).collect();
    let whole = summed.iter().all(|lane| is_nobodys(rules, &largest(*lane, &|_| true)));
    // Two columns that are the same for some units differ by the others' alone: that is a sum too.
    let pairs = || summed.iter().flat_map(|a| summed.iter().filter(move |b| a != *b).map(move |b| (*a, *b)));
    let differences = pairs().all(|(a, b)| {
        let tied = |kind: &Kind| codes.tied(kind, a, b);
        !kinds.iter().any(tied) || is_nobodys(rules, &largest(a, &|kind| !tied(kind)))
    });
    let sums = (0..plan.lanes()).map(|lane| kinds.iter().map(|kind| kind.lanes[lane]).sum()).collect();
    Ok((whole && differences).then_some(sums))
}

/// Whether neither a few units have most of a sum, nor one can estimate another's part of it.
fn is_nobodys(rules: &ReviewRules, sum: &Largest) -> bool {
    let of = |n: usize| sum.top[..n].iter().map(|v| i128::from(*v)).sum::<i128>();
    let dominated = of(rules.dominance.units as usize) * 100 > sum.sum * i128::from(rules.dominance.percent);
    let guessed = (sum.sum - of(2)) * 100 < i128::from(sum.top[0]) * i128::from(rules.p_percent);
    sum.sum == 0 || !dominated && !guessed
}

fn cells(plan: &Plan, rules: &ReviewRules, lanes: &[i128]) -> Vec<Cell> {
    let base = f64::from(rules.round_to);
    let cell = |part: &crate::Part| {
        let exact = lanes[part.first] as f64 * part.step;
        let value = (exact / base).round() * base;
        Cell { value, low: value - base / 2.0, high: value + base / 2.0 }
    };
    plan.parts.iter().map(cell).collect()
}
