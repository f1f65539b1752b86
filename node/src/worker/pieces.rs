//! Recovery from a worker's death: the death costs only the privacy unit at fault, not the job.
//!
//! What the worker was working on is run again in parts, until that unit is alone.
//!
//! # Definition of the result
//! The result is the sum of the units' contributions. A unit on which a fresh worker dies or errs, when it has that unit's rows
//! and nothing else, contributes the fallback value: nothing for a query, the default vector for a program or a model. Over
//! blocks the same holds block by block. Which of the two a unit contributes follows from its own rows: a worker that has them
//! alone has no other rows to fail on, and any other unit that fails moves only the cuts between pieces, on which sums of
//! integers do not depend. So one unit moves the sums as far as it always did, however many fail.
//!
//! # A worker that stalls
//! Admitted work takes at most a part of the job's time budget, the slot (`Policy::work_ms`), so a run that is not done by then
//! is longer than it can be, and the search begins beside it. Whichever is done first gives the result: both are the same except
//! for units that take longer than a piece may. A piece may take the sum of a fixed share of the slot and of a share by its rows
//! (`search.rs`); a unit that takes longer alone is at fault.
//!
//! Two effects remain, and neither is in the sums. *How many* units fail costs time, which a slot has only so much of: the number
//! of failures from which on everybody has the fallback value is subject to a noised comparison (`tidegate_gate::Tolerance`), and
//! the search ends there. And *time itself*: if neither the run nor the search is done by the slot's deadline, everybody has the
//! fallback value, and this is counted (`meter.rs`).
//!
//! # Method
//! A worker without a job reports where units begin and that they are in order: otherwise a unit could be in two pieces and count
//! twice. Pieces are run in order, many by one worker in the same sandbox, with twice the memory (why: `Tolerance`'s assumption).
//! The worker plans the job once: planning may take a sixteenth of the slot, so a worker for each piece would leave no time for
//! rows. The piece on which a worker breaks is cut into parts for the next worker; a piece that cannot be cut is tried again by a
//! fresh worker before anything else, which shows whether the piece is at fault. For a program over blocks, the rows are first
//! read and nothing else, so that units whose rows cannot even be read are found and skipped. Sums of pieces are added up here if
//! public numbers say how many there are (declared keys, programs); groups of other queries, of which there may be as many as
//! rows, are written to one file and added up by a last worker. What a dead worker wrote lies beyond the end that the node knows,
//! and the next worker overwrites it.

use std::{
    fs::File,
    time::{Duration, SystemTime},
};

use tidegate_gate::{GroupSums, Tolerance};
use tidegate_protocol::{
    Job,
    job::{Program, Split},
    policy::Policy,
};
use tokio::sync::{Notify, mpsc::Sender};

use crate::worker::{
    Part, Work, WorkerFailed,
    call::Given,
    coming::{Coming, Found, Over, Taker},
    failed,
    pool::Workers,
    search::{Search, again},
};

/// Milliseconds of the time budget for each unit at fault to be searched for, which takes some five workers.
const SEARCH_MS: u64 = 250;
/// Maximum number of units at fault to be searched for, however long the time budget.
const MOST: u64 = 62;

/// Builds the tolerance for units at fault from public numbers: job and policy alone.
pub fn tolerance(job: &Job, policy: &Policy) -> Tolerance {
    let most = (policy.limits.slot_ms / SEARCH_MS).clamp(2, MOST) as u32;
    let moves = match &job.program {
        Program::Wasm { split: Split::Blocks(blocks), .. } | Program::Onnx { split: Split::Blocks(blocks), .. } => {
            blocks.resample
        }
        _ => 1,
    };
    Tolerance::of(most, moves)
}

impl Workers {
    /// Runs an admitted job and, if a worker breaks or is slower than possible, runs the job again in pieces.
    ///
    /// The sums go to `each`. Returns how many units or blocks have the fallback value because a worker broke on them.
    ///
    /// # Errors
    /// Returns [`WorkerFailed`] if a worker could not be started or was late, too many units were at fault, or nobody took the
    /// sums. The buyer must not see which.
    pub async fn run(&self, work: &Work, over: &Over<'_>, each: Sender<Coming>) -> Result<u32, WorkerFailed> {
        let given = Given::all(over.files, over.scratch, over.least_units);
        let mut taker = Taker::Groups(each.clone());
        let mut whole = Box::pin(self.run_as(work, &given, over.deadline, &mut taker));
        let broke = Notify::new();
        let search = async {
            let left = Duration::from_millis(work.policy.limits.slot_ms - work.policy.work_ms());
            let late = (over.deadline - left).duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = broke.notified() => {}
                () = tokio::time::sleep(late) => {
                    tracing::warn!("a worker exceeds the time of any admitted job: running the job in pieces beside it");
                }
            }
            Search::new(self, work, over)?.all().await
        };
        let mut search = std::pin::pin!(search);
        let found = tokio::select! {
            biased;
            ran = &mut whole => match ran {
                // If the sums are not taken, it was not the worker that broke.
                Err(WorkerFailed::Broken(why)) if !each.is_closed() => {
                    tracing::warn!("a worker crashed, running its part again in pieces: {why}");
                    broke.notify_one();
                    search.await?
                }
                ran => return ran.map(|_| 0),
            },
            found = &mut search => match found {
                Ok(found) => found,
                Err(e) => {
                    tracing::warn!("the job fails in pieces too: {e}");
                    return whole.await.map(|_| 0);
                }
            },
        };
        // The whole run may still be busy; nobody waits for its answer.
        drop(whole);
        self.hand_on(work, over, found, each).await
    }
}

impl Workers {
    /// Hands on the sums of all pieces together.
    async fn hand_on(
        &self,
        work: &Work,
        over: &Over<'_>,
        (found, spill): (Found, Option<File>),
        each: Sender<Coming>,
    ) -> Result<u32, WorkerFailed> {
        let gone = |_| failed("its sums are not received");
        let Found { sums, written, end, fault } = found;
        again(|| async {
            each.send(Coming::Anew).await.map_err(gone)?;
            let Some(file) = spill.as_ref().filter(|_| end > 0) else { return Ok(()) };
            let part = Part::AddUp(written.clone());
            let given = Given { part, spill: Some((file, end)), ..Given::all(over.files, over.scratch, over.least_units) };
            self.run_as(work, &given, over.deadline, &mut Taker::Groups(each.clone())).await.map(drop)
        })
        .await?;
        let groups: Vec<GroupSums> = sums.into_values().collect();
        if !groups.is_empty() {
            each.send(Coming::Groups(groups)).await.map_err(gone)?;
        }
        Ok(fault)
    }
}
