//! A worker that dies costs the unit at fault, not the job: what it was on is run again in parts, until that unit is alone.
//!
//! # What a result is then
//! The sum of what each unit comes to, and of the default for each that a fresh worker dies of, or errs on, when it has that unit's rows and nothing else: nothing for a query, the default
//! vector for a program or a model. Over blocks the same, block by block. Which one a unit is follows from its own rows: a worker that has them alone has no others' to trip over, and
//! whoever else fails moves only the cuts between pieces, which sums of integers do not depend on. So one unit moves the sums as far as it always did, however many fail.
//!
//! # A worker that stalls
//! What admission lets through takes a part of the slot at most (`Policy::work_ms`), so a run that is not done by then is longer than it can be, and the search begins beside it.
//! Whichever is done first gives the result: both are the same but for units that take longer than a piece may. A piece may take the sum of a fixed share of the slot and of one by its
//! rows (`search.rs`); a unit that takes longer alone is at fault.
//!
//! Two things remain, and neither is the sums. *How many* fail costs time, of which a slot has so much: from how many on everybody has the default is a noised comparison
//! (`tidegate_gate::Tolerance`), and the search ends there. And *time itself*: where neither the run nor the search is done at the slot's end, everybody has the default, and that is counted
//! (`meter.rs`).
//!
//! # How
//! A worker without a job says where units begin, and that they are in order: were they not, a unit could be in two pieces and count twice. Pieces are run one after the other, the first
//! first, many by one worker behind the same walls, with twice the memory (why: `Tolerance`'s assumption). It plans the job once: planning may take a sixteenth of the slot, so a worker for
//! each piece would leave no time for rows. The piece that a worker breaks on is cut in parts for the next worker; a piece that cannot be cut is tried again by a fresh worker before anything
//! else, which says whether it is at fault. Of a program over blocks the rows are read first, and nothing else: units whose
//! rows cannot even be read are found, and passed over. Sums of pieces are added up here where public numbers say how many there are
//! (declared keys, programs); groups of other queries are written to one file, which a last worker adds up: there may be as many as rows. A worker that dies leaves what it wrote
//! beyond the end that the node knows, and the next writes over it.

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

use super::{
    Part, Work, WorkerFailed,
    call::Given,
    coming::{Coming, Found, Over, Taker},
    failed,
    pool::Workers,
    search::{Search, again},
};

/// Milliseconds of the slot for each unit at fault that is looked for: it takes some five workers.
const SEARCH_MS: u64 = 250;
/// No more are looked for, however long the slot.
const MOST: u64 = 62;

/// When too many units are at fault, in public numbers: job and policy alone.
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
    /// Runs an admitted job; where a worker breaks or is slower than it can be, again in pieces. Its sums go to `each`. How many units or blocks have the default because a
    /// worker broke of them.
    ///
    /// # Errors
    /// [`WorkerFailed`]: a worker could not be started, or was late, or too many units were at fault, or nobody took the sums. The buyer must not see which.
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
                    tracing::warn!("a worker takes longer than what is admitted can: beside it, the job is run in pieces");
                }
            }
            Search::new(self, work, over)?.all().await
        };
        let mut search = std::pin::pin!(search);
        let found = tokio::select! {
            biased;
            ran = &mut whole => match ran {
                // Where the sums are not taken, it is not the worker that broke.
                Err(WorkerFailed::Broken(why)) if !each.is_closed() => {
                    tracing::warn!("a worker broke, and what it was on is run again in pieces: {why}");
                    broke.notify_one();
                    search.await?
                }
                ran => return ran.map(|_| 0),
            },
            found = &mut search => match found {
                Ok(found) => found,
                Err(e) => {
                    tracing::warn!("in pieces it does not end either: {e}");
                    return whole.await.map(|_| 0);
                }
            },
        };
        // It may be busy still, and nobody waits for what it says.
        drop(whole);
        self.hand_on(work, over, found, each).await
    }
}

impl Workers {
    /// Hands on what pieces came to together.
    async fn hand_on(
        &self,
        work: &Work,
        over: &Over<'_>,
        (found, spill): (Found, Option<File>),
        each: Sender<Coming>,
    ) -> Result<u32, WorkerFailed> {
        let gone = |_| failed("its sums are not taken");
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
