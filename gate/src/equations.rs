//! Margins of a table: sums of its groups over some of their keys, as equations over its cells.

use std::collections::{HashMap, HashSet};

use tidegate_protocol::job::Key;

/// Maximum number of steps of the linear algebra over a table's margins: some seconds.
const MOST_STEPS: u128 = 1 << 33;

/// Maximum number of keys for which margins are listed: n keys have 2ⁿ − 1 kinds of margins.
const MOST_KEYS: usize = 16;

/// The cells of a table and all its margins.
pub(crate) struct Table {
    /// Key values of each cell, as numbers.
    pub(crate) ids: Vec<Vec<u32>>,
    /// Margins: the set of keys summed over, as a bit mask, and the cells added up. Margins over fewer keys come first.
    margins: Vec<(u32, Vec<usize>)>,
    /// For each set of keys, the index of each cell's margin over them.
    at: HashMap<u32, Vec<usize>>,
}

/// Nontrivial equations, without duplicates.
pub(crate) struct Equations {
    /// Number of equations.
    pub(crate) number: usize,
    /// Equations of each cell, in ascending order.
    pub(crate) of: Vec<Vec<usize>>,
    /// Cells of each equation.
    pub(crate) cells: Vec<Vec<usize>>,
    /// For each cell, a bit mask of the keys over which the cell's line is among the equations.
    pub(crate) lines: Vec<u32>,
}

impl Table {
    /// Builds the table of these groups; `unnamed` adds a cell for all groups unknown to everyone.
    ///
    /// Returns `None` if the algebra could take more than [`MOST_STEPS`], which follows from the keys alone.
    pub(crate) fn new(keys: &[&[Key]], unnamed: bool) -> Option<Self> {
        let width = keys.first().map_or(usize::from(unnamed), |key| key.len());
        if width > MOST_KEYS {
            return None;
        }
        let mut ids: Vec<Vec<u32>> = vec![vec![]; keys.len()];
        for d in 0..width {
            let mut known: HashMap<String, u32> = HashMap::new();
            for (key, ids) in keys.iter().zip(&mut ids) {
                let next = known.len() as u32;
                ids.push(*known.entry(format!("{:?}", key.get(d))).or_insert(next));
            }
        }
        if unnamed {
            ids.push(vec![keys.len() as u32; width]);
        }
        let mut sets: Vec<u32> = (1..1 << width).collect();
        sets.sort_by_key(|over: &u32| (over.count_ones(), *over));
        let (mut margins, mut at) = (Vec::new(), HashMap::new());
        for over in sets {
            let mut by_rest: HashMap<Vec<u32>, usize> = HashMap::new();
            let mut mine = Vec::with_capacity(ids.len());
            for (i, ids) in ids.iter().enumerate() {
                let rest = ids.iter().enumerate().map(|(d, id)| if over >> d & 1 == 1 { u32::MAX } else { *id });
                let margin = *by_rest.entry(rest.collect()).or_insert_with(|| {
                    margins.push((over, vec![]));
                    margins.len() - 1
                });
                margins[margin].1.push(i);
                mine.push(margin);
            }
            at.insert(over, mine);
        }
        let table = Self { ids, margins, at };
        (table.steps() <= MOST_STEPS).then_some(table)
    }

    /// Returns the worst-case number of steps of an elimination.
    fn steps(&self) -> u128 {
        let rows = self.margins.iter().filter(|(_, cells)| cells.len() > 1).count() as u128;
        let cells = self.ids.len() as u128;
        rows * rows.min(cells) * cells
    }

    /// Returns the equations of margins covering several cells, not all of them small: the other margins give their cells away
    /// without any table.
    ///
    /// Omits a margin that is the sum of other margins.
    pub(crate) fn equations(&self, small: impl Fn(usize) -> bool) -> Equations {
        let says: Vec<bool> = self.margins.iter().map(|(_, cells)| cells.len() > 1 && cells.iter().any(|i| !small(*i))).collect();
        let follows = |over: u32, cells: &[usize]| {
            let fewer = (0..u32::BITS).map(|d| over & !(1 << d)).filter(|fewer| *fewer != over && *fewer != 0);
            let mut parts = fewer.filter_map(|fewer| self.at.get(&fewer));
            parts.any(|at| cells.iter().all(|i| says[at[*i]]))
        };
        let mut out = Equations { number: 0, of: vec![vec![]; self.ids.len()], cells: vec![], lines: vec![0; self.ids.len()] };
        let mut seen = HashSet::new();
        for ((over, cells), _) in self.margins.iter().zip(&says).filter(|(_, says)| **says) {
            if over.count_ones() == 1 {
                cells.iter().for_each(|i| out.lines[*i] |= over);
            } else if follows(*over, cells) {
                continue;
            }
            if seen.insert(cells) {
                cells.iter().for_each(|i| out.of[*i].push(out.number));
                out.cells.push(cells.clone());
                out.number += 1;
            }
        }
        out
    }
}
