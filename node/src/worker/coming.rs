//! What a job is run over, and what comes of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tidegate_gate::{GroupSums, Plan};
use tidegate_sandbox::sql::Written;
use tokio::{sync::mpsc::Sender, time::Instant};

use super::{Answer, WorkerFailed, failed};
use crate::fault;

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

/// Who takes what a worker says before its last answer.
pub(super) enum Taker<'a, 'f> {
    /// Nobody: it has no rows.
    Nobody,
    /// Sums are handed on as they come.
    Groups(Sender<Coming>),
    /// Sums of pieces are added up.
    Pieces(&'a mut Steps<'f>),
}

impl Taker<'_, '_> {
    /// A worker starts: planning is the first step.
    pub(super) fn begins(&mut self) {
        if let Self::Pieces(steps) = self {
            steps.until = Instant::now() + steps.planning;
        }
    }

    /// How long the step in hand may still take, if that is limited.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Pieces(steps) => Some(steps.until.saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    /// Takes an answer that is not the last.
    ///
    /// # Errors
    /// [`WorkerFailed`]: nobody waits for it.
    pub(super) async fn take(&mut self, answer: Answer) -> Result<(), WorkerFailed> {
        match (self, answer) {
            (Self::Groups(each), Answer::Groups(groups)) => {
                each.send(Coming::Groups(groups)).await.map_err(|_| failed("its sums are not taken"))
            }
            (Self::Pieces(steps), answer) => steps.take(answer),
            _ => Err(failed("it gave another answer")),
        }
    }
}

/// Pieces that one worker runs one after the other.
pub(super) struct Steps<'a> {
    found: &'a mut Found,
    planning: Duration,
    /// How long each piece may take.
    patience: Vec<Duration>,
    /// Groups of the piece in hand.
    groups: Vec<GroupSums>,
    /// When the step in hand must be done.
    until: Instant,
    /// Whether the job was planned.
    pub(super) planned: bool,
    /// How many pieces are done, and added up.
    pub(super) done: usize,
}

impl<'a> Steps<'a> {
    /// None yet: `planning` is how long the worker may take to plan the job, `patience` how long for each piece.
    pub(super) fn new(found: &'a mut Found, planning: Duration, patience: Vec<Duration>) -> Self {
        Self { found, planning, patience, groups: vec![], until: Instant::now() + planning, planned: false, done: 0 }
    }

    fn take(&mut self, answer: Answer) -> Result<(), WorkerFailed> {
        match answer {
            Answer::Planned if !self.planned => self.planned = true,
            Answer::Groups(groups) if self.planned => {
                self.groups.extend(groups);
                return Ok(());
            }
            Answer::Piece(..) if fault::named("worker-breaks") => return Err(failed("broken by a test")),
            Answer::Piece(written, end) if self.planned && self.done < self.patience.len() => {
                self.done += 1;
                self.found.written.push(written);
                self.found.end = end.max(self.found.end);
                self.found.add(std::mem::take(&mut self.groups));
            }
            _ => return Err(failed("it gave another answer")),
        }
        // After the last piece it has to end.
        let next = self.patience.get(self.done).or(self.patience.last());
        self.until = Instant::now() + next.copied().unwrap_or_default();
        Ok(())
    }
}
