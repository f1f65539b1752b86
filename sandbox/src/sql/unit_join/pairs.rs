//! Pairs of a privacy unit's rows, and the rows made from them by each kind of join.
//!
//! A unit makes at most [`limits::JOIN_PAIRS`](tidegate_protocol::limits::JOIN_PAIRS) pairs, in the order of the first input's
//! rows and then of the second's: how much one unit can weigh on time and memory is public.

use std::{collections::HashMap, ops::Range};

use arrow::{array::Array as _, buffer::NullBuffer, row::RowConverter};

use super::held::Side;
use crate::{RunError, sql::input::Kind, units::Unit};

/// Rows of a unit and its candidate pairs.
struct Open {
    unit: Unit,
    first: Range<usize>,
    second: Range<usize>,
    pairs: Range<usize>,
    /// Whether there were more pairs than a unit may make.
    cut: bool,
}

/// Candidate pairs processed together.
#[derive(Default)]
pub(super) struct Pairs {
    units: Vec<Open>,
    pub(super) first: Vec<u64>,
    pub(super) second: Vec<u64>,
}

/// Rows of the join, with the rows of each input from which they are made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) units: Vec<Unit>,
    pub(super) rows: Vec<Range<usize>>,
    pub(super) first: Vec<Option<u64>>,
    pub(super) second: Vec<Option<u64>>,
}

/// Keys of an input's rows.
pub(super) struct Keys {
    encoded: arrow::row::Rows,
    /// Rows in which all keys are present.
    valid: Option<NullBuffer>,
}

impl Keys {
    pub(super) fn new(encode: &RowConverter, side: &Side, keys: usize) -> Result<Self, RunError> {
        let columns = &side.columns[side.columns.len() - keys..];
        let valid = columns.iter().fold(None, |all, c| NullBuffer::union(all.as_ref(), c.logical_nulls().as_ref()));
        Ok(Self { encoded: encode.convert_columns(columns)?, valid })
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        let valid = self.valid.as_ref().is_none_or(|valid| valid.is_valid(row));
        valid.then(|| self.encoded.row(row).data())
    }
}

impl Pairs {
    /// Returns the amount of work: the number of pairs, or of units.
    pub(super) fn len(&self) -> usize {
        self.first.len().max(self.units.len())
    }

    /// Adds a unit's pairs, of rows with equal keys or of all rows; at most `most`.
    pub(super) fn add(
        &mut self,
        unit: &Unit,
        first: Range<usize>,
        second: Range<usize>,
        keys: Option<&(Keys, Keys)>,
        most: usize,
    ) {
        let start = self.first.len();
        let mut open = Open { unit: unit.clone(), first, second, pairs: start..start, cut: false };
        let mut by_key: HashMap<&[u8], Vec<u64>> = HashMap::new();
        if let Some((_, theirs)) = keys
            && !open.first.is_empty()
        {
            for row in open.second.clone() {
                if let Some(key) = theirs.get(row) {
                    by_key.entry(key).or_default().push(row as u64);
                }
            }
        }
        let all: Vec<u64> = if keys.is_none() { open.second.clone().map(|row| row as u64).collect() } else { vec![] };
        for row in open.first.clone() {
            let matches = match keys {
                None => &all,
                Some((mine, _)) => mine.get(row).and_then(|key| by_key.get(key)).map_or(&[][..], Vec::as_slice),
            };
            let room = most - (self.first.len() - start);
            let taken = matches.len().min(room);
            self.first.extend(std::iter::repeat_n(row as u64, taken));
            self.second.extend(&matches[..taken]);
            if taken < matches.len() {
                // The rest of its rows is treated as absent.
                (open.first.end, open.cut) = (row + usize::from(taken > 0), true);
                break;
            }
        }
        open.pairs.end = self.first.len();
        self.units.push(open);
    }

    /// Makes the join's rows; `holds` says for which pairs the condition holds.
    pub(super) fn made(self, kind: Kind, holds: Option<&[bool]>) -> Made {
        let mut made = Made::default();
        let holds = |pair: usize| holds.is_none_or(|holds| holds[pair]);
        for open in self.units {
            let start = made.first.len();
            let mut pair = open.pairs.start;
            let mut matched = vec![false; if kind == Kind::Full { open.second.len() } else { 0 }];
            for row in open.first.clone().map(|row| row as u64) {
                let mut alone = true;
                while pair < open.pairs.end && self.first[pair] == row {
                    if holds(pair) {
                        if matches!(kind, Kind::Inner | Kind::Outer | Kind::Full) {
                            made.push(Some(row), Some(self.second[pair]));
                        }
                        if kind == Kind::Full {
                            matched[self.second[pair] as usize - open.second.start] = true;
                        }
                        alone = false;
                    }
                    pair += 1;
                }
                let stays = match kind {
                    Kind::Inner => false,
                    Kind::Outer | Kind::Full | Kind::Anti => alone,
                    Kind::Semi => !alone,
                };
                if stays {
                    made.push(Some(row), None);
                }
            }
            if kind == Kind::Full && !open.cut {
                let alone = matched.iter().enumerate().filter(|(_, matched)| !**matched);
                alone.for_each(|(i, _)| made.push(None, Some((open.second.start + i) as u64)));
            }
            if made.first.len() > start {
                made.units.push(open.unit);
                made.rows.push(start..made.first.len());
            }
        }
        made
    }
}

impl Made {
    fn push(&mut self, first: Option<u64>, second: Option<u64>) {
        self.first.push(first);
        self.second.push(second);
    }
}
