//! A worker that dies costs the unit at fault, not the job: what it was on is run again in halves, until that unit is alone.
//!
//! # What a result is then
//! The sum of what each unit comes to, and of the default for each that a fresh worker dies of, or errs on, when it has that unit's rows and nothing else: nothing for a query, the default
//! vector for a program or a model. Over blocks the same, block by block. Which one a unit is follows from its own rows: a worker that has them alone has no others' to trip over, and
//! whoever else fails moves only the cuts between pieces, which sums of integers do not depend on. So one unit moves the sums as far as it always did, however many fail.
//!
//! Two things remain, and neither is the sums. *How many* fail costs time, of which a slot has so much: from how many on everybody has the default is a noised comparison
//! (`tidegate_gate::Tolerance`), and the search ends there. And *time itself*: a search that is not done at the slot's end, as a run that is not, gives everybody the default, and is counted
//! (`meter.rs`). That a unit's rows can take so long is for admission to exclude.
//!
//! # How
//! A worker without a job says where units begin, and that they are in order: were they not, a unit could be in two pieces and count twice. Pieces are run one after the other, the first half
//! first, each by a fresh worker behind the same walls, with twice the memory (why: `Tolerance`'s assumption). Sums of pieces are added up here where public numbers say how many there are
//! (declared keys, programs); groups of other queries are written to one file, which a last worker adds up: there may be as many as rows. A worker that dies leaves what it wrote
//! beyond the end that the node knows, and the next writes over it.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tidegate_gate::{GroupSums, Plan, Tolerance};
use tidegate_protocol::{
    Job,
    job::{Output, Program, Split},
    policy::Policy,
};
use tidegate_sandbox::{Piece, sql::Written, units::Cuts};
use tokio::sync::mpsc::{Sender, channel};

use super::{
    Answer, Order, Part, Work, WorkerFailed,
    call::{Given, write_schema},
    failed, not_started,
    pool::Workers,
    span::Span,
};

/// How many cuts are asked for at a time: each asking reads the unit's column of all that is left.
const CUTS: usize = 4096;

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

/// Milliseconds of the slot for each unit at fault that is looked for: it takes a worker for each halving.
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

/// What pieces came to so far.
#[derive(Default)]
struct Found {
    /// By their keys' JSON: a key has no order and no hash.
    sums: HashMap<String, GroupSums>,
    written: Vec<Written>,
    /// Bytes of the file for groups.
    end: u64,
    /// Units or blocks at fault.
    fault: u32,
}

impl Found {
    fn add(&mut self, groups: Vec<GroupSums>) {
        for group in groups {
            let key = serde_json::to_string(&group.key).unwrap_or_default();
            match self.sums.entry(key) {
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(group);
                }
                std::collections::hash_map::Entry::Occupied(mut place) => merge(place.get_mut(), &group),
            }
        }
    }
}

fn merge(all: &mut GroupSums, other: &GroupSums) {
    all.units += other.units;
    all.lanes.iter_mut().zip(&other.lanes).for_each(|(all, one)| *all += one);
    all.kinds.merge(&other.kinds);
}

impl Workers {
    /// Runs an admitted job; where a worker breaks, again in pieces. Its sums go to `each`. How many units or blocks have the default because a worker broke of them.
    ///
    /// # Errors
    /// [`WorkerFailed`]: a worker could not be started, or was late, or too many units were at fault, or nobody took the sums. The buyer must not see which.
    pub async fn run(&self, work: &Work, over: &Over<'_>, each: Sender<Coming>) -> Result<u32, WorkerFailed> {
        let given = Given::all(over.files, over.scratch, over.least_units);
        let why = match self.run_as(work, &given, over.deadline, each.clone()).await {
            Ok(Answer::Done(_)) => return Ok(0),
            Ok(_) => failed("it gave another answer"),
            Err(e) => e,
        };
        // Where the sums are not taken, it is not the worker that broke.
        if !matches!(why, WorkerFailed::Broken(_)) || each.is_closed() {
            return Err(why);
        }
        tracing::warn!("a worker broke, and what it was on is run again in pieces: {why}");
        let found = Search { workers: self, work, over, spill: spill(work, over)? }.all(why).await?;
        self.hand_on(work, over, found, each).await
    }
}

/// A file for groups whose keys were not declared, without a name.
fn spill(work: &Work, over: &Over<'_>) -> Result<Option<File>, WorkerFailed> {
    match &work.job.program {
        Program::Sql { .. } => tempfile::tempfile_in(over.scratch).map(Some).map_err(not_started),
        _ => Ok(None),
    }
}

struct Search<'a> {
    workers: &'a Workers,
    work: &'a Work,
    over: &'a Over<'a>,
    spill: Option<File>,
}

impl Search<'_> {
    /// Runs all but what is at fault. The whole broke already, of `why`.
    async fn all(self, why: WorkerFailed) -> Result<(Found, Option<File>), WorkerFailed> {
        let (mut found, mut todo) = (Found::default(), Vec::new());
        let whole = match self.blocks() {
            Some(blocks) => Span::Blocks(0, blocks),
            None => Span::Rows(self.cuts(None).await?),
        };
        self.cut(whole, why, &mut found, &mut todo).await?;
        while let Some(span) = todo.pop() {
            match self.run(span.piece(), &mut found).await {
                Ok(()) => {}
                Err(why @ WorkerFailed::Broken(_)) => self.cut(span, why, &mut found, &mut todo).await?,
                Err(other) => return Err(other),
            }
        }
        Ok((found, self.spill))
    }

    /// Number of blocks, where the program is called for blocks.
    fn blocks(&self) -> Option<u32> {
        match &self.work.job.program {
            Program::Wasm { split, .. } | Program::Onnx { split, .. } => split.blocks().map(|blocks| blocks.number),
            Program::Sql { .. } => None,
        }
    }

    /// Puts the halves of a span that broke among those to be run; or what is left of it, which is at fault, has its default.
    async fn cut(&self, mut span: Span, why: WorkerFailed, found: &mut Found, todo: &mut Vec<Span>) -> Result<(), WorkerFailed> {
        if span.is_open() {
            span = Span::Rows(self.cuts(Some(span.piece())).await?);
        }
        if let Some([first, second]) = span.halves() {
            todo.extend([second, first]);
            return Ok(());
        }
        found.fault += 1;
        if found.fault >= self.over.limit {
            return Err(failed(format!("{} or more broke it alone, the last of: {why}", found.fault)));
        }
        if let Some(defaults) = defaults(&self.work.job.program) {
            let mut group = self.over.plan.group(vec![]);
            self.over.plan.close_vector(&mut group, &defaults, &defaults).map_err(failed)?;
            found.add(vec![group]);
        }
        Ok(())
    }

    /// Runs a piece and adds what it comes to, where it comes to an end.
    async fn run(&self, piece: Piece, found: &mut Found) -> Result<(), WorkerFailed> {
        let Over { files, scratch, least_units, deadline, .. } = *self.over;
        let spill = self.spill.as_ref().map(|file| (file, found.end));
        let given = Given { part: Part::Piece(piece), spill, ..Given::all(files, scratch, least_units) };
        let (each, mut coming) = channel(4);
        let take = async {
            let mut groups = Vec::new();
            while let Some(Coming::Groups(some)) = coming.recv().await {
                groups.extend(some);
            }
            groups
        };
        let (ran, groups) = tokio::join!(self.workers.run_as(self.work, &given, deadline, each), take);
        let Answer::Piece(written, end) = ran? else { return Err(failed("it gave another answer")) };
        found.written.push(written);
        found.end = end.max(found.end);
        found.add(groups);
        Ok(())
    }

    /// Where the rows of a piece, or all, can be cut.
    async fn cuts(&self, piece: Option<Piece>) -> Result<Cuts, WorkerFailed> {
        let Over { files, scratch, deadline, .. } = *self.over;
        let order = Order::Cuts {
            schema: write_schema(&self.work.schema)?,
            unit: self.work.policy.unit.column.clone(),
            files: files.len() as u32,
            piece,
            most: CUTS,
        };
        let time = deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        match self.workers.call(&order, Some(&Given::all(files, scratch, 0)), None, time, None).await? {
            Answer::Cuts(cuts) => Ok(cuts),
            Answer::Failed(why) => Err(WorkerFailed::Broken(why)),
            _ => Err(failed("it gave another answer")),
        }
    }
}

/// What stands in for a unit or block of a program; nothing for a query.
fn defaults(program: &Program) -> Option<Vec<f64>> {
    match program {
        Program::Sql { .. } => None,
        Program::Wasm { outputs, .. } | Program::Onnx { outputs, .. } => Some(Output::defaults(outputs)),
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
        each.send(Coming::Anew).await.map_err(gone)?;
        if let Some(file) = spill.as_ref().filter(|_| found.end > 0) {
            let given = Given {
                part: Part::AddUp(found.written),
                spill: Some((file, found.end)),
                ..Given::all(over.files, over.scratch, over.least_units)
            };
            self.run_as(work, &given, over.deadline, each.clone()).await?;
        }
        let groups: Vec<GroupSums> = found.sums.into_values().collect();
        if !groups.is_empty() {
            each.send(Coming::Groups(groups)).await.map_err(gone)?;
        }
        Ok(found.fault)
    }
}
