//! A session of the runtime on a thread of its own: rows are read in place, and numbers are written beside them.

use std::ops::Range;

use ort::{
    environment::Environment,
    ep::{self, ArenaExtendStrategy, cuda::ConvAlgorithmSearch},
    session::{
        Session, SessionInputValue,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{DynValue, TensorRef},
};

use crate::{
    error::{InferenceFailed, failed},
    layout::Layout,
    shared::Shared,
    wire::{Cuda, Input, Model},
};

/// `y = x · x` over float32 matrices of one number, as an ONNX model (opset 13).
const WARM_UP: &[u8] = b"\x08\x08\x3a\x2c\
    \x0a\x11\x0a\x01x\x0a\x01x\x12\x01y\x22\x06MatMul\
    \x12\x01w\
    \x5a\x09\x0a\x01x\x12\x04\x0a\x02\x08\x01\
    \x62\x09\x0a\x01y\x12\x04\x0a\x02\x08\x01\
    \x42\x02\x10\x0d";

pub(crate) struct Scorer<'a> {
    session: Session,
    model: &'a Model,
    layout: &'a Layout,
    memory: &'a Shared,
}

impl<'a> Scorer<'a> {
    pub(crate) fn open(
        environment: &Environment,
        model: &'a Model,
        layout: &'a Layout,
        memory: &'a Shared,
    ) -> Result<Self, InferenceFailed> {
        // Each session gets an equal share.
        let share = |cuda: Cuda| Cuda { memory: cuda.memory / u64::from(model.threads.max(1)), ..cuda };
        let session = builder(environment, model.cuda.map(share))?.commit_from_memory(&model.bytes).map_err(failed)?;
        if session.inputs().len() != model.inputs.len() {
            return Err(failed(format!("the model has {} inputs, {} were expected", session.inputs().len(), model.inputs.len())));
        }
        if !session.outputs().iter().any(|o| o.name() == model.output) {
            return Err(failed("the model has no output of that name"));
        }
        let mut scorer = Self { session, model, layout, memory };
        // A run over zeros: operators that the runtime does not support are reported now, and one-time setup is done.
        let rows = if model.batched { model.rows as usize } else { 1 };
        let wanted = if model.by_row { rows } else { 1 } * model.numbers as usize;
        scorer.run(0, 0, rows, layout.out(0), wanted)?;
        Ok(scorer)
    }

    /// Runs the rows of a slot. The buyer must not see which run failed: its numbers are NaN, which becomes the public fallback
    /// value. Of a batch of many units' rows, only the rows at fault have NaN.
    pub(crate) fn slot(&mut self, slot: usize, runs: &[u32]) {
        let (mut row, mut out) = (0, self.layout.out(slot));
        for rows in runs.iter().map(|n| *n as usize) {
            let wanted = if self.model.by_row { rows } else { 1 } * self.model.numbers as usize;
            if self.run(slot, row, rows, out, wanted).is_err() {
                self.memory.put_all(out, &vec![f32::NAN; wanted]);
                if self.model.batched && self.model.by_row && rows > 1 {
                    self.in_parts(slot, rows, out);
                }
            }
            row += rows.next_multiple_of(self.model.step.max(1) as usize);
            out += wanted * size_of::<f32>();
        }
    }

    /// Runs the rows of a failed batch again in halves, their halves, and so on, until those at fault are alone; these have NaN.
    ///
    /// Each run is of the whole batch's size, with a part's rows at their own places and zeros at all others, as the model was run
    /// when it was loaded. So a row that does not depend on others has the same number, to the last bit, as in a batch without
    /// rows at fault.
    fn in_parts(&mut self, slot: usize, rows: usize, out: usize) {
        let Self { model, layout, memory, .. } = *self;
        let numbers = model.numbers as usize;
        let held = |(i, input): (usize, &Input)| {
            let mut bytes: Vec<u8> = vec![];
            memory.get_all(layout.row(slot, i, 0), rows * input.bytes(), &mut bytes);
            (input.bytes(), bytes)
        };
        let inputs: Vec<(usize, Vec<u8>)> = model.inputs.iter().enumerate().map(held).collect();
        let put = |part: Range<usize>| {
            for (i, (bytes, all)) in inputs.iter().enumerate() {
                let mut only = vec![0; all.len()];
                let mine = part.start * bytes..part.end * bytes;
                only[mine.clone()].copy_from_slice(&all[mine]);
                memory.put_all(layout.row(slot, i, 0), &only);
            }
        };
        let mut found = vec![f32::NAN; rows * numbers];
        let mut some = vec![];
        let mut parts = vec![rows / 2..rows, 0..rows / 2];
        while let Some(part) = parts.pop() {
            put(part.clone());
            if self.run(slot, 0, rows, out, rows * numbers).is_ok() {
                memory.get_all(out + part.start * numbers * size_of::<f32>(), part.len() * numbers, &mut some);
                found[part.start * numbers..part.end * numbers].copy_from_slice(&some);
            } else if part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
            }
        }
        // A row at fault is not left at its place, where no row of the next batch may lie over it.
        put(0..0);
        memory.put_all(out, &found);
    }

    fn run(&mut self, slot: usize, row: usize, rows: usize, out: usize, wanted: usize) -> Result<(), InferenceFailed> {
        let Self { session, model, layout, memory } = self;
        let input =
            |(i, input): (usize, &'a Input)| Ok((input.name.as_str(), tensor(input, rows, memory, layout.row(slot, i, row))?));
        let inputs = model.inputs.iter().enumerate().map(input).collect::<Result<Vec<_>, InferenceFailed>>()?;
        // Read in place, by a device too: its copy is made by the runtime, in the order of the session's own stream.
        let outputs = session.run(inputs).map_err(failed)?;
        let output = outputs.get(model.output.as_str()).ok_or_else(|| failed("no such output"))?;
        if let Ok((_, data)) = output.try_extract_tensor::<f32>() {
            return keep(memory, out, wanted, data);
        }
        keep(memory, out, wanted, &floats(output)?)
    }
}

/// Builds a session whose results depend on no randomness and no other session.
pub(crate) fn builder(environment: &Environment, cuda: Option<Cuda>) -> Result<SessionBuilder, InferenceFailed> {
    let builder = Session::builder(environment)
        .map_err(failed)?
        // One thread per session, so that sums do not depend on the number of threads.
        .with_intra_threads(1)
        .map_err(failed)?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(failed)?
        .with_deterministic_compute(true)
        .map_err(failed)?
        // Denormal numbers would take much longer than others.
        .with_flush_to_zero()
        .map_err(failed)?;
    let Some(cuda) = cuda else { return Ok(builder) };
    let provider = ep::CUDA::default()
        // The only GPU that this process sees.
        .with_device_id(0)
        .with_memory_limit(usize::try_from(cuda.memory).unwrap_or(usize::MAX))
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // The other choice times kernels against each other, and takes the fastest of the moment.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_tf32(cuda.tf32)
        .build()
        .error_on_failure();
    // Operators without a kernel there are not run elsewhere.
    builder.with_disable_cpu_fallback().map_err(failed)?.with_execution_providers([provider]).map_err(failed)
}

/// Initializes the runtime and the device with a product in a built-in model, so that one-time setup is done before anybody
/// waits.
pub(crate) fn warm_up(environment: &Environment, cuda: Option<Cuda>) -> Result<(), InferenceFailed> {
    let mut session = builder(environment, cuda)?.commit_from_memory(WARM_UP).map_err(failed)?;
    let ones = TensorRef::from_array_view(([1usize, 1], &[1f32][..])).map_err(failed)?;
    session.run(vec![("x", SessionInputValue::from(ones))]).map_err(failed).map(drop)
}

fn keep(memory: &Shared, out: usize, wanted: usize, data: &[f32]) -> Result<(), InferenceFailed> {
    if data.len() != wanted {
        return Err(failed("the output's number of values differs from its shape"));
    }
    memory.put_all(out, data);
    Ok(())
}

/// Borrows rows of an input in place as a tensor.
pub(crate) fn tensor<'v>(
    input: &Input,
    rows: usize,
    memory: &'v Shared,
    at: usize,
) -> Result<SessionInputValue<'v>, InferenceFailed> {
    let shape: Vec<usize> = std::iter::once(rows).chain(input.row.iter().map(|n| *n as usize)).collect();
    let many = rows * input.width();
    macro_rules! of {
        ($slice:expr) => {
            TensorRef::from_array_view((shape, $slice)).map(SessionInputValue::from).map_err(failed)
        };
    }
    // TensorProto.DataType.
    match input.elem {
        1 => of!(memory.slice::<f32>(at, many)),
        2 => of!(memory.slice::<u8>(at, many)),
        6 => of!(memory.slice::<i32>(at, many)),
        7 => of!(memory.slice::<i64>(at, many)),
        9 => of!(memory.truths(at, many)),
        11 => of!(memory.slice::<f64>(at, many)),
        other => Err(failed(format!("no input is of type {other}"))),
    }
}

/// Converts an output of another type to floats.
fn floats(output: &DynValue) -> Result<Vec<f32>, InferenceFailed> {
    macro_rules! from {
        ($kind:ty, $to:expr) => {
            if let Ok((_, data)) = output.try_extract_tensor::<$kind>() {
                return Ok(data.iter().map($to).collect());
            }
        };
    }
    from!(f64, |v| *v as f32);
    from!(i64, |v| *v as f32);
    from!(i32, |v| *v as f32);
    from!(u8, |v| f32::from(*v));
    from!(i8, |v| f32::from(*v));
    from!(bool, |v| f32::from(u8::from(*v)));
    Err(failed("the output has an unsupported type"))
}

#[cfg(test)]
mod tests;
