//! The search for what breaks or stalls a worker: pieces of a job, each run by a worker of its own.

use std::{
    fs::File,
    ops::Range,
    time::{Duration, SystemTime},
};

use tidegate_gate::GroupSums;
use tidegate_protocol::job::{Output, Program};
use tidegate_sandbox::{Piece, units::Cuts};
use tokio::sync::mpsc::channel;

use super::{
    Answer, Order, Part, Work, WorkerFailed,
    call::{Given, write_schema},
    coming::{Coming, Found, Over},
    failed, not_started,
    pool::Workers,
    span::Span,
};

/// How many cuts are asked for at a time: each asking reads the unit's column of all that is left.
const CUTS: usize = 4096;

/// Part of the slot that any piece may take, however few rows it has.
const EACH: u32 = 48;
/// Part of the slot that a piece with all rows may take beside it, and others by their share of these.
const ALL: u32 = 4;
/// No piece is given less: a worker must start.
const LEAST: Duration = Duration::from_secs(1);

/// How often a worker is tried that does nothing of a buyer's.
const TRIES: u32 = 3;

/// What is done with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// All of the job.
    Running,
    /// Reading its rows, for a program that is called for blocks.
    Reading,
}

/// Why a piece was not done.
struct Fault {
    why: String,
    /// It took too long. Whatever is tried of it takes long too: there are few tries in a slot.
    stalled: bool,
}

/// A search in hand.
pub(super) struct Search<'a> {
    workers: &'a Workers,
    work: &'a Work,
    over: &'a Over<'a>,
    spill: Option<File>,
    found: Found,
    /// Rows that cannot be read: of units at fault.
    without: Vec<Range<u64>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(workers: &'a Workers, work: &'a Work, over: &'a Over<'a>) -> Result<Self, WorkerFailed> {
        // A file for groups whose keys were not declared, without a name.
        let spill = match &work.job.program {
            Program::Sql { .. } => Some(tempfile::tempfile_in(over.scratch).map_err(not_started)?),
            _ => None,
        };
        Ok(Self { workers, work, over, spill, found: Found::default(), without: vec![] })
    }

    /// Runs all but what is at fault. The whole was tried: it broke, or takes too long.
    pub(super) async fn all(mut self) -> Result<(Found, Option<File>), WorkerFailed> {
        let rows = Span::Rows(self.cuts(None).await?);
        let all = rows.size();
        match self.blocks() {
            None => {
                let halves = self.cut(rows, &Fault { why: "the whole".into(), stalled: false }).await?;
                self.run(halves, Doing::Running, all).await?;
            }
            Some(blocks) => {
                self.run(vec![rows], Doing::Reading, all).await?;
                // One after the other, as rows are.
                self.without.sort_by_key(|rows| rows.start);
                self.run(vec![Span::Blocks(0, blocks)], Doing::Running, u64::from(blocks)).await?;
            }
        }
        Ok((self.found, self.spill))
    }

    /// Number of blocks, where the program is called for blocks.
    fn blocks(&self) -> Option<u32> {
        match &self.work.job.program {
            Program::Wasm { split, .. } | Program::Onnx { split, .. } => split.blocks().map(|blocks| blocks.number),
            Program::Sql { .. } => None,
        }
    }

    /// Runs or reads pieces, the last first, and then pieces of those that were not done, until what is at fault is alone. `all` is the size of all of them.
    async fn run(&mut self, mut todo: Vec<Span>, doing: Doing, all: u64) -> Result<(), WorkerFailed> {
        while let Some(span) = todo.pop() {
            let Some(fault) = self.attempt(&span, doing, all).await? else { continue };
            let piece = span.piece();
            let parts = self.cut(span, &fault).await?;
            if parts.is_empty() {
                self.at_fault(piece, doing, &fault)?;
            }
            todo.extend(parts);
        }
        Ok(())
    }

    /// Cuts what was not done in two, or in more where each try takes long; the first last. Nothing of what has one unit or block.
    async fn cut(&self, mut span: Span, fault: &Fault) -> Result<Vec<Span>, WorkerFailed> {
        if span.is_open() {
            span = Span::Rows(self.cuts(Some(span.piece())).await?);
        }
        let Some([first, second]) = span.halves() else { return Ok(vec![]) };
        let finer = |span: Span| match span.halves() {
            Some([first, second]) if fault.stalled => vec![second, first],
            _ => vec![span],
        };
        Ok([finer(second), finer(first)].into_iter().flatten().collect())
    }

    /// Puts the default in the place of a unit or block.
    fn at_fault(&mut self, piece: Piece, doing: Doing, fault: &Fault) -> Result<(), WorkerFailed> {
        self.found.fault += 1;
        if self.found.fault >= self.over.limit {
            return Err(failed(format!("{} or more broke it alone, the last of: {}", self.found.fault, fault.why)));
        }
        match (doing, piece) {
            // A unit that is not in any block.
            (Doing::Reading, Piece::Rows { from, to }) => self.without.push(from..to),
            _ => {
                if let Some(defaults) = defaults(&self.work.job.program) {
                    let mut group = self.over.plan.group(vec![]);
                    self.over.plan.close_vector(&mut group, &defaults, &defaults).map_err(failed)?;
                    self.found.add(vec![group]);
                }
            }
        }
        Ok(())
    }

    /// Tries one piece, and adds what it comes to where it ends in time; else says why not.
    async fn attempt(&mut self, span: &Span, doing: Doing, all: u64) -> Result<Option<Fault>, WorkerFailed> {
        let until = SystemTime::now() + patience(Duration::from_millis(self.work.policy.limits.slot_ms), span.size(), all);
        let (deadline, broke) = (self.over.deadline, |why, stalled| Ok(Some(Fault { why, stalled })));
        match self.once(span.piece(), doing, until.min(deadline)).await {
            Ok(()) => Ok(None),
            Err(WorkerFailed::Broken(why)) => broke(why, false),
            Err(WorkerFailed::Late) if SystemTime::now() < deadline => broke("it stalls".into(), true),
            Err(other) => Err(other),
        }
    }

    async fn once(&mut self, piece: Piece, doing: Doing, deadline: SystemTime) -> Result<(), WorkerFailed> {
        let Over { files, scratch, least_units, .. } = *self.over;
        let spill = self.spill.as_ref().map(|file| (file, self.found.end));
        let part = match doing {
            Doing::Running => Part::Piece(piece),
            Doing::Reading => Part::Rows(piece),
        };
        let given = Given { part, spill, without: &self.without, ..Given::all(files, scratch, least_units) };
        let (each, mut coming) = channel(4);
        let take = async {
            let mut groups: Vec<GroupSums> = Vec::new();
            while let Some(Coming::Groups(some)) = coming.recv().await {
                groups.extend(some);
            }
            groups
        };
        let (ran, groups) = tokio::join!(self.workers.run_as(self.work, &given, deadline, each), take);
        let Answer::Piece(written, end) = ran? else { return Err(failed("it gave another answer")) };
        self.found.written.push(written);
        self.found.end = end.max(self.found.end);
        self.found.add(groups);
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
        let ask = || async {
            let time = deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            match self.workers.call(&order, Some(&Given::all(files, scratch, 0)), None, time, None).await? {
                Answer::Cuts(cuts) => Ok(cuts),
                Answer::Failed(why) => Err(WorkerFailed::Broken(why)),
                _ => Err(failed("it gave another answer")),
            }
        };
        again(ask).await
    }
}

/// Tries a piece of work [`TRIES`] times: a worker that does nothing of a buyer's broke by chance, as by the system's want of memory.
pub(super) async fn again<T, F>(one: impl Fn() -> F) -> Result<T, WorkerFailed>
where
    F: Future<Output = Result<T, WorkerFailed>>,
{
    for _ in 1..TRIES {
        match one().await {
            Err(WorkerFailed::Broken(why)) => tracing::warn!("a worker broke, and another is tried: {why}"),
            done => return done,
        }
    }
    one().await
}

/// How long a piece of `size` may take, of `all` of one size, in a slot: public numbers alone.
fn patience(slot: Duration, size: u64, all: u64) -> Duration {
    let share = size as f64 / all.max(1) as f64;
    LEAST.max(slot / EACH + (slot / ALL).mul_f64(share.clamp(0.0, 1.0)))
}

/// What stands in for a unit or block of a program; nothing for a query.
fn defaults(program: &Program) -> Option<Vec<f64>> {
    match program {
        Program::Sql { .. } => None,
        Program::Wasm { outputs, .. } | Program::Onnx { outputs, .. } => Some(Output::defaults(outputs)),
    }
}
