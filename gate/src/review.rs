//! Exact results, for a job whose every byte the owner has approved: small and dominated groups are suppressed, with as many
//! others as it takes for no margin to give them away, and the numbers shown are rounded.
//!
//! No differential privacy: the rules are those of statistics offices (Hundepool et al. 2012, *Statistical Disclosure Control*,
//! chapter 4).
//!
//! # What is promised of one table
//! - A group of fewer than `min_units` units is not shown, nor is a group that has no kind of `min_units` units, and everything
//!   else shown is the same whether it has one unit, several, or none.
//! - No column, no difference of columns and no combination of several is about fewer than `min_units` units of a group: each
//!   kind of its units, by what is nought, one, a bound or the same in two columns, has that many, or its units count as if they
//!   were of the nearest kind that has ([`crate::kinds`]). So a condition that fewer units meet shows 0, as a condition that
//!   nobody meets does; a condition that all but a few meet shows what no condition does.
//! - Which groups are shown follows from kinds of `min_units` units or more alone, and from public numbers: a unit whose kind has
//!   fewer makes no difference to it.
//! - No sum of a column, and no difference of two columns where they are not the same, is dominated by a few units.
//! - Whoever knows the margins of named groups, over one key and over several, does not learn what is suppressed by any
//!   combination of them ([`crate::margins`]).
//! - There is one grouping, and each row counts in one group of it: a query that has subtotals, or makes several rows of one, is
//!   refused when it is planned. Groups of several keys are declared.
//! - A number that may differ from that of an earlier table, in a group of the same key, by fewer than `min_units` units is that
//!   number ([`crate::beside`]).
//!
//! # What is not promised
//! - That a unit whose kind is small makes no difference to a number: it counts, as one of the nearest kind. A count moves by
//!   one, and a sum by no more than the small kind's units may add, each within what several of the nearest kind add.
//! - That a number is off by few units: all units of small kinds may count as others, up to `min_units` − 1 of each kind that
//!   columns can tell apart.
//! - Bounds of suppressed numbers, which follow from margins and from the fact that no size is negative.
//! - Tables of the same people by other keys may differ by one person: the node shows the owner what has been released already,
//!   and answers another table only if the owner has named those.
//! - A sum whose values were made to tell people apart by more than two constants is caught where few have them, but not where a
//!   value is each person's own: `SUM(CASE WHEN … THEN income * 1000 ELSE income END)`. Whoever approves reads the query for
//!   that.
//! - Two groups that share people (months, of people who have rows in many) may differ by few of them.

use tidegate_protocol::{
    ContentHash, Cost,
    job::Key,
    policy::ReviewRules,
    receipt::{ColumnNote, Mechanism},
    result::{Cell, ResultDoc, Row},
};

use crate::{
    Codes, GateError, GroupSums, Keys, Kind as PartKind, Largest, Left, Measure, Plan, Sums,
    beside::{self, Earlier, Number, Seen},
    keys::compare_keys,
    kinds::Kind,
    margins::{self, Fate},
    reduce::Reduce as _,
    release::{Released, declared_groups},
};

impl Plan {
    /// Checks whether this plan has an exact result by the review rules.
    ///
    /// Every column must have an exact form, counts and sums (others follow from them); together they must not tell too many
    /// kinds of units apart; and groups of several keys must be declared: otherwise nobody knows which cells their margins have.
    ///
    /// # Errors
    /// Returns [`GateError::Shape`] naming the first column that has no exact form or makes too many kinds, or naming no column.
    pub fn check_reviewable(&self) -> Result<(), GateError> {
        if matches!(self.shape.keys, Keys::Undeclared { .. }) && self.shape.key_names.len() > 1 {
            let problem = "an exact result by several keys needs declared groups: list them under `keys`".into();
            return Err(GateError::Shape { column: String::new(), problem });
        }
        let sums = |m: &Measure| matches!(m, Measure::Units | Measure::Count | Measure::Sum(_));
        match self.shape.columns.iter().find(|c| !sums(&c.measure)) {
            None => self.check_kinds(),
            Some(column) => Err(GateError::Shape {
                column: column.name.clone(),
                problem: "an exact result can have only counts and sums: write a mean as SUM(x) / COUNT(x)".into(),
            }),
        }
    }

    /// Returns the mechanism to state in the receipt of an exact result.
    pub fn mechanism_of_review(&self, rules: &ReviewRules) -> Mechanism {
        let note = |column: &crate::Column| {
            let (reducer, lo, hi) = column.measure.note(self.shape.frame());
            let hi = if column.measure == Measure::Count { f64::MAX } else { hi };
            let none = || vec![];
            let (name, reducer) = (column.name.clone(), reducer.into());
            ColumnNote { name, reducer, lo, hi, noise_scale: none(), deviation: none(), steps: none(), moves: none() }
        };
        Mechanism {
            noise: "none".into(),
            adjacency: "none".into(),
            max_groups: self.kappa(),
            max_rows: self.shape.max_rows,
            blocks: None,
            resample: None,
            rows_read: None,
            least_units: None,
            threshold: Some(i64::from(rules.min_units)),
            threshold_noise: None,
            columns: self.shape.columns.iter().map(note).collect(),
        }
    }
}

/// Releases like [`review_beside`] where nothing has been released before.
///
/// # Errors
/// As for [`review_beside`].
pub fn review(
    plan: &Plan,
    rules: &ReviewRules,
    declared: &[Vec<Key>],
    sums: &Sums,
    job: ContentHash,
) -> Result<Released, GateError> {
    review_beside(plan, rules, declared, sums, job, &[])
}

/// Releases `sums` exactly, up to the rounding of `rules`, without the groups suppressed by the rules.
///
/// `before` are the earlier released tables of the same people, oldest first.
///
/// # Errors
/// Returns [`GateError::Misfit`] if the sums do not fit the plan, lack what the rules examine, or have too many groups for their
/// margins.
pub fn review_beside(
    plan: &Plan,
    rules: &ReviewRules,
    declared: &[Vec<Key>],
    sums: &Sums,
    job: ContentHash,
    before: &[Left],
) -> Result<Released, GateError> {
    plan.check(sums)?;
    plan.check_reviewable()?;
    // The existence of a group is known only for declared groups.
    let named = matches!(plan.shape.keys, Keys::Declared(_));
    let groups = if named { declared_groups(plan, declared, &sums.groups) } else { sums.groups.clone() };
    // Groups declared last are suppressed first for others' sake; if undeclared, the first by key.
    let mut groups: Vec<(GroupSums, usize)> = groups.into_iter().rev().enumerate().map(|(last, group)| (group, last)).collect();
    groups.sort_by(|(a, _), (b, _)| compare_keys(&a.key, &b.key));
    if !named {
        groups.iter_mut().enumerate().for_each(|(i, (_, order))| *order = i);
    }
    let (codes, before) = (plan.codes(), Earlier::new(before));
    let mut looks = groups.iter().map(|(g, _)| Look::at(plan, &codes, rules, g, &before)).collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<&[Key]> = groups.iter().map(|(g, _)| g.key.as_slice()).collect();
    let order: Vec<usize> = groups.iter().map(|(_, order)| *order).collect();
    let mut fates: Vec<Fate> = looks.iter().map(|look| look.fate).collect();
    margins::protect(&keys, &order, &mut fates, !named)?;
    let (mut rows, mut suppressed, mut left) = (vec![], vec![], Left::new(plan.shape.key_names.clone()));
    for ((key, fate), look) in keys.iter().zip(fates).zip(&mut looks) {
        match &look.lanes {
            Some(lanes) if fate.is_shown() => rows.push(Row { key: key.to_vec(), cells: cells(plan, rules, lanes) }),
            _ if named => suppressed.push(key.to_vec()),
            _ => {}
        }
        if fate != Fate::Small {
            left.add(key, fate.is_shown(), std::mem::take(&mut look.numbers), &look.seen);
        }
    }
    let document = ResultDoc {
        version: 1,
        job,
        cost: Cost::REVIEWED,
        keys: plan.shape.key_names.clone(),
        columns: plan.result_names(),
        rows,
        suppressed,
        remainder: None,
        left_out: 0,
    };
    Ok(Released::exact(document, left))
}

/// Result of the rules for a group.
struct Look {
    fate: Fate,
    /// Sums of the group, unless suppressed by a rule.
    lanes: Option<Vec<i128>>,
    numbers: Vec<Number>,
    seen: Seen,
}

impl Look {
    fn at(plan: &Plan, codes: &Codes, rules: &ReviewRules, group: &GroupSums, before: &Earlier<'_>) -> Result<Self, GateError> {
        let k = i64::from(rules.min_units);
        if group.units > 0 && !group.kinds.add_up_to(group.units, &group.lanes) {
            return Err(GateError::Misfit("the kinds of a group's units are not known".into()));
        }
        let mut look = Self { fate: Fate::Small, lanes: None, numbers: vec![], seen: Seen::New };
        // The total number of units does not decide: small kinds are not consulted.
        let Some(joined) = codes.join_small(&group.kinds, k, counted(rules)) else { return Ok(look) };
        look.numbers = Number::all(plan, &joined.all);
        look.seen = beside::seen(before, &group.key, &look.numbers, k);
        let sum = |lane: usize| joined.all.iter().map(|kind| kind.lanes[lane]).sum();
        look.lanes = may_be_shown(plan, codes, rules, &joined.large).then(|| (0..plan.lanes()).map(sum).collect());
        look.fate = match (&look.seen, &mut look.lanes) {
            (Seen::Narrow, _) => Fate::Small,
            (Seen::Hides, _) | (_, None) => Fate::Hidden,
            (Seen::New, Some(_)) => Fate::Shown,
            (Seen::Known(known), Some(lanes)) => {
                for (part, known) in plan.parts.iter().zip(known) {
                    if let Some(known) = known {
                        lanes[part.first] = (known / part.step).round() as i128;
                    }
                }
                Fate::Known
            }
        };
        Ok(look)
    }
}

/// Returns how many of the largest contributions the dominance rules examine.
fn counted(rules: &ReviewRules) -> usize {
    (rules.dominance.units as usize).max(2)
}

/// Returns whether no rule suppresses a group with these kinds of `min_units` units or more: no sum, and no difference of two, is
/// dominated by a few units ((n, k) and p%).
///
/// Units that join them ([`Codes::join_small`]) do not make a sum dominated that is not.
fn may_be_shown(plan: &Plan, codes: &Codes, rules: &ReviewRules, kinds: &[Kind]) -> bool {
    let largest = |lane: usize, of: &dyn Fn(&Kind) -> bool| {
        let mut all = Largest::default();
        kinds.iter().filter(|kind| of(kind)).for_each(|kind| all.merge(&kind.largest[lane]));
        all
    };
    let summed: Vec<usize> = plan.parts.iter().filter(|p| p.kind == PartKind::Sum).flat_map(|p| p.range()).collect();
    let whole = summed.iter().all(|lane| is_nobodys(rules, &largest(*lane, &|_| true)));
    // Two columns that are the same for some units differ only by the other units: their difference is a sum too.
    let pairs = || summed.iter().flat_map(|a| summed.iter().filter(move |b| a != *b).map(move |b| (*a, *b)));
    let differences = pairs().all(|(a, b)| {
        let tied = |kind: &Kind| codes.tied(kind, a, b);
        !kinds.iter().any(tied) || is_nobodys(rules, &largest(a, &|kind| !tied(kind)))
    });
    whole && differences
}

/// Returns whether neither do a few units have most of a sum, nor can a unit estimate another unit's part.
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
