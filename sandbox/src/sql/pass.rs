//! One thread's pass: rows of a unit → at most κ groups, chosen by a keyed PRF → clipped integers → sums.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use tidegate_gate::{GroupSums, Plan, Step, Sums};
use tidegate_protocol::job::Key;

/// A key's encoding in place where it is short, so that a look-up touches one cache line; a long one's beginning.
const SHORT: usize = 23;

#[derive(Clone, Copy)]
struct Entry {
    bytes: [u8; SHORT],
    /// Length of the encoding, [`LONG`] for one that lies elsewhere.
    length: u8,
    group: u32,
}

const LONG: u8 = u8::MAX;

/// A group's key: encoded, and as values.
struct GroupKey {
    bytes: Box<[u8]>,
    values: Vec<Key>,
    /// Whether it may be counted at all: an undeclared key beside declared ones may not.
    counts: bool,
}

/// A group's numbers lie together: the unit that is open in it, that unit's slot, units, then a sum a lane.
const SERIAL: usize = 0;
const SLOT: usize = 1;
const UNITS: usize = 2;
const LANES: usize = 3;

pub(super) struct Pass<'a> {
    plan: &'a Plan,
    prf: &'a [u8; 32],
    /// Lanes a group.
    width: usize,
    hasher: DefaultHashBuilder,
    index: HashTable<Entry>,
    keys: Vec<GroupKey>,
    groups: Vec<i64>,
    /// Lane sums that were moved on before 64 bits could overflow, and how many units may be closed before that is due again.
    moved: Vec<i128>,
    closes_left: u64,
    /// The open unit, how many came before it, its groups and their tallies.
    unit: Vec<u8>,
    serial: i64,
    open: Vec<u32>,
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
            groups: Vec::new(),
            moved: Vec::new(),
            closes_left: plan.closes(),
            unit: Vec::new(),
            serial: 0,
            open: Vec::new(),
            tallies: Vec::new(),
        }
    }

    fn stride(&self) -> usize {
        LANES + self.width
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
        let id = match self.find(hash, key) {
            Some(id) => id,
            None => {
                let (values, counts) = describe()?;
                self.insert(hash, GroupKey { bytes: key.into(), values, counts })
            }
        };
        // The mark of a group that may not be counted is beside its numbers, so that no second line is touched.
        Ok((self.groups[id as usize * self.stride() + UNITS] >= 0).then_some(id))
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let found = self.index.find(hash, |entry| match entry.length {
            LONG => *self.keys[entry.group as usize].bytes == *key,
            length => entry.bytes[..length as usize] == *key,
        });
        found.map(|entry| entry.group)
    }

    fn insert(&mut self, hash: u64, key: GroupKey) -> u32 {
        let group = self.keys.len() as u32;
        let mut entry = Entry { bytes: [0; SHORT], length: LONG, group };
        if key.bytes.len() <= SHORT {
            entry.bytes[..key.bytes.len()].copy_from_slice(&key.bytes);
            entry.length = key.bytes.len() as u8;
        }
        let (keys, hasher) = (&self.keys, &self.hasher);
        self.index.insert_unique(hash, entry, |e| hasher.hash_one(&*keys[e.group as usize].bytes));
        let stride = self.stride();
        let start = self.groups.len();
        self.groups.resize(start + stride, 0);
        if !key.counts {
            self.groups[start + UNITS] = -1;
        }
        self.moved.resize(self.moved.len() + self.width, 0);
        self.keys.push(key);
        group
    }

    /// Adds one row of the open unit to a group; `steps` gives column by column what it adds.
    #[inline]
    pub(super) fn row(&mut self, group: u32, steps: impl Iterator<Item = Step>) {
        let at = group as usize * self.stride();
        let head = &mut self.groups[at..at + LANES];
        if head[SERIAL] != self.serial {
            (head[SERIAL], head[SLOT]) = (self.serial, self.open.len() as i64);
            self.open.push(group);
            if self.tallies.len() < self.open.len() * self.width {
                self.tallies.resize(self.open.len() * self.width, 0);
            }
        }
        let tally = &mut self.tallies[head[SLOT] as usize * self.width..][..self.width];
        for (column, step) in steps.enumerate() {
            self.plan.add_step(tally, column, step);
        }
    }

    /// Closes the open unit: where it is in more than κ groups, the κ with the smallest PRF of (unit, key) count, whatever their values.
    pub(super) fn end_unit(&mut self) {
        let kappa = self.plan.kappa() as usize;
        let count = self.open.len().min(kappa);
        if self.closes_left < count as u64 {
            self.move_on();
        }
        self.closes_left -= count as u64;
        if self.open.len() <= kappa {
            for slot in 0..self.open.len() {
                self.close(slot);
            }
        } else {
            let mut slots: Vec<usize> = (0..self.open.len()).collect();
            slots.sort_by_cached_key(|&slot| {
                let mut hash = blake3::Hasher::new_keyed(self.prf);
                hash.update(&(self.unit.len() as u64).to_le_bytes());
                hash.update(&self.unit);
                hash.update(&self.keys[self.open[slot] as usize].bytes);
                *hash.finalize().as_bytes()
            });
            for &slot in &slots[..kappa] {
                self.close(slot);
            }
            self.tallies.fill(0);
        }
        self.open.clear();
    }

    #[inline]
    fn close(&mut self, slot: usize) {
        let at = self.open[slot] as usize * self.stride();
        let (head, lanes) = self.groups[at..][..LANES + self.width].split_at_mut(LANES);
        let tally = &mut self.tallies[slot * self.width..][..self.width];
        self.plan.close_small(&mut head[UNITS], lanes, tally);
    }

    /// Moves the sums to 128 bits.
    fn move_on(&mut self) {
        for (group, moved) in self.groups.chunks_exact_mut(LANES + self.width).zip(self.moved.chunks_exact_mut(self.width)) {
            for (sum, moved) in group[LANES..].iter_mut().zip(moved) {
                *moved += i128::from(std::mem::take(sum));
            }
        }
        self.closes_left = self.plan.closes();
    }

    /// Adds the sums of `other`, which saw other units.
    pub(super) fn merge(&mut self, mut other: Self) {
        other.move_on();
        let stride = other.stride();
        for (i, key) in other.keys.into_iter().enumerate() {
            let counts = key.counts;
            let hash = self.hasher.hash_one(&*key.bytes);
            let id = match self.find(hash, &key.bytes) {
                Some(id) => id,
                None => self.insert(hash, key),
            } as usize;
            if counts {
                self.groups[id * stride + UNITS] += other.groups[i * stride + UNITS];
            }
            let theirs = &other.moved[i * self.width..][..self.width];
            for (mine, theirs) in self.moved[id * self.width..][..self.width].iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
    }

    /// The sums of all groups that a unit counted in.
    pub(super) fn into_sums(mut self) -> Sums {
        self.move_on();
        let numbers = self.groups.chunks_exact(self.stride()).zip(self.moved.chunks_exact(self.width));
        let groups = self.keys.into_iter().zip(numbers).filter(|(_, (head, _))| head[UNITS] > 0);
        Sums {
            groups: groups
                .map(|(key, (head, lanes))| GroupSums { key: key.values, units: head[UNITS], lanes: lanes.to_vec() })
                .collect(),
        }
    }
}
