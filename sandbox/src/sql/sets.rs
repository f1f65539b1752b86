//! Grouping sets: GROUP BY once is one set of all keys; ROLLUP, CUBE and GROUPING SETS are several, each a grouping of its own.
//!
//! A unit counts in κ groups of each set, so in their sum of groups at all: that is what the noise is made for. A group's key has NULL for what its set
//! leaves out, and then a number that tells sets apart, as SQL's GROUPING(all keys) would.

use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};
use tidegate_protocol::{Refusal, job::Key, limits};

use super::refuse;

/// Name of the column that tells sets apart.
pub(super) const GROUPING: &str = "grouping";

/// One grouping.
#[derive(Debug, Clone)]
pub(super) struct Set {
    /// Which of the keys, by position.
    pub(super) keys: Vec<usize>,
    /// Bit n − 1 − i is set where key i is left out; `None` where there is one set alone.
    id: Option<i64>,
    /// How many keys the query has.
    all: usize,
    /// κ of this set.
    pub(super) kappa: u32,
    /// Declared keys of this set, without what it leaves out.
    pub(super) declared: Option<Vec<Vec<Key>>>,
}

/// Sets of keys by position.
pub(super) type Sets = Vec<Vec<usize>>;

/// The key expressions of `aggregate`, and its sets by the keys' positions; `None` for a plain GROUP BY.
pub(super) fn of(aggregate: &Aggregate) -> Result<(Vec<Expr>, Option<Sets>), Refusal> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
        return Ok((aggregate.group_expr.clone(), None));
    };
    let keys: Vec<Expr> = sets.distinct_expr().into_iter().cloned().collect();
    let at = |e: &Expr| keys.iter().position(|k| k == e).ok_or_else(|| refuse(format!("{e} is no key")));
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
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    if distinct.len() != found.len() || found.is_empty() || found.len() > limits::GROUPING_SETS {
        return Err(refuse(format!("grouping sets must differ, and be at most {}", limits::GROUPING_SETS)));
    }
    Ok((keys, Some(found)))
}

impl Set {
    /// The sets of a query with `all` keys, of which `declared` rows are declared, where a unit is in `kappa` groups of one set.
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

    /// The keys of its groups among those of all sets, where they are known before a row is read: they are declared, or there are none.
    pub(super) fn declared_keys(&self) -> Vec<Vec<Key>> {
        let none = self.keys.is_empty().then(|| vec![self.key(vec![])]);
        none.unwrap_or_else(|| self.declared.iter().flatten().map(|key| self.key(key.clone())).collect())
    }

    /// A group's key among those of all sets.
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
