//! What a job is run over, and what comes of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    time::SystemTime,
};

use tidegate_gate::{GroupSums, Plan};
use tidegate_sandbox::sql::Written;

/// What comes of a run.
#[derive(Debug)]
pub enum Coming {
    /// The sums of some groups; none comes twice.
    Groups(Vec<GroupSums>),
    /// What came before counts for nothing.
    Anew,
}

/// What a job is run over, and how far.
#[derive(Debug, Clone, Copy)]
pub struct Over<'a> {
    /// The dataset's files.
    pub files: &'a [PathBuf],
    /// A folder for files without a name.
    pub scratch: &'a Path,
    /// What the job releases.
    pub plan: &'a Plan,
    /// Groups of fewer units need not come.
    pub least_units: i64,
    /// When a worker is killed: the end of the public slot.
    pub deadline: SystemTime,
    /// With so many units, or blocks, at fault the job as a whole has failed.
    pub limit: u32,
}

/// What pieces came to so far.
#[derive(Default)]
pub(super) struct Found {
    /// By their keys' JSON: a key has no order and no hash.
    pub(super) sums: HashMap<String, GroupSums>,
    pub(super) written: Vec<Written>,
    /// Bytes of the file for groups.
    pub(super) end: u64,
    /// Units or blocks at fault.
    pub(super) fault: u32,
}

impl Found {
    pub(super) fn add(&mut self, groups: Vec<GroupSums>) {
        for group in groups {
            let key = serde_json::to_string(&group.key).unwrap_or_default();
            match self.sums.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(group);
                }
                Entry::Occupied(mut place) => merge(place.get_mut(), &group),
            }
        }
    }
}

fn merge(all: &mut GroupSums, other: &GroupSums) {
    all.units += other.units;
    all.lanes.iter_mut().zip(&other.lanes).for_each(|(all, one)| *all += one);
    all.kinds.merge(&other.kinds);
}
