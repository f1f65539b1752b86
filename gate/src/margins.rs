//! Secondary suppression: chooses further groups to suppress, to keep margins from giving away a group suppressed by a rule.
//!
//! The attacker knows every margin of the named groups, over one key and over several, and everything shown; each margin is an
//! equation over the suppressed groups ([`crate::equations`]). Small groups have 0 to k − 1 units, so the attacker may know or
//! guess all of them but one: a group can hide only behind groups of k units or more. So each protected group's column of the
//! equations must be a sum of multiples of the columns of suppressed large groups other than itself. Then it can change with them
//! alone, no equation gives it away, and in every margin of a small group k units or more are suppressed.
//!
//! # Which groups are suppressed
//! 1. The corners of a cube whose other corners are large (Giessing and Repsilber 2002, the hypercube method of τ-ARGUS): the
//!    cube with the fewest corners that would be shown.
//! 2. Where there is no such cube, an elimination over all large groups finds which of them hide the group ([`crate::solve`]).
//! 3. Where none do, the margins alone give the group away: every large group in one of its margins is suppressed too.
//!
//! All choices follow from fates and from the order in which the groups were named, never from sizes: if the smallest group were
//! taken, its size would be known to be at most that of the smallest shown, and a margin less that much would tell a small group
//! from an empty one.
//!
//! # What is not promised
//! Bounds: sizes are not negative and those of large groups are k or more, which can confine a group that no equation gives away
//! (τ-ARGUS calls it a protection interval). Margins of one group, or of small groups alone: whoever knows those needs no table.

use std::collections::{BTreeSet, HashMap};

use tidegate_protocol::job::Key;

use crate::{
    GateError,
    equations::{Equations, Table},
    solve::{self, Column},
};

/// Maximum number of cubes to try; where there may be more, only the elimination runs.
const MOST_CUBES: usize = 1 << 28;

/// Outcome for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The group has no kind of as many units as may be shown, or no units.
    Small,
    /// A rule suppresses the group, despite enough units.
    Hidden,
    /// The group may be shown.
    Shown,
    /// The group is shown but would hide nobody: an earlier table has shown as much.
    Known,
    /// The group could be shown, but is suppressed to protect others.
    Beside,
}

impl Fate {
    pub(crate) fn is_shown(self) -> bool {
        matches!(self, Self::Shown | Self::Known)
    }

    /// Returns whether other groups can hide behind the group.
    fn hides(self) -> bool {
        matches!(self, Self::Hidden | Self::Beside | Self::Shown)
    }

    fn is_protected(self) -> bool {
        matches!(self, Self::Small | Self::Hidden)
    }
}

/// Returns whether a table of these groups is small enough for its margins to be examined.
pub fn margins_fit(declared: &[Vec<Key>]) -> bool {
    Table::new(&declared.iter().map(Vec::as_slice).collect::<Vec<_>>(), false).is_some()
}

/// Suppresses more groups until no margins give away a group suppressed by a rule, in ascending `order`.
///
/// For groups that are not named (`unlisted`), small ones are treated as if they were not there, and there may always be one.
///
/// # Errors
/// Returns [`GateError::Misfit`] if there are too many groups, which [`margins_fit`] tells beforehand.
pub(crate) fn protect(keys: &[&[Key]], order: &[usize], fates: &mut [Fate], unlisted: bool) -> Result<(), GateError> {
    let seen: Vec<usize> = (0..keys.len()).filter(|i| !(unlisted && fates[*i] == Fate::Small)).collect();
    let keys: Vec<&[Key]> = seen.iter().map(|i| keys[*i]).collect();
    let table =
        Table::new(&keys, unlisted).ok_or_else(|| GateError::Misfit("a table has too many groups for its margins".into()))?;
    let mut mine: Vec<Fate> = seen.iter().map(|i| fates[*i]).collect();
    let mut order: Vec<usize> = seen.iter().map(|i| order[*i]).collect();
    if unlisted {
        mine.push(Fate::Small);
        order.push(usize::MAX);
    }
    let equations = table.equations(|i| mine[i] == Fate::Small);
    let mut keeping = Keeping { table: &table, equations: &equations, order: &order, fates: mine };
    let left = keeping.cubes();
    keeping.eliminate(left);
    keeping.lines();
    seen.iter().zip(&keeping.fates).for_each(|(i, fate)| fates[*i] = *fate);
    Ok(())
}

struct Keeping<'a> {
    table: &'a Table,
    equations: &'a Equations,
    order: &'a [usize],
    fates: Vec<Fate>,
}

impl Keeping<'_> {
    fn keep(&mut self, cells: impl IntoIterator<Item = usize>) {
        for i in cells {
            if self.fates[i] == Fate::Shown {
                self.fates[i] = Fate::Beside;
            }
        }
    }

    /// Suppresses the corners of a cube for each protected group with a cube. Returns the other protected groups.
    fn cubes(&mut self) -> Vec<usize> {
        let (cells, width) = (self.fates.len(), self.table.ids.first().map_or(0, Vec::len));
        let protected = (0..cells).filter(|i| self.fates[*i].is_protected() && !self.equations.of[*i].is_empty());
        let protected: Vec<usize> = protected.collect();
        if cells.saturating_mul(cells).checked_shl(width as u32).is_none_or(|cubes| cubes > MOST_CUBES) {
            return protected;
        }
        let places: HashMap<&[u32], usize> = self.table.ids.iter().enumerate().map(|(i, ids)| (ids.as_slice(), i)).collect();
        protected.into_iter().filter(|p| self.cube(&places, *p).map(|corners| self.keep(corners)).is_none()).collect()
    }

    /// Returns the corners, apart from `p`, of the cube hiding `p` with the fewest groups otherwise shown.
    fn cube(&self, places: &HashMap<&[u32], usize>, p: usize) -> Option<Vec<usize>> {
        let (over, own) = (self.equations.lines[p], &self.table.ids[p]);
        let opposite = |ids: &Vec<u32>| ids.iter().zip(own).enumerate().all(|(d, (a, b))| (a != b) == (over >> d & 1 == 1));
        let mut best: Option<((usize, usize), Vec<usize>)> = None;
        for ids in self.table.ids.iter().filter(|ids| opposite(ids)) {
            // Each nonempty subset of the keys over which it has a line: the empty one is `p`.
            let (mut corners, mut cost, mut corner) = (Vec::new(), (0, 0), over);
            while corner != 0 {
                let at: Vec<u32> = (0..own.len()).map(|d| if corner >> d & 1 == 1 { ids[d] } else { own[d] }).collect();
                let Some(i) = places.get(at.as_slice()).copied().filter(|i| self.fates[*i].hides()) else { break };
                if self.fates[i] == Fate::Shown {
                    cost = (cost.0 + 1, cost.1 + self.order[i]);
                }
                corners.push((i, if corner.count_ones() % 2 == 1 { -1 } else { 1 }));
                corner = (corner - 1) & over;
            }
            let better = corner == 0 && !corners.is_empty() && best.as_ref().is_none_or(|(least, _)| cost < *least);
            if better && self.balanced(p, &corners) {
                best = Some((cost, corners.into_iter().map(|(i, _)| i).collect()));
                if cost.0 == 0 {
                    break;
                }
            }
        }
        best.map(|(_, corners)| corners)
    }

    /// Returns whether all equations still hold if `p` grows by 1, and each corner by its given number.
    fn balanced(&self, p: usize, corners: &[(usize, i32)]) -> bool {
        let mut sums: HashMap<usize, i32> = HashMap::new();
        for (i, more) in corners.iter().chain([&(p, 1)]) {
            self.equations.of[*i].iter().for_each(|equation| *sums.entry(*equation).or_default() += more);
        }
        sums.values().all(|sum| *sum == 0)
    }

    /// Suppresses a large group of each margin with small groups and no suppressed group: someone who knows only this margin
    /// knows of k units or more.
    fn lines(&mut self) {
        for cells in &self.equations.cells {
            let bare = cells.iter().any(|i| self.fates[*i] == Fate::Small)
                && !cells.iter().any(|i| matches!(self.fates[*i], Fate::Hidden | Fate::Beside));
            let next = cells.iter().copied().filter(|i| self.fates[*i] == Fate::Shown).min_by_key(|i| self.order[*i]);
            if let Some(i) = next.filter(|_| bare) {
                self.fates[i] = Fate::Beside;
            }
        }
    }

    /// Suppresses the groups with which `left`, the groups without a cube, can change.
    fn eliminate(&mut self, left: Vec<usize>) {
        if left.is_empty() {
            return;
        }
        let targets: BTreeSet<usize> = left.into_iter().collect();
        let mut columns: Vec<usize> = (0..self.fates.len()).filter(|i| self.fates[*i].hides() && !targets.contains(i)).collect();
        // Groups suppressed anyway come first, then the others by `order`; small groups come last, so that nothing else is a sum
        // of them.
        columns.sort_by_key(|i| (self.fates[*i] == Fate::Shown, self.order[*i]));
        let first = columns.len();
        columns.extend(targets.iter().filter(|i| self.fates[**i] == Fate::Hidden));
        let small = columns.len();
        columns.extend(targets.iter().filter(|i| self.fates[**i] == Fate::Small));
        let of: Vec<&[usize]> = columns.iter().map(|i| self.equations.of[*i].as_slice()).collect();
        let found = solve::sums(self.equations.number, &of, first);
        let (mut safe, mut keep) = (BTreeSet::new(), Vec::new());
        for (j, answer) in (first..).zip(&found) {
            let Column::Sum(parts) = answer else { continue };
            safe.insert(j);
            // Groups of the same kind that it changes with are hidden by the same groups.
            safe.extend(parts.iter().filter(|part| **part >= if j < small { first } else { small }));
            keep.extend(parts.iter().filter(|part| **part < first).map(|part| columns[*part]));
        }
        let lost = (first..columns.len()).filter(|j| !safe.contains(j)).flat_map(|j| &self.equations.of[columns[j]]);
        keep.extend(lost.flat_map(|equation| &self.equations.cells[*equation]));
        self.keep(keep);
    }
}
