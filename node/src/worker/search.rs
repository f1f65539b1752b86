//! Search for the units or blocks on which a worker breaks or stalls: further workers run the job in pieces.

use std::{
    fs::File,
    ops::Range,
    time::{Duration, SystemTime},
};

use tidegate_protocol::job::{Output, Program};
use tidegate_sandbox::{Piece, units::Cuts};

use crate::worker::{
    Answer, Order, Part, Work, WorkerFailed,
    call::{Given, planning, write_schema},
    coming::{Found, Over, Steps, Taker},
    failed, not_started,
    pool::Workers,
    span::Span,
};

/// Number of cuts asked for at a time; each request reads the unit column of all rows left.
const CUTS: usize = 4096;

/// Maximum number of pieces given to a worker: each worker plans the job anew, taking up to a sixteenth of the time budget.
const TOGETHER: usize = 64;
/// Number of times an unfinished piece is halved before its parts are tried.
///
/// A million units take four workers that break, and a fifth.
const HALVINGS: u32 = 5;

/// Fraction (1/`EACH`) of the time budget allowed to any piece, however few its rows.
const EACH: u32 = 48;
/// Fraction (1/`ALL`) of the time budget allowed on top to a piece with all rows, and to others by their share of the rows.
///
/// A unit with nearly all rows stalls two such pieces, and both must fit into the part of the time budget that is left for the
/// search ([`Policy::work_ms`](tidegate_protocol::policy::Policy::work_ms)).
const ALL: u32 = 7;
// Three eighths are left.
const _: () = assert!(2 * 8 * (ALL + EACH) <= 3 * ALL * EACH);
/// Minimum time given to a piece: a worker must start.
const LEAST: Duration = Duration::from_secs(1);

/// Number of tries for workers doing nothing of a buyer's.
const TRIES: u32 = 3;

/// Work to do on a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Running the whole job.
    Running,
    /// Reading the piece's rows, for a program called for blocks.
    Reading,
}

/// Progress of a worker with its pieces.
struct Ran {
    /// Whether the worker had planned the job.
    planned: bool,
    /// Number of pieces done.
    done: usize,
    /// Reason for stopping before the end.
    fault: Option<String>,
}

/// A search in progress.
pub(super) struct Search<'a> {
    workers: &'a Workers,
    work: &'a Work,
    over: &'a Over<'a>,
    spill: Option<File>,
    found: Found,
    /// Unreadable rows, of units at fault.
    without: Vec<Range<u64>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(workers: &'a Workers, work: &'a Work, over: &'a Over<'a>) -> Result<Self, WorkerFailed> {
        // An unnamed file for groups whose keys were not declared.
        let spill = match &work.job.program {
            Program::Sql { .. } => Some(tempfile::tempfile_in(over.scratch).map_err(not_started)?),
            _ => None,
        };
        Ok(Self { workers, work, over, spill, found: Found::default(), without: vec![] })
    }

    /// Runs all pieces except for the units or blocks at fault.
    ///
    /// The whole was tried before: it broke, or takes too long.
    pub(super) async fn all(mut self) -> Result<(Found, Option<File>), WorkerFailed> {
        let rows = Span::Rows(self.cuts(None).await?);
        let all = rows.size();
        match self.blocks() {
            None => {
                let parts = self.cut(rows).await?;
                self.run(parts, Doing::Running, all).await?;
            }
            Some(blocks) => {
                self.run(vec![rows], Doing::Reading, all).await?;
                // In order of the rows.
                self.without.sort_by_key(|rows| rows.start);
                self.run(vec![Span::Blocks(0, blocks)], Doing::Running, u64::from(blocks)).await?;
            }
        }
        Ok((self.found, self.spill))
    }

    /// Returns the number of blocks if the program is called for blocks.
    fn blocks(&self) -> Option<u32> {
        match &self.work.job.program {
            Program::Wasm { split, .. } | Program::Onnx { split, .. } => split.blocks().map(|blocks| blocks.number),
            Program::Sql { .. } => None,
        }
    }

    /// Runs or reads pieces, the last first, then parts of unfinished pieces, until each unit or block at fault is alone.
    ///
    /// `all` is the total size of the pieces.
    ///
    /// A worker gets up to [`TOGETHER`] pieces and plans once. The piece on which it breaks is cut into parts, and the pieces
    /// after that wait for the next worker. A piece that cannot be cut is at fault if a fresh worker breaks on it before doing
    /// anything else.
    async fn run(&mut self, mut todo: Vec<Span>, doing: Doing, all: u64) -> Result<(), WorkerFailed> {
        let mut unplanned = 0;
        while !todo.is_empty() {
            let mut batch = todo.split_off(todo.len().saturating_sub(TOGETHER));
            batch.reverse();
            let ran = self.attempt(&batch, doing, all).await?;
            let Some(why) = ran.fault else { continue };
            let mut left = batch.into_iter().skip(ran.done);
            if !ran.planned {
                // No row was read: the worker broke by chance, or the machine is very busy.
                unplanned += 1;
                if unplanned >= TRIES {
                    return Err(failed(why));
                }
                todo.extend(left.rev());
                continue;
            }
            unplanned = 0;
            let Some(broke) = left.next() else { continue };
            todo.extend(left.rev());
            let piece = broke.piece();
            let parts = self.cut(broke).await?;
            if parts.len() == 1 && ran.done == 0 {
                self.at_fault(piece, doing, &why)?;
            } else {
                todo.extend(parts);
            }
        }
        Ok(())
    }

    /// Cuts an unfinished span into parts, the first last; a span of a single unit or block stays whole.
    async fn cut(&self, mut span: Span) -> Result<Vec<Span>, WorkerFailed> {
        if span.is_open() {
            span = Span::Rows(self.cuts(Some(span.piece())).await?);
        }
        let mut parts = span.parts(HALVINGS);
        parts.reverse();
        Ok(parts)
    }

    /// Puts the fallback value in the place of a unit or block at fault.
    fn at_fault(&mut self, piece: Piece, doing: Doing, why: &str) -> Result<(), WorkerFailed> {
        self.found.fault += 1;
        if self.found.fault >= self.over.limit {
            return Err(failed(format!("{} or more crash it alone, the last with: {why}", self.found.fault)));
        }
        match (doing, piece) {
            // The unit is left out of all blocks.
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

    /// Has a single worker try pieces, and adds up the sums of each piece done in time.
    async fn attempt(&mut self, batch: &[Span], doing: Doing, all: u64) -> Result<Ran, WorkerFailed> {
        let Over { files, scratch, least_units, deadline, .. } = *self.over;
        let slot = Duration::from_millis(self.work.policy.limits.slot_ms);
        let pieces = batch.iter().map(Span::piece).collect();
        let part = match doing {
            Doing::Running => Part::Pieces(pieces),
            Doing::Reading => Part::Rows(pieces),
        };
        let spill = self.spill.as_ref().map(|file| (file, self.found.end));
        let given = Given { part, spill, without: &self.without, ..Given::all(files, scratch, least_units) };
        let each = batch.iter().map(|span| patience(slot, span.size(), all)).collect();
        let mut steps = Steps::new(&mut self.found, planning(self.work) + LEAST, each);
        let ran = self.workers.run_as(self.work, &given, deadline, &mut Taker::Pieces(&mut steps)).await;
        let (planned, done) = (steps.planned, steps.done);
        let fault = match ran {
            Ok(_) if done == batch.len() => None,
            Ok(_) => return Err(failed("unexpected reply")),
            Err(WorkerFailed::Broken(why)) => Some(why),
            Err(WorkerFailed::Late) if SystemTime::now() < deadline => Some("it stalls".into()),
            Err(other) => return Err(other),
        };
        Ok(Ran { planned, done, fault })
    }

    /// Returns where the rows of a piece, or all rows, can be cut.
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
            match self.workers.call(&order, Some(&Given::all(files, scratch, 0)), None, time, &mut Taker::Nobody).await? {
                Answer::Cuts(cuts) => Ok(cuts),
                Answer::Failed(why) => Err(WorkerFailed::Broken(why)),
                _ => Err(failed("unexpected reply")),
            }
        };
        again(ask).await
    }
}

/// Tries work [`TRIES`] times if a worker breaks.
///
/// For workers doing nothing of a buyer's: these break by chance, for example when the system is out of memory.
pub(super) async fn again<T, F>(one: impl Fn() -> F) -> Result<T, WorkerFailed>
where
    F: Future<Output = Result<T, WorkerFailed>>,
{
    for _ in 1..TRIES {
        match one().await {
            Err(WorkerFailed::Broken(why)) => tracing::warn!("a worker crashed, trying another: {why}"),
            done => return done,
        }
    }
    one().await
}

/// Returns how long a piece of `size` out of `all` may take in a slot, from public numbers alone.
fn patience(slot: Duration, size: u64, all: u64) -> Duration {
    let share = size as f64 / all.max(1) as f64;
    LEAST.max(slot / EACH + (slot / ALL).mul_f64(share.clamp(0.0, 1.0)))
}

/// Returns the fallback values for a unit or block of a program; `None` for a query.
fn defaults(program: &Program) -> Option<Vec<f64>> {
    match program {
        Program::Sql { .. } => None,
        Program::Wasm { outputs, .. } | Program::Onnx { outputs, .. } => Some(Output::defaults(outputs)),
    }
}
