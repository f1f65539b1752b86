//! Admission of a model: its rows and the use of its numbers, checked against job and policy.

use tidegate_protocol::{
    Refusal, Shorten as _,
    device::Place,
    job::{Output, Program, Reducer, RowReduce, Split},
    limits,
    policy::Policy,
};

use super::{
    graph::{Graph, Intermediates, Out, most_rows, refuse},
    source::Source,
};
use crate::sql::Select;

/// Limits on batches of rows run together.
#[derive(Debug, Clone, Copy)]
struct Batch {
    /// Target number of operations in a batch; with fewer, starting a run costs more than computing.
    work: u128,
    /// Maximum number of rows.
    rows: u32,
    /// Maximum bytes computed by a batch.
    bytes: u128,
}

impl Batch {
    const CPU: Self = Self { work: 1 << 24, rows: 1024, bytes: 64 << 20 };
    const GPU: Self = Self { work: 1 << 36, rows: 1 << 14, bytes: 1 << 30 };
}

/// Number of runs for which a GPU's memory has room: the runs under way, and as much again for the runtime's reserve.
const GPU_RUNS: u64 = 4;
/// Maximum bytes of a run's inputs.
const RUN_BYTES: u64 = 16 << 20;
/// Maximum count of numbers kept for a unit or block.
const KEPT: u64 = 4 << 20;

/// Number of runs in a round of [`Spec::keeps_rows_apart`].
pub(super) const ROUND: u32 = 9;
/// Maximum number of these runs.
const TRIALS: u32 = 7 * ROUND;
/// Part (1/`TRIALS_SHARE`) of the time budget for these runs, at the owner's rate.
const TRIALS_SHARE: u64 = 32;
/// Maximum bytes of rows written for these runs.
const TRIALS_BYTES: u128 = 256 << 20;

/// Division of rows into runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// Rows are proven not to meet: this many at a time, from any units.
    Batches(u32),
    /// A run for each unit or block, of at most this many rows.
    Apart(u32),
}

/// Numbers of a row taken by an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Numbers from an index on: the index and the count.
    Numbers(usize, usize),
    /// Number at an index, and the label.
    Labelled(usize),
    /// Label, and index of the largest number; a single number is itself taken as the class.
    Class,
}

/// Admitted model.
#[derive(Debug)]
pub struct Model {
    bytes: Vec<u8>,
    pub(super) select: Select,
    pub(super) source: Source,
    pub(super) label: Option<String>,
    pub(super) spec: Spec,
    pub(super) reduce: RowReduce,
    pub(super) split: Split,
    pub(super) takes: Vec<Takes>,
    pub(super) outputs: Vec<Output>,
    /// Maximum number of rows used from a unit or block.
    pub(super) most: usize,
}

/// Facts about a model needed by a runner beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Inputs, in the model's order.
    pub inputs: Vec<Column>,
    /// Name of the output.
    pub output: String,
    /// Count of the output's numbers per row, or per run if there is no axis of rows.
    pub numbers: u32,
    /// Whether each row has numbers of its own.
    pub by_row: bool,
    /// Division of rows into runs.
    pub runs: Runs,
    /// Maximum bytes computed by a run.
    pub bytes: u64,
    /// Maximum number of concurrent runs; 0 for as many as there are processors.
    pub threads: u32,
    /// Shapes that the runtime must find for rows to lie where the proof has them; none where each unit or block has its own run.
    pub intermediates: Intermediates,
    /// Maximum number of runs of [`Spec::keeps_rows_apart`].
    pub trials: u32,
}

/// Input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name of the input.
    pub name: String,
    /// Type, by its number in the IR.
    pub elem: i32,
    /// Bytes of a value.
    pub size: u32,
    /// Shape of a row.
    pub row: Vec<u64>,
    /// Number of texts named by the model, if the input takes texts: a row has a number below this, or -1 for any other text.
    pub words: Option<u32>,
}

impl Column {
    pub(super) fn of(input: &super::graph::Input) -> Self {
        let (elem, size) = (input.elem.number(), input.elem.bytes() as u32);
        let words = input.words.as_ref().map(|words| words.count());
        Self { name: input.name.clone(), elem, size, row: input.row.clone(), words }
    }

    /// Returns the number of values in a row.
    pub fn width(&self) -> usize {
        self.row.iter().product::<u64>() as usize
    }

    /// Returns the bytes of a row.
    pub fn bytes(&self) -> usize {
        self.width() * self.size as usize
    }
}

/// Alignment in bytes of a run's first row in memory, whatever lies before.
const ALIGN: usize = 64;

impl Spec {
    /// Returns the step, in rows, at which runs may begin in a slot.
    ///
    /// Some kernels sum in another order if values are aligned differently in memory, and the position of one unit's values must
    /// not depend on another's rows.
    pub fn step(&self) -> usize {
        // All are powers of two, so the largest is a multiple of the others.
        let of = |column: &Column| ALIGN >> column.bytes().trailing_zeros().min(ALIGN.trailing_zeros());
        self.inputs.iter().map(of).max().unwrap_or(1)
    }

    /// Rewrites a model that is proven to keep rows apart, as [`rewrite`](super::rewrite) does, and returns it with what a runner
    /// needs to know for batches of `rows` rows, a single row if the model takes no more.
    ///
    /// # Errors
    /// Returns the [`Refusal`] for a buyer.
    pub fn of_batches(bytes: &[u8], output: &str, rows: u32) -> Result<(Vec<u8>, Self), Refusal> {
        let graph = Graph::read(bytes, output)?;
        let out = graph.output()?;
        if let Some(node) = &out.mixed {
            return Err(refuse(format!("{node} may mix rows")));
        }
        let rows = if graph.one { 1 } else { rows };
        let spec = Self {
            inputs: graph.inputs.iter().map(Column::of).collect(),
            output: graph.asked().to_owned(),
            numbers: out.numbers as u32,
            by_row: out.by_row,
            runs: Runs::Batches(rows),
            bytes: u64::try_from(graph.bytes(rows.into())).unwrap_or(u64::MAX),
            threads: 1,
            intermediates: graph.intermediates(rows),
            trials: if rows > 1 { TRIALS } else { 0 },
        };
        Ok((graph.write(Some(rows)), spec))
    }

    /// Returns the maximum number of rows in a run.
    pub fn most(&self) -> u32 {
        match self.runs {
            Runs::Batches(rows) | Runs::Apart(rows) => rows,
        }
    }
}

/// Limits on a graph under a policy.
pub(super) struct Fit {
    /// Rows of a unit or block that fit the time budget, together with those of all others.
    pub(super) in_time: u32,
    /// Maximum bytes computed by a run.
    memory: u128,
    /// Limits on batches of rows run together.
    batch: Batch,
    /// Bytes of a row's inputs, and of its numbers.
    row: (u64, u64),
}

impl Fit {
    /// Computes the limits for `calls` units or blocks.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if not even one row fits, or if the graph may mix rows and the owner does not accept this.
    pub(super) fn of(graph: &Graph, out: &Out, policy: &Policy, calls: u64, place: Place) -> Result<Self, Refusal> {
        if let (Some(node), false) = (&out.mixed, policy.models.mixing) {
            return Err(refuse(format!("{node} may mix rows, and this owner accepts only models that are proven not to"))
                .fix("`tidegate inspect` shows the proof"));
        }
        let (memory, batch) = match place {
            Place::Cpu => (policy.models.memory_bytes, Batch::CPU),
            Place::Cuda { .. } => (policy.models.gpu_memory_bytes / GPU_RUNS, Batch::GPU),
        };
        let memory = u128::from(memory);
        if graph.bytes(1) > memory {
            let message = format!("takes {} bytes for one row, and this owner allows {memory} for a run", graph.bytes(1));
            return Err(refuse(message).fix("Make it smaller, or ask the owner for a larger `models.memory_mib`"));
        }
        // The rows of all people fit the time budget at the owner's rate: if the clock ended a job, one person's rows could turn
        // everybody's numbers into the fallback value.
        let budget = policy.work_per_call(calls);
        let in_time = most_rows(limits::MODEL_ROWS, |rows| graph.work(rows) <= u128::from(budget));
        if in_time == 0 {
            let message =
                format!("takes {} operations for a row; {calls} privacy units or blocks leave {budget} for each", graph.work(1));
            return Err(
                refuse(message).fix("Make it smaller, or ask the owner for a longer time budget or a larger `models.gflops`")
            );
        }
        let width: u64 = graph.inputs.iter().map(|input| input.width() * input.elem.bytes()).sum();
        let fit = Self { in_time, memory, batch, row: (width, out.numbers * 4) };
        if !fit.room(1) {
            return Err(
                refuse(format!("a row takes {width} bytes, and the maximum is {RUN_BYTES}")).fix("Make its inputs smaller")
            );
        }
        Ok(fit)
    }

    /// Returns whether this many rows fit in a slot.
    pub(super) fn room(&self, rows: u64) -> bool {
        rows * self.row.0 <= RUN_BYTES && rows * self.row.1 <= RUN_BYTES
    }

    /// Returns the maximum number of rows of a unit or block in a single run.
    pub(super) fn together(&self, graph: &Graph) -> u32 {
        most_rows(self.in_time, |rows| graph.bytes(rows) <= self.memory && self.room(rows)).max(1)
    }
}

impl Model {
    /// Returns the select of the model's rows.
    pub fn select(&self) -> &Select {
        &self.select
    }

    /// Checks `bytes` and their use by `program`.
    ///
    /// # Errors
    /// Returns a [`Refusal`] naming the part.
    pub fn admit(bytes: &[u8], select: Select, program: &Program, policy: &Policy, place: Place) -> Result<Self, Refusal> {
        let Program::Onnx { output, index, label, reduce, split, outputs, .. } = program else {
            return Err(refuse("is not a model"));
        };
        let graph = Graph::read(bytes, output)?;
        let out = graph.output()?;
        let calls = split.blocks().map_or(policy.unit.max_units, |blocks| blocks.number.into());
        let fit = Fit::of(&graph, &out, policy, calls, place)?;
        let in_time = fit.in_time;
        let source = Source::of(&select, &graph.inputs, label.as_deref())?;
        let takes = takes(outputs, *index as usize, out.numbers as usize, label.is_some())?;
        let runs = if out.mixed.is_some() {
            Runs::Apart(fit.together(&graph))
        } else if graph.one {
            Runs::Batches(1)
        } else {
            let batch = fit.batch;
            let most = most_rows(batch.rows, |rows| {
                graph.work(rows) <= batch.work && graph.bytes(rows) <= fit.memory.min(batch.bytes) && fit.room(rows)
            });
            // A power of two, for which kernels are optimised.
            Runs::Batches(1 << most.max(1).ilog2())
        };
        let most = match runs {
            Runs::Batches(_) => u64::from(in_time).min(KEPT / out.numbers).max(1),
            Runs::Apart(rows) => u64::from(rows),
        };
        let rows = match runs {
            Runs::Batches(rows) => Some(rows),
            Runs::Apart(_) => None,
        };
        let spec = Spec {
            inputs: graph.inputs.iter().map(Column::of).collect(),
            output: graph.asked().to_owned(),
            threads: policy.models.threads,
            numbers: out.numbers as u32,
            by_row: out.by_row,
            bytes: u64::try_from(graph.bytes(rows.map_or(most, u64::from))).unwrap_or(u64::MAX),
            intermediates: rows.map(|rows| graph.intermediates(rows)).unwrap_or_default(),
            trials: rows.map_or(0, |rows| trials(&graph, &fit, policy, rows)),
            runs,
        };
        Ok(Self {
            bytes: graph.write(rows),
            select,
            source,
            label: label.clone(),
            spec,
            reduce: *reduce,
            split: *split,
            takes,
            outputs: outputs.clone(),
            most: most as usize,
        })
    }

    /// Returns the model as written for a runtime.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the facts needed by a runner.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

/// Returns how often a batch of `rows` rows may be run before there is a job's row, from public numbers alone: as often as a part
/// of the time budget allows, but at least for one round.
fn trials(graph: &Graph, fit: &Fit, policy: &Policy, rows: u32) -> u32 {
    if rows < 2 {
        return 0;
    }
    let budget = u128::from(policy.limits.slot_ms / TRIALS_SHARE).saturating_mul(policy.models.work_per_ms.into());
    let in_time = budget / graph.work(rows.into()).max(1);
    let in_bytes = TRIALS_BYTES / u128::from(fit.row.0.max(1)) / u128::from(rows);
    let most = in_time.min(in_bytes).min(TRIALS.into());
    u32::try_from(most).unwrap_or(TRIALS).max(ROUND)
}

fn takes(outputs: &[Output], index: usize, numbers: usize, labelled: bool) -> Result<Vec<Takes>, Refusal> {
    let take = |(i, output): (usize, &Output)| {
        let bad = |message: String| refuse(message).at(format!("program.outputs[{i}]"));
        let name = output.name.shorten();
        let needs_label = |takes: Takes| {
            let none = || bad(format!("output {name:?} compares with a label")).fix("Name the label's column: label = \"…\"");
            labelled.then_some(takes).ok_or_else(none)
        };
        let (takes, last) = match &output.reducer {
            Reducer::Scores { .. } | Reducer::Calibration { .. } => (needs_label(Takes::Labelled(index))?, index + 1),
            Reducer::Confusion { classes } => {
                if numbers > 1 && numbers > *classes as usize {
                    return Err(bad(format!("output {name:?} has {classes} classes, and the model has {numbers}")));
                }
                (needs_label(Takes::Class)?, 1)
            }
            _ => (Takes::Numbers(index, output.numbers()), index + output.numbers()),
        };
        if last > numbers {
            let fix = "Set index to the first number, and vector = { len = … } to how many";
            return Err(bad(format!("output {name:?} takes number {} of the model's {numbers}", last - 1)).fix(fix));
        }
        Ok(takes)
    };
    outputs.iter().enumerate().map(take).collect()
}
