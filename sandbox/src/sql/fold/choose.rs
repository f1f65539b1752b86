//! Choice of the groups in which a privacy unit of more than κ groups counts.
//!
//! The groups with the smallest ranks are chosen, by a keyed PRF of unit and key, never by value.

use arrow::array::{ArrayRef, UInt64Array};

use super::{Fold, Rank, Seen};
use crate::{RunError, sql::table::Table, units::UnitRef};

/// Maximum number of groups for a linear search.
const FEW: usize = 32;

/// Maximum number of lost groups remembered per unit; further ones contest again, and lose again.
const REMEMBERED: usize = 64;

impl Fold<'_> {
    /// Returns the position of group `number` among the open unit's groups; `None` if the group lost to κ others.
    #[inline]
    pub(super) fn place(
        &mut self,
        number: u32,
        row: usize,
        unit: UnitRef<'_>,
        keys: &[ArrayRef],
        table: Option<&Table>,
        encoded: &mut Option<arrow::row::Rows>,
    ) -> Result<Option<usize>, RunError> {
        match self.find(number) {
            Some(place) => Ok(Some(place)),
            None if self.open.len() < self.kappa => Ok(Some(self.hold(number, row))),
            None if self.lost.contains(&number) => Ok(None),
            None => self.contest(number, row, unit, keys, table, encoded),
        }
    }

    /// Finds a group's position among the open unit's groups.
    #[inline]
    fn find(&self, number: u32) -> Option<usize> {
        if self.open.len() <= FEW {
            return self.open.iter().position(|open| *open == number);
        }
        self.places_of.get(&number).map(|place| *place as usize)
    }

    /// Indexes the positions of the open unit's groups, once there are many.
    pub(super) fn index(&mut self) {
        self.places_of.clear();
        if self.open.len() > FEW {
            self.places_of.extend((0..).zip(&self.open).map(|(place, number)| (*number, place)));
        }
    }

    /// Adds a group to the open unit's groups, of which there are fewer than κ.
    #[inline]
    fn hold(&mut self, number: u32, row: usize) -> usize {
        let slot = self.open.len();
        self.open.push(number);
        self.seen.push(Seen { row, rank: None });
        if slot == FEW {
            self.index();
        } else if slot > FEW {
            self.places_of.insert(number, slot as u32);
        }
        if self.tallies.len() < self.open.len() * self.width {
            self.tallies.resize(self.open.len() * self.width, 0);
        }
        if self.picks.len() < self.open.len() * self.bins.len() {
            self.picks.resize(self.open.len() * self.bins.len(), Vec::new());
        }
        slot
    }

    /// Contests a position for a group if κ groups have one: replaces the group with the largest rank if its own rank is smaller.
    ///
    /// The replaced group is out for good, because κ groups with smaller ranks are there: so the unit ends with its κ smallest,
    /// whatever the order of its rows.
    #[cold]
    fn contest(
        &mut self,
        number: u32,
        row: usize,
        unit: UnitRef<'_>,
        keys: &[ArrayRef],
        table: Option<&Table>,
        encoded: &mut Option<arrow::row::Rows>,
    ) -> Result<Option<usize>, RunError> {
        let Some(table) = table else { return Ok(None) };
        let encoded = match encoded {
            Some(encoded) => encoded,
            None => encoded.insert(table.encode.convert_columns(keys)?),
        };
        let rank_of = |row: usize| rank(self.prf, unit, encoded.row(row).data());
        if self.ranked.is_empty() {
            let ranks = self.seen.iter().map(|seen| seen.rank.unwrap_or_else(|| rank_of(seen.row)));
            self.ranked = ranks.zip(0..).collect();
        }
        let mine = rank_of(row);
        let Some((_, worst)) = self.ranked.peek().copied().filter(|(rank, _)| *rank > mine) else {
            self.lose(number);
            return Ok(None);
        };
        self.ranked.pop();
        self.ranked.push((mine, worst));
        let worst = worst as usize;
        self.lose(self.open[worst]);
        if self.open.len() > FEW {
            self.places_of.remove(&self.open[worst]);
            self.places_of.insert(number, worst as u32);
        }
        self.moved_to.insert(worst as u32, self.places.len());
        self.open[worst] = number;
        self.seen[worst] = Seen { row, rank: Some(mine) };
        self.tallies[worst * self.width..][..self.width].fill(0);
        self.picks[worst * self.bins.len()..][..self.bins.len()].iter_mut().for_each(Vec::clear);
        Ok(Some(worst))
    }

    fn lose(&mut self, number: u32) {
        if self.lost.len() < REMEMBERED {
            self.lost.push(number);
        }
    }

    /// Ranks the open unit's groups while the batch in which they were seen is present: the unit may continue in the next.
    pub(super) fn rank_open(&mut self, unit: UnitRef<'_>, keys: &[ArrayRef], table: &Table) -> Result<(), RunError> {
        let unranked: Vec<usize> = (0..self.seen.len()).filter(|&slot| self.seen[slot].rank.is_none()).collect();
        let rows = unranked.iter().map(|&slot| self.seen[slot].row as u64).collect::<UInt64Array>();
        for (&slot, row) in unranked.iter().zip(table.encoded(keys, &rows)?.iter()) {
            self.seen[slot].rank = Some(rank(self.prf, unit, row.data()));
        }
        Ok(())
    }
}

/// Computes the rank deciding where a unit in more than κ groups counts: a keyed PRF of unit and key, never a value.
fn rank(prf: &[u8; 32], unit: UnitRef<'_>, key: &[u8]) -> Rank {
    unit.with_bytes(|unit| {
        let mut hash = blake3::Hasher::new_keyed(prf);
        hash.update(&(unit.len() as u64).to_le_bytes());
        hash.update(unit);
        hash.update(key);
        *hash.finalize().as_bytes()
    })
}
