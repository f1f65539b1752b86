//! Which groups of a unit count where it is in more than κ: those with the smallest ranks, by a keyed PRF of unit and key, never by value.

use arrow::array::{ArrayRef, UInt64Array};

use super::{Fold, Rank, Seen};
use crate::{RunError, sql::table::Table, units::UnitRef};

/// Fewer groups than this are looked through one by one.
const FEW: usize = 32;

/// So many lost groups of a unit are remembered; more of them contest again, and lose again.
const REMEMBERED: usize = 64;

impl Fold<'_> {
    /// The place of group `number` among the open unit's; `None` where it lost to κ others.
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

    /// The place that a group has among the open unit's.
    #[inline]
    fn find(&self, number: u32) -> Option<usize> {
        if self.open.len() <= FEW {
            return self.open.iter().position(|open| *open == number);
        }
        self.places_of.get(&number).map(|place| *place as usize)
    }

    /// Remembers where the open unit's groups are, once they are many.
    pub(super) fn index(&mut self) {
        self.places_of.clear();
        if self.open.len() > FEW {
            self.places_of.extend((0..).zip(&self.open).map(|(place, number)| (*number, place)));
        }
    }

    /// A place for a group among the open unit's, where there are fewer than κ.
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

    /// A place for a group where κ have one: that of the group with the largest rank, if its own is smaller. The other goes for good, because
    /// κ smaller ones are there: so the unit ends with its κ smallest, whatever the order of its rows.
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

    /// Ranks the open unit's groups while the batch that they were seen in is here: the unit may go on in the next.
    pub(super) fn rank_open(&mut self, unit: UnitRef<'_>, keys: &[ArrayRef], table: &Table) -> Result<(), RunError> {
        let unranked: Vec<usize> = (0..self.seen.len()).filter(|&slot| self.seen[slot].rank.is_none()).collect();
        let rows = unranked.iter().map(|&slot| self.seen[slot].row as u64).collect::<UInt64Array>();
        for (&slot, row) in unranked.iter().zip(table.encoded(keys, &rows)?.iter()) {
            self.seen[slot].rank = Some(rank(self.prf, unit, row.data()));
        }
        Ok(())
    }
}

/// Who counts where a unit is in more than κ groups: a keyed PRF of unit and key, never a value.
fn rank(prf: &[u8; 32], unit: UnitRef<'_>, key: &[u8]) -> Rank {
    unit.with_bytes(|unit| {
        let mut hash = blake3::Hasher::new_keyed(prf);
        hash.update(&(unit.len() as u64).to_le_bytes());
        hash.update(unit);
        hash.update(key);
        *hash.finalize().as_bytes()
    })
}
