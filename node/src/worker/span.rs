//! Halving of the span on which a worker broke.

use tidegate_sandbox::{Piece, units::Cuts};

/// A piece and its known cuts.
#[derive(Debug)]
pub(super) enum Span {
    Blocks(u32, u32),
    Rows(Cuts),
}

impl Span {
    pub(super) fn piece(&self) -> Piece {
        match self {
            Self::Blocks(from, to) => Piece::Blocks { from: *from, to: *to },
            Self::Rows(cuts) => Piece::Rows { from: cuts.from, to: cuts.to },
        }
    }

    /// Returns the number of rows or blocks.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Blocks(from, to) => u64::from(to - from),
            Self::Rows(cuts) => cuts.to - cuts.from,
        }
    }

    /// Returns both halves; `None` if no cut is known.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        match self {
            Self::Blocks(from, to) => {
                let middle = from + (to - from) / 2;
                (middle > *from).then_some([Self::Blocks(*from, middle), Self::Blocks(middle, *to)])
            }
            Self::Rows(cuts) => {
                let middle = cuts.from + (cuts.to - cuts.from) / 2;
                let place = cuts.at.partition_point(|cut| *cut < middle).min(cuts.at.len().checked_sub(1)?);
                let (cut, all) = (cuts.at[place], cuts.all);
                let (before, after) = (cuts.at[..place].to_vec(), cuts.at[place + 1..].to_vec());
                Some([
                    Self::Rows(Cuts { from: cuts.from, to: cut, at: before, all }),
                    Self::Rows(Cuts { from: cut, to: cuts.to, at: after, all }),
                ])
            }
        }
    }

    /// Returns the parts in order after `halvings` halvings; the span itself if no cut is known.
    pub(super) fn parts(self, halvings: u32) -> Vec<Self> {
        let mut parts = vec![self];
        for _ in 0..halvings {
            parts = parts.into_iter().flat_map(|part| part.halves().map_or_else(|| vec![part], Vec::from)).collect();
        }
        parts
    }

    /// Returns whether there may be unknown cuts.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Rows(cuts) if cuts.at.is_empty() && !cuts.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever breaks, and however few cuts are known at a time: the search ends, all rows that are not at fault were run once, and alone were those that are.
    #[test]
    fn the_search_leaves_the_units_at_fault_alone() {
        // Units of 1 to 4 rows; cuts between them.
        let ends: Vec<u64> = (0..200u64)
            .scan(0, |row, unit| {
                *row += unit * 7 % 4 + 1;
                Some(*row)
            })
            .collect();
        let rows = ends[ends.len() - 1];
        let begins: Vec<u64> = ends[..ends.len() - 1].to_vec();
        let cuts = |from: u64, to: u64, most: usize| {
            let mine: Vec<u64> = begins.iter().copied().filter(|cut| (from + 1..to).contains(cut)).collect();
            let all = mine.len() <= most;
            let at = mine.iter().copied().step_by(mine.len().div_ceil(most).max(1)).collect();
            Cuts { from, to, at, all }
        };
        for most in [1, 3, 16, 1000] {
            for bad in [vec![0], vec![rows - 1], vec![5, 6, 7, 300], (0..rows).collect::<Vec<_>>(), vec![]] {
                let (mut ran, mut alone) = (vec![0u32; rows as usize], vec![]);
                let mut todo = vec![Span::Rows(cuts(0, rows, most))];
                while let Some(mut span) = todo.pop() {
                    let Piece::Rows { from, to } = span.piece() else { panic!("rows") };
                    if !bad.iter().any(|row| (from..to).contains(row)) {
                        (from..to).for_each(|row| ran[row as usize] += 1);
                        continue;
                    }
                    if span.is_open() {
                        span = Span::Rows(cuts(from, to, most));
                    }
                    match span.parts(5) {
                        parts if parts.len() > 1 => todo.extend(parts),
                        _ => alone.push((from, to)),
                    }
                }
                for (from, to) in &alone {
                    assert!(begins.iter().all(|cut| !(from + 1..*to).contains(cut)), "one unit");
                    assert!(bad.iter().any(|row| (*from..*to).contains(row)));
                    (*from..*to).for_each(|row| ran[row as usize] += 1);
                }
                assert!(ran.iter().all(|times| *times == 1), "{most} {bad:?}");
            }
        }
        // Blocks.
        let mut todo = vec![Span::Blocks(0, 37)];
        let mut leaves = vec![];
        while let Some(span) = todo.pop() {
            match span.halves() {
                Some(halves) => todo.extend(halves),
                None => leaves.push(span.piece()),
            }
        }
        leaves.reverse();
        assert_eq!(leaves.len(), 37);
        assert!(leaves.iter().all(|one| matches!(one, Piece::Blocks { from, to } if to - from == 1)));
    }
}
