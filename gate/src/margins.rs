//! Secondary suppression: which groups are kept back beside those that a rule keeps back, so that no margin gives these away.

use std::collections::{BTreeSet, HashMap, HashSet};

use tidegate_protocol::job::Key;

/// What becomes of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has fewer units than may be shown, or none.
    Small,
    /// A rule keeps it back, though its units are many enough.
    Hidden,
    /// It may be shown.
    Shown,
    /// It may be shown, and is kept back for the others' sake.
    Beside,
}

impl Fate {
    fn is_back(self) -> bool {
        self != Self::Shown
    }
}

/// The groups' lines: those that differ in one key alone.
struct Lines {
    /// Groups of each.
    groups: Vec<Vec<usize>>,
    /// Lines of each group, one a key.
    of: Vec<Vec<usize>>,
}

impl Lines {
    fn new(keys: &[&[Key]], counts: impl Fn(usize) -> bool) -> Self {
        let (mut groups, mut of) = (Vec::<Vec<usize>>::new(), vec![vec![]; keys.len()]);
        for dimension in 0..keys.first().map_or(0, |key| key.len()) {
            let mut by_rest: HashMap<String, usize> = HashMap::new();
            for (i, key) in keys.iter().enumerate().filter(|(i, _)| counts(*i)) {
                let rest: Vec<&Key> = key.iter().enumerate().filter(|(d, _)| *d != dimension).map(|(_, k)| k).collect();
                let line = *by_rest.entry(format!("{rest:?}")).or_insert_with(|| {
                    groups.push(vec![]);
                    groups.len() - 1
                });
                groups[line].push(i);
                of[i].push(line);
            }
        }
        Self { groups, of }
    }

    /// Of a table of two keys: a group that a rule keeps back, and that follows from all margins, since no other way around leads over what is kept back.
    fn bridge(&self, fates: &[Fate]) -> Option<usize> {
        let protected = (0..fates.len()).filter(|i| matches!(fates[*i], Fate::Small | Fate::Hidden));
        protected.into_iter().find(|i| {
            let [from, to] = self.of[*i][..] else { return false };
            let (mut seen, mut waiting) = (HashSet::from([from]), vec![from]);
            while let Some(line) = waiting.pop() {
                for j in self.groups[line].iter().filter(|j| *j != i && fates[**j].is_back()) {
                    waiting.extend(self.of[*j].iter().copied().filter(|next| seen.insert(*next)));
                }
            }
            !seen.contains(&to)
        })
    }
}

/// Keeps back more groups until every line is safe. Who knows a line's margin has the sum of what is kept back of it: so where a line may have a small group,
/// one of many units is kept back with it, where a rule hides one, another is, and none that is kept back for others' sake is alone. How many units a small
/// group has, one or none, plays no part: nobody can tell from what else is missing. Where keys are not declared (`unlisted`) nobody knows which groups there
/// are, and any line may have a small one.
pub(crate) fn protect(keys: &[&[Key]], units: &[i64], fates: &mut [Fate], unlisted: bool) {
    // Small groups that nobody named are as if they were not there.
    let lines = Lines::new(keys, |i| !(unlisted && fates[i] == Fate::Small));
    let mut waiting: BTreeSet<usize> = (0..lines.groups.len()).collect();
    loop {
        while let Some(line) = waiting.pop_first() {
            let count = |fate| lines.groups[line].iter().filter(|i| fates[**i] == fate).count();
            let (hidden, beside, small) = (count(Fate::Hidden), count(Fate::Beside), unlisted || count(Fate::Small) > 0);
            let wanted = match (hidden, beside) {
                (1.., _) => 2,
                _ if small => 1,
                (0, 1..) => 2,
                (0, 0) => 0,
            };
            if hidden + beside < wanted
                && let Some(i) = lines.next(units, fates, &lines.groups[line])
            {
                fates[i] = Fate::Beside;
                waiting.extend(&lines.of[i]);
            }
        }
        // Any line of undeclared keys may have another group, of which nobody knows.
        let Some(bridge) = lines.bridge(fates).filter(|_| !unlisted) else { return };
        let near = lines.of[bridge].iter().flat_map(|line| lines.groups[*line].iter().copied()).collect::<Vec<_>>();
        let all: Vec<usize> = (0..fates.len()).collect();
        let Some(i) = lines.next(units, fates, &near).or_else(|| lines.next(units, fates, &all)) else { return };
        fates[i] = Fate::Beside;
        waiting.extend(&lines.of[i]);
    }
}

impl Lines {
    /// Which of some groups is kept back next: rather one that makes no other line unsafe, then the smallest.
    fn next(&self, units: &[i64], fates: &[Fate], some: &[usize]) -> Option<usize> {
        let untouched =
            |i: usize| self.of[i].iter().filter(|line| self.groups[**line].iter().all(|j| !fates[*j].is_back())).count();
        some.iter().copied().filter(|i| !fates[*i].is_back()).min_by_key(|i| (untouched(*i), units[*i], *i))
    }
}
