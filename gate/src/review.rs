//! Exact results, for a job whose every byte the owner has approved: small and dominated groups are kept back, with as many others as it takes that no
//! margin gives them away, and what is shown is rounded.
//!
//! No differential privacy: the rules are those of statistics offices (Hundepool et al. 2012, *Statistical Disclosure Control*, chapter 4), and hold for
//! one table at a time. Two approved tables may differ by one person: whoever approves must see that, which is why a person does.

use std::collections::HashMap;

use tidegate_protocol::{
    ContentHash, Cost,
    job::Key,
    policy::ReviewRules,
    receipt::{ColumnNote, Mechanism},
    result::{Cell, ResultDoc, Row},
};

use crate::{
    GateError, GroupSums, Keys, Kind, Measure, Plan, Sums,
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
    if sums.groups.iter().any(|g| g.units > 0 && g.largest.len() != plan.lanes()) {
        return Err(GateError::Misfit("the largest contributions are not known".into()));
    }
    let mut groups = match plan.shape.keys {
        Keys::Declared(_) => declared_groups(plan, declared, &sums.groups),
        _ => sums.groups.clone(),
    };
    groups.sort_by(|a, b| compare_keys(&a.key, &b.key));
    let mut back: Vec<bool> = groups.iter().map(|g| !may_be_shown(plan, rules, g)).collect();
    protect_margins(&groups, rules.min_units, &mut back);
    let kept_back = |shown: bool| groups.iter().zip(&back).filter(move |(_, back)| **back != shown).map(|(g, _)| g);
    let rows = kept_back(true).map(|g| Row { key: g.key.clone(), cells: cells(plan, rules, g) }).collect();
    // That a group is there at all is known of declared ones alone.
    let named = matches!(plan.shape.keys, Keys::Declared(_));
    let suppressed = if named { kept_back(false).map(|g| g.key.clone()).collect() } else { vec![] };
    Ok(Released::new(ResultDoc {
        version: 1,
        job,
        cost: Cost::REVIEWED,
        keys: plan.shape.key_names.clone(),
        columns: plan.result_names(),
        rows,
        suppressed,
        remainder: None,
        left_out: 0,
    }))
}

/// Minimum size, (n, k) dominance and p%: of every sum and count of rows.
fn may_be_shown(plan: &Plan, rules: &ReviewRules, group: &GroupSums) -> bool {
    if group.units < i64::from(rules.min_units) {
        return false;
    }
    let summed = plan.parts.iter().filter(|p| p.kind == Kind::Sum).flat_map(|p| p.range());
    summed.map(|lane| &group.largest[lane]).all(|l| {
        let of = |n: usize| l.top[..n].iter().map(|v| i128::from(*v)).sum::<i128>();
        let dominated = of(rules.dominance.units as usize) * 100 > l.sum * i128::from(rules.dominance.percent);
        let guessed = (l.sum - of(2)) * 100 < i128::from(l.top[0]) * i128::from(rules.p_percent);
        l.sum == 0 || !dominated && !guessed
    })
}

/// Secondary suppression. In a line of groups that differ in one key alone, what is kept back is the margin less what is shown: so it must be more than one
/// group and no fewer units than a group that may be shown. Until all lines are safe the smallest group of an unsafe one is kept back too, rather one that
/// makes no other line unsafe.
fn protect_margins(groups: &[GroupSums], min_units: u32, back: &mut [bool]) {
    let dimensions = groups.first().map_or(0, |g| g.key.len());
    let mut lines: Vec<Vec<usize>> = Vec::new();
    let mut lines_of: Vec<Vec<usize>> = vec![vec![]; groups.len()];
    for dimension in 0..dimensions {
        let mut by_rest: HashMap<String, usize> = HashMap::new();
        for (i, group) in groups.iter().enumerate() {
            let rest: Vec<&Key> = group.key.iter().enumerate().filter(|(d, _)| *d != dimension).map(|(_, k)| k).collect();
            let line = *by_rest.entry(format!("{rest:?}")).or_insert_with(|| {
                lines.push(vec![]);
                lines.len() - 1
            });
            lines[line].push(i);
            lines_of[i].push(line);
        }
    }
    let mut next = 0;
    while next < lines.len() {
        let kept_back = lines[next].iter().filter(|i| back[**i]);
        let (count, units) = kept_back.fold((0, 0), |(count, units), i| (count + 1, units + groups[*i].units));
        let unsafe_line = count == 1 || count > 0 && units < i64::from(min_units);
        let untouched = |i: usize| lines_of[i].iter().filter(|line| lines[**line].iter().all(|j| !back[*j])).count();
        let shown = lines[next].iter().copied().filter(|i| !back[*i]);
        match shown.min_by_key(|i| (untouched(*i), groups[*i].units, *i)).filter(|_| unsafe_line) {
            Some(i) => {
                back[i] = true;
                // Lines before this one may have become unsafe.
                next = 0;
            }
            None => next += 1,
        }
    }
}

fn cells(plan: &Plan, rules: &ReviewRules, group: &GroupSums) -> Vec<Cell> {
    let base = f64::from(rules.round_to);
    let cell = |part: &crate::Part| {
        let exact = group.lanes[part.first] as f64 * part.step;
        let value = (exact / base).round() * base;
        Cell { value, low: value - base / 2.0, high: value + base / 2.0 }
    };
    plan.parts.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::policy::Dominance;

    use super::*;
    use crate::{Column, Largest, Shape, Sum};

    fn rules() -> ReviewRules {
        let dominance = Dominance { units: 2, percent: 80 };
        ReviewRules { jobs: 1, min_units: 5, dominance, p_percent: 10, round_to: 5, standing: vec![] }
    }

    fn plan(keys: Keys) -> Plan {
        let columns = vec![Column::new("n", Measure::Units), Column::new("s", Measure::Sum(Sum { lo: 0.0, hi: 1e6 }))];
        let key_names = if keys == Keys::None { vec![] } else { vec!["a".into(), "b".into()] };
        Plan::new(Shape { key_names, keys, columns, max_groups: u32::MAX, max_rows: u32::MAX, blocks: None }).unwrap()
    }

    fn group(plan: &Plan, key: &[&str], values: &[f64]) -> GroupSums {
        let mut group = plan.group(key.iter().map(|k| Key::Text((*k).into())).collect());
        group.largest = vec![Largest::default(); plan.lanes()];
        let step = plan.parts()[1].step;
        for value in values {
            let steps = (value / step) as i64;
            group.units += 1;
            group.lanes[0] += 1;
            group.lanes[1] += i128::from(steps);
            group.largest[1].add(steps);
        }
        group
    }

    fn shown(plan: &Plan, declared: &[Vec<Key>], groups: Vec<GroupSums>) -> ResultDoc {
        review(plan, &rules(), declared, &Sums { groups }, ContentHash([0; 32])).unwrap().document().clone()
    }

    #[test]
    fn small_and_dominated_groups_are_kept_back_and_the_others_rounded() {
        let plan = plan(Keys::None);
        let one = |values: &[f64]| {
            shown(&plan, &[], vec![group(&plan, &[], values)]).rows.first().map(|r| [r.cells[0].value, r.cells[1].value])
        };
        assert_eq!(one(&[10.0; 4]), None, "four are too few");
        assert_eq!(one(&[12.0; 6]), Some([5.0, 70.0]), "six are shown, as five; 72 as 70");
        assert_eq!(one(&[100.0, 100.0, 10.0, 10.0, 10.0, 10.0]), None, "two hold 83 %");
        assert_eq!(one(&[100.0, 100.0, 20.0, 20.0, 20.0, 20.0]), Some([5.0, 280.0]), "two hold 71 %");
        // p%: two hold less than 80 %, but the second knows the first to within the rest, which is below 10 % of it: cannot be where n = 2, k = 80.
        let strict = ReviewRules { dominance: Dominance { units: 1, percent: 100 }, ..rules() };
        let sums = |values: &[f64]| Sums { groups: vec![group(&plan, &[], values)] };
        let rest =
            |values: &[f64]| review(&plan, &strict, &[], &sums(values), ContentHash([0; 32])).unwrap().document().rows.len();
        assert_eq!((rest(&[100.0, 50.0, 3.0, 3.0, 3.0]), rest(&[100.0, 50.0, 4.0, 4.0, 4.0])), (0, 1));
    }

    /// Whoever knows the margins cannot subtract their way to a group that was kept back.
    #[test]
    fn no_margin_gives_a_suppressed_group_away() {
        let names = ["w", "x", "y", "z"];
        let declared: Vec<Vec<Key>> =
            names.iter().flat_map(|a| names.iter().map(move |b| vec![Key::Text((*a).into()), Key::Text((*b).into())])).collect();
        let plan = plan(Keys::Declared(declared.len() as u32));
        for small in 0..16 {
            let groups = declared.iter().enumerate().map(|(i, key)| {
                let Key::Text(a) = &key[0] else { panic!() };
                let Key::Text(b) = &key[1] else { panic!() };
                group(&plan, &[a, b], &vec![10.0; if i == small { 2 } else { 10 + i }])
            });
            let result = shown(&plan, &declared, groups.collect());
            assert_eq!(result.rows.len() + result.suppressed.len(), 16);
            assert!(result.suppressed.contains(&declared[small]) && result.suppressed.len() == 4, "{:?}", result.suppressed);
            for dimension in 0..2 {
                for name in names {
                    let line = result.suppressed.iter().filter(|k| k[dimension] == Key::Text(name.into())).count();
                    assert_ne!(line, 1, "{name} in {:?}", result.suppressed);
                }
            }
        }
    }

    #[test]
    fn only_counts_and_sums_are_exact() {
        let shape = |measure| Shape {
            key_names: vec![],
            keys: Keys::None,
            columns: vec![Column::new("c", measure)],
            max_groups: 1,
            max_rows: 1,
            blocks: None,
        };
        let mean = Measure::Mean(crate::Mean { lo: 0.0, hi: 1.0 });
        assert!(Plan::new(shape(mean)).unwrap().check_reviewable().is_err());
        assert!(Plan::new(shape(Measure::Count)).unwrap().check_reviewable().is_ok());
    }
}
