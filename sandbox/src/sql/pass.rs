//! One thread's pass: rows of a unit → at most κ groups, chosen by a keyed PRF → clipped integers → sums.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use tidegate_gate::{GroupSums, Plan, Step, Sums};
use tidegate_protocol::job::Key;

/// A key as comparable bytes and as values.
pub(super) struct GroupKey {
    bytes: Box<[u8]>,
    values: Vec<Key>,
    /// Whether it may be counted at all: an undeclared key beside declared ones may not.
    counts: bool,
}

/// Where the open unit's tally of a group lies, if `serial` is the open unit's.
#[derive(Clone, Copy, Default)]
struct Open {
    serial: u64,
    slot: usize,
}

pub(super) struct Pass<'a> {
    plan: &'a Plan,
    prf: &'a [u8; 32],
    /// Lanes a group.
    width: usize,
    hasher: DefaultHashBuilder,
    index: HashTable<u32>,
    keys: Vec<GroupKey>,
    open: Vec<Open>,
    units: Vec<i64>,
    lanes: Vec<i128>,
    /// The open unit, how many came before it, its groups and their tallies.
    unit: Vec<u8>,
    serial: u64,
    groups: Vec<u32>,
    tallies: Vec<i64>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(plan: &'a Plan, prf: &'a [u8; 32]) -> Self {
        Self {
            plan,
            prf,
            width: plan.lanes().len(),
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            keys: Vec::new(),
            open: Vec::new(),
            units: Vec::new(),
            lanes: Vec::new(),
            unit: Vec::new(),
            serial: 0,
            groups: Vec::new(),
            tallies: Vec::new(),
        }
    }

    /// Goes on with `unit`, closing the one before where it is another.
    #[inline]
    pub(super) fn unit(&mut self, unit: &[u8]) {
        if self.serial == 0 || self.unit != unit {
            self.end_unit();
            self.serial += 1;
            self.unit.clear();
            self.unit.extend_from_slice(unit);
        }
    }

    /// The group of an encoded key, or `None` where it may not be counted. A key not seen before is described by `describe`: its values and
    /// whether it counts.
    #[inline]
    pub(super) fn group<E>(
        &mut self,
        key: &[u8],
        describe: impl FnOnce() -> Result<(Vec<Key>, bool), E>,
    ) -> Result<Option<u32>, E> {
        let hash = self.hasher.hash_one(key);
        let id = match self.index.find(hash, |&id| *self.keys[id as usize].bytes == *key) {
            Some(&id) => id,
            None => {
                let (values, counts) = describe()?;
                self.insert(hash, GroupKey { bytes: key.into(), values, counts })
            }
        };
        Ok(self.keys[id as usize].counts.then_some(id))
    }

    fn insert(&mut self, hash: u64, key: GroupKey) -> u32 {
        let id = self.keys.len() as u32;
        let (keys, hasher) = (&self.keys, &self.hasher);
        self.index.insert_unique(hash, id, |&id| hasher.hash_one(&*keys[id as usize].bytes));
        self.keys.push(key);
        self.open.push(Open::default());
        self.units.push(0);
        self.lanes.resize(self.lanes.len() + self.width, 0);
        id
    }

    /// Adds one row of the open unit to a group; `steps` gives column by column what it adds.
    #[inline]
    pub(super) fn row(&mut self, group: u32, steps: impl Iterator<Item = Step>) {
        let open = &mut self.open[group as usize];
        if open.serial != self.serial {
            *open = Open { serial: self.serial, slot: self.groups.len() };
            self.groups.push(group);
            if self.tallies.len() < self.groups.len() * self.width {
                self.tallies.resize(self.groups.len() * self.width, 0);
            }
        }
        let tally = &mut self.tallies[open.slot * self.width..][..self.width];
        for (column, step) in steps.enumerate() {
            self.plan.add_step(tally, column, step);
        }
    }

    /// Closes the open unit: where it is in more than κ groups, the κ with the smallest PRF of (unit, key) count, whatever their values.
    pub(super) fn end_unit(&mut self) {
        let kappa = self.plan.kappa() as usize;
        if self.groups.len() <= kappa {
            for slot in 0..self.groups.len() {
                self.close(slot);
            }
        } else {
            let mut slots: Vec<usize> = (0..self.groups.len()).collect();
            slots.sort_by_cached_key(|&slot| {
                let mut hash = blake3::Hasher::new_keyed(self.prf);
                hash.update(&(self.unit.len() as u64).to_le_bytes());
                hash.update(&self.unit);
                hash.update(&self.keys[self.groups[slot] as usize].bytes);
                *hash.finalize().as_bytes()
            });
            for &slot in &slots[..kappa] {
                self.close(slot);
            }
            self.tallies.fill(0);
        }
        self.groups.clear();
    }

    #[inline]
    fn close(&mut self, slot: usize) {
        let group = self.groups[slot] as usize;
        let lanes = &mut self.lanes[group * self.width..][..self.width];
        let tally = &mut self.tallies[slot * self.width..][..self.width];
        self.plan.close(&mut self.units[group], lanes, tally);
    }

    /// Adds the sums of `other`, which saw other units.
    pub(super) fn merge(&mut self, other: Self) {
        for (i, key) in other.keys.into_iter().enumerate() {
            let hash = self.hasher.hash_one(&*key.bytes);
            let id = match self.index.find(hash, |&id| self.keys[id as usize].bytes == key.bytes) {
                Some(&id) => id,
                None => self.insert(hash, key),
            } as usize;
            self.units[id] += other.units[i];
            let theirs = &other.lanes[i * self.width..][..self.width];
            for (mine, theirs) in self.lanes[id * self.width..][..self.width].iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }

    /// The sums of all groups that a unit counted in.
    pub(super) fn into_sums(self) -> Sums {
        let lanes = self.lanes.chunks_exact(self.width.max(1));
        let groups = self.keys.into_iter().zip(self.units).zip(lanes);
        Sums {
            groups: groups
                .filter(|((key, units), _)| key.counts && *units > 0)
                .map(|((key, units), lanes)| GroupSums { key: key.values, units, lanes: lanes.to_vec() })
                .collect(),
        }
    }
}
