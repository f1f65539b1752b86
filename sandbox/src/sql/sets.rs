//! Grouping sets: GROUP BY alone is one set of all keys; ROLLUP, CUBE and GROUPING SETS are several, each a grouping of its own.
//!
//! A privacy unit counts in κ groups of each set, hence in the sum of these over all sets, to which the noise is calibrated.
//! A group's key has NULL for the keys that its set leaves out, followed by a number that tells sets apart, like SQL's
//! GROUPING(all keys).

use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};
use tidegate_protocol::{Refusal, job::Key, limits};

use super::{refuse, titles::readable};

/// Name of the column distinguishing grouping sets.
pub(super) const GROUPING: &str = "grouping";

/// One grouping set.
#[derive(Debug, Clone)]
pub(super) struct Set {
    /// Positions of the set's keys.
    pub(super) keys: Vec<usize>,
    /// Number with bit n − 1 − i set if key i is left out; `None` for a plain GROUP BY.
    id: Option<i64>,
    /// Number of keys of the query.
    all: usize,
    /// κ of this set.
    pub(super) kappa: u32,
    /// Declared keys of this set, without the keys left out.
    pub(super) declared: Option<Vec<Vec<Key>>>,
}

/// Grouping sets as key positions.
pub(super) type Sets = Vec<Vec<usize>>;

/// Returns the key expressions of `aggregate`, and its sets as key positions; `None` for a plain GROUP BY.
pub(super) fn of(aggregate: &Aggregate) -> Result<(Vec<Expr>, Option<Sets>), Refusal> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
        return Ok((aggregate.group_expr.clone(), None));
    };
    let keys: Vec<Expr> = sets.distinct_expr().into_iter().cloned().collect();
    let at = |e: &Expr| keys.iter().position(|k| k == e).ok_or_else(|| refuse(format!("{} is no key", readable(&e.to_string()))));
    let positions = |exprs: &[Expr]| exprs.iter().map(at).collect::<Result<Vec<_>, _>>();
    let mut found = match sets {
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).rev().map(|n| positions(&exprs[..n])).collect::<Result<Vec<_>, _>>()?,
        GroupingSet::Cube(exprs) if exprs.len() <= 6 => {
            let all = positions(exprs)?;
            (0..1usize << all.len()).rev().map(|mask| all.iter().copied().filter(|i| mask >> i & 1 == 1).collect()).collect()
        }
        GroupingSet::Cube(_) => vec![],
        GroupingSet::GroupingSets(sets) => sets.iter().map(|s| positions(s)).collect::<Result<_, _>>()?,
    };
    found.iter_mut().for_each(|set| {
        set.sort_unstable();
        set.dedup();
    });
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = found.iter().find(|set| !seen.insert(set.as_slice())) {
        let name = |i: &usize| match &keys[*i] {
            Expr::Column(column) => column.name.clone(),
            other => readable(&other.schema_name().to_string()),
        };
        let names: Vec<String> = twice.iter().map(name).collect();
        return Err(refuse(format!("the grouping set ({}) is there twice: grouping sets must differ", names.join(", ")))
            .fix("Write each key of ROLLUP and CUBE, and each of the GROUPING SETS, once"));
    }
    if found.is_empty() || found.len() > limits::GROUPING_SETS {
        return Err(refuse(format!("there may be 1 to {} grouping sets", limits::GROUPING_SETS))
            .fix("Group by fewer keys, or send a job for some of the sets"));
    }
    Ok((keys, Some(found)))
}

impl Set {
    /// Builds the sets of a query with `all` keys and the `declared` rows of keys, where a unit is in `kappa` groups per set.
    pub(super) fn all(all: usize, sets: Option<Sets>, declared: Option<&[Vec<Key>]>, kappa: u32) -> Vec<Self> {
        let many = sets.is_some();
        let one = |keys: Vec<usize>| {
            let declared = declared.map(|rows| {
                let mut seen = std::collections::HashSet::new();
                let part = |row: &Vec<Key>| keys.iter().map(|i| row[*i].clone()).collect::<Vec<_>>();
                rows.iter().map(part).filter(|row| seen.insert(format!("{row:?}"))).collect::<Vec<_>>()
            });
            let id = (0..all).filter(|i| !keys.contains(i)).map(|i| 1i64 << (all - 1 - i)).sum();
            let most = match &declared {
                _ if keys.is_empty() => 1,
                Some(rows) => kappa.min(rows.len().max(1) as u32),
                None => kappa,
            };
            Self { keys, id: many.then_some(id), all, kappa: most, declared }
        };
        sets.unwrap_or_else(|| vec![(0..all).collect()]).into_iter().map(one).collect()
    }

    /// Returns the full keys of the groups known before any row is read: declared ones, or the only group of a set without keys.
    pub(super) fn declared_keys(&self) -> Vec<Vec<Key>> {
        let none = self.keys.is_empty().then(|| vec![self.key(vec![])]);
        none.unwrap_or_else(|| self.declared.iter().flatten().map(|key| self.key(key.clone())).collect())
    }

    /// Extends a key of this set to a key of the whole result.
    pub(super) fn key(&self, key: Vec<Key>) -> Vec<Key> {
        let Some(id) = self.id else { return key };
        let mut full = vec![Key::Null; self.all];
        for (i, value) in self.keys.iter().zip(key) {
            full[*i] = value;
        }
        full.push(Key::Int(id));
        full
    }
}
