//! Inputs and results of a job's run.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tidegate_gate::{GroupSums, Plan};
use tidegate_sandbox::sql::Written;
use tokio::{sync::mpsc::Sender, time::Instant};

use crate::fault;
use crate::worker::{Answer, WorkerFailed, failed};

/// Part of a run's results.
#[derive(Debug)]
pub enum Coming {
    /// Sums of some groups; no group comes twice.
    Groups(Vec<GroupSums>),
    /// Everything that came before counts for nothing.
    Anew,
}

/// Inputs and limits of a job's run.
#[derive(Debug, Clone, Copy)]
pub struct Over<'a> {
    /// The dataset's files.
    pub files: &'a [PathBuf],
    /// Folder for unnamed files.
    pub scratch: &'a Path,
    /// Plan of the job's release.
    pub plan: &'a Plan,
    /// Minimum number of privacy units of a group; smaller groups need not come.
    pub least_units: i64,
    /// Time at which a worker is killed: the deadline of the public slot.
    pub deadline: SystemTime,
    /// Number of units or blocks at fault with which the job as a whole has failed.
    pub limit: u32,
}

/// Results of the pieces so far.
#[derive(Default)]
pub(super) struct Found {
    /// Sums by the JSON of their keys, because a key has no order and no hash.
    pub(super) sums: HashMap<String, GroupSums>,
    pub(super) written: Vec<Written>,
    /// Size in bytes of the file for groups.
    pub(super) end: u64,
    /// Number of units or blocks at fault.
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

/// Recipient of a worker's answers before the last.
pub(super) enum Taker<'a, 'f> {
    /// No recipient: the worker has no rows.
    Nobody,
    /// Sums are handed on as they come.
    Groups(Sender<Coming>),
    /// Sums of pieces are added up.
    Pieces(&'a mut Steps<'f>),
}

impl Taker<'_, '_> {
    /// Records the start of a worker, whose first step is planning.
    pub(super) fn begins(&mut self) {
        if let Self::Pieces(steps) = self {
            steps.until = Instant::now() + steps.planning;
        }
    }

    /// Returns how long the current step may still take, if limited.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Pieces(steps) => Some(steps.until.saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    /// Takes an answer other than the last.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`] if nobody waits for the answer.
    pub(super) async fn take(&mut self, answer: Answer) -> Result<(), WorkerFailed> {
        match (self, answer) {
            (Self::Groups(each), Answer::Groups(groups)) => {
                each.send(Coming::Groups(groups)).await.map_err(|_| failed("its sums are not received"))
            }
            (Self::Pieces(steps), answer) => steps.take(answer),
            _ => Err(failed("unexpected reply")),
        }
    }
}

/// Pieces run in turn by a single worker.
pub(super) struct Steps<'a> {
    found: &'a mut Found,
    planning: Duration,
    /// Maximum time of each piece.
    patience: Vec<Duration>,
    /// Groups of the current piece.
    groups: Vec<GroupSums>,
    /// Deadline of the current step.
    until: Instant,
    /// Whether the job was planned.
    pub(super) planned: bool,
    /// Number of pieces done and added up.
    pub(super) done: usize,
}

impl<'a> Steps<'a> {
    /// Builds the steps of a worker with no piece done yet.
    ///
    /// `planning` is the maximum time for planning the job, `patience` the maximum time for each piece.
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
            _ => return Err(failed("unexpected reply")),
        }
        // After the last piece the worker has to end.
        let next = self.patience.get(self.done).or(self.patience.last());
        self.until = Instant::now() + next.copied().unwrap_or_default();
        Ok(())
    }
}
